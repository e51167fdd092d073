"""A set to try everything on: drawn cells that look like a stained blood smear, with known faults among them.

Nothing is shipped and nothing is fetched: each image is drawn from `default_rng([seed, row])`, so that
neither the number of images nor their order changes any of them. The class names say that these are toys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .configs import DrawConfig, ScanConfig
from .findings import SEVERITY, THRESHOLD
from .planting import Cast, PlantConfig, Truth, plant
from .stage.errors import DataError, OutputError
from .stage.files import replacing, write_text
from .stage.options import check
from .stage.progress import Reporter, Silent
from .stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd

    from .scans import Scan

SIDE = 96
# Outlines are drawn at this many times the size and shrunk, which smooths their edges.
_FINE = 2

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How the cells of one class look. Lengths are shares of the cell's radius, unless they are in pixels.

    share      weight of the class in the set
    radius     of the cell, in pixels;  ragged  how far its outline strays from an ellipse
    width      of the nucleus, which is a chain of discs along an arc of this length and bend (radians)
    lobes      into how many lobes the chain falls;  lobing  how deep the notches between them are, 0 .. 1
    plasma     colour around the nucleus on a white ground
    grains     colour of the granules;  grain  their size in pixels
    cover      share of the plasma that they cover;  over  how dense they lie over the nucleus
    bubbles    number of clear vacuoles
    """

    share: float
    radius: float
    ragged: float
    width: float
    length: float
    bend: float
    lobes: float
    lobing: float
    plasma: Colour
    grains: Colour
    grain: float
    cover: float
    over: float = 0.0
    bubbles: float = 0.0


LOOKS: dict[str, Look] = {
    "toy-lobed": Look(
        share=0.32, radius=32, ragged=0.025,
        width=0.30, length=1.95, bend=3.5, lobes=3.2, lobing=0.64,
        plasma=(228, 196, 190), grains=(180, 128, 162), grain=1.5, cover=0.16,
    ),
    "toy-round": Look(
        share=0.26, radius=27.5, ragged=0.04,
        width=0.76, length=0.25, bend=0.6, lobes=1, lobing=0.05,
        plasma=(156, 144, 186), grains=(150, 110, 172), grain=1.7, cover=0.05,
    ),
    "toy-kidney": Look(
        share=0.18, radius=35, ragged=0.08,
        width=0.50, length=1.00, bend=2.3, lobes=1, lobing=0.12,
        plasma=(170, 155, 187), grains=(150, 125, 172), grain=1.5, cover=0.14, bubbles=2.5,
    ),
    "toy-granular": Look(
        share=0.14, radius=32.5, ragged=0.03,
        width=0.36, length=1.35, bend=2.3, lobes=2.2, lobing=0.70,
        plasma=(224, 165, 152), grains=(200, 106, 98), grain=1.9, cover=0.60,
    ),
    "toy-small": Look(
        share=0.10, radius=20.5, ragged=0.05,
        width=0.84, length=0.15, bend=0.4, lobes=1, lobing=0.03,
        plasma=(134, 122, 176), grains=(140, 100, 165), grain=1.7, cover=0.04,
    ),
    "toy-speckled": Look(
        share=0.08, radius=29, ragged=0.04,
        width=0.52, length=0.90, bend=2.0, lobes=2, lobing=0.35,
        plasma=(200, 160, 182), grains=(62, 24, 108), grain=2.3, cover=0.42, over=0.5,
    ),
}  # fmt: skip
# How far an image strays from its class, as a share of each value.
_SPREAD = {
    "radius": 0.06, "ragged": 0.3, "width": 0.07, "length": 0.12, "bend": 0.2, "lobes": 0.22, "lobing": 0.15,
    "grain": 0.12, "cover": 0.25, "over": 0.2, "bubbles": 0.6,
}  # fmt: skip

# Light that comes through a smear, measured off photographs: its ground and what is dyed.
_GROUND = np.array((252, 228, 203), np.float32)


def _density(colour: Colour) -> np.ndarray:
    """float32 (3,): the density of dye that turns the ground into this colour."""
    return np.asarray(-np.log(np.minimum(np.array(colour, np.float32) / _GROUND, 1)))


_RED_CELL = _density((212, 175, 170))
_NUCLEUS = _density((66, 24, 126))

# A circle in 64 steps, and the waves that bend an outline, the long ones most.
_ANGLE = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], 1)
_ORDER = np.arange(2, 7)[:, None]
_WAVES = np.concatenate([np.cos(_ORDER * _ANGLE), np.sin(_ORDER * _ANGLE)]) / np.tile(_ORDER, (2, 1)) ** 1.5


