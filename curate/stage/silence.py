"""Silence: what libraries write to the terminal from below Python is not shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence() -> Iterator[None]:
    """Nothing that is written within to file descriptor 2 is seen; what goes wrong is raised all the same.

    Compiled libraries write there themselves, and no setting of Python's or of theirs stops all of it.

    >>> with silence():
    ...     _ = os.write(2, b"is there a GPU?")
    """
    sys.stderr.flush()
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
