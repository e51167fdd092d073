import os
from pathlib import Path

import pytest

from curate.measuring.storage import cache_folder


@pytest.fixture(autouse=True)
def forgotten():
    cache_folder.cache_clear()
    yield
    cache_folder.cache_clear()


def test_the_cache_is_where_the_system_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache" / "trustset"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("given", [None, ""])
def test_the_cache_is_in_the_home_folder_where_the_system_says_nothing(tmp_path, monkeypatch, given):
    if given is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "trustset"


def test_where_no_folder_can_be_made_a_temporary_one_serves(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.parent == tmp_path
    assert os.access(folder, os.W_OK)
    assert cache_folder() == folder


def test_where_the_folder_cannot_be_written_a_temporary_one_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache_folder().parent == tmp_path
