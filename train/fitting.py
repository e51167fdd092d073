"""Fitting a model: first its head on frozen features, then stages in which more of the backbone is trained.

Kept is the epoch with the best validation score, by the moving average of its weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from curate.stage.engine import chunks
from curate.stage.errors import DataError, Diverged
from curate.stage.progress import Reporter
from curate.stage.shortness import short_repr

from .checkpoints import LAST_GOOD, Checkpoint, State
from .configs import RunConfig
from .devices import Devices
from .loading import head_of
from .models import Classifier, frozen_features, set_trainable
from .optimizers import optimizer_of
from .probing import fit_probe
from .runs import write_model
from .schedules import Plateau
from .selecting import PARTS, Watched, score
from .sets import LabelledSet

if TYPE_CHECKING:
    import keras

    from .batches import Batches

# Of the head on features, where it has more than one layer.
_HEAD_EPOCHS, _HEAD_RATE, _HEAD_BATCH = 60, 1e-3, 256
# Images that are held in memory at once for their features.
_AT_ONCE = 1024
# A row of history.csv, by its columns.
Epoch = dict[str, float]


@dataclass(frozen=True, eq=False)
class Job:
    """A model, the images that it is fitted to, and how.

    train    the images;  rows  of it that are used;  weights  float64 (K,), of the classes
    watched  what the epoch is chosen by
    seed     of everything that is drawn;  callbacks  of Keras, besides ours
    """

    classifier: Classifier
    train: LabelledSet
    rows: np.ndarray
    weights: np.ndarray
    watched: Watched
    config: RunConfig
    checkpoint: Checkpoint
    devices: Devices
    reporter: Reporter
    seed: int = 0
    callbacks: tuple[keras.callbacks.Callback, ...] = ()

    __repr__ = short_repr

    @property
    def model(self) -> keras.Model:
        return self.classifier.model


@dataclass(frozen=True)
class Stage:
    """Some epochs with the same part of the backbone trained. number counts from 1."""

    number: int
    unfreeze: float
    epochs: int
    rate: float


@dataclass
class Progress:
    """The history of a fit, which grows epoch by epoch.

    history  one row per epoch, the probe first
    best     index of the best row;  weights  of the model at that epoch
    """

    history: list[Epoch] = field(default_factory=list)
    best: int = -1
    weights: list[np.ndarray] = field(default_factory=list)

    __repr__ = short_repr

    def add(self, row: Epoch, weights: list[np.ndarray]) -> bool:
        """Add an epoch; whether it is better than all before, and thus the new best."""
        better = self.best < 0 or row["score"] > self.history[self.best]["score"]
        self.history.append(row | {"better": better})
        if better:
            self.best, self.weights = len(self.history) - 1, weights
        return better


def fit(job: Job) -> Progress:
    """Fit a model in place: at the end it has the weights of the best epoch.

    Goes on from the checkpoint where there is one. Raises Diverged where the loss is no number any more, DataError
    where a batch does not fit into memory.
    """
    reached = job.checkpoint.read()
    if reached is None:
        progress = Progress()
        if job.config.fit.probe:
            _fit_head_first(job, progress)
    else:
        with job.checkpoint.told():
            progress = _resumed(job.model, reached)
        job.reporter.say(f"resuming after stage {reached.stage}, epoch {reached.epoch}")
    for number, (unfreeze, epochs, rate) in enumerate(job.config.fit.stages, 1):
        stage = Stage(number, unfreeze, epochs, rate)
        if epochs and (reached is None or reached.stage <= number):
            _fit_stage(job, stage, reached if reached is not None and reached.stage == number else None, progress)
    return progress


def _fit_head_first(job: Job, progress: Progress) -> None:
    """The head alone, as the first row of the history."""
    started = time.perf_counter()
    fit_head(job)
    row: Epoch = (
        {"stage": 0, "epoch": 0, "loss": math.nan, "learning_rate": 0.0}
        | _watched_scores(job)
        | _seconds_since(started)
    )
    progress.add(row, job.model.get_weights())
    job.reporter.say(_epoch_line("probe", row))


def _fit_stage(job: Job, stage: Stage, reached: State | None, progress: Progress) -> None:
    """One stage, each epoch of which is scored and written down; at the end the model has the best weights."""
    from .batches import Batches
    from .losses import loss_of

    model, fitting = job.model, job.config.fit
    job.devices.check(fitting.batch)
    set_trainable(model, stage.unfreeze, fitting.batch_norm, job.classifier.fresh)
    batches = Batches(job.train, fitting, job.weights, job.seed, job.rows)
    with job.devices.scope():
        optimizer = optimizer_of(fitting, stage.rate, len(batches) * stage.epochs)
        model.compile(optimizer, loss_of(fitting), jit_compile=job.devices.jit)
        optimizer = model.optimizer  # under mixed_float16 another one about it, which scales the loss
        optimizer.build(model.trainable_variables)
    if reached is not None:
        with job.checkpoint.told():
            for variable, array in zip(optimizer.variables, reached.optimizer, strict=True):
                variable.assign(array)
    epochs_done = reached.epoch if reached is not None else 0
    plateau, waited = _plateau_after(progress.history[len(progress.history) - epochs_done :])
    for epoch in range(epochs_done + 1, stage.epochs + 1):
        if fitting.patience and waited >= fitting.patience:
            job.reporter.say(f"no better epoch in {waited}: stage {stage.number} ends")
            break
        started = time.perf_counter()
        rate = float(optimizer.learning_rate)
        batches.begin(stage.number, epoch)
        with _explaining_memory(job, batches):
            loss, weights = _fit_epoch(job, batches, stage, epoch, progress)
        row: Epoch = {"stage": stage.number, "epoch": epoch, "loss": loss, "learning_rate": rate}
        row |= _watched_scores(job) | _seconds_since(started)
        waited = 0 if progress.add(row, model.get_weights()) else waited + 1
        model.set_weights(weights)
        suffix = f" of stage {stage.number}" if len(fitting.stages) > 1 else ""
        job.reporter.say(_epoch_line(f"epoch {epoch}/{stage.epochs}{suffix}", row))
        multiplier = plateau.after(row["score"])
        if fitting.schedule == "plateau":
            optimizer.learning_rate = stage.rate * multiplier
        job.checkpoint.write(_state(model, optimizer, progress, stage.number, epoch))
    model.set_weights(progress.weights)


def _plateau_after(rows: list[Epoch]) -> tuple[Plateau, int]:
    """State of a stage after those epochs: its plateau, and the number of epochs since the best one."""
    plateau, waited = Plateau(), 0
    for row in rows:
        plateau.after(row["score"])
        waited = 0 if row["better"] else waited + 1
    return plateau, waited


def _fit_epoch(
    job: Job, batches: Batches, stage: Stage, epoch: int, progress: Progress
) -> tuple[float, list[np.ndarray]]:
    """The mean loss of one epoch, and the weights at its end; the model has their moving average then, if there is one.

    Raises Diverged, after the last good weights have been saved.
    """
    import keras

    size = job.config.fit.batch
    bad_steps: list[int] = []
    end_weights: list[list[np.ndarray]] = []
    with job.reporter.stage(f"epoch {epoch}/{stage.epochs}", len(batches) * size, "images") as advance:

        def after(step: int, logs: dict[str, float] | None = None) -> None:
            advance((step + 1) * size)
            if not math.isfinite((logs or {}).get("loss", 0.0)):
                bad_steps.append(step + 1)
                job.model.stop_training = True

        # At the end of a fit Keras puts the moving average in the place of the weights.
        listener = keras.callbacks.LambdaCallback(
            on_train_batch_end=after, on_epoch_end=lambda epoch, logs: end_weights.append(job.model.get_weights())
        )
        with job.devices.scope():  # JAX shares a batch out only there
            # Counted over all stages, for TensorBoard draws by that.
            epochs_done = sum(row["stage"] > 0 for row in progress.history)
            log = job.model.fit(
                batches, initial_epoch=epochs_done, epochs=epochs_done + 1, verbose=0, shuffle=False,
                callbacks=[listener, *job.callbacks],
            )  # fmt: skip
        # The average and the optimizer's own are one array on JAX, which the next step would free.
        job.model.set_weights(job.model.get_weights())
    if bad_steps:
        position = f"stage {stage.number}, epoch {epoch}, step {bad_steps[0]} of {len(batches)}"
        raise Diverged(
            f"the loss became NaN or infinite at {position}. "
            f"Lower --learning-rate, which is {stage.rate:g}.{_last_good(job, progress)}"
        )
    return float(log.history["loss"][0]), end_weights[0]


def _last_good(job: Job, progress: Progress) -> str:
    """A sentence on where the best weights so far are, once they are there."""
    if not progress.weights:
        return ""
    job.model.set_weights(progress.weights)
    kept = job.checkpoint.folder / LAST_GOOD
    write_model(job.model, kept)
    row = progress.history[progress.best]
    name = "the probe" if not row["stage"] else f"stage {row['stage']}, epoch {row['epoch']}"
    return f" The weights of {name} are in {kept}."


def fit_head(job: Job) -> None:
    """Fit the head alone, on features that are computed once: a linear one to the optimum, others by steps."""
    started = time.perf_counter()
    features_of = frozen_features(job.classifier, job.config.workers)
    train_features = features(job.train, job.rows, features_of, job.reporter)
    seconds = time.perf_counter() - started
    with job.reporter.stage("features of val", None, ""):
        watched_features = features_of(job.watched.images)
    targets = job.train.targets(job.rows)
    weights = targets @ job.weights
    head = head_of(job.model)

    def score_of(logits: np.ndarray) -> float:
        return score(job.watched.scores(_softmax(logits)), job.config.fit.select)

    def score_of_head() -> float:
        return score_of(np.asarray(head.predict(watched_features, verbose=0)))

    with job.reporter.stage("fitting the probe", None, ""):
        if job.config.model.dense:
            _fit_deep(head, train_features, targets, weights, score_of_head, job.config)
        else:
            probe = fit_probe(train_features, targets, weights, lambda probe: score_of(probe(watched_features)))
            head.get_layer("logits").set_weights([probe.kernel, probe.bias])
    job.reporter.say(
        f"probe on {len(train_features):,} images: {time.perf_counter() - started:.1f} s, "
        f"{seconds:.1f} of them for their features ({len(train_features) / seconds:,.0f} a second)"
    )


def features(
    images: LabelledSet, rows: np.ndarray, features_of: Callable[[np.ndarray], np.ndarray], reporter: Reporter
) -> np.ndarray:
    """float32 (n, C): the features of those rows, some at a time."""
    pieces = []
    with reporter.stage("features", len(rows), "images") as advance:
        for part in chunks(len(rows), _AT_ONCE):
            pieces.append(features_of(images.batch(rows[part.start : part.stop])))
            advance(part.stop)
    return np.concatenate(pieces)


def _fit_deep(
    head: keras.Model,
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    score_of_head: Callable[[], float],
    config: RunConfig,
) -> None:
    """Fit a head of several layers to features, and keep the best of the weights that are tried in between."""
    import keras

    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.fit.label_smoothing)
    head.compile(keras.optimizers.Adam(_HEAD_RATE), loss, jit_compile=False)
    best, kept = -math.inf, head.get_weights()
    for _ in range(_HEAD_EPOCHS // 5):
        head.fit(features, targets, sample_weight=weights, batch_size=_HEAD_BATCH, epochs=5, verbose=0)
        value = score_of_head()
        if value > best:
            best, kept = value, head.get_weights()
    head.set_weights(kept)


def _watched_scores(job: Job) -> Epoch:
    """The scores of a model on what it is watched on, and the one that counts."""
    images, size = job.watched.images, job.config.fit.batch
    starts = range(0, len(images), size)
    # Under MirroredStrategy every device answers for the whole batch.
    pieces = []
    with job.reporter.stage("scoring", len(images), "images") as advance:
        for s in starts:
            part = images[s : s + size]
            pieces.append(np.asarray(job.model.predict_on_batch(part))[: len(part)])
            advance(s + len(part))
    scores = job.watched.scores(np.concatenate(pieces))
    counts = score(scores, job.config.fit.select)
    return {f"val_{name}": value for name, value in scores.items()} | {"score": counts}


def _state(model: keras.Model, optimizer: keras.Optimizer, progress: Progress, stage: int, epoch: int) -> State:
    return State(
        stage,
        epoch,
        [np.asarray(variable) for variable in model.variables],
        [np.asarray(variable) for variable in optimizer.variables],
        progress.weights,
        {"history": progress.history, "best": progress.best},
    )


def _resumed(model: keras.Model, state: State) -> Progress:
    """The progress of an interrupted fit; its variables are put into the model."""
    for variable, array in zip(model.variables, state.model, strict=True):
        variable.assign(array)
    history, best = cast(list[Epoch], state.facts["history"]), cast(int, state.facts["best"])
    if not (0 <= best < len(history) and [w.shape for w in state.best] == [w.shape for w in model.get_weights()]):
        raise ValueError("its best weights are of another model")
    return Progress(list(history), best, list(state.best))


@contextmanager
def _explaining_memory(job: Job, batches: Batches) -> Iterator[None]:
    """Turns a backend's out-of-memory error into a DataError that names the batch size that fits."""
    try:
        yield
    except Exception as error:
        if not _is_memory(error):
            raise
        together = 3 if job.config.fit.jsd else 1  # an image with two copies of it
        size = job.config.fit.batch // together // 2 * together
        while size and not _batch_fits(job.model, batches, size):
            size = size // together // 2 * together
        advice = (
            f"{size} images fit: --batch {size}" if size else "not even one image fits: take a smaller --input-size"
        )
        raise DataError(f"a batch of {job.config.fit.batch} images does not fit into memory; {advice}.") from error


def _is_memory(error: BaseException) -> bool:
    """Whether a backend has run out of memory: TensorFlow, JAX and PyTorch each say it in a way of their own."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
        or "RESOURCE_EXHAUSTED" in str(error)
    )


def _batch_fits(model: keras.Model, batches: Batches, size: int) -> bool:
    images, targets, weights = batches[0]
    try:
        model.train_on_batch(images[:size], targets[:size], weights[:size])
    except Exception as error:
        if not _is_memory(error):
            raise
        return False
    return True


def _epoch_line(title: str, row: Epoch) -> str:
    """One line of progress: loss, scores and seconds of an epoch."""
    loss = "" if math.isnan(row["loss"]) else f"loss {row['loss']:.3f}  "
    scores = {part: row[f"val_{part}"] for part in PARTS if f"val_{part}" in row}
    if len(scores) > 1:  # which is what the epochs are compared by
        scores["mean"] = row["score"]
    parts = "  ".join(f"{part} {value:.3f}" for part, value in scores.items())
    return f"  {title:<14}  {loss}val: {parts}  ({row.get('seconds', 0):.0f} s)"


def _seconds_since(started: float) -> dict[str, float]:
    return {"seconds": round(time.perf_counter() - started, 1)}


def _softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1))
