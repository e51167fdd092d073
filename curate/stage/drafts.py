"""The folder that a stage is made in: locked, kept when it is interrupted, put in place in one step when it is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .errors import DataError, OutputError
from .files import put_in_place, refusals, remove, sweep_below
from .locks import is_at, lock

_SUFFIX = ".partial"
# In a draft that is under way, or was interrupted: what has none was finished, and left by a crash after that.
_MARK = ".lock"


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
    way, OutputError where nothing can be written or a link is in the way.
    """
    draft, first = _checked_draft(path), not path.parent.exists()
    with _claimed(draft, stage) as interrupted:
        _recover(path)
        if resume and interrupted:
            _refuse_links(draft)
            sweep_below(draft)
        else:
            empty(draft)
        try:
            yield draft
        except BaseException:
            if [child.name for child in draft.iterdir()] == [_MARK]:
                _remove_draft(draft, first)
            raise
        sweep_below(draft)
        _swap(draft, path)


@contextmanager
def scratch_of(path: Path, stage: str) -> Iterator[Path]:
    """An empty folder beside `path` to work in, which one process has for itself, and which goes at the end.

    Raises as `draft_of`.
    """
    draft, first = draft_path(path), not path.parent.exists()
    _refuse_link(draft)
    with _claimed(draft, stage):
        empty(draft)
        try:
            yield draft
        except BaseException:
            _remove_draft(draft, first)
            raise
        _remove_draft(draft, first=False)


def interrupted_draft(path: Path) -> Path | None:
    """The draft of `path` where one was interrupted, or is under way; None where there is none."""
    draft = draft_path(path)
    return draft if (draft / _MARK).exists() else None


def _checked_draft(path: Path) -> Path:
    """Where the draft of a folder is to be. Raises OutputError where a link or a file is in the way."""
    _refuse_link(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"cannot write {path}: a file is in the way. Move it, or write elsewhere (--artifacts DIR).")
    draft = draft_path(path)
    _refuse_link(draft)
    return draft


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise OutputError(
            f"{path} is a link to {path.readlink()}, and no folder is emptied or replaced through a link. Remove it, "
            "or write elsewhere (--artifacts DIR)."
        )


def _refuse_links(draft: Path) -> None:
    """Raise OutputError where a draft that was begun before holds a link: what is in it was never made here."""
    links = [path for path in draft.rglob("*") if path.is_symlink()]
    if links:
        raise OutputError(f"{links[0]} is a link, through which nothing is written. Leave out --resume to start over.")


@contextmanager
def _claimed(draft: Path, stage: str) -> Iterator[bool]:
    """Hold a draft's folder, made where it is missing; whether one was interrupted there.

    Raises DataError where another process holds it, OutputError where it cannot be made.
    """
    while True:
        with refusals(draft, draft):
            draft.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:  # its holder has just put it in its place
                continue
        try:
            if lock(descriptor) is False:
                raise DataError(f"another {stage} is writing to {draft}. Wait for it, or give --artifacts DIR.")
            if is_at(draft, descriptor):
                interrupted = (draft / _MARK).exists()
                with refusals(draft, draft):
                    os.close(os.open(draft / _MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666))
                yield interrupted
                return
        finally:
            os.close(descriptor)


def empty(draft: Path) -> None:
    """Remove what is in a draft. Raises OutputError."""
    with refusals(draft, draft):
        for child in draft.iterdir():
            if child.name != _MARK:
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def _remove_draft(draft: Path, first: bool) -> None:
    """Remove a draft, and the folder that it lies in where that was made for it."""
    remove(draft)
    if first:
        with suppress(OSError):  # somebody else has put something there
            draft.parent.rmdir()


def _aside(path: Path) -> Path:
    """Where what was there before goes."""
    return path.with_name(f".{path.name}.old")


def _recover(path: Path) -> None:
    """Tidy up what a crash between two steps of a swap has left; what has not been replaced yet is put back."""
    with refusals(path, path):
        if _aside(path).exists() and not path.exists():
            _aside(path).replace(path)
    remove(_aside(path))


def _swap(draft: Path, path: Path) -> None:
    """Put the finished folder in its place; what was there before goes last."""
    with ExitStack() as held:
        if path.is_dir():  # for a moment it is where the draft was, and nobody's to begin in
            before = os.open(path, os.O_RDONLY)
            held.callback(os.close, before)
            lock(before, wait=True)
        try:
            (draft / _MARK).unlink()
            put_in_place(draft, path, _aside(path))
        except OSError as error:
            raise OutputError(
                f"cannot move the result to {path}: {error.strerror}. The result is in {draft}."
            ) from error
