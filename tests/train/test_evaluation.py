import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from manifests import finish_run
from metrics import run_metrics

from curate.sets.scaling import INTEGERS, Scale
from curate.stage.errors import DataError, UnknownName
from curate.stage.progress import Advance
from curate.stage.records import record_of, record_text
from train.configs import EvaluateConfig, ModelConfig
from train.evaluation import Evaluation, evaluate, measured, metrics_of, predict_sets, selection_scores
from train.inputs import inputs_of
from train.measures import measures
from train.metrics import Metrics, PredictionFacts, Selection, SetMeasures, write_metrics
from train.predicting import VIEWS, Predictor
from train.predictions import predictions_of, tracks_of
from train.sets import BuiltSets, read_built

# Keras' own way of reading a variable of TensorFlow, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

QUICK = EvaluateConfig(resamples=50)


@pytest.fixture(scope="module")
def sets(built: Path) -> BuiltSets:
    return read_built(built)


@pytest.fixture(scope="module")
def predictor(sets: BuiltSets) -> Predictor:
    """Takes a picture for the class whose colour in the middle of clean training pictures is nearest to its own."""

    def middle(images: np.ndarray) -> np.ndarray:
        return images[:, 12:20, 12:20].mean(axis=(1, 2), dtype=np.float32)

    train = sets.train.take(np.flatnonzero(sets.train.copies == 0))
    colours = middle(train.batch(range(len(train))))
    typical = np.stack([colours[train.labels == code].mean(axis=0) for code in range(3)])

    def forward(images: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(middle(images)[:, None] - typical, axis=2)
        shares = np.exp((away.min(axis=1, keepdims=True) - away) / 20)
        return shares / shares.sum(axis=1, keepdims=True)

    return Predictor(forward, (32, 32), sets.classes, VIEWS["none"], None, 2, "keras")


@pytest.fixture
def elsewhere(sets: BuiltSets, tmp_path: Path) -> Path:
    """An .npz with two of the classes, in another order, of pictures of another size."""
    test = sets.test.take(np.flatnonzero(sets.test.labels < 2))
    images = test.batch(range(len(test))).repeat(2, axis=1).repeat(2, axis=2)
    path = tmp_path / "elsewhere.npz"
    np.savez(path, images=images, labels=np.array(sets.classes)[test.labels])
    return path


def of_build(predictor: Predictor, sets: BuiltSets, config: EvaluateConfig) -> Evaluation:
    """A model on a build and whatever else the configuration names."""
    return measured(predictor, inputs_of(sets, config), config)


@pytest.fixture(scope="module")
def found(predictor: Predictor, sets: BuiltSets):
    return of_build(predictor, sets, QUICK)


class Told:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, str]] = []
        self.done: list[int] = []

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        self.stages.append((name, total, unit))
        yield self.done.append

    def say(self, line: str) -> None:
        raise AssertionError(line)


def test_every_image_of_val_test_and_the_benchmark_is_predicted_once(found, sets):
    table = found.predictions
    everything = [sets.val, sets.test, *sets.benchmark]
    assert len(table) == sum(map(len, everything))
    assert not table.duplicated(["set", "id"]).any()
    assert list(dict.fromkeys(table["set"])) == [one.name for one in everything]
    fog = table[table["set"] == "fog-3"]
    assert fog["source"].tolist() == list(sets.test.ids)
    assert np.allclose(table[["p0", "p1", "p2"]].sum(axis=1), 1)


def test_the_measures_are_those_of_the_predictions(found, sets):
    table = found.predictions
    test = table[table["set"] == "test"]
    told = measures(test["label"].to_numpy(), test[["p0", "p1", "p2"]].to_numpy(), sets.classes)
    clean = found.metrics.clean
    assert replace(clean, interval=told.interval, intervals=told.intervals) == told
    low, high = found.metrics.clean.interval
    assert low <= found.metrics.clean.accuracy <= high
    assert set(found.metrics.clean.intervals) == {"balanced_accuracy", "macro_f1"}
    right = table["label"] == table[["p0", "p1", "p2"]].to_numpy().argmax(axis=1)
    of_set = right.groupby(table["set"]).mean()
    benchmark = found.metrics.benchmark
    assert benchmark.corruptions["fog"].severities == {"1": of_set["fog-1"], "3": of_set["fog-3"]}
    names = ["fog-1", "fog-3", "gaussian_noise-1", "gaussian_noise-3"]
    assert benchmark.mean_accuracy == pytest.approx(of_set[names].mean())
    assert benchmark.composed["composed-2"].accuracy == of_set["composed-2"]
    assert benchmark.clean_accuracy == of_set["test"]


