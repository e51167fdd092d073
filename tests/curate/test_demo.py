import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.demo import LOOKS, DemoConfig, clean_cells, demo_set, write_demo
from curate.planting import PlantConfig
from curate.stage.errors import DataError, OutputError

SMALL = DemoConfig(images=60, seed=5)


@pytest.fixture(scope="module")
def cells():
    return clean_cells(DemoConfig(images=300))


@pytest.fixture(scope="module")
def demo():
    return demo_set(DemoConfig(images=300))


def test_a_demo_set_is_one_array_of_small_colour_images_with_labels_and_names(demo):
    images, labels, class_names, truth = demo
    assert images.shape == (truth["rows"], 96, 96, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (truth["rows"],)
    assert labels.dtype == np.int64
    assert len(class_names) == 5
    assert set(labels) == set(range(5))


def test_the_class_names_say_that_the_cells_are_toys(demo):
    assert all(name.startswith("toy-") for name in demo[2])


def test_the_classes_are_of_unequal_size(cells):
    counts = np.bincount(cells[1], minlength=5)
    assert counts.min() > 0
    assert counts.max() > 2 * counts.min()


@settings(max_examples=8, deadline=None)
@given(fewer=st.integers(0, 12), more=st.integers(0, 12), seed=st.integers(0, 2**31 - 1))
def test_the_number_of_images_changes_none_of_them(fewer, more, seed):
    one = clean_cells(DemoConfig(images=fewer, seed=seed))
    two = clean_cells(DemoConfig(images=more, seed=seed))
    shared = min(fewer, more)
    assert np.array_equal(one[0][:shared], two[0][:shared])
    assert np.array_equal(one[1][:shared], two[1][:shared])


def test_no_two_clean_cells_are_alike(cells):
    assert len({image.tobytes() for image in cells[0]}) == len(cells[0])


def test_another_seed_draws_other_cells():
    one, two = (clean_cells(DemoConfig(images=3, seed=seed))[0] for seed in (0, 1))
    assert not any(np.array_equal(a, b) for a in one for b in two)


def test_a_cell_is_dark_purple_in_the_middle_on_a_cream_ground(cells):
    images = cells[0].astype(int)
    # Nine in ten pixels of the ground's brightness are no darker than this in any image.
    ground = np.percentile(images.reshape(len(images), -1, 3), 90, axis=1)
    assert (ground[:, 0] > 225).all()
    assert (ground[:, 0] > ground[:, 2] + 20).all()
    middle = images[:, 30:66, 30:66].reshape(len(images), -1, 3)
    nucleus = np.percentile(middle, 10, axis=1)
    assert (nucleus.max(1) < 190).all()
    assert (nucleus[:, 2] > nucleus[:, 0]).all()
    assert (nucleus[:, 0] > nucleus[:, 1]).all()


def test_simple_colour_statistics_tell_the_classes_apart_but_not_perfectly(cells):
    images, labels = cells
    light = images.reshape(len(images), -1, 3).astype(float)
    inner = images[:, 20:76, 20:76].reshape(len(images), -1, 3).astype(float)
    features = np.concatenate([light.mean(1), inner.mean(1), inner.std(1)], 1)
    features = (features - features.mean(0)) / features.std(0)
    distance = np.linalg.norm(features[:, None] - features, axis=2)
    np.fill_diagonal(distance, np.inf)
    accuracy = (labels[distance.argmin(1)] == labels).mean()
    assert 0.6 < accuracy < 0.97


def test_the_planted_faults_are_those_of_the_story(demo):
    _, labels, class_names, truth = demo
    planted = truth["planted"]
    worn = {letter: {int(labels[entry["row"]]) for entry in planted if entry.get("of") == letter} for letter in "ab"}
    assert worn["a"] == set(range(5))
    assert len(worn["b"]) == 1
    casts = [entry for entry in planted if entry["kind"] == "cast"]
    assert {(cast["colour"], cast["strength"]) for cast in casts} == {
        ("blue", "subtle"),
        ("yellow", "strong"),
    }
    scanner = [class_names[labels[cast["row"]]] for cast in casts if cast["colour"] == "blue"]
    assert max(set(scanner), key=scanner.count) == "toy-granular"
    assert {"exact", "near", "conflict", "label", "blur", "dark"} <= set(truth["counts"])


@pytest.mark.parametrize("classes", [2, len(LOOKS)])
def test_any_number_of_classes_up_to_all_can_be_drawn(classes):
    _, labels, class_names, _ = demo_set(DemoConfig(images=60, classes=classes))
    assert class_names == tuple(LOOKS)[:classes]
    assert labels.max() < classes


def test_no_faults_can_be_asked_for():
    config = replace(SMALL, faults=PlantConfig(fraction=0))
    images, labels, _, truth = demo_set(config)
    clean = clean_cells(config)
    assert truth["planted"] == []
    assert {image.tobytes() for image in images} == {image.tobytes() for image in clean[0]}
    assert sorted(labels) == sorted(clean[1])


def test_an_empty_demo_is_empty():
    images, labels, _, truth = demo_set(DemoConfig(images=0))
    assert images.shape == (0, 96, 96, 3)
    assert labels.shape == (0,)
    assert truth["rows"] == 0


def test_a_written_demo_holds_what_was_drawn(tmp_path):
    images, labels, class_names, truth = demo_set(SMALL)
    path = write_demo(tmp_path / "new" / "folder", SMALL)
    assert path == tmp_path / "new" / "folder" / "data.npz"
    with np.load(path, allow_pickle=False) as data:
        assert set(data) == {"images", "labels", "class_names"}
        assert np.array_equal(data["images"], images)
        assert np.array_equal(data["labels"], labels)
        assert tuple(data["class_names"]) == class_names
    assert json.loads(path.with_name("truth.json").read_text()) == truth
    assert sorted(file.name for file in path.parent.iterdir()) == ["data.npz", "truth.json"]


def test_writing_twice_gives_the_same_bytes(tmp_path):
    one, two = (write_demo(tmp_path / name, SMALL).read_bytes() for name in "ab")
    assert one == two
    assert write_demo(tmp_path / "a", replace(SMALL, seed=6)).read_bytes() != one


def test_a_folder_that_cannot_be_written_to_is_an_error_of_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="the demo cannot be written to"):
        write_demo(tmp_path / "file", DemoConfig(images=1))


@pytest.mark.parametrize(
    "wrong", [{"images": -1}, {"classes": 1}, {"classes": 99}, {"between": 1.5}, {"seed": -1}], ids=str
)
def test_a_bad_configuration_is_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        DemoConfig(**wrong)
