"""train(config) -> Trained: read the built set, fit, measure, explain, write the run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.sets.imageset import evenly
from curate.stage.drafts import draft_of, final_path
from curate.stage.engine import cores
from curate.stage.errors import MissingExtra
from curate.stage.files import replacing, write_text
from curate.stage.manifest import file_digest, outputs_of, read_manifest, versions_in_use, write_manifest
from curate.stage.progress import Reporter, Silent, Stopwatch

from .checkpoints import FILE, LAST_GOOD, Checkpoint, check_key
from .configs import EvaluateConfig, RunConfig, views_fitted
from .runs import (
    CONFIG,
    GRADCAM,
    HARDEST,
    HISTORY,
    METRICS,
    MODEL,
    PREDICTIONS,
    REPORT,
    RunManifest,
    read_run,
    run_path,
    write_metrics,
    write_model,
    write_predictions,
)
from .selecting import watch

if TYPE_CHECKING:
    import pandas as pd

    from .evaluation import Evaluation
    from .explanation import Explained
    from .fitting import Progress
    from .models import Classifier
    from .sets import BuiltSets, LabelledSet

_DEFAULT = RunConfig()
# What `--folds` and `--seeds` tell the spread of: where in metrics.json it is.
SPREAD = {
    "clean": ("clean", "accuracy"),
    "under corruption": ("benchmark", "mean_accuracy"),
    "composed of 2": ("benchmark", "composed", "composed-2", "accuracy"),
    "composed of 3": ("benchmark", "composed", "composed-3", "accuracy"),
}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run came to.

    path     the run's folder;  metrics  what metrics.json holds
    history  one row per epoch
    seconds  of each part of the work
    """

    path: Path
    config: RunConfig
    metrics: dict[str, Any]
    history: pd.DataFrame
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """What one fit is given: rows of train to learn from, and clean images to be watched on."""

    name: str
    seed: int
    rows: np.ndarray
    val: LabelledSet


def train(config: RunConfig = _DEFAULT, reporter: Reporter = Silent()) -> Trained:
    """Fit a model to a built set and measure it: artifacts/runs/<name>/, whole or not at all.

    With `folds` or `seeds` several, each in a folder of its own within; the run then holds the one that did best on
    what it was watched on, and tells how far they differ.

    Raises DataError where the built set or the options do not do, Diverged where the loss is no number any more.
    """
    from .sets import read_built

    config = replace(config, workers=config.workers or cores(), name=config.name or Path(config.recipe).stem)
    looks = config.evaluate
    looks = replace(looks, tta=looks.tta or views_fitted(config.fit), filter=looks.filter or "none")
    config = replace(config, evaluate=looks)
    target = run_path(str(config.name), config.artifacts)
    built = read_built(config.artifacts)
    _check(config, built)
    parts = _parts(built, config)
    with draft_of(target, config.resume, "run") as folder:
        if len(parts) == 1:
            done = _run(parts[0], built, config, folder, reporter)
        else:
            done = _several(parts, built, config, folder, reporter)
    return replace(done, path=target)


def _check(config: RunConfig, built: BuiltSets) -> None:
    """Raise before the fit what would be raised after it: of sets from elsewhere, of the run to compare with, and of
    what config.toml cannot hold."""
    from .recipe import to_toml
    from .sets import read_set

    to_toml(config)
    for given in config.evaluate.external:
        read_set(given, built.classes, config.artifacts, built.test.size)
    if config.evaluate.baseline is not None:
        read_run(config.evaluate.baseline, config.artifacts)


def score_of(config: RunConfig, reporter: Reporter = Silent()) -> float:
    """How well a model fitted like this does on what it is watched on; nothing is kept."""
    import tempfile

    from .sets import read_built

    config = replace(config, workers=config.workers or cores())
    built = read_built(config.artifacts)
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


