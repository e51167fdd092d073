from __future__ import annotations

import os

import pytest

from curate.sets.paths import base_of, entry_path, folded, is_foreign, local_paths, printable


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("a/b.png", "a/b.png"),
        (" a/b.png ", "a/b.png"),
        ("./a/../b.png", "b.png"),
        ("../../b.png", "b.png"),
        ("/data/a/b.png", "data/a/b.png"),
        ("C:\\Users\\x\\b c.png", "Users/x/b c.png"),
        ("d:/a/b.png", "a/b.png"),
        ("\\\\server\\share\\b.png", "server/share/b.png"),
        ("a\\b.png", "a/b.png"),
        ("~/a/b.png", "a/b.png"),
        ("file:///data/a%20b.png", "data/a b.png"),
        ("https://example.org/a/b.png?size=2#x", "a/b.png"),
        ("s3://bucket/a/b.png", "a/b.png"),
        ("", "."),
    ],
)
def test_a_path_of_any_system_is_a_path_below_some_root(entry, path):
    assert entry_path(entry) == path


def test_what_is_written_for_another_system_is_recognised():
    assert all(
        map(is_foreign, ("C:\\a.png", "c:/a.png", "a\\b.png", "~/a.png", "file:///a.png", "https://x.org/a.png"))
    )
    assert not any(map(is_foreign, ("a.png", "/a/b.png", "../a.png", "a:b.png")))


def test_names_are_compared_whatever_their_capitals_and_accents():
    assert folded("CAF\u00c9.PNG") == folded("cafe\u0301.png")
    assert base_of("x\\y/a.png ") == "a.png"


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_names_of_any_bytes_are_printed():
    assert printable(os.fsdecode(b"caf\xe9.png")) == "caf\\xe9.png"


def test_paths_of_a_list_that_are_there_stay_as_they_are(tmp_path, files):
    files(tmp_path, "a.png", "x/b.png")
    entries = ["a.png", "gone.png", str(tmp_path / "x" / "b.png")]
    assert local_paths(tmp_path, entries) == (entries, [])


@pytest.mark.parametrize(
    "place", ["/home/me/set/", "https://example.org/", "file:///home/me/", "C:\\me\\", "~/set/", "../old/"]
)
def test_paths_of_another_place_are_found_by_their_end(tmp_path, files, place):
    files(tmp_path, "cat/1.png", "dog/1.png")
    ends = ["cat/1.png", "dog/1.png"]
    entries = [place + (end.replace("/", "\\") if "\\" in place else end) for end in ends]
    paths, notes = local_paths(tmp_path, entries)
    assert paths == ends
    assert notes == [f"paths of another place, found below {tmp_path}: 2, such as {entries[0]}"]


def test_an_address_of_a_file_that_is_there_is_that_file(tmp_path, files):
    files(tmp_path / "set", "a b.png")
    path = tmp_path / "set" / "a b.png"
    assert local_paths(tmp_path, [path.as_uri()])[0] == [str(path)]
