from __future__ import annotations

import numpy as np
import pytest

from curate.sets.companions import read_companion
from curate.stage.errors import DataError

IDS = ("a/1.png", "a/2.png", "b/3.png")
NUMBERS = np.arange(6, dtype=np.float32).reshape(3, 2)


def read(path, ids=IDS, columns=()):
    return read_companion(path, ids, "--numbers", ("numbers", "x"), columns)


def saved(path, **arrays):
    np.savez(path / "n.npz", **arrays)
    return path / "n.npz"


def written(path, text):
    (path / "n.csv").write_text(text)
    return path / "n.csv"


def test_an_array_is_in_the_order_of_the_set(tmp_path):
    np.save(tmp_path / "n.npy", NUMBERS)
    companion = read(tmp_path / "n.npy")
    assert (companion.values == NUMBERS).all()
    assert len(companion.digest) == 32


def test_ids_beside_it_put_it_into_any_order(tmp_path):
    companion = read(saved(tmp_path, numbers=NUMBERS[::-1], ids=np.array(IDS[::-1])))
    assert (companion.values == NUMBERS).all()
    assert companion.notes == ()


def test_ids_may_be_paths_of_another_machine_and_rows_of_other_images_are_told(tmp_path):
    names = ["C:\\set\\b\\3.png", "./x/9.png", "C:\\set\\a\\1.png", "C:\\set\\a\\2.png"]
    companion = read(saved(tmp_path, x=np.array([[4, 5], [9, 9], [0, 1], [2, 3]]), files=np.array(names)))
    assert (companion.values == NUMBERS).all()
    assert companion.notes == ("1 row of n.npz is of no image of this set",)


def test_a_table_has_its_columns_in_any_order_and_others_beside(tmp_path):
    text = "file,label,p_dog,P_Cat\nb/3.png,dog,5,4\na/1.png,cat,1,0\na/2.png,cat,3,2\n"
    assert (read(written(tmp_path, text), columns=("cat", "dog")).values == NUMBERS).all()


def test_a_table_without_ids_is_in_the_order_of_the_set_and_an_empty_cell_is_no_number(tmp_path):
    values = read(written(tmp_path, "cat;dog\n0,5;1\n2;\n4;5\n"), columns=("cat", "dog")).values
    np.testing.assert_array_equal(values, [[0.5, 1], [2, np.nan], [4, 5]])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": NUMBERS[:2]}, r"has 2 rows, and the set 3 images.*Needed is one row for each"),
        ({"x": NUMBERS, "ids": np.array(["a/1.png", "a/2.png", "b/4.png"])}, r"has no row of 1 of 3 images.*'b/3.png'"),
        ({"x": NUMBERS, "ids": np.array(["a/1.png", "a/1.png", "b/3.png"])}, r"has 2 rows of 'a/1.png'"),
        ({"x": NUMBERS, "ids": np.array(["a/1.png"])}, r"ids has shape \(1,\).*Needed is one id each"),
        ({"p": NUMBERS, "q": NUMBERS}, r"several arrays of numbers: p, q\. Call the one that is meant numbers"),
        ({"x": NUMBERS[None]}, r"x has shape \(1, 3, 2\).*Needed are numbers of shape \(N, D\)"),
        ({"x": np.array([["a"], ["b"], ["c"]])}, r"type <U1"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused_with_what_is_needed(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words):
        read(saved(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,cat\na/1.png,1\n", r"has columns id, cat, and none for dog\. Needed is one for each class: cat, dog"),
        ("id,cat,dog\na/1.png,1,x\n", r"row 1 has 'x' in column dog\. Needed are numbers"),
        ("id,cat,dog\na/1.png,1,0\n", r"has no row of 2 of 3 images"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_what_is_needed(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read(written(tmp_path, text), columns=("cat", "dog"))


def test_python_objects_other_files_and_none_at_all_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read(tmp_path / "o.npy")
    with pytest.raises(DataError, match=r"is not read\. Give an \.npy or an \.npz"):
        read(written(tmp_path, "a\n"))
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.npy")
