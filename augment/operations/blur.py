"""Out of focus, moved, seen through glass.

The constants are those of Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", 2019; lengths are in pixels and any size and aspect will do.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .operation import WHOLE, Parameter, Pixels, operation


@operation("blur", sigma=Parameter(0, 0.03, unit="side"))
def gaussian_blur(image: Pixels, sigma: float) -> Pixels:
    """Soft: a normal distribution of spread `sigma` px."""
    return _softened(image, sigma)


@operation("blur", radius=Parameter(0, 0.05, unit="side"), alias=Parameter(0, 0.5))
def defocus_blur(image: Pixels, radius: float, alias: float) -> Pixels:
    """Out of focus: every point a disc of `radius` px, its edge softened by `alias` px."""
    kernel = disc(radius)
    if alias > 0:
        side = 3 if radius <= 8 else 5
        kernel = cv2.GaussianBlur(kernel, (side, side), alias, borderType=cv2.BORDER_CONSTANT)
    return _convolved(image, kernel / kernel.sum(), (-1, -1), cv2.BORDER_REFLECT_101)


@operation(
    "blur",
    sigma=Parameter(0, 0.008, unit="side"),
    reach=Parameter(0, 0.02, unit="side"),
    rounds=Parameter(1, 3, 1, WHOLE),
)
def glass_blur(image: Pixels, sigma: float, reach: float, rounds: int, seed: int) -> Pixels:
    """Through frosted glass: softened, each pixel taken from up to `reach` px away, `rounds` times, softened again.

    All pixels of a round move at once; the original goes through them one after the other, so that one pixel may
    travel on in the same round, and never further down or right than reach - 1.
    """
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((height, width), np.int32, sparse=True)
    moved = _softened(image, sigma)
    for _ in range(rounds):
        # Half a pixel more, for whole reaches to make all steps up to them equally likely.
        steps = rng.random((2, height, width), np.float32)
        steps -= 0.5
        steps *= 2 * reach + 1
        down, right = np.rint(steps).astype(np.int32)
        down += rows
        right += columns
        np.clip(down, 0, height - 1, out=down)
        np.clip(right, 0, width - 1, out=right)
        down *= width
        down += right
        moved = moved.reshape(-1, 3).take(down, axis=0)
    return _softened(moved, sigma)


@operation(
    "blur",
    radius=Parameter(0, 0.09, unit="side"),
    sigma=Parameter(0, 0.07, unit="side"),
    angle=Parameter(-180, 180, free=True),
)
def motion_blur(image: Pixels, radius: float, sigma: float, angle: float) -> Pixels:
    """Moved while the shutter was open: a trail of 2 `radius` px that fades with `sigma` px, at `angle` degrees.

    The trail runs to one side, as in ImageMagick's MotionBlurImage, by which the published sets are made.
    """
    kernel, anchor = trail(radius, sigma, angle)
    return _convolved(image, kernel, anchor, cv2.BORDER_REPLICATE)


@operation("blur", zoom=Parameter(1, 1.35, 1), step=Parameter(0.02, 0.02, 0.02))
def zoom_blur(image: Pixels, zoom: float, step: float) -> Pixels:
    """Zoomed while the shutter was open: the mean of the picture and its enlargements, in steps below `zoom`.

    The picture itself counts twice, as published. Enlarged about the middle, to the fraction of a pixel.
    """
    height, width = image.shape[:2]
    # With NumPy's rounding, as published: it lets an end of 1.06 or 1.11 in and others not.
    scales = np.arange(1, zoom, max(step, 1e-3))[1:]
    total = image.astype(np.float32)
    total *= 2
    for scale in scales:
        matrix = np.array([[scale, 0, (width - 1) * (1 - scale) / 2], [0, scale, (height - 1) * (1 - scale) / 2]])
        cv2.accumulate(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), total)
    total /= len(scales) + 2
    return np.rint(total).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    """A disc of ones on the pixel grid, float32, with one pixel of margin.

    Pixels whose middle lies within `radius` px count whole, as published. Between the radii at which further pixels
    join, these join bit by bit, so that a disc grows with every fraction of a pixel.
    """
    reach = math.ceil(radius) + 1
    along = np.arange(-reach, reach + 1) ** 2
    squares = along[:, None] + along
    rings, ring = np.unique(squares, return_inverse=True)
    inside = np.interp(radius * radius, rings, np.arange(len(rings)))
    return np.asarray(np.clip(1 + inside - ring.reshape(squares.shape), 0, 1).astype(np.float32))


def trail(radius: float, sigma: float, angle: float) -> tuple[np.ndarray, tuple[int, int]]:
    """The kernel of a motion, float32 with sum 1, and its anchor (x, y): half a normal distribution along a line.

    It looks up what lies at `angle` degrees, clockwise from the right.
    """
    far = 2 * math.ceil(radius)
    # What lies beyond three and a half spreads is not to be seen, and a smaller kernel is quicker.
    along = np.arange(min(far, math.ceil(3.5 * sigma)) + 1)
    weight = np.exp(-0.5 * (along / max(sigma, 1e-3)) ** 2)
    turned = math.radians(angle)
    x, y = along * math.cos(turned), along * math.sin(turned)
    left, top = math.floor(min(x[-1], 0)), math.floor(min(y[-1], 0))
    kernel = np.zeros((math.ceil(max(y[-1], 0)) - top + 2, math.ceil(max(x[-1], 0)) - left + 2), np.float32)
    # Each point is shared by the four pixels around it.
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = x - column, y - row
    for dx, dy, share in (
        (0, 0, (1 - right) * (1 - down)),
        (1, 0, right * (1 - down)),
        (0, 1, (1 - right) * down),
        (1, 1, right * down),
    ):
        np.add.at(kernel, (row - top + dy, column - left + dx), share * weight)
    return kernel / kernel.sum(), (-left, -top)


def _convolved(image: Pixels, kernel: np.ndarray, anchor: tuple[int, int], border: int) -> Pixels:
    # In float32, where OpenCV is up to twice as fast as on bytes.
    blurred = cv2.filter2D(image.astype(np.float32), -1, kernel, anchor=anchor, borderType=border)
    return np.rint(blurred).astype(np.uint8)


def _softened(image: Pixels, sigma: float) -> Pixels:
    if sigma <= 0:
        return image.copy()
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
