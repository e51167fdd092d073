"""A picture made small, as a JPEG: to look at on a page, in a notebook, in a review."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TINY = 48  # pictures of at most so many pixels are line art as often as not: kept crisp


@dataclass(frozen=True)
class SmallPicture:
    """A picture as a small JPEG."""

    width: int
    height: int
    channels: int
    jpeg: bytes

    @property
    def tiny(self) -> bool:
        """Whether it is so small that its pixels are to be seen, each for itself."""
        return max(self.width, self.height) <= TINY


def small_picture(pixels: np.ndarray, side: int) -> SmallPicture:
    """A picture, uint8 (H, W, 3) RGB, as a JPEG whose longest side is at most `side`."""
    height, width = pixels.shape[:2]
    if max(height, width) > side:
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    height, width = pixels.shape[:2]
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
    coded = np.ascontiguousarray(pixels[..., 0] if grey else pixels[..., ::-1])
    options = [cv2.IMWRITE_JPEG_QUALITY, 80]
    if max(height, width) <= TINY:
        options = [cv2.IMWRITE_JPEG_QUALITY, 93]
        if not grey:
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, buffer = cv2.imencode(".jpg", coded, options)
    return SmallPicture(width, height, 1 if grey else 3, buffer.tobytes())
