from __future__ import annotations

import pytest

from curate.sets.reading import read
from curate.stage.errors import DataError


@pytest.mark.parametrize("name", ["labels.csv", "train.csv", "metadata.csv", "truth.csv"])
@pytest.mark.parametrize(
    "table",
    [
        "file,label\n1.png,cat\n2.png,ant\n",
        "\ufeffFilename;Class\r\n1.png;cat\r\n2.png;ant\r\n",
        "id\ttarget\n1\tcat\n2\tant\n",
        "path, y\n./1.png, cat\nold\\place\\2.jpg, ant\n",
    ],
)
def test_a_table_beside_flat_images_labels_them(tmp_path, name, table, files, by_id):
    files(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / name).write_text(table, encoding="utf-8")
    images = read(tmp_path)
    assert by_id(images) == {"1.png": "cat", "2.png": "ant", "3.png": ""}
    assert images.classes == ("ant", "cat")
    assert f"labels are from {name}" in images.source.notes
    assert "1 of 3 images have no label" in images.source.notes


def test_a_given_table_brings_splits_and_groups_to_class_folders(tmp_path, files):
    files(tmp_path / "set", "cat/1.png", "dog/2.png")
    (tmp_path / "t.csv").write_text("file,split,patient\ncat/1.png,validation,p1\ndog/2.png,train,\nno.png,train,p2\n")
    images = read(tmp_path / "set", labels=tmp_path / "t.csv")
    assert images.splits == ("val", "train")
    assert images.groups is not None
    assert images.groups.tolist() == [0, -1]
    assert images.classes == ("cat", "dog")
    assert "rows of t.csv whose file is not there: 1" in images.source.notes


def test_tables_that_say_nothing_are_passed_over_and_told(tmp_path, files):
    files(tmp_path, "1.png")
    (tmp_path / "notes.csv").write_text("when,what\n1,2\n")
    assert any("notes.csv was not used" in note for note in read(tmp_path).source.notes)
    (tmp_path / "notes.csv").write_text("file,label\nother.png,cat\n")
    assert any("names none of the images" in note for note in read(tmp_path).source.notes)
    (tmp_path / "more.csv").write_text("")
    assert any("none of 2 CSV files" in note for note in read(tmp_path).source.notes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("when,what\n1,2\n", "none that names files"),
        ("", "none that names files"),
        ("file,label\nother.png,cat\n", "names none of the 3 images"),
        ("file,label\n1.png\n", "1 values for 2 columns"),
        ("file,label\n1.png,cat\n1.png,dog\n", "twice"),
        ("file,label\n2.png,cat\n", "2 images are called so"),
        (f"file,label\n1.png,{'x' * 200_000}\n", "no table"),
    ],
)
def test_a_given_table_that_does_not_fit_is_an_error(tmp_path, table, message, files):
    files(tmp_path / "set", "1.png", "a/2.png", "b/2.png")
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "set", labels=tmp_path / "t.csv")
