"""Figures of tests of endurance: each test hands over a row, and the end of the run shows them as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

Row = Mapping[str, object]


def table(rows: Iterable[Row]) -> list[str]:
    """The lines of a table of rows that have the same keys, the first of which names the row."""
    rows = [{key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in row.items()} for row in rows]
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    first, *_ = widths

    def line(cell: Callable[[str], str]) -> str:
        return "  ".join(
            cell(key).ljust(widths[key]) if key == first else cell(key).rjust(widths[key]) for key in widths
        )

    return [line(lambda key: key), *(line(row.__getitem__) for row in rows)]
