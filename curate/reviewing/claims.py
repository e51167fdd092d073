"""One review of a scan at a time: a locked file tells where it is, and goes with the process that holds it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from ..stage.errors import DataError, OutputError
from ..stage.locks import is_at, lock

FILE = ".review"  # beside the scan, readable by its owner alone: it holds the token


class Claim:
    """That this process reviews the scan in a folder of artifacts, until it is released.

    Raises DataError with the address of the review that is under way already, OutputError where nothing can be written.
    A file that a killed process has left is no obstacle.
    """

    def __init__(self, artifacts: Path) -> None:
        self._path = artifacts / FILE
        self._file = self._claimed()

    def tell(self, address: str) -> None:
        """Let others know where the review is."""
        text = json.dumps({"address": address, "process": os.getpid()}) + "\n"
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode("ascii"), 0)

    def release(self) -> None:
        """Leave the scan to others. Once is enough."""
        if self._file >= 0:
            with suppress(OSError):  # removed by somebody else, folder and all
                self._path.unlink()
            os.close(self._file)
            self._file = -1

    def _claimed(self) -> int:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            except OSError as error:
                raise OutputError(f"cannot write {self._path}: {error.strerror}.") from error
            if lock(file) is False:
                try:
                    raise DataError(_taken(os.read(file, 4096)))
                finally:
                    os.close(file)
            if is_at(self._path, file):  # and was not removed by who held it before
                return file
            os.close(file)


def _taken(text: bytes) -> str:
    """What to tell who comes second."""
    try:
        other = json.loads(text)
        return (
            f"this scan is being reviewed already, at {other['address']} Open that, or end it with Ctrl-C where it "
            f"runs (process {other['process']})."
        )
    except (ValueError, KeyError, TypeError):  # it has not come that far yet
        return "this scan is being reviewed already: another `curate review` is just starting."
