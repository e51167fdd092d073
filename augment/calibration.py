"""Severities that mean the same for every corruption and at every size: steps of one distance, measured on the set."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from curate.stage.engine import threaded
from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .corruptions.corruption import CORRUPTIONS, SEVERITIES, Corruption
from .features import Features, distances
from .operations.operation import Pixels
from .policies.policy import perform

# A severity is as far from the clean picture as this share of pairs of clean pictures are from each other, or less.
QUANTILES = (0.01, 0.05, 0.2, 0.5, 0.8)
SAMPLE = 48
_GRID = (0.0, 0.1, 0.25, 0.5, 1.0)
# Rounds of looking closer, where a level is missed by more than this part of it.
_ROUNDS, _CLOSE = 6, 0.04
# Cosine distances below this are of copies of one picture.
_EQUAL = 1e-4
# What stays below this part of the mildest level is rounding, and no corruption.
_NOTHING = 0.05

Distance = Callable[[Corruption, Mapping[str, float]], float]


@dataclass(frozen=True, eq=False)
class Specimens:
    """What severities and policies are measured on: pictures (uint8, all of one size), and what looks at them.

    units  statistics of the set (see Parameter.unit);  seed  of which pictures, and of what is drawn on them
    """

    pictures: Sequence[Pixels]
    features: Features
    units: Mapping[str, float]
    seed: int

    __repr__ = short_repr


@dataclass(frozen=True)
class Calibrated:
    """Five severities of one corruption.

    settings   for each severity the values of its operation, in pixels and grey levels (see Corruption.settings)
    strengths  0..1, which these are;  distances  mean cosine distance to the clean pictures, strictly rising
    reached    whether the distances are the levels; if not, they are equal steps of what can be reached
    levels     the distances that the severities of this set stand for
    """

    name: str
    settings: tuple[dict[str, float], ...]
    strengths: tuple[float, ...]
    distances: tuple[float, ...]
    reached: bool
    levels: tuple[float, ...]

    __repr__ = short_repr


def calibrate(
    specimens: Specimens,
    corruptions: Mapping[str, Corruption] = CORRUPTIONS,
    *,
    sample: int = SAMPLE,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Calibrated]:
    """Five severities of each corruption, measured on `sample` of the pictures.

    A corruption that does next to nothing to these pictures is left out, and `say` is told why. Raises DataError where
    there are too few different pictures to measure by.
    """
    clean, distance = _measuring(specimens, sample)
    levels, units = levels_of(clean), specimens.units

    def climb(corruption: Corruption) -> Calibrated | str:
        ladder = five_steps(lambda strength: distance(corruption, corruption.settings(strength, units)), levels)
        if isinstance(ladder, str):
            return f"{corruption.name} {ladder}, and is left out"
        strengths, steps, reached = ladder
        settings = tuple(corruption.settings(strength, units) for strength in strengths)
        return Calibrated(corruption.name, settings, strengths, steps, reached, levels)

    calibrated = {}
    outcomes = threaded(climb, corruptions.values(), specimens.features.workers)
    for number, (name, outcome) in enumerate(zip(corruptions, outcomes, strict=True), start=1):
        progress(number)
        if isinstance(outcome, str):
            say(outcome)
        else:
            calibrated[name] = outcome
    return calibrated


def distances_of(
    specimens: Specimens,
    corruption: Corruption,
    settings: Sequence[Mapping[str, float]],
    *,
    sample: int = SAMPLE,
) -> tuple[float, ...]:
    """The mean distance to the clean pictures at each of some settings, such as those of a published preset."""
    _, distance = _measuring(specimens, sample)
    return tuple(threaded(lambda values: distance(corruption, values), settings, specimens.features.workers))


def generator(seed: int, row: int, name: str) -> np.random.Generator:
    """What is drawn from for one row and one purpose: the same at all severities, which so differ in strength alone."""
    return np.random.default_rng([seed, row, zlib.crc32(name.encode())])


def some_rows(n: int, sample: int, seed: int) -> list[int]:
    """At most `sample` of n rows, by chance and in order."""
    return sorted(np.random.default_rng([seed, n]).choice(n, min(n, sample), replace=False).tolist())


def levels_of(clean: np.ndarray) -> tuple[float, ...]:
    """The five distances of a set: QUANTILES of those between the features (n, D) of its pictures. Raises DataError."""
    first, second = np.triu_indices(len(clean), 1)
    apart = distances(clean[first], clean[second])
    apart = apart[apart > _EQUAL]
    levels = np.quantile(apart, QUANTILES) if len(apart) else np.zeros(len(QUANTILES))
    if (np.diff(levels) <= 0).any():
        raise DataError(
            f"{len(clean)} pictures are too few, or too much alike, to measure severities by. Build without a "
            "benchmark (--benchmark none)."
        )
    return tuple(levels.tolist())


def five_steps(
    distance: Callable[[float], float], levels: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...], bool] | str:
    """Five strengths, their distances, and whether these are the levels; or why there are none.

    The distance is measured at a few strengths, and then where it seems to reach each level for the first time.
    """
    curve = {strength: distance(strength) for strength in _GRID}
    if max(curve.values()) < _NOTHING * levels[0]:
        return "does next to nothing to these pictures"
    for _ in range(_ROUNDS):
        for target in _target_levels(curve, levels):
            if all(abs(height / target - 1) > _CLOSE for _, height in _rising(curve)):
                curve |= {strength: distance(strength) for strength in _crossing(curve, target)}
    rising = _rising(curve)
    if len(rising) < len(SEVERITIES):
        return "has fewer than five strengths that differ on these pictures"
    strengths, heights = (np.array(values) for values in zip(*rising, strict=True))
    targets = _target_levels(curve, levels)
    fives = np.array(list(combinations(range(len(rising)), len(SEVERITIES))))
    best = fives[((heights[fives] / targets - 1) ** 2).sum(axis=1).argmin()]
    return tuple(strengths[best].tolist()), tuple(heights[best].tolist()), targets == tuple(levels)


def _target_levels(curve: Mapping[float, float], levels: Sequence[float]) -> tuple[float, ...]:
    """The levels where all are within reach, otherwise equal steps of what is."""
    bottom, top = curve[min(curve)], max(curve.values())
    if bottom <= levels[0] and top >= levels[-1]:
        return tuple(levels)
    top = min(top, max(levels[-1], 2 * bottom))
    lowest = max(bottom, min(levels[0], top / len(levels)))
    return tuple(np.linspace(lowest, top, len(levels)).tolist())


def _crossing(curve: Mapping[float, float], target: float) -> list[float]:
    """Where, between two strengths that were measured, the distance first reaches a target; none where it never does.

    Kept away from both ends, so that the gap closes even where the distance is no smooth function of the strength.
    """
    for (weak, low), (strong, high) in pairwise(sorted(curve.items())):
        if low < target <= high:
            return [weak + (strong - weak) * min(0.9, max(0.1, (target - low) / (high - low)))]
    return []


def _rising(curve: Mapping[float, float]) -> list[tuple[float, float]]:
    """The strengths, ascending, at which the distance is larger than at all before."""
    rising: list[tuple[float, float]] = []
    for strength, height in sorted(curve.items()):
        if height > (rising[-1][1] if rising else 0.0):
            rising.append((strength, height))
    return rising


def _measuring(specimens: Specimens, sample: int) -> tuple[np.ndarray, Distance]:
    """The features of some clean pictures, and how far from these a corruption at some settings leads them."""
    features, seed = specimens.features, specimens.seed
    rows = some_rows(len(specimens.pictures), sample, seed)
    images = [specimens.pictures[row] for row in rows]
    clean = features(images)

    def distance(corruption: Corruption, settings: Mapping[str, float]) -> float:
        drawn = [corruption.draw(settings, generator(seed, row, corruption.name), specimens.units) for row in rows]
        corrupted = [perform(image, [values], images.__getitem__) for image, values in zip(images, drawn, strict=True)]
        return float(distances(features(corrupted), clean).mean())

    return clean, distance
