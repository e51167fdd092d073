"""Snow, frost, fog and splashes: what lies between the lens and the thing.

After Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019,
with their constants, at any size and aspect. Their frost is photographs of others; ours is drawn.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from .blur import trail
from .noise import normals
from .operation import WHOLE, Parameter, Pixels, operation

_WATER = (175, 238, 238)  # pale turquoise
_MUD = (63, 42, 20)
_LIT_SIDE = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32) / 2
# Roots (n, 2) in pixels, headings and lengths of straight lines.
Twigs = tuple[np.ndarray, np.ndarray, np.ndarray]
# OpenCV takes points in 1/16 of a pixel.
_BITS = 4
_PANES = 6
_PANE = 640
# As much of a pane as a picture shows along its shorter side, in the pane's pixels.
_VIEW = 280


@operation(
    "weather",
    mean=Parameter(-0.3, 0.55, -0.3),
    sd=Parameter(0.3, 0.3, 0.3),
    flake=Parameter(0.0134, 0.0134, 0.0134, unit="side"),
    threshold=Parameter(0.8, 0.8, 0.8),
    radius=Parameter(0.054, 0.054, 0.054, unit="side"),
    sigma=Parameter(0.036, 0.036, 0.036, unit="side"),
    mix=Parameter(0.55, 1, 1),
    angle=Parameter(-135, -45, -90, free=True),
)
def snow(
    image: Pixels,
    mean: float,
    sd: float,
    flake: float,
    threshold: float,
    radius: float,
    sigma: float,
    mix: float,
    angle: float,
    seed: int,
) -> Pixels:
    """Falling snow: what is above `threshold` of a noise of `mean` and `sd`, enlarged `flake` times, on a trail.

    flake  pixels that a flake is across, at least one
    radius, sigma, angle  of the trail, as of motion_blur;  mix  share of the picture itself, the rest being whitened
    """
    height, width = image.shape[:2]
    noise = normals(np.random.default_rng(seed), (height, width)) * np.float32(sd) + np.float32(mean)
    flakes = _enlarged(noise, max(1.0, flake))
    flakes[flakes < threshold] = 0
    kernel, anchor = trail(radius, sigma, angle)
    falling = cv2.filter2D(np.minimum(flakes, 1), -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
    # And once more upside down, as published.
    layer = 255 * (falling + falling[::-1, ::-1])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    white = cv2.max(image, cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=1.5, beta=127.5), cv2.COLOR_GRAY2RGB))
    paler = cv2.addWeighted(image, mix, white, 1 - mix, 0)
    return np.asarray(cv2.add(paler, cv2.cvtColor(layer, cv2.COLOR_GRAY2RGB), dtype=cv2.CV_8U))


@operation("weather", keep=Parameter(0.6, 1, 1), amount=Parameter(0, 0.75))
def frost(image: Pixels, keep: float, amount: float, seed: int) -> Pixels:
    """A frozen window: `keep` times the picture plus `amount` times a piece of one of six panes, drawn beforehand."""
    rng = np.random.default_rng(seed)
    pane = _pane(int(rng.integers(_PANES)))
    height, width = image.shape[:2]
    scale = min(_VIEW / min(height, width), _PANE / max(height, width))
    down, right = max(1, int(scale * height)), max(1, int(scale * width))
    top, left = (rng.random(2) * (_PANE + 1 - np.array([down, right]))).astype(int)
    piece = cv2.resize(pane[top : top + down, left : left + right], (width, height), interpolation=cv2.INTER_AREA)
    turn = int(rng.integers(4))
    if turn:
        piece = cv2.flip(piece, turn - 2)
    return np.asarray(cv2.addWeighted(image, keep, piece, amount, 0))


@operation("weather", amount=Parameter(0, 3), decay=Parameter(1.75, 1.75, 1.75))
def fog(image: Pixels, amount: float, decay: float, seed: int) -> Pixels:
    """`amount` times a plasma (0..1) laid over the picture, and all of it darkened until the lightest is as before.

    decay  how fast the plasma loses its fine structure: its amplitude is divided by decay² from one scale to the next
    """
    height, width = image.shape[:2]
    lightest = max(1, int(image.max())) / 255
    clouds = plasma(max(height, width), decay, np.random.default_rng(seed))[:height, :width]
    share = lightest / (lightest + amount)
    veil = cv2.cvtColor(clouds * np.float32(255 * amount * share), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image.astype(np.float32), share, veil, 1, 0, dtype=cv2.CV_8U))


@operation(
    "weather",
    loc=Parameter(0.6, 0.7, 0.6),
    sd=Parameter(0.00134, 0.00134, 0.00134, unit="side"),
    sigma=Parameter(0.018, 0.018, 0.018, unit="side"),
    threshold=Parameter(0.68, 0.68, 0.68),
    intensity=Parameter(0.6, 0.6, 0.6),
    mud=Parameter(0, 1, scale=WHOLE),
)
def spatter(
    image: Pixels, loc: float, sd: float, sigma: float, threshold: float, intensity: float, mud: int, seed: int
) -> Pixels:
    """Splashes of water or mud: where noise of mean `loc` and spread `sd`, blurred by `sigma` px, passes `threshold`.

    intensity  of the water's light; of mud, the px by which its edges are rounded

    Blurring divides the spread by about 3.5 sigma. To be drawn alike at every size, `sd` therefore counts as a length.
    """
    noise = normals(np.random.default_rng(seed), image.shape[:2]) * np.float32(sd) + np.float32(loc)
    liquid = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(sigma, 0.01)))
    wet = liquid > threshold
    return _muddy(image, wet, intensity) if mud else _wet(image, wet, sigma, intensity)


def _wet(image: Pixels, wet: np.ndarray, width: float, intensity: float) -> Pixels:
    """Drops whose surface rises over `width` px from the edge, lit from one side."""
    surface = 1 - np.exp(cv2.distanceTransform(wet.astype(np.uint8), cv2.DIST_L2, 3) / -max(width, 1.0))
    slope = cv2.filter2D(surface, -1, _LIT_SIDE, borderType=cv2.BORDER_REPLICATE)
    light = cv2.blur(np.clip(np.float32(0.3) + slope, 0, 1), (3, 3)) * wet
    light *= np.float32(intensity)
    return np.asarray(cv2.add(image, cv2.merge([light * colour for colour in _WATER]), dtype=cv2.CV_8U))


def _muddy(image: Pixels, wet: np.ndarray, rounding: float) -> Pixels:
    cover = cv2.GaussianBlur(wet.astype(np.float32), (0, 0), max(rounding, 0.01), borderType=cv2.BORDER_REPLICATE)
    cover[cover < 0.8] = 0
    kept = cv2.multiply(image, cv2.cvtColor(1 - cover, cv2.COLOR_GRAY2RGB), dtype=cv2.CV_32F)
    return np.asarray(cv2.add(kept, cv2.merge([cover * colour for colour in _MUD]), dtype=cv2.CV_8U))


def _enlarged(field: np.ndarray, factor: float) -> np.ndarray:
    """A field (H, W) `factor` times as large, about its middle."""
    height, width = field.shape
    matrix = np.array([[factor, 0, (width - 1) * (1 - factor) / 2], [0, factor, (height - 1) * (1 - factor) / 2]])
    return np.asarray(cv2.warpAffine(field, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))


def plasma(side: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Clouds, float32 from 0 to 1, square and periodic, its side the next power of two: by diamonds and squares.

    Source: Fournier, Fussell & Carpenter, Computer rendering of stochastic models, 1982.
    """
    heights = np.zeros((1, 1), np.float32)
    wobble = 1.0
    while len(heights) < side:
        half = len(heights)
        chance = rng.random((3, half, half), np.float32)
        chance -= 0.5
        chance *= 2 * wobble
        below = _next(heights, 0)
        middle = (heights + below + _next(heights + below, 1)) / 4 + chance[0]
        finer = np.empty((half, 2, half, 2), np.float32)
        finer[:, 0, :, 0] = heights
        finer[:, 1, :, 1] = middle
        finer[:, 0, :, 1] = (heights + _next(heights, 1) + middle + _before(middle, 0)) / 4 + chance[1]
        finer[:, 1, :, 0] = (heights + below + middle + _before(middle, 1)) / 4 + chance[2]
        heights = finer.reshape(2 * half, 2 * half)
        wobble /= decay * decay
    heights -= heights.min()
    return heights / max(float(heights.max()), 1e-12)


