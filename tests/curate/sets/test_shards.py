from __future__ import annotations

import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate import scan
from curate.configs import ScanConfig
from curate.sets import shards
from curate.sets.imageset import UNLABELLED, ImageSet
from curate.sets.reading import read
from curate.sets.shards import ROWS, is_sharded, read_shards, shard_digest, shard_path, write_shard
from curate.sets.writing import write_clean
from curate.stage.errors import DataError
from curate.stage.files import write_parquet

CLASSES = ("ant", "bee", "cat")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)


def built(folder: Path, *sizes: int, soft: bool = False, groups: list[int] | None = None, begin: str = "") -> Path:
    """A built set of shards of those sizes, with 8x10 pictures, and its rows.parquet."""
    ids = [f"{begin}{row}" for row in range(sum(sizes))]
    images, at = noise(len(ids), 8, 10), 0
    for number, size in enumerate(sizes):
        rows = np.arange(at, at + size)
        labels = np.eye(3)[rows % 3] * 0.75 + np.eye(3)[(rows + 1) % 3] * 0.25 if soft else rows % 3
        write_shard(folder, number, images[rows], labels, [ids[row] for row in rows], CLASSES)
        at += size
    group = groups if groups is not None else [-1] * len(ids)
    write_parquet(pd.DataFrame({"id": ids, "source_id": ids, "group": group, "copy": 0}), folder / ROWS)
    return folder


def pixels(images: ImageSet) -> np.ndarray:
    return np.stack([images.images[row].pixels for row in range(len(images))])


# Written and read


@given(data=st.data(), soft=st.booleans())
@settings(deadline=None, max_examples=40)
def test_what_is_written_is_read(data, soft):
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any))
    height, width, k = (data.draw(st.integers(1, 9)) for _ in range(3))
    n = sum(sizes)
    images = noise(n, height, width)
    names = st.text(st.sampled_from("ab/ .é\n#"), min_size=1)
    ids = data.draw(st.lists(names, min_size=n, max_size=n, unique=True))
    classes = data.draw(st.lists(names, min_size=k, max_size=k, unique=True))
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(UNLABELLED, k - 1)))
    shares = np.random.default_rng(n).dirichlet(np.ones(k), n).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        at = 0
        for number, size in enumerate(sizes):
            rows = slice(at, at + size)
            write_shard(folder, number, images[rows], (shares if soft else labels)[rows], ids[rows], classes)
            at += size
        found = read(folder)
        np.testing.assert_array_equal(pixels(found), images)
        assert found.ids == tuple(ids)
        assert found.classes == tuple(classes)
        assert found.describe == f"{width}x{height} RGB"
        np.testing.assert_array_equal(found.labels, shares.argmax(axis=1) if soft else labels)
        if soft:
            assert found.soft is not None
            assert found.soft.dtype == np.float32
            np.testing.assert_array_equal(found.soft, shares)
        else:
            assert found.soft is None


def test_equal_shards_have_equal_bytes_and_are_stored(tmp_path):
    one, two = (built(tmp_path / name, 5, 2) for name in "ab")
    for number in (0, 1):
        assert shard_path(one, number).read_bytes() == shard_path(two, number).read_bytes()
    with zipfile.ZipFile(shard_path(one, 0)) as archive:
        assert [info.filename for info in archive.infolist()] == [
            "images.npy", "labels.npy", "ids.npy", "class_names.npy",
        ]  # fmt: skip
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(shard_path(one, 0)) as arrays:
        assert (arrays["labels"].dtype, arrays["images"].shape) == (np.int64, (5, 8, 10, 3))


def test_labels_of_any_width_are_kept_as_the_layout_says(tmp_path):
    write_shard(tmp_path, 0, noise(2, 4, 4), np.array([0, 2], np.uint8), "ab", CLASSES)
    write_shard(tmp_path, 1, noise(1, 4, 4), np.array([[0, 0.5, 0.5]]), "c", CLASSES)
    assert [np.load(shard_path(tmp_path, number))["labels"].dtype for number in (0, 1)] == [np.int64, np.float32]
    found = read(tmp_path)
    assert found.labels.tolist() == [0, 2, 1]
    assert found.soft is not None
    assert found.soft.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0.5, 0.5]]


