"""Colours of heat maps in tables: even steps of lightness, for a light page and for a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

LEVELS = 21
# Text must stand out by so much (WCAG 2.2, AA).
CONTRAST = 4.5

# From the page's own ground over a tint in between to the strongest colour. The middle one gives hue alone: lightness
# goes in a straight line, so that equal steps look equal, also to the colour-blind and in print.
_ANCHORS = {
    ("bad", "light"): ("#ffffff", "#efa945", "#86220f"),
    ("bad", "dark"): ("#1d2024", "#8a5a2a", "#ff9b78"),
    ("good", "light"): ("#ffffff", "#8fc7b8", "#1c5a4d"),
    ("good", "dark"): ("#1d2024", "#35695f", "#86d8c4"),
}
_INKS = {"light": ("#1f2328", "#000000", "#ffffff"), "dark": ("#e7e5e1", "#ffffff", "#000000")}


def level_of(value: float) -> int:
    """0 .. LEVELS - 1 for 0 .. 1.

    >>> [level_of(value) for value in (-0.1, 0, 0.5, 1, 7)]
    [0, 0, 10, 20, 20]
    """
    return int(np.clip(round(value * (LEVELS - 1)), 0, LEVELS - 1))


@cache
def colours(scale: str, page: str) -> tuple[tuple[str, str], ...]:
    """(ground, ink) of each level of "bad" or "good", on a "light" or a "dark" page."""
    first, tint, last = (_lab(colour) for colour in _ANCHORS[scale, page])
    tint[0] = (first[0] + last[0]) / 2
    levels = []
    for t in np.linspace(0, 1, LEVELS):
        ground = _hex((1 - t) ** 2 * first + 2 * t * (1 - t) * tint + t**2 * last)
        inks = _INKS[page]
        levels.append((ground, next((ink for ink in inks if contrast(ground, ink) >= CONTRAST), inks[-1])))
    return tuple(levels)


def rules() -> str:
    """CSS: the classes bad-0 .. and good-0 .., light, and dark on a screen that is."""

    def rules_of(page: str) -> str:
        return "\n".join(
            f".{scale}-{level} {{ background: {ground}; color: {ink}; }}"
            for scale in ("bad", "good")
            for level, (ground, ink) in enumerate(colours(scale, page))
        )

    return f"{rules_of('light')}\n@media screen and (prefers-color-scheme: dark) {{\n{rules_of('dark')}\n}}\n"


def contrast(first: str, second: str) -> float:
    """How much two colours stand out from each other, 1 .. 21 (WCAG 2.2).

    >>> round(contrast("#ffffff", "#000000"), 6), round(contrast("#777777", "#ffffff"), 2)
    (21.0, 4.48)
    """
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lightness(colour: str) -> float:
    """How light a colour looks, 0 .. 1 (Oklab, Ottosson 2020)."""
    return float(_lab(colour)[0])


def _luminance(colour: str) -> float:
    return float(_linear(colour) @ (0.2126, 0.7152, 0.0722))


def _linear(colour: str) -> np.ndarray:
    """Linear RGB of "#rrggbb"."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _lab(colour: str) -> np.ndarray:
    return np.asarray(_TO_LAB @ np.cbrt(_TO_LMS @ _linear(colour)))


def _hex(lab: Sequence[float] | np.ndarray) -> str:
    linear = np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab) ** 3).clip(0, 1)
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(value * 255):02x}" for value in values)
