import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from albums import Album

from curate.configs import ScanConfig
from curate.faults.spoiling import COLOURS
from curate.planting import PlantConfig
from curate.selftesting import (
    SelftestConfig,
    sample_rows,
    selftest,
    some_of_each,
    uniform,
)
from curate.sets.arrays import ArrayPictures
from curate.sets.imageset import ImageSet, Source
from curate.stage.errors import DataError, OutputError


def scenes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small coloured pictures of three classes: discs, bars and crosses on a light ground, with fine grain."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    y, x = np.mgrid[:32, :32]
    images = np.empty((n, 32, 32, 3))
    for row, label in enumerate(labels.tolist()):
        cx, cy = rng.uniform(10, 22, 2)
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        size = rng.uniform(5, 9)
        shape = (np.hypot(dx, dy) < size, dx < size / 2, np.minimum(dx, dy) < size / 3)[label]
        colour = np.array(((150, 60, 60), (60, 130, 70), (70, 80, 150))[label]) + rng.normal(0, 8, 3)
        images[row] = np.where(shape[..., None], colour, (215, 205, 190))
        images[row] += 12 * rng.standard_normal((8, 8, 1)).repeat(4, 0).repeat(4, 1)
    images += 4 * rng.standard_normal(images.shape[:3])[..., None]
    return np.clip(images, 0, 255).astype(np.uint8), labels


def as_set(images, labels, classes=("disc", "bar", "cross"), **kwargs) -> ImageSet:
    source = Source("npz", Path("toys.npz"))
    pictures = images if not isinstance(images, np.ndarray) else ArrayPictures([images])
    ids = tuple(f"toy{row}" for row in range(len(pictures)))
    return ImageSet(pictures, np.asarray(labels), ids, classes, source, **kwargs)


# what is tested on


def test_a_sample_keeps_the_shares_of_the_classes_and_leaves_none_out():
    labels = np.repeat([0, 1, 2, 3], [600, 300, 99, 1])
    rows = sample_rows(labels, 100, seed=3)
    assert len(np.unique(rows)) == 100
    assert (np.diff(rows) > 0).all()
    shares = np.bincount(labels[rows]) / 100
    assert np.abs(shares - [0.6, 0.3, 0.1, 0.01]).max() < 0.02
    assert not np.array_equal(rows, sample_rows(labels, 100, seed=4))
    assert sample_rows(labels, 5000, seed=3).tolist() == list(range(1000))


def test_pictures_of_one_size_stay_as_they_are():
    images, _ = scenes(5)
    assert np.array_equal(uniform(list(images)), images)


def test_pictures_of_several_sizes_are_fitted_in_whole_and_filled_with_their_edges():
    wide = np.full((10, 40, 3), 90, np.uint8)
    wide[:, :3] = 200
    made = uniform([np.full((20, 20, 3), 30, np.uint8), np.full((20, 20, 3), 60, np.uint8), wide])
    assert made.shape == (3, 20, 20, 3)
    assert (made[0] == 30).all()
    assert (made[2, :, 10:] == 90).all()
    assert (made[2, :, 0] == 200).all()


@pytest.mark.parametrize("n", [60, 200, 2000])
def test_the_default_faults_leave_most_of_a_set_as_it_is(n):
    faults = some_of_each(n, seed=1)
    rates = [*faults.intruder, faults.intruder_one_class, faults.exact, faults.near, faults.conflict, faults.label]
    rates += [faults.blur, faults.dark, faults.light, faults.grey, faults.solid, *(c.rate for c in faults.casts)]
    assert all(rate > 0 for rate in rates)
    assert sum(faults.count(rate, n) for rate in rates) <= 0.35 * n
    assert {cast.strength for cast in faults.casts} == {"subtle", "strong"}
    assert len({cast.colour for cast in faults.casts}) == min(len(COLOURS), len(faults.casts))


@pytest.mark.parametrize(
    "wrong",
    [{"images": 59}, {"precision": 0}, {"precision": 1.1}, {"repeats": 0}, {"seed": -1}],
    ids=str,
)
def test_a_bad_configuration_is_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        SelftestConfig(**wrong)


@pytest.mark.parametrize("name", ["embeddings", "probabilities"])
def test_files_of_an_own_model_are_refused_because_it_has_not_seen_what_is_planted(name):
    with pytest.raises(DataError, match=f"--{name} has no rows of the pictures that a self-test plants"):
        SelftestConfig(scan=ScanConfig(**{name: "own.npy"}))


