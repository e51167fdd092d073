"""Whether a training policy contains a corruption of the benchmark: by name, and by what it makes of pictures.

A transform is a point: the mean feature of some pictures after it. A policy that holds a corruption, under whatever
name, has draws whose points lie where the corruption's own lie. Source: Mintun et al., On Interaction Between
Augmentations and Corruptions in Natural Corruption Robustness, 2021 (minimal sample distance).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from curate.stage.engine import threaded
from curate.stage.shortness import short_repr

from .calibration import Calibrated, Specimens, generator, some_rows
from .corruptions.corruption import SEVERITIES, Corruption
from .features import Features
from .operations.operation import OPERATIONS, Operation, Pixels, Span
from .policies.policy import Context, Policy, Record, Use, perform

IDENTICAL, NEAR, DISJOINT = VERDICTS = ("identical", "near", "disjoint")
SAMPLE = 16
DRAWS = 128
# Draws of each step and of each operation by itself: in a long policy no whole draw may be of one alone.
_ALONE = 10
# Severity 1 lies next to the clean pictures, and so near to every policy that has a mild draw.
_JUDGED = (2, 3, 4, 5)
_EACH = 3  # draws of a corruption at each severity
# Of smaller and of thinner pictures a backbone, which sees squares, has too little to tell blurs and textures apart:
# there a policy is held against a corruption by its operations alone.
_SMALLEST_SIDE, _THINNEST = 24, 4
_UNTOLD = "nearness cannot be told in pictures of {width}x{height}, and the policy has no such operation"
_NEAREST = 3  # one draw of a policy may come near by chance
# benchmarks/overlap.py --transfer, on blood cells: of what learning from a corruption itself would bring, learning from
# another one brings all at a ratio below 0.3, seven tenths at 0.55, a quarter and less from 0.7 on. A policy, which
# draws such things now and then, brings a third to a half below 0.6, a fifth and less beyond. The family adds little.
_SAME = (0.2, 0.3)  # bounds of a corruption's own ratio
_HALF, _HALF_OF_FAMILY = 0.5, 0.6


@dataclass(frozen=True)
class Verdict:
    """Whether a policy contains a corruption, or for a composed track one of those that it is made of.

    verdict    "identical", "near" or "disjoint"
    ratio      how far the nearest draws of the policy are from the corruption, 1 being as far as the clean pictures;
               NaN where that cannot be told
    distance   the same as the Euclidean distance of mean features
    operation  of the policy, that it shares with the corruption; "" if none
    because    one sentence
    """

    corruption: str
    verdict: str
    ratio: float
    distance: float
    operation: str
    because: str


@dataclass(frozen=True, eq=False)
class Place:
    """Where a corruption lies among features.

    settings  values of its operation at the five severities
    points    float64 (S, M, D): M draws at each of the severities 2 to 5
    away      float64 (S, M): how far these are from the clean pictures
    own       how near other draws of it come, whose strength lies between severities: a ratio as in Verdict
    """

    corruption: Corruption
    settings: tuple[Mapping[str, float], ...]
    points: np.ndarray
    away: np.ndarray
    own: float = 0.0

    __repr__ = short_repr

    def nearest(self, points: np.ndarray) -> tuple[float, float]:
        """(ratio, distance): how near the nearest of some points (n, D) are to the draws at that severity which they
        come nearest to; NaN where no draw leads away from the clean pictures."""
        if not self.away.any():
            return np.nan, np.nan
        apart = np.sort(np.linalg.norm(self.points[:, :, None] - points, axis=3), axis=2)[:, :, :_NEAREST]
        apart = np.minimum(apart.mean(axis=2), self.away)  # no farther than what is left as it is
        # What a draw does not change says nothing.
        ratios = np.divide(apart, self.away, out=np.ones_like(apart), where=self.away > 0).mean(axis=1)
        best = int(ratios.argmin())
        return float(ratios[best]), float(apart[best].mean())


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Pictures, their mean feature float64 (D,), and the places of corruptions: what policies are held against."""

    images: Sequence[Pixels]
    features: Features
    units: Mapping[str, float]
    clean: np.ndarray
    places: Mapping[str, Place]

    __repr__ = short_repr

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures."""
        height, width = self.images[0].shape[:2]
        return width, height

    @property
    def telling(self) -> bool:
        """Whether pictures of this size show enough for the distances between them to mean something."""
        return min(self.size) >= _SMALLEST_SIDE and max(self.size) <= _THINNEST * min(self.size)

    def point(self, record: Record) -> np.ndarray:
        """float64 (D,): the mean feature after one transform, the same values for all pictures."""
        images = [perform(image, record, self.images.__getitem__) for image in self.images]
        return np.asarray(self.features(images).mean(axis=0, dtype=np.float64))


def overlap(
    policy: Policy,
    specimens: Specimens,
    corruptions: Mapping[str, Corruption],
    calibrated: Mapping[str, Calibrated],
    *,
    sample: int = SAMPLE,
    draws: int = DRAWS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Verdict]:
    """How a policy stands to each corruption, judged on `sample` of the pictures.

    identical  the policy draws the corruption's operation as strong as its severity 1, or stronger; or it comes as near
               to the corruption, by whatever operations, as other draws of the corruption itself
    near       it draws that operation, but weaker; or it comes half of the way to the corruption
    disjoint   neither

    How near it comes cannot be told in pictures of fewer than 24 pixels a side, or four times as long as wide: there
    its operations decide alone.
    """
    marks = landmarks(specimens, corruptions, calibrated, sample=sample, progress=progress)
    return compared(policy, marks, seed=specimens.seed, draws=draws)


def landmarks(
    specimens: Specimens,
    corruptions: Mapping[str, Corruption],
    calibrated: Mapping[str, Calibrated],
    *,
    sample: int = SAMPLE,
    progress: Callable[[int], None] = lambda done: None,
) -> Landmarks:
    """Where corruptions lie, found once for any number of policies."""
    features, units, seed = specimens.features, specimens.units, specimens.seed
    rows = some_rows(len(specimens.pictures), sample, seed)
    images = [specimens.pictures[row] for row in rows]
    marks = Landmarks(images, features, units, features(images).mean(axis=0, dtype=np.float64), {})

    def place(corruption: Corruption) -> Place:
        settings = calibrated[corruption.name].settings
        judged = [settings[severity - 1] for severity in _JUDGED]
        if not marks.telling:
            return Place(corruption, settings, np.zeros((1, 1, 1)), np.zeros((1, 1)))
        rng = generator(seed, len(specimens.pictures), corruption.name)
        points = np.array(
            [[marks.point([corruption.draw(values, rng, units)]) for _ in range(_EACH)] for values in judged]
        )
        between = [corruption.draw(values, rng, units) for values in _midpoints(judged) for _ in range(_EACH)]
        landmark = Place(corruption, settings, points, np.linalg.norm(points - marks.clean, axis=2))
        return replace(landmark, own=landmark.nearest(np.array([marks.point([draw]) for draw in between]))[0])

    places = {}
    for name, landmark in zip(corruptions, threaded(place, corruptions.values(), features.workers), strict=True):
        places[name] = landmark
        progress(len(places))
    return replace(marks, places=places)


def compared(policy: Policy, marks: Landmarks, *, seed: int, draws: int = DRAWS) -> dict[str, Verdict]:
    """How a policy stands to each corruption of some landmarks: see `overlap`."""
    context = Context(marks.units, np.arange(len(marks.images)))
    records = _records(policy, np.random.default_rng([seed, draws]), context, draws) if marks.telling else []
    points = np.stack([marks.clean, *threaded(marks.point, records, marks.features.workers)])
    held = policy.operations()
    return {name: _verdict_on(place, points, held, marks) for name, place in marks.places.items()}


def worst(verdicts: Sequence[Verdict], name: str) -> Verdict:
    """The verdict of a composed track that is made of several corruptions: that of the one nearest to the policy."""
    nearest = min(verdicts, key=lambda verdict: (VERDICTS.index(verdict.verdict), np.nan_to_num(verdict.ratio, nan=1)))
    return replace(nearest, corruption=name, because=f"{nearest.corruption}: {nearest.because}")


def _records(policy: Policy, rng: np.random.Generator, context: Context, draws: int) -> list[Record]:
    """Transforms of a policy: whole draws, and draws of each of its steps and operations by itself."""
    records = [policy.draw(rng, copy, context) for copy in range(1, draws + 1)]
    for step in (*policy.steps(), *(Use(OPERATIONS[name], spans) for name, spans in policy.operations().items())):
        alone = [step.draw(rng, context, ()) for _ in range(4 * _ALONE)]  # a step may leave most pictures as they are
        records += [record for record in alone if record][:_ALONE]
    return [record for record in records if record]


def _verdict_on(place: Place, points: np.ndarray, held: Mapping[str, Mapping[str, Span]], marks: Landmarks) -> Verdict:
    """The verdict on a policy whose draws lie at `points`, and that holds operations with these spans."""
    operation, name = place.corruption.operation, place.corruption.operation.name
    ratio, distance = place.nearest(points)
    way = f"the nearest draws of the policy go {max(0.0, 1 - np.nan_to_num(ratio)):.0%} of the way to it"
    reached = _reached(operation, held[name], place.settings, marks.units) if name in held else 0
    family = any(OPERATIONS[used].family == operation.family for used in held)

    if reached:
        verdict, because = IDENTICAL, f"the policy draws {name} as strong as its severity {reached}"
    elif ratio <= min(max(place.own, _SAME[0]), _SAME[1]):
        verdict, because = IDENTICAL, f"{way}, as other draws of the corruption itself do"
    elif name in held:
        verdict, because = NEAR, f"the policy draws {name}, but weaker than its severity 1"
    elif np.isnan(ratio):
        verdict, because = DISJOINT, _UNTOLD.format(width=marks.size[0], height=marks.size[1])
    else:
        verdict, because = NEAR if ratio < (_HALF_OF_FAMILY if family else _HALF) else DISJOINT, way
    return Verdict(place.corruption.name, verdict, ratio, distance, name if name in held else "", because)


def _reached(
    operation: Operation, spans: Mapping[str, Span], settings: Sequence[Mapping[str, float]], units: Mapping[str, float]
) -> int:
    """The last severity that an operation drawn from spans is as strong as; 0 if none.

    Strength is how far from neutral the values are that make the difference between severities.
    """
    varying = [name for name in settings[0] if len({values[name] for values in settings}) > 1]

    def reaches(values: Mapping[str, float]) -> bool:
        for name in varying:
            parameter = operation.parameters[name]
            value = values[name] / (units.get(parameter.unit, 1.0) if parameter.unit else 1.0)
            low, high = spans.get(name, (parameter.neutral, parameter.neutral))
            if not (low <= value if value < parameter.neutral else high >= value):
                return False
        return True

    return max((severity for severity, values in zip(SEVERITIES, settings, strict=True) if reaches(values)), default=0)


def _midpoints(settings: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """What lies in the middle between each severity and the next."""
    return [
        {name: type(value)((value + stronger[name]) / 2) for name, value in milder.items()}
        for milder, stronger in pairwise(settings)
    ]
