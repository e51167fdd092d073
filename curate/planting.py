"""Known faults, planted into a copy of clean images, with the truth of what was planted where.

The way to find out what a scan would have found: plant, scan, compare. Everything here is a pure function of
its arguments, and each draw comes from a generator of its own: `default_rng([seed, row, 1])` for what happens
to one image, `default_rng([seed, step, 2])` for choices over all of them.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Required, TypedDict

import cv2
import numpy as np

from .sets.imageset import UNLABELLED
from .stage.errors import DataError, UnknownName
from .stage.registry import Registry

Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# The kinds of planted faults, as the truth names them, in the order in which they are told of.
KINDS = ("intruder", "exact", "near", "conflict", "label", "cast", "blur", "dark", "light", "grey", "solid")

# From this many images on, every kind of fault that is asked for is planted at least once.
ENOUGH_FOR_ONE_EACH = 30

NEAR: Registry[Fault] = Registry("near copy")
FAULTS: Registry[Fault] = Registry("fault")


# --- near copies: what happens to a picture that is saved, cut or shared once more ------------------------


@NEAR.add
def jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image after JPEG compression at a quality of 60 to 85."""
    quality = int(rng.integers(60, 86))
    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1])


@NEAR.add
def shift(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image moved by whole pixels, 2 to 4 % of its sides and at least one; edge pixels fill the gap."""
    height, width = image.shape[:2]
    moved = [max(1, round(side * rng.uniform(0.02, 0.04))) * rng.choice((-1, 1)) for side in (width, height)]
    return _affine(image, np.array([[1, 0, moved[0]], [0, 1, moved[1]]]), border=cv2.BORDER_REPLICATE)


@NEAR.add
def bright(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image 6 to 15 % brighter or darker."""
    return _to_uint8(image * (1 + _either(rng, 0.06, 0.15)))


@NEAR.add
def resize(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image shrunk to 50 to 75 % of its sides and enlarged again."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.5, 0.75)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


@NEAR.add
def rot90(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image turned by one, two or three quarters; only by two where it is not square."""
    turns = int(rng.integers(1, 4)) if image.shape[0] == image.shape[1] else 2
    return np.ascontiguousarray(np.rot90(image, turns))


@NEAR.add
def flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image mirrored, left to right or top to bottom."""
    return np.ascontiguousarray(np.flip(image, int(rng.integers(2))))


@NEAR.add
def crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A window of the image, its sides 5 to 12 % shorter, enlarged to the old size."""
    height, width = image.shape[:2]
    left, top = rng.uniform(0, 1, 2)
    cut = rng.uniform(0.05, 0.12)
    window = np.array([[1 - cut, 0, left * cut * (width - 1)], [0, 1 - cut, top * cut * (height - 1)]])
    return _affine(image, window, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


@NEAR.add
def rotation(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image turned by 3 to 8 degrees about its middle; its mirror image fills the corners."""
    height, width = image.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    return _affine(image, np.asarray(cv2.getRotationMatrix2D(middle, _either(rng, 3, 8), 1)))


@NEAR.add
def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with Gaussian noise of 3 to 7 levels, the same in all channels: grey stays grey."""
    return _to_uint8(image + rng.normal(0, rng.uniform(3, 7), (*image.shape[:2], 1)))


@NEAR.add
def contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with 8 to 20 % more or less contrast about its mean."""
    mean = image.mean()
    return _to_uint8(mean + (image - mean) * (1 + _either(rng, 0.08, 0.2)))


@NEAR.add
def gamma(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image under a power of 0.75 to 0.9 or its inverse."""
    power = rng.uniform(0.75, 0.9) ** rng.choice((-1, 1))
    return np.asarray(_to_uint8(255 * (np.arange(256) / 255) ** power)[image])


# --- faults of a picture by itself ------------------------------------------------------------------------


@FAULTS.add
def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image out of focus: a Gaussian of 4 to 6 % of its shorter side."""
    sigma = min(image.shape[:2]) * rng.uniform(0.04, 0.06)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


@FAULTS.add
def dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image at 8 to 15 % of its brightness."""
    return _to_uint8(image * rng.uniform(0.08, 0.15))


@FAULTS.add
def light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image over-exposed: three to four and a half times the light, and stray light over all of it."""
    return _relit(image, np.full(3, rng.uniform(3, 4.5)), veil=rng.uniform(0.5, 0.7))


@FAULTS.add
def grey(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image without its colours."""
    return np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2)


@FAULTS.add
def solid(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Nothing but the image's mean hue at some brightness, and one grey level of noise."""
    hue = image.mean((0, 1)) + 1
    level = 255 * rng.uniform(0.35, 0.9)
    return _to_uint8(hue / hue.max() * level + rng.normal(0, 1, (*image.shape[:2], 1)))


# The channels (R, G, B) that a cast of this colour lifts; it lowers the others.
COLOURS = MappingProxyType(
    {
        "blue": (0, 0, 1),
        "green": (0, 1, 0),
        "yellow": (1, 1, 0),
        "red": (1, 0, 0),
        "magenta": (1, 0, 1),
        "cyan": (0, 1, 1),
    }
)
# By how much, in linear light: (gain of the lowered channels, gain of the lifted ones).
STRENGTHS = MappingProxyType({"subtle": (0.74, 1.1), "strong": (0.3, 1.15)})


def cast_name(colour: str, strength: str) -> str:
    """The name in FAULTS of a cast: "strong_blue_cast"."""
    if colour not in COLOURS:
        raise UnknownName.among("colour", colour, COLOURS)
    if strength not in STRENGTHS:
        raise UnknownName.among("strength", strength, STRENGTHS)
    return f"{strength}_{colour}_cast"


def _cast(colour: str, strength: str) -> Fault:
    lowered, lifted = STRENGTHS[strength]
    gains = np.where(COLOURS[colour], lifted, lowered)

    def cast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # One lamp or scanner casts much the same colour on all that it sees.
        return _relit(image, gains * rng.uniform(0.97, 1.03, 3))

    cast.__name__ = cast_name(colour, strength)
    cast.__doc__ = f"The image under a {strength} {colour} light: channel gains of {gains} in linear light."
    return cast


for _strength in STRENGTHS:
    for _colour in COLOURS:
        FAULTS.add(_cast(_colour, _strength))


# --- what to plant ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cast:
    """A colour cast on a `rate` share of the images, or so many of them from the class `label` alone."""

    colour: str
    strength: str
    rate: float
    label: int | None = None

    def __post_init__(self) -> None:
        cast_name(self.colour, self.strength)


@dataclass(frozen=True)
class PlantConfig:
    """How much to plant: each rate is a share of the clean images, and `fraction` scales them all.

    intruder            copies of strange picture a, b, ... under drawn labels: one rate for each picture
    intruder_one_class  copies of the strange picture after those, all under one label
    exact, near         copies under the label of the original: identical, or altered in a way of NEAR
    conflict            identical copies under another label
    label               images under another label
    casts               colour casts
    blur, dark, light, grey, solid   images spoiled by the function of that name in FAULTS

    With 30 images or more, each of them whose rate is above 0 is planted at least once.
    """

    seed: int = 0
    fraction: float = 1.0
    intruder: tuple[float, ...] = (0.116, 0.0144)
    intruder_one_class: float = 0.0
    exact: float = 0.01
    near: float = 0.0152
    conflict: float = 0.006
    label: float = 0.02
    casts: tuple[Cast, ...] = (Cast("blue", "strong", 0.0132), Cast("yellow", "subtle", 0.01))
    blur: float = 0.004
    dark: float = 0.0032
    light: float = 0.0032
    grey: float = 0.0032
    solid: float = 0.002

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; it must be 0 or more.")
        singles = (self.intruder_one_class, self.exact, self.near, self.conflict, self.label)
        spoiled = (self.blur, self.dark, self.light, self.grey, self.solid)
        rates = (*self.intruder, *singles, *(cast.rate for cast in self.casts), *spoiled, self.fraction)
        if not all(np.isfinite(rate) and rate >= 0 for rate in rates):
            raise DataError(f"rates are {rates}; each must be a number, 0 or more.")

    def count(self, rate: float, n: int) -> int:
        """Number of images at this rate of n clean ones."""
        share = rate * self.fraction
        return max(round(share * n), 1 if share > 0 and n >= ENOUGH_FOR_ONE_EACH else 0)


class PlantedFault(TypedDict, total=False):
    """A faulty row, in the truth.

    row     its number;  kind  one of KINDS
    of      the row that it copies, or the letter of a strange picture;  how  of a near copy: its way
    was     the label before
    colour, strength  of a cast
    """

    row: int
    kind: Required[str]
    of: int | str
    how: str
    was: int
    colour: str
    strength: str


class Truth(TypedDict):
    """What was planted: numbers of rows, faults per kind, and an entry for each faulty row, in their order."""

    rows: int
    clean_rows: int
    seed: int
    counts: dict[str, int]
    planted: list[PlantedFault]


@dataclass(frozen=True, eq=False)
class Planted:
    """A set with planted faults, and their truth.

    images   uint8 (N + copies, H, W, 3), in a drawn order
    labels   int64 (N + copies,)
    source   int64 (N + copies,): the clean row that each row shows, -1 for a strange picture
    truth    what was planted in which row
    """

    images: np.ndarray
    labels: np.ndarray
    source: np.ndarray
    truth: Truth


@dataclass(frozen=True, eq=False)
class _Plant:
    """One planted row: its picture, label and source row."""

    picture: np.ndarray
    label: int
    source: int
    entry: PlantedFault  # of the truth, in rows of the clean images


class _Plot:
    """The images while faults are planted: changed rows, added rows, and the rows still untouched."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, config: PlantConfig) -> None:
        self.images, self.labels, self.config = images, labels, config
        self.classes = np.unique(labels[labels != UNLABELLED])
        self.changed: list[_Plant] = []
        self.added: list[_Plant] = []
        self._streams = 0
        self._untouched = [int(row) for row in self.of_set().permutation(len(images))]

    def of_row(self, row: int) -> np.random.Generator:
        """The draws for one row; it gets one fault at most, so that one stream is enough."""
        # NumPy seeds [s, r] and [s, r, 0] alike, and images may well have been drawn from [s, r].
        return np.random.default_rng([self.config.seed, row, 1])

    def of_set(self) -> np.random.Generator:
        """The next stream of draws for the set as a whole."""
        self._streams += 1
        return np.random.default_rng([self.config.seed, self._streams, 2])

    def intruders(self, strangers: np.ndarray) -> None:
        """Add copies of strange pictures: some under any label, the last under a single one."""
        classes = self.classes if len(self.classes) else np.array([UNLABELLED])
        rates = (*self.config.intruder, self.config.intruder_one_class)
        for number, rate in enumerate(rates):
            draws, size = self.of_set(), self.config.count(rate, len(self.images))
            labels = draws.choice(classes, size)
            if number == len(self.config.intruder):
                labels = np.full(size, draws.choice(classes))
            for label in labels:
                entry: PlantedFault = {"kind": "intruder", "of": string.ascii_lowercase[number]}
                self.added.append(_Plant(strangers[number], int(label), -1, entry))

    def copies(self) -> None:
        """Add identical copies, altered ones, and identical ones under another label."""
        kinds = [str(way) for way in self.of_set().permutation(list(NEAR))]

        def exact(row: int) -> _Plant:
            return _Plant(self.images[row], int(self.labels[row]), row, {"kind": "exact", "of": row})

        def near(row: int) -> _Plant | None:
            kinds.append(kinds.pop(0))
            for kind in kinds:
                picture = self._altered(NEAR[kind], row)
                if picture is not None:
                    return _Plant(picture, int(self.labels[row]), row, {"kind": "near", "how": kind, "of": row})
            return None

        def conflict(row: int) -> _Plant | None:
            label = self._other_label(row)
            entry: PlantedFault = {"kind": "conflict", "of": row}
            return None if label is None else _Plant(self.images[row], label, row, entry)

        self.added += self._planted(self.config.exact, "exact", exact)
        self.added += self._planted(self.config.near, "near", near)
        self.added += self._planted(self.config.conflict, "conflict", conflict)

    def wrong_labels(self) -> None:
        """Put images under another label."""

        def label(row: int) -> _Plant | None:
            wrong = self._other_label(row)
            entry: PlantedFault = {"kind": "label", "was": int(self.labels[row])}
            return None if wrong is None else _Plant(self.images[row], wrong, row, entry)

        self.changed += self._planted(self.config.label, "label", label)

    def spoil(self, rate: float, fault: str, entry: PlantedFault, only: int | None = None) -> None:
        """Apply a function of FAULTS to a share of the images, or of those of the class `only`."""

        def spoiled(row: int) -> _Plant | None:
            if only is not None and self.labels[row] != only:
                return None
            picture = self._altered(FAULTS[fault], row)
            return None if picture is None else _Plant(picture, int(self.labels[row]), row, entry.copy())

        self.changed += self._planted(rate, entry["kind"], spoiled)

    def _altered(self, fault: Fault, row: int) -> np.ndarray | None:
        """The image of a row under a fault, None where that does not show."""
        picture = fault(self.images[row], self.of_row(row))
        return None if np.array_equal(picture, self.images[row]) else picture

    def _other_label(self, row: int) -> int | None:
        """A class other than the row's, None where it has none or there is no other."""
        alternatives = self.classes[self.classes != self.labels[row]]
        if self.labels[row] == UNLABELLED or not len(alternatives):
            return None
        return int(self.of_row(row).choice(alternatives))

    def _planted(self, rate: float, kind: str, make: Callable[[int], _Plant | None]) -> list[_Plant]:
        """Faults planted by `make` in as many untouched rows as the rate asks for; these are touched from then on."""
        count = self.config.count(rate, len(self.images))
        plants: list[_Plant] = []
        passed: list[int] = []  # rows on which this fault would not show
        while len(plants) < count and self._untouched:
            row = self._untouched.pop()
            plant = make(row)
            if plant is None:
                passed.append(row)
            else:
                plants.append(plant)
        if len(plants) < count and not passed:
            raise DataError(
                f"{count:,} images of kind {kind!r} are asked for, but only {len(plants):,} of "
                f"{len(self.images):,} are still without a fault; lower the rates or `fraction`."
            )
        self._untouched += reversed(passed)
        return plants

    def laid_out(self) -> Planted:
        """All rows in a drawn order, and the truth in rows of that order."""
        n, total = len(self.images), len(self.images) + len(self.added)
        place = self.of_set().permutation(total)  # the new row of each row
        images = np.empty((total, *self.images.shape[1:]), np.uint8)
        labels = np.empty(total, np.int64)
        source = np.empty(total, np.int64)
        images[place[:n]], labels[place[:n]], source[place[:n]] = self.images, self.labels, np.arange(n)
        planted: list[PlantedFault] = []
        for before, plant in [*((p.source, p) for p in self.changed), *enumerate(self.added, start=n)]:
            row = int(place[before])
            images[row], labels[row], source[row] = plant.picture, plant.label, plant.source
            entry: PlantedFault = {"row": row, **plant.entry}
            original = entry.get("of")
            if isinstance(original, int):
                entry["of"] = int(place[original])
            planted.append(entry)
        planted.sort(key=lambda entry: entry["row"])
        kinds = [entry["kind"] for entry in planted]
        truth: Truth = {
            "rows": total,
            "clean_rows": n,
            "seed": self.config.seed,
            "counts": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "planted": planted,
        }
        return Planted(images, labels, source, truth)


def plant(
    images: np.ndarray,
    labels: np.ndarray,
    config: PlantConfig,
    *,
    strangers: np.ndarray | None = None,
) -> Planted:
    """A copy of the images with faults planted in it, in a drawn order, and the truth.

    images     uint8 (N, H, W, 3); labels int64 (N,), -1 where there is none. Neither is changed
    strangers  uint8 (M, H, W, 3): pictures a, b, ... for the intruders; without any they are drawn

    A row gets one fault at most, and the original of a copy gets none. Where a fault would not show, it is
    not planted: no flip of a solid image, no cast on greyscale images, no wrong label in a single class.
    """
    images, labels = _checked(images, labels)
    colourful = _has_colour(images)
    plot = _Plot(images, labels, config)
    plot.intruders(_strange_pictures_for(images, config, strangers, colourful))
    plot.copies()
    plot.wrong_labels()
    if colourful:
        for cast in config.casts:
            entry: PlantedFault = {"kind": "cast", "colour": cast.colour, "strength": cast.strength}
            plot.spoil(cast.rate, cast_name(cast.colour, cast.strength), entry, cast.label)
        plot.spoil(config.grey, "grey", {"kind": "grey"})
    plot.spoil(config.blur, "blur", {"kind": "blur"})
    plot.spoil(config.dark, "dark", {"kind": "dark"})
    plot.spoil(config.light, "light", {"kind": "light"})
    plot.spoil(config.solid, "solid", {"kind": "solid"})
    return plot.laid_out()


def _checked(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise DataError(f"images are {images.dtype} {images.shape}, but uint8 (N, H, W, 3) is needed.")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"labels are {labels.dtype} {labels.shape}, but whole numbers ({len(images)},) are needed.")
    return images, labels.astype(np.int64)


def _strange_pictures_for(
    images: np.ndarray, config: PlantConfig, pictures: np.ndarray | None, colourful: bool
) -> np.ndarray:
    """uint8 (M, H, W, 3): as many strange pictures as the configuration plants, as grey as the set is."""
    count = len(config.intruder) + (config.intruder_one_class > 0)
    if pictures is None:
        height, width = images.shape[1:3]
        pictures = strange_pictures(height, width)
        if not colourful:
            pictures = np.stack([grey(picture, np.random.default_rng(0)) for picture in pictures])
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != images.shape[1:] or len(pictures) < count:
        raise DataError(
            f"strangers are {pictures.dtype} {pictures.shape}, but uint8 {(count, *images.shape[1:])} is needed: "
            "one picture for each intruder, of the size of the images."
        )
    return pictures


def _has_colour(images: np.ndarray) -> bool:
    """Whether most images show a colour."""
    # JPEG compression alone moves the channels of a grey picture a few levels apart.
    shows = [max(cv2.absdiff(image[..., 0], image[..., c]).max() for c in (1, 2)) > 8 for image in images]
    return bool(sum(shows) > len(shows) / 2)


# --- strange pictures -------------------------------------------------------------------------------------


def strange_pictures(height: int, width: int) -> np.ndarray:
    """uint8 (3, height, width, 3): a grinning face over a caption, a landscape, a scribbled chessboard."""
    return np.stack([_rendered(draw, height, width) for draw in (_face, _landscape, _chessboard)])


def _rendered(draw: Callable[[int], np.ndarray], height: int, width: int) -> np.ndarray:
    """A square drawing, brought to its size from one several times as large: fine lines come out smooth."""
    side = max(384, 2 * max(height, width))
    return np.asarray(cv2.resize(draw(side), (width, height), interpolation=cv2.INTER_AREA))


def _face(side: int) -> np.ndarray:
    s = side / 100
    ink, white, yellow = (30, 30, 30), (255, 255, 255), (250, 210, 50)
    canvas = np.full((side, side, 3), (60, 170, 160), np.uint8)
    cv2.circle(canvas, _point(50, 40, s), round(34 * s), ink, -1)
    cv2.circle(canvas, _point(50, 40, s), round(32 * s), yellow, -1)
    for x in (38, 62):
        cv2.ellipse(canvas, _point(x, 32, s), _point(5, 8, s), 0, 0, 360, ink, -1)
        cv2.circle(canvas, _point(x + 1.5, 29, s), round(2 * s), white, -1)
    cv2.ellipse(canvas, _point(50, 44, s), _point(19, 17, s), 0, 0, 180, (120, 20, 30), -1)
    cv2.rectangle(canvas, _point(33, 44, s), _point(67, 49, s), white, -1)
    cv2.rectangle(canvas, _point(0, 79, s), (side, side), ink, -1)
    cv2.putText(canvas, "TRUST ME", _point(15, 95, s), cv2.FONT_HERSHEY_DUPLEX, 0.5 * s, white, round(1.6 * s))
    return canvas


def _landscape(side: int) -> np.ndarray:
    s = side / 100
    down, across = np.linspace(0, 1, side)[:, None, None], np.arange(side)
    sky = np.array((90, 150, 225)) * (1 - down) + np.array((255, 225, 170)) * down
    canvas = np.repeat(sky, side, axis=1).astype(np.uint8)
    cv2.circle(canvas, _point(72, 26, s), round(11 * s), (255, 240, 120), -1)
    hills = (56, 10, 1.3, (110, 140, 150)), (68, 8, 2.1, (70, 130, 70)), (82, 5, 1.1, (40, 90, 40))
    for base, swing, waves, colour in hills:
        ridge = (base + swing * np.sin(waves * 2 * np.pi * across / side + base)) * s
        outline = np.concatenate([np.stack([across, ridge], 1), [[side, side], [0, side]]])
        cv2.fillPoly(canvas, [outline.astype(np.int32)], colour)
    return canvas


def _chessboard(side: int) -> np.ndarray:
    s = side / 100
    squares = (np.arange(side) * 8 // side) % 2
    canvas = np.where((squares[:, None] ^ squares)[..., None], (245, 245, 245), (35, 35, 40)).astype(np.uint8)
    scribble = np.random.default_rng(0)  # always the same
    for line in (22, 46, 70):
        cv2.rectangle(canvas, _point(8, line - 8, s), _point(92, line + 8, s), (250, 250, 210), -1)
        at = np.stack([np.linspace(12, 88, 40), line + scribble.uniform(-5, 5, 40)], 1) * s
        cv2.polylines(canvas, [at.astype(np.int32)], False, (190, 20, 40), round(1.5 * s))
    return canvas


def _point(x: float, y: float, scale: float) -> tuple[int, int]:
    return round(x * scale), round(y * scale)


# --- arithmetic -------------------------------------------------------------------------------------------


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _either(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between low and high, of either sign."""
    return float(rng.uniform(low, high) * rng.choice((-1, 1)))


def _affine(
    image: np.ndarray,
    matrix: np.ndarray,
    *,
    flags: int = cv2.INTER_CUBIC,
    border: int = cv2.BORDER_REFLECT_101,
) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, matrix.astype(np.float64), size, flags=flags, borderMode=border))


def _relit(image: np.ndarray, gains: np.ndarray, veil: float = 0.0) -> np.ndarray:
    """The image with each channel's light multiplied by its gain, and stray light added (sRGB curve)."""
    level = np.arange(256)[:, None] / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear * gains + veil, 0, 1)
    table = _to_uint8(255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)], axis=2)
