"""How right a model is under shift: accuracy per corruption and severity, and their means, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .intervals import bootstrap, interval, share_interval
from .metrics import (
    Accuracy,
    Benchmark,
    ComposedMeasures,
    CorruptionMeasures,
    Interval,
    RelativeErrors,
    ShiftMeasures,
    VerdictMeasures,
    WorstClass,
)
from .predictions import Predictions, Track

VERDICTS = ("disjoint", "near", "identical")


@dataclass(frozen=True, eq=False)
class Shares:
    """The accuracy on each of several sets that are made of the same sources.

    values  float64 (S,);  draws  (R, S): the same in each draw of the sources;  units  how many of these there are
    """

    tracks: tuple[Track, ...]
    values: np.ndarray
    draws: np.ndarray
    units: int

    __repr__ = short_repr

    def mean(self, tracks: Sequence[Track]) -> tuple[float, np.ndarray]:
        """(mean accuracy, that of each draw (R,)) over corruptions, of each over its severities."""
        at = [self.tracks.index(track) for track in tracks]
        weights = severity_weights(tracks)
        return float(self.values[at] @ weights), self.draws[:, at] @ weights

    def on(self, track: Track) -> Accuracy:
        """That on a set."""
        at = self.tracks.index(track)
        share = float(self.values[at])
        return Accuracy(share, share_interval(share, self.draws[:, at], self.units))

    def over(self, tracks: Sequence[Track]) -> Accuracy:
        """The mean over corruptions, of each over its severities."""
        value, draws = self.mean(tracks)
        return Accuracy(value, share_interval(value, draws, self.units))


def by_corruption(tracks: Iterable[Track]) -> dict[str, list[Track]]:
    """The severities of each corruption, in order."""
    corruptions: dict[str, list[Track]] = {}
    for track in tracks:
        corruptions.setdefault(track.corruption, []).append(track)
    return {name: sorted(steps, key=lambda track: track.severity) for name, steps in corruptions.items()}


def severity_weights(tracks: Sequence[Track]) -> np.ndarray:
    """float64 (S,), adding up to 1: each corruption alike, and each of its severities."""
    corruptions = by_corruption(tracks)
    return np.array([1 / (len(corruptions) * len(corruptions[track.corruption])) for track in tracks])


def mean_accuracy(predictions: Predictions) -> float:
    """The mean accuracy over the sets of some predictions: of clean ones that of the one set."""
    return float(_set_accuracies(predictions) @ severity_weights(predictions.tracks))


def _set_accuracies(predictions: Predictions) -> np.ndarray:
    """float64 (S,): the accuracy on each set."""
    images = np.bincount(predictions.sets, minlength=len(predictions.tracks))
    return np.bincount(predictions.sets, predictions.right, minlength=len(predictions.tracks)) / images


def shares(predictions: Predictions, resamples: int, seed: int) -> Shares:
    """The accuracies on the sets of some predictions. One draw of the sources serves all sets."""
    resampling = bootstrap(predictions.groups, resamples, seed)
    draws = resampling.shares(predictions.groups, predictions.sets, predictions.right, len(predictions.tracks))
    return Shares(predictions.tracks, _set_accuracies(predictions), draws, len(resampling.units))


def benchmark_tracks(predictions: Predictions, role: str) -> tuple[Track, ...]:
    """The corrupted sets of a role that hold labelled images: test to measure on, validation to select by."""
    labelled = np.bincount(predictions.sets[predictions.labels >= 0], minlength=len(predictions.tracks))
    return tuple(
        track
        for track, images in zip(predictions.tracks, labelled, strict=True)
        if track.corruption and track.role == role and images
    )


def under_shift(
    predictions: Predictions, role: str, classes: Sequence[str], resamples: int, seed: int
) -> Benchmark | None:
    """The measures of the corrupted sets of a role, "test" or "validation"; None where there are none.

    Means are over single corruptions, of each over its severities; intervals of them, as the same sources are drawn for
    all sets at once. The gap is to the clean pictures of the same sources.
    """
    tracks = benchmark_tracks(predictions, role)
    if not tracks:
        return None
    shifted = predictions.on(tracks)
    accuracies = shares(shifted, resamples, seed)
    composed = {track.corruption: _composed_measures(accuracies, track) for track in tracks if track.composed}
    benchmark = Benchmark(images=len(shifted), sources=accuracies.units, composed=composed)
    single = [track for track in tracks if not track.composed]
    if not single:
        return benchmark
    value, draws = accuracies.mean(single)
    gap = _gap(predictions, role, value, draws, resamples, seed)
    recall = _recall(predictions.on(single), classes)
    worst = min(recall, key=recall.__getitem__)
    verdicts = {name: _nearest_verdict(steps) for name, steps in by_corruption(single).items()}
    means = {
        verdict: _verdict_measures(accuracies, [track for track in single if verdicts[track.corruption] == verdict])
        for verdict in VERDICTS
    }
    return replace(
        benchmark,
        mean_accuracy=value,
        interval=share_interval(value, draws, accuracies.units),
        mean_corruption_error=1 - value,
        clean_accuracy=gap.clean_accuracy,
        gap=gap.gap,
        gap_interval=gap.interval,
        severities={
            str(severity): accuracies.mean([track for track in single if track.severity == severity])[0]
            for severity in sorted({track.severity for track in single})
        },
        corruptions={
            name: _corruption_measures(accuracies, steps, verdicts[name])
            for name, steps in by_corruption(single).items()
        },
        disjoint=means["disjoint"],
        near=means["near"],
        identical=means["identical"],
        per_class=recall,
        worst_class=WorstClass(worst, recall[worst]),
    )


def _corruption_measures(accuracies: Shares, steps: Sequence[Track], verdict: str) -> CorruptionMeasures:
    """The measures of one corruption, of which the sets of its severities are given."""
    mean, by_severity = accuracies.over(steps), {str(track.severity): accuracies.on(track) for track in steps}
    return CorruptionMeasures(
        steps[0].family,
        verdict,
        mean.accuracy,
        mean.interval,
        {severity: at.accuracy for severity, at in by_severity.items()},
        {severity: at.interval for severity, at in by_severity.items()},
    )


def _composed_measures(accuracies: Shares, track: Track) -> ComposedMeasures:
    share = accuracies.on(track)
    return ComposedMeasures(track.verdict, share.accuracy, share.interval)


def _verdict_measures(accuracies: Shares, tracks: Sequence[Track]) -> VerdictMeasures | None:
    """The mean over corruptions that are all of one verdict; None of none."""
    if not tracks:
        return None
    mean = accuracies.over(tracks)
    return VerdictMeasures(len(by_corruption(tracks)), mean.accuracy, mean.interval)


def _nearest_verdict(tracks: Sequence[Track]) -> str:
    """That of the severity that comes nearest to the policy."""
    return max((track.verdict for track in tracks), key=lambda verdict: VERDICTS.index(verdict) if verdict else -1)


class _Gap(NamedTuple):
    clean_accuracy: float | None = None
    gap: float | None = None
    interval: Interval | None = None


def _gap(predictions: Predictions, role: str, value: float, draws: np.ndarray, resamples: int, seed: int) -> _Gap:
    """The clean accuracy on the very sources of the benchmark, and what is lost of it."""
    clean = predictions.clean_tracks({"test": "test", "validation": "val"}[role])
    used = np.unique(predictions.on(benchmark_tracks(predictions, role)).groups)
    same = predictions.on(clean, np.isin(predictions.groups, used))
    if not len(same):
        return _Gap()
    before = shares(same, resamples, seed)
    accuracy = float(before.values[0])
    # Of fewer sources the draws are not the same.
    comparable = len(np.unique(same.groups)) == len(used)
    return _Gap(accuracy, accuracy - value, interval(before.draws[:, 0] - draws) if comparable else None)


def _recall(shifted: Predictions, classes: Sequence[str]) -> dict[str, float]:
    """The recall of each class that is there."""
    support = np.bincount(shifted.labels, minlength=len(classes))
    hits = np.bincount(shifted.labels, shifted.right, minlength=len(classes))
    return {name: float(hits[i] / support[i]) for i, name in enumerate(classes) if support[i]}


def relative_errors(own: ShiftMeasures, baseline: ShiftMeasures | None, name: str) -> RelativeErrors:
    """Errors under corruption divided by those of a baseline (Hendrycks and Dietterich 2019, section 4).

    baseline  None where that was measured on no benchmark;  name  of its run

    ce           of each corruption: errors over its severities, added up, divided by those of the baseline
    relative_ce  the same of what a corruption adds to the clean error, of both models
    mce, relative_mce  their means. None where the baseline errs in nothing, or loses nothing by the corruption; such
                 corruptions are left out of the means.
    Raises DataError where the baseline was measured on another benchmark.
    """
    mine = own.corruptions or {}
    theirs = (baseline.corruptions if baseline else None) or {}
    if (
        not mine
        or mine.keys() != theirs.keys()
        or any(mine[corruption].severities.keys() != theirs[corruption].severities.keys() for corruption in mine)
    ):
        raise DataError(
            f"the baseline {name} was measured on {len(theirs)} corruptions, this model on {len(mine)}, and they are "
            "not the same. Evaluate both on one benchmark."
        )
    clean, clean_theirs = _clean_error(own), _clean_error(baseline)
    ce: dict[str, float | None] = {}
    relative: dict[str, float | None] = {}
    for corruption, measures in mine.items():
        errors = 1 - np.array(list(measures.severities.values()))
        baseline_errors = 1 - np.array([theirs[corruption].severities[severity] for severity in measures.severities])
        ce[corruption] = _divided(errors.sum(), baseline_errors.sum())
        relative[corruption] = _divided((errors - clean).sum(), (baseline_errors - clean_theirs).sum())
    return RelativeErrors(name, ce, _mean_of_numbers(ce.values()), relative, _mean_of_numbers(relative.values()))


def _clean_error(shifted: ShiftMeasures | None) -> float:
    """NaN where the clean pictures were not measured: then nothing is relative to them."""
    return np.nan if shifted is None or shifted.clean_accuracy is None else 1 - shifted.clean_accuracy


def _divided(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 1e-9 and not np.isnan(part) else None


def _mean_of_numbers(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
