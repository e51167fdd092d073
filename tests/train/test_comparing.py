import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from manifests import finish_run
from metrics import run_metrics

from curate.stage.errors import DataError
from curate.stage.files import write_parquet
from train.answers import Answers, Track
from train.comparing import alike, compare, measures_of
from train.evaluation import metrics_of
from train.metrics import write_metrics

CLASSES = ("ant", "bee")
TRACKS = (
    Track("val", "val"),
    Track("test", "test"),
    Track("fog-1", "test", "fog", 1, "weather", "near"),
    Track("noise-1", "test", "noise", 1, "noise", "disjoint"),
    Track("composed-2", "test", "composed-2"),
    Track("elsewhere.npz", "external"),
)


def answers(share: float, tracks: tuple[Track, ...] = TRACKS, count: int = 100, seed: int = 0) -> Answers:
    """Answers of which that share is right: of a lower share those that are right of a higher one too."""
    ids = np.tile([f"cell {row}" for row in range(count)], len(tracks)).astype(object)
    groups, labels = (np.tile(values, len(tracks)) for values in (np.arange(count), np.arange(count) % 2))
    hit = np.random.default_rng(seed).random(len(ids)) < share
    probabilities = np.where(np.where(hit, labels, 1 - labels)[:, None] == np.arange(2), 0.8, 0.2).astype(np.float32)
    return Answers(tracks, np.repeat(np.arange(len(tracks)), count), ids, ids, groups, labels, probabilities)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[[str, Answers], Path]:
    """Write the run of some answers."""

    def write(name: str, of_run: Answers) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write_metrics(run_metrics(metrics_of(of_run, CLASSES, 20, 0)), folder)
        write_parquet(of_run.table(), folder / "predictions.parquet")
        finish_run(folder)
        return folder

    return write


def test_runs_stand_side_by_side_and_a_better_one_is_told(run_of, tmp_path):
    run_of("first", answers(0.6))
    run_of("better", answers(0.9))
    run_of("same", answers(0.6))
    found = compare(["first", "better", "same"], artifacts=tmp_path, resamples=200)
    assert found.notes == ()
    table = found.table.set_index(["measure", "run"])
    assert list(dict.fromkeys(found.table["measure"])) == [
        "clean", "corrupted", "composed-2", "elsewhere.npz",
    ]  # fmt: skip
    metrics = json.loads((tmp_path / "runs" / "better" / "metrics.json").read_text())
    assert table.loc[("clean", "better"), "accuracy"] == metrics["clean"]["accuracy"]
    assert table.loc[("corrupted", "better"), "accuracy"] == pytest.approx(metrics["benchmark"]["mean_accuracy"])
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()
    tests = found.tests.set_index(["measure", "run"])
    gained = table.loc[("clean", "better"), "accuracy"] - table.loc[("clean", "first"), "accuracy"]
    better = tests.loc[("clean", "better")]
    assert better["difference"] == pytest.approx(gained)
    assert better["low"] < gained < better["high"]
    assert better["p"] < better["p_adjusted"] < 0.01
    assert better["mcnemar"] == pytest.approx(2 * 0.5 ** round(100 * gained))  # all that differ, differ one way
    same = tests.loc[("corrupted", "same")]
    assert (same["difference"], same["p"]) == (0, 1)
    assert np.isnan(same["mcnemar"])


def test_runs_are_named_by_their_folders_too(run_of, tmp_path):
    first, other = run_of("first", answers(0.6)), run_of("other", answers(0.7))
    assert set(compare([first, other], artifacts="nowhere", resamples=10).table["run"]) == {"first", "other"}
    moved = tmp_path / "moved" / "first"
    moved.parent.mkdir()
    other.rename(moved)
    assert set(compare([first, moved], artifacts="nowhere", resamples=10).table["run"]) == {str(first), str(moved)}


def test_the_order_of_the_rows_and_of_the_sets_does_not_matter():
    first = answers(0.7)
    order = np.random.default_rng(0).permutation(len(first))
    columns = ("ids", "sources", "groups", "labels", "probabilities")
    turned = Answers(
        TRACKS[::-1], (len(TRACKS) - 1 - first.sets)[order], *(getattr(first, name)[order] for name in columns)
    )
    back = alike({"first": first, "turned": turned})["turned"]
    assert np.array_equal(back.probabilities, first.probabilities)
    assert back.tracks == first.tracks


def test_what_one_run_was_not_measured_on_is_left_out_and_said(run_of, tmp_path):
    run_of("first", answers(0.6))
    run_of("other", answers(0.7, TRACKS[:-1]))
    found = compare(["first", "other"], artifacts=tmp_path, resamples=10)
    assert found.notes == ("elsewhere.npz was not measured for other",)
    assert (found.table["measure"] == "elsewhere.npz").sum() == 1
    assert "elsewhere.npz" not in set(found.tests["measure"])


def test_runs_on_other_images_are_not_compared(run_of, tmp_path):
    first = answers(0.6)
    run_of("first", first)
    run_of("fewer", answers(0.6, count=90))
    run_of("others", replace(first, ids=np.array([f"{name}!" for name in first.ids], dtype=object)))
    run_of("relabelled", replace(first, labels=1 - first.labels))
    run_of("corrupted", answers(0.6, TRACKS[:3]))
    for other, message in (
        ("fewer", "first and fewer were not measured on the same images, but on 100 and 90 of test"),
        ("others", "first and others were not measured on the same images"),
        ("relabelled", "100 images are labelled differently for first and relabelled"),
        ("corrupted", "not measured on the same sets: 1 are of one of them only, such as noise-1"),
    ):
        with pytest.raises(DataError, match=message):
            compare(["first", other], artifacts=tmp_path, resamples=10)


def test_one_run_alone_or_twice_or_none_of_that_name_is_refused(run_of, tmp_path):
    run_of("first", answers(0.6))
    with pytest.raises(DataError, match="1 run is given; needed are two"):
        compare(["first"], artifacts=tmp_path)
    with pytest.raises(DataError, match="given twice"):
        compare(["first", "first"], artifacts=tmp_path)
    with pytest.raises(DataError, match="There are: first"):
        compare(["first", "second"], artifacts=tmp_path)


def test_sets_to_select_by_are_no_measure():
    tracks = (*TRACKS, Track("blur-1", "validation", "blur", 1))
    assert list(measures_of(answers(0.5, tracks))) == ["clean", "corrupted", "composed-2", "elsewhere.npz"]
