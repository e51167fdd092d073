"""What lies on the slide, on the lens, or was laid over the picture: boxes, ink, bubbles, dust, a second exposure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from .operation import LOG, Parameter, Pixels, operation
from .texture import pooled_noise

# Outlines are filled on a grid this much finer, so that what is smaller than a pixel is faint and not blown up to one.
_FINE = 4
_ANGLES = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def _pixel_bounds(image: Pixels, low: np.ndarray, high: np.ndarray) -> tuple[int, int, int, int]:
    """left, top, right and bottom of the pixels that lie between two points (x, y), within the picture."""
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(low), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high) + 1, 0, (width, height)).astype(int).tolist()
    return left, top, right, bottom


def _fill(image: Pixels, outline: np.ndarray, colour: tuple[float, float, float]) -> None:
    """Fill an outline, (N, 2) in pixels, in place; pixels that it covers in part are filled in part."""
    left, top, right, bottom = _pixel_bounds(image, outline.min(axis=0), outline.max(axis=0))
    if right <= left or bottom <= top:
        return
    fine = np.zeros(((bottom - top) * _FINE, (right - left) * _FINE), np.uint8)
    points = (outline - (left, top) + 0.5) * _FINE - 0.5
    cv2.fillPoly(fine, [np.rint(points).astype(np.int32)], 255)
    covered = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    within = image[top:bottom, left:right]
    share = covered[..., None] * np.float32(1 / 255)
    image[top:bottom, left:right] = np.rint(within + (np.array(colour, np.float32) - within) * share)


def _whole_and_part(number: float) -> Iterator[float]:
    """How large each of that many things is: all of full size but the last, so that the number may be a fraction."""
    return (min(1.0, number - i) for i in range(math.ceil(number)))


@operation("marks", count=Parameter(0, 8), width=Parameter(0.005, 0.03, neutral=0.01, scale=LOG, unit="side"))
def scratches(image: Pixels, count: float, width: float, seed: int) -> Pixels:
    """Straight scratches across the picture, each of its own colour and strength; a fraction is a fainter one."""
    rng = np.random.default_rng(seed)
    size = np.array(image.shape[1::-1])
    scratched = image.copy()
    for number in range(math.ceil(count)):
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * size
        colour = rng.uniform(0, 255, 3)
        strength = rng.uniform(0.4, 1) * min(1.0, count - number)
        thick = max(1, round(width * rng.uniform(0.5, 1.5)))
        over = scratched.copy()
        (x, y), (u, v) = np.rint(ends * 16).astype(int).tolist()
        cv2.line(over, (x, y), (u, v), colour.tolist(), thick, cv2.LINE_AA, 4)
        scratched = np.asarray(cv2.addWeighted(over, strength, scratched, 1 - strength, 0))
    return scratched


@operation("marks", share=Parameter(0, 0.25))
def erase(image: Pixels, share: float, seed: int) -> Pixels:
    """A box of that share of the picture, anywhere, filled with the mean colour or with noise.

    Source: DeVries & Taylor, Cutout, 2017; Zhong et al., Random Erasing, 2020.
    """
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    x, y, shape, noisy = rng.random(4)
    aspect = 3 ** (2 * shape - 1)
    area = share * height * width
    w, h = min(width, round(math.sqrt(area * aspect))), min(height, round(math.sqrt(area / aspect)))
    left, top = round(x * (width - w)), round(y * (height - h))
    erased = image.copy()
    if noisy < 0.5:
        noise = pooled_noise(image.shape, rng)[top : top + h, left : left + w]
        erased[top : top + h, left : left + w] = np.clip(127.5 + 64 * noise, 0, 255)
    else:
        erased[top : top + h, left : left + w] = np.rint(cv2.mean(image)[:3])
    return erased


@operation("marks", count=Parameter(0, 4))
def stain_deposit(image: Pixels, count: float, seed: int) -> Pixels:
    """Dark, ragged marks as of ink, 24/224 to 32/224 of the shorter side across and clear of the border.

    count  of marks at most; how many of 1 to `count` there are is drawn, a fraction being a smaller mark
    Source: MedMNIST-C, Di Salvo et al., 2024.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    rng = np.random.default_rng(seed)
    number = min(count, 1.0) + rng.random() * max(0.0, count - 1)
    marked = image.copy()
    for full in _whole_and_part(number):
        x, y, size, tone = rng.random(4)
        waves = rng.standard_normal((3, 2)) * 0.09
        radius = side * (12 + 4 * size) / 224
        margin = side * 10 / 224 + radius
        ragged = 1 + sum(np.cos(k * _ANGLES) * a + np.sin(k * _ANGLES) * b for k, (a, b) in enumerate(waves, 2))
        middle = margin + np.array([x, y]) * np.maximum(0, np.array([width, height]) - 1 - 2 * margin)
        _fill(marked, middle + full * radius * ragged[:, None] * _CIRCLE, (28 * tone, 18 * tone, 36 * tone))
    return marked


