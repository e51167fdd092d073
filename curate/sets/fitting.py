"""One size for all: a picture brought to a width and height that it does not have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fit:
    """How a picture comes to a size of another aspect. What shrinks is averaged, what grows is interpolated.

    frame      "crop" fills the frame and cuts off what sticks out, evenly on both sides; "pad" shows all of the picture
               and fills up the rest; "stretch" gives up its aspect
    growing    "cubic", which is sharper, or "linear", which never goes beyond the values that are there
    border     of "pad": "mirror" fills up with the mirror image of the border, "edge" with its outermost pixels
    cut_first  of "crop": it is cut and then resized, so that nothing from outside of the frame blends in
    nearest    of "pad": its sides are rounded to the nearest pixel, which may widen it by a part of one; else down
    """

    frame: str = "crop"
    growing: str = "cubic"
    border: str = "mirror"
    cut_first: bool = False
    nearest: bool = False


def fit_to_size(pixels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """uint8 (height, width, 3): a picture brought to `size`, (width, height); the very one where it has it already."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if fit.frame == "pad":
        return _padded(pixels, size, fit)
    if fit.frame == "stretch":
        return _resized(pixels, size, fit)
    if fit.cut_first:
        return _resized(_middle(pixels, _largest(pixels, size)), size, fit)
    scale = max(size[0] / width, size[1] / height)
    # Less a trifle, so that no side grows by a pixel where the division is not exact.
    whole = max(1, math.ceil(width * scale - 1e-6)), max(1, math.ceil(height * scale - 1e-6))
    return np.ascontiguousarray(_middle(_resized(pixels, whole, fit), size))


def _largest(pixels: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the largest part that has the aspect of `size`."""
    height, width = pixels.shape[:2]
    return (
        min(width, max(1, round(height * size[0] / size[1]))),
        min(height, max(1, round(width * size[1] / size[0]))),
    )


def _middle(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A view of the middle of a picture that is no smaller than `size`."""
    width, height = size
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def _padded(pixels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    import cv2

    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner_width, inner_height = (
        max(1, round(side * scale) if fit.nearest else math.floor(side * scale + 1e-6)) for side in (width, height)
    )
    if (inner_width, inner_height) != (width, height):
        pixels = _resized(pixels, (inner_width, inner_height), fit)
    left, top = (size[0] - inner_width) // 2, (size[1] - inner_height) // 2
    right, bottom = size[0] - inner_width - left, size[1] - inner_height - top
    border = cv2.BORDER_REFLECT if fit.border == "mirror" else cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(pixels, top, bottom, left, right, border))


def _resized(pixels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    import cv2

    growing = cv2.INTER_CUBIC if fit.growing == "cubic" else cv2.INTER_LINEAR
    smaller = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else growing))
