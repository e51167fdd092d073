"""How far work has come, as one line of a screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .lines import shortened

BAR = "━"
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SURE = 1.0  # second, before which nothing is numbers of a rate or of the time left
_NAME, _SHORTEST, _LONGEST = 24, 6, 28  # cells of the name and of the bar
_FEWEST = 8  # of a shortened name


@dataclass
class Work:
    """A piece of work under way.

    total  of its steps, None where nobody knows;  unit  what they are: "images", "steps"
    clock  seconds, from any beginning
    """

    name: str
    total: int | None
    unit: str
    clock: Callable[[], float] = time.monotonic
    steps: int = 0
    _began: float = field(init=False)
    _skipped: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def advance(self, steps: int) -> None:
        """So many steps are done, counted from the beginning."""
        if not self.steps and self.seconds < 0.05:
            self._skipped = steps  # they were done before: they tell nothing of how fast the others are
        self.steps = steps

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.clock() - self._began

    @property
    def rate(self) -> float | None:
        """Steps in a second, None while that cannot be told."""
        own = self.steps - self._skipped
        return own / self.seconds if own > 0 and self.seconds >= _SURE else None

    @property
    def left(self) -> float | None:
        """Seconds that are left, None while that cannot be told."""
        rate = self.rate
        return (self.total - self.steps) / rate if rate and self.total and self.unit != "steps" else None

    @property
    def count(self) -> str:
        """ "1,024/2,904"."""
        return "" if self.total is None else f"{self.steps:,}/{self.total:,}"

    @property
    def time(self) -> str:
        """ "12 s left", or how long it has taken."""
        ended = self.total is not None and self.steps >= self.total
        left = None if ended else self.left
        if left is not None:
            return f"{in_words(left)} left"
        return in_words(self.seconds) if self.seconds >= _SURE else ""

    def in_words(self) -> str:
        """A line of a log: "measuring: 1,024/2,904 images, 12 s left"."""
        count = f"{self.count} {self.unit}" if self.count else ""
        return f"  {self.name}: {', '.join(filter(None, (count, self.time)))}"


def in_words(seconds: float) -> str:
    """A time in short.

    >>> in_words(7.2), in_words(200), in_words(7500)
    ('7 s', '3 min 20 s', '2 h 5 min')
    """
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bar_line(work: Work, width: int, mark: str = BAR) -> str:
    """A line of at most `width` cells: the name, a bar, the count, the rate of images, the time that is left.

    Where there is no room the bar becomes shorter, then the rate, the bar, a part of the name and the time are left
    out; numbers are never cut.
    """
    turn = int(work.seconds * 8)
    rate = f"{work.rate:,.0f} images/s" if work.rate and work.unit == "images" else ""
    if work.total is None:
        spinner = _SPINNER[turn % len(_SPINNER)] if mark == BAR else "|/-\\"[turn % 4]
        return _joined(f"{work.name} {spinner}", "", [work.time], width)
    for numbers in ([work.count, rate, work.time], [work.count, work.time]):
        room = width - sum(len(word) + 2 for word in numbers if word) - 2 - max(_NAME, len(work.name)) - 2
        if room >= _SHORTEST:
            return _joined(work.name, _bar(work, min(room, _LONGEST), mark), numbers, width)
    fitting = len(work.count) + len(work.time) + 6 + _FEWEST <= width
    return _joined(work.name, "", [work.count, work.time if fitting else ""], width)


def _bar(work: Work, length: int, mark: str) -> str:
    full = int(length * min(1.0, work.steps / (work.total or 1)))
    return mark * full + ("─" if mark == BAR else " ") * (length - full)


def _joined(name: str, bar: str, numbers: list[str], width: int) -> str:
    words = "  ".join(filter(None, (bar, *numbers)))
    room = width - 4 - len(words)
    return f"  {shortened(name, max(1, room)):<{_NAME if bar else 0}}  {words}".rstrip()
