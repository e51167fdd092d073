"""Faults of a picture by itself: blurred, dark, over-exposed, grey, empty, under another light."""

from __future__ import annotations

from types import MappingProxyType

import cv2
import numpy as np

from ..stage.errors import UnknownName
from ..stage.registry import Registry
from .pixels import Fault, relit, to_uint8

FAULTS: Registry[Fault] = Registry("fault")


@FAULTS.add
def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image out of focus: a Gaussian of 4 to 6 % of its shorter side."""
    sigma = min(image.shape[:2]) * rng.uniform(0.04, 0.06)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


@FAULTS.add
def dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image at 8 to 15 % of its brightness."""
    return to_uint8(image * rng.uniform(0.08, 0.15))


@FAULTS.add
def light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image over-exposed: three to four and a half times the light, and stray light over all of it."""
    return relit(image, np.full(3, rng.uniform(3, 4.5)), veil=rng.uniform(0.5, 0.7))


@FAULTS.add
def grey(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image without its colours."""
    return np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2)


@FAULTS.add
def solid(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Nothing but the image's mean hue at some brightness, and one grey level of noise."""
    hue = image.mean((0, 1)) + 1
    level = 255 * rng.uniform(0.35, 0.9)
    return to_uint8(hue / hue.max() * level + rng.normal(0, 1, (*image.shape[:2], 1)))


# The channels (R, G, B) that a cast of this colour lifts; it lowers the others.
COLOURS = MappingProxyType(
    {
        "blue": (0, 0, 1),
        "green": (0, 1, 0),
        "yellow": (1, 1, 0),
        "red": (1, 0, 0),
        "magenta": (1, 0, 1),
        "cyan": (0, 1, 1),
    }
)
# By how much, in linear light: (gain of the lowered channels, gain of the lifted ones).
STRENGTHS = MappingProxyType({"subtle": (0.74, 1.1), "strong": (0.3, 1.15)})


def cast_name(colour: str, strength: str) -> str:
    """The name in FAULTS of a cast: "strong_blue_cast"."""
    if colour not in COLOURS:
        raise UnknownName.among("colour", colour, COLOURS)
    if strength not in STRENGTHS:
        raise UnknownName.among("strength", strength, STRENGTHS)
    return f"{strength}_{colour}_cast"


def _cast(colour: str, strength: str) -> Fault:
    lowered, lifted = STRENGTHS[strength]
    gains = np.where(COLOURS[colour], lifted, lowered)

    def cast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # One lamp or scanner casts much the same colour on all that it sees.
        return relit(image, gains * rng.uniform(0.97, 1.03, 3))

    cast.__name__ = cast_name(colour, strength)
    cast.__doc__ = f"The image under a {strength} {colour} light: channel gains of {gains} in linear light."
    return cast


for _strength in STRENGTHS:
    for _colour in COLOURS:
        FAULTS.add(_cast(_colour, _strength))
