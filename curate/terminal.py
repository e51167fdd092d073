"""What all commands print with: the two consoles, progress, tables, notes and JSON; and what a person asks of it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .stage.options import ARTIFACTS, PRINTING, option
from .stage.progress import Advance, Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd

# Where nobody looks, lines need not fit a screen.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
err = Console(highlight=False, soft_wrap=True, stderr=True)


class Terminal:
    """Progress bars on a terminal, nothing anywhere else; lines wherever it is not quiet."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        if not self.console.is_terminal or not total:
            yield lambda done: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        rate = "{task.fields[rate]}" if unit == "images" else ""
        columns = (
            TextColumn("  {task.description:<24}"),
            BarColumn(28),
            MofNCompleteColumn(),
            TextColumn(rate),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(name, total=total, rate="")

            def advance(count: int) -> None:
                speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
                progress.update(task, completed=count, rate=f"{speed:,.0f} {unit}/s" if speed else "")

            yield advance

    def say(self, line: str) -> None:
        if not self.quiet:
            self.console.print(line, markup=False)


@dataclass(frozen=True)
class Listing:
    """How a command prints that only looks something up."""

    as_json: bool = option(False, "Print one JSON document for machines instead.", PRINTING, flag="--json", switch=True)


@dataclass(frozen=True)
class Output(Listing):
    """How a command prints that does something."""

    quiet: bool = option(False, "Print results only: no progress and no notes.", PRINTING, short="-q", switch=True)
    verbose: bool = option(
        False,
        "Print timings as well, and the traceback of an error.",
        PRINTING,
        short="-v",
        switch=True,
    )

    @property
    def reporter(self) -> Reporter:
        """Who tells how far the work has come. With --json standard output is the document's alone."""
        if self.quiet:
            return Silent()
        return Terminal(err if self.as_json else out, quiet=self.as_json)

    def print_notes(self, notes: Iterable[str], console: Console = out) -> None:
        """Print what a person should know, unless they asked not to be told."""
        if not self.quiet:
            for note in notes:
                console.print(f"note    {note}", markup=False, style="dim")

    def print_seconds(self, seconds: Mapping[str, float]) -> None:
        """Print how long each part of the work took, for who asked."""
        if self.verbose and seconds:
            out.print("stages  " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()), markup=False)


def print_json(document: object) -> None:
    """Print one JSON document, and nothing else."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of a table as JSON has them: what is no number is null."""
    rows: list[dict[str, object]] = json.loads(table.to_json(orient="records"))
    return rows


def print_table(frame: pd.DataFrame, title: str = "") -> None:
    """Print a table, numbers to the right."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 2), header_style="dim", title=title or None, title_justify="left"
    )
    for name in frame.columns:
        number = frame[name].dtype.kind in "iuf"
        # Sentences give way on a narrow screen, nothing else does.
        table.add_column(str(name), justify="right" if number else "left", no_wrap=name != "because")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        if 0 < value < 0.0005:  # a p is never 0
            return "<0.001"
        return "" if value != value else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def brief(value: object) -> str:
    """A value of a record in a few characters.

    >>> brief(0.123456)
    '0.1235'
    """
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def elsewhere(artifacts: object) -> str:
    """The words that the next command needs where the artifacts are not in their usual place, else "".

    >>> elsewhere("my artifacts")
    " --artifacts 'my artifacts'"
    """
    return "" if str(artifacts) == ARTIFACTS else f" --artifacts {shlex.quote(str(artifacts))}"