@pytest.mark.slow
def test_pictures_of_something_else_are_taken_from_another_set_and_named(tmp_path):
    images, labels = scenes(120)
    others = np.random.default_rng(9).integers(0, 255, (5, 48, 40, 3)).astype(np.uint8)
    np.savez(tmp_path / "other.npz", images=others, ids=np.array(list("pqrst")))
    config = replace(SMALL, off_topic=str(tmp_path / "other.npz"))
    result = selftest(as_set(images, labels), config)
    planted = result.rows[result.rows["kind"] == "off_topic"]
    assert len(planted) >= 1
    assert set(planted["id"]) <= set("pqrst")
    assert result.table.set_index("check").loc["outlier", "planted"] == len(planted)
    assert not [note for note in result.notes if "--off-topic" in note]


def test_off_topic_pictures_that_are_none_are_refused(tmp_path):
    images, labels = scenes(60)
    with pytest.raises(DataError, match="does not exist"):
        selftest(as_set(images, labels), replace(SMALL, off_topic=str(tmp_path / "none")))
    np.savez(tmp_path / "own.npz", images=images)
    with pytest.raises(DataError, match="is the set itself"):
        selftest(tmp_path / "own.npz", replace(SMALL, off_topic=str(tmp_path / "own.npz")))
    np.savez(tmp_path / "bad.npz", images=np.full((3, 8, 8), np.nan, np.float32))
    with pytest.raises(DataError, match="no picture that can be read"):
        selftest(as_set(images, labels), replace(SMALL, off_topic=str(tmp_path / "bad.npz")))


def test_too_few_readable_images_are_an_error_that_says_how_many_are_needed():
    images, labels = scenes(70)
    broken = Album([None if row < 20 else image for row, image in enumerate(images)])
    with pytest.raises(DataError, match=r"toys\.npz has 50 images that can be read; a self-test needs 60"):
        selftest(as_set(broken, labels))


def test_a_place_that_cannot_be_written_to_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        selftest(as_set(*scenes(70)), SelftestConfig(artifacts=str(tmp_path / "file")))


# from end to end, without weights

SMALL = SelftestConfig(ScanConfig(backbone="builtin", map="none"))


@pytest.mark.slow
def test_a_small_set_is_tested_from_end_to_end(tmp_path):
    images, labels = scenes(120)
    before = images.copy()
    config = replace(SMALL, artifacts=str(tmp_path))
    result = selftest(as_set(images, labels), config)
    assert np.array_equal(images, before)
    table = result.table.set_index("check")
    for check in ("exact_duplicate", "label_conflict", "dark", "low_information"):
        assert table.loc[check, "recall"] == 1, check
    assert result.ways["planted"].sum() == (result.rows["kind"] != "").sum()
    assert set(result.rows["id"]) <= {"", *(f"toy{row}" for row in range(120))}
    assert "real faults can be fainter or plainer than planted ones: take these numbers as a guide" in result.notes
    assert ScanConfig(thresholds=result.thresholds)
    written = json.loads((tmp_path / "selftest.json").read_text())
    assert [row["check"] for row in written["table"]] == result.table["check"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["selftest.json"]
    first = (tmp_path / "selftest.json").read_bytes()
    selftest(as_set(images, labels), config)
    assert (tmp_path / "selftest.json").read_bytes() == first


@pytest.mark.slow
def test_without_labels_or_colours_these_kinds_are_left_out_and_said_to_be():
    images, _ = scenes(90)
    grey = images.mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3)
    result = selftest(as_set(grey, np.full(90, -1), classes=()), SMALL)
    assert not {"conflict", "label", "cast", "grey"} & set(result.ways["kind"])
    assert "not planted: conflict, label (no labels)" in result.notes
    assert "not planted: cast, grey (the images are grey)" in result.notes


@pytest.mark.slow
def test_sizes_that_differ_and_files_that_are_broken_are_said_to():
    images, labels = scenes(90)
    pictures = [image[: 32 - row % 3] for row, image in enumerate(images)]
    pictures[4] = None
    faults = PlantConfig(fraction=0)
    result = selftest(as_set(Album(pictures), labels, splits=("train", "test") * 45), replace(SMALL, faults=faults))
    assert "left out: 1 of 90 images, which cannot be read" in result.notes
    assert any("images of 3 sizes were brought to 32x31" in note for note in result.notes)
    assert any("splits are ignored" in note for note in result.notes)
    assert result.table["planted"].sum() == 0