@operation("marks", radius=Parameter(0, 0.07, unit="side"), count=Parameter(12, 12, neutral=12))
def bubbles(image: Pixels, radius: float, count: float, seed: int) -> Pixels:
    """Air bubbles: discs paler than the picture, with a rim that is paler still.

    radius  the largest in pixels; the smallest is 3/224 of the shorter side
    count   at most; how many of 7 to `count` there are is drawn, a fraction being a smaller bubble
    Source: MedMNIST-C, Di Salvo et al., 2024.
    """
    height, width = image.shape[:2]
    unit = min(height, width) / 224
    rng = np.random.default_rng(seed)
    number = min(count, 7.0) + rng.random() * max(0.0, count - 7)
    smallest = min(3 * unit, radius)
    white = np.zeros((height, width), np.uint8)
    for full in _whole_and_part(number if radius > 0 else 0):
        x, y, size = rng.random(3)
        outer = full * (smallest + size * (radius - smallest))
        middle = np.array([x * (width - 1), y * (height - 1)])
        left, top, right, bottom = _pixel_bounds(image, middle - outer, middle + outer)
        away = np.hypot(np.arange(left, right) - middle[0], np.arange(top, bottom)[:, None] - middle[1])
        disc = np.rint(130 * _disc(away, outer) - 30 * _disc(away, max(0.0, outer - 2 * unit)))
        white[top:bottom, left:right] = np.maximum(white[top:bottom, left:right], disc)
    paler = cv2.multiply(cv2.bitwise_not(image), cv2.cvtColor(white, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return np.asarray(cv2.add(image, paler))


def _disc(away: np.ndarray, radius: float) -> np.ndarray:
    """How much of each pixel a disc covers, 0..1, by the distance from its middle, both in pixels."""
    return np.asarray(np.clip(radius + 0.5 - away, 0, 1) * min(1.0, 2 * radius))


@operation("marks", count=Parameter(0, 15), size=Parameter(0.012, 0.05, neutral=0.025, scale=LOG, unit="side"))
def dust(image: Pixels, count: float, size: float, seed: int) -> Pixels:
    """Specks and fibres, most of them dark, some bright, anywhere.

    count  of them, a fraction being a smaller one;  size  of the largest speck's radius, in pixels
    """
    rng = np.random.default_rng(seed)
    far = np.array([image.shape[1] - 1, image.shape[0] - 1])
    dusty = image.copy()
    for full in _whole_and_part(count):
        x, y, reach, turn, bend, tone, kind = rng.random(7)
        radius = full * size * (0.4 + 0.6 * reach)
        outline = _speck(bend) if kind < 0.65 else _fibre(bend)
        cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
        outline = far * (x, y) + radius * outline @ np.array([[cos, sin], [-sin, cos]])
        level = 20 + 100 * tone if tone < 0.75 else 255
        _fill(dusty, outline, (level, 0.95 * level, 0.85 * level))
    return np.asarray(cv2.addWeighted(dusty, 0.85, image, 0.15, 0))


def _speck(flat: float) -> np.ndarray:
    """An outline of about radius 1, rounder or flatter."""
    return _CIRCLE * (1, 1 - 0.6 * flat)


def _fibre(bend: float) -> np.ndarray:
    """The outline of a bent thread, ten times as long as it is thick."""
    along = np.linspace(-3, 3, 10)
    curve = 3 * (bend - 0.5) * (along / 3) ** 2
    return np.concatenate([np.stack([along, curve - 0.25], 1), np.stack([along, curve + 0.25], 1)[::-1]])


@operation(
    "marks", shift=Parameter(0, 0.12, unit="side"), alpha=Parameter(0, 0.5), angle=Parameter(-180, 180, free=True)
)
def ghost(image: Pixels, shift: float, alpha: float, angle: float) -> Pixels:
    """Seen twice: a copy moved by `shift` pixels towards `angle` (degrees) is laid over it with weight `alpha`."""
    height, width = image.shape[:2]
    x, y = shift * math.cos(math.radians(angle)), shift * math.sin(math.radians(angle))
    moved = cv2.warpAffine(
        image,
        np.array([[1, 0, x], [0, 1, y]]),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(cv2.addWeighted(image, 1 - alpha, moved, alpha, 0))