def test_a_soft_label_of_zeros_is_none(tmp_path):
    write_shard(tmp_path, 0, noise(2, 4, 4), np.array([[0, 0, 0], [0, 0.25, 0.75]]), "ab", CLASSES)
    assert read(tmp_path).labels.tolist() == [UNLABELLED, 2]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, "images are float32"),
        ({"images": np.zeros((2, 4, 4), np.uint8)}, r"images are uint8 \(2, 4, 4\)"),
        ({"images": np.zeros((), np.uint8)}, r"images are uint8 \(\)"),
        ({"labels": np.zeros(3, np.int64)}, r"labels are int64 \(3,\); needed are int64 \(2,\)"),
        ({"labels": np.zeros(2)}, "labels are float32"),
        ({"labels": np.zeros((2, 2))}, r"needed are .* float32 \(2, K\)"),
        ({"labels": np.array(["a", "b"])}, "labels are <U1"),
        ({"ids": ["a"]}, r"ids are .*\(1,\)"),
        ({"classes": np.zeros((2, 2), str)}, "class_names are"),
    ],
)
def test_what_does_not_belong_together_is_not_written(tmp_path, change, word):
    given = {"images": noise(2, 4, 4), "labels": np.zeros(2, np.int64), "ids": ["a", "b"], "classes": CLASSES}
    with pytest.raises(DataError, match=f"part-00007.npz: .*{word}"):
        write_shard(tmp_path, 7, **{**given, **change})
    assert not list(tmp_path.iterdir())


# Many shards


def test_any_number_of_threads_reads_more_shards_than_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_OPEN", 2)
    images = read(built(tmp_path, 3, 0, 4, 1, 5, 2))
    rows = np.random.default_rng(0).integers(0, 15, 400).tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: images.images[row].pixels, rows))
    np.testing.assert_array_equal(np.stack(found), noise(15, 8, 10)[rows])


def test_pictures_can_be_neither_changed_nor_overrun(tmp_path):
    images = read(built(tmp_path, 3, 2))
    picture = images.images[4]
    assert not picture.pixels.flags.writeable
    assert picture.raw is picture.pixels
    np.testing.assert_array_equal(images.images[-1].pixels, picture.pixels)
    with pytest.raises(IndexError):
        images.images[5]


def test_a_set_can_be_handed_to_another_process(tmp_path):
    images = read(built(tmp_path, 3, 2))
    images.images[0]
    sent = pickle.dumps(images.images)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent)[4].pixels, images.images[4].pixels)


# A whole build


def test_a_folder_of_train_val_and_test_has_splits(tmp_path):
    for split, size in (("val", 2), ("train", 3), ("test", 1)):
        built(tmp_path / split, size, soft=split == "train", begin=f"{split} ", groups=[size] * size)
    built(tmp_path / "benchmark" / "fog-1", 2)
    images = read(tmp_path)
    assert images.splits == ("train",) * 3 + ("val",) * 2 + ("test",)
    assert images.ids[:4] == ("train 0", "train 1", "train 2", "val 0")
    assert images.groups is not None
    assert images.groups.tolist() == [3, 3, 3, 2, 2, 1]
    assert images.soft is not None
    assert images.soft[3:].tolist() == np.eye(3)[[0, 1, 0]].tolist()
    assert read(tmp_path / "benchmark" / "fog-1").splits is None


def test_groups_are_those_of_the_rows(tmp_path):
    images = read(built(tmp_path / "a", 2, 2, groups=[7, -1, 7, 3]))
    assert images.groups is not None
    assert images.groups.tolist() == [7, -1, 7, 3]
    assert images.source.notes == ()
    assert read(built(tmp_path / "b", 2)).groups is None


