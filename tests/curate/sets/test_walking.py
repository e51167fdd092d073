from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.sets.walking import find_files
from curate.stage.errors import DataError
from curate.stage.lines import counted


def test_images_and_tables_are_found_and_the_rest_is_counted(tmp_path, files):
    files(tmp_path, "b/2.png", "a/1.jpg", ".hidden/3.png", "a/.4.png", "a/..more/b/5.png")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"x")
    for name in ("labels.csv", "a/metadata.jsonl", "b/notes.docx", "b/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    found = find_files(tmp_path)
    assert found.images == ["a/1.jpg", "b/2.png"]
    assert found.tables == ["a/metadata.jsonl", "labels.csv"]
    assert found.left_out() == [
        "1 file hidden by a leading dot skipped (a/.4.png)",
        "2 files in 2 folders hidden by a leading dot skipped (.hidden, a/..more)",
        "1 file without an image's extension skipped (.docx 1)",
    ]


def test_links_to_themselves_and_to_nothing_do_not_end_the_search(tmp_path, files):
    files(tmp_path, "cat/1.png")
    for name in ("itself", "cat/itself.png", "cat/around"):
        (tmp_path / name).symlink_to(Path(name).name)
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "cat" / "gone").symlink_to("nowhere")
    found = find_files(tmp_path)
    # What is called like an image is told of when it is decoded.
    assert found.images == ["cat/1.png", "cat/itself.png"]
    assert found.left_out() == ["3 entries that lead to no file or folder left out (cat/around, cat/gone, itself)"]


def test_a_folder_that_cannot_be_read_is_told_of_and_the_others_are_read(tmp_path, files, monkeypatch):
    files(tmp_path, "cat/1.png", "dog/2.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_files(tmp_path)
    assert found.images == ["cat/1.png"]
    assert found.left_out() == ["1 folder that cannot be read left out (dog: Permission denied)"]
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_files(tmp_path / "dog")


def test_a_pipe_called_like_an_image_is_told_of(tmp_path, files):
    files(tmp_path, "cat/1.png")
    os.mkfifo(tmp_path / "cat" / "pipe")
    assert find_files(tmp_path).left_out() == ["1 entry that leads to no file or folder left out (cat/pipe)"]


def test_counts_are_spoken():
    assert [counted(1, "entry"), counted(2, "entry"), counted(1200, "file")] == ["1 entry", "2 entries", "1,200 files"]
