"""Which row of a table belongs to which image file."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH122

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..stage.errors import DataError
from .classes import split_name
from .tables import Table, printable


@dataclass
class Columns:
    """Class, split and group of N files by name, "" where there is none; and notes on how they were read."""

    classes: list[str]
    splits: list[str]
    groups: list[str]
    notes: list[str]


def columns_of_table(table: Table) -> Columns:
    nothing = [""] * len(table.files)
    return Columns(
        table.labels or nothing,
        [split_name(split) for split in table.splits or nothing],
        table.groups or nothing,
        [],
    )


def add_table(columns: Columns, names: Sequence[str], table: Table, *, required: bool) -> None:
    """Take label, split and group of each file from the table's row of it, where there is one."""
    rows, strangers = _rows_of_files(names, columns.splits, table)
    if not rows and required:
        raise DataError(
            f"{table.path} names none of the {len(names):,} images, but such as {table.files[0]!r}; "
            f"they are called {printable(names[0])!r}. Give their paths below the folder."
        )
    if not rows:
        columns.notes.append(f"{table.path.name} was not used: it names none of the images")
        return
    for i, row in rows.items():
        if table.labels:
            columns.classes[i] = table.labels[row]
        if table.splits:
            columns.splits[i] = split_name(table.splits[row])
        if table.groups:
            columns.groups[i] = table.groups[row]
    columns.notes.append(
        f"labels are from {table.path.name}" if table.labels else f"{table.path.name} was read as well"
    )
    if strangers:
        columns.notes.append(f"rows of {table.path.name} whose file is not there: {strangers:,}")


def _rows_of_files(names: Sequence[str], splits: Sequence[str], table: Table) -> tuple[dict[int, int], int]:
    """(file -> row of the table, rows without a file): by path, by name, or by name without extension."""
    exact = {printable(name): [i] for i, name in enumerate(names)}
    bases: dict[str, list[int]] = {}
    stems: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        base = printable(name.rpartition("/")[2])
        bases.setdefault(base, []).append(i)
        stems.setdefault(os.path.splitext(base)[0], []).append(i)
    rows: dict[int, int] = {}
    strangers = 0
    for row, entry in enumerate(table.files):
        path = os.path.normpath(printable(entry).replace("\\", "/")).replace(os.sep, "/")
        base = path.rpartition("/")[2]
        stem = os.path.splitext(base)[0]
        matches = exact.get(path) or bases.get(base) or stems.get(base) or stems.get(stem) or []
        if len(matches) > 1 and table.splits:
            matches = [i for i in matches if splits[i] == split_name(table.splits[row])] or matches
        if len(matches) > 1:
            raise DataError(
                f"{table.path} names {entry!r}, but {len(matches)} images are called so, {names[matches[0]]} and "
                f"{names[matches[1]]} among them. Give their paths below the folder."
            )
        strangers += not matches
        for i in matches:
            if i in rows and table.row(rows[i])[1:] != table.row(row)[1:]:
                raise DataError(f"{table.path} names {entry!r} twice, with {table.row(rows[i])} and {table.row(row)}.")
            rows.setdefault(i, row)
    return rows, strangers