def test_a_set_without_its_rows_is_read_and_says_so(tmp_path):
    (built(tmp_path, 2) / ROWS).unlink()
    images = read(tmp_path)
    assert images.groups is None
    (note,) = images.source.notes
    assert "rows.parquet is missing" in note


def test_only_folders_of_shards_are_built_sets(tmp_path):
    assert not is_sharded(tmp_path / "nowhere")
    assert not is_sharded(tmp_path)
    (tmp_path / "part-1.npz").touch()
    (tmp_path / "part-00000.npz.tmp").touch()
    assert not is_sharded(tmp_path)
    assert is_sharded(built(tmp_path / "train", 1))
    assert is_sharded(tmp_path)


# What is wrong with a folder


def other_size(folder: Path) -> None:
    write_shard(folder, 1, noise(2, 10, 8), np.zeros(2, np.int64), "xy", CLASSES)


def other_classes(folder: Path) -> None:
    write_shard(folder, 1, noise(2, 8, 10), np.zeros(2, np.int64), "xy", ("ant", "bee", "dog"))


def same_ids(folder: Path) -> None:
    write_shard(folder, 1, noise(2, 8, 10), np.zeros(2, np.int64), ("x", "1"), CLASSES)


def saved_by_hand(folder: Path) -> None:
    np.savez(shard_path(folder, 1), images=noise(2, 8, 10), labels=np.zeros(2, int))


def compressed(folder: Path) -> None:
    with np.load(shard_path(folder, 1)) as arrays:
        kept = dict(arrays)
    np.savez_compressed(shard_path(folder, 1), **kept)


def cut_short(folder: Path) -> None:
    shard_path(folder, 1).write_bytes(shard_path(folder, 1).read_bytes()[:-300])


def pickled(folder: Path) -> None:
    with np.load(shard_path(folder, 1)) as arrays:
        kept = dict(arrays)
    np.savez(shard_path(folder, 1), **{**kept, "ids": kept["ids"].astype(object)})


def of_another_type(folder: Path) -> None:
    with np.load(shard_path(folder, 1)) as arrays:
        kept = dict(arrays)
    np.savez(shard_path(folder, 1), **{**kept, "images": kept["images"] / 255})


def wrong_label(folder: Path) -> None:
    write_shard(folder, 1, noise(2, 8, 10), np.array([0, 3]), ("2", "3"), CLASSES)


def no_shares(folder: Path) -> None:
    write_shard(folder, 1, noise(2, 8, 10), np.full((2, 3), 0.5), ("2", "3"), CLASSES)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: shard_path(folder, 1).unlink(), "lacks part-00001.npz, but goes on to part-00002.npz"),
        (lambda folder: shard_path(folder, 2).unlink(), "rows.parquet lists other images .*: 6 of 4"),
        (other_size, "shards are of two sizes: 10x8 in .*part-00000.npz and 8x10 in .*part-00001.npz"),
        (other_classes, "shards have different classes: ant, bee, cat in .*, ant, bee, dog in"),
        (same_ids, "holds 1 ids more than once, such as '1'"),
        (saved_by_hand, r"part-00001.npz has arrays .* but not \['ids', 'class_names'\]"),
        (compressed, "part-00001.npz: images are compressed"),
        (cut_short, "part-00001.npz is a truncated .npz .* build it again|part-00001.npz is damaged"),
        (
            lambda folder: shard_path(folder, 1).write_bytes(b""),
            "part-00001.npz is empty. Copy it again, or build it again",
        ),
        (pickled, r"part-00001.npz has arrays .* but not \['ids'\]"),
        (of_another_type, "part-00001.npz: images are float64"),
        (wrong_label, "labels run from 0 to 3, but there are 3 classes"),
        (no_shares, "soft labels are no shares"),
        (lambda folder: (folder / ROWS).write_bytes(b"PAR1"), "rows.parquet cannot be read"),
        (
            lambda folder: write_parquet(pd.DataFrame({"id": list("012345")}), folder / ROWS),
            "rows.parquet cannot be read .*group",
        ),
        (
            lambda folder: write_parquet(
                pd.DataFrame({"id": list("012354"), "source_id": list("012354"), "group": -1}), folder / ROWS
            ),
            "rows.parquet lists other images",
        ),
    ],
)
def test_what_is_wrong_with_a_built_set_is_told_in_one_line(tmp_path, spoil, words):
    spoil(built(tmp_path, 2, 2, 2))
    with pytest.raises(DataError, match=words) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("made", "read_from"), [("train", "train"), ("train", "."), ("benchmark/fog-3", None)])
