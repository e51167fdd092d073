"""Tables as they lie on disk: text of any encoding and separator, JSON lines, Parquet; their cells as text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..stage.errors import DataError, gist
from ..stage.shortness import short_repr
from .decoding import has_image_extension

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
# Of files in a folder, these are looked at as tables; a .txt may say anything.
SHEET_SUFFIXES = (".csv", ".tsv", ".tab", *JSON_SUFFIXES, ".parquet")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_MARKS = ",;\t|"
_SAMPLE = 200  # records that the separator is chosen by
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
# How spreadsheets and archives begin: zip and .xlsx, .xls, gzip, bzip2, xz.
_PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
# Excel's first line, "sep=;".
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[;,\t]*\r?\n?', re.IGNORECASE)
# The first line of a list that this toolkit wrote: see writing.py.
_OWN_HEADER = re.compile(r'"file"(,"label")?(,"split")?(,"group")?(,"given_label")?,"id"\r?\n?')


@dataclass(frozen=True, eq=False)
class Sheet:
    """The cells of a table, each row as long as the header.

    columns   the header as written; without one "column 1", "column 2" ... (see `headless`)
    rows      text of each cell, "" where there is none; bytes that are no UTF-8 as lone surrogates (see `western`)
    notes     sentences on what was mended or left out
    verbatim  written by this toolkit: every cell is meant as it is
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()
    verbatim: bool = False

    __repr__ = short_repr

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """The table of a file, by the ending of its name. Raises DataError."""
        suffix = path.suffix.lower()
        if suffix in SPREADSHEETS:
            raise DataError(f"{path} is a spreadsheet. Save it as CSV, with columns file and label.")
        if suffix == ".parquet":
            return _parquet_sheet(path)
        data = _bytes_of(path)
        if data.startswith(_PACKED):
            raise DataError(
                f"{path} is a spreadsheet or an archive, no text. Save it as CSV, with columns file and label."
            )
        text, encoding = _decoded(data, path)
        notes = [f"{path.name} is {encoding}"] if encoding else []
        if suffix == ".txt":  # where "#" begins a comment
            text = "".join("\n" if line.lstrip().startswith("#") else line for line in text.splitlines(keepends=True))
        return _json_sheet(path, text, notes) if suffix in (".json", *JSON_SUFFIXES) else _text_sheet(path, text, notes)

    def column(self, number: int) -> list[str]:
        """The cells of a column."""
        return [row[number] for row in self.rows]

    def headless(self) -> Sheet:
        """With its header as the first row, and numbers for names of the columns."""
        names = tuple(f"column {number}" for number, _ in enumerate(self.columns, 1))
        note = f"{self.path.name} has no header: its columns are called {' and '.join(names)}"
        return Sheet(self.path, names, [list(self.columns), *self.rows], (*self.notes, note))


def has_odd_bytes(cell: str) -> bool:
    """Whether a cell holds bytes that are no UTF-8."""
    return not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell)


def western(cell: str) -> str:
    """A cell whose bytes are no UTF-8, read as Windows-1252 or, where that has no such letter, Latin-1.

    >>> western(b"caf\\xe9".decode("utf-8", "surrogateescape"))
    'café'
    """
    if not has_odd_bytes(cell):
        return cell
    data = cell.encode("utf-8", "surrogateescape")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def text_lines(path: Path) -> list[str]:
    """The lines of a text file, without comments that begin with "#" and empty ones. Raises DataError."""
    text, _ = _decoded(_bytes_of(path), path)
    lines = [line.strip() for line in io.StringIO(text, newline=None)]
    return [line for line in lines if line and not line.startswith("#")]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _decoded(data: bytes, path: Path) -> tuple[str, str]:
    """(text; the name of its encoding where it is worth a word). Bytes that are no UTF-8 become lone surrogates."""
    encoding, name = next(((codec, name) for mark, codec, name in _BOMS if data.startswith(mark)), ("utf-8", ""))
    if encoding == "utf-8" and (guess := _utf16_without_mark(data[:1000])):
        encoding, name = guess, "UTF-16"
    try:
        text = data.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as {name}: {error.reason}. Save it as CSV in UTF-8.") from error
    if "\0" in text:
        raise DataError(
            f"{path} is no text: it holds bytes of 0. Save it as CSV in UTF-8, with columns file and label."
        )
    return text, name


