from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from disks import files_of_at_most
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from curate.sets import writing
from curate.sets.reading import read
from curate.sets.writing import clean_notes, clean_path, write_clean
from curate.stage.errors import DataError, OutputError
from curate.stage.files import write_npy, write_parquet, write_text

KEEP = np.array([True, False, True, True, False, True])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_disk_that_fills_halfway_leaves_nothing_behind(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=noise)
    images = read(tmp_path / "d.npz")
    out = tmp_path / "out"
    with files_of_at_most(100_000):
        for write in (
            lambda: write_clean(images, np.ones(200, bool), out),
            lambda: write_npy(noise, out / "a.npy"),
            lambda: write_text("x" * 200_000, out / "a.txt"),
            lambda: write_parquet(pd.DataFrame({"x": noise.ravel()}), out / "a.parquet"),
        ):
            with pytest.raises(OutputError, match="grew larger than is allowed"):
                write()
    assert not list(out.iterdir())


# Clean archives


@given(data=st.data(), order=st.sampled_from("CF"), save=st.sampled_from([np.savez, np.savez_compressed]))
@settings(deadline=None, max_examples=60)
def test_the_clean_archive_holds_the_kept_rows_as_they_were(data, order, save):
    shape = data.draw(
        st.sampled_from([(3, 5, 7, 3), (4, 5, 6), (2, 4, 6, 6), (1, 3, 5, 7), (5, 6, 6, 4), (3, 5, 6, 1)])
    )
    images = data.draw(
        hnp.arrays(st.sampled_from(["u1", "<u2", ">u2", "<i8", ">f4", "f8", "?"]), shape, elements=st.integers(0, 1))
    )
    keep = data.draw(hnp.arrays(bool, len(images)))
    keep[data.draw(st.integers(0, len(images) - 1))] = True
    labels = np.ones((len(images), 1), int).astype(data.draw(st.sampled_from([">i4", "U2", "f8"])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "d.npz")
        save(path, images=np.asarray(images, order=order), labels=labels, mean=np.float32(3), names=["a", "b"])
        source = read(path)
        clean = write_clean(source, keep, Path(folder, "out"))
        with np.load(clean) as written, np.load(path) as given:
            assert written.files == ["images", "labels", "mean", "names", "ids", "rows"]
            np.testing.assert_array_equal(written["images"], images[keep])
            np.testing.assert_array_equal(written["labels"], labels[keep])
            assert {key: written[key].dtype for key in given.files} == {key: given[key].dtype for key in given.files}
            np.testing.assert_array_equal(written["rows"], np.flatnonzero(keep))
            assert written["rows"].dtype == np.int64
        back = read(clean)
        assert back.ids == tuple(np.array(source.ids)[keep])
        for row, original in enumerate(np.flatnonzero(keep).tolist()):
            np.testing.assert_array_equal(back.images[row].raw, source.images[original].raw)


def test_fortran_order_is_kept(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=np.asfortranarray(pets))
    with np.load(write_clean(read(tmp_path / "d.npz"), KEEP, tmp_path / "out")) as written:
        assert written["images"].flags.f_contiguous
        np.testing.assert_array_equal(written["images"], pets[KEEP])


def test_two_writes_give_the_same_bytes(tmp_path, pets):
    np.savez_compressed(tmp_path / "d.npz", images=pets, labels=list("abcabc"))
    paths = [write_clean(read(tmp_path / "d.npz"), KEEP, tmp_path / name) for name in ("one", "two")]
    assert digest(paths[0]) == digest(paths[1])


def test_only_arrays_of_one_entry_per_image_are_filtered(tmp_path, pets):
    arrays = {
        "images": pets,
        "labels": np.arange(6),
        "class_names": np.array(list("uvwxyz")),  # as many as images, yet no rows
        "source": np.array([f"{i}.png" for i in range(6)]),
        "weights": np.arange(12.0).reshape(6, 2),
        "mean": np.arange(3),
    }
    np.savez(tmp_path / "d.npz", **arrays)
    source = read(tmp_path / "d.npz")
    clean = write_clean(source, KEEP, tmp_path / "out")
    with np.load(clean) as written:
        for key in ("class_names", "mean"):
            np.testing.assert_array_equal(written[key], arrays[key])
        for key in ("images", "labels", "source", "weights"):
            np.testing.assert_array_equal(written[key], arrays[key][KEEP])
    back = read(clean)
    assert back.classes == source.classes
    assert back.labels.tolist() == [0, 2, 3, 5]


def test_splits_are_filtered_each_by_its_own_rows(tmp_path, pets):
    np.savez(
        tmp_path / "d.npz",
        train_images=pets[:3], train_labels=[[0], [1], [0]], test_images=pets[3:5], test_labels=[[1], [1]],
        val_images=pets[5:], val_labels=[[0]], test_weights=[7, 8], patient=[4, 4, 4, 5, 5, 5],
    )  # fmt: skip
    source = read(tmp_path / "d.npz")
    assert source.ids == ("train/0", "train/1", "train/2", "val/0", "test/0", "test/1")
    keep = np.array([True, False, True, False, False, True])
    clean = write_clean(source, keep, tmp_path / "out")
    with np.load(clean) as written:
        np.testing.assert_array_equal(written["train_images"], pets[[0, 2]])
        assert written["val_images"].shape == (0, 8, 10, 3)
        assert written["test_labels"].tolist() == [[1]]
        assert written["test_weights"].tolist() == [8]
        assert written["patient"].tolist() == [4, 4, 5]
        assert written["rows"].tolist() == [0, 2, 5]
    back = read(clean)
    assert back.ids == ("train/0", "train/2", "test/1")
    assert back.splits == ("train", "train", "test")
    assert back.groups is not None
    assert back.groups.tolist() == [0, 0, 1]


def test_a_clean_archive_cleaned_again_keeps_its_ids_and_counts_its_own_rows(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=pets, labels=np.arange(6) % 2)
    first = write_clean(read(tmp_path / "d.npz"), KEEP, tmp_path / "one")
    second = write_clean(read(first), np.array([False, True, True, False]), tmp_path / "two")
    with np.load(second) as written:
        assert written.files == ["images", "labels", "ids", "rows"]
        assert written["ids"].tolist() == ["2", "3"]
        assert written["rows"].tolist() == [1, 2]
    assert read(second).ids == ("2", "3")


@pytest.mark.parametrize(("given", "expected"), [([5, 6, 7, 8, 9, 4], [5, 7, 8, 4]), ([1] * 6, ["0", "2", "3", "5"])])
def test_ids_keep_their_type_where_they_serve_and_else_are_the_rows(tmp_path, pets, given, expected):
    np.savez(tmp_path / "d.npz", images=pets, ids=given)
    with np.load(write_clean(read(tmp_path / "d.npz"), KEEP, tmp_path / "out")) as written:
        assert written["ids"].tolist() == expected


def test_a_plain_npy_becomes_an_archive(tmp_path, pets):
    np.save(tmp_path / "d.npy", pets)
    with np.load(write_clean(read(tmp_path / "d.npy"), KEEP, tmp_path / "out")) as written:
        np.testing.assert_array_equal(written["images"], pets[KEEP])
        assert written["ids"].tolist() == ["0", "2", "3", "5"]


def test_keeping_none_writes_empty_arrays(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=pets)
    with np.load(write_clean(read(tmp_path / "d.npz"), np.zeros(6, bool), tmp_path / "out")) as written:
        assert written["images"].shape == (0, 8, 10, 3)
        assert written["rows"].shape == (0,)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_archive_is_written_without_being_held_in_memory(tmp_path, order):
    images = np.zeros((500, 200, 200, 3), np.uint8, order=order)  # 60 MB
    np.savez(tmp_path / "d.npz", images=images)
    del images
    source = read(tmp_path / "d.npz")
    keep = np.arange(500) % 10 > 0
    tracemalloc.start()
    write_clean(source, keep, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_keep_must_be_one_bool_for_each_image(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=pets)
    for keep in (np.arange(6), KEEP[:4]):
        with pytest.raises(DataError, match="one bool for each of 6 images"):
            write_clean(read(tmp_path / "d.npz"), keep, tmp_path)


def test_an_archive_that_has_changed_is_not_filtered_blindly(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=pets)
    source = read(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", images=pets[:3])
    (tmp_path / "e.npz").replace(tmp_path / "d.npz")
    with pytest.raises(DataError, match="has changed since it was read"):
        write_clean(source, KEEP, tmp_path / "out")


def test_the_input_is_never_overwritten(tmp_path, pets):
    np.savez(tmp_path / "clean.npz", images=pets)
    source = read(tmp_path / "clean.npz")
    before = digest(tmp_path / "clean.npz")
    for write in (lambda: write_clean(source, KEEP, tmp_path), lambda: clean_path(source, tmp_path)):
        with pytest.raises(OutputError, match="no input is overwritten"):
            write()
    assert digest(tmp_path / "clean.npz") == before


# Clean lists


def folder(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), i).save(path)
    return root


PARTS = st.text(st.sampled_from("ab \t,;\"'#é\\-10\n"), min_size=1, max_size=6)


@given(classes=st.sets(PARTS, min_size=1, max_size=3), names=st.sets(PARTS, min_size=1, max_size=4), data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_clean_list_reads_back_whatever_files_and_classes_are_called(classes, names, data):
    with tempfile.TemporaryDirectory() as temporary:
        root = folder(Path(temporary, "set"), *[f"{c}/{n}.png" for c in classes for n in names])
        source = read(root)
        keep = np.ones(len(source), bool)
        keep[data.draw(st.integers(0, len(source) - 1))] = len(source) == 1
        back = read(write_clean(source, keep, Path(temporary, "artifacts")))
        kept = np.flatnonzero(keep).tolist()
        assert back.ids == tuple(source.ids[row] for row in kept)
        assert [back.label_name(i) for i in range(len(back))] == [source.label_name(row) for row in kept]
        for row, original in enumerate(kept):
            np.testing.assert_array_equal(back.images[row].raw, source.images[original].raw)


def test_a_clean_list_has_the_known_columns_and_paths_beside_it(tmp_path):
    root = folder(tmp_path / "set", "train/a/1.png", "train/b/2.png", "val/a/3.png")
    (tmp_path / "t.csv").write_text("file,patient\n1.png,p\n3.png,q\n")
    source = read(root, labels=tmp_path / "t.csv")
    path = write_clean(source, np.array([True, True, True]), tmp_path / "artifacts")
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "label", "split", "group", "id"],
            ["../set/train/a/1.png", "a", "train", "0", "train/a/1.png"],
            ["../set/train/b/2.png", "b", "train", "", "train/b/2.png"],
            ["../set/val/a/3.png", "a", "val", "1", "val/a/3.png"],
        ]
    back = read(path)
    assert (back.ids, back.classes, back.splits) == (source.ids, source.classes, source.splits)
    assert back.labels.tolist() == source.labels.tolist()
    assert back.groups is not None
    assert back.groups.tolist() == [0, -1, 1]
    again = write_clean(back, np.array([True, False, True]), tmp_path / "deep" / "artifacts")
    assert read(again).ids == ("train/a/1.png", "val/a/3.png")
    assert read(again).images[1].pixels[0, 0, 0] == 2


def test_an_unlabelled_folder_makes_a_list_without_labels(tmp_path):
    path = write_clean(read(folder(tmp_path / "set", "1.png", "2.png")), np.array([False, True]), tmp_path)
    assert path.read_text() == '"file","id"\n"set/2.png","2.png"\n'
    assert not read(path).labelled


def test_a_list_is_right_behind_links(tmp_path):
    folder(tmp_path / "far" / "away" / "set", "a/1.png", "b/2.png")
    (tmp_path / "set").symlink_to(tmp_path / "far" / "away" / "set")
    (tmp_path / "far" / "artifacts").mkdir()
    (tmp_path / "artifacts").symlink_to(tmp_path / "far" / "artifacts")
    back = read(write_clean(read(tmp_path / "set"), np.array([True, True]), tmp_path / "artifacts"))
    assert [back.images[row].pixels[0, 0, 0] for row in range(2)] == [0, 1]


def test_names_that_are_no_utf8_survive_a_clean_list(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    try:
        root = folder(tmp_path / "set", f"{name}/{name}.png", "b/2.png")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    back = read(write_clean(read(root), np.array([True, True]), tmp_path))
    assert back.ids == ("b/2.png", "caf\\xe9/caf\\xe9.png")
    assert back.classes == ("b", "caf\\xe9")
    assert back.images[1].pixels.max() == 0


def test_a_clean_set_of_the_other_kind_goes(tmp_path, pets):
    (tmp_path / "clean.csv").write_text("old")
    np.savez(tmp_path / "d.npz", images=pets)
    write_clean(read(tmp_path / "d.npz"), KEEP, tmp_path)
    assert not (tmp_path / "clean.csv").exists()
    write_clean(read(folder(tmp_path / "set", "1.png")), np.array([True]), tmp_path)
    assert not (tmp_path / "clean.npz").exists()
    assert (tmp_path / "clean.csv").exists()


def test_what_is_no_image_is_carried_on_up_to_what_the_images_take_and_the_rest_is_told(tmp_path, pets, monkeypatch):
    monkeypatch.setattr(writing, "_EXTRA", 100)
    extras = {"mean": np.zeros(3), "wide": np.zeros((6, pets.nbytes), np.uint8), "last": np.arange(6, dtype=np.int8)}
    np.savez(tmp_path / "d.npz", images=pets, **extras)
    images = read(tmp_path / "d.npz")
    (note,) = clean_notes(images)
    assert note.startswith("'wide' is not in the clean set: with it, what is no image takes more than the images do (")
    with np.load(write_clean(images, np.ones(6, bool), tmp_path)) as clean:
        assert clean.files == ["images", "mean", "last", "ids", "rows"]


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "C:x", "a\\b", ".x", "", "a\nb", "x" * 300])
def test_an_array_with_the_name_of_a_path_is_not_carried_on(tmp_path, pets, name):
    np.savez(tmp_path / "d.npz", images=pets)
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive, archive.open(f"{name}.npy", "w") as file:
        np.lib.format.write_array(file, np.zeros(6))
    images = read(tmp_path / "d.npz")
    (note,) = clean_notes(images)
    assert note.endswith("is not in the clean set: it has the name of a path or of none")
    with np.load(write_clean(images, np.ones(6, bool), tmp_path)) as clean:
        assert clean.files == ["images", "ids", "rows"]


