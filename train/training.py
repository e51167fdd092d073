"""train(config) -> Trained: read the built set, fit, measure, explain, write the run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.notebooks.progress import onlooker
from curate.sets.imageset import evenly
from curate.stage.drafts import draft_of, final_path
from curate.stage.engine import cores
from curate.stage.errors import MissingExtra
from curate.stage.files import replacing, write_text
from curate.stage.manifest import file_digest, outputs_of, read_manifest, versions_in_use, write_manifest
from curate.stage.progress import Reporter, Silent, Stopwatch
from curate.stage.shortness import short_repr

from .checkpoints import FILE, LAST_GOOD, Checkpoint, check_key
from .configs import EvaluateConfig, RunConfig, views_fitted
from .devices import devices_of
from .evaluation import Evaluation, measured
from .explanation import explained, write_hardest, write_sheet
from .fitting import Job, Progress, features, fit
from .inputs import RunInputs, read_inputs
from .metrics import (
    METRICS,
    FitFacts,
    KeptEpoch,
    Metrics,
    ModelFacts,
    RunMetrics,
    Spread,
    read_metrics,
    write_metrics,
)
from .models import Classifier, build_model, frozen_features
from .panels import Explained
from .predicting import SAMPLE, load_predictor
from .recipe import load_recipe, to_toml
from .refining import refine
from .runs import (
    CONFIG,
    GRADCAM,
    HARDEST,
    HISTORY,
    MODEL,
    PREDICTIONS,
    REPORT,
    RunManifest,
    read_history,
    run_path,
    write_model,
    write_predictions,
)
from .selecting import watch
from .sets import BuiltSets, LabelledSet, read_built
from .slices import words_of_scan

if TYPE_CHECKING:
    import keras
    import pandas as pd

_DEFAULT = RunConfig()


def _composed_accuracy(metrics: Metrics, track: str) -> float | None:
    tracks = metrics.benchmark.composed if metrics.benchmark else {}
    return tracks[track].accuracy if track in tracks else None


# The accuracies whose spread `--folds` and `--seeds` tell; None where one was not measured.
SPREAD: Mapping[str, Callable[[Metrics], float | None]] = {
    "clean": lambda metrics: metrics.clean.accuracy if metrics.clean else None,
    "under corruption": lambda metrics: metrics.benchmark.mean_accuracy if metrics.benchmark else None,
    "composed of 2": lambda metrics: _composed_accuracy(metrics, "composed-2"),
    "composed of 3": lambda metrics: _composed_accuracy(metrics, "composed-3"),
}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run came to.

    path     the run's folder
    history  one row per epoch
    seconds  of each part of the work
    """

    path: Path
    config: RunConfig
    metrics: RunMetrics
    history: pd.DataFrame
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Part:
    """What one fit learns from: rows of train; and clean images to be watched on."""

    name: str
    seed: int
    rows: np.ndarray
    val: LabelledSet

    __repr__ = short_repr


def train(config: RunConfig = _DEFAULT, reporter: Reporter | None = None, *, built: BuiltSets | None = None) -> Trained:
    """Fit a model to a built set and measure it: artifacts/runs/<name>/, whole or not at all.

    With `folds` or `seeds` several, each in a folder of its own within; the run then holds the one that did best on
    what it was watched on, and tells how far they differ.

    built  the built set, where it is read already

    Raises DataError where the built set or the options do not do, Diverged where the loss is no number any more.
    """
    if reporter is None:
        reporter = onlooker()
        trained = _train(config, reporter, built)
        reporter.say(f"run  {trained.path}")
        return trained
    return _train(config, reporter, built)


def _train(config: RunConfig, reporter: Reporter, built: BuiltSets | None) -> Trained:
    config = replace(config, workers=config.workers or cores(), name=config.name or Path(config.recipe).stem)
    views = config.evaluate.tta or views_fitted(config.fit)
    config = replace(config, evaluate=replace(config.evaluate, tta=views, filter=config.evaluate.filter or "none"))
    target = run_path(str(config.name), config.artifacts)
    inputs = read_inputs(config, built)
    parts = _parts(inputs.built, config)
    with draft_of(target, config.resume, "run") as folder:
        if len(parts) == 1:
            trained = _run(parts[0], inputs, config, folder, reporter)
        else:
            trained = _several(parts, inputs, config, folder, reporter)
    return replace(trained, path=target)


def score_of(config: RunConfig, reporter: Reporter = Silent(), *, built: BuiltSets | None = None) -> float:
    """How well a model fitted like this does on what it is watched on; nothing is kept.

    built  the built set, where it is read already
    """
    config = replace(config, workers=config.workers or cores())
    built = built or read_built(config.artifacts)
    (part,) = _parts(built, replace(config, fit=replace(config.fit, folds=0, seeds=1)))
    with tempfile.TemporaryDirectory() as scratch:
        _, progress, _ = _fitted(part, built, config, Path(scratch), reporter)
    return float(progress.history[progress.best]["score"])


