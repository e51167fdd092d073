"""Tables beside image files: when they are used, and how they stand to what the folders say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.sets.imageset import ImageSet
from curate.sets.reading import read
from curate.stage.errors import DataError


@pytest.fixture
def place(tmp_path, files) -> Callable[..., Path]:
    """place(paths, **tables): a folder of these images, and tables by name, "labels" for labels.csv."""

    def write(paths: list[str], **tables: str) -> Path:
        files(tmp_path / "set", *paths)
        for name, text in tables.items():
            (tmp_path / "set" / f"{name}.csv").write_text(text)
        return tmp_path / "set"

    return write


def counted(images: ImageSet) -> Counter[str]:
    return Counter(images.label_name(row) for row in range(len(images)))


def test_train_images_and_test_images_are_splits_and_the_table_labels_one_of_them(place):
    paths = [f"train_images/{i}.jpg" for i in range(4)] + [f"test_images/{i}.jpg" for i in range(4, 6)]
    table = "image_id,label\n" + "".join(f"{i}.jpg,{i % 2}\n" for i in range(4))
    images = read(place(paths, train=table, sample_submission="image_id,label\n4.jpg,0\n5.jpg,0\n"))
    assert counted(images) == {"0": 2, "1": 2, "": 2}
    assert Counter(images.splits) == {"train": 4, "test": 2}
    assert "2 of 6 images have no label" in images.source.notes
    assert "labels are from train.csv" in images.source.notes
    assert any(note.startswith("sample_submission.csv was not used") for note in images.source.notes)


def test_parts_are_no_classes_where_a_table_labels_their_images(place):
    paths = [f"HAM_part_{1 + i % 2}/ISIC_{i:04}.jpg" for i in range(12)]
    rows = "".join(f"HAM_{i // 2},ISIC_{i:04},{'nv' if i % 3 else 'mel'}\n" for i in range(12))
    images = read(place(paths, metadata="lesion_id,image_id,dx\n" + rows))
    assert counted(images) == {"nv": 8, "mel": 4}
    assert images.groups is not None
    assert len(set(images.groups.tolist())) == 6
    (note,) = (note for note in images.source.notes if "are not the classes" in note)
    assert note.startswith("the folders (HAM_part_1, HAM_part_2) are not the classes: metadata.csv labels their images")
    topics = {topic.name: topic.text for topic in images.source.topics}
    assert topics["classes"] == "2 (mel, nv), from metadata.csv"
    assert topics["groups"].endswith("from metadata.csv")


def test_batches_with_paths_and_splits_with_ids_are_labelled(place):
    images = read(
        place(["batch_1/a.png", "batch_2/a.png"], labels="file,label\nbatch_1/a.png,cat\nbatch_2/a.png,dog\n")
    )
    assert [images.label_name(row) for row in range(2)] == ["cat", "dog"]


def test_patients_of_which_one_file_is_missing_are_labelled_and_the_row_is_told(place):
    paths = [f"p{i // 4}/slice_{i % 4}.png" for i in range(12) if i != 7]
    rows = "".join(f"p{i // 4}/slice_{i % 4}.png,{'ab'[i % 2]},p{i // 4}\n" for i in range(12))
    images = read(place(paths, labels="file,label,patient\n" + rows))
    assert counted(images) == {"a": 6, "b": 5}
    assert "rows of labels.csv whose file is not there: 1 (p1/slice_3.png)" in images.source.notes


def test_a_table_that_agrees_with_the_folders_brings_the_rest(place):
    table = "file,label,patient\n1.png,cat,p1\n2.png,dog,p1\n3.png,dog,p2\n"
    images = read(place(["cat/1.png", "dog/2.png", "3.png"], labels=table))
    assert counted(images) == {"cat": 1, "dog": 2}
    assert images.groups is not None
    assert "labels.csv and the folders agree on the labels" in images.source.notes


def test_where_folders_and_a_table_differ_on_a_few_the_folders_are_taken_and_it_is_told(place):
    paths = [f"{name}/{i}.png" for i, name in enumerate(["cat", "cat", "dog", "dog"])]
    folder = place(paths, labels="file,label\n0.png,cat\n1.png,cat\n2.png,dog\n3.png,cat\n")
    assert counted(read(folder)) == {"cat": 2, "dog": 2}
    assert any("label 1 image differently: the folders' were taken" in note for note in read(folder).source.notes)
    for directions in ({"classes_from": "table"}, {"labels": folder / "labels.csv"}):
        assert counted(read(folder, **directions)) == {"cat": 3, "dog": 1}


def test_other_names_of_the_same_classes_are_offered(place):
    rows = "1.png,tench\n2.png,tench\n3.png,shark\n4.png,shark\n"
    folder = place(["n01/1.png", "n01/2.png", "n02/3.png", "n02/4.png"], labels=f"file,label\n{rows}")
    assert read(folder).classes == ("n01", "n02")
    assert any("give --classes-from table" in note for note in read(folder).source.notes)
    assert read(folder, classes_from="table").classes == ("shark", "tench")


def test_a_table_of_another_split_adds_its_labels(place):
    paths = ["train/n01/1.png", "train/n02/2.png", "val/3.png", "val/4.png"]
    images = read(place(paths, val_labels="file,label\n3.png,n02\n4.png,n01\n"))
    assert [images.label_name(row) for row in range(4)] == ["n01", "n02", "n02", "n01"]
    assert images.splits == ("train", "train", "val", "val")


def test_two_tables_of_two_splits_are_joined_and_one_that_contradicts_is_not(place):
    folder = place(
        ["train/1.png", "val/2.png"],
        train="file,label\n1.png,cat\n",
        val="file,label\n2.png,dog\n",
        zz="file,label\n1.png,bird\n",
    )
    images = read(folder)
    assert [images.label_name(row) for row in range(2)] == ["cat", "dog"]
    assert any(note.startswith("zz.csv was not used: train.csv, val.csv labels") for note in images.source.notes)


def test_tables_within_splits_name_their_own_files(tmp_path, files):
    for split, label in (("train", "cat"), ("test", "dog")):
        files(tmp_path, f"{split}/1.jpg")
        (tmp_path / split / "metadata.csv").write_text(f"file_name,label\n1.jpg,{label}\n")
    images = read(tmp_path)
    assert [images.label_name(row) for row in range(2)] == ["dog", "cat"]
    assert images.splits == ("test", "train")


def test_classes_in_columns_within_splits_are_read(tmp_path, files):
    for split in ("train", "valid"):
        files(tmp_path, f"{split}/1.jpg", f"{split}/2.jpg")
        (tmp_path / split / "_classes.csv").write_text("filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 0, 1\n")
    images = read(tmp_path)
    assert counted(images) == {"cat": 2, "dog": 2}
    assert Counter(images.splits) == {"train": 2, "val": 2}


def test_a_given_table_that_covers_a_part_leaves_the_others_without_a_label(place):
    folder = place(["a_part_1/1.png", "a_part_2/2.png", "a_part_2/3.png"])
    table = folder.parent / "t.csv"
    table.write_text("file,label\n1.png,cat\n2.png,dog\n")
    assert counted(read(folder, labels=table)) == {"cat": 1, "dog": 1, "": 1}


def test_a_given_table_without_a_column_of_labels_is_an_error_that_lists_the_columns(place):
    folder = place(["part_1/1.png", "part_2/2.png"])
    table = folder.parent / "t.csv"
    table.write_text("image_id,weight,colour\n1,0.25,brown\n2,1.75,grey\n")
    with pytest.raises(DataError, match=r"columns image_id, weight, colour, but none .*--classes-from COLUMN"):
        read(folder, labels=table)
    assert counted(read(folder, labels=table, classes_from="colour")) == {"brown": 1, "grey": 1}


@pytest.mark.parametrize("direction", ["colour", "table"])
def test_a_column_or_a_table_that_is_not_there_is_an_error(direction, place):
    folder = place(["cat/1.png", "dog/2.png"])
    with pytest.raises(DataError, match=rf"--classes-from {direction}: there is no table .*--labels FILE"):
        read(folder, classes_from=direction)
    (folder / "labels.csv").write_text("file,label\nother.png,cat\n")
    with pytest.raises(DataError, match=rf"--classes-from {direction}: none of the tables .*labels.csv"):
        read(folder, classes_from=direction)


def test_columns_that_a_person_names_are_classes_splits_and_groups(place):
    folder = place(
        ["cat/1.png", "dog/2.png"], meta="file,label,scope,when,who\n1.png,cat,old,train,x\n2.png,dog,new,test,y\n"
    )
    images = read(folder, classes_from="scope", splits_from="when", groups_from="who")
    assert images.classes == ("new", "old")
    assert images.splits == ("train", "test")
    assert images.groups is not None
    alone = read(folder, classes_from="folders", splits_from="none")
    assert alone.classes == ("cat", "dog")
    assert alone.splits is None


PETS = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("file,width,type\n" + "".join(f"{i}.png,6,RGB\n" for i in (1, 2, 3, 4)), "one label for all its images, RGB"),
        ("FILE NAME,FORMAT,SIZE,URL\n1,PNG,9,http\n2,PNG,9,http\n", "one label for all its images, PNG"),
        ("file,label\n1.png,old\n2.png,new\n", "none of the images of dog, and others new, old"),
    ],
)
def test_a_table_that_holds_no_classes_does_not_beat_folders_that_do(place, table, reason):
    folder = place(PETS, info=table)
    images = read(folder)
    assert counted(images) == {"cat": 2, "dog": 2}
    (note,) = (note for note in images.source.notes if note.startswith("the folders (cat, dog) are the classes"))
    assert reason in note
    assert "--classes-from table" in note
    assert "cat" not in read(folder, classes_from="table").classes


@pytest.mark.parametrize("column", ["species", "animal"])
def test_the_column_that_says_what_the_folders_say_is_that_of_labels(place, column):
    rows = "".join(f"{i}.png,animal,{'Cat' if i < 3 else 'Dog'},p{i % 2}\n" for i in (1, 2, 3, 4))
    images = read(place(PETS, info=f"file,category,{column},patient\n{rows}"))
    assert counted(images) == {"cat": 2, "dog": 2}
    assert images.groups is not None
    assert "info.csv and the folders agree on the labels" in images.source.notes


def test_sites_with_labels_of_their_own_are_no_classes(place):
    rows = "".join(f"{i}.png,{'ab'[i % 2]},{'cat' if i < 3 else 'dog'}\n" for i in (1, 2, 3, 4))
    assert read(place(PETS, info=f"file,label,place\n{rows}")).classes == ("a", "b")
