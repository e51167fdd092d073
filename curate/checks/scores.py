"""From distances to scores: how far a value lies outside of its kind, 0 fine .. 1 certainly bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..findings import THRESHOLD
from ..measuring.gaps import APART, certainty
from ..stage.shortness import short_repr

# What is far but stands in the tail of the set: it keeps its rank, below the threshold.
_OF_A_TAIL = 0.98 * THRESHOLD


def exceedance(values: np.ndarray, threshold: float) -> np.ndarray:
    """float32: 1 - 2^-(v / threshold): 0 at 0, 0.5 at the threshold, towards 1 beyond. NaN and negatives give 0."""
    ratio = np.nan_to_num(np.maximum(values, 0) / threshold, nan=0.0)
    return np.asarray((1 - np.exp2(-ratio)).astype(np.float32))


# A label is doubted from this chance on that it is wrong: a look costs less than a wrong label.
LEAST_CHANCE = 0.4
LEAST_ODDS = float(np.log(LEAST_CHANCE / (1 - LEAST_CHANCE)))


def score_of_odds(odds: np.ndarray) -> np.ndarray:
    """float32: of log odds, 0.5 where both are as likely; 0.75 at odds of 150 to 1. It grows for as long as they do.

    Minus infinity and NaN give 0.
    """
    limited = np.nan_to_num(odds, nan=0.0, neginf=0.0, posinf=1e9)
    score = 0.5 + 0.5 * limited / (np.abs(limited) + 5)
    return np.where(np.isnan(odds) | np.isneginf(odds), 0, score).astype(np.float32)


def chance_of_odds(odds: np.ndarray) -> np.ndarray:
    """float32: the probability that log odds mean."""
    return np.asarray((1 / (1 + np.exp(-np.clip(odds, -80, 80)))).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Standing:
    """How far out N rows lie, and whether they stand apart there.

    score   float32 (N,): from 0.5 on it is plainly far and stands apart (see measuring.gaps)
    chance  float32 (N,): that it is no part of the tail of the set
    """

    score: np.ndarray
    chance: np.ndarray

    __repr__ = short_repr


def stood(far: np.ndarray, isolation: np.ndarray) -> Standing:
    """Where N rows stand.

    far        float (N,): how far each lies from what is usual, in what is plain or usual here
    isolation  float (N,): see measuring.gaps; 0 where the difference is not plain
    """
    score = exceedance(far, 1.0)
    apart = isolation >= APART
    score = np.where(apart, np.maximum(score, np.float32(THRESHOLD)), np.float32(_OF_A_TAIL) * score)
    return Standing(score, certainty(isolation))


# What a twentieth of the pictures has is no fault of theirs, and as many cannot be looked through one by one.
_COMMON, _MANY = 0.05, 20
# What most pictures of a class have is a part of that class.
_OF_CLASS, _CLASS = 0.5, 10


def is_common(count: int, pictures: int) -> bool:
    """Whether so many pictures of a set are a part of it and no exception.

    >>> is_common(19, 100), is_common(20, 400), is_common(20, 401)
    (False, True, False)
    """
    return count >= max(_MANY, _COMMON * pictures)


def is_of_class(count: int, pictures: int) -> bool:
    """Whether so many pictures of a class make it what it is."""
    return pictures >= _CLASS and count >= _OF_CLASS * pictures