def _parts(built: BuiltSets, config: RunConfig) -> list[Part]:
    """The fits of a run: one, or one per fold or seed."""
    from .batches import folds

    everything = np.arange(len(built.train))
    if config.fit.folds:
        return [
            Part(f"fold-{number}", config.seed, rows, built.train.take(held))
            for number, (rows, held) in enumerate(folds(built.train, config.fit.folds, config.seed), 1)
        ]
    seeds = range(config.seed, config.seed + config.fit.seeds)
    return [Part(f"seed-{seed}", seed, everything, built.val) for seed in seeds]


def _several(parts: Sequence[Part], inputs: RunInputs, config: RunConfig, folder: Path, reporter: Reporter) -> Trained:
    """Each part in a folder of its own; the best one's files, and the spread of all, in the run's."""
    runs = []
    for part in parts:
        reporter.say(f"{part.name} of {len(parts)}")
        inner = folder / part.name
        inner.mkdir(exist_ok=True)
        key = _key(part, inputs.built, config)
        runs.append(_read_part(inner, key, config) or _run(part, inputs, config, inner, reporter))
    best = max(runs, key=lambda run: run.metrics.selection.score or 0.0)
    for file in best.path.iterdir():
        if file.is_file():  # logs for TensorBoard stay with their part
            shutil.copy2(file, folder / file.name)
    metrics = replace(best.metrics, best=best.path.name, spread=spread([run.metrics for run in runs]))
    manifest = read_manifest(RunManifest, folder)
    outputs = {**manifest.outputs, **outputs_of({METRICS: write_metrics(metrics, folder)})}
    write_manifest(replace(manifest, outputs=outputs), folder)
    return replace(best, path=folder, metrics=metrics)


def _read_part(folder: Path, key: str, config: RunConfig) -> Trained | None:
    """A part that an interrupted run had finished; None where there is none. Raises DataError for another fit's."""
    if not (folder / "manifest.json").is_file():
        return None
    manifest = read_manifest(RunManifest, folder)
    check_key(manifest.key or "", key, folder)
    return Trained(folder, config, read_metrics(RunMetrics, folder), read_history(folder), manifest.timings)


def spread(metrics: Sequence[Metrics]) -> dict[str, Spread]:
    """Mean, standard deviation and values of each of SPREAD over several runs."""
    spreads = {}
    for name, accuracy in SPREAD.items():
        values = tuple(value for run in metrics if (value := accuracy(run)) is not None)
        if len(values) == len(metrics):
            spreads[name] = Spread(float(np.mean(values)), float(np.std(values, ddof=1)), values)
    return spreads


def _run(part: Part, inputs: RunInputs, config: RunConfig, folder: Path, reporter: Reporter) -> Trained:
    """One fit, measured, explained and written into `folder`; the manifest last."""
    import pandas as pd

    built = inputs.built
    clock = Stopwatch()
    with clock.stage("fitting"):
        classifier, progress, notes = _fitted(part, built, config, folder, reporter)
        write_model(classifier.model, folder / MODEL)
    history = pd.DataFrame(progress.history)
    with clock.stage("measuring"):
        with reporter.stage("converting the model", None, ""):
            sample = built.val.batch(evenly(len(built.val), SAMPLE))
            predictor = load_predictor(
                classifier.model, sample, built.classes, config.evaluate, config.workers, reporter.say
            )
        evaluation = measured(predictor, inputs, config.evaluate, part.seed, reporter)
    metrics = _run_metrics(evaluation.metrics, classifier, progress, config)
    with clock.stage("explaining"):
        used = config.evaluate.filter or "none"
        shown = explained(classifier.model, inputs, evaluation.predictions, reporter, filter=used)
    trained = Trained(folder, config, metrics, history, clock.seconds, (*built.notes, *notes, *evaluation.notes))
    _write_run(trained, built, evaluation, shown, _key(part, built, config))
    for name in (FILE, LAST_GOOD):  # only now: measuring takes a while, and may be interrupted too
        (folder / name).unlink(missing_ok=True)
    return trained


def _fitted(
    part: Part, built: BuiltSets, config: RunConfig, folder: Path, reporter: Reporter
) -> tuple[Classifier, Progress, tuple[str, ...]]:
    """A model with the weights of its best epoch, what was found on the way, and notes for the person."""
    import keras

    from .batches import class_weights

    fitting = config.fit
    keras.utils.set_random_seed(part.seed)
    devices = devices_of(fitting.devices)
    with reporter.stage("building the model", None, ""), devices.scope():
        classifier = build_model(config.model, built.train.size, len(built.classes), fitting.precision)
    reporter.say(_heading(part, built, classifier, devices.describe))
    rows, refined = _refined(part, built, config, classifier, reporter)
    job = Job(
        classifier,
        built.train,
        rows,
        class_weights(fitting.class_weights, built.train, built.class_weights, rows),
        watch(part.val, built.benchmark, fitting.select),
        config,
        Checkpoint(folder, _key(part, built, config)),
        devices,
        reporter,
        part.seed,
        _callbacks(config, folder),
    )
    progress = fit(job)
    return classifier, progress, tuple(note for note in (*classifier.notes, devices.note, refined) if note)


