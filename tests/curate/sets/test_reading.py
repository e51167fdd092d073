from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.sets.imageset import Unreadable
from curate.sets.reading import read
from curate.stage.errors import DataError, ToolkitError

SHARED = Path(__file__).parents[4] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not beside the project")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_images_without_labels_have_none(tmp_path, pets, saved, pixels):
    np.save(tmp_path / "d.npy", pets)
    for path in (saved(tmp_path, images=pets), tmp_path / "d.npy"):
        images = read(path)
        assert not images.labelled
        assert images.classes == ()
        assert images.labels.tolist() == [-1] * 6
        assert images.source.notes[0].startswith("no labels: ")
        np.testing.assert_array_equal(pixels(images), pets)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("images", "labels"), ("images", "labels")),
        (("x", "y"), ("x", "y")),
        (("X", "Y"), ("X", "Y")),
        (("data", "target"), ("data", "target")),
        (("Images", "Label"), ("Images", "Label")),
    ],
)
def test_keys_have_many_names(tmp_path, pets, keys, found, saved):
    images = read(saved(tmp_path, **dict(zip(keys, (pets, LABELS), strict=True))))
    assert images.source.members == (found,)
    assert images.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("pattern", ["{split}_{kind}", "{kind}_{split}"])
@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train", "test"), ("test",)])
def test_splits_in_one_archive_are_one_set(tmp_path, pets, pattern, splits, saved, pixels):
    arrays = {}
    for i, split in enumerate(splits):
        arrays[pattern.format(split=split, kind="images" if pattern[1] == "s" else "x")] = pets[i : i + 3]
        arrays[pattern.format(split=split, kind="labels" if pattern[1] == "s" else "y")] = LABELS[i : i + 3, None]
    images = read(saved(tmp_path, **arrays))
    assert images.splits == tuple(split for split in splits for _ in range(3))
    assert images.ids == tuple(f"{split}/{row}" for split in splits for row in range(3))
    np.testing.assert_array_equal(pixels(images), np.concatenate([pets[i : i + 3] for i in range(len(splits))]))
    assert images.labels.tolist() == [label for i in range(len(splits)) for label in LABELS[i : i + 3]]


def test_a_split_without_labels_has_none(tmp_path, pets, saved):
    images = read(saved(tmp_path, train_images=pets, train_labels=LABELS, test_images=pets[:2]))
    assert images.labels.tolist() == [*LABELS, -1, -1]
    assert images.source.notes == ("2 images have no label",)


def test_ids_splits_and_groups_are_read_where_they_are_given(tmp_path, pets, saved):
    given = {"ids": list("abcdef"), "split": ["Train", "valid", "test", "", "train", "fold7"]}
    images = read(saved(tmp_path, images=pets, **given, patient=[7, 7, 3, -1, 3, 7]))
    assert images.ids == tuple("abcdef")
    assert images.splits == ("train", "val", "test", "", "train", "fold7")
    assert images.groups is not None
    assert images.groups.tolist() == [1, 1, 0, -1, 0, 1]


def test_ids_that_are_not_unique_or_not_one_each_give_way_to_rows(tmp_path, pets, saved):
    for ids in ([1, 1, 2, 3, 4, 5], [1, 2]):
        images = read(saved(tmp_path, images=pets, ids=ids))
        assert images.ids == tuple("012345")
        assert any("ids" in note for note in images.source.notes)


def test_an_array_of_file_names_called_names_is_not_taken_for_the_classes(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets, labels=LABELS, names=[f"{i}.png" for i in range(6)]))
    assert images.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"foo": np.zeros(3)},
            r"d.npz has arrays \['foo'\] but not 'images'.* np.savez\(path, images=..., labels=...\)",
        ),
        ({"images": np.zeros((0, 8, 8))}, "holds no images"),
        ({"images": np.zeros((0,))}, "holds no images"),
        ({"images": np.float64(3)}, "holds no images"),
        ({"images": np.zeros((6, 8, 8, 2))}, "2 channels"),
        ({"images": np.zeros((6, 28, 28, 28))}, "28 channels"),
        ({"images": np.zeros((6, 64))}, "reshape"),
        ({"images": np.zeros((6, 0, 8))}, "no pixels"),
        ({"images": np.zeros((6, 8, 8), complex)}, "complex128"),
        ({"images": np.full((6, 8), "a")}, "are no images"),
        ({"images": np.zeros((8, 8, 3))}, r"look like one image. Save images\[None\]"),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.zeros(5)},
            "6 images in images, but 5 labels in labels",
        ),
        ({"images": np.zeros((6, 8, 8)), "labels": np.float64(5)}, "6 images in images, but 1 labels"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.full(6, 0.5)}, "such as 0.5 that are no whole numbers"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.ones((6, 3))}, "neither one-hot nor probabilities"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.zeros((6, 3, 3))}, "not understood"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.zeros(6, complex)}, "not understood"),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.arange(1, 7), "classes": list("abcde")},
            "from 1 to 6, but 5 class",
        ),
        (
            {"images": np.zeros((6, 8, 8)), "labels": list("aabbcc"), "class_names": ["a", "b"]},
            "'c', which is none",
        ),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.eye(6), "class_names": ["a", "b"]},
            "6 columns, but 2 class",
        ),
        (
            {
                "train_x": np.zeros((2, 8, 8)),
                "train_y": ["a", "b"],
                "test_x": np.zeros((2, 8, 8)),
                "test_y": [0, 1],
            },
            "different ways",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path, arrays, message, saved):
    with pytest.raises(DataError, match=message):
        read(saved(tmp_path, **arrays))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_images_are_a_set(tmp_path, pets, count, saved):
    images = read(saved(tmp_path, images=pets[:count], labels=LABELS[:count]))
    assert len(images) == count


