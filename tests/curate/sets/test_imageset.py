import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sets.imageset import UNLABELLED, Source, Topic, Unreadable, described
from curate.stage.engine import chunks
from curate.stage.errors import DataError

BLANK = np.zeros((3, 4, 4, 3), np.uint8)


@pytest.fixture
def pets(set_of):
    return set_of(BLANK, [1, UNLABELLED, 0], classes=("ant", "bee"))


def test_a_set_is_as_long_as_its_pictures_and_names_its_labels(pets):
    assert len(pets) == 3
    assert [pets.label_name(row) for row in range(3)] == ["bee", "", "ant"]


def test_a_set_is_labelled_as_soon_as_one_image_is(pets):
    assert pets.labelled
    assert not replace(pets, labels=np.full(3, UNLABELLED)).labelled


@pytest.mark.parametrize("field", ["labels", "ids", "splits", "groups"])
@pytest.mark.parametrize("n", [0, 2, 4])
def test_what_does_not_belong_to_each_image_is_refused(pets, field, n):
    values = {
        "labels": np.zeros(n, np.int64),
        "ids": tuple("abcd"[:n]),
        "splits": ("train",) * n,
        "groups": np.zeros(n, np.int64),
    }
    with pytest.raises(DataError, match=f"3 images but {n} {field}"):
        replace(pets, **{field: values[field]})


def test_two_images_of_one_id_are_refused(pets):
    with pytest.raises(DataError, match="ids are not unique"):
        replace(pets, ids=("a", "b", "a"))


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, -2]])
def test_labels_that_name_no_class_are_refused(pets, labels):
    with pytest.raises(DataError, match="there are 2 classes"):
        replace(pets, labels=np.array(labels))


def test_labels_in_columns_are_refused(pets):
    with pytest.raises(DataError):
        replace(pets, labels=np.array([[0], [1], [0]]))


def test_labels_between_two_classes_are_refused_rather_than_cut_off(pets):
    with pytest.raises(DataError):
        replace(pets, labels=np.array([0.0, 0.7, 1.0]))


def test_labels_of_any_integer_type_become_int64(pets):
    assert replace(pets, labels=np.array([1, 0, 1], np.uint8)).labels.dtype == np.int64


def test_the_labels_of_a_set_are_read_only_while_the_callers_array_stays_as_it_was(pets):
    given_labels = np.array([0, 1, 0], np.int64)
    made = replace(pets, labels=given_labels)
    with pytest.raises(ValueError, match="read-only"):
        made.labels[0] = 1
    given_labels[0] = 1
    assert given_labels.flags.writeable


def test_a_set_may_be_empty(set_of):
    assert len(set_of(BLANK[:0], [])) == 0


@given(n=st.integers(0, 200), size=st.integers(1, 50))
def test_chunks_are_all_rows_in_order_each_no_longer_than_asked_for(n, size):
    pieces = list(chunks(n, size))
    assert [row for piece in pieces for row in piece] == list(range(n))
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(1 <= len(piece) <= size for piece in pieces)


@pytest.mark.parametrize("path", [".", "./", "../cells", "sub/..", "/"])
def test_a_source_is_called_by_its_name_however_it_is_given(tmp_path, monkeypatch, path):
    (tmp_path / "cells" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cells")
    assert Source("files", Path(path)).name == ("/" if path == "/" else "cells")


def test_what_nobody_would_guess_is_told_and_with_it_what_is_in_no_other_line():
    topics = (Topic("classes", "2, from l.csv"), Topic("splits", "none", plain=True))
    source = Source("files", Path("x"), notes=("labels are from l.csv", "something else"), topics=topics)
    assert source.lines() == ["  classes  2, from l.csv", "  note     something else"]
    assert source.lines(everything=True)[1] == "  splits   none"
    assert Source("npz", Path("x")).lines() == []


def test_a_set_is_told_in_one_short_line_whatever_its_name_and_size(set_of):
    assert repr(set_of(BLANK, [0, 1, 0][: len(BLANK)])).startswith("<ImageSet cells.npz: ")
    images = set_of(np.zeros((2_000, 4, 4, 3), np.uint8), [0] * 2_000)
    assert repr(images) == "<ImageSet cells.npz: 2,000 images, 4 classes>"
    hostile = replace(images, source=Source("npz", Path("\x1b[31m\n\u202e" * 60)))
    assert len(repr(hostile)) < 200
    assert repr(hostile).isprintable()


def test_a_set_is_described_by_its_pictures_and_classes(set_of, pets):
    assert described(replace(pets, describe="8x8 grey")) == "cells.npz: 3 images, 8x8 grey, 2 classes"
    assert described(set_of(BLANK[:1], classes=())) == "cells.npz: 1 image, no labels"


def test_a_set_shows_its_classes_splits_and_an_even_strip_of_pictures(set_of):
    images = np.full((40, 8, 8, 3), 120, np.uint8)
    pets = set_of(images, [0, 1] * 20, classes=("<ant>", "bee"), splits=["train"] * 30 + ["test"] * 10)
    page = pets._repr_html_()
    assert page.count("data:image/jpeg;base64,") == 10
    assert "&lt;ant&gt;" in page
    assert "<ant>" not in page
    assert re.findall(r'<span class="number">(\d+)</span>', page) == ["20", "20", "30", "10"]
    assert "cell 0" in page
    assert "cell 39" in page


def test_a_set_of_any_size_and_kind_shows_itself(set_of):
    assert "no labels" in set_of(BLANK, classes=())._repr_html_()
    assert "0 images" in set_of(BLANK[:0], [])._repr_html_()
    large = np.random.default_rng(0).integers(0, 255, (40, 300, 300, 3), np.uint8)
    classes = [f"class {i}" * 40 for i in range(40)]
    assert len(set_of(large, range(40), classes=classes)._repr_html_()) < 500_000


class Broken:
    """Pictures of which none can be read."""

    def __len__(self):
        return 3

    def __getitem__(self, row):
        raise Unreadable("it is no image")


def test_a_set_whose_pictures_cannot_be_read_shows_itself_without(pets):
    page = replace(pets, images=Broken())._repr_html_()
    assert page.count("cannot be read") == 3 * 2
    assert "data:image" not in page