def _next(field: np.ndarray, axis: int) -> np.ndarray:
    return np.roll(field, -1, axis)


def _before(field: np.ndarray, axis: int) -> np.ndarray:
    return np.roll(field, 1, axis)


@lru_cache(maxsize=_PANES)
def _pane(number: int) -> np.ndarray:
    """One frozen window, uint8 (_PANE, _PANE, 3), always the same: ferns of ice on a cloudy film."""
    rng = np.random.default_rng([7, number])
    lines = np.zeros((_PANE, _PANE), np.uint8)
    for size in np.linspace(0.08, 0.38, 60) ** 2:
        _grow(lines, rng.random(2) * _PANE, 3 * size * _PANE, rng)
    film = plasma(_PANE, 1.35, rng)[:_PANE, :_PANE]
    ice = lines.astype(np.float32) / 255
    # Light that spreads in the ice: near, where the film is thick, and far.
    near, far = cv2.GaussianBlur(ice, (0, 0), 3), cv2.GaussianBlur(ice, (0, 0), 16)
    depth = 0.1 + 0.35 * film + 0.6 * ice + 0.3 * film * near + 0.15 * far
    shade = cv2.cvtColor(cv2.convertScaleAbs(depth, alpha=255), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.LUT(shade, np.rint(_ice_colours()).astype(np.uint8)[None]))


