"""Colour casts: a picture whose light has another colour than that of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..findings import CHECKS, THRESHOLD, Judgement, Story
from ..measuring.evidence import Evidence
from ..measuring.gaps import isolation
from ..measuring.spreads import centre_and_scale
from ..sets.imageset import NO_GROUP
from ..stage.shortness import short_repr
from .scores import Standing, is_common, stood
from .wording import spread_over_classes

# A shift of the light by 8 units of CIELAB is plain to see.
_PLAIN_SHIFT = 8.0
# The mean colour shifts with what is in the picture, so that it takes more to speak for the light.
_PLAIN_MEAN_SHIFT = 15.0
# What is far is told by the set's own spread as well, where that is more: of two estimates the plainer counts.
_SPREADS = 6.0
# A shift is held against those of all directions, and against those of its own, within so many degrees: a set may be
# wide in one and tight in another, as photographs are from blue to yellow.
_VIEWS = ((0, 180), *((middle, 45) for middle in range(0, 360, 30)))
# From so many pictures on a class has a colour of its own to be held against, and of so many of them if others are odd.
_CLASS, _ORDINARY = 20, 0.25
_MUCH = 0.25
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
    """How far one colour estimate of each row lies from that of its class: a* and b* (N,)."""

    a: np.ndarray
    b: np.ndarray

    __repr__ = short_repr

    @property
    def size(self) -> np.ndarray:
        return np.asarray(np.hypot(self.a, self.b))

    def standing(self, usual: np.ndarray, plain: float) -> Standing:
        """Where the rows stand among the usual ones, of whose directions theirs are.

        plain  the size of a shift that is plain to see
        """
        far, apart = self.size / plain, np.zeros(len(self.a))
        angle = np.degrees(np.arctan2(self.b, self.a))
        for middle, width in _VIEWS:
            along = np.abs((angle - middle + 180) % 360 - 180) <= width
            inside = usual[along[usual]]
            apart[along] = np.maximum(apart[along], isolation(far[along], far[inside], least=1.0))
        apart -= np.log(2 * len(_VIEWS))  # of two estimates, the widest gap of as many counts
        spread = np.hypot(centre_and_scale(self.a[usual])[1], centre_and_scale(self.b[usual])[1])
        return stood(self.size / max(plain, _SPREADS * spread), apart)


def _shift(evidence: Evidence, name: str, plain: float) -> Shift:
    properties = evidence.measured.properties
    colour = np.stack([properties[f"{name}_{axis}"].astype(np.float64) for axis in "ab"])
    # A grey picture among coloured ones has no cast, and one that does not belong has no say in what is usual.
    usable = np.isfinite(colour[0]) & (properties["chroma"] > 1) & ~evidence.foreign
    # Of a picture with many copies one says what is usual; each of them is held against it by itself.
    everyone = evidence.representatives[usable[evidence.representatives]]
    shift = np.where(usable, colour, np.nan)
    if not len(everyone):
        return Shift(shift[0], shift[1])
    of_set = Shift(*(shift - np.median(colour[:, everyone], axis=1)[:, None]))
    odd = of_set.standing(everyone, plain).score >= THRESHOLD
    if odd[everyone].mean() < _MUCH:  # too few to be the most of a class by chance
        odd[:] = False
    labels = evidence.images.labels
    for label in np.unique(labels):
        base = _base(everyone[labels[everyone] == label], everyone, odd)
        shift[:, labels == label] -= np.median(colour[:, base], axis=1)[:, None]
    return Shift(shift[0], shift[1])


def _base(members: np.ndarray, everyone: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """The rows that say which colour is usual in a class.

    odd  bool (N,): rows that stand apart from the set. In a small class they may be the most by chance, of a scanner
         that made two pictures in five; a class of nearly nothing else has that colour as its own
    """
    if len(members) < _CLASS:
        members = everyone
    ordinary = members[~odd[members]]
    return ordinary if len(ordinary) >= _ORDINARY * len(members) else members


@CHECKS.add
def colour_cast(evidence: Evidence) -> Judgement:
    """The light has another colour than in the rest of the class: another scanner, stain or lamp."""
    n = len(evidence)
    rows = evidence.representatives
    if len(rows) < 10:
        return Judgement.silent(n, "too few different images to know their usual colour")
    if np.nanmedian(evidence.measured.properties["chroma"][rows]) < 2:
        return Judgement.silent(n, "the images are grey, so none can have a colour cast")
    usual = rows[evidence.native]
    light, mean = _shift(evidence, "light", _PLAIN_SHIFT), _shift(evidence, "mean", _PLAIN_MEAN_SHIFT)
    by_light, by_mean = light.standing(usual, _PLAIN_SHIFT), mean.standing(usual, _PLAIN_MEAN_SHIFT)
    lit = by_light.score >= by_mean.score
    score, chance = np.where(lit, by_light.score, by_mean.score), np.where(lit, by_light.chance, by_mean.chance)
    shift = Shift(np.where(lit, light.a, mean.a), np.where(lit, light.b, mean.b))
    group, common, stories = _groups(evidence, shift, np.flatnonzero(score >= evidence.thresholds["colour_cast"]))

    def because(row: int) -> str:
        label = evidence.images.label_name(row)
        a, b = shift.a[row], shift.b[row]
        return f"{hue_name(a, b)} cast: its light is {_offset(a, b)} that of {label or 'the set'}"

    return Judgement(score, because, group, stories=stories, chance=chance, common=common)


def _groups(evidence: Evidence, shift: Shift, flagged: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[Story, ...]]:
    """(int64 (N,): the group of each flagged row, bool (N,): whether that is a part of the set, the groups in words)"""
    n = len(evidence)
    group, common = np.full(n, NO_GROUP), np.zeros(n, bool)
    stories = []
    clusters = _clusters(shift.a[flagged], shift.b[flagged])
    for number in range(clusters.max(initial=-1) + 1):
        members = flagged[clusters == number]
        pictures = len(np.unique(evidence.position[members]))
        if pictures < 3:  # copies of a picture are no group of pictures
            continue
        group[members] = number
        common[members] = is_common(pictures, len(evidence.representatives))
        a, b = float(np.median(shift.a[members])), float(np.median(shift.b[members]))
        sentence = (
            f"{len(members):,} images form one group with a {hue_name(a, b)} {_where(evidence, members, a, b)}: "
            f"{_offset(a, b)} their classes; {spread_over_classes(evidence.images, members)}"
        )
        if common[members[0]]:
            sentence += f"; {len(members) / n:.0%} of the set, which are kept"
        stories.append(Story("colour_cast", number, tuple(members.tolist()), sentence, len(members) / n))
    return group, common, tuple(stories)


def _offset(a: float, b: float) -> str:
    """ "a* 3 above and b* 18 below": the shift in words."""
    parts = [(name, value) for name, value in (("a*", a), ("b*", b)) if abs(value) >= 0.3 * np.hypot(a, b)]
    return " and ".join(f"{name} {abs(value):.0f} {'above' if value > 0 else 'below'}" for name, value in parts)


def _where(evidence: Evidence, members: np.ndarray, a: float, b: float) -> str:
    """ "background" where the border shares the shift, else "light"."""
    properties = evidence.measured.properties
    border = np.stack([properties["border_a"], properties["border_b"]], axis=1)
    moved = np.median(border[members], axis=0) - np.nanmedian(border[evidence.representatives], axis=0)
    shift = np.array([a, b])
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