def test_an_array_of_more_nothings_than_can_be_counted_takes_no_time(tmp_path, pets):
    np.savez(tmp_path / "d.npz", images=pets, nothing=np.zeros((2**50, 0)))
    with np.load(write_clean(read(tmp_path / "d.npz"), np.ones(6, bool), tmp_path)) as clean:
        assert clean["nothing"].shape == (2**50, 0)


# Labels that a person gave


@pytest.mark.parametrize(
    ("labels", "more"),
    [
        (np.array([0, 1, 2, 0, 1, 2]), {"class_names": ["ant", "bee", "cat"]}),
        (np.array([[0], [1], [2], [0], [1], [2]], np.uint8), {"class_names": ["ant", "bee", "cat"]}),
        (np.array(["ant", "bee", "a much longer one"] * 2), {}),
        (np.array([b"ant", b"bee", b"cat"] * 2), {}),
        (np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]], {"class_names": ["ant", "bee", "cat"]}),
        (np.array([0.0, 1.0, np.nan, 0.0, 1.0, 2.0]), {}),
        (np.array([-1, 1, 1, -1, 1, -1]), {}),
        (np.array([[0.7, 0.3], [0.2, 0.8], [0, 1], [1, 0], [0.5, 0.5], [0, 1]]), {"class_names": ["ant", "bee"]}),
    ],
    ids=["numbers", "column", "names", "bytes", "one-hot", "floats", "svm", "soft"],
)
def test_a_relabelled_row_is_written_as_others_of_its_class_are(tmp_path, labels, more):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=pixels, labels=labels, **more)
    images = read(tmp_path / "d.npz")
    before = digest(tmp_path / "d.npz")
    last = len(images.classes) - 1
    path = write_clean(images, np.array([True] * 5 + [False]), tmp_path / "a", {0: last, 2: 0})
    clean = read(path)
    assert clean.classes == images.classes
    assert clean.labels.tolist() == [last, images.labels[1], 0, *images.labels[3:5]]
    with np.load(path) as arrays:
        assert arrays["labels"].shape[1:] == labels.shape[1:]
        assert arrays["labels"].dtype.kind == labels.dtype.kind
    assert digest(tmp_path / "d.npz") == before


