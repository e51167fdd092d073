import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from manifests import finish_run
from metrics import run_metrics

from curate.stage.errors import DataError, OutputError, UnknownName
from curate.stage.files import write_parquet
from curate.stage.manifest import file_digest, read_manifest
from train.answers import Answers, Track
from train.ensembles import EnsembleConfig, best_of_class, by_validation, ensemble
from train.evaluation import metrics_of
from train.metrics import write_metrics
from train.runs import EnsembleManifest, read_run

CLASSES = ("ant", "bee", "cat")
TRACKS = (
    Track("val", "val"),
    Track("test", "test"),
    Track("fog-1", "test", "fog", 1, "weather", "near"),
    Track("spatter-1", "validation", "spatter", 1, "weather", "disjoint"),
)
COUNT = 60


def answers(share: float, seed: int, tracks: tuple[Track, ...] = TRACKS) -> Answers:
    """Answers of which about that share is right, with chance of its own."""
    ids = np.tile([f"cell {row}" for row in range(COUNT)], len(tracks)).astype(object)
    groups, labels = (np.tile(values, len(tracks)) for values in (np.arange(COUNT), np.arange(COUNT) % len(CLASSES)))
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(CLASSES)), len(ids))
    hit = rng.random(len(ids)) < share
    probabilities[hit] = (probabilities + np.eye(len(CLASSES))[labels])[hit] / 2
    sets = np.repeat(np.arange(len(tracks)), COUNT)
    return Answers(tracks, sets, ids, ids, groups, labels, probabilities.astype(np.float32))


def only(of_run: Answers, role: str, probabilities: np.ndarray) -> Answers:
    """The answers with those of the sets of a role replaced."""
    chosen = np.isin(of_run.sets, [i for i, track in enumerate(of_run.tracks) if track.role == role])
    return replace(of_run, probabilities=np.where(chosen[:, None], probabilities, of_run.probabilities))


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., None]:
    """Write the run of some answers."""

    def write(name: str, of_run: Answers, classes: tuple[str, ...] = CLASSES) -> None:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write_metrics(run_metrics(metrics_of(of_run, classes, 20, 0)), folder)
        write_parquet(of_run.table(), folder / "predictions.parquet")
        finish_run(folder, scan_digest="of the scan")

    return write


@pytest.fixture
def three(run_of) -> list[Answers]:
    """The answers of three runs called one, two and three, each better than the last."""
    made = [answers(share, seed) for seed, share in enumerate((0.4, 0.6, 0.8))]
    for name, of_run in zip(("one", "two", "three"), made, strict=True):
        run_of(name, of_run)
    return made


def joined(tmp_path: Path, how: str, runs: tuple[str, ...] = ("one", "two", "three")) -> pd.DataFrame:
    found = ensemble(runs, EnsembleConfig(how=how, artifacts=str(tmp_path), resamples=20))
    table = pd.read_parquet(found.path / "predictions.parquet")
    probabilities = table[["p0", "p1", "p2"]].to_numpy()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    right = (probabilities.argmax(axis=1) == table["label"]) & (table["set"] == "test")
    assert found.metrics.clean.accuracy == pytest.approx(right.sum() / COUNT)
    return table


def test_the_mean_is_the_mean_of_the_probabilities(three, tmp_path):
    table = joined(tmp_path, "mean")
    assert np.allclose(table[["p0", "p1", "p2"]], np.mean([one.probabilities for one in three], axis=0), atol=1e-6)
    assert table["id"].tolist() == three[0].ids.tolist()


def test_a_vote_is_won_by_the_majority_and_a_tie_by_the_mean_probability(run_of, tmp_path):
    base = answers(0.5, 0)
    said = np.array([[0.4, 0.35, 0.25], [0.4, 0.35, 0.25], [0.0, 1.0, 0.0]])
    for name, of_one in zip(("one", "two", "three"), said, strict=True):
        run_of(name, replace(base, probabilities=np.tile(of_one, (len(base), 1)).astype(np.float32)))
    # Two say ant, though the mean says bee; of one vote each, that with the higher mean wins.
    assert (joined(tmp_path, "vote")[["p0", "p1", "p2"]].to_numpy().argmax(axis=1) == 0).all()
    tie = joined(tmp_path, "vote", ("one", "three"))
    assert (tie[["p0", "p1", "p2"]].to_numpy().argmax(axis=1) == 1).all()


def test_a_run_counts_by_what_it_does_on_validation_and_chance_counts_nothing(three):
    weights = by_validation(three)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    uniform = np.tile(np.float32([0.4, 0.3, 0.3]), (len(three[0]), 1))  # always ant: right by chance
    weights = by_validation([replace(three[0], probabilities=uniform), three[2]])
    assert weights.tolist() == [0, 1]
    assert by_validation([replace(three[0], probabilities=uniform)] * 2).tolist() == [0.5, 0.5]