# About what the published course set holds, and a second scanner that saw one class more than the others.
DEMO_FAULTS = PlantConfig(
    intruder=(0.11,),
    intruder_one_class=0.017,
    casts=(
        Cast("blue", "subtle", 0.010, label=list(LOOKS).index("toy-granular")),
        Cast("blue", "subtle", 0.014),
        Cast("yellow", "strong", 0.006),
    ),
)


@dataclass(frozen=True)
class DemoConfig(DrawConfig):
    """What to draw.

    classes   number of classes, the first of LOOKS
    between   share of images drawn on the way from their class to another one
    faults    what is planted among them; its seed is the one given here
    """

    classes: int = 5
    between: float = 0.09
    faults: PlantConfig = DEMO_FAULTS

    def __post_init__(self) -> None:
        check(self)
        if not 2 <= self.classes <= len(LOOKS):
            raise DataError(f"classes is {self.classes}; it must be between 2 and {len(LOOKS)}.")
        if not 0 <= self.between <= 1:
            raise DataError(f"between is {self.between}; it must be between 0 and 1.")


def demo_set(config: DemoConfig) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], Truth]:
    """Images uint8 (N, 96, 96, 3), labels int64 (N,), class names, and the truth of the planted faults."""
    images, labels = clean_cells(config)
    planted = plant(images, labels, replace(config.faults, seed=config.seed))
    return planted.images, planted.labels, tuple(LOOKS)[: config.classes], planted.truth


def clean_cells(config: DemoConfig) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (images, 96, 96, 3) without any fault, and their labels, int64 (images,)."""
    images = np.empty((config.images, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(config.images, np.int64)
    looks = list(LOOKS.values())[: config.classes]
    shares = np.array([look.share for look in looks])
    for row in range(config.images):
        rng = np.random.default_rng([config.seed, row])
        labels[row] = rng.choice(len(looks), p=shares / shares.sum())
        look = looks[labels[row]]
        if rng.random() < config.between:
            look = _interpolated(look, looks[int(rng.integers(len(looks)))], rng.uniform(0.2, 0.6))
        images[row] = draw_cell(_varied(look, rng), rng)
    return images, labels


def _interpolated(look: Look, target: Look, share: float) -> Look:
    """A look that is `share` of the way to another."""
    values = {}
    for field in fields(Look):
        a, b = np.array(getattr(look, field.name)), np.array(getattr(target, field.name))
        values[field.name] = (a + (b - a) * share).tolist()
    return Look(**values)


def _varied(look: Look, rng: np.random.Generator) -> Look:
    """One cell of that look, of sizes and shape of its own."""
    stray = rng.standard_normal(len(_SPREAD)).tolist()
    properties = {
        name: getattr(look, name) * max(0.0, 1 + spread * amount)
        for (name, spread), amount in zip(_SPREAD.items(), stray, strict=True)
    }
    return replace(look, **properties)


def draw_cell(look: Look, rng: np.random.Generator) -> np.ndarray:
    """uint8 (96, 96, 3): one cell in the middle, red cells about it, as light that a stain lets through."""
    middle = SIDE / 2 + rng.normal(0, 1.5, 2)
    cell = _cell_mask(look, middle, rng)
    nucleus = _nucleus_mask(look, middle, rng) * cell
    stain = np.exp(rng.normal(0, 0.08, (2, 3))).astype(np.float32)
    plasma, grains = _density(look.plasma) * stain[0], _density(look.grains) * stain[1]

    # Dyes multiply: their densities add up, and one exponential at the end makes the colours.
    density = _smear(middle, look.radius, rng)
    _lay(density, (0.94 + 0.15 * _texture(rng, 1.8) + 0.7 * _edge(cell))[..., None] * plasma, cell)
    _lay(density, grains, _grains(look.cover, look.grain, rng) * cell)
    for _ in range(round(look.bubbles)):
        at = middle + rng.uniform(-0.8, 0.8, 2) * look.radius
        _lay(density, 0.1 * plasma, _disc_mask(at, rng.uniform(1.2, 2.6)) * cell)
    chromatin = 0.8 + 0.25 * _texture(rng, 1.6) + 0.14 * _texture(rng, 4) + 0.9 * _edge(nucleus)
    _lay(density, np.clip(chromatin, 0.4, 1.3)[..., None] * _NUCLEUS, nucleus)
    if look.over > 0:
        _lay(density, grains, 0.8 * _grains(look.over, look.grain, rng) * nucleus)
    return _photographed(density, rng)


def _lay(density: np.ndarray, dye: np.ndarray, alpha: np.ndarray) -> None:
    """Put a dye in the place of what is there, as far as alpha, float32 (96, 96) in 0 .. 1, goes."""
    density += alpha[..., None] * (dye - density)


def _edge(mask: np.ndarray) -> np.ndarray:
    """float32 (96, 96): the inner rim of a mask, 0.5 at its edge."""
    return np.asarray(np.maximum(mask - cv2.blur(mask, (5, 5)), 0))


def _texture(rng: np.random.Generator, grain: float) -> np.ndarray:
    """float32 (96, 96): smooth noise with blobs about `grain` pixels wide, mean 0, deviation about 0.75."""
    coarse = rng.standard_normal((int(SIDE / grain) + 2,) * 2, np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _grains(cover: float, grain: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (96, 96) in 0 .. 1: specks of some pixels' width over a `cover` share of everything."""
    threshold = 0.75 * NormalDist().inv_cdf(1 - min(max(cover, 0.001), 0.95))
    return np.clip((_texture(rng, grain) - threshold) * 1.3 + 0.5, 0, 1)


