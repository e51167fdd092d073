"""What all commands print with: the two consoles, progress, tables, notes and JSON; and what a person asks of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from numbers import Integral, Real
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from .stage.bars import BAR, Work, bar_line
from .stage.lines import Column, json_printable, printable, table_lines, wrapped
from .stage.options import PRINTING, option
from .stage.options import elsewhere as elsewhere
from .stage.progress import Advance, Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd


class Screen(Console):
    """Where all lines for people leave. Whatever names are in them, nothing steers the terminal and nothing is markup.

    On a terminal a line is broken at spaces alone; where nobody looks, it is as long as it is.
    """

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, **options)

    @property
    def watched(self) -> bool:
        """Whether it is a terminal, on which a line can be drawn anew. That colours are asked for does not make one."""
        return self.file.isatty() and not self.is_dumb_terminal

    @property
    def room(self) -> int | None:
        """Cells of a line; None where no screen sets an end to it."""
        return self.width if self.file.isatty() else None

    def print(self, *objects: Any, whole: bool = False, **options: Any) -> None:
        """Print as Rich does, each text as a line.

        whole  it is not broken at single spaces, as its parts are commands and paths (see stage.lines.wrapped)
        """
        style = options.pop("style", "")
        texts = [
            Text("\n".join(wrapped(printable(thing), self.room, whole)), style=style or "")
            if isinstance(thing, str)
            else thing
            for thing in objects
        ]
        super().print(*texts, **options)

    def print_line(self, line: str, style: str = "") -> None:
        """Print a line that is laid out for the width already."""
        super().print(Text(printable(line), style=style))


out, err = Screen(), Screen(stderr=True)


class Terminal:
    """Tells how far the work has come: a moving line on a terminal, elsewhere a line now and then; none where quiet.

    every  seconds between two of those lines
    """

    def __init__(self, console: Screen, quiet: bool = False, every: float = 30) -> None:
        self.console, self.quiet, self.every = console, quiet, every
        self._open: list[Work] = []

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        if total == 0:
            yield lambda done: None
            return
        work = Work(printable(name), total, unit)
        self._open.append(work)
        try:
            if len(self._open) > 1:  # within another, whose line it takes for that time
                yield work.advance
            else:
                with self._moving() if self.console.watched else self._now_and_then():
                    yield work.advance
            if total is not None and self.console.watched:
                work.advance(total)
                self.console.print_line(self._line(work))
        finally:
            self._open.remove(work)

    def say(self, line: str) -> None:
        if not self.quiet:
            self.console.print(line)

    def _line(self, work: Work) -> str:
        utf = self.console.encoding.lower().startswith("utf")
        return bar_line(work, self.console.width - 1, BAR if utf else "-")

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """A line at the bottom that is drawn anew several times a second."""
        live = Live(
            get_renderable=lambda: Text(self._line(self._open[-1]), no_wrap=True),
            console=self.console,
            refresh_per_second=8,
            transient=True,
        )
        with live:
            yield

    @contextmanager
    def _now_and_then(self) -> Iterator[None]:
        if self.quiet:
            yield
            return
        ended = Event()

        def tell() -> None:
            while not ended.wait(self.every):
                self.console.print(self._open[-1].in_words())

        teller = Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()


@dataclass(frozen=True)
class Output:
    """How a command prints."""

    as_json: bool = option(False, "Print one JSON document for machines instead.", PRINTING, flag="--json", switch=True)
    quiet: bool = option(False, "Print results only: no progress and no notes.", PRINTING, short="-q", switch=True)
    verbose: bool = option(
        False,
        "Print timings as well, and the traceback of an error.",
        PRINTING,
        short="-v",
        switch=True,
    )

    @cached_property
    def reporter(self) -> Reporter:
        """Who tells how far the work has come. With --json standard output is the document's alone."""
        if self.quiet:
            return Silent()
        return Terminal(err if self.as_json else out, quiet=self.as_json)

    def print_notes(self, notes: Iterable[str], console: Screen = out) -> None:
        """Print what a person should know, unless they asked not to be told."""
        if not self.quiet:
            for note in notes:
                console.print(f"note    {note}", style="dim")

    def print_seconds(self, seconds: Mapping[str, float]) -> None:
        """Print how long each part of the work took, for who asked."""
        if self.verbose and seconds:
            out.print("stages  " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))


def print_json(document: object) -> None:
    """Print one JSON document, and nothing else."""
    print_json_text(json.dumps(document, ensure_ascii=False, indent=2))


def print_json_text(text: str) -> None:
    """Print a JSON document that is written already; what would steer a terminal is escaped in it as JSON has it."""
    print(json_printable(text.rstrip("\n")))


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of a table as JSON has them: what is no number is null."""
    rows: list[dict[str, object]] = json.loads(table.to_json(orient="records"))
    return rows


def print_table(frame: pd.DataFrame, title: str = "", whole: Iterable[str] = (), sentence: str | None = None) -> None:
    """Print a table, numbers to the right. On a narrow screen texts are shortened, numbers and columns never.

    whole     columns of text that are not shortened either
    sentence  a column of sentences, which are told below each row where there is no room beside it
    """
    columns = [_column(str(name), frame[name].tolist(), str(name) in whole) for name in frame.columns]
    asides = [column for column in columns if column.name == sentence]
    lines = table_lines(columns, None)
    if asides and out.room is not None and max(cell_len(line) for line, _ in lines) > out.room:
        columns = [column for column in columns if column.name != sentence]
    else:
        asides = []
    if title:
        out.print(title, style="italic")
    sentences = iter(asides[0].cells if asides else ())
    for line, heading in table_lines(columns, out.room):
        out.print_line(line, "dim" if heading else "")
        if not heading and line:
            for text in islice(sentences, 1):
                out.print(f"    {text}", style="dim")


def _column(name: str, values: list[object], whole: bool) -> Column:
    present = [value for value in values if value is not None and value != ""]
    number = bool(present) and all(isinstance(value, Real) and not isinstance(value, bool) for value in present)
    return Column(printable(name), [_cell(value) for value in values], number, whole)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        if 0 < value < 0.0005:  # a p is never 0
            return "<0.001"
        return "" if value != value else f"{value:.3f}"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))


def brief(value: object) -> str:
    """A value of a record in a few characters.

    >>> brief(0.123456)
    '0.1235'
    """
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
