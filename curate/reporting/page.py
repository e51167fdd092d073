"""page(scan, overview) -> str: what a scan found, as one HTML page that opens offline; and the same page, to be served.

Pictures, script and style are all inside; the page makes no request. The same scan gives the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from ..findings import CATALOGUE, KEEP
from ..likeness import looks_of, nearest_of_each, typical
from ..reviews import likeliest_first
from ..stage.lines import printable
from ..stage.options import elsewhere
from .base import BASE, Report, asset, render
from .columns import Columns, columns_of, details_of, info_of, inlined_columns
from .overviews import Overview, StorySummary, lead, meaning, untested
from .placing import placed
from .strips import evenly
from .thumbnails import UNREADABLE, Thumbnails, thumbnails

if TYPE_CHECKING:
    from ..scans import Scan

PACKAGE = "curate.reporting"  # where the template, the style and the scripts of this page are
# In the order in which they are put together, inside one function.
SCRIPTS = (
    "base", "carriers", "decisions", "rows", "comparing", "labelling", "galleries", "closer", "queue", "grid", "keys",
    "points", "map", "selection", "main",
)  # fmt: skip
COLOURS_HERE = "/* the colours of the checks */"  # in the style, where those of the catalogue are put
TOLD = 6  # stories told at once; more are folded away
CLASSES_AT_ONCE = 30
ROWS = 60_000  # of a larger set the page carries those that are flagged, then an even sample of the others
WITH_PICTURES = 6_000  # rows that get a thumbnail
LOOKED_AT, FLAGGED_SIDE, OTHER_SIDE = 192, 96, 64  # pixels: what awaits review deserves the largest
PICTURE_BYTES = 6_000_000
NEIGHBOURS = 5  # of the first that await review
WITH_NEIGHBOURS = 500


def page(scan: Scan, overview: Overview) -> str:
    """The whole page of a scan: HTML with everything inlined, to be written as UTF-8."""
    findings = scan.findings.reset_index(drop=True)
    looks = looks_of(scan.table["digest"].fillna("").tolist(), scan.images.labels)
    columns = columns_of(
        scan.table,
        findings,
        scan.images.classes,
        typical_rows(scan.embeddings, scan.table, findings, len(scan.images.classes), looks),
        placed(scan.table, findings),
        _carried(scan.table, findings),
    )
    queue = columns.rows[columns.values["queue"]]
    near = nearest_of_each(scan.embeddings, looks, queue[:WITH_NEIGHBOURS], NEIGHBOURS)
    pictures = _pictures(scan, overview, columns, chain.from_iterable(near.values()))
    data = {
        **_data(scan.table, findings, columns, pictures),
        "info": info_of(overview, columns, findings),
        "neighbours": {columns.place([row])[0]: columns.place(nearest) for row, nearest in near.items()},
    }
    content = {
        **_content(overview, columns, findings),
        "script": Markup(script()),
        "data": _json(data),
        "pictures": _json(_picture_data(pictures)),
    }
    return render(_report(overview), PACKAGE, _own_style(), content)


def served_page(overview: Overview, columns: Columns, findings: pd.DataFrame) -> str:
    """The page of a scan that asks for all else where it came from: page.css, page.js, and what the set is.

    columns  of all rows;  findings  numbered 0, 1, 2 ...
    """
    return render(_report(overview), PACKAGE, "", _content(overview, columns, findings), inlined=False)


def style() -> str:
    """The whole style of the page."""
    return asset(BASE, "base.css") + _own_style()


def script() -> str:
    """The page's own script: its parts, inside one function."""
    parts = [asset(PACKAGE, f"scripts/{name}.js") for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def _own_style() -> str:
    """The style of this page, with a rule for the colour of each check."""
    rules = [f'[data-check="{name}"] {{ --check: {check.colour}; }}' for name, check in CATALOGUE.items()]
    return asset(PACKAGE, "report.css").replace(COLOURS_HERE, "\n".join(rules)) + asset(PACKAGE, "map.css")


def _report(overview: Overview) -> Report:
    """What stands around the page's own sections."""
    return Report(
        kind="scan",
        name=overview.name,
        notes=overview.notes,
        files=overview.written,
        settings=[("Reading", overview.reading), ("Settings", overview.settings)],
        versions=overview.packages,
        timings=overview.timings,
    )


def _content(overview: Overview, columns: Columns, findings: pd.DataFrame) -> dict[str, object]:
    """What the template shows of any page, with the strips by the places of their rows."""

    def with_strip(stories: Iterable[StorySummary]) -> list[tuple[StorySummary, str]]:
        return [(story, json.dumps([columns.place(rows) for rows in story.strip])) for story in stories]

    artifacts = dict(overview.settings).get("artifacts", "")
    return {
        "overview": overview,
        "classes": columns.classes,
        "lead": lead(overview),
        "leading": with_strip(overview.leading),
        "untested": untested(overview),
        "left_out": _left_out(overview, columns, findings),
        "missing": _missing(columns, findings),
        "found": {check.name for check in overview.checks},
        "stories": with_strip(overview.stories),
        "told_at_once": TOLD,
        "meaning": meaning(overview.effect) if overview.effect else "",
        "largest": max([1, *(entry.images for entry in overview.classes)]),
        "classes_at_once": CLASSES_AT_ONCE,
        "applied_by": f"curate apply{elsewhere(artifacts) if artifacts not in ('', 'none') else ''}",
    }


def typical_rows(
    embeddings: np.ndarray, table: pd.DataFrame, findings: pd.DataFrame, classes: int, looks: np.ndarray
) -> np.ndarray:
    """int64 (classes, k): rows that show what each class is: kept, of which nothing was found, near its centre."""
    fine = np.array(table["verdict"] == KEEP)
    rows = findings["row"].to_numpy(np.int64)
    fine[rows[rows >= 0]] = False
    return typical(embeddings, table["label"].to_numpy(np.int64), classes, looks, fine)


# What a page carries of a large set


def _carried(table: pd.DataFrame, findings: pd.DataFrame) -> np.ndarray:
    """int64, ascending: the rows that a page carries, all of a set that is not too large."""
    n = len(table)
    if n <= ROWS:
        return np.arange(n)
    flagged = np.zeros(n, bool)
    rows = findings["row"].to_numpy(np.int64)
    flagged[rows[rows >= 0]] = True
    first = likeliest_first(findings)["row"].to_numpy(np.int64)[:ROWS]
    accused = np.setdiff1d(np.flatnonzero(flagged), first)
    chosen = np.concatenate([first, evenly(accused, max(0, ROWS - len(first)))])
    rest = np.flatnonzero(~flagged)
    return np.union1d(chosen, evenly(rest, ROWS - len(chosen)) if len(chosen) < ROWS else rest[:0])


def _left_out(overview: Overview, columns: Columns, findings: pd.DataFrame) -> str:
    """What of the set a page does not carry, in a sentence; "" where it has all."""
    n, carried = overview.images, len(columns.rows)
    if carried == n:
        return ""
    missing = len(findings) - len(columns.numbers)
    of_findings = f"{missing:,} of {len(findings):,} findings" if missing else "no finding"
    return (
        f"This file carries {carried:,} of {n:,} images and leaves out {of_findings}; `curate review` shows them all."
    )


def _missing(columns: Columns, findings: pd.DataFrame) -> dict[str, str]:
    """check -> a sentence on those of its findings that the page does not carry, "" where it has all."""
    total, carried = (part["check"].value_counts() for part in (findings, findings.iloc[columns.numbers]))
    absent = {str(name): int(count) - int(carried.get(name, 0)) for name, count in total.items()}
    return {
        name: f"{count:,} of them are not in this file; `curate review` shows them all." if count else ""
        for name, count in absent.items()
    }


# What the script draws


def _data(table: pd.DataFrame, findings: pd.DataFrame, columns: Columns, pictures: Thumbnails) -> dict[str, object]:
    """The columns and the words of the rows that the page carries."""
    sentences: dict[str, int] = {}
    numbers = [
        sentences.setdefault(printable(text), len(sentences)) for text in findings["because"].iloc[columns.numbers]
    ]
    details = details_of(table, findings.iloc[:0], columns.rows.tolist())
    return {
        "columns": inlined_columns(columns),
        "ids": [entry.id for entry in details],
        "digests": _packed([entry.digest for entry in details]),
        "because": numbers,
        "sentences": list(sentences),
        "unreadable": UNREADABLE,
        "picture": [pictures.of.get(row, -1) for row in columns.rows.tolist()],
    }


def _packed(digests: Sequence[str]) -> str:
    """Digests as bytes in base64, zeros for those that are not there; "" where they are of another kind."""
    width = 32  # hexadecimal digits
    if any(len(digest) not in (0, width) for digest in digests):
        return ""
    return base64.b64encode(bytes.fromhex("".join(digest or "0" * width for digest in digests))).decode("ascii")


def _pictures(scan: Scan, overview: Overview, columns: Columns, near: Iterable[int]) -> Thumbnails:
    """Thumbnails of what stands beside sentences, awaits review, or was flagged; of what lies near; then of the rest.

    Only rows that the page carries have one.

    near  rows that are shown beside those that await review
    """
    beside = chain.from_iterable(chain.from_iterable(story.strip for story in (*overview.leading, *overview.stories)))
    queue, typical, accused = (columns.values[name] for name in ("queue", "typical", "finding_row"))
    sides = {
        **dict.fromkeys(beside, FLAGGED_SIDE),
        **dict.fromkeys(columns.rows[queue].tolist(), LOOKED_AT),
    }
    for row in chain(columns.rows[typical[typical >= 0]].tolist(), columns.rows[accused[accused >= 0]].tolist()):
        sides.setdefault(row, FLAGGED_SIDE)
    for row in near:
        sides.setdefault(row, OTHER_SIDE)
    carried = set(columns.rows.tolist())
    sides = dict(islice(((row, side) for row, side in sides.items() if row in carried), WITH_PICTURES))
    rest = np.setdiff1d(columns.rows, np.array(list(sides), np.int64))
    rest = evenly(rest, max(0, WITH_PICTURES - len(sides)))
    # Shuffled, so that where room runs out the pictures that are left still come from everywhere.
    sides.update(dict.fromkeys(np.random.default_rng(0).permutation(rest).tolist(), OTHER_SIDE))
    digest = scan.table["digest"].fillna("").tolist()
    return thumbnails(scan.images.images, sides, {row: digest[row] for row in sides}, PICTURE_BYTES)


def _picture_data(pictures: Thumbnails) -> dict[str, object]:
    return {
        "beginnings": [[beginning.width, beginning.height, beginning.text] for beginning in pictures.beginnings],
        "kind": pictures.kind,
        "rests": pictures.rests,
    }


def _json(value: object) -> Markup:
    """JSON that may stand inside a <script>: nothing in it can end the element or begin a comment.

    >>> print(_json("</script>"))
    "\\u003c/script\\u003e"
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
