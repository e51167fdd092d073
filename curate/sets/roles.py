"""Which column of a table is what: by its name, else by what its cells are."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH122

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .classes import SPLIT_NAMES, split_name
from .decoding import has_image_extension
from .imageset import evenly
from .paths import base_of, folded, printable
from .sheets import Sheet, western
from .spellings import without_missing

# Names of columns as `_key` writes them, in the order in which they are looked for.
FILE_COLUMNS = (
    "file", "filename", "path", "filepath", "image", "imagepath", "imagename", "imageid", "imagefile", "imagefilename",
    "imagefilepath", "imageindex", "img", "imgpath", "imgname", "imgfile", "imgid", "picture", "photo", "id", "idcode",
    "uuid", "name",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "class", "target", "y", "labels", "labelname", "classname", "category", "dx", "diagnosis", "celltype",
    "species", "breed", "variety", "finding", "findinglabels", "disease", "annotation", "groundtruth", "gt", "truth",
    "classlabel", "categoryname", "benignmalignant", "labelgroup", "labelid", "classid", "categoryid", "level", "type",
    "klasse", "classe", "clase", "etikett", "etiquette", "étiquette", "etiqueta",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "subset", "foldname")
_MAYBE_SPLIT_COLUMNS = ("partition", "phase", "set", "usage", "dataset")  # where their values are names of splits
GROUP_COLUMNS = ("group", "patient", "patientid", "groups", "subject", "subjectid", "lesionid", "caseid", "slideid")
# What is never a class, though it stands beside the name of a file.
_OTHER_COLUMNS = {
    "", "index", "fold", "age", "date", "url", "width", "height", "size", "xmin", "ymin", "xmax", "ymax", "bbox",
    "caption", "text", "sex", "gender", "note", "notes", "comment", "comments", "remark", "remarks",
}  # fmt: skip
_SAMPLE = 500  # cells that a column is judged by
_FEW = 10  # rows of which all may differ, and be classes all the same
_FEW_SEVERAL = 0.1  # of the rows of a one-hot table may be of several classes
_FEWEST = 2  # rows from which numbers are taken for names of files
_TRUTHS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)

IsFile = Callable[[str], bool]


@dataclass(frozen=True)
class Roles:
    """Which column is what: its number, or None.

    shares  columns of one class each, where labels are one-hot;  further  columns that may hold labels as well
    marks   columns of 0 and 1 beside them that are 1 where one of them is: they are of no class
    """

    file: int
    label: int | None
    split: int | None
    group: int | None
    id: int | None
    shares: tuple[int, ...] = ()
    further: tuple[int, ...] = ()
    marks: tuple[int, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True)
class Wishes:
    """Columns by name, where a person says which: of labels, splits, groups.

    classes  what folders call the classes, without capitals: a column that says the same is that of labels
    """

    labels: str | None = None
    splits: str | None = None
    groups: str | None = None
    classes: frozenset[str] = frozenset()


def file_test(names: Sequence[str]) -> IsFile:
    """Whether a cell names one of these files, with or without extension; without files, whether it could be one."""
    if not names:
        return lambda cell: has_image_extension(base_of(western(cell)))
    bases = {folded(printable(name.rpartition("/")[2])) for name in names}
    stems = {os.path.splitext(base)[0] for base in bases}

    def is_file(cell: str) -> bool:
        bases_of_cell = {folded(base_of(text)) for text in (western(cell), printable(cell))} - {""}
        return any(base in bases or base in stems or os.path.splitext(base)[0] in stems for base in bases_of_cell)

    return is_file


def with_header(sheet: Sheet, is_file: IsFile) -> Sheet:
    """A sheet whose header is one: where it names a file, it is the first row."""
    usual = {_key(name) for name in sheet.columns} & {*FILE_COLUMNS, *LABEL_COLUMNS}
    return sheet if usual or not any(map(is_file, sheet.columns)) else sheet.headless()


def roles_of(sheet: Sheet, is_file: IsFile, wishes: Wishes = Wishes()) -> Roles:
    """Which column is what. Raises DataError, with the columns, where none is of files or one is not there."""
    keys = [_key(name) for name in sheet.columns]
    label, split, group = (_column_called(sheet, keys, name) for name in (wishes.labels, wishes.splits, wishes.groups))
    used = {label, split, group}
    file = _file_column(sheet, keys, is_file)
    used.add(file)

    def first(names: Sequence[str]) -> int | None:
        return next((keys.index(name) for name in names if name in keys and keys.index(name) not in used), None)

    if split is None:
        split = first(SPLIT_COLUMNS)
        maybe = first(_MAYBE_SPLIT_COLUMNS)
        split = maybe if split is None and maybe is not None and _are_splits(sheet.column(maybe)) else split
    group = first(GROUP_COLUMNS) if group is None else group
    number = first(("id",))
    if number is not None:
        values = sheet.column(number)
        number = number if all(values) and len(set(values)) == len(values) else None
    if label is not None:
        return Roles(file, label, split, group, number)
    used |= {split, group, number}
    usual = [keys.index(name) for name in LABEL_COLUMNS if name in keys and keys.index(name) not in used]
    telling = usual and len(set(without_missing(sheet.column(usual[0]))) - {""}) > 1
    further = [] if telling else [at for at in range(len(keys)) if at not in used and at not in usual]
    for at in usual + further:
        if _are_names(sheet.column(at), wishes.classes):
            return Roles(file, at, split, group, number, further=tuple(x for x in usual if x != at))
    if usual:
        return Roles(file, usual[0], split, group, number, further=tuple(usual[1:]))
    rest = [at for at in range(len(keys)) if at not in used and _could_be_label(sheet, keys, at, file)]
    shares, marks = _share_columns(sheet, rest)
    return Roles(file, None if shares else _only(sheet, rest), split, group, number, shares, marks=marks)


def role_notes(sheet: Sheet, roles: Roles) -> list[str]:
    """Which column was taken for what, where the names alone do not say it."""
    table, columns = sheet.path.name, sheet.columns
    notes = []
    plain = {"file": FILE_COLUMNS[:4], "label": ("label",), "split": ("split",), "group": ("group",)}
    pairs = (("file", roles.file), ("label", roles.label), ("split", roles.split), ("group", roles.group))
    names = {role: columns[at] for role, at in pairs if at is not None}
    if any(_key(name) not in plain[role] for role, name in names.items()):
        notes.append(f"columns of {table}: " + ", ".join(f"{role} is {name}" for role, name in names.items()))
    if roles.further:
        further = ", ".join(columns[at] for at in roles.further)
        notes.append(f"{table} has {further} beside {names['label']}: another is taken with --classes-from COLUMN")
    if roles.marks:
        marks = ", ".join(columns[at] for at in roles.marks)
        notes.append(f"{table} has {marks} of 0 and 1 beside its classes: images of a class have it, and it is none")
    for role, name in names.items():
        if columns.count(name) > 1:
            notes.append(f"{table} has {columns.count(name)} columns called {name}; the {role} is from the first")
    return notes


def shares_of(sheet: Sheet, columns: Sequence[int]) -> np.ndarray:
    """float64 (rows, columns): the numbers of some columns, 0 where nothing is given."""
    cells = [[_number(cell) if cell else 0.0 for cell in without_missing(sheet.column(at))] for at in columns]
    return np.array(cells, np.float64).reshape(len(columns), len(sheet.rows)).T


def _key(name: str) -> str:
    """The name of a column whatever its capitals, spaces and dashes: "Image ID" is image_id.

    >>> _key("Image ID"), _key(" file_name")
    ('imageid', 'filename')
    """
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def _column_called(sheet: Sheet, keys: Sequence[str], name: str | None) -> int | None:
    if name is None:
        return None
    if name in sheet.columns:
        return sheet.columns.index(name)
    if _key(name) in keys:
        return keys.index(_key(name))
    raise DataError(f"{sheet.path} has no column {name!r}, but {', '.join(sheet.columns)}. Name one of these.")


def _file_column(sheet: Sheet, keys: Sequence[str], is_file: IsFile) -> int:
    """The column of a usual name that names files, or the one whose cells do. Raises DataError."""
    rows = evenly(len(sheet.rows), _SAMPLE).tolist() if sheet.rows else []
    hits = [sum(is_file(sheet.rows[row][at]) for row in rows) for at in range(len(keys))]
    most = max(hits, default=0)
    usual = [keys.index(name) for name in FILE_COLUMNS if name in keys]
    counts = bool(most) and all(sheet.rows[row][hits.index(most)].strip().isdigit() for row in rows)
    certain = 2 * most >= len(rows) and not (counts and len(rows) < _FEWEST)  # a number may be a name by chance
    # Half of the hits are enough, for the same reason.
    for columns in (
        [at for at in usual if hits[at] and 2 * hits[at] >= most],
        [hits.index(most)] if most and certain else [],
        usual,
        [at for at in range(len(keys)) if rows and all(has_image_extension(sheet.rows[row][at]) for row in rows)],
    ):
        if columns:
            return columns[0]
    raise DataError(
        f"{sheet.path} has columns {list(sheet.columns)} but none that names files. Call it file, and the other label."
    )


def _are_splits(cells: Sequence[str]) -> bool:
    values = {cell.strip() for cell in without_missing(cells)} - {""}
    return bool(values) and all(split_name(value) in SPLIT_NAMES for value in values)


def _are_names(cells: Sequence[str], classes: frozenset[str]) -> bool:
    """Whether half of the cells at least are names of classes, and of several."""
    values = [cell.strip().casefold() for cell in cells] if classes else []
    hits = [value for value in values if value in classes]
    return len(set(hits)) > 1 and 2 * len(hits) >= len(values)


def _could_be_label(sheet: Sheet, keys: Sequence[str], at: int, file: int) -> bool:
    """Whether a column of unusual name may hold classes."""
    cells = sheet.column(at)
    numbers_rows = at < file and any([*map(str, range(i, i + len(cells)))] == cells for i in (0, 1))
    return not (keys[at] in _OTHER_COLUMNS or keys[at].startswith(("unnamed", "indexlevel")) or numbers_rows) and any(
        without_missing(cells)
    )


def _only(sheet: Sheet, columns: Sequence[int]) -> int | None:
    """The one column that can be that of labels, if it is one: its values repeat, and are no measurements."""
    rows = len(sheet.rows)
    repeating = [at for at in columns if rows <= _FEW or 2 * len(set(sheet.column(at))) <= rows]
    if len(repeating) > 1:
        repeating = [at for at in repeating if 2 * sum(map(bool, without_missing(sheet.column(at)))) > rows]
    if len(repeating) != 1:
        return None
    values = {cell.strip() for cell in without_missing(sheet.column(repeating[0]))} - {""}
    measured = all(map(_NUMBER.fullmatch, values)) and not all(_number(value).is_integer() for value in values)
    return None if measured else repeating[0]


def _share_columns(sheet: Sheet, columns: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the columns that are one class each, 1 where an image is of it; those of 0 and 1 beside them that are none).

    Few rows may be of several classes. Nothing where the columns are no classes. Raises DataError.
    """
    parts = [at for at in columns if all(0 <= _number(cell) <= 1 for cell in without_missing(sheet.column(at)) if cell)]
    if len(parts) < 2:
        return (), ()
    values = shares_of(sheet, parts)
    hard = bool(((values == 0) | (values == 1)).all())
    several = int((values.sum(axis=1) > 1).sum()) if hard else 0
    if not several:
        return (tuple(parts), ()) if _is_one_hot(values, hard, 0) else ((), ())
    if len(parts) < len(columns):
        return (), ()
    alone = values[values.sum(axis=1) == 1].sum(axis=0)
    marks = tuple(at for at, own, count in zip(parts, alone, values.sum(axis=0), strict=True) if not own and count > 1)
    rest = tuple(at for at in parts if at not in marks)
    if marks and len(rest) > 1 and _is_one_hot(shares_of(sheet, rest), hard, 0):
        return rest, marks
    if several < _FEW_SEVERAL * len(values) and _is_one_hot(values, hard, several):
        return tuple(parts), ()
    rows = "1 row" if several == 1 else f"{several:,} rows"
    raise DataError(
        f"{sheet.path}: in {rows} several of the columns {', '.join(sheet.columns[at] for at in parts)} are 1. "
        "Give one class per image: Trustset does not read several labels of one image. "
        "One column is taken with --classes-from COLUMN."
    )


def _is_one_hot(values: np.ndarray, hard: bool, several: int) -> bool:
    """Whether rows add up to 1, or to 0 where all are 0 or 1; but for so many rows of several classes."""
    total = values.sum(axis=1)
    single = np.isclose(total, 1, atol=1e-2)
    wrong = int((~(single | (hard & (total == 0)))).sum())
    return wrong <= several and bool(2 * single.sum() >= len(single))


def _number(cell: str) -> float:
    """The number of a cell, -1 for what is none."""
    text = cell.strip().lower()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else _TRUTHS.get(text, -1.0)
