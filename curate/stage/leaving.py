"""The end of a program without taking down its memory piece by piece, which after a scan takes the better part of a
second: once Python's own farewells are said, the system gets all of it back at once."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Exit status of the program, once it has one; a traceback leaves it empty, and the end is Python's then.
_status: list[int] = []


@contextmanager
def leaving() -> Iterator[None]:
    """Around all that a program does: its exit status is noted, for the end of the process."""
    try:
        yield
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _status.append(end.code or 0)
        raise
    _status.append(0)


def _leave() -> None:
    """End the process with the status that was noted, where there is one and all that was printed has gone out."""
    if not _status:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # whoever was reading has gone: Python has its own way to end
        return
    os._exit(_status[-1] & 0xFF)


# Registered before all others, and so called after them: threads have ended by then, temporary folders are gone.
atexit.register(_leave)
