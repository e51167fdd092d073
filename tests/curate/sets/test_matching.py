from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sets.matching import Columns, add_table, columns_of_list, match_rows
from curate.sets.reading import read
from curate.sets.tables import Table
from curate.stage.errors import DataError


def table(*files, labels=None, splits=None, groups=None):
    return Table(Path("t.csv"), list(files), labels, splits, groups, None, ("file", "label"))


def matched(names, *entries):
    """(file -> entry, entries without a file, how names were compared)."""
    matching = match_rows(names, [""] * len(names), table(*entries))
    rows = {names[i]: entries[row] for i, (row,) in matching.rows.items()}
    return rows, [entries[row] for row in matching.strangers], dict(matching.ways)


def filled(names, told, required=True):
    """(columns of the files once a table has been added)."""
    columns = Columns([""] * len(names), [""] * len(names), [""] * len(names), [])
    add_table(columns, names, told, required=required)
    return columns


def test_a_table_tells_equal_names_apart_by_split(tmp_path, files, by_id):
    files(tmp_path, "train/1.png", "test/1.png")
    (tmp_path / "labels.csv").write_text("file,label,split\n1.png,cat,train\n1.png,dog,test\n")
    assert by_id(read(tmp_path)) == {"train/1.png": "cat", "test/1.png": "dog"}


@pytest.mark.parametrize("name", ["train.csv", "train_labels.csv", "labels_train.csv"])
def test_a_table_called_like_a_split_is_of_its_images_where_others_are_called_alike(tmp_path, files, by_id, name):
    files(tmp_path, "train/000.png", "train/001.png", "test/000.png", "test/001.png", "test/002.png")
    (tmp_path / name).write_text("id,breed\n000,pug\n001,boxer\n002,pug\n")
    images = read(tmp_path)
    assert {id: label for id, label in by_id(images).items() if label} == {
        "train/000.png": "pug",
        "train/001.png": "boxer",
    }
    assert f"{name} is of the images of train, by its own name: others are called alike" in images.source.notes
    assert f"rows of {name} whose file is not there: 1 (002)" in images.source.notes


def test_a_row_whose_file_is_not_there_is_told_though_others_are_called_so():
    names = ["p0/s0.png", "p0/s1.png", "p1/s0.png", "p2/s0.png", "p2/s1.png"]
    rows, strangers, _ = matched(names, *names[:3], "p1/s1.png", *names[3:])
    assert rows == {name: name for name in names}
    assert strangers == ["p1/s1.png"]
    columns = filled(names, table(*names, "p1/s1.png", labels=["a"] * 6))
    assert "rows of t.csv whose file is not there: 1 (p1/s1.png)" in columns.notes


@pytest.mark.parametrize("there", ["", "data/", "data/set/"])
@pytest.mark.parametrize("here", ["", "new/", "new/data/"])
@pytest.mark.parametrize("system", ["posix", "windows"])
def test_paths_from_another_root_are_matched_by_what_they_share(there, here, system):
    ends = ["p0/s0.png", "p0/s1.png", "p1/s0.png", "p1/s1.png"]
    names = [here + end for end in ends if end != "p1/s0.png"]
    entries = [there + end for end in ends]
    if system == "windows":
        entries = ["C:\\" + entry.replace("/", "\\") for entry in entries]
    rows, strangers, _ = matched(names, *entries)
    assert list(rows.values()) == [entries[0], entries[1], entries[3]]
    assert strangers == [entries[2]]


@pytest.mark.parametrize(
    ("name", "entry", "way"),
    [
        ("x/a.png", "x/a.png", None),
        ("x/a.png", "a.png", None),
        ("a.png", "old/place/a.png", None),
        ("a.png", "https://example.org/x/a.png?s=1", None),
        ("a.png", "file:///home/me/a.png", None),
        ("a.png", "~/me/a.png", None),
        ("x/a b.png", "x/a%20b.png", None),
        ("a.png", " a.png ", None),
        ("a.png", "'a.png'", None),
        ("x/a.png", "a", "by names without extension"),
        ("a.b.png", "a.b", "by names without extension"),
        ("a.png", "a.tif", "with another extension"),
        ("a.jpg", "a.jpeg", "with another extension"),
        ("IMG_1.JPG", "img_1.jpg", "with other capitals"),
        ("Photos/IMG_1.JPG", "photos/img_1.JPG", "with other capitals"),
        ("IMG_1.JPG", "img_1", "with other capitals, without extension"),
        ("IMG_1.JPG", "img_1.png", "with other capitals and another extension"),
        ("caf\u00e9.png", "cafe\u0301.png", "with other capitals"),
        ("007.png", "7", "by their numbers"),
        ("07.png", "7.0", "by their numbers"),
        ("000.png", "0", "by their numbers"),
    ],
)
def test_names_are_compared_in_ever_looser_ways_and_that_is_told(name, entry, way):
    rows, strangers, ways = matched([name, "other.gif"], entry, "missing.bmp")
    assert rows == {name: entry}
    assert strangers == ["missing.bmp"]
    assert list(ways) == ([way] if way else [])