def test_a_flipped_bit_is_told_wherever_a_manifest_has_the_digests(tmp_path, made, read_from):
    folder = tmp_path / made
    for number in range(2):
        write_shard(folder, number, noise(2, 64, 64), np.zeros(2, int), [f"{number}{row}" for row in range(2)], CLASSES)
    sets = {made: {path.name: shard_digest(path) for path in sorted(folder.glob("*.npz"))}}
    document = {"format": 1, "stage": "build", "outputs": {}, "versions": {}, "sets": sets}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    place = tmp_path / (read_from or made)
    assert pixels(read(place)).shape == (4, 64, 64, 3)
    content = bytearray(shard_path(folder, 1).read_bytes())
    content[9000] ^= 1
    shard_path(folder, 1).write_bytes(content)
    with pytest.raises(DataError, match=r"part-00001\.npz is not what was built: .* build it again"):
        pixels(read(place))
    shard_path(folder, 1).unlink()
    with pytest.raises(DataError, match=r"lacks part-00001\.npz"):
        read(place)


def test_a_manifest_of_somebody_else_is_none(tmp_path):
    built(tmp_path / "train", 2)
    (tmp_path / "manifest.json").write_text('{"name": "my app", "sets": {"train": {"part-00000.npz": "0"}}}')
    assert pixels(read(tmp_path / "train")).shape == (2, 8, 10, 3)


def test_shards_without_an_image_are_no_set(tmp_path):
    with pytest.raises(DataError, match="holds no images: its shards are empty"):
        read(built(tmp_path, 0))


def test_labels_from_a_table_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n0,ant\n")
    with pytest.raises(DataError, match="is a built set with labels"):
        read(built(tmp_path / "set", 2), labels=tmp_path / "labels.csv")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: write_shard(path.parent, 0, *one_more())])
def test_a_shard_that_is_replaced_while_it_is_in_use_is_not_read_wrongly(tmp_path, change):
    images = read(built(tmp_path, 2, 2))
    change(shard_path(tmp_path, 0))
    with pytest.raises(DataError, match="has changed since it was read"):
        images.images[0]
    assert images.images[2].pixels.shape == (8, 10, 3)


def one_more() -> tuple[np.ndarray, np.ndarray, str, tuple[str, ...]]:
    return noise(3, 8, 10), np.zeros(3, np.int64), "abc", CLASSES


# Soft labels


@pytest.fixture
def pets(tmp_path: Path) -> ImageSet:
    return read(built(tmp_path / "pets", 4, soft=True))


def test_soft_labels_follow_their_images_and_cannot_be_changed(pets):
    assert pets.soft is not None
    assert pets.soft.tolist() == [[0.75, 0.25, 0], [0, 0.75, 0.25], [0.25, 0, 0.75], [0.75, 0.25, 0]]
    assert pets.labels.tolist() == [0, 1, 2, 0]
    assert not pets.soft.flags.writeable
    mine = np.eye(3)[[0, 1, 2, 0]]
    assert replace(pets, soft=mine).soft.dtype == np.float32
    assert mine.flags.writeable


