"""Colour casts: a picture whose light has another colour than that of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..findings import CHECKS, Judgement, Story
from ..measuring.evidence import Evidence
from ..measuring.spreads import centre_and_scale
from ..sets.imageset import NO_GROUP
from .scores import exceedance
from .wording import spread_over_classes

# A shift of the light by 8 units of CIELAB is plain to see; where a set varies more by itself, six of its own spreads.
_PLAIN_SHIFT, _SPREADS = 8.0, 6.0
# The mean colour shifts with what is in the picture, so that it takes more to speak for the light.
_PLAIN_MEAN_SHIFT = 15.0
# Casts within this of each other in a*b* are one group.
_CELL = 6.0

# Hue angles in CIELAB, in degrees, at which each name begins.
_HUES = (
    (0, "red"),
    (50, "orange"),
    (75, "yellow"),
    (125, "green"),
    (180, "cyan"),
    (235, "blue"),
    (312, "magenta"),
    (342, "red"),
)


def hue_name(a: float, b: float) -> str:
    """The name of a direction in the a*b* plane.

    >>> hue_name(0, -10), hue_name(0, 10), hue_name(-10, 5)
    ('blue', 'yellow', 'green')
    """
    angle = float(np.degrees(np.arctan2(b, a))) % 360
    return next(name for start, name in reversed(_HUES) if angle >= start)


@dataclass(frozen=True, eq=False)
class Shift:
    """How far one colour estimate of each row lies from that of its class: a* and b* (N,), and their spread."""

    a: np.ndarray
    b: np.ndarray
    spread: float

    @property
    def size(self) -> np.ndarray:
        return np.asarray(np.hypot(self.a, self.b))


def _shift(evidence: Evidence, name: str) -> Shift:
    properties = evidence.measured.properties
    colour = np.stack([properties[f"{name}_{axis}"].astype(np.float64) for axis in "ab"])
    # A grey picture among coloured ones has no cast, and one that does not belong has no say in what is usual.
    usable = np.isfinite(colour[0]) & (properties["chroma"] > 1) & ~evidence.foreign
    # Of a picture with many copies one says what is usual; each of them is held against it by itself.
    everyone = evidence.representatives[usable[evidence.representatives]]
    shift = np.where(usable, colour, np.nan)
    labels = evidence.images.labels
    for label in np.unique(labels):
        measured = everyone[labels[everyone] == label]
        base = measured if len(measured) >= 20 else everyone
        if len(base):
            shift[:, labels == label] -= np.median(colour[:, base], axis=1)[:, None]
    spread_a, spread_b = (centre_and_scale(axis[evidence.representatives])[1] for axis in shift)
    return Shift(shift[0], shift[1], float(np.hypot(spread_a, spread_b)))


@CHECKS.add
def colour_cast(evidence: Evidence) -> Judgement:
    """The light has another colour than in the rest of the class: another scanner, stain or lamp."""
    n = len(evidence)
    rows = evidence.representatives
    if len(rows) < 10:
        return Judgement.silent(n, "too few different images to know their usual colour")
    if np.nanmedian(evidence.measured.properties["chroma"][rows]) < 2:
        return Judgement.silent(n, "the images are grey, so none can have a colour cast")
    light, mean = _shift(evidence, "light"), _shift(evidence, "mean")
    by_light = exceedance(light.size, max(_PLAIN_SHIFT, _SPREADS * light.spread))
    by_mean = exceedance(mean.size, max(_PLAIN_MEAN_SHIFT, _SPREADS * mean.spread))
    score = np.maximum(by_light, by_mean)
    a, b = (np.where(by_light >= by_mean, *pair) for pair in ((light.a, mean.a), (light.b, mean.b)))

    flagged = np.flatnonzero(score >= evidence.thresholds["colour_cast"])
    group = np.full(n, NO_GROUP)
    stories = []
    clusters = _clusters(a[flagged], b[flagged])
    for number in range(clusters.max(initial=-1) + 1):
        members = flagged[clusters == number]
        if len(np.unique(evidence.position[members])) < 3:  # copies of a picture are no group of pictures
            continue
        group[members] = number
        colour = hue_name(float(np.median(a[members])), float(np.median(b[members])))
        sentence = (
            f"{len(members):,} images form one group with a {colour} {_where(evidence, members, a, b)}: "
            f"{_offset(float(np.median(a[members])), float(np.median(b[members])))} their classes; "
            f"{spread_over_classes(evidence.images, members)}"
        )
        stories.append(Story("colour_cast", number, tuple(members.tolist()), sentence, len(members) / n))

    def because(row: int) -> str:
        label = evidence.images.label_name(row)
        return f"{hue_name(a[row], b[row])} cast: its light is {_offset(a[row], b[row])} that of {label or 'the set'}"

    return Judgement(score, because, group, stories=tuple(stories))


def _offset(a: float, b: float) -> str:
    """ "a* 3 above and b* 18 below": the shift in words."""
    parts = [(name, value) for name, value in (("a*", a), ("b*", b)) if abs(value) >= 0.3 * np.hypot(a, b)]
    return " and ".join(f"{name} {abs(value):.0f} {'above' if value > 0 else 'below'}" for name, value in parts)


def _where(evidence: Evidence, members: np.ndarray, a: np.ndarray, b: np.ndarray) -> str:
    """ "background" where the border shares the shift, else "light"."""
    properties = evidence.measured.properties
    border = np.stack([properties["border_a"], properties["border_b"]], axis=1)
    moved = np.median(border[members], axis=0) - np.nanmedian(border[evidence.representatives], axis=0)
    shift = np.array([np.median(a[members]), np.median(b[members])])
    return "background" if moved @ shift >= 0.4 * shift @ shift else "light"


def _clusters(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A number for each point of the a*b* plane: connected cells of a grid, numbered by their first point."""
    if not len(a):
        return np.zeros(0, np.int64)
    from scipy import ndimage

    at = np.floor(np.stack([a, b]) / _CELL).astype(np.int64)
    at -= at.min(axis=1, keepdims=True)
    grid = np.zeros(at.max(axis=1) + 1, np.int8)
    grid[at[0], at[1]] = 1
    cells, _ = ndimage.label(grid, structure=np.ones((3, 3)))
    _, first, inverse = np.unique(cells[at[0], at[1]], return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse])
