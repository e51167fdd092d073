"""The pictures of a scan, found again in its source without listing or decoding it first."""

# Paths are plain strings, as in the sets that they come from.
# ruff: noqa: PTH110, PTH118

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Generic, Protocol, TypeVar

import numpy as np

from ..scans import ScanManifest, Scanned, directed
from ..sets.decoding import decode, decode_small
from ..sets.directions import Reading
from ..sets.files import listed_files
from ..sets.imageset import ImageSet, Unreadable
from ..sets.paths import printable
from ..sets.reading import read_as
from ..sets.scaling import Decoding
from ..sets.shards import is_sharded
from ..sets.sheets import SHEET_SUFFIXES, SPREADSHEETS
from ..sets.walking import find_files
from ..stage.errors import DataError

T = TypeVar("T")
PATIENCE = 20.0  # seconds that a request waits for what is made in the background


class Missing(DataError):
    """What is asked for is not there, or not there any more."""


class Unready(DataError):
    """What is asked for takes longer to make than a request waits."""


class Later(Generic[T]):
    """What is made in the background. Whatever keeps it from being made is raised where it is taken.

    after  seconds before it is begun, unless it is asked for before: what else is under way comes first
    """

    def __init__(self, make: Callable[[], T], purpose: str, after: float = 0) -> None:
        self._future: Future[T] = Future()
        self._purpose = purpose
        self._asked = Event()
        Thread(target=self._run, args=(make, after), daemon=True).start()

    def _run(self, make: Callable[[], T], after: float) -> None:
        self._asked.wait(after)
        try:
            self._future.set_result(make())
        except BaseException as error:
            self._future.set_exception(error)

    def take(self, patience: float = PATIENCE) -> T:
        """What was made. Raises Unready where it is not, after so many seconds."""
        self._asked.set()
        try:
            return self._future.result(patience)
        except TooLate:
            raise Unready(f"{self._purpose} is still under way; ask again in a while.") from None


class SourcePictures(Protocol):
    """The pictures of a scan's rows, as they lie in its source now; any number of threads may read at once."""

    def file(self, row: int) -> str | None:
        """The file of a row, None where it has none of its own. Raises Missing."""

    def pixels(self, row: int, side: int | None = None) -> np.ndarray:
        """uint8 (H, W, 3): a row as the scan reads it, or smaller, but not below `side`. Raises Missing, Unreadable."""


def pictures_of(scan: Scanned) -> SourcePictures:
    """The pictures of a finished scan. Nothing of them is read before it is asked for, or in the background."""
    source, ids = Path(scan.manifest.source), scan.table["id"].tolist()
    reading = directed(scan.manifest, source, None)
    if source.suffix.lower() in (".txt", *SHEET_SUFFIXES, *SPREADSHEETS) and not source.is_dir():
        lines = Later(partial(_listed, source, reading), f"reading {source}")
        return _Files(ids, lambda name: _on_list(lines.take(), source, name), reading.decoding)
    if source.suffix.lower() in (".npz", ".npy") or (source.is_dir() and is_sharded(source)):
        return _Rows(scan.manifest, ids, reading)
    folder = _Folder(source)
    return _Files(ids, folder.file, reading.decoding)


class _Files:
    """Pictures that are files of their own: `find` tells the file of an id."""

    def __init__(self, ids: Sequence[str], find: Callable[[str], str], decoding: Decoding) -> None:
        self._ids, self._find, self._decoding = ids, find, decoding

    def file(self, row: int) -> str | None:
        path = self._find(self._ids[row])
        if not os.path.exists(path):
            raise Missing(f"{printable(path)} is not where it was scanned. Put it back, or scan the set anew.")
        return path

    def pixels(self, row: int, side: int | None = None) -> np.ndarray:
        path = self.file(row)
        assert path is not None
        if side is None:
            return decode(path, self._decoding).pixels
        return decode_small(path, side, self._decoding)


class _Folder:
    """The files below a folder, whose paths are their ids but for bytes that no text holds."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._odd: Later[dict[str, str]] | None = None

    def file(self, name: str) -> str:
        if not self._root.is_dir():
            raise Missing(f"{self._root} is not where it was scanned. Put it back, or scan it where it is now.")
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name:  # of a table that no scan wrote
            raise Missing(f"{name} is no path below {self._root}.")
        path = os.path.join(self._root, *parts)
        if "\\x" in name and not os.path.exists(path):
            self._odd = self._odd or Later(self._named_oddly, f"listing {self._root}")
            return os.path.join(self._root, self._odd.take().get(name, name))
        return path

    def _named_oddly(self) -> dict[str, str]:
        return {printable(name): name for name in find_files(self._root).images if printable(name) != name}


def _listed(source: Path, reading: Reading) -> dict[str, str]:
    if not source.exists():
        raise Missing(f"{source} is not where it was scanned. Put it back, or scan it where it is now.")
    try:
        return listed_files(source, reading)
    except DataError as error:
        raise Missing(str(error)) from error


def _on_list(files: dict[str, str], source: Path, name: str) -> str:
    if name not in files:
        raise Missing(f"{source} names {name} no longer. Scan it again.")
    return files[name]


class _Rows:
    """Pictures that are the rows of an archive, or of a built set."""

    def __init__(self, manifest: ScanManifest, ids: Sequence[str], reading: Reading) -> None:
        source = Path(manifest.source)
        self._images = Later(partial(_read_rows, source, reading, tuple(ids)), f"reading {source}")

    def file(self, row: int) -> str | None:
        return None

    def pixels(self, row: int, side: int | None = None) -> np.ndarray:
        images = self._images.take()
        try:
            return images.images[row].pixels
        except Unreadable:
            raise
        except DataError as error:  # it was cut short
            raise Missing(str(error)) from error


def _read_rows(source: Path, reading: Reading, ids: tuple[str, ...]) -> ImageSet:
    if not source.exists():
        raise Missing(f"{source} is not where it was scanned. Put it back, or scan it where it is now.")
    try:
        images = read_as(source, reading)
    except DataError as error:
        raise Missing(str(error)) from error
    if images.ids != ids:
        raise Missing(f"{source} holds other images than when it was scanned. Scan it again.")
    return images
