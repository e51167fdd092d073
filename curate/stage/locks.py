"""Locks on files and folders: each ends with the process that holds it, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WAITING = "waiting for another command, which is at work in {folder}"


def lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Take the lock of an open file or folder; whether it is held now, None where the system knows no locks.

    shared  by any number of readers at once;  wait  until whoever holds it lets go
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file or folder is still what lies at its path: another process may have removed it."""
    try:
        at_path = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(at_path, os.fstat(descriptor))


@contextmanager
def holding(folder: Path, *, shared: bool = False, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Keep a folder for this process, so that what lies in it belongs together; waits for others, and says so.

    Who reads shares it, who replaces several files has it alone. A folder that is not there is nobody's.

    >>> with holding(Path("no such folder")):
    ...     pass
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        if lock(descriptor, shared=shared) is False:
            say(_WAITING.format(folder=folder))
            lock(descriptor, shared=shared, wait=True)
        yield
    finally:
        os.close(descriptor)
