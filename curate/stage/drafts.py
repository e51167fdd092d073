"""The folder that a stage is made in: locked, kept when it is interrupted, put in place in one step when it is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import DataError, OutputError
from .files import put_in_place, refusals

_SUFFIX = ".partial"


def draft_path(path: Path) -> Path:
    """The folder beside `path` in which it is made.

    >>> draft_path(Path("artifacts/built")).name
    'built.partial'
    """
    return path.with_name(path.name + _SUFFIX)


def final_path(draft: Path) -> Path:
    """The folder that a draft is to become; any other path as it is.

    >>> final_path(Path("artifacts/built.partial")).name
    'built'
    """
    return draft.with_name(draft.name.removesuffix(_SUFFIX))


@contextmanager
def draft_of(path: Path, resume: bool, stage: str = "build") -> Iterator[Path]:
    """A folder beside `path` to work in, which takes the place of `path` at the end.

    At an error it stays, for `resume`, unless nothing is in it.

    Without `resume`, what was interrupted there is removed first. Raises DataError where another `stage` is under
    way, OutputError where nothing can be written.
    """
    draft = draft_path(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"cannot write {path}: a file is in the way. Move it, or write elsewhere (--artifacts DIR).")
    first = not path.parent.exists()
    with refusals(draft, draft):
        draft.mkdir(parents=True, exist_ok=True)
    with _locked(draft, stage) as lock:
        if not resume:
            with refusals(draft, draft):
                for child in draft.iterdir():
                    if child != lock:
                        shutil.rmtree(child) if child.is_dir() else child.unlink()
        try:
            yield draft
        except BaseException:
            if list(draft.iterdir()) == [lock]:
                shutil.rmtree(draft, ignore_errors=True)
                if first:
                    with suppress(OSError):  # somebody else has put something there
                        path.parent.rmdir()
            raise
        lock.unlink()
        _swap(draft, path)


@contextmanager
def _locked(draft: Path, stage: str) -> Iterator[Path]:
    """The path of a file in the folder that nobody else holds. Raises DataError where one does."""
    path = draft / ".lock"
    with refusals(draft, draft):
        file = path.open("w")
    with file:
        _lock_draft(file, draft, stage)
        yield path


def _lock_draft(file: IO[str], draft: Path, stage: str) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DataError(f"another {stage} is writing to {draft}. Wait for it, or give --artifacts DIR.") from None


def _swap(draft: Path, path: Path) -> None:
    """Put the finished folder in its place; what was there before goes last."""
    old = path.with_name(f"{path.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)  # of a power cut
        put_in_place(draft, path, old)
    except OSError as error:
        raise OutputError(f"cannot move the result to {path}: {error.strerror}. The result is in {draft}.") from error