def test_metrics_are_made_of_predictions_and_what_the_sets_are_of_alone(found, sets):
    told = record_of(Metrics, json.loads(record_text(found.metrics)), "metrics", "")
    again = metrics_of(predictions_of(found.predictions, tracks_of(told)), sets.classes, QUICK.resamples, 0)
    assert replace(found.metrics, slices=None, prediction=None) == again


def test_sets_to_select_by_are_told_of_in_selection_only(found):
    selection = found.metrics.selection
    assert set(found.metrics.benchmark.corruptions) == {"fog", "gaussian_noise"}
    assert set(selection.corruptions) == {"speckle_noise"}
    assert set(selection.composed) == {"composed-2-validation"}
    parts = [
        found.metrics.val.accuracy, selection.mean_accuracy,
        selection.composed["composed-2-validation"].accuracy,
    ]  # fmt: skip
    assert list(selection.scores.values()) == pytest.approx(parts)
    assert selection.score == pytest.approx(np.mean(parts))


def test_the_score_to_select_by_does_not_look_at_the_test(found):
    answers = predictions_of(found.predictions, tracks_of(found.metrics))
    test = np.isin(answers.sets, [i for i, track in enumerate(answers.tracks) if track.role == "test"])
    spoilt = replace(answers, probabilities=np.where(test[:, None], 1 / 3, answers.probabilities).astype(np.float32))
    assert selection_scores(spoilt) == selection_scores(answers)


def test_calibration_is_learned_on_val_and_told_of_every_kind_of_set(found):
    told = found.metrics.calibration
    assert told.temperature > 0
    assert set(told.sets) == {"val", "clean", "benchmark", "composed-2"}
    assert told.sets["clean"].ece == found.metrics.clean.ece
    assert sum(told.sets["benchmark"].reliability.images) == 4 * 24


def test_slices_are_those_of_the_scan_that_the_set_was_built_from(predictor, own_built):
    found = of_build(predictor, read_built(own_built), QUICK)
    assert [one.slice for one in found.metrics.slices] == ["in_group"]  # of the others there are three in test
    assert found.metrics.slices[0].images == 6
    assert found.notes == ()
    (own_built / "scan" / "findings.parquet").unlink()
    without = of_build(predictor, read_built(own_built), QUICK)
    assert without.metrics.slices == ()
    assert "no finished scan" in without.notes[0]


def test_without_a_benchmark_there_is_none_in_the_metrics(predictor, sets):
    found = of_build(predictor, sets, replace(QUICK, benchmark=False))
    assert found.metrics.benchmark is None
    assert list(found.metrics.sets) == ["val", "test"]
    assert found.metrics.selection.scores == {"clean": found.metrics.val.accuracy}


def test_a_set_from_elsewhere_is_measured_with_its_classes_by_name(predictor, sets, elsewhere):
    found = of_build(predictor, sets, replace(QUICK, benchmark=False, external=(str(elsewhere),)))
    told = found.metrics.external["elsewhere.npz"]
    assert told.images == 16
    assert told.accuracy > 0.8
    assert told.auc is None
    assert told.per_class[sets.classes[2]].support == 0
    assert "elsewhere.npz" in found.metrics.calibration.sets
    assert any("resized to 32x32" in note for note in found.notes)


def test_a_dim_set_from_elsewhere_is_read_by_the_scale_of_the_build_which_the_metrics_keep(predictor, sets, tmp_path):
    scale = {INTEGERS: Scale(0, 4095, 12)}
    fitted = replace(sets, manifest=replace(sets.manifest, scale=scale))
    values = sets.test.batch(range(8)).astype(np.uint16) * 2  # an eighth of what the camera holds
    np.savez(tmp_path / "dim.npz", images=values)
    found = of_build(predictor, fitted, replace(QUICK, benchmark=False, external=(str(tmp_path / "dim.npz"),)))
    assert found.metrics.scale == scale
    assert any(
        note.startswith("dim.npz: values are read by the scale of the model, 12 bit (0 to 4,095); they run from")
        for note in found.notes
    )


def test_sets_from_elsewhere_of_one_name_are_told_apart(predictor, sets, elsewhere, tmp_path):
    paths = []
    for folder, name in (("a", "elsewhere.npz"), ("b", "elsewhere.npz"), ("c", "test"), ("d", "clean")):
        place = tmp_path / folder
        place.mkdir()
        paths.append(str(place / name))
        if name.endswith(".npz"):
            (place / name).write_bytes(elsewhere.read_bytes())
        else:
            _write_folder(place / name, sets)
    found = of_build(predictor, sets, replace(QUICK, benchmark=False, external=tuple(paths)))
    assert list(found.metrics.external) == ["elsewhere.npz", "elsewhere.npz 2", "test 2", "clean 2"]
    assert (found.predictions["set"] == "test 2").sum() == 3