def test_a_file_that_is_named_exactly_is_not_taken_by_a_looser_name():
    rows, strangers, _ = matched(["a.png", "B.png"], "a.png", "a.jpg", "b.png", "A.png")
    assert rows == {"a.png": "a.png", "B.png": "b.png"}
    assert strangers == ["a.jpg", "A.png"]


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_names_of_any_bytes_are_found_raw_and_names_in_western_letters_as_text():
    odd = os.fsdecode(b"caf\xe9.png")
    assert matched([odd], odd)[0] == {odd: odd}
    assert matched(["caf\u00e9.png"], odd)[0] == {"caf\u00e9.png": odd}


def test_a_name_that_several_files_have_is_refused():
    with pytest.raises(DataError, match=r"names 'a.png', but 2 images are called so, x/a.png and y/a.png"):
        matched(["x/a.png", "y/a.png"], "a.png")


@given(
    paths=st.lists(st.tuples(*(st.sampled_from("abc"),) * 3), min_size=1, max_size=12, unique=True),
    dropped=st.integers(0, 2),
    data=st.data(),
)
def test_every_file_that_is_there_gets_its_own_row_from_any_root(paths, dropped, data):
    names = ["/".join(path) + ".png" for path in paths]
    entries = [f"/old/root/{name}" for name in data.draw(st.permutations(names))]
    kept = names[dropped:] or names
    matching = match_rows(kept, [""] * len(kept), table(*entries))
    assert {kept[i]: entries[row] for i, (row,) in matching.rows.items()} == {n: f"/old/root/{n}" for n in kept}
    assert len(matching.strangers) == len(names) - len(kept)


def test_rows_that_say_the_same_again_are_told():
    columns = filled(["a.png", "b.png"], table("a.png", "a.png", "b.png", labels=["x", "x", "y"]))
    assert columns.classes == ["x", "y"]
    assert "t.csv has several rows of 1 file: 1 more than one each" in columns.notes


def test_one_file_by_two_spellings_of_its_path_is_one():
    columns = filled(["x/a.png", "x/b.png"], table("x/a.png", "/home/me/x/a.png", "x/b.png", labels=["p", "q", "q"]))
    assert columns.conflicts == {0: ("p", "q")}


def test_names_in_an_encoding_that_cannot_be_told_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="save the table in UTF-8"):
        filled(
            ["\u72d7\u56fe.png"],
            table("\u72d7\u56fe.png".encode("gbk").decode("utf-8", "surrogateescape"), labels=["x"]),
        )


def test_a_row_without_a_label_does_not_contradict_one_with():
    assert filled(["a.png"], table("a.png", "a.png", labels=["", "x"])).classes == ["x"]


def test_a_file_with_two_labels_has_none_and_is_a_conflict():
    names = ["a.png", "b.png", "c.png"]
    columns = filled(names, table("a.png", "b.png", "c.png", "a.png", labels=["x", "y", "x", "y"]))
    assert columns.classes == ["", "y", "x"]
    assert columns.conflicts == {0: ("x", "y")}
    assert "t.csv gives 1 file more than one label, and it has none of them (a.png: x and y)" in columns.notes


def test_two_labels_for_most_files_are_refused():
    with pytest.raises(DataError, match=r"2 of 2 files more than one label \(a.png: x and y\). Give one class"):
        filled(["a.png", "b.png"], table("a.png", "b.png", "a.png", "b.png", labels=["x", "y", "y", "x"]))


def test_of_two_splits_the_first_is_taken_and_told():
    columns = filled(["a.png"], table("a.png", "a.png", labels=["x", "x"], splits=["train", "test"]))
    assert columns.splits == ["train"]
    assert "t.csv gives 1 file more than one split; the first was taken (a.png: train and test)" in columns.notes


def test_a_table_of_other_images_is_an_error_where_it_was_asked_for_and_a_note_where_not():
    other = table("x.png", labels=["a"])
    with pytest.raises(DataError, match=r"names none of the 1 images, but such as 'x.png'; they are called 'a.png'"):
        filled(["a.png"], other)
    assert "t.csv was not used: names none of the 1 images" in filled(["a.png"], other, required=False).notes[0]
    with pytest.raises(DataError, match="has no rows"):
        filled(["a.png"], table(labels=[]))


def test_an_empty_cell_takes_nothing_back_and_a_column_without_labels_is_told():
    columns = Columns(["x"], ["train"], [""], [])
    add_table(columns, ["a.png"], table("a.png", labels=[""], splits=[""]), required=True)
    assert (columns.classes, columns.splits) == (["x"], ["train"])
    assert columns.notes == ["t.csv names 1 of the images, but gives none of them a label"]


def test_a_table_without_labels_is_an_error_that_lists_its_columns():
    with pytest.raises(DataError, match=r"has columns file, label, but none that is known to hold labels.*COLUMN"):
        filled(["a.png"], table("a.png"))


def test_of_a_list_each_file_is_taken_once():
    lines, columns = columns_of_list(["a", "b", "a"], None)
    assert lines == [0, 1]
    assert columns.notes == ["lines that name a file again were left out: 1"]
    lines, columns = columns_of_list(["a", "b", "a", "c"], table(*"abac", labels=["x", "y", "z", "x"]))
    assert lines == [0, 1, 3]
    assert columns.classes == ["", "y", "x"]
    assert columns.conflicts == {0: ("x", "z")}
