"""Names and paths of files as tables and lists write them, on this system or another."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH110, PTH111, PTH118

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .sheets import western

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_PLAIN = re.compile(r"(?:\w[\w.-]*/)*\w[\w.-]*")  # most are, and need no second look
_DRIVE = re.compile(r"[a-z]:(?=[\\/])", re.IGNORECASE)


def printable(name: str) -> str:
    """A name as text that any table can hold: bytes that are no UTF-8 as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace") if not name.isascii() else name


def folded(name: str) -> str:
    """A name whatever its capitals, and however its accents are encoded."""
    return unicodedata.normalize("NFC", name).casefold()


def base_of(entry: str) -> str:
    """The last part of a path as any system writes it, without spaces around.

    >>> base_of("C:\\\\new\\\\a.png "), base_of("x/b")
    ('a.png', 'b')
    """
    return re.split(r"[\\/]", entry.strip())[-1]


def entry_path(text: str) -> str:
    """A path as another system or program writes it, with "/", below whatever root there is.

    >>> entry_path("C:\\\\pictures\\\\a b.png"), entry_path("file:///tmp/a%20b.png"), entry_path("~/x/../a.png")
    ('pictures/a b.png', 'tmp/a b.png', 'a.png')
    """
    if _PLAIN.fullmatch(text):
        return text
    text = text.strip().strip("'\"").strip()
    if _ADDRESS.match(text):
        address = urlsplit(text)
        text = unquote(address.path)
    text = _DRIVE.sub("", text).replace("\\", "/").removeprefix("~")
    path = os.path.normpath(text.lstrip("/") or ".").replace(os.sep, "/")
    while path.startswith("../"):
        path = path[3:]
    return path


def is_foreign(text: str) -> bool:
    """Whether a path is written for another system, or as an address."""
    return bool(_ADDRESS.match(text) or _DRIVE.match(text) or "\\" in text or text.startswith("~"))


def local_paths(folder: Path, entries: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the entries of a list as paths from its folder; notes on those that were written for another place)."""

    def there(path: str) -> bool:
        return os.path.exists(os.path.join(folder, path))

    lost = not any(there(entry) for entry in entries if not is_foreign(entry))
    paths, moved = [], []
    for entry in entries:
        path = entry
        if (lost or is_foreign(entry)) and not there(entry):
            path = _elsewhere(folder, entry)
            if path != entry and there(path):
                moved.append(entry)
        paths.append(path)
    notes = []
    if moved:
        notes.append(f"paths of another place, found below {folder}: {len(moved):,}, such as {printable(moved[0])}")
    return paths, notes


def _elsewhere(folder: Path, entry: str) -> str:
    """Where a file lies that a list names for another place: the longest end of its path that is there."""
    for text in dict.fromkeys((entry, western(entry))):
        path = entry_path(text)
        home = os.path.expanduser(text.strip()) if text.strip().startswith("~") else f"/{path}"
        parts = path.split("/")
        for candidate in (home, *("/".join(parts[start:]) for start in range(len(parts)))):
            if os.path.exists(os.path.join(folder, candidate)):
                return candidate
    return entry if not is_foreign(entry) else entry_path(entry)
