"""Files of numbers beside a set, a row for each image: read, and put into the order of the set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .archives import Archive
from .classes import as_strings, natural
from .paths import base_of, printable
from .sheets import SHEET_SUFFIXES, Sheet

_ID_KEYS = ("ids", "id", "files", "file", "paths", "path", "filenames", "filename", "file_name", "names", "name")
_ID_COLUMNS = (*_ID_KEYS, "image", "image_id", "img", "row", "index", "")
# What stands before the name of a class in that of a column: p_cat, prob_cat.
_PREFIXES = ("p_", "prob_", "proba_", "probability_", "p", "prob", "class_", "p(")


@dataclass(frozen=True, eq=False)
class Companion:
    """A file of numbers, in the order of a set.

    values  (N, D), of the type that the file has
    digest  hex BLAKE2b-128 of the file
    notes   sentences on what of it was not used
    """

    path: Path
    values: np.ndarray
    digest: str
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


def read_companion(
    path: Path, ids: Sequence[str], flag: str, keys: Sequence[str], columns: Sequence[str] = ()
) -> Companion:
    """The numbers of an .npy (a row per image, in the set's order), an .npz (with an array of ids, in any order) or,
    where columns are wanted, a table of those columns and one of ids.

    flag     that the file was given to, for errors
    keys     that the array may have in an .npz, where there are several of two axes
    columns  of a table, in the order in which they are wanted

    Raises DataError where the file has no row of an image, or of as many images as there are none.
    """
    suffix = path.suffix.lower()
    tables = SHEET_SUFFIXES if columns else ()
    if suffix not in (".npy", ".npz", *tables):
        kinds = "an .npy, an .npz or a .csv" if columns else "an .npy or an .npz"
        raise DataError(f"{flag} {path} is not read. Give {kinds}.")
    if suffix in tables:
        names, values, notes = _from_table(path, flag, columns)
    else:
        names, values, notes = _from_archive(path, flag, keys)
    if names is not None:
        rows, left = _rows_of(path, flag, names, ids)
        values = values[rows]
        notes = [*notes, *left]
    elif len(values) != len(ids):
        raise DataError(
            f"{flag} {path} has {len(values):,} rows, and the set {len(ids):,} images. Needed is one row for each, in "
            "the order in which the scan lists them (`id` of images.parquet), or ids beside them."
        )
    return Companion(path, values, _digest(path), tuple(notes))


def _from_archive(path: Path, flag: str, keys: Sequence[str]) -> tuple[list[str] | None, np.ndarray, list[str]]:
    """(ids or None, numbers (M, D), notes) of an .npy or .npz."""
    archive = Archive(path, "Save it with np.save(path, numbers), a row for each image.")
    names = [*archive.members, *archive.unread]
    flat = [name for name, member in archive.members.items() if len(member.shape) == 2 and member.dtype.kind in "buif"]
    named = [name for key in keys for name in names if name.lower() == key]
    key = next(iter(named or flat or names))
    if not named and len(flat) > 1:
        raise DataError(
            f"{flag} {path} has several arrays of numbers: {', '.join(flat)}. Call the one that is meant {keys[0]}."
        )
    values = archive.array(key)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise DataError(
            f"{flag} {path}: {'it' if path.suffix.lower() == '.npy' else key} has shape {values.shape} and type "
            f"{values.dtype}. Needed are numbers of shape (N, D), a row for each image."
        )
    column = next((name for wanted in _ID_KEYS for name in archive.members if name.lower() == wanted), None)
    if column is None:
        return None, values, []
    ids = archive.array(column)
    if ids.ndim != 1 or len(ids) != len(values):
        raise DataError(
            f"{flag} {path}: {column} has shape {ids.shape}, and {key} {len(values):,} rows. Needed is one id each."
        )
    return as_strings(ids), values, []


def _from_table(path: Path, flag: str, columns: Sequence[str]) -> tuple[list[str] | None, np.ndarray, list[str]]:
    """(ids or None, numbers (M, K), notes) of a table that has those columns; NaN where a cell is empty."""
    sheet = Sheet.read(path)
    places = [_column(sheet.columns, name) for name in columns]
    missing = [name for name, place in zip(columns, places, strict=True) if place is None]
    if missing:
        raise DataError(
            f"{flag} {path} has columns {', '.join(sheet.columns[:12])}, and none for {', '.join(missing[:3])}"
            f"{' ...' if len(missing) > 3 else ''}. Needed is one for each class: {', '.join(columns[:12])}."
        )
    chosen = [place for place in places if place is not None]
    lowered = [name.strip().lower() for name in sheet.columns]
    column = next((lowered.index(name) for name in _ID_COLUMNS if name in lowered), None)
    values = np.full((len(sheet.rows), len(chosen)), np.nan)
    for line, row in enumerate(sheet.rows):
        for at, place in enumerate(chosen):
            cell = row[place].strip().replace(",", ".")
            try:
                values[line, at] = float(cell) if cell else np.nan
            except ValueError:
                raise DataError(
                    f"{flag} {path}: row {line + 1} has {cell!r} in column {sheet.columns[place]}. Needed are numbers."
                ) from None
    names = None if column is None or column in chosen else [cell.strip() for cell in sheet.column(column)]
    return names, values, list(sheet.notes)


def _column(columns: Sequence[str], name: str) -> int | None:
    """Where a table has the column of a class: called like it, or with "p_" and the like before."""
    if name in columns:
        return columns.index(name)
    wanted = name.strip().casefold()
    spellings = {wanted, *(prefix + wanted for prefix in _PREFIXES)}
    places = [at for at, column in enumerate(columns) if column.strip().casefold().rstrip(")") in spellings]
    return places[0] if len(places) == 1 else None


def _rows_of(path: Path, flag: str, names: Sequence[str], ids: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(the row of each image, sentences on rows of none). Raises DataError where an image has none, or two."""
    spelled = [printable(name.replace("\\", "/").removeprefix("./")) for name in names]
    rows = _unique(path, flag, spelled)
    if not set(ids) & rows.keys():  # paths from another root
        short, own = [base_of(name) for name in spelled], [base_of(name) for name in ids]
        if set(own) & set(short) and len(set(own)) == len(own):
            rows, ids = _unique(path, flag, short), own
    missing = [name for name in ids if name not in rows]
    if missing:
        example = next(iter(natural(names)), "")
        raise DataError(
            f"{flag} {path} has no row of {len(missing):,} of {len(ids):,} images, such as {missing[0]!r}; its ids are "
            f"such as {example!r}. Needed is a row of each, called by its id (`id` of images.parquet)."
        )
    strange = len(names) - len(ids)
    order = np.array([rows[name] for name in ids], np.int64)
    if not strange:
        return order, []
    subject = f"{strange:,} rows of {path.name} are" if strange > 1 else f"1 row of {path.name} is"
    return order, [f"{subject} of no image of this set"]


def _unique(path: Path, flag: str, names: Sequence[str]) -> dict[str, int]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{flag} {path} has {Counter(names)[twice[0]]} rows of {twice[0]!r}. Keep one for each image.")
    return {name: row for row, name in enumerate(names)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