def _write_folder(folder: Path, sets: BuiltSets) -> None:
    import cv2

    for code, name in enumerate(sets.classes):
        row = int(np.flatnonzero(sets.test.labels == code)[0])
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "a.png"), sets.test.batch([row])[0][..., ::-1])


def test_errors_are_told_relative_to_those_of_a_run(predictor, found, sets, own_built):
    folder = own_built / "runs" / "plain"
    folder.mkdir(parents=True)
    write_metrics(run_metrics(found.metrics), folder)
    finish_run(folder)
    own = read_built(own_built)
    relative = of_build(predictor, own, replace(QUICK, baseline="plain")).metrics.benchmark.baseline
    assert relative.run == "plain"
    assert relative.mce == pytest.approx(1)
    with pytest.raises(DataError, match="no benchmark is measured"):
        of_build(predictor, own, replace(QUICK, baseline="plain", benchmark=False))
    with pytest.raises(DataError, match="There are: plain"):
        of_build(predictor, own, replace(QUICK, baseline="plane"))


def test_predicting_is_reported_image_by_image(predictor, sets):
    told = Told()
    predict_sets(predictor, [sets.val, sets.test], told)
    assert told.stages == [("predicting", 42, "images")]
    assert told.done[-1] == 42
    assert told.done == sorted(told.done)


def test_the_number_of_threads_changes_nothing(predictor, sets):
    one, three = (predict_sets(replace(predictor, workers=workers), [sets.val, sets.test]) for workers in (1, 3))
    assert np.array_equal(one.probabilities, three.probabilities)


def test_a_model_that_gives_no_numbers_is_refused(predictor, sets):
    def forward(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), np.nan, np.float32)

    with pytest.raises(DataError, match="no numbers for 24 of 24 images"):
        predict_sets(replace(predictor, forward=forward), [sets.test])


@pytest.fixture(scope="module")
def run(built: Path, sets: BuiltSets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a small network, as it began."""
    import keras

    from train.models import build_model

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    build_model(ModelConfig(backbone=("cnn",), input_size=32), (32, 32), 3).model.save(folder / "model.keras")
    write_metrics(run_metrics(classes=sets.classes), folder)
    return folder


@pytest.fixture
def of_run(run: Path, built: Path) -> Callable[..., object]:
    return lambda *sets, **known: evaluate(run, sets, replace(QUICK, **known), artifacts=built, workers=2)


def test_a_run_is_evaluated_on_all_by_default(of_run, sets):
    found = of_run()
    assert list(found.metrics.sets) == ["val", "test", *(one.name for one in sets.benchmark)]
    assert found.metrics.prediction == PredictionFacts("openvino", "none", "none")
    assert found.metrics.slices
    assert set(found.seconds) == {"predicting", "measuring"}


@pytest.mark.slow
def test_sets_are_chosen_by_name_or_path(of_run, elsewhere):
    found = of_run("fog-3", "test", elsewhere, "fog-3")
    assert list(found.metrics.sets) == ["test", "fog-3", "elsewhere.npz"]
    assert found.metrics.calibration is None
    assert found.metrics.selection == Selection(score=None, scores={})
    assert found.metrics.benchmark.corruptions["fog"].severities.keys() == {"3"}
    alone = of_run(elsewhere)
    assert list(alone.metrics.sets) == ["elsewhere.npz"]
    assert alone.metrics.clean is None
    assert alone.metrics.slices is None
    assert len(of_run("benchmark", "fog-3").metrics.sets) == 8
    assert isinstance(of_run("train").metrics.train, SetMeasures)
    assert isinstance(of_run("test").metrics.clean, SetMeasures)


def test_what_is_no_set_or_no_model_is_refused(of_run, built, sets, run, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'fog-3'"):
        of_run("fog-4")
    with pytest.raises(DataError, match="no run 'large'"):
        evaluate("large", artifacts=built)
    with pytest.raises(DataError, match="holds no set to measure on"):
        of_run("benchmark", benchmark=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.keras").write_bytes((run / "model.keras").read_bytes())
    write_metrics(run_metrics(classes=("ant", "bee", "cat")), other)
    with pytest.raises(DataError, match="the model has classes ant, bee, cat, and"):
        evaluate(other, artifacts=built)


def test_test_time_augmentation_and_filters_change_the_predictions(of_run):
    plain, flips, filtered = (
        of_run("val", **known).predictions for known in ({}, {"tta": "flips"}, {"filter": "high-pass"})
    )
    assert not np.allclose(plain["p0"], flips["p0"])
    assert not np.allclose(plain["p0"], filtered["p0"])
    pd.testing.assert_series_equal(plain["id"], flips["id"])
