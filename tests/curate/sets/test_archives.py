from __future__ import annotations

import io
import random
import struct
import tempfile
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.sets import archives
from curate.sets.reading import read
from curate.stage.errors import DataError, OutputError

Usage = namedtuple("Usage", "total used free")
LABELS = np.array([0, 1, 2, 0, 1, 2])


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


def test_python_objects_are_never_unpickled(tmp_path, pets, saved):
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


def test_a_flipped_bit_of_a_small_array_is_noticed(tmp_path, pets, saved):
    path = saved(tmp_path, images=pets, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(pets.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged .*CRC"):
        read(path)


def test_an_encrypted_member_is_told(tmp_path, pets, saved):
    path = saved(tmp_path, images=pets)
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(magic) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="password"):
        read(path)


def test_a_full_temporary_folder_is_told(tmp_path, pets, monkeypatch, saved):
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "HELD_IN_MEMORY", 0)
    monkeypatch.setattr(archives.tempfile, "TemporaryFile", Full)
    with pytest.raises(OutputError, match=r"cannot decompress images .*No space left on device. Set TMPDIR"):
        read(saved(tmp_path, images=pets))


# Arrays that are read while somebody writes


@pytest.fixture(params=["C", "F"])
def stored(request, tmp_path):
    """(an array as it was saved, and as it is read from the file)."""
    array = np.asarray(np.random.default_rng(0).integers(0, 999, (50, 30, 7, 3), np.uint16), order=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "MAPPED_FROM", 1)
        np.savez(tmp_path / "d.npz", images=array)
        return array, archives.Archive(tmp_path / "d.npz").array("images")


@pytest.mark.parametrize(
    "index",
    [
        0, -1, np.int64(7), slice(None), slice(3, 9), slice(9, 3), slice(None, None, 2), slice(-4, None),
        np.array([4, 5, 6, 1, 1, 49]), np.array([], int), np.arange(50) % 3 == 0, ..., None,
        (2, 3), (slice(2, 5), 3), (slice(2, 5), np.array([1, 3])), (2, slice(None), 1), (..., 0),
    ],
    ids=str,
)  # fmt: skip
def test_entries_of_a_stored_array_are_those_that_were_saved(stored, index):
    array, of_file = stored
    assert isinstance(of_file, archives.FileArray)
    np.testing.assert_array_equal(of_file[index], array[index])
    assert of_file[index].dtype == array.dtype


def test_views_of_a_stored_array_are_read_from_the_file_too(stored):
    array, of_file = stored
    flat, expected = of_file.reshape(-1, order="A"), array.reshape(-1, order="A")
    np.testing.assert_array_equal(flat[100:300], expected[100:300])
    np.testing.assert_array_equal(of_file[5:20].mean(axis=0), array[5:20].mean(axis=0))
    np.testing.assert_array_equal(of_file.T, array.T)
    with pytest.raises(IndexError):
        of_file[50]


def test_an_archive_that_is_cut_short_while_it_is_read_is_told_and_ends_nothing(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.ones((60, 96, 96, 3), np.uint8))
    images = read(tmp_path / "d.npz")
    images.images[59]
    with (tmp_path / "d.npz").open("r+b") as file:
        file.truncate(1 << 20)
    images.images[30]
    with pytest.raises(DataError, match=r"d\.npz was cut short while it was read\. Save it whole"):
        images.images[59]


def test_large_labels_are_read_at_once_and_not_mapped(tmp_path):
    np.savez(tmp_path / "d.npz", labels=np.arange(200_000))
    labels = archives.Archive(tmp_path / "d.npz").array("labels")
    assert type(labels) is np.ndarray
    np.testing.assert_array_equal(labels, np.arange(200_000))


def test_large_stored_arrays_are_mapped_and_never_loaded(tmp_path, saved):
    images = read(saved(tmp_path, images=np.zeros((200, 96, 96, 3), np.uint8)))
    base = images.images.arrays[0]  # type: ignore[attr-defined]
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_an_array_that_is_packed_as_no_pictures_are_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HELD_IN_MEMORY", 1 << 16)
    np.savez_compressed(tmp_path / "d.npz", images=np.zeros((64, 96, 96, 3), np.uint8))
    with pytest.raises(DataError, match=r"images takes .* MB and would be .* GB once unpacked, more than 200 times"):
        read(tmp_path / "d.npz")
    np.savez(tmp_path / "d.npz", images=np.zeros((64, 96, 96, 3), np.uint8))
    assert len(read(tmp_path / "d.npz")) == 64


def test_no_more_is_unpacked_than_the_disk_has_room_for(tmp_path, pets, monkeypatch):
    np.savez_compressed(tmp_path / "d.npz", images=pets)
    monkeypatch.setattr(archives, "HELD_IN_MEMORY", 0)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: Usage(9, 9, 0))
    with pytest.raises(
        OutputError, match=r"cannot decompress images of .* GB\) into .*: 0\.0 GB are free\. Set TMPDIR"
    ):
        read(tmp_path / "d.npz")