def _several(parts: Sequence[Part], built: BuiltSets, config: RunConfig, folder: Path, reporter: Reporter) -> Trained:
    """Each part in a folder of its own; the best one's files, and the spread of all, in the run's."""
    done = []
    for part in parts:
        reporter.say(f"{part.name} of {len(parts)}")
        inner = folder / part.name
        inner.mkdir(exist_ok=True)
        done.append(_read(inner, _key(part, built, config), config) or _run(part, built, config, inner, reporter))
    best = max(done, key=lambda one: float(one.metrics["selection"]["score"]))
    for file in best.path.iterdir():
        if file.is_file():  # logs for TensorBoard stay with their part
            shutil.copy2(file, folder / file.name)
    metrics = best.metrics | {"best": best.path.name, "spread": spread([one.metrics for one in done])}
    manifest = read_manifest(RunManifest, folder)
    outputs = {**manifest.outputs, **outputs_of({METRICS: write_metrics(metrics, folder)})}
    write_manifest(replace(manifest, outputs=outputs), folder)
    return replace(best, path=folder, metrics=metrics)


def _read(folder: Path, key: str, config: RunConfig) -> Trained | None:
    """A part that an interrupted run had finished; None where there is none. Raises DataError for another fit's."""
    if not (folder / "manifest.json").is_file():
        return None
    run = read_run(folder, config.artifacts)
    check_key(run.manifest.key or "", key, folder)
    return Trained(folder, config, run.metrics, run.history(), run.manifest.timings)


