"""Fits of a very small network to a few coloured squares; where a test is about scores, they are dictated."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import train.backbones
import train.fitting
from curate.stage.errors import DataError, Diverged
from train.checkpoints import LAST_GOOD, Checkpoint
from train.configs import FitConfig, ModelConfig, RunConfig
from train.devices import Devices, devices_of
from train.fitting import Job, Progress, features, fit, fit_head
from train.models import backbones_of, build_model, frozen_features, head_of, load_model
from train.selecting import Watched
from train.sets import LabelledSet

pytestmark = [
    # Of Keras, when it reads a variable of TensorFlow with NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Of TensorFlow, see `eager`: how Keras feeds it is traced all the same.
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly:UserWarning"),
]

SIDE = 16
CLASSES = ("crimson", "jade", "violet")
COLOURS = np.array([[200, 40, 60], [50, 160, 90], [110, 60, 190]])


class Killed(Exception):
    """What a kill leaves behind is what this does: nothing more is written."""


class Listener:
    """Keeps what is said and how far each stage has come, and is killed when it hears a word."""

    def __init__(self, until: str = "") -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[str, int]] = []
        self.until = until

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator:
        yield lambda done: self.steps.append((name, done))

    def say(self, line: str) -> None:
        self.lines.append(line)
        if self.until and self.until in line:
            raise Killed


@dataclass(frozen=True, eq=False)
class Dictated(Watched):
    """Gives each epoch the score that is next, and keeps the weights that the model has then."""

    script: list[float] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)
    snapshots: list[list[np.ndarray]] = field(default_factory=list)

    def scores(self, probabilities: np.ndarray) -> dict[str, float]:
        self.snapshots.append(self.models[0].get_weights())
        return {"clean": self.script[len(self.snapshots) - 1], "loss": 0.0}


class Steps(keras.callbacks.Callback):
    """Keeps what a model is like before and after each step, and the numbers of its epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[int] = []
        self.before: list[list[np.ndarray]] = []
        self.after: list[list[np.ndarray]] = []
        self.learning: list[tuple[str, ...]] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epochs.append(epoch)
        (network,) = backbones_of(self.model)
        self.learning.append(tuple(layer.name for layer in network.layers if layer.trainable_weights))

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.before.append(self.model.get_weights())

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.after.append(self.model.get_weights())


def squares(name: str, count: int, seed: int) -> LabelledSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = COLOURS[labels][:, None, None, :] + rng.normal(0, 12, (count, SIDE, SIDE, 3))
    return LabelledSet(
        name, name, np.clip(images, 0, 255).astype(np.uint8), labels, None, tuple(f"{name} {i}" for i in range(count)),
        np.array([f"{name} {i}" for i in range(count)]), np.arange(count), np.zeros(count, np.int64), CLASSES,
    )  # fmt: skip


TRAIN, VAL = squares("train", 24, 0), squares("val", 12, 1)


def watched_val() -> Watched:
    return Watched(VAL.batch(np.arange(len(VAL))), VAL.labels, np.zeros(len(VAL), int), np.zeros(len(VAL), int))


