"""How long work tells how far it has come; silent unless a caller listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Whoever shows progress: the terminal, a test, nobody."""

    def stage(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """Open a stage of `total` steps, None where nobody can count them; what is yielded is called with those done.

        It may be opened within another.
        """

    def say(self, line: str) -> None:
        """Tell one line at once."""


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        yield lambda done: None

    def say(self, line: str) -> None:
        return None


class Stopwatch:
    """Seconds of each stage, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
