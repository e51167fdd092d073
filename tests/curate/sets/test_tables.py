from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sets.reading import read
from curate.sets.sheets import western
from curate.sets.tables import Table
from curate.sets.writing import write_list
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
    assert "1 of 3 images has no label" in images.source.notes


def test_a_given_table_brings_splits_and_groups_to_class_folders(tmp_path, files):
    files(tmp_path / "set", "cat/1.png", "dog/2.png")
    (tmp_path / "t.csv").write_text("file,split,patient\ncat/1.png,validation,p1\ndog/2.png,train,\nno.png,train,p2\n")
    images = read(tmp_path / "set", labels=tmp_path / "t.csv")
    assert images.splits == ("val", "train")
    assert images.groups is not None
    assert images.groups.tolist() == [0, -1]
    assert images.classes == ("cat", "dog")
    assert "rows of t.csv whose file is not there: 1 (no.png)" in images.source.notes
    assert "splits, but no labels, are from t.csv" in images.source.notes


def test_tables_that_say_nothing_are_passed_over_and_told(tmp_path, files):
    files(tmp_path, "1.png")
    (tmp_path / "notes.csv").write_text("when,what\n1,2\n")
    assert any("notes.csv was not used" in note for note in read(tmp_path).source.notes)
    (tmp_path / "notes.csv").write_text("file,label\n")
    assert "notes.csv was not used: it has no rows, only columns file, label." in read(tmp_path).source.notes
    (tmp_path / "notes.csv").write_text("file,label\nother.png,cat\n")
    assert any("names none of the 1 images" in note for note in read(tmp_path).source.notes)
    (tmp_path / "more.csv").write_text("file,label\nanother.png,cat\n")
    assert sum("names none of the 1 images" in note for note in read(tmp_path).source.notes) == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("when,what\n1,2\n", "none that names files"),
        ("", "t.csv is empty"),
        ("file,label\nother.png,cat\n", "names none of the 3 images"),
        ("file,label\n", "has no rows, only columns file, label"),
        ("file,tone\n", "has no rows, only columns file, tone"),
        ("file,label\n1.png,cat\n1.png,dog\n", r"1 of 1 files more than one label \(1.png: cat and dog\)"),
        ('file,label\n1.png,"cat\na/2.png,dog\n', "a quotation mark is never closed"),
        ("file,age\n1.png,0.25\na/2.png,1.75\n", "has columns file, age, but none that is known to hold labels"),
        ("file,label\n2.png,cat\n", "2 images are called so"),
        (f"file,label\n1.png,{'x' * 200_000}\n", "no table"),
    ],
)
def test_a_given_table_that_does_not_fit_is_an_error(tmp_path, table, message, files):
    files(tmp_path / "set", "1.png", "a/2.png", "b/2.png")
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "set", labels=tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Datei;Art\nbär.png;Bär\n2.png;Kuh\n", "cp1252"),
        ("sep=;\nDatei;Art\nbär.png;Bär\n2.png;Kuh\n", "utf-8-sig"),
        ("Datei\tArt\nbär.png\tBär\n2.png\tKuh\n", "utf-16"),
        ("\nDatei|Art|\nbär.png|Bär|\n\n2.png|Kuh|\n", "utf-16-be"),
        ('"","Datei","Art"\n"0","bär.png","Bär"\n"1","2.png","Kuh"\n', "utf-8"),
        ("bär.png,Bär\n2.png,Kuh\n", "latin-1"),
        ('Datei,Art\n"C:\\Users\\Jörg\\bär.png","Bär "\n"C:\\Users\\Jörg\\2.png",Kuh\n', "cp1252"),
    ],
)
def test_tables_of_other_programs_label_the_images(tmp_path, content, encoding, files, by_id):
    files(tmp_path / "set", "bär.png", "2.png")
    (tmp_path / "t.csv").write_bytes(content.encode(encoding))
    images = read(tmp_path / "set", labels=tmp_path / "t.csv")
    assert by_id(images) == {"bär.png": "Bär", "2.png": "Kuh"}
    assert any(note.startswith("columns of t.csv: file is ") for note in images.source.notes)


