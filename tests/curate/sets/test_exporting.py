from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from disks import files_of_at_most
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.sets import exporting
from curate.sets.arrays import ArrayPictures
from curate.sets.exporting import EXPORTS, MARK, ORDER, TABLE, ExportConfig, Exported, export
from curate.sets.imageset import UNLABELLED, ImageSet, Source
from curate.sets.reading import read
from curate.sets.shards import write_shard
from curate.stage.errors import DataError, OutputError, UnknownName
from curate.stage.options import field_options
from curate.stage.progress import Silent

ROOT = Path(__file__).parents[3]
# That of TensorFlow takes seconds to be imported.
FORMATS = [pytest.param(to, marks=pytest.mark.slow) if to == "tfrecord" else to for to in EXPORTS]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)


def as_set(labels: list[int], ids: list[str], classes: list[str], size: tuple[int, int] = (8, 10), **known: object):
    images = ArrayPictures([noise(len(ids), *size)])
    return ImageSet(images, np.array(labels), tuple(ids), tuple(classes), Source("npz", Path("pets.npz")), **known)


@pytest.fixture
def pets() -> ImageSet:
    """Seven pictures with splits, groups, soft labels, and one without a label."""
    soft = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2, 0]] * 0.75 + 0.25 / 3
    soft[4] = 0
    return as_set(
        [0, 1, 2, 0, UNLABELLED, 2, 0],
        ["0", "train/1", "1", "a b", "é", "x.png", "4+1"],
        ["ant", "bee", "black cat"],
        splits=("test", "train", "train", "val", "train", "test", "train"),
        groups=np.array([0, -1, 3, 3, 2, -1, 0]),
        soft=soft,
    )


def exported(images: ImageSet | Path, to: str, out: Path, **options: object):
    return export(images, ExportConfig(to, str(out), **options))


def pixels(images: ImageSet) -> np.ndarray:
    return np.stack([images.images[row].pixels for row in range(len(images))])


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files of a folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def as_sets(groups: np.ndarray | None) -> set[frozenset[int]]:
    """Rows by group, whatever numbers the groups have."""
    given = np.full(0, -1) if groups is None else groups
    return {frozenset(np.flatnonzero(given == group)) for group in set(given.tolist()) - {-1}}


# What was written, read back by others than the writer: rows of id, label, label_name, split, group, soft, picture


