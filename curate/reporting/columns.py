"""What the page's script draws from: the rows and the findings of a scan as columns of numbers, and as words by row."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..reviews import likeliest_first
from ..sets.imageset import UNLABELLED
from ..stage.lines import printable
from ..stage.shortness import short_repr
from .overviews import VERDICTS, Overview, in_order
from .placing import line_of

UNKNOWN = 255  # a share, of 100, that nothing says

Info = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Columns:
    """N rows and F findings of a scan, little-endian; a row is given by its place among those that are carried.

    rows      int64 (N,): which rows of the scan these are
    numbers   int64 (F,): which of its findings
    values    name -> array, of length N or F, see `columns_of`
    classes, splits  that the columns name by number
    """

    rows: np.ndarray
    numbers: np.ndarray
    values: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    __repr__ = short_repr

    def place(self, rows: Sequence[int]) -> list[int]:
        """Where some rows of the scan are among those that are carried, without those that are not."""
        at = np.searchsorted(self.rows, rows)
        return [int(i) for i, row in zip(at.tolist(), rows, strict=True) if i < len(self.rows) and self.rows[i] == row]


def columns_of(
    table: pd.DataFrame,
    findings: pd.DataFrame,
    classes: Sequence[str],
    typical: np.ndarray,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    carried: np.ndarray | None = None,
) -> Columns:
    """The columns of a scan's tables.

    findings  numbered 0, 1, 2 ...
    typical   int64 (C, k): rows that show each class, -1 where there are no more
    places    three of (N,): x and y, 0 .. 65534 or NOWHERE, and how many pictures stand there
    carried   int64, ascending: the rows that are in them; None for all

    Of the rows: label int32 (-1 none), split uint16, verdict uint8, group int32 (-1 none), x, y uint16, stands_for
    uint32, and score_<check> uint8, in hundredths, of each check that found anything. Of the findings, those of the
    rows and of the set as a whole: finding_row int32 (-1 the set), finding_check, finding_score, finding_chance (in
    hundredths, UNKNOWN) and finding_action uint8, finding_group and finding_suggested int32 (-1 none). Besides: queue
    int32, the rows that await review, the likeliest first, and queue_chance uint8; typical int32 (C * k,).
    """
    rows = np.arange(len(table)) if carried is None else carried
    place = np.full(len(table) + 1, -1, np.int64)  # the last is that of -1, the whole set
    place[rows] = np.arange(len(rows))
    own = table.iloc[rows]
    splits, split = np.unique(own["split"].fillna("").to_numpy(str), return_inverse=True)
    x, y, stands_for = places
    checks = in_order(findings)
    finding_rows = findings["row"].to_numpy(np.int64)
    numbers = np.flatnonzero((finding_rows < 0) | (place[finding_rows] >= 0))
    about = findings.iloc[numbers]
    code = {name: i for i, name in enumerate(classes)}
    queue = likeliest_first(findings)
    at = place[queue["row"].to_numpy(np.int64)]
    values: dict[str, np.ndarray] = {
        "label": own["label"].to_numpy(np.int32),
        "split": split.astype(np.uint16),
        "verdict": _codes(own["verdict"], VERDICTS),
        "group": own["group"].to_numpy(np.int32),
        "x": x[rows].astype(np.uint16),
        "y": y[rows].astype(np.uint16),
        "stands_for": stands_for[rows].astype(np.uint32),
        "finding_row": np.where(about["row"] < 0, -1, place[about["row"].to_numpy(np.int64)]).astype(np.int32),
        "finding_check": _codes(about["check"], checks),
        "finding_score": hundredths(about["score"].to_numpy()),
        "finding_chance": hundredths(about["chance"].to_numpy()),
        "finding_group": about["group"].to_numpy(np.int32),
        "finding_action": _codes(about["action"], VERDICTS),
        "finding_suggested": np.array([code.get(name, UNLABELLED) for name in about["suggested"]], np.int32),
        "queue": at[at >= 0].astype(np.int32),
        "queue_chance": hundredths(queue["chance"].to_numpy())[at >= 0],
        "typical": np.where(typical < 0, -1, place[typical]).astype(np.int32).reshape(-1),
    }
    for name in checks:
        if f"{name}_score" in own:
            values[f"score_{name}"] = hundredths(own[f"{name}_score"].to_numpy())
    return Columns(rows, numbers, values, tuple(classes), tuple(splits.tolist()))


def hundredths(shares: np.ndarray) -> np.ndarray:
    """uint8: shares in whole hundredths, rounded down, UNKNOWN where they are none."""
    shares = shares.astype(np.float64)
    finite = np.isfinite(shares)
    return np.where(finite, np.floor(100 * np.where(finite, shares, 0) + 1e-4), UNKNOWN).astype(np.uint8)


def _codes(values: pd.Series[str], names: Sequence[str]) -> np.ndarray:
    """uint8: where each value is among the names."""
    return pd.Categorical(values, list(names)).codes.astype(np.uint8)


def info_of(overview: Overview, columns: Columns, findings: pd.DataFrame) -> dict[str, object]:
    """What the script has to know before it reads any column.

    findings  of the scan, numbered 0, 1, 2 ...
    """
    sentences = findings["because"].to_numpy()[columns.numbers]
    of_the_set = np.flatnonzero(columns.values["finding_row"] < 0).tolist()
    return {
        "format": overview.format,
        "name": overview.name,
        "scan": overview.scan,
        "rows": len(columns.rows),
        "total": overview.images,
        "classes": list(columns.classes),
        "splits": list(columns.splits),
        "verdicts": list(VERDICTS),
        "apart": line_of(columns.values["x"], findings),
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "what": check.looks_for,
                "colour": check.colour,
                "threshold": round(100 * check.threshold),
                "findings": check.findings,
            }
            for check in overview.checks
        ],
        "because": {number: printable(sentences[number]) for number in of_the_set},
        "columns": {name: [values.dtype.name, len(values)] for name, values in columns.values.items()},
    }


def inlined_columns(columns: Columns) -> dict[str, str]:
    """name -> the bytes of a column in base64."""
    return {
        name: base64.b64encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()).decode("ascii")
        for name, values in columns.values.items()
    }


@dataclass(frozen=True)
class Details:
    """What is to be said of one row in words.

    because  number of a finding -> its sentence
    """

    row: int
    id: str
    digest: str
    because: Mapping[int, str]


def details_of(table: pd.DataFrame, findings: pd.DataFrame, rows: Sequence[int]) -> list[Details]:
    """The words on some rows of a scan, all of which are carried."""
    about = findings[findings["row"].isin(list(rows))]
    because: dict[int, dict[int, str]] = {}
    for number, row, sentence in zip(
        about.index.tolist(), about["row"].tolist(), about["because"].tolist(), strict=True
    ):
        because.setdefault(int(row), {})[int(number)] = printable(sentence)
    own = table.iloc[list(rows)]
    return [
        Details(int(row), name, digest, because.get(int(row), {}))
        for row, name, digest in zip(rows, own["id"].tolist(), own["digest"].fillna("").tolist(), strict=True)
    ]