def spread(metrics: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation and values of each of SPREAD over several runs."""
    found = {}
    for name, keys in SPREAD.items():
        values = [value for one in metrics if (value := _at(one, keys)) is not None]
        if len(values) == len(metrics):
            found[name] = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "values": values}
    return found


def _at(metrics: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value: Any = metrics
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _run(part: Part, built: BuiltSets, config: RunConfig, folder: Path, reporter: Reporter) -> Trained:
    """One fit, measured, explained and written into `folder`; the manifest last."""
    import pandas as pd

    from .evaluation import measured
    from .explanation import explained
    from .predicting import SAMPLE, load_predictor
    from .sets import read_set

    clock = Stopwatch()
    with clock.stage("fitting"):
        classifier, progress, notes = _fitted(part, built, config, folder, reporter)
        write_model(classifier.model, folder / MODEL)
    history = pd.DataFrame(progress.history)
    with clock.stage("measuring"):
        sample = built.val.batch(evenly(len(built.val), SAMPLE))
        predictor = load_predictor(
            classifier.model, sample, built.classes, config.evaluate, config.workers, reporter.say
        )
        found = measured(predictor, built, config.evaluate, part.seed, reporter)
    metrics = _model_facts(classifier, config) | _fit_facts(progress, config) | found.metrics
    with clock.stage("explaining"):
        external = [read_set(one, built.classes, config.artifacts, built.test.size) for one in config.evaluate.external]
        shown = explained(
            classifier.model,
            built,
            found.predictions,
            reporter,
            external=external,
            filter=config.evaluate.filter or "none",
        )
    done = Trained(folder, config, metrics, history, clock.seconds, (*notes, *found.notes))
    _write(done, built, found, shown, _key(part, built, config))
    for name in (FILE, LAST_GOOD):  # only now: measuring takes a while, and may be interrupted too
        (folder / name).unlink(missing_ok=True)
    return done


def _fitted(
    part: Part, built: BuiltSets, config: RunConfig, folder: Path, reporter: Reporter
) -> tuple[Classifier, Progress, tuple[str, ...]]:
    """A model with the weights of its best epoch, what was found on the way, and notes for the person."""
    import keras

    from .batches import class_weights
    from .devices import devices_of
    from .fitting import Job, fit
    from .models import build_model

    fitting = config.fit
    keras.utils.set_random_seed(part.seed)
    devices = devices_of(fitting.devices)
    with devices.scope():
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
    from .fitting import features
    from .models import frozen_features
    from .refining import refine

    known = features(built.train, part.rows, frozen_features(classifier, config.workers), reporter)
    kept = refine(known, built.train.labels[part.rows], config.fit.refine, part.seed)
    out = int((~kept).sum())
    return part.rows[kept], f"{out:,} of {len(kept):,} images were left out as the smallest cluster of their class"


def _callbacks(config: RunConfig, folder: Path) -> tuple[Any, ...]:
    if not config.fit.tensorboard:
        return ()
    import keras

    if find_spec("tensorboard") is None:
        raise MissingExtra("--tensorboard needs TensorBoard: pip install 'trustset[tensorboard]', or leave it out.")
    return (keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),)


def _key(part: Part, built: BuiltSets, config: RunConfig) -> str:
    """What makes a fit the same: options, part and built set; not its place, its threads, or how it is measured."""
    config = replace(config, evaluate=EvaluateConfig(), resume=False, workers=0, artifacts="", name=None)
    told = [dataclasses.asdict(config), part.name, part.seed, file_digest(built.path / "manifest.json")]
    return hashlib.blake2b(json.dumps(told, default=str).encode(), digest_size=16).hexdigest()


def _model_facts(classifier: Classifier, config: RunConfig) -> dict[str, Any]:
    return {
        "format": 1,
        "recipe": config.recipe,
        "model": {
            "backbones": list(classifier.backbones),
            "input_side": classifier.side,
            "parameters": int(classifier.model.count_params()),
            "weights": config.model.weights,
        },
    }


def _fit_facts(progress: Progress, config: RunConfig) -> dict[str, Any]:
    """Which epoch was kept, and by what."""
    best = progress.history[progress.best]
    return {
        "fit": {
            "kept": {"stage": best["stage"], "epoch": best["epoch"], "score": best["score"]},
            "by": config.fit.select,
            "epochs": sum(row["stage"] > 0 for row in progress.history),
        }
    }


def _write(done: Trained, built: BuiltSets, found: Evaluation, shown: Explained, key: str) -> None:
    """Write what a run consists of, the manifest last. Raises OutputError."""
    from .explanation import write_hardest, write_sheet
    from .recipe import load_recipe, to_toml
    from .reporting import RunReport, page

    folder = done.path
    outputs = {MODEL: folder / MODEL, METRICS: write_metrics(done.metrics, folder)}
    with replacing(folder / HISTORY) as file:
        file.write(done.history.to_csv(index=False).encode())
    outputs[HISTORY] = folder / HISTORY
    outputs[PREDICTIONS] = write_predictions(found.predictions, folder)
    outputs[GRADCAM] = write_sheet(shown, folder / GRADCAM)
    outputs[HARDEST] = write_hardest(shown, folder / HARDEST)
    write_text(to_toml(done.config, load_recipe(done.config.recipe)), folder / CONFIG)
    outputs[CONFIG] = folder / CONFIG
    digests = {
        "build_digest": file_digest(built.path / "manifest.json"),
        "scan_digest": built.manifest.scan_digest,
        "source_digest": built.manifest.input_digest,
    }
    report = RunReport(
        final_path(folder).name, done.config, done.metrics, done.history, shown, digests, done.notes,
        done.seconds,
    )  # fmt: skip
    write_text(page(report), folder / REPORT)
    outputs[REPORT] = folder / REPORT
    write_manifest(
        RunManifest(
            source=str(built.path),
            input_digest=digests["build_digest"],
            config=dataclasses.asdict(done.config),
            seed=done.config.seed,
            outputs=outputs_of(outputs),
            counts={"train": len(built.train), "epochs": len(done.history)},
            timings=dict(done.seconds),
            versions=versions_in_use(),
            build_digest=digests["build_digest"],
            scan_digest=digests["scan_digest"],
            source_digest=digests["source_digest"],
            key=key,
        ),
        folder,
    )