def test_what_was_mended_is_told_in_one_line_each(tmp_path, files):
    files(tmp_path, *(f"{i}.png" for i in range(8)))
    rows = [
        "0.png,cat ",
        "1.png,Cat",
        "2.png,cat",
        "3.png,NA",
        "4.png,nan",
        "5.png",
        "6.png,dog",
        "6.png,dog",
        "9.png,cat",
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    images = read(tmp_path)
    assert [images.label_name(row) for row in range(8)] == ["cat", "cat", "cat", "", "", "", "dog", ""]
    assert images.source.notes == (
        "short rows of labels.csv whose last values are missing: 1 (line 7)",
        "spaces around labels of labels.csv were taken off: 1",
        "labels of labels.csv written NA 1 time, nan 1 time are read as no label: "
        "write a class that is really called so in another way",
        "labels of labels.csv that differ in capitals or spaces alone are one class: cat (with Cat 1 time)",
        "labels.csv has several rows of 1 file: 1 more than one each",
        "labels are from labels.csv",
        "rows of labels.csv whose file is not there: 1 (9.png)",
        "4 of 8 images have no label",
    )


def test_columns_of_one_class_each_are_read_and_a_row_of_none_has_no_label(tmp_path, files, by_id):
    files(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "truth.csv").write_text("image,MEL,NV\n1,1.0,0.0\n2,0.0,1.0\n3,0.0,0.0\n")
    images = read(tmp_path)
    assert by_id(images) == {"1.png": "MEL", "2.png": "NV", "3.png": ""}
    assert "labels are one-hot, in the columns MEL, NV of truth.csv" in images.source.notes
    assert "rows of truth.csv that are of none of these classes have no label: 1" in images.source.notes


@pytest.mark.parametrize("name", ["t.tsv", "metadata.jsonl", "t.parquet"])
def test_other_kinds_of_tables_label_the_images_and_are_lists(tmp_path, name, files, by_id):
    files(tmp_path, "1.png", "2.png")
    frame = pd.DataFrame({"file_name": ["1.png", "2.png"], "label": ["cat", "dog"]})
    if name.endswith(".tsv"):
        frame.to_csv(tmp_path / name, sep="\t", index=False)
    elif name.endswith(".jsonl"):
        frame.to_json(tmp_path / name, orient="records", lines=True)
    else:
        frame.to_parquet(tmp_path / name)
    assert by_id(read(tmp_path)) == by_id(read(tmp_path / name)) == {"1.png": "cat", "2.png": "dog"}


def test_a_spreadsheet_is_told_of_and_refused(tmp_path, files):
    files(tmp_path, "1.png")
    (tmp_path / "labels.xlsx").write_bytes(b"PK\x03\x04")
    assert any("labels.xlsx was not used: it is a spreadsheet" in note for note in read(tmp_path).source.notes)
    for source, labels in ((tmp_path, tmp_path / "labels.xlsx"), (tmp_path / "labels.xlsx", None)):
        with pytest.raises(DataError, match=r"is a spreadsheet. Save it as CSV"):
            read(source, labels=labels)


@pytest.mark.parametrize("separator", [" ", "  ", "\t", ",", ";"])
def test_a_text_of_paths_and_labels_is_a_table(tmp_path, separator, files, by_id):
    files(tmp_path, "my data/1.png", "my data/2.png")
    lines = [f"my data/{name}.png{separator}{label}" for name, label in (("1", "cat"), ("2", "dog"))]
    (tmp_path / "l.txt").write_text("# mine\n" + "\n".join(lines))
    assert by_id(read(tmp_path / "l.txt")) == {"my data/1.png": "cat", "my data/2.png": "dog"}


def test_a_text_of_paths_and_labels_may_have_words_for_labels_and_numbers_before(tmp_path, files, by_id):
    files(tmp_path, "a b/1.png", "a b/2.png")
    (tmp_path / "l.txt").write_text("a b/1.png golden retriever\na b/2.png beagle\n")
    assert by_id(read(tmp_path / "l.txt")) == {"a b/1.png": "golden retriever", "a b/2.png": "beagle"}
    (tmp_path / "l.txt").write_text("1 a b/1.png\n2 a b/2.png\n")
    assert read(tmp_path / "l.txt").ids == ("a b/1.png", "a b/2.png")


def test_a_table_of_boxes_labels_each_image_once(tmp_path, files, by_id):
    files(tmp_path, "1.png", "2.png", "3.png")
    boxes = "1.png,8,8,cat,0,0,4,4\n1.png,8,8,cat,2,2,6,6\n2.png,8,8,dog,0,0,4,4\n3.png,8,8,dog,1,1,2,2\n"
    (tmp_path / "boxes.csv").write_text(f"filename,width,height,class,xmin,ymin,xmax,ymax\n{boxes}")
    for images in (read(tmp_path / "boxes.csv"), read(tmp_path)):
        assert by_id(images) == {"1.png": "cat", "2.png": "dog", "3.png": "dog"}
        assert "boxes.csv has several rows of 1 file: 1 more than one each" in images.source.notes


@pytest.mark.parametrize("place", ["https://example.org/set/", "/home/me/set/", "D:\\set\\", ""])
def test_a_list_from_another_place_is_read_where_its_files_are(tmp_path, place, files, by_id):
    files(tmp_path, "cat/1.png", "dog/1.png")
    lines = [f"{place}{name}" for name in ("cat/1.png", "dog/1.png", "cat/1.png")]
    for name, header in (("l.txt", "# mine"), ("l.csv", "file")):
        (tmp_path / name).write_text("\n".join([header, *lines]))
        assert read(tmp_path / name).ids == ("cat/1.png", "dog/1.png")
    assert by_id(read(tmp_path / "l.txt")) == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_a_list_without_rows_is_an_error(tmp_path):
    (tmp_path / "l.csv").write_text("file,label\n")
    with pytest.raises(DataError, match=r"names no images. Needed is a row of each image below file, label"):
        read(tmp_path / "l.csv")


def test_rows_that_name_no_file_are_left_out_and_told(tmp_path, files):
    files(tmp_path, "1.png")
    (tmp_path / "l.csv").write_text("file,label\n1.png,cat\n,dog\n")
    images = read(tmp_path / "l.csv")
    assert images.ids == ("1.png",)
    assert "rows of l.csv that name no file were left out: 1" in images.source.notes


def test_of_several_tables_the_one_that_names_images_and_labels_them_is_used(tmp_path, files, by_id):
    files(tmp_path, "1.png", "2.png")
    (tmp_path / "sizes.csv").write_text("file,width\n1.png,6\n2.png,6\n")
    (tmp_path / "prices.csv").write_text("file,label\nx.png,dear\n")
    (tmp_path / "truth.csv").write_text("file,label\n1.png,cat\n2.png,dog\n")
    images = read(tmp_path)
    assert by_id(images) == {"1.png": "cat", "2.png": "dog"}
    assert any("sizes.csv was not used" in note and "file, width" in note for note in images.source.notes)


def test_a_list_of_this_toolkit_keeps_names_that_would_be_mended(tmp_path, files, by_id):
    files(tmp_path, "NA/1.png", "Cat/2.png", "cat/3.png", "01.0/4.png")
    images = read(tmp_path)
    write_list(images, np.ones(4, bool), tmp_path / "clean.csv")
    again = read(tmp_path / "clean.csv")
    assert by_id(again) == by_id(images)
    assert again.classes == images.classes == ("01.0", "Cat", "NA", "cat")
    assert again.source.notes == ()


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_list_of_this_toolkit_keeps_names_of_any_bytes(tmp_path, files, by_id):
    odd = os.fsdecode(b"caf\xe9")
    files(tmp_path / "set", f"{odd}/{odd}.png", "tea/2.png")
    images = read(tmp_path / "set")
    write_list(images, np.ones(2, bool), tmp_path / "clean.csv")
    again = read(tmp_path / "clean.csv")
    assert (again.ids, again.classes) == (images.ids, images.classes)
    assert again.images[0].pixels.shape == (5, 6, 3)


names = st.text(st.sampled_from("abcXYZ09éü_-"), min_size=1, max_size=6)
labels = st.sampled_from(["ant", "bee, or wasp", "œuf", "zebra; striped", 'a "quoted" one', "7 of 9"])


@settings(max_examples=100)
@given(
    rows=st.dictionaries(names, labels, min_size=1, max_size=8),
    mark=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
)
def test_names_and_labels_that_pandas_writes_are_read_back(tmp_path_factory, rows, mark, encoding):
    frame = pd.DataFrame({"image": [f"{name}.png" for name in rows], "label": list(rows.values())})
    path = tmp_path_factory.getbasetemp() / "round.csv"
    frame.to_csv(path, sep=mark, encoding=encoding, index=False)
    table = Table.read(path)
    assert [western(name) for name in table.files] == frame["image"].tolist()
    assert table.labels == frame["label"].tolist()


@settings(max_examples=150)
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from('file,label;\t|"\n\r\\\0\ufeff 01.png[]{}:é\udce9'), max_size=60).map(
            lambda text: text.encode("utf-8", "surrogateescape")
        ),
    ),
    name=st.sampled_from(["t.csv", "t.txt", "t.jsonl", "t.json", "t.parquet"]),
)
def test_whatever_the_bytes_it_is_a_table_or_an_error_that_says_so(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        table = Table.read(path)
    except DataError:
        return
    assert all(len(column) == len(table.files) for column in (table.labels, table.splits, table.groups) if column)


def test_few_rows_of_several_classes_of_a_one_hot_table_have_no_label(tmp_path):
    rows = [f"{i}.png,{i % 2},{1 - i % 2}" for i in range(12)] + ["12.png,1,1"]
    (tmp_path / "t.csv").write_text("\n".join(["file,cat,dog", *rows]))
    table = Table.read(tmp_path / "t.csv")
    assert table.labels == ["dog", "cat"] * 6 + [""]
    assert "rows of t.csv that are of several classes have no label: 1 (12.png)" in table.notes


def test_a_mark_of_0_and_1_beside_one_hot_columns_is_no_class(tmp_path):
    rows = [f"{i}.png,{i % 2},{1 - i % 2},{int(i % 3 == 0)}" for i in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["file,cat,dog,flash", *rows]))
    table = Table.read(tmp_path / "t.csv")
    assert table.labels == ["dog", "cat"] * 6
    assert any(note.startswith("t.csv has flash of 0 and 1 beside its classes") for note in table.notes)
