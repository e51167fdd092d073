"""What a table says of image files: names, labels, splits, groups; and what of it was mended or left out."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH110, PTH118

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..stage.shortness import short_repr
from .classes import encode_array
from .decoding import has_image_extension
from .paths import printable
from .roles import Roles, Wishes, file_test, role_notes, roles_of, shares_of, with_header
from .sheets import Sheet, has_odd_bytes, text_lines, western
from .spellings import mended_labels, trimmed, without_missing


@dataclass(frozen=True)
class Table:
    """The columns of a table that say something of images, one value per row; None for one that is not there.

    files     the path or name of each image, as written;   ids   unique names, only beside another column of files
    columns   the names of all its columns
    notes     sentences on how it was read: what was mended, what was left out, and how many
    """

    path: Path
    files: list[str]
    labels: list[str] | None
    splits: list[str] | None
    groups: list[str] | None
    ids: list[str] | None
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    __repr__ = short_repr

    @classmethod
    def read(
        cls,
        path: Path,
        labels: str | None = None,
        splits: str | None = None,
        groups: str | None = None,
        names: Sequence[str] = (),
        classes: frozenset[str] = frozenset(),
    ) -> Table:
        """The table of a file: separated text, JSON lines or Parquet.

        labels, splits, groups  names of columns, where a person gave them
        names                   of the image files, where they are known: they tell which column is that of files
        classes                 what the folders of the images call the classes, without capitals

        Raises DataError, with the columns that there are.
        """
        is_file = file_test(names)
        sheet = with_header(Sheet.read(path), is_file)
        roles = roles_of(sheet, is_file, Wishes(labels, splits, groups, classes))
        sheet = _of_files(sheet, roles.file)
        ids = [printable(cell) for cell in sheet.column(roles.id)] if roles.id is not None else None
        label_names, label_notes = _labels(sheet, roles)
        return cls(
            path,
            sheet.column(roles.file),
            label_names,
            _names(sheet, roles.split),
            _names(sheet, roles.group),
            ids,
            sheet.columns,
            (*sheet.notes, *role_notes(sheet, roles), *_encoding_notes(sheet, roles), *label_notes),
        )

    def row(self, row: int) -> tuple[str, ...]:
        """(file, label, split, group) of one row, without those that are not known."""
        return tuple(column[row] for column in (self.files, self.labels, self.splits, self.groups) if column)

    @property
    def without_labels(self) -> str:
        """What to say where labels are needed and no column is that of labels, or none has a row."""
        if not self.files:
            return f"{self.path} has no rows, only columns {', '.join(self.columns)}."
        return (
            f"{self.path} has columns {', '.join(self.columns)}, but none that is known to hold labels. "
            "Name it with --classes-from COLUMN, or call it label."
        )


def read_listing(
    path: Path, labels: str | None = None, splits: str | None = None, groups: str | None = None
) -> tuple[list[str], Table | None]:
    """(the files that a list names; the table that it is, or None for a text of one path on each line).

    labels, splits, groups  names of columns, where a person gave them.  Raises DataError.
    """
    if path.suffix.lower() == ".txt":
        lines = text_lines(path)
        if not _has_pairs(path, lines):
            return lines, None
    table = Table.read(path, labels, splits, groups)
    return table.files, table


def _has_pairs(path: Path, lines: Sequence[str]) -> bool:
    """Whether the lines of a text are paths and more, rather than paths."""
    paths = 2 * sum(map(has_image_extension, lines)) >= len(lines)
    spaces = all(re.search(r"\s", line) for line in lines)
    if paths and (not spaces or any(os.path.exists(os.path.join(path.parent, line)) for line in lines)):
        return False
    sheet = Sheet.read(path) if lines else None
    return sheet is not None and len(sheet.columns) > 1 and any(map(has_image_extension, _cells(sheet)))


def _cells(sheet: Sheet) -> Iterator[str]:
    for row in (sheet.columns, *sheet.rows):
        yield from row


def _of_files(sheet: Sheet, file: int) -> Sheet:
    """Without the rows that name no file."""
    rows = [row for row in sheet.rows if row[file].strip()]
    nameless = len(sheet.rows) - len(rows)
    note = f"rows of {sheet.path.name} that name no file were left out: {nameless:,}"
    return replace(sheet, rows=rows, notes=(*sheet.notes, note)) if nameless else sheet


def _labels(sheet: Sheet, roles: Roles) -> tuple[list[str] | None, list[str]]:
    """(the label of each row, "" for none; notes). Raises DataError."""
    name = sheet.path.name
    if roles.shares:
        classes = np.array([trimmed(western(sheet.columns[at])) for at in roles.shares])
        shares = shares_of(sheet, roles.shares)
        several = np.flatnonzero(shares.sum(axis=1) > 1.5)  # shares of one class add up to 1, or nearly
        shares[several] = 0
        encoded = encode_array(shares, classes, str(sheet.path))
        notes = [f"{encoded.notes[0]}, in the columns {', '.join(classes.tolist())} of {name}"]
        if len(several):
            example = printable(sheet.column(roles.file)[several[0]])
            notes.append(f"rows of {name} that are of several classes have no label: {len(several):,} ({example})")
        none = int((encoded.codes < 0).sum()) - len(several)
        if none:
            notes.append(f"rows of {name} that are of none of these classes have no label: {none:,}")
        return [encoded.classes[code] if code >= 0 else "" for code in encoded.codes.tolist()], notes
    if roles.label is None:
        unknown = f"no column of {name} is known to hold labels: {', '.join(sheet.columns)}"
        return None, [unknown] if len(sheet.columns) > 1 and not sheet.verbatim else []
    if sheet.verbatim:
        return [printable(cell) for cell in sheet.column(roles.label)], []
    return mended_labels([western(cell) for cell in sheet.column(roles.label)], name)


def _names(sheet: Sheet, at: int | None) -> list[str] | None:
    """The names of splits or groups, "" for none."""
    if at is None:
        return None
    if sheet.verbatim:
        return [printable(cell) for cell in sheet.column(at)]
    return [trimmed(western(cell)) for cell in without_missing(sheet.column(at))]


def _encoding_notes(sheet: Sheet, roles: Roles) -> list[str]:
    """That labels are in no encoding that can be told. Names of files may be any bytes."""
    columns = [at for at in (roles.label, roles.split, roles.group) if at is not None]
    odd = next((cell for at in columns for cell in sheet.column(at) if has_odd_bytes(cell)), None)
    example = "" if odd is None else western(odd)
    return [f"{sheet.path.name} is no UTF-8: it was read as Windows-1252, such as {example}"] if example else []
