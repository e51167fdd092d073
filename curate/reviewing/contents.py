"""What a review shows of a scan: its page, columns and words, made of the scan's tables when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from ..likeness import looks_of
from ..reporting.columns import columns_of, details_of, info_of
from ..reporting.overviews import Overview, read_overview
from ..reporting.page import script, served_page, style, typical_rows
from ..reporting.placing import placed
from ..scans import Scanned
from ..sets.imageset import UNLABELLED
from ..stage.errors import DataError
from .answers import HTML, Contents

CSS, JAVASCRIPT = "text/css; charset=utf-8", "text/javascript; charset=utf-8"


def contents_of(scan: Scanned, embeddings: np.ndarray, looks: np.ndarray) -> Contents:
    """The page of a finished scan and all that its script asks for. Raises DataError where it is of another version.

    looks  of its rows (see looks_of_scan)
    """
    overview = read_overview(scan.folder)
    _check_together(scan, overview)
    classes = classes_of(scan, overview)
    typical = typical_rows(embeddings, scan.table, scan.findings, len(classes), looks)
    columns = columns_of(scan.table, scan.findings, classes, typical, placed(scan.table, scan.findings))
    return Contents(
        files={
            "": (HTML, served_page(overview, columns, scan.findings).encode("utf-8")),
            "page.js": (JAVASCRIPT, script().encode("utf-8")),
            "page.css": (CSS, style().encode("utf-8")),
        },
        info=info_of(overview, columns, scan.findings),
        columns=columns.values,
        classes=classes,
        details=_details(scan),
    )


def _check_together(scan: Scanned, overview: Overview) -> None:
    """Raise DataError where what a scan's files say cannot be of one scan: some of them was changed since."""
    rows = scan.findings["row"].to_numpy()
    counts = scan.findings["check"].value_counts().to_dict()
    same = (
        overview.images == len(scan.table)
        and counts == {check.name: check.findings for check in overview.checks}
        and bool(((rows >= -1) & (rows < len(scan.table))).all())
    )
    if not same:
        raise DataError(
            f"the tables in {scan.folder} are not those that its overview.json tells of. Run `curate scan` again: "
            "decisions are kept."
        )


def _details(scan: Scanned) -> Callable[[Sequence[int]], list[dict[str, object]]]:
    """Rows -> what is to be said of each in words; the findings of a row are looked up, not searched for."""
    of_findings = scan.findings["row"].to_numpy(np.int64)
    order = np.argsort(of_findings, kind="stable")
    ordered = of_findings[order]
    named = scan.table[["id", "digest"]]

    def details(rows: Sequence[int]) -> list[dict[str, object]]:
        ends = np.searchsorted(ordered, np.unique(np.array(rows, np.int64))[:, None] + np.arange(2))
        numbers = np.concatenate([order[:0], *(order[start:end] for start, end in ends)])
        return [asdict(entry) for entry in details_of(named, scan.findings.iloc[np.sort(numbers)], rows)]

    return details


def classes_of(scan: Scanned, overview: Overview) -> list[str]:
    """The names of a scan's classes in the order of their numbers, those without an image too."""
    names = [entry.name for entry in overview.classes]
    unlabelled = bool((scan.table["label"] == UNLABELLED).any())
    return names[:-1] if unlabelled else names


def looks_of_scan(scan: Scanned) -> np.ndarray:
    """int64 (N,): which rows of a scan look the same (see likeness.looks_of)."""
    return looks_of(scan.roster.digests, scan.table["label"].to_numpy())