def from_parquet(folder: Path) -> list[dict[str, object]]:
    rows = [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return [{**row, "pixels": decoded(row.pop("image")["bytes"])} for row in rows]


def from_tar(folder: Path) -> list[dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                key, _, kind = member.name.partition(".")
                data = tar.extractfile(member).read()
                rows.setdefault(key, {})[kind] = data
    found = []
    for parts in rows.values():
        known = json.loads(parts["json"])
        assert parts.get("cls") == (str(known["label"]).encode() if known["label"] >= 0 else None)
        found.append({**known, "pixels": decoded(parts["png"])})
    return found


def from_tfrecord(folder: Path) -> list[dict[str, object]]:
    import tensorflow as tf

    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/format": tf.io.FixedLenFeature([], tf.string),
        "image/width": tf.io.FixedLenFeature([], tf.int64),
        "image/height": tf.io.FixedLenFeature([], tf.int64),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/class/text": tf.io.FixedLenFeature([], tf.string),
        "image/class/soft_label": tf.io.VarLenFeature(tf.float32),
        "id": tf.io.FixedLenFeature([], tf.string),
        "split": tf.io.FixedLenFeature([], tf.string),
        "group": tf.io.FixedLenFeature([], tf.int64),
    }
    found = []
    for record in tf.data.TFRecordDataset(sorted(map(str, folder.glob("*.tfrecord")))):
        row = tf.io.parse_single_example(record, features)
        picture = tf.io.decode_png(row["image/encoded"]).numpy()
        assert picture.shape[:2] == (row["image/height"], row["image/width"])
        assert row["image/format"] == b"png"
        soft = tf.sparse.to_dense(row["image/class/soft_label"]).numpy().tolist()
        found.append(
            {
                "id": row["id"].numpy().decode(),
                "label": int(row["image/class/label"]),
                "label_name": row["image/class/text"].numpy().decode(),
                "split": row["split"].numpy().decode(),
                "group": int(row["group"]),
                "pixels": picture,
                **({"soft_label": soft} if soft else {}),
            }
        )
    return found


READERS = {
    "parquet": from_parquet,
    "huggingface": from_parquet,
    "webdataset": from_tar,
    "tfrecord": from_tfrecord,
}

NAMES = st.text(st.sampled_from("aAb/\\.:*? -+_é漢\n\"',;#0"), min_size=1, max_size=9)
# Those that read_list takes for no label, or for a number.
CLASSES = st.lists(NAMES.filter(lambda name: name.strip() == name), min_size=1, max_size=4, unique=True)


@st.composite
def sets(draw: st.DrawFn) -> ImageSet:
    ids = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    classes = draw(CLASSES)
    n, k = len(ids), len(classes)
    labels = draw(st.lists(st.integers(UNLABELLED, k - 1), min_size=n, max_size=n))
    splits = draw(
        st.none() | st.lists(st.sampled_from(["train", "val", "test", "", "a-b", "a_b"]), min_size=n, max_size=n)
    )
    groups = draw(st.none() | st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    soft = np.random.default_rng(n).dirichlet(np.ones(k), n).astype(np.float32) if draw(st.booleans()) else None
    if soft is not None:
        soft[np.array(labels) == UNLABELLED] = 0
        labels = np.where(soft.any(axis=1), soft.argmax(axis=1), UNLABELLED).tolist()
    return as_set(
        labels, ids, classes, (3, 4),
        splits=None if splits is None else tuple(splits),
        groups=None if groups is None else np.array(groups),
        soft=soft,
    )  # fmt: skip


def check_rows(images: ImageSet, rows: list[dict[str, object]]) -> None:
    assert {row["id"] for row in rows} == set(images.ids)
    assert len(rows) == len(images)
    for found in rows:
        row = images.ids.index(found["id"])
        assert found["label"] == images.labels[row]
        assert found["label_name"] == images.label_name(row)
        assert found["split"] == (images.splits[row] if images.splits else "")
        assert found["group"] == (images.groups[row] if images.groups is not None else -1)
        assert found.get("soft_label") == (images.soft[row].tolist() if images.soft is not None else None)
        np.testing.assert_array_equal(found["pixels"], images.images[row].pixels)


@pytest.mark.parametrize("to", ["webdataset", "parquet", "huggingface"])
@given(images=sets())
@settings(deadline=None, max_examples=25)
def test_every_image_is_in_the_shards_as_it_was(to, images):
    with tempfile.TemporaryDirectory() as folder:
        check_rows(images, READERS[to](exported(images, to, Path(folder, "out")).path))


@pytest.mark.slow
def test_tensorflow_reads_its_records(pets, tmp_path, capfd):
    done = exported(pets, "tfrecord", tmp_path / "out")
    assert capfd.readouterr() == ("", "")  # of TensorFlow's greetings as well
    check_rows(pets, from_tfrecord(done.path))
    plain = as_set([0, 0], ["a", "b"], ["ant"])
    check_rows(plain, from_tfrecord(exported(plain, "tfrecord", tmp_path / "plain").path))


@given(images=sets())
@settings(deadline=None, max_examples=40)
def test_a_folder_and_its_list_read_back_whatever_ids_and_classes_are_called(images):
    with tempfile.TemporaryDirectory() as folder:
        done = exported(images, "folder", Path(folder, "out"))
        found = read(done.path / TABLE)
        assert found.ids == images.ids
        np.testing.assert_array_equal(pixels(found), pixels(images))
        assert as_sets(found.groups) == as_sets(images.groups)
        with (done.path / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row, line in enumerate(rows):
            assert line["label"] == images.label_name(row)
            assert line["split"] == (images.splits[row] if images.splits else "")
            if images.soft is not None:
                assert json.loads(line["soft_label"]) == images.soft[row].tolist()
        files = [line["file"] for line in rows]
        assert len({name.casefold() for name in files}) == len(files)
        assert all(re.fullmatch(r"[\w +./-]+\.png", name) and "/." not in f"/{name}" for name in files)
        assert set(bytes_of(done.path)) - {ORDER} == {*files, TABLE, MARK}


def test_the_list_of_a_folder_gives_the_order_of_the_classes_back_and_those_without_an_image(tmp_path):
    classes = [str(number) for number in range(12)]
    images = as_set([0, 2, 10, 11, UNLABELLED], [*"abcde"], classes)
    found = read(exported(images, "folder", tmp_path / "out").path / TABLE)
    assert (found.classes, found.labels.tolist()) == (images.classes, images.labels.tolist())
    (tmp_path / "out" / MARK).write_text("{")
    assert read(tmp_path / "out" / TABLE).classes == ("0", "2", "10", "11")


@given(images=sets())
@settings(deadline=None, max_examples=40)
def test_an_archive_reads_back_as_the_set(images):
    with tempfile.TemporaryDirectory() as folder:
        done = exported(images, "npz", Path(folder, "out"))
        assert done.path == Path(folder, "out.npz")
        found = read(done.path)
        np.testing.assert_array_equal(pixels(found), pixels(images))
        assert found.ids == images.ids
        assert found.splits == images.splits
        assert found.labels.tolist() == images.labels.tolist()
        assert as_sets(found.groups) == as_sets(images.groups)
        if images.labelled:
            assert [found.label_name(row) for row in range(len(found))] == list(
                map(images.label_name, range(len(found)))
            )
        if found.soft is not None:
            np.testing.assert_array_equal(found.soft, images.soft)
        else:
            assert images.soft is None or set(images.soft.ravel().tolist()) <= {0.0, 1.0}


def test_class_folders_below_splits_read_back_as_they_are(pets, tmp_path):
    found = read(exported(pets, "folder", tmp_path / "out").path)
    labels = {name: (found.label_name(row), found.splits[row]) for row, name in enumerate(found.ids)}
    assert labels == {
        "test/ant/0.png": ("ant", "test"),
        "test/black cat/x.png": ("black cat", "test"),
        "train/ant/4+1.png": ("ant", "train"),
        "train/bee/1.png": ("bee", "train"),
        "train/black cat/1.png": ("black cat", "train"),
        "train/é.png": ("", "train"),
        "val/ant/a b.png": ("ant", "val"),
    }


def test_names_that_are_alike_are_told_apart_by_the_id_and_then_by_the_row(tmp_path):
    images = as_set([0, 0, 0, 0, 1, 2], ["a/1", "b/1", "B/1", "b:1", "ids.csv", "1"], ["x?", "x*", "ids.csv"])
    done = exported(images, "folder", tmp_path / "out")
    assert set(bytes_of(done.path)) - {TABLE, MARK, ORDER} == {
        "x_/1.png", "x_/b_1.png", "x_/B_1-2.png", "x_/b_1-3.png", "x__2/ids.csv.png", "ids.csv_2/1.png",
    }  # fmt: skip
    assert (done.path / ORDER).read_text().split() == ["x_", "x__2", "ids.csv_2"]


def test_long_names_and_names_of_dots_fit_any_file_system(tmp_path):
    ids = ["漢" * 300, "漢" * 301, "..", ".hidden", "a/..", " "]
    images = as_set([0] * 6, ids, ["." * 3])
    done = exported(images, "folder", tmp_path / "out")
    assert read(done.path / TABLE).ids == tuple(ids)
    assert all(len(os.fsencode(path.name)) < 256 for path in done.path.rglob("*"))
    assert {path.parent.name for path in done.path.rglob("*.png")} == {"_"}


# Files as a source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Image files of two classes, several kinds and sizes."""
    for i, name in enumerate(["ant/1.jpg", "ant/2.PNG", "bee/1.jpg", "bee/deep/3.bmp"]):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(6 + i, 9)).save(path)
    return tmp_path / "pets"


def test_plain_image_files_are_copied_as_they_are_and_others_become_png(folder, tmp_path):
    before = bytes_of(folder)
    done = exported(folder, "folder", tmp_path / "out")
    written = bytes_of(done.path)
    assert {name: written[name] for name in ("ant/1.jpg", "ant/2.PNG", "bee/1.jpg")} == {
        name: data for name, data in before.items() if not name.endswith("bmp")
    }
    np.testing.assert_array_equal(decoded(written["bee/3.png"]), decoded(before["bee/deep/3.bmp"]))
    assert bytes_of(folder) == before
    assert read(done.path / TABLE).ids == read(folder).ids
    assert read(done.path).classes == ("ant", "bee")


def test_a_copy_is_called_by_its_kind(folder, tmp_path):
    (folder / "ant" / "1.jpg").rename(folder / "ant" / "1.dat")
    (tmp_path / "list.csv").write_text("file,label\npets/ant/1.dat,ant\npets/bee/1.jpg,bee\n")
    images = read(tmp_path / "list.csv")
    done = exported(tmp_path / "list.csv", "folder", tmp_path / "out")
    assert set(bytes_of(done.path)) == {"ant/1.dat.jpg", "bee/1.jpg", TABLE, MARK}
    np.testing.assert_array_equal(read(done.path / TABLE).images[0].pixels, images.images[0].pixels)


@pytest.mark.parametrize("to", ["webdataset", "parquet", "huggingface"])
def test_pictures_of_many_sizes_go_into_shards(folder, tmp_path, to):
    images = read(folder)
    check_rows(images, READERS[to](exported(folder, to, tmp_path / "out").path))


def test_pictures_of_many_sizes_do_not_go_into_one_array(folder, tmp_path):
    with pytest.raises(DataError, match=r"several sizes, such as 9x6 and 9x7 \(ant/2.PNG\).*--to folder.*--size"):
        exported(folder, "npz", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


@pytest.mark.parametrize("to", ["webdataset", "parquet", "npz"])
@pytest.mark.parametrize("row", [0, 2])
def test_a_file_that_cannot_be_decoded_is_told_with_what_to_do(folder, tmp_path, to, row):
    for path in folder.rglob("*.*"):
        Image.fromarray(noise(6, 9)).save(path)
    name = read(folder).ids[row]
    (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{name} is empty \(0 bytes\)\. `curate scan .*` makes a clean set"):
        exported(folder, to, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_a_file_that_is_gone_is_told(folder, tmp_path):
    images = read(folder)
    (folder / images.ids[1]).unlink()
    with pytest.raises(DataError, match=r"ant/2.PNG cannot be read: No such file"):
        exported(images, "folder", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_labels_from_a_table_are_taken(folder, tmp_path):
    for path in sorted(folder.rglob("*.jpg")):
        path.rename(folder / f"{path.parent.name}.jpg")
    (tmp_path / "labels.csv").write_text("file,label\nant.jpg,old\nbee.jpg,new\n")
    done = exported(folder, "folder", tmp_path / "out", labels=str(tmp_path / "labels.csv"))
    assert {"old/ant.jpg", "new/bee.jpg"} <= set(bytes_of(done.path))


# Shards


def test_shards_are_cut_by_images_and_by_bytes_and_numbered_by_split(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "SHARD", (2, 10**9))
    parquet = exported(pets, "parquet", tmp_path / "p").path
    names = ["test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002", "val-00000-of-00001"]
    assert sorted(path.stem for path in parquet.glob("*.parquet")) == names
    check_rows(pets, from_parquet(parquet))
    tars = exported(pets, "webdataset", tmp_path / "w")
    assert sorted(path.stem for path in tars.path.glob("*.tar")) == [
        "test-000000", "train-000000", "train-000001", "val-000000",
    ]  # fmt: skip
    assert "train-{000000..000001}.tar" in tars.load
    check_rows(pets, from_tar(tars.path))
    monkeypatch.setattr(exporting, "SHARD", (10**9, 1))
    alone = exported(replace(pets, splits=None), "webdataset", tmp_path / "a").path
    assert sorted(path.stem for path in alone.glob("*.tar")) == [f"{number:06d}" for number in range(7)]


def test_row_groups_are_small(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "SHARD", (150, 10**9))
    images = as_set([0] * 250, [str(row) for row in range(250)], ["ant"], (2, 2))
    done = exported(images, "huggingface", tmp_path / "out").path
    groups = [
        [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(pq.ParquetFile(path).num_row_groups)]
        for path in sorted((done / "data").iterdir())
    ]
    assert groups == [[100, 50], [100]]


def test_images_keep_the_order_of_the_set_within_their_split(pets, tmp_path):
    done = exported(pets, "parquet", tmp_path / "out").path
    assert [row["id"] for row in from_parquet(done)] == ["0", "x.png", "train/1", "1", "é", "4+1", "a b"]


def test_the_card_and_the_schema_tell_hugging_face_what_is_in_the_columns(pets, tmp_path):
    done = exported(pets, "huggingface", tmp_path / "out").path
    (train,) = (done / "data").glob("train-*")
    features = json.loads(pq.read_schema(train).metadata[b"huggingface"])["info"]["features"]
    assert set(features) == set(pq.read_schema(train).names)
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": ["ant", "bee", "black cat"], "_type": "ClassLabel"}
    card = (done / "README.md").read_text(encoding="utf-8")
    for line in ("  - split: train\n    path: data/train-*", "'2': \"black cat\"", "sequence: float32", "-1 is none"):
        assert line in card


def test_a_set_without_labels_has_no_classes(tmp_path):
    images = as_set([UNLABELLED] * 2, ["a", "b"], [])
    for to in ("folder", "npz", "webdataset", "parquet", "huggingface"):
        done = exported(images, to, tmp_path / to)
        assert done.images == 2
    assert set(bytes_of(tmp_path / "folder")) == {"a.png", "b.png", TABLE, MARK}
    assert not read(tmp_path / "folder").labelled
    with np.load(tmp_path / "npz.npz") as arrays:
        assert arrays.files == ["images", "ids"]


@pytest.mark.parametrize("to", FORMATS)
def test_two_exports_have_the_same_bytes(pets, tmp_path, to):
    one, two = (exported(pets, to, tmp_path / name).path for name in "ab")
    assert (bytes_of(one) == bytes_of(two)) if one.is_dir() else (one.read_bytes() == two.read_bytes())


@pytest.mark.parametrize("to", FORMATS)
def test_what_came_of_it_is_told(pets, tmp_path, to):
    seen: list[int] = []

    class Listener:
        @contextmanager
        def stage(self, name: str, total: int | None, unit: str) -> Iterator[object]:
            assert (name, total, unit) == ("exporting", 7, "images")
            yield seen.append

        def say(self, line: str) -> None:
            raise AssertionError(line)

    done = export(pets, ExportConfig(to, artifacts=str(tmp_path)), Listener())
    assert seen == list(range(1, 8))
    assert done.path == tmp_path / "export" / ("pets.npz" if to == "npz" else f"pets-{to}")
    assert str(done.path) in done.load
    assert done.imports.split()[0] in ("keras", "webdataset", "tensorflow", "pandas", "datasets", "numpy")
    files = [path for path in (tmp_path / "export").rglob("*") if path.is_file()]
    assert (done.images, done.files, done.bytes) == (7, len(files), sum(path.stat().st_size for path in files))
    if to != "npz":
        told = json.loads((done.path / MARK).read_text(encoding="utf-8"))
        assert told["classes"] == ["ant", "bee", "black cat"]
        assert told["splits"] == {"train": 4, "val": 1, "test": 2}


# The line that loads it


def loaded(done: Exported, **modules: object) -> object:
    """What the printed line makes, run as it is printed; modules stand in for those that it imports."""
    names = dict(modules)
    if not modules:
        exec(f"import {done.imports}", names)
    return eval(done.load, names)


class Folders:
    """Numbers and labels of files as Keras finds them in a folder, without loading Keras."""

    @property
    def utils(self) -> Folders:
        return self

    def image_dataset_from_directory(
        self, folder: str, labels: str | None = "inferred", class_names: list[str] | None = None, image_size=(256, 256)
    ) -> dict[str, int]:
        top = Path(folder)
        if labels is None:
            return {path.relative_to(top).as_posix(): -1 for path in top.rglob("*.*") if path.suffix.lower() in READ}
        names = sorted(path.name for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))
        assert class_names is None or set(class_names) <= set(names)
        files = {
            path.relative_to(top).as_posix(): code
            for code, name in enumerate(class_names or names)
            for path in (top / name).rglob("*.*")
            if path.suffix.lower() in READ
        }
        assert files, "Keras raises where it finds nothing"
        return files


READ = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


@given(images=sets())
@settings(deadline=None, max_examples=60)
def test_the_line_of_a_folder_finds_every_labelled_image_with_the_number_of_its_class(images):
    with tempfile.TemporaryDirectory() as folder:
        done = exported(images, "folder", Path(folder, "out"))
        files = loaded(done, keras=Folders())
        with (done.path / TABLE).open(encoding="utf-8", newline="") as file:
            entries = {line["file"]: line["id"] for line in csv.DictReader(file)}
        labelled = [row for row in range(len(images)) if images.labels[row] >= 0]
        splits = images.splits or ("",) * len(images)
        order = ["train", "val", "test", "a_b", "a_b_2", "unassigned", ""]
        assert all((done.path / name).is_dir() for name in entries) is False
        top = done.load.split('"')[1].removeprefix(str(done.path)).strip("/")
        assert top in order
        read_ids = {entries[f"{top}/{name}".lstrip("/")]: code for name, code in files.items()}
        first = splits[images.ids.index(next(iter(read_ids)))]
        expected = [row for row in labelled if splits[row] == first] if labelled else range(len(images))
        if labelled:
            assert read_ids == {images.ids[row]: images.labels[row] for row in expected}
        else:
            assert set(read_ids.values()) == {-1}


# The line opens its file in passing, which Python closes after it.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [12, 200])
def test_the_order_of_the_classes_is_in_the_line_or_where_there_are_many_in_a_file(tmp_path, number):
    names = [str(code) for code in range(number)]
    images = as_set([*range(number)], names, names)
    done = exported(images, "folder", tmp_path / "out")
    assert loaded(done, keras=Folders()) == {f"{name}/{name}.png": int(name) for name in names}
    assert (f'"{number - 1}"' in done.load) == (number == 12)
    assert ("class_names=open(" in done.load) == (number == 200)
    assert (done.path / ORDER).read_text().split() == names
    assert json.loads((done.path / MARK).read_text())["folders"] == names


def test_classes_that_a_split_lacks_keep_their_numbers(tmp_path):
    images = as_set([2, 0, 1, 0], list("abcd"), ["ant", "bee", "cat", "dog"], splits=("train", "train", "val", "val"))
    done = exported(images, "folder", tmp_path / "out")
    assert loaded(done, keras=Folders()) == {"cat/a.png": 2, "ant/b.png": 0}
    assert any(note == "the line loads train; val likewise" for note in done.notes)
    val = done.load.replace("/train", "/val")
    assert eval(val, {"keras": Folders()}) == {"bee/c.png": 1, "ant/d.png": 0}


def test_images_without_labels_are_loaded_alone_and_told_beside_others(tmp_path):
    nameless = exported(as_set([UNLABELLED] * 2, ["a", "b"], []), "folder", tmp_path / "a")
    assert loaded(nameless, keras=Folders()) == {"a.png": -1, "b.png": -1}
    some = exported(as_set([0, UNLABELLED], ["a", "b"], ["x"], splits=("test", "train")), "folder", tmp_path / "b")
    assert loaded(some, keras=Folders()) == {"x/a.png": 0}  # train has no label to load
    assert "images without a label lie beside the folders of the classes, and are not loaded: 1" in some.notes


ODD_CLASSES = [
    "a/b",
    "..",
    "a b",
    ".hidden",
    "Cat",
    "cat",
    "nan",
    "NUL",
    "con",
    "\U0001f41c",
    "1.5",
    "é",
    "e\u0301",
    "-1",
]


def test_classes_of_odd_names_have_folders_that_any_system_and_any_reader_takes(tmp_path):
    images = as_set([*range(len(ODD_CLASSES))], [f"p{row}" for row in range(len(ODD_CLASSES))], ODD_CLASSES)
    done = exported(images, "folder", tmp_path / "out")
    files = loaded(done, keras=Folders())
    assert {Path(name).stem: code for name, code in files.items()} == {f"p{row}": row for row in range(len(images))}
    folders = [path.name for path in done.path.iterdir() if path.is_dir()]
    assert len({name.casefold() for name in folders}) == len(ODD_CLASSES)
    assert not {"NUL", "con", "..", ".hidden"} & set(folders)
    assert json.loads((done.path / MARK).read_text(encoding="utf-8"))["classes"] == ODD_CLASSES


@pytest.mark.parametrize(
    "place", ["a b", "it's", 'say "no"', "[1]", "{0}", "{}", "%d", ":dog:", "a::b", "é漢", "a\nb", "#x"]
)
@pytest.mark.parametrize("to", ["folder", "parquet", "npz"])
def test_the_line_runs_wherever_the_export_lies(pets, tmp_path, monkeypatch, place, to):
    (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / place)
    for out in (tmp_path / place / "full", Path(place)):
        found = loaded(exported(pets, to, out), **({"keras": Folders()} if to == "folder" else {}))
        assert len(found["images"] if to == "npz" else found) == (3 if to == "folder" else 7)


@pytest.mark.parametrize("place", ["plain", "[1]", "{0}", "a b"])
def test_the_lines_of_shards_name_every_shard_of_the_first_split(pets, tmp_path, monkeypatch, place):
    monkeypatch.setattr(exporting, "SHARD", (2, 10**9))

    class Tars:
        def WebDataset(self, tars: str | list[str], shardshuffle: bool) -> Tars:
            self.tars = [tars] if isinstance(tars, str) else tars
            return self

        def decode(self, kind: str) -> Tars:
            return self

        def to_tuple(self, *keys: str) -> list[str]:
            return self.tars

    done = exported(pets, "webdataset", tmp_path / place)
    tars = loaded(done, webdataset=Tars())
    if "{" in done.load and len(tars) == 1:
        tars = [tars[0].replace("{000000..000001}", f"{number:06d}") for number in range(2)]
    assert len(tars) == 2
    assert all(Path(name.removeprefix("file:")).is_file() for name in tars)
    assert "the line loads train; val, test likewise" in done.notes


def smooth(row: int) -> np.ndarray:
    """uint8 (24, 32, 3): a soft slope of colours, another for each row, which JPEG keeps."""
    y, x = np.mgrid[0:24, 0:32]
    slope = np.stack([x * 5 + row, y * 7, np.full_like(x, (row * 37) % 200)], axis=2)
    return np.clip(slope, 0, 255).astype(np.uint8)


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    """Pictures of two classes in every way that readers differ on, most of them called by odd names."""
    top = tmp_path / "odd"
    exif = Image.Exif()
    exif[0x0112] = 6

    def save(name: str, kind: str, image: Image.Image, **how: object) -> None:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(top / name, kind, **how)

    drawn = [Image.fromarray(smooth(row)) for row in range(15)]
    save("ant/0.tif", "TIFF", drawn[0])
    save("ant/1.WEBP", "WEBP", drawn[1], lossless=True)
    save("ant/2.jpg", "JPEG", drawn[2].convert("CMYK"), quality=95)
    save("ant/3.jpg", "WEBP", drawn[3], lossless=True)
    save("ant/4.png", "JPEG", drawn[4], quality=95)
    save("ant/turned.jpg", "JPEG", drawn[5].rotate(90, expand=True), quality=95, exif=exif)
    save("ant/6.gif", "GIF", drawn[6], save_all=True, append_images=[drawn[1]])
    save("bee/7.png", "PNG", drawn[7].convert("P"), transparency=3)
    save("bee/8.png", "PNG", Image.merge("RGBA", (*drawn[8].split(), drawn[8].split()[0])))
    save("bee/9.png", "PNG", drawn[9].convert("1"))
    save("bee/A.JPG", "JPEG", drawn[10], quality=95, progressive=True)
    save("bee/B.Png", "PNG", drawn[11].convert("L"))
    save("bee/new\nline.bmp", "BMP", drawn[12])
    save(f"bee/{'漢' * 80}.jpg", "JPEG", drawn[13].convert("L"), quality=95)
    save("bee/a.b,c'd\"e.png", "PNG", drawn[14])
    save("bee/deep.tif", "TIFF", Image.fromarray(smooth(15)[..., 0].astype(np.uint16) * 257))
    return top


def test_odd_pictures_become_png_of_what_is_seen_here_and_it_is_told(odd_files, tmp_path):
    images = read(odd_files)
    done = exported(odd_files, "folder", tmp_path / "out")
    again = read(done.path / TABLE)
    assert again.ids == images.ids
    for row in range(len(images)):
        np.testing.assert_array_equal(again.images[row].pixels, images.images[row].pixels)
        assert again.images[row].pixels.shape == (24, 32, 3)
    (told,) = [note for note in done.notes if "converted" in note]
    assert told.startswith("11 of 16 files were converted to PNG")
    for kind in ("2 TIFF", "2 WEBP", "1 BMP", "1 CMYK JPEG", "1 GIF", "1 JPEG turned by EXIF", "2 transparent PNG"):
        assert kind in told
    assert all(path.suffix.lower() in (".jpg", ".png") for path in done.path.glob("*/*"))
    assert "image_size=(24, 32)" in done.load


@pytest.mark.slow
def test_keras_loads_odd_pictures_by_the_line_as_they_are_seen_here(odd_files, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    images = read(odd_files)
    batches = loaded(exported(odd_files, "folder", tmp_path / "out"))
    assert batches.class_names == ["ant", "bee"]
    pictures, labels = (np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))
    originals = pixels(images).astype(float)
    rows = [int(np.abs(originals - picture).mean(axis=(1, 2, 3)).argmin()) for picture in pictures]
    assert sorted(rows) == [*range(len(images))]
    assert images.labels[rows].tolist() == labels.tolist()
    assert all(np.abs(originals[row] - picture).max() <= 4 for row, picture in zip(rows, pictures, strict=True))


@pytest.mark.slow
def test_keras_numbers_twelve_classes_as_the_set_does(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    names = [str(code) for code in range(12)]
    pictures = np.stack([np.full((4, 5, 3), 20 * code, np.uint8) for code in range(12)])
    images = ImageSet(
        ArrayPictures([pictures]), np.arange(12), tuple(names), tuple(names), Source("npz", Path("n.npz"))
    )
    batches = loaded(exported(images, "folder", tmp_path / "out"))
    assert batches.class_names == names
    for picture, label in batches.unbatch().as_numpy_iterator():
        assert picture.shape == (4, 5, 3)
        assert (picture == 20 * label).all()


@pytest.mark.slow
def test_tensorflow_numpy_and_pandas_load_by_the_line(pets, tmp_path):
    places = {to: exported(pets, to, tmp_path / "[1] {x}" / to) for to in ("tfrecord", "parquet", "npz")}
    records = [*loaded(places["tfrecord"])]
    assert len(records) == 4  # those of train
    assert sorted(loaded(places["parquet"])["id"]) == sorted(pets.ids)
    np.testing.assert_array_equal(loaded(places["npz"])["images"], pixels(pets))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_loads_by_the_line(pets, tmp_path):
    pytest.importorskip("webdataset")
    for place in ("plain", "[1] {x}"):
        assert len(list(loaded(exported(pets, "webdataset", tmp_path / place)))) == 4


def test_datasets_loads_by_the_line(pets, tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    splits = loaded(exported(pets, "huggingface", tmp_path / "out"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 4, "val": 1, "test": 2}


# The place


def test_the_name_is_that_of_the_set(tmp_path, monkeypatch, pets):
    write_shard(tmp_path / "built" / "train.v2", 0, noise(2, 4, 4), np.zeros(2, int), ["a", "b"], ["ant"])
    artifacts = str(tmp_path / "artifacts")
    done = export(tmp_path / "built" / "train.v2", ExportConfig("npz", artifacts=artifacts))
    assert done.path == tmp_path / "artifacts" / "export" / "train.v2.npz"
    monkeypatch.chdir(tmp_path / "built" / "train.v2")
    assert export(".", ExportConfig("folder", artifacts=artifacts)).path.name == "train.v2-folder"


@pytest.mark.parametrize("to", ["folder", "parquet", "npz"])
def test_what_is_there_already_is_replaced_only_by_force(pets, tmp_path, to):
    first = exported(replace(pets, splits=None), to, tmp_path / "out")
    before = bytes_of(tmp_path)
    with pytest.raises(OutputError, match=r"out.* is there already. Add --force"):
        exported(pets, to, tmp_path / "out")
    assert bytes_of(tmp_path) == before
    assert exported(pets, to, tmp_path / "out", force=True).path == first.path
    assert bytes_of(tmp_path) != before
    fresh = tmp_path / "fresh"
    exported(pets, to, fresh / "out")
    assert bytes_of(fresh) == {name: data for name, data in bytes_of(tmp_path).items() if not name.startswith("fresh")}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("there", "to"), [("folder", "parquet"), ("file", "parquet"), ("folder", "npz")])
def test_what_no_export_wrote_is_not_replaced_even_by_force(pets, tmp_path, there, to):
    out = tmp_path / ("out.npz" if to == "npz" else "out")
    if there == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")
    else:
        out.write_text("years of work")
    before = bytes_of(tmp_path)
    with pytest.raises(OutputError, match=f"not what an export to {to} wrote"):
        exported(pets, to, out, force=True)
    assert bytes_of(tmp_path) == before


def test_an_empty_folder_may_be_filled_by_force(pets, tmp_path):
    assert exported(pets, "parquet", tmp_path, force=True).files == 4


@pytest.mark.parametrize("force", [False, True])
def test_the_input_is_never_touched(folder, tmp_path, force):
    np.savez(tmp_path / "data.npz", images=noise(2, 4, 4))
    exported(folder, "folder", tmp_path / "list")
    (tmp_path / "names.txt").write_text("list/ant/1.jpg\nlist/bee/1.jpg\n")
    before = bytes_of(tmp_path)
    for source, to, out in [
        ("data.npz", "npz", "data.npz"),
        ("data.npz", "npz", "data"),
        ("pets", "folder", "pets"),
        ("pets", "folder", "pets/bee"),
        ("pets/ant", "folder", "pets"),
        ("list/ids.csv", "folder", "list"),
        ("names.txt", "folder", "list"),
    ]:
        with pytest.raises(OutputError, match="is where the images are read from, and no input is touched"):
            exported(tmp_path / source, to, tmp_path / out, force=force)
    assert bytes_of(tmp_path) == before


@pytest.mark.parametrize("out", ["artifacts/export/pets-folder", "ant/out"])
def test_a_place_below_the_folder_that_is_read_takes_an_export_which_is_not_read_with_it(folder, out):
    ids = read(folder).ids
    for force in (False, True):
        assert exported(folder, "folder", folder / out, force=force).images == len(ids)
    assert read(folder).ids == ids


@pytest.mark.parametrize("to", FORMATS)
def test_a_disk_that_fills_leaves_nothing_behind(tmp_path, to):
    images = as_set([0] * 40, [str(row) for row in range(40)], ["ant"], (64, 64))
    with (
        files_of_at_most(9_000),
        pytest.raises(OutputError, match=r"cannot write .*out.*(larger than is allowed|large)"),
    ):
        exported(images, to, tmp_path / "new" / "out")
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("to", ["folder", "parquet", "npz"])
def test_a_stopped_export_leaves_what_was_there(pets, tmp_path, to):
    def stopped(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    class Impatient:
        @contextmanager
        def stage(self, name: str, total: int | None, unit: str) -> Iterator[object]:
            yield stopped

    exported(replace(pets, splits=None), to, tmp_path / "out")
    before = bytes_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        export(pets, ExportConfig(to, str(tmp_path / "out"), force=True), Impatient())
    assert bytes_of(tmp_path) == before


def test_a_place_that_cannot_be_is_told(pets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        exported(pets, "folder", tmp_path / "file" / "out")


def test_a_format_that_is_none_names_the_nearest():
    with pytest.raises(UnknownName, match=r"no export format named 'tfrecords'\. Did you mean 'tfrecord'\?"):
        ExportConfig("tfrecords")


def test_every_format_is_told_of(pets):
    page = (ROOT / "docs" / "how-to" / "exporting.md").read_text(encoding="utf-8")
    for name, write in EXPORTS.items():
        assert f"--to {name}" in page
        assert name in field_options(ExportConfig)[0].option.help
        assert write.__doc__


@pytest.mark.parametrize("to", ["npz", "webdataset"])
def test_a_large_set_is_exported_without_being_held_in_memory(tmp_path, to):
    np.savez(tmp_path / "d.npz", images=np.zeros((500, 200, 200, 3), np.uint8))  # 60 MB
    images = read(tmp_path / "d.npz")
    tracemalloc.start()
    exported(images, to, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_a_built_set_and_its_whole_are_exported(tmp_path):
    for split in ("train", "val"):
        write_shard(
            tmp_path / "built" / split, 0, noise(3, 4, 4), np.arange(3), [f"{split}{i}" for i in range(3)], "abc"
        )
    whole = exported(tmp_path / "built", "huggingface", tmp_path / "out").path
    assert sorted(path.name for path in (whole / "data").iterdir()) == [
        "train-00000-of-00001.parquet", "val-00000-of-00001.parquet",
    ]  # fmt: skip
    images = read(tmp_path / "built")
    check_rows(images, from_parquet(whole))
    digests = {hashlib.sha256(row["pixels"].tobytes()).hexdigest() for row in from_parquet(whole)}
    assert len(digests) == 3  # of six pictures, drawn alike for both


def test_files_that_are_read_by_another_range_are_exported_as_they_are_seen(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5] = 1
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / name)
    config = ExportConfig(to="folder", out=str(tmp_path / "out"), value_range=(0, 1))
    export(tmp_path / "masks", config)
    assert np.asarray(Image.open(tmp_path / "out" / "a" / "1.png")).max() == 255


def test_a_set_that_is_saved_anew_while_it_is_exported_is_told_and_nothing_is_written(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "d.npz", images=images)

    class Saving(Silent):
        @contextmanager
        def stage(self, name, total, unit):
            yield lambda done: np.savez(tmp_path / "d.npz", images=images[::-1])

    with pytest.raises(DataError, match=r"d\.npz has changed since it was read\. Begin again"):
        export(tmp_path / "d.npz", ExportConfig(to="folder", out=str(tmp_path / "out")), Saving())
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]
