"""compare(runs) -> Compared: runs side by side, and whether the differences are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .intervals import holm, mcnemar, paired
from .predictions import Predictions, Track, predictions_of, tracks_of
from .robustness import benchmark_tracks, severity_weights, shares
from .runs import Run, read_run

if TYPE_CHECKING:
    import pandas as pd

CLEAN, CORRUPTED = "clean", "corrupted"


@dataclass(frozen=True, eq=False)
class Compared:
    """Runs side by side.

    table  one row per run and measure: run, measure, accuracy, low, high. Measures are "clean", "corrupted" (the mean
           over single corruptions), each composed track, and each set from elsewhere
    tests  one row per measure of each run but the first: run, against (the first), measure, difference, low, high, p
           of there being none, p_adjusted for the number of runs (Holm); and where the measure is of one set, mcnemar:
           p by the exact test of McNemar, which takes all images to be independent
    notes  what was left out, and why
    """

    table: pd.DataFrame
    tests: pd.DataFrame
    notes: tuple[str, ...]

    __repr__ = short_repr


def compare(
    runs: Sequence[str | Path], *, artifacts: str | Path = "artifacts", resamples: int = 1000, seed: int = 0
) -> Compared:
    """Runs side by side, each tested against the first on the same images; names or folders of runs.

    Raises DataError where they are fewer than two, or were measured on different images.
    """
    import pandas as pd

    if len(runs) < 2:
        raise DataError(f"{len(runs)} run is given; needed are two at least.")
    finished = [read_run(run, artifacts) for run in runs]
    predictions = dict(zip(names_of(finished), map(run_predictions, finished), strict=True))
    first = next(iter(predictions))
    rows, tests, notes = [], [], []
    for measure in dict.fromkeys(name for of_run in predictions.values() for name in measures_of(of_run)):
        measured = {name: of_run for name, of_run in predictions.items() if measure in measures_of(of_run)}
        missing = [name for name in predictions if name not in measured]
        if missing:
            notes.append(f"{measure} was not measured for {', '.join(missing)}")
        same = alike({name: of_run.on(measures_of(of_run)[measure]) for name, of_run in measured.items()})
        for name, of_run in same.items():
            mean = shares(of_run, resamples, seed).over(of_run.tracks)
            low, high = mean.interval
            rows.append({"run": name, "measure": measure, "accuracy": mean.accuracy, "low": low, "high": high})
        if first in same:
            tests += _tests(measure, same, resamples, seed)
    columns = ["run", "against", "measure", "difference", "low", "high", "p", "p_adjusted", "mcnemar"]
    return Compared(pd.DataFrame(rows), pd.DataFrame(tests, columns=columns), tuple(notes))


def run_predictions(run: Run) -> Predictions:
    """The predictions of a run. Raises DataError where they are not whole."""
    return predictions_of(run.predictions(), tracks_of(run.metrics))


def measures_of(predictions: Predictions) -> dict[str, tuple[Track, ...]]:
    """The sets that each measure of a comparison is made of; none of those to select by."""
    shifted = benchmark_tracks(predictions, "test")
    measures = {
        CLEAN: predictions.clean_tracks("test"),
        CORRUPTED: tuple(track for track in shifted if not track.composed),
        **{track.corruption: (track,) for track in shifted if track.composed},
        **{track.name: (track,) for track in predictions.clean_tracks("external")},
    }
    return {name: tracks for name, tracks in measures.items() if tracks}


def alike(predictions: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The predictions of several runs, row by row of the same images, with the groups of the first run.

    Raises DataError where they are of different images, or of the same with other labels.
    """
    first_name, first = next(iter(predictions.items()))
    return {name: _in_order(first, of_run, f"{first_name} and {name}") for name, of_run in predictions.items()}


def _in_order(first: Predictions, other: Predictions, who: str) -> Predictions:
    """The other predictions in the order of the first."""
    place = {track.name: number for number, track in enumerate(first.tracks)}
    odd = sorted(set(place) ^ {track.name for track in other.tracks})
    if odd:
        raise DataError(
            f"{who} were not measured on the same sets: {len(odd):,} are of one of them only, such as {odd[0]}. "
            "Measure both on one build."
        )
    sets = np.array([place[track.name] for track in other.tracks], np.int64)[other.sets]
    if len(first) == len(other):
        rows = np.empty(len(first), np.int64)
        rows[_order(first.sets, first.ids)] = _order(sets, other.ids)
    if len(first) != len(other) or (other.ids[rows] != first.ids).any() or (sets[rows] != first.sets).any():
        raise DataError(
            f"{who} were not measured on the same images, but on {len(first):,} and {len(other):,} of "
            f"{', '.join(list(place)[:3])}. Measure both on one build."
        )
    changed = int((other.labels[rows] != first.labels).sum())
    if changed:
        raise DataError(f"{changed:,} images are labelled differently for {who}. Measure both on one build.")
    return replace(first, probabilities=other.probabilities[rows])


def _order(sets: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.lexsort((ids.astype(np.str_), sets))


def names_of(runs: Sequence[Run]) -> list[str]:
    """What runs are called: their names, or folders where two have one name. Raises DataError for one given twice."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    folders = [str(run.path) for run in runs]
    if len(set(folders)) < len(folders):
        raise DataError(f"a run is given twice: {', '.join(names)}. Give each once.")
    return folders


def _tests(measure: str, predictions: Mapping[str, Predictions], resamples: int, seed: int) -> list[dict[str, object]]:
    """The other runs against the first."""
    (first, base), *rivals = predictions.items()
    images = np.bincount(base.sets, minlength=len(base.tracks))
    weights = (severity_weights(base.tracks) / images)[base.sets]
    differences = {
        name: paired(base.right, of_run.right, weights, base.groups, resamples, seed) for name, of_run in rivals
    }
    adjusted = holm([difference.p for difference in differences.values()])
    rows: list[dict[str, object]] = []
    for (name, of_run), p_adjusted in zip(rivals, adjusted, strict=True):
        difference = differences[name]
        low, high = difference.interval
        exact = mcnemar(base.right, of_run.right)[2] if len(base.tracks) == 1 else np.nan
        rows.append(
            {
                "run": name,
                "against": first,
                "measure": measure,
                "difference": difference.value,
                "low": low,
                "high": high,
            }
            | {"p": difference.p, "mcnemar": exact, "p_adjusted": p_adjusted}
        )
    return rows
