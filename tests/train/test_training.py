import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from metrics import metrics_with

from curate.stage.errors import DataError, Diverged, OutputError
from curate.stage.manifest import file_digest
from curate.stage.records import document_of
from train.configs import EvaluateConfig, FitConfig, ModelConfig, RunConfig, views_fitted
from train.measures import measures
from train.metrics import PredictionFacts, Spread
from train.models import load_model
from train.predicting import VIEWS
from train.recipe import load_recipe
from train.runs import read_run
from train.sets import read_built
from train.training import score_of, spread, train

FILES = {
    "model.keras", "metrics.json", "history.csv", "predictions.parquet", "report.html", "config.toml", "manifest.json",
    "gradcam.png", "hardest.csv",
}  # fmt: skip
TINY = ModelConfig(backbone=("cnn",), input_size=32)
pytestmark = pytest.mark.slow


class Killed(Exception):
    """What a kill leaves behind is what this does: nothing more is written."""


class Listener:
    """Keeps what is said, and is killed when it hears a word."""

    def __init__(self, until: str = "") -> None:
        self.said: list[str] = []
        self.until = until

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator:
        yield lambda done: self.hear(f"{name} {done}")

    def say(self, line: str) -> None:
        self.said.append(line)
        self.hear(line)

    def hear(self, line: str) -> None:
        if self.until and self.until in line:
            raise Killed


def config(artifacts: Path, **fit: object) -> RunConfig:
    given = {"epochs": (2,), "batch": 32, "learning_rate": (3e-3,), "unfreeze": (1.0,), "batch_norm": "train"} | fit
    return RunConfig(TINY, FitConfig(**given), EvaluateConfig(resamples=50), artifacts=str(artifacts), workers=2)


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """One run, its artifacts beside those of the built set."""
    artifacts = tmp_path_factory.mktemp("trained")
    for name in ("built", "scan"):
        (artifacts / name).symlink_to(built / name)
    listener = Listener()
    return SimpleNamespace(done=train(config(artifacts), listener), artifacts=artifacts, said=listener.said)


@pytest.fixture
def artifacts(built, tmp_path) -> Path:
    for name in ("built", "scan"):
        (tmp_path / name).symlink_to(built / name)
    return tmp_path


def test_a_run_holds_every_file_and_nothing_else(trained):
    assert {path.name for path in trained.done.path.iterdir()} == FILES
    assert [path.name for path in trained.done.path.parent.iterdir()] == ["baseline"]


def test_a_model_of_coloured_blobs_knows_them(trained):
    metrics = trained.done.metrics
    assert metrics.clean.accuracy > 0.9
    assert metrics.clean.images == 24
    assert set(metrics.benchmark.corruptions) == {"fog", "gaussian_noise"}
    assert json.loads((trained.done.path / "metrics.json").read_text())["clean"] == document_of(metrics.clean)


def test_without_corruptions_to_select_by_the_epoch_is_kept_by_clean_images(write_built, tmp_path):
    done = train(config(write_built(tmp_path, benchmark=False), epochs=(1,), select="corruptions"))
    assert done.metrics.fit.by == "clean"
    assert done.metrics.selection.scores.keys() == {"clean"}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("lacking", [("val", "test"), ("train",)])
def test_classes_that_a_split_lacks_are_told_of_and_means_are_of_the_others(write_built, tmp_path, lacking):
    counts = {"train": (6, 6, 6), "val": (4, 4, 4), "test": (4, 4, 4)} | dict.fromkeys(lacking, (4, 0, 4))
    done = train(config(write_built(tmp_path, sources=counts)))
    clean = done.metrics.clean
    for split in lacking:
        assert any(note.startswith(f"{split} has no image of jade") for note in done.notes)
    recalls = [scores.recall for scores in clean.per_class.values() if scores.support]
    assert clean.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert clean.macro.recall == pytest.approx(np.mean(recalls))
    assert clean.per_class["jade"].recall == (None if "test" in lacking else 0)
    assert "jade" in (done.path / "report.html").read_text(encoding="utf-8")


