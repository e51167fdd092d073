"""Brightness, contrast, tone and illumination."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from .colour import from_hsv, to_hsv
from .operation import LOG, Parameter, Pixels, operation

LEVELS = np.arange(256, dtype=np.float32)
# Waves that a tone curve's slope is made of: a constant changes nothing, long ones come first.
_WAVES = np.stack([np.cos(np.pi * k * LEVELS / 255) / k for k in (1, 2, 3)])


def through(image: Pixels, curve: np.ndarray) -> Pixels:
    """Each value replaced by that of a curve, float (256,) or, with one curve a channel, (256, 3)."""
    table = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table if table.ndim == 1 else table[None]))


@lru_cache(maxsize=64)
def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of each pixel, float32 (H, W) from -1 to 1, not to be written to."""
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    x.flags.writeable = y.flags.writeable = False
    return x, y


def lit(image: Pixels, gain: np.ndarray) -> Pixels:
    """The picture times a gain, (H, W)."""
    return np.asarray(
        cv2.multiply(image, cv2.cvtColor(gain.astype(np.float32, copy=False), cv2.COLOR_GRAY2RGB), dtype=cv2.CV_8U)
    )


def _blended(image: Pixels, other: Pixels, amount: float) -> Pixels:
    return np.asarray(cv2.addWeighted(image, 1 - amount, other, amount, 0))


@operation("light", add=Parameter(-0.35, 0.45))
def brightness(image: Pixels, add: float) -> Pixels:
    """HSV value plus `add` (in 0..1). Source: ImageNet-C, Hendrycks & Dietterich, 2019."""
    hue, saturation, value = to_hsv(image)
    return from_hsv(hue, saturation, np.clip(value + add, 0, 1))


@operation("light", factor=Parameter(0.25, 2.5, neutral=1, scale=LOG))
def contrast(image: Pixels, factor: float) -> Pixels:
    """Each channel's distance to its own mean times `factor`. Source: ImageNet-C, Hendrycks & Dietterich, 2019."""
    mean = np.array(cv2.mean(image)[:3])
    return through(image, mean + factor * (LEVELS[:, None] - mean))


@operation("light", exponent=Parameter(0.4, 2.5, neutral=1, scale=LOG))
def gamma(image: Pixels, exponent: float) -> Pixels:
    """Values (0..1) to the power of `exponent`: above 1 darker, below lighter."""
    return through(image, 255 * (LEVELS / 255) ** exponent)


@operation("light", factor=Parameter(0.3, 1.7, neutral=1, scale=LOG))
def enhance_brightness(image: Pixels, factor: float) -> Pixels:
    """Values times `factor`: Pillow's ImageEnhance.Brightness."""
    return through(image, factor * LEVELS)