@pytest.mark.parametrize(
    ("soft", "words"),
    [
        (np.eye(3), "4 images but 3 soft labels"),
        (np.eye(4), "a share of each of 3 classes"),
        (np.zeros(4), "a share of each of 3 classes"),
        (np.eye(3, dtype=int)[[0, 1, 2, 0]], "soft labels are int64"),
        (np.full((4, 3), 0.5), "add up to 1"),
        (np.full((4, 3), np.nan), "add up to 1"),
        (np.array([[2, -1, 0]] * 4, float), "0 or more"),
    ],
)
def test_soft_labels_that_are_none_are_refused(pets, soft, words):
    with pytest.raises(DataError, match=words):
        replace(pets, soft=soft)


# Cleaned and scanned


@pytest.mark.parametrize("soft", [False, True])
def test_the_clean_set_of_a_built_one_is_an_archive_of_the_kept_rows(tmp_path, soft):
    images = read(built(tmp_path / "train", 3, 2, 4, soft=soft, groups=[5, 5, -1, 0, 0, 0, 1, 1, 1]))
    keep = np.arange(9) % 4 > 0
    path = write_clean(images, keep, tmp_path / "artifacts")
    assert path.name == "clean.npz"
    with np.load(path) as written:
        keys = ["images", "labels", "ids", "class_names", "groups", "rows"]
        assert written.files == keys
        assert written["rows"].tolist() == [1, 2, 3, 5, 6, 7]
        assert written["labels"].dtype == (np.float32 if soft else np.int64)
    clean = read(path)
    np.testing.assert_array_equal(pixels(clean), noise(9, 8, 10)[keep])
    assert clean.ids == ("1", "2", "3", "5", "6", "7")
    assert clean.labels.tolist() == images.labels[keep].tolist()
    assert clean.classes == CLASSES
    assert clean.groups is not None
    assert (clean.groups[0], clean.groups[1]) == (2, -1)
    if soft:
        np.testing.assert_array_equal(clean.soft, images.soft[keep])
    else:
        assert clean.soft is None
    again = write_clean(images, keep, tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()


def test_a_clean_set_of_none_and_of_splits_keeps_their_keys(tmp_path):
    for split in ("train", "test"):
        built(tmp_path / split, 2, begin=split)
    path = write_clean(read_shards(tmp_path), np.zeros(4, bool), tmp_path / "artifacts")
    with np.load(path) as written:
        assert written.files == ["images", "labels", "ids", "class_names", "splits", "rows"]
        assert written["images"].shape == (0, 8, 10, 3)


def test_a_built_set_is_scanned(tmp_path, cells: tuple[np.ndarray, np.ndarray], set_of: Callable[..., ImageSet]):
    images, labels = cells
    train = tmp_path / "train"
    classes = ("lobed", "round", "kidney", "granular")
    write_shard(train, 0, images[:30], labels[:30], [f"{row}" for row in range(30)], classes)
    # The first row a second time.
    write_shard(train, 1, images[:1], labels[:1], ["0+1"], classes)
    write_parquet(
        pd.DataFrame({"id": [*map(str, range(30)), "0+1"], "source_id": [*map(str, range(30)), "0"], "group": -1}),
        train / ROWS,
    )
    before = {path: path.read_bytes() for path in train.iterdir()}
    config = ScanConfig(artifacts=str(tmp_path / "artifacts"), backbone="builtin", map="none")
    found = scan(train, config)
    assert found.findings.query("check == 'exact_duplicate'")["id"].isin(["0", "0+1"]).sum() == 1
    kept = found.table.loc[found.table["verdict"] != "drop", "id"].tolist()
    assert list(read(tmp_path / "artifacts" / "clean.npz").ids) == kept
    assert {path: path.read_bytes() for path in train.iterdir()} == before


def test_images_made_of_one_source_belong_together(tmp_path):
    built(tmp_path, 3, 3, groups=[7, -1, -1, 7, -1, -1])
    sources = ["a", "b", "c", "a", "b", "d"]
    table = pd.read_parquet(tmp_path / ROWS).assign(source_id=sources)
    write_parquet(table, tmp_path / ROWS)
    groups = read(tmp_path).groups.tolist()
    assert groups[0] == groups[3] == 7
    assert groups[1] == groups[4] not in (-1, 7)
    assert groups[2] == groups[5] == -1