def test_of_each_class_the_run_is_taken_that_tells_it_best():
    base = answers(0.0, 1)
    labels = base.labels[:, None]
    knows_ants = np.where(labels == 0, [0.9, 0.05, 0.05], [0.1, 0.45, 0.45])
    knows_cats = np.where(labels == 2, [0.05, 0.05, 0.9], [0.45, 0.45, 0.1])
    made = [replace(base, probabilities=of_one.astype(np.float32)) for of_one in (knows_ants, knows_cats)]
    assert best_of_class(made)[:, [0, 2]].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("weigh", [by_validation, best_of_class])
def test_what_a_run_counts_does_not_depend_on_the_test(three, weigh):
    other = answers(0.0, 9).probabilities
    assert np.array_equal(weigh([*three[:2], only(three[2], "test", other)]), weigh(three))
    worse = only(only(three[2], "val", other), "validation", other)
    assert not np.array_equal(weigh([*three[:2], worse]), weigh(three))


def test_the_classes_of_several_runs_are_put_together(three, tmp_path):
    table = joined(tmp_path, "one-vs-rest")
    chosen = best_of_class(three).argmax(axis=0)
    raw = np.stack([three[run].probabilities[:, code] for code, run in enumerate(chosen)], axis=1)
    assert np.allclose(table[["p0", "p1", "p2"]], raw / raw.sum(axis=1, keepdims=True), atol=1e-6)


def test_an_ensemble_is_a_run_that_names_its_members(three, tmp_path):
    found = ensemble(["one", "three"], EnsembleConfig(artifacts=str(tmp_path), how="weighted", resamples=20))
    run = read_run("ensemble", tmp_path)
    assert run.metrics.model.how == "weighted"
    assert list(run.metrics.model.members) == ["one", "three"]
    assert sum(run.metrics.model.members.values()) == pytest.approx(1)
    assert run.metrics.clean.images == COUNT
    manifest = read_manifest(EnsembleManifest, found.path)
    assert manifest.members["one"] == file_digest(tmp_path / "runs" / "one" / "manifest.json")
    assert manifest.scan_digest == "of the scan"
    assert manifest.outputs["predictions.parquet"].digest == file_digest(found.path / "predictions.parquet")
    with pytest.raises(DataError, match=r"no model\.keras: an ensemble"):
        run.model  # noqa: B018


def test_the_same_members_give_the_same_bytes(three, tmp_path):
    config = EnsembleConfig(artifacts=str(tmp_path), resamples=20)
    files = [ensemble(["one", "two"], config).path / name for name in ("metrics.json", "predictions.parquet")]
    before = [file.read_bytes() for file in files]
    ensemble(["one", "two"], config)  # in the place of the first
    assert [file.read_bytes() for file in files] == before


def test_an_ensemble_takes_the_place_of_no_other_run(three, tmp_path):
    with pytest.raises(OutputError, match="three is there already, and no ensemble"):
        ensemble(["one", "two"], EnsembleConfig(artifacts=str(tmp_path), name="three"))


def test_sets_that_not_all_were_measured_on_are_left_out(three, run_of, tmp_path):
    run_of("fewer", answers(0.5, 4, TRACKS[:2]))
    found = ensemble(["one", "fewer"], EnsembleConfig(artifacts=str(tmp_path), resamples=20))
    assert found.notes == ("left out, as not all runs were measured on them: fog-1, spatter-1",)
    assert list(json.loads((found.path / "metrics.json").read_text())["sets"]) == ["val", "test"]


def test_runs_that_do_not_go_together_are_refused(three, run_of, tmp_path):
    config = EnsembleConfig(artifacts=str(tmp_path))
    run_of("others", answers(0.5, 4), ("ant", "bee", "dog"))
    with pytest.raises(DataError, match="ant, bee, cat in one and ant, bee, dog in others"):
        ensemble(["one", "others"], config)
    run_of("apart", answers(0.5, 4, (Track("elsewhere.npz", "external"),)))
    with pytest.raises(DataError, match="one, apart were measured on no set in common"):
        ensemble(["one", "apart"], config)
    with pytest.raises(DataError, match="1 run is given"):
        ensemble(["one"], config)
    with pytest.raises(DataError, match="given twice"):
        ensemble(["one", "one"], config)
    run_of("tested", answers(0.5, 4, TRACKS[1:2]))
    for how in ("weighted", "one-vs-rest"):
        with pytest.raises(DataError, match=r"no predictions of val.* Take mean or vote"):
            ensemble(["one", "tested"], replace(config, how=how))


def test_a_way_that_there_is_not_is_named_with_those_that_there_are():
    with pytest.raises(UnknownName, match="Did you mean 'mean'"):
        EnsembleConfig(how="meen")
    with pytest.raises(DataError, match="resamples is 0"):
        EnsembleConfig(resamples=0)