@operation("light", factor=Parameter(0.25, 2.2, neutral=1, scale=LOG))
def enhance_contrast(image: Pixels, factor: float) -> Pixels:
    """The distance to the mean grey of the picture times `factor`: Pillow's ImageEnhance.Contrast."""
    mean = int(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    return through(image, mean + factor * (LEVELS - mean))


@operation("light", amount=Parameter(0, 0.5), angle=Parameter(-180, 180, free=True))
def illumination(image: Pixels, amount: float, angle: float, seed: int) -> Pixels:
    """Uneven light, times 1 ± `amount`: rising evenly towards `angle` (degrees), or falling off around a spot there.

    seed  decides on one of the two, and on place and width of the spot
    """
    height, width = image.shape[:2]
    x, y = coordinates(height, width)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    spot, off, size = np.random.default_rng(seed).random(3).tolist()
    if spot < 0.5:
        reach = amount / (abs(cos) + abs(sin))
        return lit(image, cv2.addWeighted(x, reach * cos, y, reach * sin, 1))
    narrow = -0.5 / (0.5 + 0.5 * size) ** 2
    across = np.exp(narrow * (x[:1] - off * cos) ** 2)
    down = np.exp(narrow * (y[:, :1] - off * sin) ** 2)
    return lit(image, 1 - amount + 2 * amount * (down * across))


@operation("light", amount=Parameter(0, 0.7))
def vignette(image: Pixels, amount: float) -> Pixels:
    """Darker towards the corners, where the gain is 1 - `amount`."""
    x, y = coordinates(*image.shape[:2])
    return lit(image, 1 - amount / 2 * (x[:1] ** 2 + y[:, :1] ** 2))


@operation("light", amount=Parameter(0, 0.8))
def tone_curve(image: Pixels, amount: float, seed: int) -> Pixels:
    """Values through a random smooth curve that rises everywhere, a little another one for each channel.

    amount  sd of the logarithm of its slope, roughly
    """
    drawn = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
    slope = np.exp(amount * ((drawn[0] + 0.3 * drawn[1:]) @ _WAVES))
    risen = np.cumsum(slope, axis=1) - slope / 2 - slope[:, :1] / 2
    return through(image, (255 * risen / risen[:, -1:]).T)


@operation("light", amount=Parameter(0, 0.7))
def fade(image: Pixels, amount: float, seed: int) -> Pixels:
    """Mixed with an even colour, which takes the share `amount`: behind a haze, under a dye, in the dark."""
    colour = np.random.default_rng(seed).uniform(0, 255, 3)
    return through(image, (1 - amount) * LEVELS[:, None] + amount * colour)


@operation("light", amount=Parameter(0, 1))
def autocontrast(image: Pixels, amount: float) -> Pixels:
    """Each channel stretched from its own darkest and lightest value to 0 and 255, blended in by `amount`."""
    stretched = []
    for plane in cv2.split(image):
        low, high, _, _ = cv2.minMaxLoc(plane)
        stretched.append((LEVELS - low) * (255 / (high - low)) if high > low else LEVELS)
    return _blended(image, through(image, np.stack(stretched, axis=1)), amount)


@operation("light", amount=Parameter(0, 1))
def equalize(image: Pixels, amount: float) -> Pixels:
    """The histogram of each channel made even, as Pillow's ImageOps.equalize does, blended in by `amount`."""
    curves = [_even(cv2.calcHist([plane], [0], None, [256], [0, 256])) for plane in cv2.split(image)]
    return _blended(image, through(image, np.stack(curves, axis=1)), amount)


def _even(histogram: np.ndarray) -> np.ndarray:
    """The curve (256,) that spreads values evenly, of which there are as many as a histogram (256, 1) says."""
    counts = histogram.ravel().astype(np.int64)
    highest = counts[np.flatnonzero(counts)[-1]]
    step = (counts.sum() - highest) // 255
    return (np.cumsum(counts) - counts + step // 2) // step if step else LEVELS


@operation("light", amount=Parameter(0, 1))
def clahe(image: Pixels, amount: float) -> Pixels:
    """The lightness' local histograms made even, within limits, blended in by `amount`. Source: Zuiderveld, 1994."""
    light, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    even = cv2.createCLAHE(clipLimit=3, tileGridSize=(4, 4)).apply(light)
    return _blended(image, cv2.cvtColor(cv2.merge([even, red, blue]), cv2.COLOR_YCrCb2RGB), amount)


@operation("light", levels=Parameter(5, 256, neutral=256, scale=LOG))
def posterize(image: Pixels, levels: float) -> Pixels:
    """Values rounded to `levels` of them, of which 0 and 255 are two; two at least."""
    step = 255 / (max(levels, 2) - 1)
    return through(image, np.rint(LEVELS / step) * step)


@operation("light", amount=Parameter(0, 0.75))
def solarize(image: Pixels, amount: float) -> Pixels:
    """What is lighter than 1 - `amount` (in 0..1) turned into its negative."""
    return through(image, np.where(255 * (1 - amount) < LEVELS, 255 - LEVELS, LEVELS))