def _utf16_without_mark(head: bytes) -> str:
    """The encoding where one byte of two is often 0 and the other is not, as of text with separators in UTF-16.

    >>> _utf16_without_mark("file,label".encode("utf-16-le")), _utf16_without_mark(b"file,label")
    ('utf-16-le', '')
    """
    first, second = (head[start::2].count(0) / max(len(head) // 2, 1) for start in (0, 1))
    if max(first, second) < max(0.02, 5 * min(first, second)):
        return ""
    return "utf-16-be" if first > second else "utf-16-le"


# Separated text


def _text_sheet(path: Path, text: str, notes: list[str]) -> Sheet:
    own = _OWN_HEADER.match(text) is not None
    first = _SEPARATOR_LINE.match(text)
    if first:
        text = "\n" + text[first.end() :]  # lines keep their numbers
    mark = first[1] if first else _separator(text)
    try:
        records = _spaced(text) if not mark else _records(text, mark, path, notes)
    except csv.Error as error:
        raise DataError(
            f"{path} is no table: {error}. Save it as CSV in UTF-8, with columns file and label."
        ) from error
    if not records:
        raise DataError(f"{path} is empty. Needed is a table with columns file and label.")
    above = _lines_above(records)
    if above:
        notes.append(f"lines above the header of {path.name} were left out: {above:,}")
    (_, header), *body = records[above:]
    columns, rows = _squared(path, header, [row for _, row in body], [line for line, _ in body], notes)
    return Sheet(path, columns, rows, tuple(notes), own)


def _lines_above(records: Sequence[tuple[int, list[str]]]) -> int:
    """How many records stand above the header: titles of one cell where most rows have more, and remarks behind "#"."""
    usual = Counter(len(record) for _, record in records).most_common(1)[0][0]

    def is_header(cells: list[str]) -> bool:
        remark = cells[0].startswith("#") and any(" " in cell.strip("# ") for cell in cells)
        return not remark and (usual == 1 or sum(map(bool, map(str.strip, cells))) > 1)

    return next((i for i, (_, record) in enumerate(records) if is_header(record)), 0)


def _separator(text: str) -> str:
    """The mark that gives most rows as many cells as the first; "" for spaces, "," where there is but one cell."""
    best, separator = (False, 0.0, 1), ","
    for mark in _MARKS:
        widths = _widths(text, mark)
        usual = Counter(widths).most_common(1)[0][0] if widths else 1
        merit = (widths[:1] == [usual], widths.count(usual) / max(len(widths), 1), usual)
        if usual > 1 and merit > best:
            best, separator = merit, mark
    if best[2] > 1:
        return separator
    lines = [line for line in io.StringIO(text, newline=None) if line.strip()][:_SAMPLE]
    named = sum(any(map(has_image_extension, _pair(line))) for line in lines)
    return "" if named and named >= len(lines) - 1 and all(len(_pair(line)) == 2 for line in lines) else separator


def _widths(text: str, mark: str) -> list[int]:
    """How many cells the first records have with a separator; none where it cannot be one."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        return [len(record) for record in islice((record for record in reader if any(record)), _SAMPLE)]
    except csv.Error:
        return []


def _records(text: str, mark: str, path: Path, notes: list[str]) -> list[tuple[int, list[str]]]:
    """(last line, cells) of every record that is not empty. Raises csv.Error."""

    def parsed(strict: bool) -> list[tuple[int, list[str]]]:
        # Quoted text keeps its leading spaces, text after "a, b" loses them.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True, strict=strict)
        records, line = [], 0
        try:
            for record in reader:
                line = reader.line_num
                if any(cell.strip() for cell in record):
                    records.append((line, record))
        except csv.Error as error:
            reason = "a quotation mark is never closed" if "unexpected end" in str(error) else str(error)
            raise csv.Error(f"{reason} (line {line + 1})") from error
        return records

    try:
        return parsed(strict=True)
    except csv.Error as error:
        if "expected after" not in str(error):
            raise
        notes.append(f"{path.name} has text behind a closing quotation mark, which was taken as it is")
        return parsed(strict=False)


def _spaced(text: str) -> list[tuple[int, list[str]]]:
    """Records of "path label" or "number path"."""
    lines = enumerate(io.StringIO(text, newline=None), 1)
    return [(number, _pair(line)) for number, line in lines if line.strip() and not line.startswith("#")]


def _pair(line: str) -> list[str]:
    """The two cells of a line that spaces separate: spaces in a path are its own.

    >>> _pair("my cat.png a tabby"), _pair("7 my cat.png"), _pair("file label")
    (['my cat.png', 'a tabby'], ['7', 'my cat.png'], ['file', 'label'])
    """
    line = line.strip()
    if has_image_extension(line):
        return line.split(None, 1)
    for space in re.finditer(r"\s+", line):
        if has_image_extension(line[: space.start()]):
            return [line[: space.start()], line[space.end() :]]
    return line.rsplit(None, 1)


def _squared(
    path: Path, header: list[str], rows: list[list[str]], lines: Sequence[int], notes: list[str]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """(columns, rows as long as these). Short rows are filled, longer ones left out unless what is beyond is empty."""
    width = len(header)
    if rows and all(len(row) == width + 1 for row in rows) and _counts([row[0] for row in rows]):  # as R writes it
        header, width = ["", *header], width + 1
        notes.append(f"the header of {path.name} is one name short: its first column was taken as row names")
    while (
        width > 1 and not header[width - 1].strip() and not any(any(map(str.strip, row[width - 1 :])) for row in rows)
    ):
        width -= 1  # a separator at the end of every line
    short: list[int] = []
    long: list[int] = []
    squared = []
    again = sum(row == header for row in rows)
    for line, row in zip(lines, rows, strict=True):
        if row == header:
            continue
        if any(map(str.strip, row[width:])):
            long.append(line)
            continue
        if len(row) < width:
            short.append(line)
        squared.append(row[:width] + [""] * (width - len(row)))
    if again:
        notes.append(f"rows of {path.name} that repeat the header were left out: {again:,}")
    if short:
        notes.append(f"short rows of {path.name} whose last values are missing: {len(short):,} ({_lines(short)})")
    if long:
        notes.append(
            f"rows of {path.name} with more than {width} values were left out: {len(long):,} ({_lines(long)}); "
            "put text that holds the separator into quotes"
        )
    return tuple(name.strip(" \t\ufeff\u200b") for name in header[:width]), squared


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are the numbers of their rows, from 0 or 1."""
    return any(all(cell == str(number) for number, cell in enumerate(cells, start)) for start in (0, 1))


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:3])) + (" ..." if len(numbers) > 3 else "")
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"


