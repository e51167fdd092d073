"""CSV tables and text lists that people keep beside their image files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..stage.errors import DataError

FILE_COLUMNS = (
    "file", "filename", "file_name", "path", "filepath", "file_path",
    "image", "image_path", "image_name", "image_id", "img", "id",
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "target", "y", "labels", "label_name", "class_name", "category")
SPLIT_COLUMNS = ("split", "subset", "fold_name")
GROUP_COLUMNS = ("group", "patient", "patient_id", "groups")
_TABLE_NAMES = ("labels.csv", "train.csv", "metadata.csv")


@dataclass(frozen=True)
class Table:
    """The columns of a CSV that say something of images, one value per row; None for one that is not there.

    files   the path or name of each image;   ids   unique names, only beside another column of files
    """

    path: Path
    files: list[str]
    labels: list[str] | None
    splits: list[str] | None
    groups: list[str] | None
    ids: list[str] | None

    def row(self, row: int) -> tuple[str, ...]:
        """(file, label, split, group) of one row, without those that are not known."""
        return tuple(column[row] for column in (self.files, self.labels, self.splits, self.groups) if column)

    @classmethod
    def read(cls, path: Path) -> Table:
        """The table of a CSV file, separated by commas, semicolons or tabs. Raises DataError."""
        with _open_text(path) as file:
            first = file.readline()
            file.seek(0)
            mark = max(",;\t", key=first.count)
            # Quoted text keeps its leading spaces, text after "a, b" loses them.
            header, *rows = list(csv.reader(file, delimiter=mark, skipinitialspace=True)) or [[]]
        columns = [name.strip().lower() for name in header]
        rows = [row for row in rows if any(row)]
        short = next((row for row in rows if len(row) < len(columns)), None)
        if short is not None:
            raise DataError(f"{path}: the row {mark.join(short)!r} has {len(short)} values for {len(columns)} columns.")

        def column(names: tuple[str, ...]) -> list[str] | None:
            at = next((columns.index(name) for name in names if name in columns), None)
            return None if at is None else [printable(row[at]) for row in rows]

        if not set(FILE_COLUMNS) & set(columns):
            raise DataError(
                f"{path} has columns {columns} but none that names files. Call it file, and the other label."
            )
        file_column = next(name for name in FILE_COLUMNS if name in columns)
        files = [row[columns.index(file_column)] for row in rows]
        ids = column(("id",)) if file_column != "id" else None
        if ids is not None and ("" in ids or len(set(ids)) < len(ids)):
            ids = None
        return cls(path, files, column(LABEL_COLUMNS), column(SPLIT_COLUMNS), column(GROUP_COLUMNS), ids)


def printable(name: str) -> str:
    """A name as text that any table can hold: bytes that are no UTF-8 as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace") if not name.isascii() else name


def find_table(folder: Path) -> tuple[Table | None, list[str]]:
    """(the labels.csv, train.csv, metadata.csv or only CSV of a folder, or None; notes on why not)."""
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    candidates = [path for name in _TABLE_NAMES for path in tables if path.name.lower() == name]
    if not candidates and len(tables) > 1:
        return None, [f"none of {len(tables)} CSV files was used: name one labels.csv, or give it as labels"]
    for path in candidates or tables:
        try:
            return Table.read(path), []
        except DataError as error:
            return None, [f"{path.name} was not used: {error}"]
    return None, []


def line_list(path: Path) -> list[str]:
    """The lines of a text file, without comments that begin with "#" and empty ones. Raises DataError."""
    with _open_text(path) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """A text file in UTF-8; other bytes stay as they are, for they may name a file."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise DataError(
            f"{path} is no table: {error}. Save it as CSV in UTF-8, with columns file and label."
        ) from error
