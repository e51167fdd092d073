"""csv: a line an image, to be looked through and filled in with any spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..decisions import RELABEL, action_named
from ..proposals import READERS, Reader, Received
from ..scans import Scanned
from ..sets.decoding import FilePictures
from ..sets.exporting import Loading
from ..sets.sheets import Sheet
from ..stage.errors import DataError, telling
from ..stage.files import python_text, replacing
from ..stage.progress import Advance
from .answers import Answer, received
from .cases import Case, Handover, rounded
from .escaping import escaped_cell, unescaped
from .tools import TOOLS, Tool, apply_line

# What a person fills in comes last. `decided` is what was decided already.
COLUMNS = (
    "id", "path", "label", "split", "verdict", "checks", "because", "suggested", "chance", "score", "group", "digest",
    "decided", "action", "new_label",
)  # fmt: skip


def write(handover: Handover, to: Path, advance: Advance) -> Loading:
    """A CSV of UTF-8, marked as such, with COLUMNS; no cell of it is a formula or steers a screen."""
    pictures = handover.images.images
    with replacing(to) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            table = csv.writer(text, lineterminator="\n")
            table.writerow(COLUMNS)
            for number, case in enumerate(handover.cases, 1):
                path = pictures.path(case.row) if isinstance(pictures, FilePictures) else ""
                table.writerow(_cells(case, path))
                advance(number)
        finally:
            text.detach()
    return Loading(
        "pandas",
        lambda path: f"pandas.read_csv({python_text(path)}, dtype=str, keep_default_na=False)",
        steps=lambda path: {
            "fill in": "action (keep, drop, review or relabel), and new_label where it is not the suggested one",
            "back": apply_line(handover, path),
        },
    )


def _cells(case: Case, path: str) -> Sequence[object]:
    texts = (case.id, path, case.label, case.split, case.verdict, ", ".join(case.checks), case.because, case.suggested)
    numbers = (rounded(case.chance, 2), rounded(case.score, 2) if case.findings else None)
    group = case.group if case.group >= 0 else ""
    return (*map(escaped_cell, texts), *numbers, group, case.digest, escaped_cell(case.decided), "", "")


# Back


def _takes(path: Path, head: bytes) -> bool:
    columns = head.replace(b"\0", b"").split(b"\n", 1)[0]  # of two bytes a letter, as spreadsheets have it
    return path.suffix.lower() in (".csv", ".tsv", ".txt") and b"new_label" in columns and b"because" in columns


def _read(path: Path, scan: Scanned) -> Received:
    """The lines that were filled in; to relabel without a new label is to take the suggested one."""
    sheet = Sheet.read(path)
    places = {name.strip().lower(): number for number, name in enumerate(sheet.columns)}
    lacking = [name for name in ("id", "label", "action", "new_label") if name not in places]
    if lacking:
        raise DataError(f"{path} has no column {lacking[0]}, which `curate export --to csv` writes. Leave it as it is.")
    answers = []
    for number, row in enumerate(sheet.rows, 2):
        cell = {name: unescaped(row[place]) for name, place in places.items()}
        with telling(f"{path}, row {number}"):
            answers.append(_answer(cell))
    return received(answers, sheet.notes)


def _answer(cell: Mapping[str, str]) -> Answer:
    action, label = action_named(cell["action"]), cell["new_label"].strip()
    if action == RELABEL:
        label = label or cell.get("suggested", "")
        if not label:
            raise DataError(f"{cell['id']} is to be relabelled, and no class is suggested. Fill in new_label.")
    elif action and label:
        raise DataError(f"{cell['id']} has the action {action} and a new label. Fill in one of them.")
    return Answer(
        cell["id"],
        cell.get("digest", ""),
        cell["label"],
        cell.get("decided", ""),
        "" if action == RELABEL else action,
        label,
        by="",
        confirmed=bool(action or label),
        why=cell.get("why", ""),
    )


READERS.put("csv", Reader(_takes, _read))


TOOLS.put("csv", Tool(write, suffix=".csv", pictures=False))