def _disc_mask(at: np.ndarray, radius: float) -> np.ndarray:
    x = np.arange(SIDE, dtype=np.float32)
    return np.asarray(np.clip(radius + 0.5 - np.hypot(x - at[0], (x - at[1])[:, None]), 0, 1), np.float32)


def _blank() -> np.ndarray:
    return np.zeros((SIDE * _FINE, SIDE * _FINE), np.uint8)


def _shrunk(mask: np.ndarray) -> np.ndarray:
    """float32 (96, 96) in 0 .. 1 of a mask drawn large in 0 .. 255."""
    small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255


def _fixed_point(lengths: np.ndarray) -> np.ndarray:
    """Lengths in pixels as OpenCV draws them large: in sixteenths."""
    return np.asarray(np.rint(lengths * (16 * _FINE)).astype(np.int32))


def _spin(turn: float | np.ndarray) -> np.ndarray:
    """float (..., 2, 2): what turns points in rows by these angles."""
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)


def _outlines(at: np.ndarray, radius: np.ndarray, squeeze: float, wave: float, rng: np.random.Generator) -> np.ndarray:
    """int32 (K, 64, 2), as OpenCV draws it: K ellipses about `at`, bent by waves."""
    k = len(at)
    stretch = np.exp(rng.normal(0, squeeze, k))[:, None, None] ** np.array((1, -1))
    rings = (_CIRCLE * stretch) @ _spin(rng.uniform(0, np.pi, k))
    waves = 1 + wave * 2 * rng.standard_normal((k, len(_WAVES))) @ _WAVES
    return _fixed_point(at[:, None] + (radius[:, None] * waves)[..., None] * rings)