@needs_shared
@pytest.mark.parametrize(
    ("name", "count", "describe"),
    [
        ("course.npz", 2904, "96x96 RGB"),
        ("mnist_test.npz", 10000, "28x28 grey"),
        ("pbc5_folder", 100, "JPEG"),
    ],
)
def test_the_shared_data_is_read(name, count, describe):
    images = read(SHARED / name)
    assert len(images) == count
    assert images.describe.startswith(describe)
    assert images.labelled
    assert images.images[count - 1].pixels.shape[2] == 3


@pytest.mark.parametrize("name", ["gone.npz", "gone", "a.png", "a.tar"])
def test_a_source_that_is_no_set_is_an_error_that_says_what_is(tmp_path, name, files):
    files(tmp_path, "a.png")
    (tmp_path / "a.tar").touch()
    with pytest.raises(DataError, match=r"Give an \.npz, a folder of images, or a list of files"):
        read(tmp_path / name)


def test_labels_beside_an_archive_are_refused(tmp_path, pets, saved):
    with pytest.raises(DataError, match="holds its labels itself"):
        read(saved(tmp_path, images=pets), labels=tmp_path / "l.csv")


def test_arrays_that_a_person_names_are_classes_splits_and_groups(tmp_path, pets, saved):
    path = saved(tmp_path, images=pets, labels=LABELS, diagnosis=list("ababab"), part=["train"] * 6, film=LABELS)
    images = read(path, classes_from="Diagnosis", splits_from="part", groups_from="film")
    assert images.classes == ("a", "b")
    assert set(images.splits or ()) == {"train"}
    assert images.groups is not None
    assert not read(path, classes_from="none").labelled
    with pytest.raises(DataError, match=r"--classes-from colour: .* has no array of that name, but diagnosis, film"):
        read(path, classes_from="colour")


def test_a_set_says_which_arrays_it_was_taken_from(tmp_path, pets, saved):
    topics = read(saved(tmp_path, x_train=pets[:4], y_train=LABELS[:4], x_test=pets[4:], y_test=LABELS[4:], mean=[0.5]))
    texts = {topic.name: topic.text for topic in topics.source.topics}
    assert texts["classes"] == "3 (0, 1, 2), array y_train, y_test"
    assert texts["splits"] == "train 4, test 2, array x_train, x_test"
    assert texts["left out"] == "array mean"
    assert texts["ids"] == "the rows, from 0"
    named = read(saved(tmp_path, images=pets, ids=list("abcdef"), patient=LABELS))
    texts = {topic.name: topic.text for topic in named.source.topics}
    assert (texts["classes"], texts["ids"], texts["groups"]) == ("none", "array ids", "3, array patient")


def test_splits_that_are_mere_numbers_are_told(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets, labels=LABELS, split=LABELS))
    assert images.splits == tuple("012012")
    assert any("nothing says which is for training" in note for note in images.source.notes)
    assert read(saved(tmp_path, images=pets, split=LABELS), splits_from="none").splits is None


def test_rows_and_names_without_a_class_are_counted(tmp_path, pets, saved):
    rows = np.eye(3)[LABELS]
    rows[:2] = 0
    assert "rows of labels that are 0 throughout are read as no label: 2 of 6" in (
        read(saved(tmp_path, images=pets, labels=rows)).source.notes
    )
    empty = read(saved(tmp_path, images=pets, labels=["a", "", "b", "", "a", "b"]))
    assert empty.source.notes == ("empty labels are read as no label: 2 of 6",)


def test_minus_one_and_one_alone_are_two_classes(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets, labels=[-1, 1, -1, 1, 1, 1]))
    assert images.classes == ("-1", "1")
    assert images.labels.tolist() == [0, 1, 0, 1, 1, 1]


def test_directions_beside_a_built_set_are_refused(tmp_path, pets):
    from curate.sets.shards import write_shard

    write_shard(tmp_path, 0, pets, LABELS, tuple("abcdef"), ("a", "b", "c"))
    with pytest.raises(DataError, match="--classes-from 1 goes with a folder or list of files"):
        read(tmp_path, classes_from=1)


def test_reading_errors_are_all_of_one_family():
    assert issubclass(Unreadable, DataError)
    assert issubclass(DataError, ToolkitError)