def test_the_saved_model_gives_the_predictions_that_were_written(trained):
    model = load_model(trained.done.path / "model.keras")
    test = read_built(trained.artifacts).test
    told = read_run("baseline", trained.artifacts).predictions().query("set == 'test'")
    images = test.batch(np.arange(len(test)))
    found = np.mean([np.asarray(model.predict_on_batch(view(images))) for view in VIEWS["flips"]], axis=0)
    assert tuple(told["id"]) == test.ids
    np.testing.assert_allclose(found, told[["p0", "p1", "p2"]].to_numpy(), atol=1e-3)


def test_what_is_kept_is_the_epoch_that_scored_best(trained):
    history = pd.read_csv(trained.done.path / "history.csv")
    kept = trained.done.metrics.fit.kept
    best = history.loc[history["score"].idxmax()]
    assert (kept.stage, kept.epoch) == (best["stage"], best["epoch"])
    assert list(history["stage"]) == [0, 1, 1]


def test_the_manifest_joins_the_digests_of_scan_build_and_run(trained):
    manifest = read_run("baseline", trained.artifacts).manifest
    assert manifest.build_digest == file_digest(trained.artifacts / "built" / "manifest.json")
    assert manifest.scan_digest == file_digest(trained.artifacts / "scan" / "manifest.json")
    assert manifest.outputs["model.keras"].digest == file_digest(trained.done.path / "model.keras")


def test_the_configuration_that_is_written_is_the_one_that_was_run(trained):
    written = load_recipe(str(trained.done.path / "config.toml")).config
    assert (written.model, written.fit, written.evaluate) == (
        trained.done.config.model,
        trained.done.config.fit,
        trained.done.config.evaluate,
    )


@pytest.mark.parametrize(("flips", "tta"), [("dihedral", "flips"), ("flip", "none"), ("none", "none")])
def test_a_model_is_shown_turned_pictures_where_it_learnt_them(flips, tta):
    assert views_fitted(FitConfig(flips=flips)) == tta


def test_a_run_and_its_configuration_tell_how_it_was_measured(trained):
    assert trained.done.metrics.prediction == PredictionFacts("openvino", "flips", "none")
    assert load_recipe(str(trained.done.path / "config.toml")).config.evaluate.tta == "flips"


def test_the_person_hears_of_the_probe_and_of_every_epoch(trained):
    said = "\n".join(trained.said)
    for word in ("108 images to train on", "cnn", "probe", "epoch 1/2", "epoch 2/2"):
        assert word in said


@pytest.mark.parametrize("word", ["epoch 2/4 64", "epoch 1/4 of stage 2 ", "predicting"])
def test_a_run_that_was_killed_goes_on_to_the_same_figures(artifacts, word):
    asked = config(artifacts, epochs=(4, 4), unfreeze=(0.5, 1.0), learning_rate=(1e-3,), flips="dihedral", mixup=0.2)
    whole = train(replace(asked, name="whole"))
    with pytest.raises(Killed):
        train(replace(asked, name="killed"), Listener(until=word))
    assert not (artifacts / "runs" / "killed").exists()
    listener = Listener()
    resumed = train(replace(asked, name="killed", resume=True), listener)
    assert any("resuming after" in line for line in listener.said)
    ignored = ["seconds"]
    pd.testing.assert_frame_equal(
        resumed.history.drop(columns=ignored), whole.history.drop(columns=ignored), check_exact=True
    )
    assert resumed.metrics == whole.metrics


def test_two_runs_alike_have_the_same_predictions(trained, artifacts):
    again = train(config(artifacts))
    one, other = (read_run(done.path, ".").predictions() for done in (trained.done, again))
    pd.testing.assert_frame_equal(one, other)