def _ice_colours() -> np.ndarray:
    """The colour of each depth of ice, (256, 3): from dark glass over blue to white."""
    depths, colours = [0, 90, 180, 255], np.array([[20, 35, 60], [95, 125, 160], [195, 217, 235], [255, 255, 255]])
    return np.stack([np.interp(np.arange(256), depths, colour) for colour in colours.T], axis=1)


def _grow(lines: np.ndarray, root: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Draw a few ferns of ice, of about `size` px, that start from one place."""
    stems = int(rng.integers(2, 6))
    first = rng.random() * 2 * math.pi
    for stem in range(stems):
        length = size * rng.uniform(0.4, 1)
        along = np.arange(0, length, 5.0)
        headings = (
            first + 2 * math.pi * (stem + 0.4 * rng.standard_normal()) / stems + rng.normal(0, 0.8) * along / length
        )
        points = root + np.cumsum(5.0 * _towards(headings), axis=0)
        twigs = _twigs(points, headings, 0.4 * (length - along), rng)
        shade = int(rng.integers(100, 190))
        _draw(lines, _twigs_of(twigs, rng), shade - 60)
        _draw(lines, twigs, shade)
        cv2.polylines(lines, [_fixed(points)], False, shade + 60, 1, cv2.LINE_AA, _BITS)


def _twigs(points: np.ndarray, headings: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> Twigs:
    """Two from each point, at 60 degrees to either side, as ice grows."""
    turned = np.repeat(headings, 2) + np.tile([math.pi / 3, -math.pi / 3], len(points))
    turned += rng.normal(0, 0.06, len(turned))
    return np.repeat(points, 2, axis=0), turned, np.repeat(lengths, 2) * rng.uniform(0.5, 1.1, len(turned))


def _twigs_of(twigs: Twigs, rng: np.random.Generator) -> Twigs:
    """Smaller ones along each of some twigs."""
    roots, headings, lengths = twigs
    reach = np.arange(4.0, lengths.max(), 4.0)
    twig, step = np.nonzero(reach < lengths[:, None])
    points = roots[twig] + reach[step, None] * _towards(headings[twig])
    return _twigs(points, headings[twig], 0.35 * (lengths[twig] - reach[step]), rng)


def _draw(lines: np.ndarray, twigs: Twigs, shade: int) -> None:
    roots, headings, lengths = twigs
    ends = roots + lengths[:, None] * _towards(headings)
    cv2.polylines(lines, list(_fixed(np.stack([roots, ends], axis=1))), False, shade, 1, cv2.LINE_AA, _BITS)


def _towards(headings: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(headings), np.sin(headings)], axis=1)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(points * (1 << _BITS)).astype(np.int32))
