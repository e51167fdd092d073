"""Which row of a table belongs to which image file, and what the rows say of it."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH122

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .classes import alias_of, split_name
from .names import words_of
from .paths import entry_path, folded, printable
from .sheets import has_odd_bytes, western
from .tables import Table


@dataclass
class Columns:
    """Class, split and group of N files by name, "" where there is none; and notes on how they were read.

    conflicts  file -> the labels that a table gives it, where these are several: it has none of them
    """

    classes: list[str]
    splits: list[str]
    groups: list[str]
    notes: list[str]
    conflicts: dict[int, tuple[str, ...]] = field(default_factory=dict)

    __repr__ = short_repr


def rows_of(columns: Columns, rows: Sequence[int]) -> Columns:
    """The columns of some of the files, without notes."""
    classes, splits, groups = (
        [column[row] for row in rows] for column in (columns.classes, columns.splits, columns.groups)
    )
    return Columns(classes, splits, groups, [])


def columns_of_list(names: Sequence[str], table: Table | None) -> tuple[list[int], Columns]:
    """(the lines of a list that name a file for the first time; label, split and group of each). Raises DataError.

    names  of the files on its lines, spelled alike
    """
    lines: dict[str, list[int]] = {}
    for line, name in enumerate(names):
        lines.setdefault(name, []).append(line)
    nothing = [""] * len(lines)
    columns = Columns(nothing[:], nothing[:], nothing[:], [])
    if table is not None:
        _fill(columns, table, dict(enumerate(lines.values())), list(lines))
    elif len(lines) < len(names):
        columns.notes.append(f"lines that name a file again were left out: {len(names) - len(lines):,}")
    return [of_file[0] for of_file in lines.values()], columns


def add_table(columns: Columns, names: Sequence[str], table: Table, *, required: bool) -> None:
    """Take label, split and group of each file from the table's rows of it, where there are some. Raises DataError."""
    if required and table.labels is None and not (any(columns.classes) and (table.splits or table.groups)):
        raise DataError(table.without_labels)
    if not table.files:
        _refuse_or_note(columns, table, required, f"{table.path} has no rows, only columns {', '.join(table.columns)}.")
        return
    matching = match_rows(names, columns.splits, table)
    rows = matching.rows
    if not rows:
        encoding = ", and save the table in UTF-8" if any(map(has_odd_bytes, table.files)) else ""
        _refuse_or_note(
            columns,
            table,
            required,
            f"{table.path} names none of the {len(names):,} images, but such as {western(table.files[0])!r}; "
            f"they are called {printable(names[0])!r}. Give their paths below the folder{encoding}.",
        )
        return
    _fill(columns, table, rows, names)
    if table.labels is None:
        columns.notes.append(f"{'splits' if table.splits else 'groups'}, but no labels, are from {table.path.name}")
    elif any(table.labels[row] for of_file in rows.values() for row in of_file):
        columns.notes.append(f"labels are from {table.path.name}")
    else:
        columns.notes.append(f"{table.path.name} names {len(rows):,} of the images, but gives none of them a label")
    columns.notes += _match_notes(matching, table)


def _refuse_or_note(columns: Columns, table: Table, required: bool, reason: str) -> None:
    if required:
        raise DataError(reason)
    columns.notes.append(f"{table.path.name} was not used: {reason.removeprefix(f'{table.path} ')}")


def _fill(columns: Columns, table: Table, rows: Mapping[int, Sequence[int]], names: Sequence[str]) -> None:
    """Set what the rows of each file say of it, and tell of those that say several things."""
    columns.notes += table.notes
    again = sum(len(of_file) - 1 for of_file in rows.values())
    if again:
        files = sum(len(of_file) > 1 for of_file in rows.values())
        columns.notes.append(f"{table.path.name} has several rows of {_files(files)}: {again:,} more than one each")
    sides = Counter[str]()
    example: dict[str, str] = {}
    for i, of_file in rows.items():
        for noun, source, target in (
            ("label", table.labels, columns.classes),
            ("split", table.splits, columns.splits),
            ("group", table.groups, columns.groups),
        ):
            if source is None:
                continue
            values = [split_name(source[row]) if noun == "split" else source[row] for row in of_file]
            different = tuple(dict.fromkeys(value for value in values if value))
            target[i] = different[0] if different else target[i]  # an empty cell takes nothing back
            if len(different) > 1 and noun == "label":
                target[i] = ""
                columns.conflicts[i] = different
            elif len(different) > 1:
                sides[noun] += 1
                example.setdefault(noun, f"{printable(names[i])}: {' and '.join(different)}")
    for noun, count in sides.items():
        columns.notes.append(
            f"{table.path.name} gives {_files(count)} more than one {noun}; the first was taken ({example[noun]})"
        )
    _tell_conflicts(columns, table, len(rows), names)


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"