def test_resuming_with_other_options_is_refused(artifacts):
    with pytest.raises(Killed):
        train(config(artifacts), Listener(until="epoch 2/2 "))
    with pytest.raises(DataError, match="begun with other options"):
        train(replace(config(artifacts, learning_rate=(1e-4,)), resume=True))


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_weights(artifacts):
    asked = config(artifacts, learning_rate=(1e30,), optimizer="sgd", clip=0.0, schedule="constant", epochs=(3,))
    with pytest.raises(Diverged, match=r"stage 1, epoch \d, step \d+ of 4\. Lower --learning-rate.*last-good\.keras"):
        train(asked)
    assert not (artifacts / "runs" / "baseline").exists()
    kept = artifacts / "runs" / "baseline.partial" / "last-good.keras"
    assert all(np.isfinite(array).all() for array in load_model(kept).get_weights())


def test_without_epochs_it_stays_at_the_probe(artifacts):
    done = train(config(artifacts, epochs=(0,)))
    assert list(done.history["stage"]) == [0]
    assert done.metrics.clean.accuracy > 0.5


def test_a_batch_that_does_not_fit_into_memory_is_told_with_one_that_does(artifacts, monkeypatch):
    import keras

    class ResourceExhaustedError(Exception):
        pass

    fit, step = keras.Model.fit, keras.Model.train_on_batch

    def too_large(self, batches, *args, **options):
        if isinstance(batches, np.ndarray):  # the head on features
            return fit(self, batches, *args, **options)
        raise ResourceExhaustedError("OOM when allocating tensor")

    def up_to_eight(self, images, *args, **options):
        if len(images) > 8:
            raise ResourceExhaustedError("OOM when allocating tensor")
        return step(self, images, *args, **options)

    monkeypatch.setattr(keras.Model, "fit", too_large)
    monkeypatch.setattr(keras.Model, "train_on_batch", up_to_eight)
    with pytest.raises(DataError, match=r"a batch of 32 images does not fit into memory; 8 images fit: --batch 8"):
        train(config(artifacts))


@pytest.mark.parametrize(
    "fit",
    [
        {"jsd": 1.0},
        {"mixup": 0.2, "cutmix": 1.0},
        {"focal": 2.0, "class_weights": "balanced"},
        {"optimizer": "ranger", "schedule": "plateau", "patience": 1, "ema": 0.0},
        {"probe": False, "batch_norm": "frozen", "select": "clean", "flips": "none"},
        {"refine": 2, "tensorboard": True, "precision": "mixed_bfloat16"},
    ],
    ids=lambda fit: "-".join(fit),
)
def test_every_way_of_fitting_runs_to_its_end(artifacts, fit):
    done = train(config(artifacts, **fit))
    assert np.isfinite(done.history["score"]).all()
    assert np.isfinite(done.history["loss"][done.history["stage"] > 0]).all()
    assert {path.name for path in done.path.iterdir()} >= FILES


def test_a_head_of_several_layers_is_fitted_on_features_too(artifacts):
    asked = config(artifacts, epochs=(0,))
    done = train(replace(asked, model=replace(TINY, dense=(16,), head_norm=True, l2=1e-4)))
    assert done.metrics.clean.accuracy > 0.5


def test_folds_are_runs_of_their_own_and_the_best_one_stands_for_all(artifacts):
    done = train(config(artifacts, folds=2, epochs=(1,)))
    parts = [done.path / f"fold-{number}" for number in (1, 2)]
    assert all({path.name for path in part.iterdir()} >= FILES for part in parts)
    assert done.metrics.best in ("fold-1", "fold-2")
    values = [json.loads((part / "metrics.json").read_text())["clean"]["accuracy"] for part in parts]
    assert done.metrics.spread["clean"].values == tuple(values)
    assert done.metrics.spread["clean"].mean == pytest.approx(np.mean(values))
    for name, told in read_run(done.path, ".").manifest.outputs.items():
        assert file_digest(done.path / name) == told.digest
    best = done.path / done.metrics.best / "model.keras"
    assert file_digest(done.path / "model.keras") == file_digest(best)


def test_several_seeds_go_on_with_those_that_were_not_done(artifacts):
    asked = config(artifacts, seeds=2, epochs=(1,))
    with pytest.raises(Killed):
        train(asked, Listener(until="seed-1"))
    first = artifacts / "runs" / "baseline.partial" / "seed-0" / "manifest.json"
    stamp = first.stat().st_mtime_ns
    done = train(replace(asked, resume=True))
    assert (done.path / "seed-0" / "manifest.json").stat().st_mtime_ns == stamp
    assert len(done.metrics.spread["clean"].values) == 2