def _cell_mask(look: Look, middle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 (96, 96) in 0 .. 1: where the cell is."""
    mask = _blank()
    outline = _outlines(middle[None], np.array([look.radius]), 0.04 + look.ragged / 2, look.ragged, rng)
    cv2.fillPoly(mask, [outline[0]], 255, shift=4)
    return _shrunk(mask)


def _nucleus_mask(look: Look, middle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 (96, 96) in 0 .. 1: a chain of discs along an arc, their common outline roughened."""
    along = np.linspace(-0.5, 0.5, 25)
    bend = max(look.bend, 0.05)
    arc = np.stack([np.sin(bend * along), 1 - np.cos(bend * along)], 1) * look.length / bend
    lobes = max(1, round(look.lobes))
    phase = 0.3 + (lobes - 0.6) * (along + 0.5)  # whole numbers lie between lobes, the ends of the arc in one
    bulge = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    lobe_widths = 1 + rng.normal(0, 0.08, lobes)[phase.astype(int)]
    widths = look.width * lobe_widths * (1 - min(look.lobing, 0.9) * (1 - bulge))
    spin = _spin(rng.uniform(0, 2 * np.pi))
    at = middle + look.radius * ((arc - arc.mean(0)) @ spin + rng.normal(0, 0.05, 2))
    mask = _blank()
    for point, width in zip(_fixed_point(at).tolist(), _fixed_point(look.radius * widths).tolist(), strict=True):
        cv2.circle(mask, point, width, 255, -1, shift=4)
    soft = cv2.GaussianBlur(_shrunk(mask), (0, 0), 1.3)
    return np.clip((soft - 0.5 + 0.1 * _texture(rng, 6)) * 3 + 0.5, 0, 1)


def _smear(middle: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (96, 96, 3): the density of red cells, pale in their middle, and of a platelet."""
    k = int(rng.integers(6, 22))
    at, size = rng.uniform(-12, SIDE + 12, (k, 2)), rng.normal(15, 1.2, k)
    distances = np.hypot(*(at[:, None] - at).T)
    free = np.hypot(*(at - middle).T) > radius + 0.85 * size
    for disc in range(k):
        free[disc] &= not (free[:disc] & (distances[disc, :disc] < 1.5 * size[disc])).any()
    at, size = at[free], size[free]
    layers, pale = (_blank(), _blank()), _blank()
    discs = _outlines(at, size, 0.09, 0.03, rng)
    dimples = _outlines(at + rng.normal(0, 0.8, at.shape), size * rng.uniform(0.4, 0.56, len(at)), 0.09, 0.04, rng)
    for disc, depth in enumerate(rng.uniform(-40, 250, len(at))):
        cv2.fillPoly(layers[disc % 2], [discs[disc]], 255, shift=4)  # where two overlap, both absorb
        cv2.fillPoly(pale, [dimples[disc]], max(0, depth), shift=4)
    thick = _shrunk(layers[0]) + _shrunk(layers[1])
    pallor = cv2.GaussianBlur(_shrunk(pale), (0, 0), 1.5)
    thick = thick * (1 - pallor) + 0.3 * (thick - cv2.blur(thick, (5, 5)))
    density = thick[..., None] * (_RED_CELL * np.float32(rng.normal(1, 0.08)))
    if rng.random() < 0.25:
        place = middle + (radius + 8) * _CIRCLE[int(rng.integers(64))]
        platelet = _disc_mask(place, rng.uniform(1.8, 3.6)) * (0.7 + 0.3 * _texture(rng, 1.5))
        _lay(density, 0.5 * _NUCLEUS, np.clip(platelet, 0, 1))
    return np.asarray(density)


def _photographed(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (96, 96, 3): the smear through a microscope: its dyes, lamp, focus and sensor noise."""
    stain = np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.03, 3)).astype(np.float32)
    slope = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    across, down = rng.normal(0, 0.012, 2).astype(np.float32)
    lamp = (1 + across * slope + down * slope[:, None])[..., None]
    colour = _GROUND * rng.normal(1, 0.008, 3).astype(np.float32)
    light = cv2.GaussianBlur(np.exp(-density * stain) * (lamp * colour), (0, 0), rng.uniform(0.45, 0.75))
    light += 1.3 * rng.standard_normal((SIDE, SIDE, 1), np.float32)
    return np.asarray(np.clip(np.rint(light), 0, 255).astype(np.uint8))


def write_demo(folder: Path, config: DemoConfig) -> Path:
    """The path of data.npz (images, labels, class_names), written into the folder beside truth.json."""
    data = Path(folder) / "data.npz"
    if data.exists() and not data.with_name("truth.json").exists():
        raise OutputError(f"{data} exists and is no demo set (there is no truth.json beside it). Name another folder.")
    images, labels, class_names, truth = demo_set(config)

    try:
        write_text(json.dumps(truth), data.with_name("truth.json"))
        with replacing(data) as file:
            np.savez(file, images=images, labels=labels, class_names=np.array(class_names))
    except OutputError as error:
        reason = str(error).replace("write elsewhere (--artifacts DIR)", "name another folder")
        raise OutputError(f"the demo cannot be written to {folder}: {reason}") from error
    return data


@dataclass(frozen=True, eq=False)
class Demo:
    """A drawn set and what a scan made of it.

    path   of data.npz
    found  per kind of planted fault and way of planting: kind, how, planted, found
    """

    path: Path
    scan: Scan
    found: pd.DataFrame

    __repr__ = short_repr


def demo(folder: Path, config: DemoConfig, scan_config: ScanConfig, reporter: Reporter = Silent()) -> Demo:
    """Draw the set into a folder, scan it as a user's own, and hold the findings against the truth."""
    from .scanning import scan
    from .tallying import tally, ways_of

    path = write_demo(folder, config)
    result = scan(path, scan_config, reporter)
    truth = json.loads(path.with_name("truth.json").read_text(encoding="utf-8"))
    thresholds = {name: scan_config.thresholds.get(name, THRESHOLD) for name in SEVERITY}
    counts = tally(truth["planted"], result.table, result.findings, thresholds, np.zeros(len(result.table), bool))
    return Demo(path, result, ways_of([counts]))