def _tell_conflicts(columns: Columns, table: Table, files: int, names: Sequence[str]) -> None:
    if not columns.conflicts:
        return
    i, labels = next(iter(columns.conflicts.items()))
    example = f"{printable(names[i])}: {' and '.join(labels[:3])}{' ...' if len(labels) > 3 else ''}"
    count = len(columns.conflicts)
    if 2 * count > files:
        raise DataError(
            f"{table.path} gives {count:,} of {files:,} files more than one label ({example}). "
            "Give one class per image: Trustset does not read several labels of one image."
        )
    columns.notes.append(
        f"{table.path.name} gives {_files(count)} more than one label, "
        f"and {'it has' if count == 1 else 'they have'} none of them ({example})"
    )


# Which file a row is of


@dataclass(frozen=True)
class _Entry:
    """A path as a table writes it: the folders above a name, and the name."""

    folders: tuple[str, ...]
    base: str


def _as_entry(path: str) -> _Entry:
    *folders, base = path.split("/")
    return _Entry(tuple(folders), base)


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many folders two paths have in common, from the last on."""
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y and folded(x) != folded(y):
            break
        count += 1
    return count


def _stem(base: str) -> str:
    return os.path.splitext(base)[0]


def _digits(base: str) -> str:
    """The number that a name without extension is, without zeros before or a point behind."""
    match = re.fullmatch(r"0*(\d+)(?:\.0)?", base) or re.fullmatch(r"0*(\d+)", _stem(base))
    return match[1] if match else ""


def _folded_stem(base: str) -> str:
    return folded(_stem(base))


@dataclass(frozen=True)
class _Way:
    """How the names of files and of entries are compared: by a key of each, "" for none; and words for it."""

    words: str
    of_file: Callable[[str], str]
    of_entry: Callable[[str], str]


# The strictest first: a file that is found so is none for those behind.
_WAYS = (
    _Way("", str, str),
    _Way("by names without extension", _stem, str),
    _Way("with another extension", _stem, _stem),
    _Way("with other capitals", folded, folded),
    _Way("with other capitals, without extension", _folded_stem, folded),
    _Way("with other capitals and another extension", _folded_stem, _folded_stem),
    _Way("by their numbers", _digits, _digits),
)


@dataclass(frozen=True)
class Matching:
    """Which rows of a table are of which file.

    rows       file -> rows of the table, in their order;  strangers  rows without a file
    ways       how names were compared, where they are not alike -> rows
    split      the one whose images alone the rows are of, where the table is called like it; "" for any
    """

    rows: dict[int, list[int]]
    strangers: list[int]
    ways: Counter[str]
    split: str = ""

    __repr__ = short_repr


def match_rows(names: Sequence[str], splits: Sequence[str], table: Table) -> Matching:
    """The rows of a table that name each of some files, by the end of their paths.

    Raises DataError where a row may be of several files.
    """
    printed = [printable(name) for name in names]
    exact = {name: i for i, name in enumerate(printed)}
    paths = [_as_entry(name) for name in printed]
    matching = Matching({}, [], Counter(), _split_of_table(paths, splits, table))
    outside = {i for i, split in enumerate(splits) if matching.split not in ("", split)}
    left: list[int] = []
    for row, text in enumerate(table.files):
        i = next((exact[path] for path in _spellings(text) if path in exact), None)
        if i is None:
            left.append(row)
        else:
            matching.rows.setdefault(i, []).append(row)
    entries = {row: _as_entry(entry_path(western(table.files[row]))) for row in left}
    # Where a row's folders are those of a file, folders mean something: others of that name are other files.
    agreed = sum(bool(paths[i].folders) for i in matching.rows)
    for way in _WAYS:
        if not left:
            break
        free = [i for i in range(len(names)) if way is _WAYS[0] or i not in matching.rows]
        likely = _likely_files({row: entries[row] for row in left}, paths, free, way, outside)
        whole = [row for row, files in likely.items() if files.whole]
        agreed += sum(files.shared > 0 for row, files in likely.items() if files.whole)
        named = {i for row in whole for i in likely[row].files} | set(matching.rows)
        chosen = {row: files.files for row, files in likely.items() if files.whole} | _of_parts(likely, agreed, named)
        for row, files in sorted(chosen.items()):
            matching.rows.setdefault(_one_of(row, files, names, splits, table), []).append(row)
            if way.words:
                matching.ways[way.words] += 1
        left = [row for row in left if row not in chosen]
    matching.strangers.extend(left)
    return matching


@dataclass(frozen=True)
class _Likely:
    """Files that a row may be of: all share so many folders with it, the last ones; `whole` if all that both have."""

    files: list[int]
    shared: int
    whole: bool


def _spellings(text: str) -> Iterable[str]:
    """The paths that an entry may be, as it is first."""
    yield printable(text)
    yield entry_path(printable(text))
    if not text.isascii():
        yield entry_path(western(text))
    if "%" in text:
        yield entry_path(unquote(printable(text)))


def _split_of_table(paths: Sequence[_Entry], splits: Sequence[str], table: Table) -> str:
    """The split that a table is called like, as labels_train.csv is, where its images and others have equal names."""
    named = {alias_of(word) for word in words_of(table.path.stem)} - {""}
    if len(named) != 1 or table.splits:
        return ""
    split = named.pop()
    own = {_folded_stem(path.base) for path, side in zip(paths, splits, strict=True) if side == split}
    alike = any(_folded_stem(path.base) in own for path, side in zip(paths, splits, strict=True) if side != split)
    return split if alike else ""


def _likely_files(
    entries: Mapping[int, _Entry], paths: Sequence[_Entry], free: Sequence[int], way: _Way, outside: Collection[int]
) -> dict[int, _Likely]:
    """The free files whose names are those of some rows, in one way; of each row those that share most folders.

    outside  files that a row without folders is not of
    """
    index: dict[str, list[int]] = {}
    for i in free:
        if key := way.of_file(paths[i].base):
            index.setdefault(key, []).append(i)
    likely: dict[int, _Likely] = {}
    for row, entry in entries.items():
        namesakes: Sequence[int] = index.get(way.of_entry(entry.base), ())
        if outside and not entry.folders:
            namesakes = [i for i in namesakes if i not in outside]
        shared = [_shared(entry.folders, paths[i].folders) for i in namesakes]
        if namesakes:
            most = max(shared)
            files = [i for i, count in zip(namesakes, shared, strict=True) if count == most]
            whole = [i for i in files if most >= min(len(entry.folders), len(paths[i].folders))]
            likely[row] = _Likely(whole or files, most, bool(whole))
    return likely


def _of_parts(likely: Mapping[int, _Likely], agreed: int, named: Collection[int]) -> dict[int, list[int]]:
    """Rows that share a part of their folders with files, as paths below another root do, and these files.

    agreed  rows that share all their folders with files;  named  files that such rows name
    """
    parts = {row: files for row, files in likely.items() if not files.whole}
    if not parts or agreed >= len(parts):
        return {}
    usual = Counter(files.shared for files in parts.values())
    depth = max(usual, key=lambda shared: (usual[shared], shared))
    chosen = {row: [i for i in files.files if i not in named] for row, files in parts.items() if files.shared >= depth}
    return {row: files for row, files in chosen.items() if files}


def _one_of(row: int, files: Sequence[int], names: Sequence[str], splits: Sequence[str], table: Table) -> int:
    """The one of several files that a row is of, by the row's split. Raises DataError."""
    if len(files) > 1 and table.splits:
        files = [i for i in files if splits[i] == split_name(table.splits[row])] or files
    if len(files) > 1:
        raise DataError(
            f"{table.path} names {table.files[row]!r}, but {len(files)} images are called so, "
            f"{printable(names[files[0]])} and {printable(names[files[1]])} among them. "
            "Give their paths below the folder."
        )
    return files[0]


def _match_notes(matching: Matching, table: Table) -> list[str]:
    name = table.path.name
    notes = [f"files of {name} were found {words}: {count:,}" for words, count in matching.ways.items()]
    if matching.split:
        notes.append(f"{name} is of the images of {matching.split}, by its own name: others are called alike")
    if matching.strangers:
        files = [printable(table.files[row]) for row in matching.strangers]
        shown = ", ".join(files[:3]) + (" ..." if len(files) > 3 else "")
        notes.append(f"rows of {name} whose file is not there: {len(files):,} ({shown})")
    return notes