def _heading(part: Part, built: BuiltSets, classifier: Classifier, device: str) -> str:
    """What is fitted to what, for the person."""
    height, width = built.train.size
    names = " + ".join(classifier.backbones)
    return (
        f"{built.path}: {len(part.rows):,} images to train on, {width}x{height}, {len(built.classes)} classes; "
        f"{names}, {classifier.model.count_params():,} parameters, at {classifier.side} pixels on {device}"
    )


def _refined(
    part: Part, built: BuiltSets, config: RunConfig, classifier: Classifier, reporter: Reporter
) -> tuple[np.ndarray, str]:
    """The rows to fit on, without those of the smallest clusters where that is asked for, and a note on it."""
    if not config.fit.refine:
        return part.rows, ""
    table = features(built.train, part.rows, frozen_features(classifier, config.workers), reporter)
    kept = refine(table, built.train.labels[part.rows], config.fit.refine, part.seed)
    dropped = int((~kept).sum())
    return part.rows[kept], f"{dropped:,} of {len(kept):,} images were left out as the smallest cluster of their class"


def _callbacks(config: RunConfig, folder: Path) -> tuple[keras.callbacks.Callback, ...]:
    if not config.fit.tensorboard:
        return ()
    import keras

    if find_spec("tensorboard") is None:
        raise MissingExtra("--tensorboard needs TensorBoard: pip install 'trustset[tensorboard]', or leave it out.")
    return (keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),)


def _key(part: Part, built: BuiltSets, config: RunConfig) -> str:
    """What makes a fit the same: options, part and built set; not its place, its threads, or how it is measured."""
    config = replace(config, evaluate=EvaluateConfig(), resume=False, workers=0, artifacts="", name=None)
    identity = [dataclasses.asdict(config), part.name, part.seed, file_digest(built.path / "manifest.json")]
    return hashlib.blake2b(json.dumps(identity, default=str).encode(), digest_size=16).hexdigest()


def _run_metrics(metrics: Metrics, classifier: Classifier, progress: Progress, config: RunConfig) -> RunMetrics:
    """The measures of a run, with what is known of its model, and which epoch was kept by what."""
    best = progress.history[progress.best]
    model = ModelFacts(
        classifier.backbones, classifier.side, int(classifier.model.count_params()), config.model.weights
    )
    # Without corruptions to select by, the clean images of val alone were looked at.
    by = (
        "clean"
        if config.fit.select == "corruptions" and not {"val_corruptions", "val_composed"} & {*best}
        else config.fit.select
    )
    fit = FitFacts(
        KeptEpoch(int(best["stage"]), int(best["epoch"]), best["score"]),
        by,
        sum(row["stage"] > 0 for row in progress.history),
    )
    measures = {field.name: getattr(metrics, field.name) for field in dataclasses.fields(Metrics)}
    return RunMetrics(recipe=config.recipe, model=model, fit=fit, **measures)


def _write_run(trained: Trained, built: BuiltSets, evaluation: Evaluation, shown: Explained, key: str) -> None:
    """Write what a run consists of, the manifest last. Raises OutputError."""
    from .reporting import RunReport, page  # which loads OpenCV

    folder = trained.path
    outputs = {MODEL: folder / MODEL, METRICS: write_metrics(trained.metrics, folder)}
    with replacing(folder / HISTORY) as file:
        file.write(trained.history.to_csv(index=False).encode())
    outputs[HISTORY] = folder / HISTORY
    outputs[PREDICTIONS] = write_predictions(evaluation.predictions, folder)
    outputs[GRADCAM] = write_sheet(shown, folder / GRADCAM)
    outputs[HARDEST] = write_hardest(shown, folder / HARDEST)
    write_text(to_toml(trained.config, load_recipe(trained.config.recipe)), folder / CONFIG)
    outputs[CONFIG] = folder / CONFIG
    digests = {
        "build_digest": file_digest(built.path / "manifest.json"),
        "scan_digest": built.manifest.scan_digest,
        "source_digest": built.manifest.input_digest,
    }
    hardest = shown.hardest["source"].tolist()
    scan = words_of_scan(Path(trained.config.artifacts), built.manifest.scan_digest, hardest)
    report = RunReport(
        final_path(folder).name, trained.config, trained.metrics, trained.history, shown, digests, trained.notes,
        trained.seconds, scan,
    )  # fmt: skip
    write_text(page(report), folder / REPORT)
    outputs[REPORT] = folder / REPORT
    write_manifest(
        RunManifest(
            source=str(built.path),
            input_digest=digests["build_digest"],
            config=trained.config,
            seed=trained.config.seed,
            outputs=outputs_of(outputs),
            counts={"train": len(built.train), "epochs": len(trained.history)},
            timings=dict(trained.seconds),
            versions=versions_in_use(),
            build_digest=digests["build_digest"],
            scan_digest=digests["scan_digest"],
            source_digest=digests["source_digest"],
            key=key,
        ),
        folder,
    )
