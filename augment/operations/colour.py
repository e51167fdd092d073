"""Hue, saturation, white balance, stains: what the colours are, not how bright."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .operation import LOG, Parameter, Pixels, operation

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]

_UNIT = np.arange(256, dtype=np.float32) / 255
# Weights of red, green and blue in grey (ITU-R BT.601), as Pillow has them.
_GREY = np.array([0.299, 0.587, 0.114])
# Optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok & Johnston, 2001), of length 1 each.
_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_HED = _HED / np.linalg.norm(_HED, axis=1, keepdims=True)
_UNMIXED = np.linalg.inv(_HED)
# 0 has no density; the smallest light that is told from it is half a grey level.
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 0.5) / 255.5)
# Pillow's "smooth".
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
_CENTRE = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


def as_pixels(values: np.ndarray, scale: float = 1.0, add: float = 0.0) -> Pixels:
    """uint8: values * scale + add, rounded and cut off at 0 and 255."""
    return np.asarray(cv2.addWeighted(values, scale, values, 0, add, dtype=cv2.CV_8U))


def to_hsv(image: Pixels) -> Planes:
    """Hue 0..360, saturation 0..1 and value 0..1, float32 (H, W) each."""
    hue, saturation, value = cv2.split(cv2.cvtColor(cv2.LUT(image, _UNIT), cv2.COLOR_RGB2HSV))
    return np.asarray(hue), np.asarray(saturation), np.asarray(value)


def from_hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> Pixels:
    """uint8 (H, W, 3) RGB of such planes."""
    planes = [plane.astype(np.float32, copy=False) for plane in (hue, saturation, value)]
    return as_pixels(cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2RGB), 255)


@operation("colour", factor=Parameter(0.2, 3, neutral=1, scale=LOG), add=Parameter(0, 0))
def saturate(image: Pixels, factor: float, add: float) -> Pixels:
    """HSV saturation times `factor`, plus `add` (in 0..1). Source: ImageNet-C, Hendrycks & Dietterich, 2019."""
    degrees, saturation, value = to_hsv(image)
    return from_hsv(degrees, np.clip(saturation * factor + add, 0, 1), value)


@operation("colour", degrees=Parameter(-90, 90))
def hue(image: Pixels, degrees: float) -> Pixels:
    """HSV hue turned by `degrees`; 120 turns red into green."""
    turned, saturation, value = to_hsv(image)
    turned += degrees % 360
    return from_hsv(turned - np.float32(360) * (turned >= 360), saturation, value)


@operation("colour", factor=Parameter(0.1, 3, neutral=1, scale=LOG))
def colourfulness(image: Pixels, factor: float) -> Pixels:
    """The picture's distance to its own grey times `factor`: Pillow's ImageEnhance.Color."""
    return np.asarray(cv2.transform(image, factor * np.eye(3) + (1 - factor) * np.tile(_GREY, (3, 1))))


@operation("colour", factor=Parameter(0.1, 5, neutral=1, scale=LOG))
def sharpness(image: Pixels, factor: float) -> Pixels:
    """Sharper above 1, smoother below: Pillow's ImageEnhance.Sharpness, whose outermost pixels stay as they are."""
    sharp = image.copy()
    kernel = factor * _CENTRE + (1 - factor) * _SMOOTH
    sharp[1:-1, 1:-1] = cv2.filter2D(image, -1, kernel)[1:-1, 1:-1]
    return sharp


@operation("colour", amount=Parameter(0, 0.35), angle=Parameter(-180, 180, free=True))
def white_balance(image: Pixels, amount: float, angle: float) -> Pixels:
    """The light of another lamp: channels times 1 ± `amount`.

    angle  in degrees, of the colour that gains: 0 red, 120 green, 240 blue
    """
    turned = np.radians(angle - np.array([0, 120, 240]))
    return np.asarray(cv2.transform(image, np.diag(1 + amount * np.cos(turned))))


@operation("colour", amount=Parameter(0, 0.7))
def colour_matrix(image: Pixels, amount: float, seed: int) -> Pixels:
    """Channels mixed by a random matrix near identity, off by normal values of sd `amount`; grey stays grey."""
    off = np.random.default_rng(seed).standard_normal((3, 3))
    off -= off.mean(axis=1, keepdims=True)
    return np.asarray(cv2.transform(image, np.eye(3) + amount * off))


@operation(
    "colour",
    l=Parameter(-2, 2, unit="sd_l"),
    a=Parameter(-2, 2, unit="sd_a"),
    b=Parameter(-2, 2, unit="sd_b"),
    spread=Parameter(0.7, 1.4, neutral=1, scale=LOG),
    amount=Parameter(1, 1, neutral=1),
)
def stain_shift(image: Pixels, l: float, a: float, b: float, spread: float, amount: float) -> Pixels:  # noqa: E741
    """Another stain: CIELAB shifted by (l, a, b) * amount, its spread about the picture's mean times `spread`.

    L* is 0..100. Drawn l, a, b are multiples of the set's own spreads, for stains differ in kind from set to set.
    Source: the idea of RandStainNA, Shen et al., 2022.
    """
    lab = cv2.cvtColor(cv2.LUT(image, _UNIT), cv2.COLOR_RGB2LAB)
    offset = (1 - spread) * np.array(cv2.mean(lab)[:3]) + amount * np.array([l, a, b])
    shifted = cv2.transform(lab, np.column_stack([spread * np.eye(3), offset]))
    return as_pixels(cv2.cvtColor(shifted, cv2.COLOR_LAB2RGB), 255)


@operation("colour", amount=Parameter(0, 0.45))
def hed_shift(image: Pixels, amount: float, seed: int) -> Pixels:
    """Densities of haematoxylin, eosin and DAB: each times up to 1 ± `amount`, and up to ± amount / 4 more of it.

    Source: Ruifrok & Johnston, 2001 (the stains); Tellez et al., 2018 (the shift).
    """
    scale, more = np.random.default_rng(seed).uniform(-1, 1, (2, 3))
    mixing = _UNMIXED @ np.diag(1 + amount * scale) @ _HED
    offset = amount / 4 * more @ _HED
    density = cv2.transform(cv2.LUT(image, _DENSITY), -np.column_stack([mixing.T, offset]))
    return as_pixels(cv2.exp(density), 255.5, -0.5)


@operation("colour", shift=Parameter(0, 0.04, unit="side"), angle=Parameter(-180, 180, free=True))
def chromatic_shift(image: Pixels, shift: float, angle: float) -> Pixels:
    """Coloured fringes: the red plane moved by `shift` pixels towards `angle` (degrees), the blue one the other way."""
    height, width = image.shape[:2]
    x, y = shift * math.cos(math.radians(angle)), shift * math.sin(math.radians(angle))
    red, green, blue = cv2.split(image)

    def moved(plane: np.ndarray, sign: int) -> np.ndarray:
        to = np.array([[1, 0, sign * x], [0, 1, sign * y]])
        return np.asarray(cv2.warpAffine(plane, to, (width, height), borderMode=cv2.BORDER_REFLECT_101))

    return np.asarray(cv2.merge([moved(red, 1), green, moved(blue, -1)]))