@pytest.fixture(autouse=True)
def eager():
    """Few steps of a small network: to trace them takes TensorFlow longer than to do them."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def job_of(tmp_path, monkeypatch):
    """job_of(listener, scores, callbacks, model options, fit options): a job with a new model, the same each time."""
    monkeypatch.setattr(train.backbones, "_CHANNELS", (4, 8))

    def job_of(
        *,
        listener: Listener | None = None,
        scores: list[float] | None = None,
        callbacks: tuple = (),
        model: dict | None = None,
        name: str = "fit",
        **options,
    ) -> Job:
        usual = {
            "probe": False, "epochs": (2,), "batch": 12, "learning_rate": (3e-3,), "unfreeze": (1.0,),
            "optimizer": "sgd", "schedule": "constant", "batch_norm": "train", "ema": 0.0, "clip": 0.0,
        }  # fmt: skip
        network = ModelConfig(**({"backbone": ("cnn",), "input_size": 2 * SIDE} | (model or {})))
        config = RunConfig(network, FitConfig(**(usual | options)), workers=1)
        keras.utils.set_random_seed(0)
        classifier = build_model(network, (SIDE, SIDE), len(CLASSES))
        watched = watched_val()
        if scores is not None:
            watched = Dictated(**vars(watched), script=scores, models=[classifier.model])
        (tmp_path / name).mkdir(exist_ok=True)
        return Job(
            classifier, TRAIN, np.arange(len(TRAIN)), np.ones(3), watched, config,
            Checkpoint(tmp_path / name, "key"), devices_of("one"), listener or Listener(), 0, callbacks,
        )  # fmt: skip

    return job_of


def equal_weights(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(first, second, strict=True))


def without_seconds(progress: Progress) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in progress.history]


# The probe


def test_without_epochs_the_head_is_fitted_and_the_backbone_stays_as_it_is(job_of):
    job = job_of(probe=True, epochs=(0,))
    before = backbones_of(job.model)[0].get_weights()
    progress = fit(job)
    assert [(row["stage"], row["epoch"], row["better"]) for row in progress.history] == [(0, 0, True)]
    assert np.isnan(progress.history[0]["loss"])
    assert progress.history[0]["val_clean"] > 0.9
    assert equal_weights(backbones_of(job.model)[0].get_weights(), before)
    assert equal_weights(job.model.get_weights(), progress.weights)
    assert not job.checkpoint.path.exists()


def test_without_a_probe_the_first_row_is_an_epoch(job_of):
    listener = Listener()
    progress = fit(job_of(listener=listener))
    assert [(row["stage"], row["epoch"]) for row in progress.history] == [(1, 1), (1, 2)]
    assert not any("probe" in line for line in listener.lines)


def test_a_linear_head_is_fitted_to_the_optimum_whatever_it_began_with(job_of):
    first, second = job_of(probe=True), job_of(probe=True)
    logits = head_of(second.model).get_layer("logits")
    logits.set_weights([np.ones_like(array) for array in logits.get_weights()])
    for job in (first, second):
        fit_head(job)
    assert equal_weights(first.model.get_weights(), second.model.get_weights())


def test_of_a_head_of_several_layers_the_best_look_is_kept(job_of, monkeypatch):
    monkeypatch.setattr(train.fitting, "_HEAD_EPOCHS", 15)
    job = job_of(model={"dense": (6,)}, scores=[0.2, 0.9, 0.5])
    (network,) = backbones_of(job.model)
    before = network.get_weights()
    fit_head(job)
    assert len(job.watched.snapshots) == 3
    assert equal_weights(job.model.get_weights(), job.watched.snapshots[1])
    assert not equal_weights(job.model.get_weights(), job.watched.snapshots[2])
    assert equal_weights(network.get_weights(), before)


def test_features_are_those_of_the_rows_in_their_order_some_at_a_time(job_of, monkeypatch):
    monkeypatch.setattr(train.fitting, "_AT_ONCE", 5)
    listener = Listener()
    features_of = frozen_features(job_of().classifier, 1)
    rows = np.array([7, 3, 3, 20, 11, 0, 9])
    values = features(TRAIN, rows, features_of, listener)
    np.testing.assert_allclose(values, features_of(TRAIN.batch(rows)), atol=1e-5)
    assert values.dtype == np.float32
    assert listener.steps == [("features", 5), ("features", 7)]


# Stages and epochs


def test_a_fit_learns_and_says_how_far_it_is(job_of):
    listener = Listener()
    job = job_of(listener=listener, epochs=(4,), learning_rate=(0.05,), flips="none")
    progress = fit(job)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    assert progress.history[progress.best]["val_clean"] > 0.9
    assert [line.split()[:2] for line in listener.lines] == [["epoch", f"{epoch}/4"] for epoch in range(1, 5)]
    assert listener.steps[:2] == [("epoch 1/4", 12), ("epoch 1/4", 24)]


def test_each_stage_lets_its_share_of_the_backbone_learn(job_of):
    steps = Steps()
    job = job_of(
        epochs=(1, 1, 1), unfreeze=(0.0, 0.5, 1.0), batch_norm="frozen", callbacks=(steps,), scores=[0.1, 0.2, 0.3]
    )
    fit(replace(job, classifier=replace(job.classifier, fresh=())))
    assert steps.learning == [(), ("conv_2",), ("conv_1", "conv_2")]
    each = len(steps.before) // 3
    for stage, kernels in enumerate((set(), {"conv_2"}, {"conv_1", "conv_2"})):
        before, after = steps.before[stage * each], steps.after[(stage + 1) * each - 1]
        changed = {
            variable.path.split("/")[-2]
            for variable, was, now in zip(job.model.weights, before, after, strict=True)
            if not np.array_equal(was, now)
        }
        assert changed == kernels | {"logits"}


def test_a_backbone_that_begins_from_nothing_learns_whole_in_every_stage(job_of):
    steps = Steps()
    fit(job_of(epochs=(1,), unfreeze=(0.0,), batch_norm="frozen", callbacks=(steps,)))
    assert len(steps.learning[0]) == 4  # two convolutions, and their normalisation


def test_epochs_are_counted_over_all_stages_for_whoever_listens(job_of):
    steps = Steps()
    progress = fit(job_of(probe=True, epochs=(2, 0, 1), callbacks=(steps,)))
    assert steps.epochs == [0, 1, 2]
    assert [(row["stage"], row["epoch"]) for row in progress.history] == [(0, 0), (1, 1), (1, 2), (3, 1)]


def test_a_stage_has_its_own_learning_rate(job_of):
    progress = fit(job_of(epochs=(1, 1), learning_rate=(1e-3, 1e-4)))
    assert [row["learning_rate"] for row in progress.history] == pytest.approx([1e-3, 1e-4])


def test_on_a_plateau_the_rate_falls(job_of):
    progress = fit(job_of(epochs=(5,), schedule="plateau", scores=[0.9, *[0.5] * 4]))
    rates = [row["learning_rate"] for row in progress.history]
    assert rates[0] == pytest.approx(3e-3)
    assert rates[-1] < rates[0]
    assert rates == sorted(rates, reverse=True)


# Which weights are kept


@pytest.mark.parametrize(
    ("scores", "best"), [([0.2, 0.8, 0.5], 1), ([0.8, 0.5, 0.2], 0), ([0.2, 0.5, 0.8], 2), ([0.5, 0.5, 0.5], 0)]
)
def test_the_epoch_that_scored_best_is_kept_the_first_of_equals(job_of, scores, best):
    job = job_of(epochs=(3,), scores=scores)
    progress = fit(job)
    assert progress.best == best
    assert [row["score"] for row in progress.history] == scores
    assert equal_weights(job.model.get_weights(), job.watched.snapshots[best])
    assert equal_weights(progress.weights, job.watched.snapshots[best])


def test_a_later_stage_begins_from_the_best_epoch_of_all_before(job_of):
    steps = Steps()
    job = job_of(epochs=(2, 1), scores=[0.8, 0.5, 0.3], callbacks=(steps,))
    fit(job)
    assert equal_weights(steps.before[2 * 2], job.watched.snapshots[0])
    assert equal_weights(job.model.get_weights(), job.watched.snapshots[0])


def test_the_moving_average_is_what_is_scored_and_the_fit_goes_on_from_the_weights_themselves(job_of):
    steps = Steps()
    job = job_of(epochs=(2,), ema=0.8, scores=[0.5, 0.6], callbacks=(steps,))
    fit(job)
    each = len(steps.before) // 2
    assert equal_weights(steps.before[each], steps.after[each - 1])
    average = steps.after[0]
    averages = [average]
    for weights in steps.after[1:]:
        average = [0.8 * mean + 0.2 * value for mean, value in zip(average, weights, strict=True)]
        averages.append(average)
    learning = {variable.path for variable in job.model.trainable_variables}
    for epoch in range(2):
        snapshot, expected = job.watched.snapshots[epoch], averages[(epoch + 1) * each - 1]
        for variable, value, mean in zip(job.model.weights, snapshot, expected, strict=True):
            if variable.path in learning:
                np.testing.assert_allclose(value, mean, atol=1e-6)
    assert not equal_weights(job.watched.snapshots[0], steps.after[each - 1])


def test_without_a_moving_average_the_weights_themselves_are_scored(job_of):
    steps = Steps()
    job = job_of(epochs=(1,), scores=[0.5], callbacks=(steps,))
    fit(job)
    assert equal_weights(job.watched.snapshots[0], steps.after[-1])


# Patience


def test_a_stage_ends_after_so_many_epochs_without_a_better_one(job_of):
    listener = Listener()
    job = job_of(epochs=(6, 6), patience=1, scores=[0.5, 0.6, 0.6, 0.7, 0.3], listener=listener)
    progress = fit(job)
    epochs = [(row["stage"], row["epoch"]) for row in progress.history]
    assert epochs == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    ends = [line for line in listener.lines if line.startswith("no better")]
    assert ends == ["no better epoch in 1: stage 1 ends", "no better epoch in 1: stage 2 ends"]
    assert progress.best == 3


def test_without_patience_every_epoch_is_fitted(job_of):
    assert len(fit(job_of(epochs=(3,), scores=[0.9, 0.1, 0.1])).history) == 3


# Going on after a kill


def goes_on_as_if_nothing_had_been(job_of, word: str, epochs: tuple[int, ...]) -> None:
    """A fit that is killed at these words, before the checkpoint of that epoch is written, against one that is not."""
    options = {"probe": True, "epochs": epochs, "ema": 0.9, "mixup": 0.2, "schedule": "cosine"}
    whole = job_of(name="whole", **options)
    expected = fit(whole)
    with pytest.raises(Killed):
        fit(job_of(name="killed", listener=Listener(until=word), **options))
    listener = Listener()
    job = job_of(name="killed", listener=listener, **options)
    progress = fit(job)
    assert any(line.startswith("resuming after stage") for line in listener.lines)
    assert without_seconds(progress)[1:] == without_seconds(expected)[1:]
    assert progress.best == expected.best
    assert equal_weights(job.model.get_weights(), whole.model.get_weights())


def test_a_fit_that_was_killed_within_a_stage_goes_on_as_if_nothing_had_been(job_of):
    goes_on_as_if_nothing_had_been(job_of, "epoch 2/2", (2,))


@pytest.mark.slow
@pytest.mark.parametrize("word", ["epoch 2/2 of stage 1", "epoch 1/2 of stage 2", "epoch 2/2 of stage 2"])
def test_a_fit_of_several_stages_that_was_killed_goes_on_as_if_nothing_had_been(job_of, word):
    goes_on_as_if_nothing_had_been(job_of, word, (2, 2))


def test_a_fit_that_was_done_is_not_fitted_again(job_of):
    first = job_of(epochs=(1, 2))
    expected = fit(first)
    steps = Steps()
    again = job_of(epochs=(1, 2), callbacks=(steps,))
    progress = fit(again)
    assert not steps.epochs
    assert progress.history == expected.history
    assert equal_weights(again.model.get_weights(), first.model.get_weights())


def test_patience_is_remembered_over_a_kill(job_of):
    scores = [0.9, 0.5, 0.4, 0.3]
    with pytest.raises(Killed):
        fit(job_of(epochs=(4,), patience=2, scores=scores, listener=Listener(until="epoch 3/4")))
    progress = fit(job_of(epochs=(4,), patience=2, scores=scores[2:]))
    assert [row["epoch"] for row in progress.history] == [1, 2, 3]


def test_a_checkpoint_of_another_fit_is_refused(job_of):
    job = job_of(epochs=(1,))
    fit(job)
    with pytest.raises(DataError, match="other options or on another built set"):
        fit(replace(job, checkpoint=replace(job.checkpoint, key="another")))


# What goes wrong


def test_a_loss_that_is_no_number_ends_the_fit_with_the_last_good_weights_beside_it(job_of):
    job = job_of(probe=True, epochs=(3,), learning_rate=(1e30,))
    with pytest.raises(Diverged, match=r"stage 1, epoch \d, step \d of 2\. Lower --learning-rate, which is 1e\+30\."):
        fit(job)
    last_good = load_model(job.checkpoint.folder / LAST_GOOD)
    assert all(np.isfinite(array).all() for array in last_good.get_weights())
    assert equal_weights(last_good.get_weights(), job.model.get_weights())


def test_where_nothing_was_good_yet_no_weights_are_told_of(job_of):
    job = replace(job_of(epochs=(1,)), train=replace(TRAIN, soft=np.full((len(TRAIN), 3), np.nan, np.float32)))
    with pytest.raises(Diverged) as caught:
        fit(job)
    assert str(caught.value).endswith("Lower --learning-rate, which is 0.003.")
    assert not list(Path(job.checkpoint.folder).iterdir())


def of_kind(name: str) -> type[Exception]:
    return type(name, (Exception,), {})


FOUR_FIT = (5, {"batch": 8}, "a batch of 8 images does not fit into memory; 4 images fit: --batch 4")


@pytest.mark.parametrize(
    ("error", "most", "options", "words"),
    [
        (MemoryError(), *FOUR_FIT),
        (of_kind("ResourceExhaustedError")("OOM when allocating tensor"), *FOUR_FIT),
        (of_kind("OutOfMemoryError")("CUDA out of memory"), *FOUR_FIT),
        (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), *FOUR_FIT),
        (MemoryError(), 0, {}, "not even one image fits: take a smaller --input-size"),
        (MemoryError(), 4, {"batch": 12, "jsd": 1.0}, "of 12 images does not fit into memory; 3 images fit: --batch 3"),
    ],
    ids=["any", "tensorflow", "torch", "jax", "none", "with-copies"],
)
def test_a_batch_that_does_not_fit_into_memory_is_told_with_one_that_does(
    job_of, monkeypatch, error, most, options, words
):
    def fails(self, batches, *args, **options):
        raise error

    def fits_some(self, images, *args, **options):
        if len(images) > most:
            raise error

    monkeypatch.setattr(keras.Model, "fit", fails)
    monkeypatch.setattr(keras.Model, "train_on_batch", fits_some)
    job = job_of(**options)
    if "jsd" in options:
        sources = np.repeat(TRAIN.sources[:8], 3)
        job = replace(job, train=replace(TRAIN, sources=sources, copies=np.tile([0, 1, 2], 8)))
    with pytest.raises(DataError, match=words):
        fit(job)


def test_any_other_error_is_passed_on(job_of, monkeypatch):
    def fails(self, batches, *args, **options):
        raise RuntimeError("something else")

    monkeypatch.setattr(keras.Model, "fit", fails)
    with pytest.raises(RuntimeError, match="something else"):
        fit(job_of())


def test_a_batch_that_devices_cannot_share_is_refused_before_it_is_fitted(job_of):
    steps = Steps()
    job = replace(job_of(callbacks=(steps,)), devices=Devices("5 CPUs", 5, False))
    with pytest.raises(DataError, match="cannot be shared evenly by 5 CPUs"):
        fit(job)
    assert not steps.epochs


# Progress


def test_progress_keeps_the_best_row_and_its_weights():
    progress = Progress()
    assert progress.add({"score": 0.5}, [np.array(1)])
    assert not progress.add({"score": 0.5}, [np.array(2)])
    assert progress.add({"score": 0.7}, [np.array(3)])
    assert (progress.best, progress.weights) == (2, [np.array(3)])
    assert [row["better"] for row in progress.history] == [True, False, True]


def test_the_line_of_an_epoch_has_the_number_that_epochs_are_compared_by():
    row = {
        "loss": 0.5,
        "val_clean": 0.9,
        "val_corruptions": 0.651,
        "val_composed": 0.426,
        "score": 0.659,
        "seconds": 2.0,
    }
    line = "val: clean 0.900  corruptions 0.651  composed 0.426  mean 0.659  (2 s)"
    assert train.fitting._epoch_line("epoch 1/3", row) == f"  epoch 1/3       loss 0.500  {line}"
    alone = {"loss": 0.5, "val_clean": 0.9, "score": 0.9}
    assert train.fitting._epoch_line("epoch 1/3", alone) == "  epoch 1/3       loss 0.500  val: clean 0.900  (0 s)"
