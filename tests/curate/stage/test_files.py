from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.stage import files
from curate.stage.errors import DataError, OutputError
from curate.stage.files import (
    Streamed,
    check_writable,
    drafting,
    put_in_place,
    replacing,
    write_array,
    write_npy,
    write_npz,
    write_parquet,
    write_text,
)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# One file


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text("old", path)
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, DataError, OutputError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text("old", path)
    with pytest.raises(error), replacing(path) as file:
        raise error(file.write(b"new"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_text("x", tmp_path / "a.txt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EACCES, "no permission to write there"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_told_with_what_to_do(tmp_path, monkeypatch, code, reason):
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=rf"cannot write .*a\.txt: .*{reason}"):
        write_text("x", tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_whether_a_file_can_be_written_is_known_before_and_leaves_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    check_writable(tmp_path / "a.txt")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_writable(tmp_path / "a.txt" / "b.txt")


def test_paths_that_cannot_be_are_told(tmp_path):
    write_text("x", tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_text("x", tmp_path / "file" / "a.txt")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_text("x", tmp_path / "file" / "deep" / "a.txt")
    with pytest.raises(OutputError, match="there is a folder of that name"):
        write_text("x", tmp_path / "folder")
    with pytest.raises(OutputError, match="too long"):
        write_text("x", tmp_path / ("x" * 300))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_of_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_text()


# Remnants of writers that were killed

# Writes half of the file whose path it is given, says so, and waits for its end.
WRITER = """
import sys, time
from pathlib import Path
from curate.stage.files import {maker}
with {maker}(Path(sys.argv[1])) as draft:
    (draft.write(b"half"), draft.flush()) if "{maker}" == "replacing" else (draft.mkdir(), (draft / "a").touch())
    print("written", flush=True)
    time.sleep(60)
"""


@contextmanager
def half_written(path: Path, maker: str):
    """A process that is busy writing there."""
    command = [sys.executable, "-c", WRITER.format(maker=maker), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as writer:
        try:
            assert writer.stdout.readline() == "written\n"
            yield writer
        finally:
            writer.kill()


@pytest.mark.parametrize("maker", ["replacing", "drafting"])
def test_the_draft_of_a_killed_writer_goes_when_the_next_one_comes(tmp_path, maker):
    path = tmp_path / "a.txt"
    with half_written(path, maker) as writer:
        writer.kill()
    assert len(list(tmp_path.iterdir())) == 1
    write_text("x", path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("maker", ["replacing", "drafting"])
def test_the_draft_of_a_living_writer_stays(tmp_path, maker):
    path = tmp_path / "a.txt"
    with half_written(path, maker):
        write_text("x", path)
        assert len(list(tmp_path.iterdir())) == 2


def test_only_drafts_of_the_same_name_go(tmp_path):
    others = [".b.txt.0123456789ab.tmp", ".a.txt.tmp", ".a.txt.b.0123456789ab.tmp", ".a.txt.0123456789abc.tmp", "a.tmp"]
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".a.txt.0123456789ab.tmp").write_text("half")
    (tmp_path / ".a.txt.ba9876543210.tmp").symlink_to(tmp_path / "a.tmp")  # no draft is a link
    write_text("x", tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "a.txt", ".a.txt.ba9876543210.tmp"])


# Tables and arrays


def test_equal_tables_have_equal_bytes_and_no_index(tmp_path):
    frame = pd.DataFrame({"row": [1, 2], "id": ["ä", "b"], "score": np.array([0.5, np.nan], np.float32)}, index=[7, 9])
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(frame.copy(), tmp_path / "b.parquet")
    assert digest(tmp_path / "a.parquet") == digest(tmp_path / "b.parquet")
    back = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(back, frame.reset_index(drop=True))


def test_an_empty_table_keeps_its_types(tmp_path):
    frame = pd.DataFrame({"row": [], "id": []}).astype({"row": "int64", "id": "str"})
    write_parquet(frame, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame, check_index_type=False)


@given(
    hnp.arrays(
        st.sampled_from(["u1", ">u2", "f2", "f8", "?", "U3", "S2"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
    ),
    st.sampled_from("CF"),
)
@settings(deadline=None, max_examples=50)
def test_an_array_comes_back_as_it_was_written(array, order):
    array = np.asarray(array, order=order)
    with tempfile.TemporaryDirectory() as folder:
        write_npy(array, Path(folder, "a.npy"))
        np.save(Path(folder, "b.npy"), array)
        back = np.load(Path(folder, "a.npy"))
        np.testing.assert_array_equal(back, array)
        assert (back.dtype, back.flags.f_contiguous) == (array.dtype, array.flags.f_contiguous)
        assert digest(Path(folder, "a.npy")) == digest(Path(folder, "b.npy"))


# Archives


def test_an_archive_has_the_same_bytes_each_time_and_can_be_mapped(tmp_path):
    arrays = {"images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "labels": np.array([1, 0]), "mean": np.array(3)}
    for name in ("one", "two"):
        write_npz(arrays, tmp_path / f"{name}.npz")
    assert digest(tmp_path / "one.npz") == digest(tmp_path / "two.npz")
    with np.load(tmp_path / "one.npz") as back:
        assert back.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)
            assert back[name].dtype == array.dtype
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_an_array_that_is_streamed_is_written_as_the_whole_one_would_be(tmp_path):
    whole = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    write_npz({"x": whole}, tmp_path / "whole.npz")
    pieces = (entry.astype(np.float64) for entry in whole)  # of another type, and never all at once
    write_npz({"x": Streamed(whole.shape, whole.dtype, pieces)}, tmp_path / "streamed.npz")
    assert digest(tmp_path / "streamed.npz") == digest(tmp_path / "whole.npz")


@pytest.mark.parametrize("order", ["C", "F"])
def test_some_entries_of_an_array_are_written_piece_by_piece(order, monkeypatch):
    monkeypatch.setattr("curate.stage.files._PIECE", 64)
    array = np.asarray(np.arange(7 * 5 * 3, dtype=">u2").reshape(7, 5, 3), order=order)
    kept = np.array([0, 2, 3, 6])
    stream = io.BytesIO()
    write_array(stream, array, order == "F", kept)
    stream.seek(0)
    back = np.load(stream)
    np.testing.assert_array_equal(back, array[kept])
    assert (back.dtype, back.flags.f_contiguous) == (array.dtype, order == "F")


# Folders


def test_a_folder_takes_its_place_whole(tmp_path):
    path = tmp_path / "new" / "folder"
    for content in ("first", "second"):
        with drafting(path) as draft:
            assert not draft.exists()
            draft.mkdir()
            (draft / f"{content}.txt").write_text(content)
            assert not (path / f"{content}.txt").exists()
        assert [file.name for file in path.iterdir()] == [f"{content}.txt"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").write_text("old")

    def fails(draft: Path) -> None:
        draft.mkdir()
        (draft / "new.txt").write_text("new")
        raise error

    with pytest.raises(error), drafting(path) as draft:
        fails(draft)
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "old.txt").read_text() == "old"


def test_a_file_within_a_draft_that_cannot_be_written_is_told_by_its_place_in_the_end(tmp_path):
    path = tmp_path / "folder"

    def fails(draft: Path) -> None:
        (draft / "inner").mkdir(parents=True)
        write_text("x", draft / "inner")

    with pytest.raises(OutputError) as caught, drafting(path) as draft:
        fails(draft)
    assert f"cannot write {path / 'inner'}: there is a folder of that name" in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_put_in_place_leaves_everything_as_it_was(tmp_path, monkeypatch):
    path, aside = tmp_path / "folder", tmp_path / "aside"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "gone", path, aside)
    monkeypatch.setattr(files, "_exchange", lambda draft, path: False)
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "gone", path, aside)
    assert (path / "old.txt").read_text() == "old"
    assert not aside.exists()


def test_a_file_takes_the_place_of_a_folder_and_of_a_file(tmp_path):
    path = tmp_path / "there"
    path.mkdir()
    (path / "old.txt").write_text("old")
    for content in ("first", "second"):
        (tmp_path / "made").write_text(content)
        put_in_place(tmp_path / "made", path, tmp_path / "aside")
        assert path.read_text() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_way_is_called_by_its_name(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(
        OutputError, match=rf"^{tmp_path}/a is a file, not a folder\. Rename that file, or write elsewhere"
    ):
        write_text("x", tmp_path / "a" / "b" / ".hidden")


def test_halves_of_characters_are_written_as_escapes(tmp_path):
    write_text("a\ud800b\udcff", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"a\\ud800b\\udcff"
