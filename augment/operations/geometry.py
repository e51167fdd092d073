"""Where things are: turned, mirrored, moved, bent. Beyond the border lies the picture's mirror image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .light import coordinates
from .operation import LOG, WHOLE, Parameter, Pixels, operation

# Above this many pixels, fields are blurred at a smaller size: the same to the eye, and far faster.
_WIDE = 6.0


def _warped(image: Pixels, linear: np.ndarray, x: float = 0.0, y: float = 0.0) -> Pixels:
    """The picture under a linear map (2, 2) about its middle and a move by (x, y) pixels, sampled once."""
    height, width = image.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([linear, middle - linear @ middle + (x, y)])
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    )


def _turn(degrees: float) -> np.ndarray:
    """(2, 2): counter-clockwise, as seen; y points down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, sin], [-sin, cos]])


@operation("geometry", element=Parameter(0, 7, scale=WHOLE))
def dihedral(image: Pixels, element: int) -> Pixels:
    """One of the square's eight symmetries: `element` % 4 quarter turns counter-clockwise, mirrored before from 4 on.

    What is not square keeps its shape: a quarter turn becomes a half turn, and three become none.
    """
    turns = element % 4
    if turns % 2 and image.shape[0] != image.shape[1]:
        turns = 2 if turns == 1 else 0
    if element >= 4:
        image = cv2.flip(image, 1)
    codes = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
    return np.asarray(cv2.rotate(image, codes[turns])) if turns else image.copy()


@operation("geometry")
def flip_x(image: Pixels) -> Pixels:
    """Left and right swapped."""
    return np.asarray(cv2.flip(image, 1))


@operation("geometry")
def flip_y(image: Pixels) -> Pixels:
    """Top and bottom swapped."""
    return np.asarray(cv2.flip(image, 0))


# Up to 30 degrees, as RandAugment turns things: many look like another class upside down.
@operation("geometry", degrees=Parameter(-30, 30))
def rotate(image: Pixels, degrees: float) -> Pixels:
    """Turned counter-clockwise about the middle."""
    return _warped(image, _turn(degrees))


@operation("geometry", factor=Parameter(-0.4, 0.4))
def shear_x(image: Pixels, factor: float) -> Pixels:
    """Rows moved sideways by `factor` pixels for each pixel below the middle."""
    return _warped(image, np.array([[1, factor], [0, 1]]))


@operation("geometry", factor=Parameter(-0.4, 0.4))
def shear_y(image: Pixels, factor: float) -> Pixels:
    """Columns moved down by `factor` pixels for each pixel right of the middle."""
    return _warped(image, np.array([[1, 0], [factor, 1]]))


@operation("geometry", shift=Parameter(-0.25, 0.25, unit="side"))
def translate_x(image: Pixels, shift: float) -> Pixels:
    """Moved to the right by `shift` pixels."""
    return _warped(image, np.eye(2), x=shift)


@operation("geometry", shift=Parameter(-0.25, 0.25, unit="side"))
def translate_y(image: Pixels, shift: float) -> Pixels:
    """Moved down by `shift` pixels."""
    return _warped(image, np.eye(2), y=shift)


@operation("geometry", resizes=True, factor=Parameter(0.6, 1.6, neutral=1, scale=LOG))
def zoom(image: Pixels, factor: float) -> Pixels:
    """Everything `factor` times as large, about the middle."""
    return _warped(image, np.diag([factor, factor]))


@operation(
    "geometry",
    resizes=True,
    degrees=Parameter(-180, 180),
    zoom=Parameter(0.7, 1.4, neutral=1, scale=LOG),
    aspect=Parameter(0.75, 1.33, neutral=1, scale=LOG),
    shear=Parameter(-0.25, 0.25),
    x=Parameter(-0.15, 0.15, unit="side"),
    y=Parameter(-0.15, 0.15, unit="side"),
)
def affine(image: Pixels, degrees: float, zoom: float, aspect: float, shear: float, x: float, y: float) -> Pixels:
    """Sheared, stretched, enlarged, turned and moved at once, so that it is sampled once.

    aspect  how many times as wide, at equal area;  shear  as for shear_x;  x, y  pixels to the right and down
    """
    stretch = np.diag([zoom * math.sqrt(aspect), zoom / math.sqrt(aspect)])
    return _warped(image, _turn(degrees) @ stretch @ np.array([[1, shear], [0, 1]]), x, y)


@operation("geometry", resizes=True, amount=Parameter(0, 0.25))
def perspective(image: Pixels, amount: float, seed: int) -> Pixels:
    """Seen from aside: each corner moved by up to `amount` of the sides."""
    height, width = image.shape[:2]
    far = np.array([width - 1, height - 1], np.float32)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    moved = corners + np.float32(amount) * np.random.default_rng(seed).uniform(-1, 1, (4, 2)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners * far, moved * far)
    return np.asarray(
        cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    )


@operation("geometry", resizes=True, amount=Parameter(-0.35, 0.6))
def barrel(image: Pixels, amount: float) -> Pixels:
    """A lens's distortion: what is at the corners comes from 1 + `amount` times as far out, the middle stays."""
    height, width = image.shape[:2]
    x, y = coordinates(height, width)
    further = amount / 2 * (x[:1] ** 2 + y[:, :1] ** 2) + 1
    return _sampled(image, (x * further + 1) * ((width - 1) / 2), (y * further + 1) * ((height - 1) / 2))


@operation(
    "geometry",
    alpha=Parameter(0, 0.4, unit="side"),
    sigma=Parameter(0.06, 0.06, neutral=0.06, unit="side"),
    affine=Parameter(0, 0.05, unit="side"),
)
def elastic(image: Pixels, alpha: float, sigma: float, affine: float, seed: int) -> Pixels:
    """Bent like rubber: moved by `alpha` times uniform noise in ±1 that is blurred with `sigma` pixels.

    affine  pixels that each of three points is moved at most by the random affine map that comes before it
    Source: Simard et al., 2003, as in ImageNet-C, Hendrycks & Dietterich, 2019.
    """
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    middle, third = np.array([width, height]) / 2, min(width, height) / 3
    points = (middle + third * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = points + (affine * rng.uniform(-1, 1, (3, 2))).astype(np.float32)
    mapped = cv2.warpAffine(
        image,
        cv2.getAffineTransform(points, moved),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    noise = 2 * rng.random((height, width, 2), np.float32) - 1
    by = np.float32(alpha) * _blurred(noise, sigma)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return _sampled(mapped, x + by[..., 0], y + by[..., 1])


def _sampled(image: Pixels, x: np.ndarray, y: np.ndarray) -> Pixels:
    """The picture's values at the places x, y, float32 (H, W) in pixels."""
    return np.asarray(
        cv2.remap(
            image,
            x.astype(np.float32),
            y.astype(np.float32),
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    )


def _blurred(field: np.ndarray, sigma: float) -> np.ndarray:
    """float32 (H, W, C) under a Gaussian cut off at three sigma."""
    if sigma < 0.05:
        return field
    height, width = field.shape[:2]
    shrink = max(1.0, sigma / _WIDE)
    small = (max(2, round(width / shrink)), max(2, round(height / shrink)))
    if shrink > 1:
        field = cv2.resize(field, small, interpolation=cv2.INTER_AREA)
    sigmas = [sigma * less / full for less, full in zip(field.shape[1::-1], (width, height), strict=True)]
    size = [2 * math.ceil(3 * axis) + 1 for axis in sigmas]
    field = cv2.GaussianBlur(field, size, sigmas[0], sigmaY=sigmas[1], borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))