def test_a_fold_that_was_fitted_with_other_options_is_not_taken_for_one_of_these(artifacts):
    with pytest.raises(Killed):
        train(config(artifacts, seeds=2, epochs=(0,)), Listener(until="seed-1"))
    with pytest.raises(DataError, match=r"seed-0 was begun with other options"):
        train(replace(config(artifacts, seeds=2, epochs=(0,), focal=1.0), resume=True))


def test_the_spread_of_runs_is_their_mean_and_standard_deviation():
    labels, probabilities = np.arange(2), np.eye(2)
    clean = measures(labels, probabilities, ("ant", "bee"))
    found = spread([metrics_with(clean=replace(clean, accuracy=value)) for value in (0.5, 0.7)])
    assert found == {"clean": Spread(pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4), (0.5, 0.7))}


def test_a_score_is_told_and_nothing_is_kept(artifacts):
    score = score_of(config(artifacts, epochs=(1,)))
    assert 0 <= score <= 1
    assert not (artifacts / "runs").exists()


def test_an_earlier_run_of_that_name_stays_until_the_new_one_is_whole(trained, artifacts):
    first = train(config(artifacts, epochs=(0,)))
    before = file_digest(first.path / "model.keras")
    with pytest.raises(Killed):
        train(config(artifacts, epochs=(1,)), Listener(until="predicting"))
    assert file_digest(first.path / "model.keras") == before


def test_without_a_built_set_it_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="augment build"):
        train(config(tmp_path))


def test_where_nothing_can_be_written_it_says_so(artifacts):
    (artifacts / "runs").write_text("a file")
    with pytest.raises(OutputError, match="runs"):
        train(config(artifacts))


def test_no_warning_reaches_the_person(artifacts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # which Python shows to nobody
        train(config(artifacts, epochs=(1,)))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_run_on_another_backend_is_as_good_and_its_model_is_the_same_on_this_one(artifacts, backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    script = (
        "from train.configs import *; from train.training import train\n"
        "fit = FitConfig(epochs=(2,), batch=32, learning_rate=(3e-3,), unfreeze=(1.0,), batch_norm='train')\n"
        "model = ModelConfig(backbone=('cnn',), input_size=32)\n"
        f"train(RunConfig(model, fit, EvaluateConfig(tta='none', resamples=50), artifacts={str(artifacts)!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True,
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = read_run("baseline", artifacts)
    assert run.metrics.clean.accuracy > 0.9
    assert {path.name for path in run.path.iterdir()} == FILES
    test = read_built(artifacts).test
    told = run.predictions().query("set == 'test'")[["p0", "p1", "p2"]].to_numpy()
    here = np.asarray(load_model(run.model).predict_on_batch(test.batch(np.arange(len(test)))))
    np.testing.assert_allclose(here, told, atol=1e-3)


@pytest.mark.parametrize(
    ("evaluate", "words"),
    [
        ({"external": ("nowhere.npz",)}, "nowhere.npz"),
        ({"external": ("a\udcff",)}, "no UTF-8"),
        ({"baseline": "nobody"}, "no run 'nobody'"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is_fitted(artifacts, evaluate, words):
    listener = Listener()
    with pytest.raises(DataError, match=words):
        train(replace(config(artifacts), evaluate=EvaluateConfig(**evaluate)), listener)
    assert not listener.said


def test_a_run_goes_on_when_it_is_to_be_measured_in_another_way(artifacts):
    with pytest.raises(Killed):
        train(config(artifacts), Listener(until="predicting"))
    listener = Listener()
    done = train(replace(config(artifacts), evaluate=EvaluateConfig(tta="none", resamples=50), resume=True), listener)
    assert any("resuming after stage 1, epoch 2" in line for line in listener.said)
    assert done.metrics.prediction.tta == "none"
