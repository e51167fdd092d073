"""csv: a line an image, to be looked through and filled in with any spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..sets.decoding import FilePictures
from ..sets.exporting import Loading
from ..stage.files import python_text, replacing
from ..stage.progress import Advance
from .cases import Case, Handover, rounded
from .escaping import escaped_cell
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


TOOLS.put("csv", Tool(write, suffix=".csv", pictures=False))
