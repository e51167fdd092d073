from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.stage.errors import DataError, OutputError
from curate.stage.files import replacing, write_npy, write_parquet, write_text


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


def test_paths_that_cannot_be_are_told(tmp_path):
    write_text("x", tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="part of that path is a file"):
        write_text("x", tmp_path / "file" / "a.txt")
    with pytest.raises(OutputError, match="part of that path is a file"):
        write_text("x", tmp_path / "file" / "deep" / "a.txt")
    with pytest.raises(OutputError, match="there is a folder of that name"):
        write_text("x", tmp_path / "folder")
    with pytest.raises(OutputError, match="too long"):
        write_text("x", tmp_path / ("x" * 300))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_of_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_text()


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
