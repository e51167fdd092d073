from __future__ import annotations

import os

import pytest
from PIL import Image

from curate.sets.files import listed_files
from curate.sets.imageset import Unreadable
from curate.sets.reading import read
from curate.stage.errors import DataError


def test_class_folders_are_classes_and_ids_are_paths(tmp_path, files, by_id):
    files(tmp_path, "dog/2.png", "dog/10.png", "cat/a.png", "cat/indoor/old/b.jpg")
    images = read(tmp_path)
    assert by_id(images) == {
        "cat/a.png": "cat",
        "cat/indoor/old/b.jpg": "cat",
        "dog/10.png": "dog",
        "dog/2.png": "dog",
    }
    assert list(images.ids) == sorted(images.ids)
    assert images.classes == ("cat", "dog")
    assert images.splits is None
    assert images.describe == "6x5 PNG and JPEG"
    assert images.source.root == tmp_path


def test_numbered_class_folders_are_in_the_order_of_their_numbers(tmp_path, files):
    assert read(files(tmp_path, "10/a.png", "9/a.png", "0/a.png")).classes == ("0", "9", "10")


@pytest.mark.parametrize(
    ("names", "splits", "classes"),
    [
        (["train/a/1.png", "valid/a/1.png", "test/b/1.png"], ("test", "train", "val"), ("a", "b")),
        (["train/1.png", "test/1.png"], ("test", "train"), ()),
        (["Training/a/1.png", "validation/b/2.png"], ("train", "val"), ("a", "b")),
        (["all/train/a/1.png", "all/val/b/2.png"], ("train", "val"), ("a", "b")),
        (["train/all/a/1.png", "test/all/b/2.png"], ("test", "train"), ("a", "b")),
        (["train/1.png", "car/1.png", "ship/1.png"], None, ("car", "ship", "train")),
        (["set/more/a/1.png", "set/more/b/1.png"], None, ("a", "b")),
        (["only/1.png", "only/2.png"], None, ("only",)),
        (["images/1.png", "images/2.png"], None, ()),
        (["1.png", "2.png"], None, ()),
    ],
)
def test_folders_are_splits_classes_or_neither(tmp_path, names, splits, classes, files):
    images = read(files(tmp_path, *names))
    assert images.splits == splits
    assert images.classes == classes
    assert sorted(images.ids) == sorted(names)


def test_folders_beside_train_and_test_are_splits_as_well_and_that_is_told(tmp_path, files):
    images = read(files(tmp_path, "train/1.png", "test/1.png", "field work/1.png"))
    assert images.classes == ()
    assert images.splits == ("field work", "test", "train")
    assert images.source.notes[0] == (
        "field work beside test, train was taken for splits as well. If that is wrong, give --classes-from 1"
    )
    assert read(tmp_path, classes_from=1).classes == ("field work", "test", "train")


def test_a_list_of_paths_keeps_its_order_and_finds_classes_in_the_folders(tmp_path, files):
    files(tmp_path, "cat/1.png", "dog/2.png", "dog/3.png")
    (tmp_path / "l.txt").write_text("# chosen\ndog/3.png\n\n  cat/1.png  \ngone/4.png\n")
    images = read(tmp_path / "l.txt")
    assert images.ids == ("dog/3.png", "cat/1.png", "gone/4.png")
    assert images.classes == ("cat", "dog", "gone")
    with pytest.raises(Unreadable, match=r"^does not exist$"):
        images.images[2]


def test_a_list_outside_of_its_images_names_them_below_what_they_share(tmp_path, files):
    files(tmp_path / "set", "cat/1.png", "dog/2.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "l.txt").write_text(f"../set/cat/1.png\n{tmp_path}/set/dog/2.png\n")
    images = read(tmp_path / "lists" / "l.txt")
    assert images.ids == ("cat/1.png", "dog/2.png")
    assert images.source.root == tmp_path / "set"
    assert images.images[1].pixels.shape == (5, 6, 3)


def test_a_csv_list_brings_labels_splits_groups_and_ids(tmp_path, files, by_id):
    files(tmp_path, "a.png", "b.png")
    (tmp_path / "l.csv").write_text('file,label,split,group,id\nb.png,"x, y",val,g2,first\na.png,,train,,second\n')
    images = read(tmp_path / "l.csv")
    assert by_id(images) == {"first": "x, y", "second": ""}
    assert images.splits == ("val", "train")
    assert images.groups is not None
    assert images.groups.tolist() == [0, -1]


def test_the_files_of_a_list_are_told_by_id_and_none_is_opened(tmp_path, files):
    files(tmp_path, "a.png", "x/b.png", "c.png")
    (tmp_path / "list.csv").write_text("file,id\nx/b.png,second\nc.png,third\ngone.png,fourth\n")
    found = listed_files(tmp_path / "list.csv")
    assert found == {"second": f"{tmp_path}/x/b.png", "third": f"{tmp_path}/c.png", "fourth": f"{tmp_path}/gone.png"}
    assert list(found) == list(read(tmp_path / "list.csv").ids)
    (tmp_path / "list.txt").write_text("x/b.png\na.png\n")
    assert listed_files(tmp_path / "list.txt") == {name: f"{tmp_path}/{name}" for name in ("x/b.png", "a.png")}


def test_a_list_whose_files_are_all_gone_is_an_error(tmp_path):
    (tmp_path / "list.txt").write_text("x/b.png\n")
    with pytest.raises(DataError, match="none exists"):
        listed_files(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# nothing\n", "names no images"),
        ("no.png\n", "but none exists"),
    ],
)
def test_a_list_that_cannot_be_used_is_an_error(tmp_path, content, message, files):
    files(tmp_path, "a.png")
    (tmp_path / "l.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "l.txt")


def test_clutter_is_skipped_and_counted(tmp_path, files):
    files(tmp_path, "cat/1.png", ".git/x.png", "__MACOSX/cat/1.png")
    for name in (
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "cat/._1.png",
        "README.md",
        "cat/a.json",
        "cat/b.json",
        "cat/.DS_9.jpg",
    ):
        (tmp_path / name).write_bytes(b"")
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "scan.dat", format="PNG")
    images = read(tmp_path)
    assert images.ids == ("cat/1.png",)
    assert images.source.notes == (
        "1 file hidden by a leading dot skipped (cat/.DS_9.jpg)",
        "1 file in 1 folder hidden by a leading dot skipped (.git)",
        "1 file with an image inside but no image's extension skipped (cat/scan.dat)",
        "4 files without an image's extension skipped (.dat 1, .json 2, .md 1)",
    )


def test_links_are_followed_but_not_in_circles(tmp_path, files):
    files(tmp_path / "set", "cat/1.png")
    files(tmp_path / "elsewhere", "2.png")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "cat" / "again").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    images = read(tmp_path / "set")
    assert images.ids == ("cat/1.png", "cat/gone.png", "dog/2.png")
    with pytest.raises(Unreadable, match="does not exist"):
        images.images[1]


def test_names_that_are_no_utf8_get_ids_that_are(tmp_path, files):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        files(tmp_path / "cat", "ü.png").joinpath("ü.png").rename(tmp_path / "cat" / name)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    images = read(tmp_path)
    assert images.ids == ("cat/caf\\xe9.png",)
    assert images.images[0].pixels.shape == (5, 6, 3)


def test_an_empty_folder_and_one_without_permission_are_errors(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path)
    (tmp_path / "a.heic").touch()
    with pytest.raises(DataError, match=r"holds no images: 1 file without .*\.heic 1"):
        read(tmp_path)

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read(tmp_path)
