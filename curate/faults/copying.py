"""Copies of a picture: as it is saved, cut or shared once more, as it is augmented, and as a part of it."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import cv2
import numpy as np

from ..stage.registry import Registry
from .pixels import Fault, affine, either, to_uint8

NEAR: Registry[Fault] = Registry("near copy")
AFFINE: Registry[Fault] = Registry("affine copy")
CROPS: Registry[Fault] = Registry("crop")


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
    return affine(image, np.array([[1, 0, moved[0]], [0, 1, moved[1]]]), border=cv2.BORDER_REPLICATE)


@NEAR.add
def bright(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image 6 to 15 % brighter or darker."""
    return to_uint8(image * (1 + either(rng, 0.06, 0.15)))


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
    return affine(image, window, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


@NEAR.add
def rotation(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image turned by 3 to 8 degrees about its middle; its mirror image fills the corners."""
    height, width = image.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    return affine(image, np.asarray(cv2.getRotationMatrix2D(middle, either(rng, 3, 8), 1)))


@NEAR.add
def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with Gaussian noise of 3 to 7 levels, the same in all channels: grey stays grey."""
    return to_uint8(image + rng.normal(0, rng.uniform(3, 7), (*image.shape[:2], 1)))


@NEAR.add
def contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with 8 to 20 % more or less contrast about its mean."""
    mean = image.mean()
    return to_uint8(mean + (image - mean) * (1 + either(rng, 0.08, 0.2)))


@NEAR.add
def gamma(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image under a power of 0.75 to 0.9 or its inverse."""
    power = rng.uniform(0.75, 0.9) ** rng.choice((-1, 1))
    return np.asarray(to_uint8(255 * (np.arange(256) / 255) ** power)[image])


# --- affine copies: what augmentation makes of a picture --------------------------------------------------

# What fills the corners that a picture leaves: (OpenCV's border, its value).
BORDERS = MappingProxyType(
    {
        "black": (cv2.BORDER_CONSTANT, 0),
        "white": (cv2.BORDER_CONSTANT, 255),
        "reflected": (cv2.BORDER_REFLECT_101, 0),
    }
)


def _turned(rng: np.random.Generator) -> np.ndarray:
    """Turned by 10 to 30 degrees."""
    return _rotation(either(rng, 10, 30))


def _sheared(rng: np.random.Generator) -> np.ndarray:
    """Sheared by 0.1 to 0.3, and turned by up to 10 degrees."""
    return np.asarray(_rotation(rng.uniform(-10, 10)) @ np.array([[1, either(rng, 0.1, 0.3)], [0, 1]]))


def _zoomed(rng: np.random.Generator) -> np.ndarray:
    """Shrunk to 70 to 85 % of its sides, and turned by up to 15 degrees."""
    return np.asarray(rng.uniform(0.7, 0.85) * _rotation(rng.uniform(-15, 15)))


def _mirrored(rng: np.random.Generator) -> np.ndarray:
    """Mirrored, and turned by 5 to 30 degrees."""
    return np.asarray(_rotation(either(rng, 5, 30)) @ np.diag([-1.0, 1.0]))


def _rotation(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _affine_copy(way: Callable[[np.random.Generator], np.ndarray], border: str) -> Fault:
    mode, value = BORDERS[border]

    def copy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        inner = way(rng)
        moved = rng.uniform(-0.05, 0.05, 2) * (width, height)  # as most augmentation moves a picture as well
        matrix = np.column_stack([inner, middle + moved - inner @ middle])
        warped = affine(image, matrix, flags=cv2.INTER_LINEAR, border=mode, value=value)
        return to_uint8(warped * rng.uniform(0.92, 1.08))

    copy.__name__ = f"{way.__name__.removeprefix('_')}_{border}"
    copy.__doc__ = f"{way.__doc__} Moved and relit a little; what it leaves is {border}."
    return copy


for _way in (_turned, _sheared, _zoomed, _mirrored):
    for _border in BORDERS:
        AFFINE.add(_affine_copy(_way, _border))


# --- crops: a part of a picture, as large as the whole ----------------------------------------------------


def _crop(name: str, low: float, high: float) -> Fault:
    def crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        side = float(np.sqrt(rng.uniform(low, high)))
        left, top = rng.uniform(0, 1, 2) * (1 - side) * (width - 1, height - 1)
        window = np.array([[side, 0, left], [0, side, top]])
        return affine(image, window, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)

    crop.__name__ = name
    crop.__doc__ = f"A window of {low:.2f} to {high:.2f} of the image's area, enlarged to the old size."
    return crop


CROPS.add(_crop("half", 0.5, 0.75))
CROPS.add(_crop("third", 1 / 3, 0.5))
