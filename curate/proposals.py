"""Readers of decisions that were made elsewhere: a table, to which those of labelling tools are added."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .deciding import ids_in
from .decisions import NOT_COPIES, Proposal, action_named, proposal, proposals_of, read_history
from .scans import Scanned
from .sets.sheets import Sheet
from .stage.errors import DataError, UnknownName, telling
from .stage.registry import Registry


@dataclass(frozen=True)
class Received:
    """What a file proposes, and what of it was left aside.

    selected  proposals without an action: the file is a selection of images, and what becomes of them is to be said
    """

    proposals: Sequence[Proposal]
    notes: tuple[str, ...] = ()
    selected: Sequence[Proposal] = ()


@dataclass(frozen=True)
class Reader:
    """How files of one kind are read.

    takes  whether a file (or folder) is of this kind, by its path and its first bytes, of a folder none
    read   what it proposes for the images of a scan, by ids as far as these are known. Raises DataError
    """

    takes: Callable[[Path, bytes], bool]
    read: Callable[[Path, Scanned], Received]


# By name; of several that take a file the one that was added last reads it: whoever knows a tool adds its own.
READERS: Registry[Reader] = Registry("reader of decisions")


def _is_json(path: Path, head: bytes) -> bool:
    return path.suffix.lower() in (".jsonl", ".json", ".ndjson") or head.lstrip()[:1] in (b"{", b"[")


def _from_json(path: Path, scan: Scanned) -> Received:
    """Of decisions.jsonl what stands in it; of another file of JSON its objects, one a line or all in one list."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):  # of several lines
        return Received(_from_lines(path))
    if isinstance(document, dict) and isinstance(document.get("entries"), list):
        document = document["entries"]
    entries = document if isinstance(document, list) else [document]
    with telling(str(path)):
        return Received(proposals_of(entries))


def _from_lines(path: Path) -> list[Proposal]:
    history = read_history(path)
    alone = list(history.standing.values())
    return [proposal(decision) for decision in sorted([*alone, *history.apart], key=lambda decision: decision.line)]


_COLUMNS = ("id", "action", "label", "ids", "why")


def _from_table(path: Path, scan: Scanned) -> Received:
    """Rows of a table: id, action, label and why; ids of those that are no copies of each other, and of the id."""
    sheet = Sheet.read(path)
    places = {name.strip().lower(): number for number, name in enumerate(sheet.columns)}
    if "action" not in places or not {"id", "ids"} & places.keys():
        raise DataError(
            f"{path} holds no decisions: its columns are {', '.join(sheet.columns)}. Needed are id and action, and "
            "label where something is relabelled."
        )
    proposals: list[Proposal] = []
    skipped = 0
    for number, row in enumerate(sheet.rows, 2):
        cell = {name: row[places[name]] if name in places else "" for name in _COLUMNS}
        with telling(f"{path}, row {number}"):
            try:
                action = action_named(cell["action"])
            except UnknownName as error:
                raise DataError(str(error)) from None
            if not action:
                skipped += 1
                continue
            proposals += proposals_of([_entry(cell, action, scan)])
    notes = [f"{skipped:,} of {len(sheet.rows):,} rows of {path.name} have no action, and were skipped"] * bool(skipped)
    return Received(proposals, (*sheet.notes, *notes))


def _entry(cell: dict[str, str], action: str, scan: Scanned) -> dict[str, object]:
    """The cells of a row as an entry."""
    name = cell["id"] if cell["id"] in scan.roster.row_of else cell["id"].strip()
    if action == NOT_COPIES:
        ids = ids_in(cell["ids"], scan.roster)
        return {"action": action, "ids": [*filter(None, [name]), *ids], "why": cell["why"]}
    label = cell["label"] if cell["label"] in scan.roster.classes else cell["label"].strip()
    return {"id": name, "action": action, "label": label, "why": cell["why"]}


READERS.put(
    "table", Reader(lambda path, head: path.suffix.lower() in (".csv", ".tsv", ".txt", ".parquet"), _from_table)
)
READERS.put("json", Reader(_is_json, _from_json))
