"""evaluate(model) -> Evaluation: how right a model is, on clean images, under shift, and on images from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.builds import BENCHMARK
from curate.notebooks.progress import onlooker
from curate.sets.scaling import Scales
from curate.stage.engine import chunks, cores
from curate.stage.errors import DataError
from curate.stage.progress import Reporter, Silent, Stopwatch
from curate.stage.shortness import short_repr

from .configs import EvaluateConfig
from .inputs import RunInputs
from .intervals import intervals
from .loading import load_model
from .measures import calibration_error, measures, reliability, temperature, tempered
from .metrics import (
    Benchmark,
    Calibration,
    Metrics,
    PredictionFacts,
    Selection,
    SetCalibration,
    SetMeasures,
    ShiftMeasures,
    Unlabelled,
)
from .predicting import BATCH, SAMPLE, Predictor, as_measured, classes_of, decoding_of, load_predictor
from .predictions import Predictions, Track, facts_of, track_of
from .robustness import benchmark_tracks, mean_accuracy, relative_errors, under_shift
from .runs import Run, find_model, read_run
from .selecting import score
from .sets import EXTERNAL, BuiltSets, LabelledSet, read_built, read_set
from .slices import found_by_scan, sliced

if TYPE_CHECKING:
    import pandas as pd

# Names of parts of metrics.json and of measures, which no set from elsewhere is to have.
_RESERVED = ("clean", "corrupted", BENCHMARK)
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How right a model is.

    predictions  one row per image, as predictions.parquet has it
    notes        what a person should know;  seconds  of each part of the work
    """

    metrics: Metrics
    predictions: pd.DataFrame
    notes: tuple[str, ...]
    seconds: dict[str, float]

    __repr__ = short_repr


def metrics_of(predictions: Predictions, classes: Sequence[str], resamples: int, seed: int) -> Metrics:
    """The metrics of a model's predictions: clean, val, benchmark, external, calibration and selection.

    Only sets of role test are in `clean` and `benchmark`. Those to select by are in `selection`, whose `score` is the
    mean of its `scores`.
    """

    def measured_on(role: str) -> dict[str, SetMeasures | Unlabelled]:
        return {
            track.name: _measures(predictions, track, classes, resamples, seed)
            for track in predictions.clean_tracks(role)
        }

    train, val, test = (_labelled(measured_on(role).values()) for role in _SPLITS)
    return Metrics(
        classes=tuple(classes),
        sets=facts_of(predictions.tracks),
        train=train,
        val=val,
        clean=test,
        benchmark=under_shift(predictions, "test", classes, resamples, seed),
        external=measured_on(EXTERNAL),
        calibration=_temperature_scaling(predictions),
        selection=_selection(predictions, under_shift(predictions, "validation", classes, resamples, seed)),
    )


def _measures(
    predictions: Predictions, track: Track, classes: Sequence[str], resamples: int, seed: int
) -> SetMeasures | Unlabelled:
    """All measures of one set, with their intervals."""
    images = predictions.on([track])
    if not len(images):
        return Unlabelled()
    ends = intervals(images.labels, images.predicted, images.groups, len(classes), resamples, seed)
    return measures(images.labels, images.probabilities, classes, ends)


def _labelled(sets: Iterable[SetMeasures | Unlabelled]) -> SetMeasures | None:
    """The measures of the set that there is, None where there is none with labels."""
    return next((measures for measures in sets if isinstance(measures, SetMeasures)), None)


def _selection(predictions: Predictions, shifted: Benchmark | None) -> Selection:
    scores = selection_scores(predictions)
    measures = {field.name: getattr(shifted, field.name, None) for field in fields(ShiftMeasures)}
    return Selection(score=score(scores, "corruptions") if scores else None, scores=scores, **measures)


def _temperature_scaling(predictions: Predictions) -> Calibration | None:
    """The temperature that fits val best, and what it does to the calibration error of the sets; None without val.

    Of the benchmark all images of single corruptions are taken together.
    """
    val = predictions.on(predictions.clean_tracks("val"))
    if not len(val):
        return None
    factor = temperature(val.labels, val.probabilities)
    parts = {
        "val": val,
        "clean": predictions.on(predictions.clean_tracks("test")),
        "benchmark": predictions.on([track for track in benchmark_tracks(predictions, "test") if not track.composed]),
        **{
            track.corruption: predictions.on([track])
            for track in benchmark_tracks(predictions, "test")
            if track.composed
        },
        **{track.name: predictions.on([track]) for track in predictions.clean_tracks("external")},
    }
    return Calibration(factor, {name: _set_calibration(part, factor) for name, part in parts.items() if len(part)})


