"""How right a model is under shift: accuracy per corruption and severity, and their means, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.stage.errors import DataError

from .answers import Answers, Track
from .intervals import bootstrap, interval, share_interval

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

    def mean(self, tracks: Sequence[Track]) -> tuple[float, np.ndarray]:
        """(mean accuracy, that of each draw (R,)) over corruptions, of each over its severities."""
        at = [self.tracks.index(track) for track in tracks]
        weights = severity_weights(tracks)
        return float(self.values[at] @ weights), self.draws[:, at] @ weights

    def one(self, track: Track) -> dict[str, Any]:
        """`accuracy` and `interval` on a set."""
        at = self.tracks.index(track)
        share = float(self.values[at])
        return {"accuracy": share, "interval": share_interval(share, self.draws[:, at], self.units)}

    def told(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """`accuracy` and `interval` of a mean over corruptions."""
        value, draws = self.mean(tracks)
        return {"accuracy": value, "interval": share_interval(value, draws, self.units)}


def by_corruption(tracks: Iterable[Track]) -> dict[str, list[Track]]:
    """The severities of each corruption, in order."""
    found: dict[str, list[Track]] = {}
    for track in tracks:
        found.setdefault(track.corruption, []).append(track)
    return {name: sorted(of_one, key=lambda track: track.severity) for name, of_one in found.items()}


def severity_weights(tracks: Sequence[Track]) -> np.ndarray:
    """float64 (S,), adding up to 1: each corruption alike, and each of its severities."""
    corruptions = by_corruption(tracks)
    return np.array([1 / (len(corruptions) * len(corruptions[track.corruption])) for track in tracks])


def mean_accuracy(answers: Answers) -> float:
    """The mean accuracy over the sets of some answers: of clean ones that of the one set."""
    return float(_values(answers) @ severity_weights(answers.tracks))


def _values(answers: Answers) -> np.ndarray:
    """float64 (S,): the accuracy on each set."""
    images = np.bincount(answers.sets, minlength=len(answers.tracks))
    return np.bincount(answers.sets, answers.right, minlength=len(answers.tracks)) / images


def shares(answers: Answers, resamples: int, seed: int) -> Shares:
    """The accuracies on the sets of some answers. One draw of the sources serves all sets."""
    resampling = bootstrap(answers.groups, resamples, seed)
    draws = resampling.shares(answers.groups, answers.sets, answers.right, len(answers.tracks))
    return Shares(answers.tracks, _values(answers), draws, len(resampling.units))


def benchmark_tracks(answers: Answers, role: str) -> tuple[Track, ...]:
    """The corrupted sets of a role that hold labelled images: test to measure on, validation to select by."""
    there = np.bincount(answers.sets[answers.labels >= 0], minlength=len(answers.tracks))
    return tuple(
        track
        for track, images in zip(answers.tracks, there, strict=True)
        if track.corruption and track.role == role and images
    )


def under_shift(
    answers: Answers, role: str, classes: Sequence[str], resamples: int, seed: int
) -> dict[str, Any] | None:
    """What metrics.json tells of the corrupted sets of a role, "test" or "validation"; None where there are none.

    mean_accuracy          over single corruptions, of each over its severities;  interval  of it, as the same sources
                           are drawn for all sets at once
    mean_corruption_error  1 - mean_accuracy
    clean_accuracy         of the pictures that the sets were made of;  gap  by how much that is more, with gap_interval
    severities             mean accuracy at each
    corruptions            of each `family`, `verdict`, `accuracy`, `interval`, and `severities` with `intervals`
    disjoint, near, identical  means over the corruptions of that verdict, where there are any
    composed               of each track `verdict`, `accuracy` and `interval`
    per_class              recall of each class over all single corruptions;  worst_class
    """
    tracks = benchmark_tracks(answers, role)
    if not tracks:
        return None
    shifted = answers.of(tracks)
    found = shares(shifted, resamples, seed)
    single = [track for track in tracks if not track.composed]
    return {
        "images": len(shifted),
        "sources": found.units,
        **(_single(answers, found, single, role, classes, resamples, seed) if single else {}),
        "composed": {
            track.corruption: {"verdict": track.verdict, **found.one(track)} for track in tracks if track.composed
        },
    }


def _single(
    answers: Answers, found: Shares, single: Sequence[Track], role: str, classes: Sequence[str], resamples: int,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """What is told of single corruptions."""
    value, draws = found.mean(single)
    corruptions = by_corruption(single)
    verdicts = {name: _verdict(of_one) for name, of_one in corruptions.items()}
    means = {verdict: [track for track in single if verdicts[track.corruption] == verdict] for verdict in VERDICTS}
    return {
        "mean_accuracy": value,
        "interval": share_interval(value, draws, found.units),
        "mean_corruption_error": 1 - value,
        **_gap(answers, role, value, draws, resamples, seed),
        "severities": {
            str(severity): found.mean([track for track in single if track.severity == severity])[0]
            for severity in sorted({track.severity for track in single})
        },
        "corruptions": {
            name: {
                "family": of_one[0].family,
                "verdict": verdicts[name],
                **found.told(of_one),
                "severities": {str(track.severity): found.one(track)["accuracy"] for track in of_one},
                "intervals": {str(track.severity): found.one(track)["interval"] for track in of_one},
            }
            for name, of_one in corruptions.items()
        },
        **{
            verdict: {"corruptions": len(by_corruption(of_one)), **_renamed(found.told(of_one))}
            for verdict, of_one in means.items()
            if of_one
        },
        **_by_class(answers.of(single), classes),
    }


def _renamed(told: dict[str, Any]) -> dict[str, Any]:
    return {"mean_accuracy": told["accuracy"], "interval": told["interval"]}


def _verdict(tracks: Sequence[Track]) -> str:
    """That of the severity that comes nearest to the policy."""
    return max((track.verdict for track in tracks), key=lambda verdict: VERDICTS.index(verdict) if verdict else -1)


def _gap(answers: Answers, role: str, value: float, draws: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """The clean accuracy on the very sources of the benchmark, and what is lost of it."""
    clean = answers.named({"test": "test", "validation": "val"}[role])
    used = np.unique(answers.of(benchmark_tracks(answers, role)).groups)
    there = answers.of(clean, np.isin(answers.groups, used))
    if not len(there):
        return {}
    before = shares(there, resamples, seed)
    told: dict[str, Any] = {"clean_accuracy": float(before.values[0]), "gap": float(before.values[0]) - value}
    if len(np.unique(there.groups)) == len(used):  # else the draws are not the same
        told["gap_interval"] = interval(before.draws[:, 0] - draws)
    return told


def _by_class(shifted: Answers, classes: Sequence[str]) -> dict[str, Any]:
    support = np.bincount(shifted.labels, minlength=len(classes))
    hits = np.bincount(shifted.labels, shifted.right, minlength=len(classes))
    recall = {name: float(hits[i] / support[i]) for i, name in enumerate(classes) if support[i]}
    worst = min(recall, key=recall.__getitem__)
    return {"per_class": recall, "worst_class": {"class": worst, "recall": recall[worst]}}


def relative_errors(told: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Errors under corruption divided by those of a baseline (Hendrycks and Dietterich 2019, section 4).

    told, baseline  what `under_shift` tells of either;  name  of the baseline's run

    ce           of each corruption: errors over its severities, added up, divided by those of the baseline
    relative_ce  the same of what a corruption adds to the clean error, of both models
    mce, relative_mce  their means. None where the baseline errs in nothing, or loses nothing by the corruption; such
                 corruptions are left out of the means.
    Raises DataError where the baseline was measured on another benchmark.
    """
    mine, theirs = (one.get("corruptions", {}) for one in (told, baseline))
    if (
        not mine
        or mine.keys() != theirs.keys()
        or any(mine[corruption]["severities"].keys() != theirs[corruption]["severities"].keys() for corruption in mine)
    ):
        raise DataError(
            f"the baseline {name} was measured on {len(theirs)} corruptions, this model on {len(mine)}, and they are "
            "not the same. Evaluate both on one benchmark."
        )
    # Where the clean pictures were not measured, nothing is relative to them.
    clean, clean_theirs = (1 - one.get("clean_accuracy", np.nan) for one in (told, baseline))
    ce: dict[str, float | None] = {}
    relative: dict[str, float | None] = {}
    for corruption, of_one in mine.items():
        errors = 1 - np.array(list(of_one["severities"].values()))
        others = 1 - np.array([theirs[corruption]["severities"][severity] for severity in of_one["severities"]])
        ce[corruption] = _divided(errors.sum(), others.sum())
        relative[corruption] = _divided((errors - clean).sum(), (others - clean_theirs).sum())
    return {
        "run": name,
        "ce": ce,
        "mce": _mean(ce.values()),
        "relative_ce": relative,
        "relative_mce": _mean(relative.values()),
    }


def _divided(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 1e-9 and not np.isnan(part) else None


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
