from __future__ import annotations

import io
import os
import random
import struct
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from curate.sets import archives
from curate.sets.imageset import ImageSet, Unreadable
from curate.sets.reading import read
from curate.stage.errors import DataError, OutputError, ToolkitError

SHARED = Path(__file__).parents[4] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not beside the project")


@pytest.fixture
def pets() -> np.ndarray:
    """Six 8x10 RGB images, no two alike."""
    return np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)


LABELS = np.array([0, 1, 2, 0, 1, 2])


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "d.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def pixels(images: ImageSet) -> np.ndarray:
    return np.stack([images.images[row].pixels for row in range(len(images))])


def files(folder: Path, *names: str) -> Path:
    """Small PNG or JPEG files of those names, each of another grey."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (i, 40, 90)).save(path)
    return folder


# Arrays


@given(
    array=hnp.arrays(
        st.sampled_from(["u1", "<u2", ">u2", "<i4", "<f4", ">f8", "?"]),
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(5, 7), st.sampled_from([1, 3, 4])),
        elements=st.integers(0, 1),
    ),
    order=st.sampled_from("CF"),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    mapped_from=st.sampled_from([0, 1 << 20]),
    held=st.sampled_from([0, 1 << 20]),
)
@settings(deadline=None, max_examples=60)
def test_what_is_saved_is_read_whatever_its_type_order_and_compression(array, order, save, mapped_from, held):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "MAPPED_FROM", mapped_from)
        patch.setattr(archives, "HELD_IN_MEMORY", held)
        path = Path(folder, "d.npz")
        save(path, images=np.asarray(array, order=order), labels=np.zeros(len(array), int))
        images = read(path)
        assert len(images) == len(array)
        for row, image in enumerate(array):
            picture = images.images[row]
            np.testing.assert_array_equal(picture.raw, image)
            assert picture.raw.dtype == image.dtype
            assert picture.pixels.shape == (*image.shape[:2], 3)
            assert picture.pixels.dtype == np.uint8
            assert picture.pixels.flags.c_contiguous


def test_the_same_images_in_every_layout_give_the_same_pixels(tmp_path, pets):
    grey = pets[..., :1]
    opaque = np.concatenate([pets, np.full_like(grey, 255)], axis=3)
    for images, expected, describe in [
        (pets, pets, "10x8 RGB"),
        (pets.transpose(0, 3, 1, 2), pets, "10x8 RGB"),
        (opaque, pets, "10x8 RGBA"),
        (grey, np.repeat(grey, 3, axis=3), "10x8 grey"),
        (grey[..., 0], np.repeat(grey, 3, axis=3), "10x8 grey"),
        (grey.transpose(0, 3, 1, 2), np.repeat(grey, 3, axis=3), "10x8 grey"),
    ]:
        found = read(saved(tmp_path, images=images, labels=LABELS))
        np.testing.assert_array_equal(pixels(found), expected)
        assert found.describe == describe


@pytest.mark.parametrize(
    ("convert", "note"),
    [
        (lambda x: x / 255.0, "values from 0 to 1 are read as 0 to 255"),
        (lambda x: (x / 255.0).astype(np.float16), "values from 0 to 1 are read as 0 to 255"),
        (lambda x: (x / 127.5 - 1).astype(np.float32), "values from -1 to 1 are read as 0 to 255"),
        (lambda x: x.astype(np.float64), None),
        (lambda x: x.astype(np.int64), None),
        (lambda x: x.astype(np.uint16) * 257, "values are read as 16 bit, 0 to 65,535"),
        (lambda x: np.rint(x * (4095 / 255)).astype(">u2"), "values are read as 12 bit, 0 to 4,095"),
        (
            lambda x: x.astype(np.float32) / 50 - 2,
            "values from -2 to 3.1, perhaps standardised, are stretched to 0 to 255",
        ),
    ],
)
def test_every_range_of_values_comes_back_as_the_same_eight_bits(tmp_path, pets, convert, note):
    pets[0, 0, 0], pets[1, 0, 0] = 0, 255
    images = read(saved(tmp_path, images=convert(pets), labels=LABELS))
    np.testing.assert_allclose(pixels(images), pets, atol=1 if pets.dtype.itemsize else 0)
    assert images.source.notes == ((note,) if note else ())


def test_the_scale_is_that_of_the_set_and_not_of_each_picture(tmp_path, pets):
    dark = pets.astype(np.float32) / 255
    dark[0] *= 0.001
    assert read(saved(tmp_path, images=dark, labels=LABELS)).images[0].pixels.max() == 0


def test_lanczos_overshoot_is_cut_off(tmp_path):
    images = read(saved(tmp_path, images=np.linspace(-0.06, 1.05, 64, dtype=np.float32).reshape(1, 8, 8)))
    assert pixels(images).min() == 0
    assert pixels(images).max() == 255


def test_partly_transparent_rows_are_laid_on_white_and_unused_alpha_is_dropped(tmp_path):
    images = np.full((3, 4, 4, 4), 100, np.uint8)
    images[0, :, :2, 3], images[0, :, 2:, 3] = 0, 255
    images[1, ..., 3] = 0
    images[2, ..., 3] = 51
    first, second, third = pixels(read(saved(tmp_path, images=images)))
    assert first[0, 0, 0] == 255
    assert first[0, 3, 0] == 100
    assert (second == 100).all()
    assert (third == 224).all()


def test_a_picture_with_nan_is_unreadable_and_the_others_are_not(tmp_path, pets):
    images = pets / 255.0
    images[2, :3, 0, 1] = np.nan
    images[2, 0, 0, :] = np.inf
    images[4, 0, 0, 0] = -np.inf
    found = read(saved(tmp_path, images=images, labels=LABELS))
    with pytest.raises(Unreadable, match=r"^contains 3 pixels that are not numbers \(NaN or infinite\)$"):
        found.images[2]
    with pytest.raises(Unreadable, match="contains 1 pixel that is not a number"):
        found.images[4]
    np.testing.assert_array_equal(found.images[1].pixels, pets[1])


def test_nothing_but_nan_still_reads(tmp_path):
    found = read(saved(tmp_path, images=np.full((2, 4, 5), np.nan)))
    with pytest.raises(Unreadable, match="20 pixels"):
        found.images[1]


def test_rows_count_from_the_end_and_end_where_the_set_does(tmp_path, pets):
    images = read(saved(tmp_path, images=pets)).images
    np.testing.assert_array_equal(images[-1].pixels, pets[5])
    with pytest.raises(IndexError):
        images[6]


def test_many_threads_read_what_one_reads(tmp_path, pets):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, images=np.repeat(pets, 50, axis=0) / 255)
    images = read(path).images
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(
            np.stack([p.pixels for p in pool.map(images.__getitem__, range(300))]),
            np.repeat(pets, 50, axis=0),
        )


def test_the_arrays_cannot_be_written_to(tmp_path, pets):
    picture = read(saved(tmp_path, images=pets)).images[0]
    with pytest.raises(ValueError, match="read-only"):
        picture.raw[0] = 0


# Labels


@pytest.mark.parametrize(
    ("labels", "names", "classes", "codes"),
    [
        ([0, 1, 2, 0, 1, 2], None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
        ([[0], [1], [2], [0], [1], [2]], None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
        ([3, 10, 9, 3, 10, -1], None, ("3", "9", "10"), [0, 2, 1, 0, 2, -1]),
        ([1.0, 0.0, np.nan, 1.0, 0.0, -1.0], None, ("0", "1"), [1, 0, -1, 1, 0, -1]),
        ([True, False, True, False, True, True], None, ("False", "True"), [1, 0, 1, 0, 1, 1]),
        (["b", "a", "", "b", "a", "c"], None, ("a", "b", "c"), [1, 0, -1, 1, 0, 2]),
        ([b"b", b"a", b"", b"b", b"a", b"c"], None, ("a", "b", "c"), [1, 0, -1, 1, 0, 2]),
        (["10", "9", "10", "9", "9", "9"], None, ("9", "10"), [1, 0, 1, 0, 0, 0]),
        (np.eye(3)[[0, 2, 1, 0, 1, 2]], None, ("0", "1", "2"), [0, 2, 1, 0, 1, 2]),
        (np.eye(3, dtype=bool)[[0, 2, 1, 0, 1, 2]], ["a", "b", "c"], ("a", "b", "c"), [0, 2, 1, 0, 1, 2]),
        ([0, 1, 2, 0, 1, 2], ["z", "y", "x", "w"], ("z", "y", "x", "w"), [0, 1, 2, 0, 1, 2]),
        ([0, -1, 2, 0, 1, 2], [b"z", b"y", b"x"], ("z", "y", "x"), [0, -1, 2, 0, 1, 2]),
        (["x", "z", "y", "", "x", "x"], ["z", "y", "x"], ("z", "y", "x"), [2, 0, 1, -1, 2, 2]),
        (["2", "0", "1", "", "2", "2"], ["z", "y", "x"], ("z", "y", "x"), [2, 0, 1, -1, 2, 2]),
        ([7, 3, 5, 3, 5, 7], [3, 5, 7], ("3", "5", "7"), [2, 0, 1, 0, 1, 2]),
        (np.array([0, 1, 2, 0, 1, 2], np.uint64), None, ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
    ],
)
def test_labels_are_read_however_they_are_written(tmp_path, pets, labels, names, classes, codes):
    arrays = {"images": pets, "labels": labels} | ({} if names is None else {"class_names": names})
    images = read(saved(tmp_path, **arrays))
    assert images.classes == classes
    assert images.labels.tolist() == codes
    assert images.labels.dtype == np.int64


def test_one_hot_probabilities_and_missing_labels_are_told(tmp_path, pets):
    soft = np.array([[0.7, 0.3]] * 6, np.float32)
    assert "likeliest" in read(saved(tmp_path, images=pets, labels=soft)).source.notes[0]
    assert read(saved(tmp_path, images=pets, labels=np.eye(6))).source.notes == ("labels are one-hot",)
    assert read(saved(tmp_path, images=pets, labels=LABELS - 1)).source.notes == (
        "labels of -1 are read as no label: 2 of 6",
    )


def test_images_without_labels_have_none(tmp_path, pets):
    np.save(tmp_path / "d.npy", pets)
    for path in (saved(tmp_path, images=pets), tmp_path / "d.npy"):
        images = read(path)
        assert not images.labelled
        assert images.classes == ()
        assert images.labels.tolist() == [-1] * 6
        assert images.source.notes[0].startswith("no labels: ")
        np.testing.assert_array_equal(pixels(images), pets)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("images", "labels"), ("images", "labels")),
        (("x", "y"), ("x", "y")),
        (("X", "Y"), ("X", "Y")),
        (("data", "target"), ("data", "target")),
        (("Images", "Label"), ("Images", "Label")),
    ],
)
def test_keys_have_many_names(tmp_path, pets, keys, found):
    images = read(saved(tmp_path, **dict(zip(keys, (pets, LABELS), strict=True))))
    assert images.source.members == (found,)
    assert images.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("pattern", ["{split}_{kind}", "{kind}_{split}"])
@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train", "test"), ("test",)])
def test_splits_in_one_archive_are_one_set(tmp_path, pets, pattern, splits):
    arrays = {}
    for i, split in enumerate(splits):
        arrays[pattern.format(split=split, kind="images" if pattern[1] == "s" else "x")] = pets[i : i + 3]
        arrays[pattern.format(split=split, kind="labels" if pattern[1] == "s" else "y")] = LABELS[i : i + 3, None]
    images = read(saved(tmp_path, **arrays))
    assert images.splits == tuple(split for split in splits for _ in range(3))
    assert images.ids == tuple(f"{split}/{row}" for split in splits for row in range(3))
    np.testing.assert_array_equal(pixels(images), np.concatenate([pets[i : i + 3] for i in range(len(splits))]))
    assert images.labels.tolist() == [label for i in range(len(splits)) for label in LABELS[i : i + 3]]


def test_a_split_without_labels_has_none(tmp_path, pets):
    images = read(saved(tmp_path, train_images=pets, train_labels=LABELS, test_images=pets[:2]))
    assert images.labels.tolist() == [*LABELS, -1, -1]
    assert images.source.notes == ("2 images have no label",)


def test_ids_splits_and_groups_are_read_where_they_are_given(tmp_path, pets):
    given = {"ids": list("abcdef"), "split": ["Train", "valid", "test", "", "train", "fold7"]}
    images = read(saved(tmp_path, images=pets, **given, patient=[7, 7, 3, -1, 3, 7]))
    assert images.ids == tuple("abcdef")
    assert images.splits == ("train", "val", "test", "", "train", "fold7")
    assert images.groups is not None
    assert images.groups.tolist() == [1, 1, 0, -1, 0, 1]


def test_ids_that_are_not_unique_or_not_one_each_give_way_to_rows(tmp_path, pets):
    for ids in ([1, 1, 2, 3, 4, 5], [1, 2]):
        images = read(saved(tmp_path, images=pets, ids=ids))
        assert images.ids == tuple("012345")
        assert any("ids" in note for note in images.source.notes)


def test_an_array_of_file_names_called_names_is_not_taken_for_the_classes(tmp_path, pets):
    images = read(saved(tmp_path, images=pets, labels=LABELS, names=[f"{i}.png" for i in range(6)]))
    assert images.classes == ("0", "1", "2")


def test_python_objects_are_never_unpickled(tmp_path, pets):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return Path.touch, (ran,)

    trap = np.array([Trap()], dtype=object)
    images = read(saved(tmp_path, images=pets, labels=LABELS, meta=trap))
    assert images.source.notes == (
        "meta was left out: it holds Python objects, which could run code when loaded and are never read",
    )
    for arrays in ({"images": trap}, {"images": pets, "labels": trap}):
        with pytest.raises(DataError, match=r"holds Python objects, .* np\.stack"):
            read(saved(tmp_path, **arrays))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"foo": np.zeros(3)},
            r"d.npz has arrays \['foo'\] but not 'images'.* np.savez\(path, images=..., labels=...\)",
        ),
        ({"images": np.zeros((0, 8, 8))}, "holds no images"),
        ({"images": np.zeros((0,))}, "holds no images"),
        ({"images": np.float64(3)}, "holds no images"),
        ({"images": np.zeros((6, 8, 8, 2))}, "2 channels"),
        ({"images": np.zeros((6, 28, 28, 28))}, "28 channels"),
        ({"images": np.zeros((6, 64))}, "reshape"),
        ({"images": np.zeros((6, 0, 8))}, "no pixels"),
        ({"images": np.zeros((6, 8, 8), complex)}, "complex128"),
        ({"images": np.full((6, 8), "a")}, "are no images"),
        ({"images": np.zeros((8, 8, 3))}, r"look like one image. Save images\[None\]"),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.zeros(5)},
            "6 images in images, but 5 labels in labels",
        ),
        ({"images": np.zeros((6, 8, 8)), "labels": np.float64(5)}, "6 images in images, but 1 labels"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.full(6, 0.5)}, "such as 0.5 that are no whole numbers"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.ones((6, 3))}, "neither one-hot nor probabilities"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.zeros((6, 3, 3))}, "not understood"),
        ({"images": np.zeros((6, 8, 8)), "labels": np.zeros(6, complex)}, "not understood"),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.arange(1, 7), "classes": list("abcde")},
            "from 1 to 6, but 5 class",
        ),
        (
            {"images": np.zeros((6, 8, 8)), "labels": list("aabbcc"), "class_names": ["a", "b"]},
            "'c', which is none",
        ),
        (
            {"images": np.zeros((6, 8, 8)), "labels": np.eye(6), "class_names": ["a", "b"]},
            "6 columns, but 2 class",
        ),
        (
            {
                "train_x": np.zeros((2, 8, 8)),
                "train_y": ["a", "b"],
                "test_x": np.zeros((2, 8, 8)),
                "test_y": [0, 1],
            },
            "different ways",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        read(saved(tmp_path, **arrays))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_images_are_a_set(tmp_path, pets, count):
    images = read(saved(tmp_path, images=pets[:count], labels=LABELS[:count]))
    assert len(images) == count


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "is no .npz archive"),
        (b"\x80\x04K\x01.", "is a pickle"),
        (b"PK\x03\x04 and no more", "truncated"),
        (b"\x93NUMPY", "is damaged"),
    ],
)
def test_files_that_are_no_archive_are_told_apart(tmp_path, content, message):
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_zip_of_other_files_holds_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("a.png", b"")
    with pytest.raises(DataError, match="holds no arrays"):
        read(tmp_path / "d.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whatever_is_damaged_in_an_archive_is_a_data_error(tmp_path, pets, save):
    path = tmp_path / "d.npz"
    save(path, images=pets, labels=LABELS, class_names=["a", "b", "c"])
    whole = path.read_bytes()
    rng = random.Random(0)
    broken = 0
    for _ in range(150):
        content = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(1, 6)):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            images = read(path)
            for row in range(len(images)):
                images.images[row]
        except DataError:
            broken += 1
    assert broken > 75


def test_a_flipped_bit_of_a_small_array_is_noticed(tmp_path, pets):
    path = saved(tmp_path, images=pets, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(pets.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged .*CRC"):
        read(path)


def test_an_encrypted_member_is_told(tmp_path, pets):
    path = saved(tmp_path, images=pets)
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(magic) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="password"):
        read(path)


def test_a_full_temporary_folder_is_told(tmp_path, pets, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "HELD_IN_MEMORY", 0)
    monkeypatch.setattr(archives.tempfile, "TemporaryFile", Full)
    with pytest.raises(OutputError, match=r"cannot decompress images .*No space left on device. Set TMPDIR"):
        read(saved(tmp_path, images=pets))


def test_large_stored_arrays_are_mapped_and_never_loaded(tmp_path):
    images = read(saved(tmp_path, images=np.zeros((200, 96, 96, 3), np.uint8)))
    base = images.images.arrays[0]  # type: ignore[attr-defined]
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


@needs_shared
@pytest.mark.parametrize(
    ("name", "count", "describe"),
    [
        ("course.npz", 2904, "96x96 RGB"),
        ("mnist_test.npz", 10000, "28x28 grey"),
        ("pbc5_folder", 100, "JPEG"),
    ],
)
def test_the_shared_data_is_read(name, count, describe):
    images = read(SHARED / name)
    assert len(images) == count
    assert images.describe.startswith(describe)
    assert images.labelled
    assert images.images[count - 1].pixels.shape[2] == 3


# Folders and lists


def by_id(images: ImageSet) -> dict[str, str]:
    return {id: images.label_name(row) for row, id in enumerate(images.ids)}


def test_class_folders_are_classes_and_ids_are_paths(tmp_path):
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


def test_numbered_class_folders_are_in_the_order_of_their_numbers(tmp_path):
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
def test_folders_are_splits_classes_or_neither(tmp_path, names, splits, classes):
    images = read(files(tmp_path, *names))
    assert images.splits == splits
    assert images.classes == classes
    assert sorted(images.ids) == sorted(names)


def test_split_names_beside_other_folders_are_classes_and_that_is_told(tmp_path):
    images = read(files(tmp_path, "train/1.png", "test/1.png", "extra/1.png"))
    assert images.classes == ("extra", "test", "train")
    assert images.source.notes == (
        "test, train were read as classes, because folders of other names stand beside them",
    )


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
def test_a_table_beside_flat_images_labels_them(tmp_path, name, table):
    files(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / name).write_text(table, encoding="utf-8")
    images = read(tmp_path)
    assert by_id(images) == {"1.png": "cat", "2.png": "ant", "3.png": ""}
    assert images.classes == ("ant", "cat")
    assert f"labels are from {name}" in images.source.notes
    assert "1 of 3 images have no label" in images.source.notes


def test_a_given_table_brings_splits_and_groups_to_class_folders(tmp_path):
    files(tmp_path / "set", "cat/1.png", "dog/2.png")
    (tmp_path / "t.csv").write_text("file,split,patient\ncat/1.png,validation,p1\ndog/2.png,train,\nno.png,train,p2\n")
    images = read(tmp_path / "set", labels=tmp_path / "t.csv")
    assert images.splits == ("val", "train")
    assert images.groups is not None
    assert images.groups.tolist() == [0, -1]
    assert images.classes == ("cat", "dog")
    assert "rows of t.csv whose file is not there: 1" in images.source.notes


def test_a_table_tells_equal_names_apart_by_split(tmp_path):
    files(tmp_path, "train/1.png", "test/1.png")
    (tmp_path / "labels.csv").write_text("file,label,split\n1.png,cat,train\n1.png,dog,test\n")
    assert by_id(read(tmp_path)) == {"train/1.png": "cat", "test/1.png": "dog"}


def test_tables_that_say_nothing_are_passed_over_and_told(tmp_path):
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
def test_a_given_table_that_does_not_fit_is_an_error(tmp_path, table, message):
    files(tmp_path / "set", "1.png", "a/2.png", "b/2.png")
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "set", labels=tmp_path / "t.csv")


def test_a_list_of_paths_keeps_its_order_and_finds_classes_in_the_folders(tmp_path):
    files(tmp_path, "cat/1.png", "dog/2.png", "dog/3.png")
    (tmp_path / "l.txt").write_text("# chosen\ndog/3.png\n\n  cat/1.png  \ngone/4.png\n")
    images = read(tmp_path / "l.txt")
    assert images.ids == ("dog/3.png", "cat/1.png", "gone/4.png")
    assert images.classes == ("cat", "dog", "gone")
    with pytest.raises(Unreadable, match=r"^does not exist$"):
        images.images[2]


def test_a_list_outside_of_its_images_names_them_below_what_they_share(tmp_path):
    files(tmp_path / "set", "cat/1.png", "dog/2.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "l.txt").write_text(f"../set/cat/1.png\n{tmp_path}/set/dog/2.png\n")
    images = read(tmp_path / "lists" / "l.txt")
    assert images.ids == ("cat/1.png", "dog/2.png")
    assert images.source.root == tmp_path / "set"
    assert images.images[1].pixels.shape == (5, 6, 3)


def test_a_csv_list_brings_labels_splits_groups_and_ids(tmp_path):
    files(tmp_path, "a.png", "b.png")
    (tmp_path / "l.csv").write_text('file,label,split,group,id\nb.png,"x, y",val,g2,first\na.png,,train,,second\n')
    images = read(tmp_path / "l.csv")
    assert by_id(images) == {"first": "x, y", "second": ""}
    assert images.splits == ("val", "train")
    assert images.groups is not None
    assert images.groups.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# nothing\n", "names no images"),
        ("no.png\n", "but none exists"),
        ("a.png\na.png\n", "'a.png' 2 times"),
    ],
)
def test_a_list_that_cannot_be_used_is_an_error(tmp_path, content, message):
    files(tmp_path, "a.png")
    (tmp_path / "l.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "l.txt")


def test_clutter_is_skipped_and_counted(tmp_path):
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
        "1 file with an image inside but no image's extension skipped (cat/scan.dat)",
        "4 files without an image's extension skipped (.dat 1, .json 2, .md 1)",
    )


def test_links_are_followed_but_not_in_circles(tmp_path):
    files(tmp_path / "set", "cat/1.png")
    files(tmp_path / "elsewhere", "2.png")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "cat" / "again").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    images = read(tmp_path / "set")
    assert images.ids == ("cat/1.png", "cat/gone.png", "dog/2.png")
    with pytest.raises(Unreadable, match="does not exist"):
        images.images[1]


def test_names_that_are_no_utf8_get_ids_that_are(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        files(tmp_path / "cat", "ü.png").joinpath("ü.png").rename(tmp_path / "cat" / name)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    images = read(tmp_path)
    assert images.ids == ("cat/caf\\xe9.png",)
    assert images.images[0].pixels.shape == (5, 6, 3)


@pytest.mark.parametrize("name", ["gone.npz", "gone", "a.png", "a.tar"])
def test_a_source_that_is_no_set_is_an_error_that_says_what_is(tmp_path, name):
    files(tmp_path, "a.png")
    (tmp_path / "a.tar").touch()
    with pytest.raises(DataError, match=r"Give an \.npz, a folder of images, or a list of files"):
        read(tmp_path / name)


def test_labels_beside_an_archive_are_refused(tmp_path, pets):
    with pytest.raises(DataError, match="belong into it"):
        read(saved(tmp_path, images=pets), labels=tmp_path / "l.csv")


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


# Files


def decoded(folder: Path, image: Image.Image, name: str, **options: object):
    image.save(folder / name, **options)
    return read(folder).images[0]


GRADIENT = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "LA", "RGBA", "YCbCr", "I;16", "I", "F", "PA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(GRADIENT)
    image = Image.fromarray(GRADIENT.astype("f4")) if mode == "F" else image.convert(mode)
    name = {"CMYK": "a.tif", "YCbCr": "a.jpg", "F": "a.tif", "I": "a.tif", "PA": "a.png"}.get(mode, "a.png")
    if mode == "PA":
        image = Image.fromarray(np.dstack([GRADIENT] * 3)).quantize()
        image.info["transparency"] = 0
    picture = decoded(tmp_path, image, name)
    assert picture.pixels.shape == (8, 8, 3)
    assert picture.pixels.dtype == np.uint8
    if mode not in ("1", "PA"):
        np.testing.assert_allclose(picture.pixels[..., 1], GRADIENT, atol=3)


@pytest.mark.parametrize(("high", "shift"), [(65535, 8), (4095, 4), (1023, 2), (16383, 6), (255, 0)])
def test_sixteen_bit_files_are_scaled_by_their_own_bits(tmp_path, high, shift):
    values = np.linspace(0, high, 64).astype(np.uint16).reshape(8, 8)
    picture = decoded(tmp_path, Image.fromarray(values), "a.png")
    np.testing.assert_array_equal(picture.raw, values)
    np.testing.assert_allclose(picture.pixels[..., 0], values >> shift, atol=1)
    assert picture.pixels.max() == 255


def test_the_same_pixels_have_the_same_raw_in_every_format(tmp_path):
    palette = Image.fromarray(np.dstack([GRADIENT] * 3)).quantize(64)
    palette.save(tmp_path / "1.gif")
    palette.save(tmp_path / "2.png")
    palette.convert("RGB").save(tmp_path / "3.bmp")
    palette.convert("RGB").save(tmp_path / "4.webp", lossless=True)
    palette.convert("L").save(tmp_path / "5.tif")
    palette.convert("RGBA").save(tmp_path / "6.png")
    images = read(tmp_path).images
    kinds = [images[row].file_type for row in range(6)]
    assert kinds == ["GIF", "PNG", "BMP", "WEBP", "TIFF", "PNG"]
    for row in range(1, 6):
        np.testing.assert_array_equal(images[row].raw, images[0].raw)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_pictures_are_turned_upright(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.dstack([GRADIENT[:6]] * 3))
    picture = decoded(tmp_path, image, name, exif=exif)
    expected = (
        image.transpose(
            {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]  # type: ignore[arg-type]
        )
        if orientation > 1
        else image
    )
    np.testing.assert_allclose(picture.pixels, np.asarray(expected), atol=12 if name == "a.jpg" else 0)


def test_the_first_frame_stands_for_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), (0, 0, 0)), Image.new("RGB", (4, 4), (255, 255, 255))]
    assert decoded(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:]).pixels.max() == 0


def test_transparent_files_are_laid_on_white(tmp_path):
    assert (decoded(tmp_path, Image.new("RGBA", (1, 1), (0, 0, 0, 0)), "a.png").pixels == 255).all()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"^is empty \(0 bytes\)$"),
        (b"not found\n", "^is no image but text$"),
        (b"<!DOCTYPE html><p>404", "is no image but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"%PDF-1.4", "is no image but a PDF"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (bytes(range(200, 256)), "is no image that Pillow knows"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (png(Image.effect_noise((64, 64), 90))[:2000], "^is cut short"),
        (png(Image.new("L", (9, 9))).replace(b"IDAT", b"IDAX"), "^is "),
    ],
)
def test_broken_files_stay_in_the_set_and_say_what_they_are(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    files(tmp_path, "b.png")
    images = read(tmp_path)
    assert images.ids == ("a.jpg", "b.png")
    with pytest.raises(Unreadable, match=reason):
        images.images[0]
    assert images.images[1].pixels.shape == (5, 6, 3)


def test_no_bytes_crash_the_decoder(tmp_path):
    rng = random.Random(0)
    for i, (name, options) in enumerate(
        [
            ("PNG", {}),
            ("JPEG", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("GIF", {}),
            ("WEBP", {}),
            ("BMP", {}),
        ]
        * 12
    ):
        buffer = io.BytesIO()
        Image.effect_noise((20, 20), 80).convert("RGB").save(buffer, name, **options)
        content = bytearray(buffer.getvalue())
        for _ in range(rng.randrange(1, 8)):
            content[rng.randrange(min(len(content), 400))] = rng.randrange(256)
        (tmp_path / f"{i:03}.jpg").write_bytes(content[: rng.randrange(30, len(content)) if i % 2 else None])
    images = read(tmp_path).images
    outcomes = []
    for row in range(len(images)):
        try:
            outcomes.append(images[row].pixels.shape[2] == 3)
        except Unreadable:
            outcomes.append(False)
    assert 0 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize("limit", [20, 12])
def test_decompression_bombs_are_unreadable(tmp_path, monkeypatch, limit):
    files(tmp_path, "a.png")
    images = read(tmp_path).images
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(Unreadable, match=f"more than the {limit} pixels that are decoded; scale it down"):
        images[0]


def test_a_pipe_and_a_folder_of_an_images_name_do_not_hang(tmp_path):
    files(tmp_path, "a.png", "folder.png/b.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert read(tmp_path).ids == ("a.png", "folder.png/b.png")
    (tmp_path / "l.txt").write_text("a.png\npipe.png\n")
    with pytest.raises(Unreadable, match="is not a file"):
        read(tmp_path / "l.txt").images[1]


def test_threads_decode_what_one_decodes(tmp_path):
    images = read(files(tmp_path, *[f"{i:02}.png" for i in range(40)])).images
    with ThreadPoolExecutor(4) as pool:
        assert [p.pixels[0, 0, 0] for p in pool.map(images.__getitem__, range(40))] == list(range(40))


def test_reading_errors_are_all_of_one_family():
    assert issubclass(Unreadable, DataError)
    assert issubclass(DataError, ToolkitError)
