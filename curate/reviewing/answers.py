"""What is answered at each address of a review: pages, columns, words, pictures, neighbours, decisions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np

from ..decisions import proposals_of
from ..likeness import Likeness
from ..scans import Scanned
from ..stage.errors import DataError, OutputError, ToolkitError
from ..stage.manifest import FILE
from ..stage.shortness import short_repr
from .guarding import NOTHING
from .journal import Journal
from .originals import original
from .packs import LARGEST, MOST_ROWS, SMALLEST, Packs
from .pictures import Later, Missing, SourcePictures, Unready

JSON, BYTES, HTML = "application/json", "application/octet-stream", "text/html; charset=utf-8"
FOUND = 1_000  # rows that a search gives at most
_USUAL_SIDE = 96
_MANY_NEIGHBOURS = 100

State = tuple[int, int, int]


class Superseded(DataError):
    """The scan that is shown is no longer the one that lies there."""


class Nowhere(DataError):
    """There is nothing at an address."""


@dataclass(frozen=True)
class Answer:
    """What goes back: a status of HTTP, the type of the body, the body.

    lasting  whether it is the same at every later time, so that a browser may keep it for a while
    allow    the methods that the address takes, where it does not take that of the request
    """

    body: bytes
    kind: str = JSON
    status: int = 200
    lasting: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Contents:
    """What a review shows, and what does not change while it runs.

    files    name -> (type, bytes): "" is the page, then its scripts and styles
    info     what the page's script has to know first;  columns  name -> array, little-endian
    classes  in the order of their numbers
    details  rows -> what is said of each in words, as JSON has it
    """

    files: Mapping[str, tuple[str, bytes]]
    info: Mapping[str, object]
    columns: Mapping[str, np.ndarray]
    classes: Sequence[str]
    details: Callable[[Sequence[int]], list[dict[str, object]]]

    __repr__ = short_repr


class Answers:
    """The answers of one review. Any number of threads may ask at once.

    state  of the scan before it was opened (see scan_state): should it change, nothing of it is shown any more
    """

    def __init__(
        self,
        scan: Scanned,
        contents: Contents,
        pictures: SourcePictures,
        packs: Packs,
        likeness: Later[Likeness],
        state: State | None = None,
    ) -> None:
        self._scan, self._contents, self._pictures, self._packs = scan, contents, pictures, packs
        self._likeness = likeness
        self.journal = Journal(scan, contents.classes)
        self._digests: list[str] = scan.table["digest"].tolist()
        self._lowered = [name.lower() for name in scan.table["id"]]
        self._state = state or scan_state(scan.folder)
        self._decoding = scan.manifest.decoding
        self._routes: Mapping[str, Callable[[str, Mapping[str, str]], Answer]] = {
            "info": self._info,
            "columns": self._column,
            "details": self._details,
            "thumbnails": self._thumbnails,
            "original": self._original,
            "neighbours": self._neighbours,
            "search": self._search,
            "decisions": self._decisions,
        }

    def get(self, place: str, query: str) -> Answer:
        """The answer to a GET of a place below the token, such as "columns/label"."""
        return self._told(lambda: self._got(place, query))

    def post(self, place: str, query: str, body: bytes) -> Answer:
        """The answer to a POST, of decisions alone."""
        return self._told(lambda: self._posted(place, query, body))

    def takes(self, place: str) -> tuple[str, ...]:
        """The methods that an address takes, none where there is none."""
        first, slash, rest = place.partition("/")
        if place in self._contents.files:
            return ("GET",)
        if first not in self._routes or bool(slash) != (first in ("columns", "original", "neighbours")) or "/" in rest:
            return ()
        return ("GET", "POST") if first == "decisions" else ("GET",)

    def _told(self, make: Callable[[], Answer]) -> Answer:
        """What is made, or in words why it cannot be."""
        try:
            if scan_state(self._scan.folder) != self._state:
                raise Superseded("this set was scanned again: start `curate review` anew. Decisions are kept.")
            return make()
        except ToolkitError as error:
            return refused(_status_of(error), str(error))

    def _got(self, place: str, query: str) -> Answer:
        if place in self._contents.files:
            kind, body = self._contents.files[place]
            return Answer(body, kind)
        if not self.takes(place):
            raise Nowhere(NOTHING)
        first, _, rest = place.partition("/")
        return self._routes[first](rest, _words(query))

    def _posted(self, place: str, query: str, body: bytes) -> Answer:
        if place != "decisions":
            raise Nowhere(NOTHING)
        document, words = _document(body), _words(query)
        since = _number(words["after"], "after") if "after" in words else None
        entries, lines = document.get("entries"), document.get("undo")
        if isinstance(entries, list) and lines is None:
            return _as_json(self.journal.append(proposals_of(entries), since))
        if entries is None and isinstance(lines, list) and all(type(line) is int for line in lines):
            return _as_json(self.journal.take_back(lines, since))
        raise DataError('needed is {"entries": [{"id", "action"}, ...]} or {"undo": [LINE, ...]}.')

    def _info(self, rest: str, words: Mapping[str, str]) -> Answer:
        return _as_json(self._contents.info)

    def _column(self, name: str, words: Mapping[str, str]) -> Answer:
        if name not in self._contents.columns:
            raise Nowhere(NOTHING)
        values = self._contents.columns[name]
        return Answer(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes(), BYTES)

    def _details(self, rest: str, words: Mapping[str, str]) -> Answer:
        return _as_json(self._contents.details(self._rows(words)))

    def _thumbnails(self, rest: str, words: Mapping[str, str]) -> Answer:
        side = _number(words.get("side", str(_USUAL_SIDE)), "side")
        if not SMALLEST <= side <= LARGEST:
            raise DataError(f"side is {side}; needed is one from {SMALLEST} to {LARGEST}.")
        return Answer(self._packs.pack(self._rows(words), side), BYTES)

    def _original(self, rest: str, words: Mapping[str, str]) -> Answer:
        row = self._row(rest)
        kind, body = original(self._pictures, row, self._decoding, readable=bool(self._digests[row]))
        return Answer(body, kind, lasting=True)

    def _neighbours(self, rest: str, words: Mapping[str, str]) -> Answer:
        row, count = self._row(rest), _number(words.get("count", "12"), "count")
        rows, distances = self._likeness.take().nearest(row, min(count, _MANY_NEIGHBOURS))
        return _as_json({"rows": rows.tolist(), "distances": [round(float(d), 4) for d in distances]})

    def _search(self, rest: str, words: Mapping[str, str]) -> Answer:
        wanted = words.get("q", "").lower()
        rows = (row for row, name in enumerate(self._lowered) if wanted and wanted in name)
        return _as_json({"rows": [row for row, _ in zip(rows, range(FOUND), strict=False)]})

    def _decisions(self, rest: str, words: Mapping[str, str]) -> Answer:
        return _as_json(self.journal.after(_number(words.get("after", "0"), "after")))

    def _row(self, text: str) -> int:
        row = _number(text, "row")
        if row >= len(self._digests):
            raise Nowhere(f"there is no row {row}: the scan has {len(self._digests):,}.")
        return row

    def _rows(self, words: Mapping[str, str]) -> list[int]:
        texts = [text for text in words.get("rows", "").split(",") if text]
        if len(texts) > MOST_ROWS:
            raise DataError(f"{len(texts):,} rows are asked for; at most {MOST_ROWS} are answered at once.")
        return [self._row(text) for text in texts]


def refused(status: int, sentence: str) -> Answer:
    """An answer that says why there is none."""
    return Answer(json.dumps({"error": sentence}).encode("ascii"), JSON, status)


def _status_of(error: ToolkitError) -> int:
    kinds: Mapping[type[ToolkitError], int] = {
        Superseded: 409, Nowhere: 404, Missing: 404, Unready: 503, OutputError: 507,
    }  # fmt: skip
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 400)


def scan_state(folder: Path) -> State | None:
    """What changes of the manifest in a scan's folder when the set is scanned again; None while that is under way."""
    try:
        status = os.stat(folder / FILE)  # noqa: PTH116  at every request
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _as_json(value: object) -> Answer:
    return Answer(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _words(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _document(body: bytes) -> dict[str, object]:
    """The JSON object of a body. Raises DataError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is no JSON ({error}).") from None
    if not isinstance(document, dict):
        raise DataError("needed is a JSON object.")
    return document


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise DataError(f"{name} is {text[:40]!r}; needed is a whole number from 0.")
    return int(text)
