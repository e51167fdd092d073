from __future__ import annotations

import numpy as np
import pytest

from curate.sets import classes
from curate.sets.classes import as_strings
from curate.sets.reading import read
from curate.stage.errors import DataError

LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("labels", "names", "classes", "codes"),
    [
        ([0, 1, 2, 0, 1, 2], None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
        ([[0], [1], [2], [0], [1], [2]], None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
        ([3, 10, 9, 3, 10, -1], None, ("3", "9", "10"), [0, 2, 1, 0, 2, -1]),
        ([1.0, 0.0, np.nan, 1.0, 0.0, -1.0], None, ("0", "1"), [1, 0, -1, 1, 0, -1]),
        ([True, False, True, False, True, True], None, ("False", "True"), [1, 0, 1, 0, 1, 1]),
        (["b", "a", "", "b", "a", "c"], None, ("a", "b", "c"), [1, 0, -1, 1, 0, 2]),
        ([b"b", b"a", b"", b"b", b"a", b"c"], None, ("a", "b", "c"), [1, 0, -1, 1, 0, 2]),
        (["10", "9", "10", "9", "9", "9"], None, ("9", "10"), [1, 0, 1, 0, 0, 0]),
        (np.eye(3)[[0, 2, 1, 0, 1, 2]], None, ("0", "1", "2"), [0, 2, 1, 0, 1, 2]),
        (np.eye(3, dtype=bool)[[0, 2, 1, 0, 1, 2]], ["a", "b", "c"], ("a", "b", "c"), [0, 2, 1, 0, 1, 2]),
        ([0, 1, 2, 0, 1, 2], ["z", "y", "x", "w"], ("z", "y", "x", "w"), [0, 1, 2, 0, 1, 2]),
        ([0, -1, 2, 0, 1, 2], [b"z", b"y", b"x"], ("z", "y", "x"), [0, -1, 2, 0, 1, 2]),
        (["x", "z", "y", "", "x", "x"], ["z", "y", "x"], ("z", "y", "x"), [2, 0, 1, -1, 2, 2]),
        (["2", "0", "1", "", "2", "2"], ["z", "y", "x"], ("z", "y", "x"), [2, 0, 1, -1, 2, 2]),
        ([7, 3, 5, 3, 5, 7], [3, 5, 7], ("3", "5", "7"), [2, 0, 1, 0, 1, 2]),
        (np.array([0, 1, 2, 0, 1, 2], np.uint64), None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
    ],
)
def test_labels_are_read_however_they_are_written(tmp_path, pets, labels, names, classes, codes, saved):
    arrays = {"images": pets, "labels": labels} | ({} if names is None else {"class_names": names})
    images = read(saved(tmp_path, **arrays))
    assert images.classes == classes
    assert images.labels.tolist() == codes
    assert images.labels.dtype == np.int64


def test_one_hot_probabilities_and_missing_labels_are_told(tmp_path, pets, saved):
    soft = np.array([[0.7, 0.3]] * 6, np.float32)
    assert "likeliest" in read(saved(tmp_path, images=pets, labels=soft)).source.notes[0]
    assert read(saved(tmp_path, images=pets, labels=np.eye(6))).source.notes == ("labels are one-hot",)
    assert read(saved(tmp_path, images=pets, labels=LABELS - 1)).source.notes == (
        "labels of -1 are read as no label: 2 of 6",
    )


def test_words_for_missing_labels_are_none_as_they_are_in_a_table(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets, labels=["nan", "cat", "None", "dog", "nan", ""]))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [-1, 0, -1, 1, -1, -1]
    assert images.source.notes == (
        "empty labels are read as no label: 1 of 6",
        "labels of nan are read as no label: 2 of 6",
        "labels of None are read as no label: 1 of 6",
    )
    named = read(saved(tmp_path, images=pets, labels=["None", "cat"] * 3, class_names=["None", "cat"]))
    assert named.labels.tolist() == [0, 1] * 3


def test_labels_of_nan_are_told_as_nan(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets, labels=[0.0, np.nan, 1.0, np.nan, -1.0, 0.0]))
    assert images.source.notes == (
        "labels of NaN are read as no label: 2 of 6",
        "labels of -1 are read as no label: 1 of 6",
    )
    signs = read(saved(tmp_path, images=pets, labels=[1.0, np.nan, 1.0, -1.0, -1.0, 1.0]))
    assert signs.labels.tolist() == [1, -1, 1, 0, 0, 1]
    assert read(saved(tmp_path, images=pets, labels=[1.0, np.nan] * 3)).classes == ("1",)


def test_halves_of_characters_become_text_that_any_table_holds():
    assert as_strings(np.array(["a", "\ud800", "é\udcff"])) == ["a", "\\ud800", "é\\udcff"]


def test_more_texts_than_are_read_are_told(monkeypatch):
    monkeypatch.setattr(classes, "_MOST_TEXTS", 3)
    with pytest.raises(DataError, match="4 texts are more than are read: 3"):
        as_strings(np.zeros(4, "U9"))
