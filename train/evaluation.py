"""evaluate(model) -> Evaluation: how right a model is, on clean images, under shift, and on images from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.builds import BENCHMARK
from curate.stage.engine import chunks, cores
from curate.stage.errors import DataError
from curate.stage.progress import Reporter, Silent, Stopwatch

from .answers import Answers, Track, told, track_of
from .configs import EvaluateConfig
from .intervals import intervals
from .measures import calibration_error, measures, reliability, temperature, tempered
from .predicting import BATCH, SAMPLE, Predictor, as_measured, classes_of, load_predictor
from .robustness import benchmark_tracks, mean_accuracy, relative_errors, under_shift
from .runs import find_model, read_run
from .selecting import score
from .sets import EXTERNAL, BuiltSets, LabelledSet, read_built, read_set
from .slices import found_by_scan, sliced

if TYPE_CHECKING:
    import pandas as pd

# Names of parts of metrics.json and of measures, which no set from elsewhere is to have.
_RESERVED = ("clean", "corrupted", BENCHMARK)
# Where the measures of a clean set are in metrics.json.
_PLACES = {"train": "train", "val": "val", "test": "clean"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How right a model is.

    metrics      what metrics.json holds, but for what only a run knows
    predictions  one row per image, as predictions.parquet has it
    notes        what a person should know;  seconds  of each part of the work
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    notes: tuple[str, ...]
    seconds: dict[str, float]


def metrics_of(answers: Answers, classes: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    """What metrics.json tells of a model's answers: clean, val, benchmark, external, calibration and selection.

    Only sets of role test are told of in `clean` and `benchmark`. Those to select by are in `selection`, whose `score`
    is the mean of its `scores`.
    """
    found: dict[str, Any] = {"classes": list(classes), "sets": told(answers.tracks)}
    for role, place in _PLACES.items():
        for track in answers.named(role):
            found[place] = _measured(answers, track, classes, resamples, seed)
    benchmark = under_shift(answers, "test", classes, resamples, seed)
    if benchmark is not None:
        found["benchmark"] = benchmark
    found["external"] = {
        track.name: _measured(answers, track, classes, resamples, seed) for track in answers.named("external")
    }
    found["calibration"] = _calibration(answers)
    scores = selection_scores(answers)
    found["selection"] = {
        "score": score(scores, "corruptions") if scores else None,
        "scores": scores,
        **(under_shift(answers, "validation", classes, resamples, seed) or {}),
    }
    return found


def _measured(answers: Answers, track: Track, classes: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    """All measures of one set, and their intervals."""
    of_one = answers.of([track])
    found = measures(of_one.labels, of_one.probabilities, classes)
    if not len(of_one):
        return found
    ends = intervals(of_one.labels, of_one.predicted, of_one.groups, len(classes), resamples, seed)
    head = {"images": found.pop("images"), "accuracy": found.pop("accuracy")}
    return {**head, "interval": ends.pop("accuracy"), **found, "intervals": ends}


def _calibration(answers: Answers) -> dict[str, Any] | None:
    """The temperature that fits val best, and what it does to the calibration error of the sets; None without val.

    Of the benchmark all images of single corruptions are taken together.
    """
    val = answers.of(answers.named("val"))
    if not len(val):
        return None
    factor = temperature(val.labels, val.probabilities)
    parts = {
        "val": val,
        "clean": answers.of(answers.named("test")),
        "benchmark": answers.of([track for track in benchmark_tracks(answers, "test") if not track.composed]),
        **{track.corruption: answers.of([track]) for track in benchmark_tracks(answers, "test") if track.composed},
        **{track.name: answers.of([track]) for track in answers.named("external")},
    }
    return {
        "temperature": factor,
        "sets": {
            name: {
                "ece": calibration_error(part.labels, part.probabilities),
                "ece_tempered": calibration_error(part.labels, tempered(part.probabilities, factor)),
                "reliability": reliability(part.labels, part.probabilities),
            }
            for name, part in parts.items()
            if len(part)
        },
    }


def selection_scores(answers: Answers) -> dict[str, float]:
    """How well a model does on what may be selected by: accuracy on val, and the means over its corruptions, each
    severity alike, and over its composed tracks; as far as they are there."""
    tracks = benchmark_tracks(answers, "validation")
    parts = {
        "clean": answers.named("val"),
        "corruptions": [track for track in tracks if not track.composed],
        "composed": [track for track in tracks if track.composed],
    }
    return {name: mean_accuracy(answers.of(chosen)) for name, chosen in parts.items() if len(answers.of(chosen))}


def answered(predictor: Predictor, sets: Sequence[LabelledSet], reporter: Reporter = Silent()) -> Answers:
    """What a model says of all images of some sets. Raises DataError where that is no number."""
    total = sum(len(one) for one in sets)
    pieces = [(one, rows) for one in sets for rows in chunks(len(one), BATCH)]
    out = np.empty((total, len(predictor.classes)), np.float32)
    done = 0
    with reporter.stage("predicting", total, "images") as advance:
        for found in predictor.over(lambda piece: piece[0].batch(np.asarray(piece[1])), pieces):
            out[done : done + len(found)] = found
            done += len(found)
            advance(done)
    if not np.isfinite(out).all():
        lost = int((~np.isfinite(out)).any(axis=1).sum())
        raise DataError(
            f"the model gives no numbers for {lost:,} of {total:,} images: its weights have diverged. Fit it again at "
            "a lower learning rate."
        )
    return Answers(
        tuple(track_of(one) for one in sets),
        np.repeat(np.arange(len(sets)), [len(one) for one in sets]),
        np.concatenate([np.array(one.ids, dtype=object) for one in sets]),
        np.concatenate([np.asarray(one.sources, dtype=object) for one in sets]),
        np.concatenate([one.groups for one in sets]),
        np.concatenate([one.labels for one in sets]),
        out,
    )


def measured(
    predictor: Predictor,
    built: BuiltSets,
    config: EvaluateConfig = EvaluateConfig(),
    seed: int = 0,
    reporter: Reporter = Silent(),
) -> Evaluation:
    """A model on val, test, the benchmark where there is one, and the external sets.

    Raises DataError where a set from elsewhere shares no class with the build, or the baseline was measured on another
    benchmark.
    """
    sets = [built.val, built.test, *(built.benchmark if config.benchmark else ())]
    return _evaluated(predictor, sets, config, built.path.parent, built.manifest.scan_digest, seed, reporter)


def evaluate(
    model: str | Path,
    sets: Sequence[str | Path] = (),
    config: EvaluateConfig = EvaluateConfig(),
    *,
    artifacts: str | Path = "artifacts",
    workers: int = 0,
    seed: int = 0,
    reporter: Reporter = Silent(),
) -> Evaluation:
    """How right a model is on some sets, by default val, test, the benchmark and the external ones of `config`.

    model  name of a run, its folder, or a .keras file
    sets   "train", "val", "test", "benchmark", a set of that such as "fog-3", or the path of a set from elsewhere

    Nothing is written. Raises DataError where there is no such model or set, or they do not go together.
    """
    from .models import load_model

    artifacts = Path(artifacts)
    path = find_model(model, artifacts)
    config = as_measured(path, config)
    loaded = load_model(path)
    size = (int(loaded.input_shape[1]), int(loaded.input_shape[2]))
    classes, note = classes_of(path, artifacts, int(loaded.output_shape[-1]))
    asked = [str(name) for name in sets] or ["val", "test", BENCHMARK]
    scan_digest: str | None = None
    chosen: list[LabelledSet] = []
    if set(asked) & {BENCHMARK, *_PLACES}:
        built = read_built(artifacts)
        _check_classes(built, classes)
        scan_digest = built.manifest.scan_digest
        chosen = [getattr(built, name) for name in _PLACES if name in asked]
        chosen += built.benchmark if BENCHMARK in asked and config.benchmark else ()
    known = {BENCHMARK, *(one.name for one in chosen)}
    chosen += [read_set(name, classes, artifacts, size) for name in dict.fromkeys(asked) if name not in known]
    if not chosen:
        raise DataError(f"{', '.join(asked)} holds no set to measure on. Build one: augment build --benchmark common.")
    sample = chosen[0].batch(range(min(SAMPLE, len(chosen[0]))))
    predictor = load_predictor(loaded, sample, classes, config, workers or cores(), reporter.say)
    found = _evaluated(predictor, chosen, config, artifacts, scan_digest, seed, reporter)
    return replace(found, notes=(*((note,) if note else ()), *found.notes))


def _check_classes(built: BuiltSets, classes: Sequence[str]) -> None:
    if built.classes != tuple(classes):
        raise DataError(
            f"the model knows {', '.join(classes)}, and {built.path} holds {', '.join(built.classes)}. Take a model "
            "that was fitted to this set."
        )


def _evaluated(
    predictor: Predictor,
    sets: Sequence[LabelledSet],
    config: EvaluateConfig,
    artifacts: Path,
    scan_digest: str | None,
    seed: int,
    reporter: Reporter,
) -> Evaluation:
    """Predictions of some sets and the external ones, and all that they tell."""
    watch = Stopwatch()
    notes = [predictor.note]
    external = [read_set(given, predictor.classes, artifacts, predictor.size) for given in config.external]
    for one in external:
        notes += [f"{one.name}: {note}" for note in one.notes]
    with watch.stage("predicting"):
        answers = answered(predictor, _named_apart([*sets, *external]), reporter)
    with watch.stage("measuring"):
        metrics = metrics_of(answers, predictor.classes, config.resamples, seed)
        found, note = found_by_scan(artifacts, scan_digest)
        if "clean" in metrics:
            metrics["slices"] = sliced(answers, found, predictor.classes, config.resamples, seed)
            notes.append(note)
        if config.baseline is not None:
            metrics["benchmark"] = _with_baseline(metrics, config.baseline, artifacts)
    metrics["prediction"] = {"engine": predictor.engine, "tta": config.tta or "none", "filter": config.filter or "none"}
    return Evaluation(metrics, answers.table(), tuple(filter(None, notes)), watch.seconds)


def _named_apart(sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """The sets, those from elsewhere with a number where their name is taken: predictions go by the name of the set."""
    taken = Counter(one.name for one in sets if one.role != EXTERNAL) | Counter(_RESERVED)
    apart = []
    for one in sets:
        if one.role == EXTERNAL:
            taken[one.name] += 1
            one = one if taken[one.name] == 1 else replace(one, name=f"{one.name} {taken[one.name]}")
        apart.append(one)
    return apart


def _with_baseline(metrics: Mapping[str, Any], baseline: str, artifacts: Path) -> dict[str, Any]:
    """The benchmark's part of the metrics with errors relative to those of a run."""
    run = read_run(baseline, artifacts)
    if "corruptions" not in metrics.get("benchmark", {}):
        raise DataError(f"errors are to be divided by those of {baseline}, but no benchmark is measured. Take it in.")
    own = metrics["benchmark"]
    return {**own, "baseline": relative_errors(own, run.metrics.get("benchmark", {}), run.name)}