def _set_calibration(images: Predictions, factor: float) -> SetCalibration:
    return SetCalibration(
        calibration_error(images.labels, images.probabilities),
        calibration_error(images.labels, tempered(images.probabilities, factor)),
        reliability(images.labels, images.probabilities),
    )


def selection_scores(predictions: Predictions) -> dict[str, float]:
    """How well a model does on what may be selected by: accuracy on val, and the means over its corruptions, each
    severity alike, and over its composed tracks; as far as they are there."""
    tracks = benchmark_tracks(predictions, "validation")
    parts = {
        "clean": predictions.clean_tracks("val"),
        "corruptions": [track for track in tracks if not track.composed],
        "composed": [track for track in tracks if track.composed],
    }
    return {
        name: mean_accuracy(predictions.on(chosen)) for name, chosen in parts.items() if len(predictions.on(chosen))
    }


def predict_sets(predictor: Predictor, sets: Sequence[LabelledSet], reporter: Reporter = Silent()) -> Predictions:
    """What a model says of all images of some sets. Raises DataError where that is no number."""
    total = sum(map(len, sets))
    pieces = [(images, rows) for images in sets for rows in chunks(len(images), BATCH)]
    probabilities = np.empty((total, len(predictor.classes)), np.float32)
    row = 0
    with reporter.stage("predicting", total, "images") as advance:
        for piece in predictor.over(lambda piece: piece[0].batch(np.asarray(piece[1])), pieces):
            probabilities[row : row + len(piece)] = piece
            row += len(piece)
            advance(row)
    if not np.isfinite(probabilities).all():
        lost = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise DataError(
            f"the model gives no numbers for {lost:,} of {total:,} images: its weights have diverged. Fit it again at "
            "a lower learning rate."
        )
    return Predictions(
        tuple(map(track_of, sets)),
        np.repeat(np.arange(len(sets)), list(map(len, sets))),
        np.concatenate([np.array(images.ids, dtype=object) for images in sets]),
        np.concatenate([np.asarray(images.sources, dtype=object) for images in sets]),
        np.concatenate([images.groups for images in sets]),
        np.concatenate([images.labels for images in sets]),
        probabilities,
    )


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a model is measured on.

    sets         of the build, and others that were asked for;  external  sets from elsewhere
    baseline     the run that errors are divided by
    artifacts    where the scan is;  scan_digest  of that which the build was made from, None without a build
    scale        of what the model was fitted to, None where that is not known
    """

    sets: Sequence[LabelledSet]
    external: Sequence[LabelledSet]
    baseline: Run | None
    artifacts: Path
    scan_digest: str | None
    scale: Scales | None


def measured(
    predictor: Predictor,
    inputs: RunInputs,
    config: EvaluateConfig = EvaluateConfig(),
    seed: int = 0,
    reporter: Reporter = Silent(),
) -> Evaluation:
    """A model on val, test, the benchmark where there is one, and the external sets.

    Raises DataError where the baseline was measured on another benchmark.
    """
    built = inputs.built
    sets = [built.val, built.test, *(built.benchmark if config.benchmark else ())]
    scan_digest = built.manifest.scan_digest
    subject = _Subject(sets, inputs.external, inputs.baseline, built.path.parent, scan_digest, built.manifest.scale)
    return _evaluated(predictor, subject, config, seed, reporter)


def evaluate(
    model: str | Path,
    sets: Sequence[str | Path] = (),
    config: EvaluateConfig = EvaluateConfig(),
    *,
    artifacts: str | Path = "artifacts",
    workers: int = 0,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Evaluation:
    """How right a model is on some sets, by default val, test, the benchmark and the external ones of `config`.

    model  name of a run, its folder, or a .keras file
    sets   "train", "val", "test", "benchmark", a set of that such as "fog-3", or the path of a set from elsewhere

    Nothing is written. Raises DataError where there is no such model or set, or they do not go together.
    """
    reporter = reporter or onlooker()
    artifacts = Path(artifacts)
    path = find_model(model, artifacts)
    config = as_measured(path, config)
    loaded = load_model(path)
    size = (int(loaded.input_shape[1]), int(loaded.input_shape[2]))
    classes, note = classes_of(path, artifacts, int(loaded.output_shape[-1]))
    asked = [str(name) for name in sets] or ["val", "test", BENCHMARK]
    scan_digest: str | None = None
    outdated: tuple[str, ...] = ()
    chosen: list[LabelledSet] = []
    if set(asked) & {BENCHMARK, *_SPLITS}:
        built = read_built(artifacts)
        _check_same_classes(built, classes)
        scan_digest, outdated = built.manifest.scan_digest, built.outdated
        chosen = [getattr(built, name) for name in _SPLITS if name in asked]
        chosen += built.benchmark if BENCHMARK in asked and config.benchmark else ()
    chosen_names = {BENCHMARK, *(images.name for images in chosen)}
    decoding = decoding_of(path, artifacts)
    left = [name for name in dict.fromkeys(asked) if name not in chosen_names]
    chosen += [read_set(name, classes, artifacts, size, decoding) for name in left]
    if not chosen:
        raise DataError(f"{', '.join(asked)} holds no set to measure on. Build one: augment build --benchmark common.")
    with reporter.stage("converting the model", None, ""):
        sample = chosen[0].batch(range(min(SAMPLE, len(chosen[0]))))
        predictor = load_predictor(loaded, sample, classes, config, workers or cores(), reporter.say)
    external = [read_set(source, classes, artifacts, size, decoding) for source in config.external]
    baseline = None if config.baseline is None else read_run(config.baseline, artifacts)
    subject = _Subject(chosen, external, baseline, artifacts, scan_digest, decoding.scale if decoding.foreign else None)
    evaluation = _evaluated(predictor, subject, config, seed, reporter)
    return replace(evaluation, notes=(*((note,) if note else ()), *outdated, *evaluation.notes))


def _check_same_classes(built: BuiltSets, classes: Sequence[str]) -> None:
    if built.classes != tuple(classes):
        raise DataError(
            f"the model has classes {', '.join(classes)}, and {built.path} has {', '.join(built.classes)}. Take a "
            "model that was fitted to this set."
        )


def _evaluated(
    predictor: Predictor, subject: _Subject, config: EvaluateConfig, seed: int, reporter: Reporter
) -> Evaluation:
    """Predictions of some sets, and all that follows from them."""
    watch = Stopwatch()
    foreign = [images for images in (*subject.sets, *subject.external) if images.role == EXTERNAL]
    notes = [predictor.note, *(f"{images.name}: {note}" for images in foreign for note in images.notes)]
    with watch.stage("predicting"):
        predictions = predict_sets(predictor, _named_apart([*subject.sets, *subject.external]), reporter)
    with watch.stage("measuring"), reporter.stage("measuring", None, ""):
        metrics = metrics_of(predictions, predictor.classes, config.resamples, seed)
        flagged, note = found_by_scan(subject.artifacts, subject.scan_digest)
        if metrics.clean:
            metrics = replace(metrics, slices=sliced(predictions, flagged, predictor.classes, config.resamples, seed))
            notes.append(note)
        if subject.baseline is not None:
            metrics = replace(metrics, benchmark=_with_baseline(metrics.benchmark, subject.baseline))
    facts = PredictionFacts(predictor.engine, config.tta or "none", config.filter or "none")
    return Evaluation(
        replace(metrics, prediction=facts, scale=subject.scale),
        predictions.table(),
        tuple(filter(None, notes)),
        watch.seconds,
    )


def _named_apart(sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """The sets, those from elsewhere with a number where their name is taken: predictions go by the name of the set."""
    uses = Counter(images.name for images in sets if images.role != EXTERNAL) | Counter(_RESERVED)
    apart = []
    for images in sets:
        name = images.name
        if images.role == EXTERNAL:
            uses[name] += 1
            name = name if uses[name] == 1 else f"{name} {uses[name]}"
        apart.append(images if name == images.name else replace(images, name=name))
    return apart


def _with_baseline(benchmark: Benchmark | None, run: Run) -> Benchmark:
    """The benchmark's part of the metrics with errors relative to those of a run."""
    if benchmark is None or benchmark.corruptions is None:
        raise DataError(
            f"errors relative to {run.name} need the benchmark, but no benchmark is measured. Measure it too."
        )
    return replace(benchmark, baseline=relative_errors(benchmark, run.metrics.benchmark, run.name))
