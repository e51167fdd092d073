"""Who tells how far work has come where the caller named nobody: a cell of a notebook, a terminal, or nobody."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from markupsafe import Markup

from ..stage.bars import Work, in_words
from ..stage.progress import Advance, Reporter, Silent
from .fragments import html, page_of

_LINES = 12  # that were said, of which the last are shown
_EVERY = 0.2  # seconds between two pictures of a cell


class Output(Protocol):
    """The output of a cell, which can be drawn anew."""

    def __call__(self, html: str, words: str) -> None: ...


def onlooker() -> Reporter:
    """Who watches a call from Python: the cell of a notebook that is running, else a terminal, else nobody."""
    output = _cell()
    if output is not None:
        return Notebook(output)
    from ..terminal import Terminal, err

    return Terminal(err) if err.watched else Silent()


def _cell() -> Output | None:
    """What draws into the cell that is running, None outside of a notebook. IPython is used only where it runs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    handle: Any = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def draw(html: str, words: str) -> None:
        handle.update({"text/html": html, "text/plain": words}, raw=True)

    return draw


class Notebook:
    """Tells how far the work has come in the output of a cell, drawn anew as it goes on."""

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self.output, self.clock = output, clock
        self._open: list[Work] = []
        self._done: list[str] = []
        self._said: list[str] = []
        self._drawn = -_EVERY

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        work = Work(name, total, unit, self.clock)
        self._open.append(work)
        self._draw()

        def advance(steps: int) -> None:
            work.advance(steps)
            if self.clock() - self._drawn >= _EVERY:
                self._draw()

        end = "stopped "
        try:
            yield advance
            end = ""
        finally:
            self._open.remove(work)
            if not self._open:
                self._done.append(f"{end}{name} {_seconds(work)}")
            self._draw()

    def say(self, line: str) -> None:
        self._said.append(line)
        self._draw()

    def _draw(self) -> None:
        self._drawn = self.clock()
        lines = [html("<p>{line}</p>", line=line.strip()) for line in self._said[-_LINES:]]
        work = [_bar(self._open[-1])] if self._open else []
        past = [html('<p class="quiet">{line}</p>', line=" · ".join(self._done[-_LINES:]))] if self._done else []
        words = [*self._said[-_LINES:], *(self._open[-1].in_words() for _ in work)]
        self.output(page_of(*lines, *work, *past), "\n".join(words))


def _seconds(work: Work) -> str:
    return f"{work.seconds:.1f} s" if work.seconds < 10 else in_words(work.seconds)


def _bar(work: Work) -> Markup:
    """A line of a name, a bar, and the numbers; the bar of work that nobody can count goes to and fro."""
    rate = f"{work.rate:,.0f} images/s" if work.rate and work.unit == "images" else ""
    numbers = "  ".join(filter(None, (work.count, rate, work.time)))
    bar = html('<span class="bar unknown" role="progressbar" aria-label="{name}"><i></i></span>', name=work.name)
    if work.total:
        bar = html(
            '<span class="bar" role="progressbar" aria-label="{name}" aria-valuenow="{percent}">'
            '<i style="width: {percent}%"></i></span>',
            name=work.name,
            percent=f"{100 * min(1.0, work.steps / work.total):.1f}",
        )
    return html(
        '<div class="work"><span>{name}</span>{bar}<span class="quiet">{numbers}</span></div>',
        name=work.name, bar=bar, numbers=numbers,
    )  # fmt: skip
