"""What altered pictures are made with: numbers to 8 bits, a chance of either sign, affine maps, light."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

# What is done to one picture, uint8 (H, W, 3), by draws of its own.
Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounded, and cut off at 0 and 255."""
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def either(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between low and high, of either sign."""
    return float(rng.uniform(low, high) * rng.choice((-1, 1)))


def affine(
    image: np.ndarray,
    matrix: np.ndarray,
    *,
    flags: int = cv2.INTER_CUBIC,
    border: int = cv2.BORDER_REFLECT_101,
    value: int = 0,
) -> np.ndarray:
    """The image under an affine map (2, 3), of its own size; flags, border and its value as OpenCV has them."""
    size, fill = (image.shape[1], image.shape[0]), (value, value, value)
    warped = cv2.warpAffine(image, matrix.astype(np.float64), size, flags=flags, borderMode=border, borderValue=fill)
    return np.asarray(warped)


def relit(image: np.ndarray, gains: np.ndarray, veil: float = 0.0) -> np.ndarray:
    """The image with each channel's light multiplied by its gain, and stray light added (sRGB curve)."""
    level = np.arange(256)[:, None] / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear * gains + veil, 0, 1)
    table = to_uint8(255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)], axis=2)