@pytest.mark.parametrize("labels", [np.array([0, 1, 0]), np.eye(3)[[0, 1, 0]]], ids=["numbers", "one-hot"])
def test_a_class_that_no_image_had_is_written_too(tmp_path, labels):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=pixels, labels=labels, class_names=["ant", "bee", "cat"])
    clean = read(write_clean(read(tmp_path / "d.npz"), np.ones(3, bool), tmp_path / "a", {2: 2}))
    assert [clean.label_name(row) for row in range(3)] == ["ant", "bee", "cat"]


def test_in_an_archive_of_splits_a_label_is_written_into_that_of_its_row(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "d.npz", train_images=pixels[:3], train_labels=["ant", "bee", "ant"], test_images=pixels[3:],
        test_labels=["a wide name", "ant"],
    )  # fmt: skip
    images = read(tmp_path / "d.npz")
    wide = images.classes.index("a wide name")
    clean = read(write_clean(images, np.ones(5, bool), tmp_path / "a", {1: wide, 4: images.classes.index("bee")}))
    assert [clean.label_name(row) for row in range(5)] == ["ant", "a wide name", "ant", "a wide name", "bee"]


def test_where_a_split_has_no_labels_nothing_of_it_is_relabelled(tmp_path):
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "d.npz", train_images=pixels, train_labels=["ant", "bee"], test_images=pixels + 9)
    images = read(tmp_path / "d.npz")
    with pytest.raises(DataError, match=r"test/0 cannot be relabelled: test_images of .* has no array of labels"):
        write_clean(images, np.ones(4, bool), tmp_path / "a", {2: 0})
    assert not (tmp_path / "a" / "clean.npz").exists()


def test_a_list_has_the_label_that_was_given_beside_the_new_one(tmp_path):
    root = folder(tmp_path / "set", "ant/1.png", "ant/2.png", "bee/1.png")
    images = read(root)
    path = write_clean(images, np.ones(3, bool), tmp_path / "a", {1: 1})
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["label"], row["given_label"]) for row in rows] == [
        ("ant/1.png", "ant", "ant"),
        ("ant/2.png", "bee", "ant"),
        ("bee/1.png", "bee", "bee"),
    ]
    clean = read(path)
    assert (clean.ids, clean.classes, clean.labels.tolist()) == (images.ids, images.classes, [0, 1, 1])
    assert "given_label" not in write_clean(images, np.ones(3, bool), tmp_path / "b").read_text(encoding="utf-8")