# JSON lines and Parquet


def _json_sheet(path: Path, text: str, notes: list[str]) -> Sheet:
    if path.suffix.lower() == ".json" or text.lstrip().startswith("["):
        values = _json_values(path, text)
        places = [f"entry {number} " for number in range(1, len(values) + 1)]
    else:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        values, places = [_parsed(path, f"line {i} ", line) for i, line in lines], [f"line {i} " for i, _ in lines]
    records: list[dict[str, object]] = []
    for place, value in zip(places, values, strict=True):
        if not isinstance(value, dict):
            raise DataError(f'{path}: {place}is no object. Needed is one such as {{"file_name": ..., "label": ...}}.')
        records.append(value)
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    return Sheet(path, columns, [[_cell(record.get(key)) for key in columns] for record in records], tuple(notes))


def _json_values(path: Path, text: str) -> list[object]:
    """What a JSON document lists: objects, or labels by the names of files. Raises DataError."""
    document = _parsed(path, "it ", text)
    if isinstance(document, dict) and document and all(isinstance(v, (str, int, float)) for v in document.values()):
        return [{"file": name, "label": value} for name, value in document.items()]
    if isinstance(document, list):
        return document
    raise DataError(f'{path} lists no images. Needed is [{{"file_name": ..., "label": ...}}, ...], or a CSV.')


def _parsed(path: Path, place: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {place}is no JSON ({error}). Needed is one object for each image.") from error


def _cell(value: object) -> str:
    """A value as text; a list of one as that."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _parquet_sheet(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    try:
        with pq.ParquetFile(path) as file:
            kept = [field.name for field in file.schema_arrow if _is_plain(field.type)]
            left = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
            columns = [file.read(columns=[name])[name].to_pylist() for name in kept]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {gist(error)}") from error
    notes = (f"columns of {path.name} that hold neither text nor numbers were left out: {', '.join(left)}",)
    return Sheet(path, tuple(kept), _by_row(columns), notes if left else ())


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    return pa.types.is_null(kind) or any(test(kind) for test in tests)


def _by_row(columns: Iterable[list[object]]) -> list[list[str]]:
    return [list(map(_cell, row)) for row in zip(*columns, strict=True)]
