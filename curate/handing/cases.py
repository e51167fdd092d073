"""What is handed on: the images of a scan, each with what was found in it and what a person decided on it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..deciding import holding_of
from ..decisions import decisions_path, read_history
from ..findings import SEVERITY, Finding
from ..scans import Scanned
from ..sets.imageset import ImageSet
from ..stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Case:
    """One image.

    label          name of its class as given, "" for none;  digest  of its pixels, "" where it cannot be decoded
    verdict        of the scan: keep, drop or review;  group  of copies that it is in, -1 none
    x, y           its place on the map, NaN for none
    findings       what was found in it, the gravest check first
    decision       what a person decided on it and still holds: keep, drop, review or relabel; "" for nothing
    relabelled_to  the class that they gave it, "" for none
    """

    row: int
    id: str
    label: str
    split: str
    digest: str
    verdict: str
    group: int
    x: float
    y: float
    findings: tuple[Finding, ...]
    decision: str = ""
    relabelled_to: str = ""

    @property
    def checks(self) -> list[str]:
        """The checks that found something, the gravest first."""
        return list(dict.fromkeys(finding.check for finding in self.findings))

    @property
    def because(self) -> str:
        """What was found, a sentence a check."""
        return "; ".join(f"{finding.check}: {finding.because}" for finding in self.findings)

    @property
    def suggestion(self) -> Finding | None:
        """The finding that names another class for it."""
        return next((finding for finding in self.findings if suggested(finding)), None)

    @property
    def suggested(self) -> str:
        """The class that it may be of instead, "" for none."""
        return suggested(self.suggestion) if self.suggestion else ""

    @property
    def chance(self) -> float:
        """That the likeliest of its findings is right, NaN where no check could tell."""
        return max((f.chance for f in self.findings if not math.isnan(f.chance)), default=math.nan)

    @property
    def score(self) -> float:
        """The highest of its findings, 0 where there are none."""
        return max((finding.score for finding in self.findings), default=0.0)

    @property
    def label_now(self) -> str:
        """The name of its class, by a person's decision where there is one."""
        return self.relabelled_to or self.label

    @property
    def decided(self) -> str:
        """The decision in words: "drop", "relabel monocyte", or "" for none."""
        return f"{self.decision} {self.relabelled_to}".strip()


def suggested(finding: Finding) -> str:
    """The class that a finding suggests, "" for none."""
    return str(getattr(finding, "suggested", ""))


@dataclass(frozen=True, eq=False)
class Handover:
    """A scan, the set that it is of, and the images that are handed on, in the order in which they are looked at.

    artifacts  the folder that the scan lies in, as it was given
    """

    artifacts: Path
    scan: Scanned
    images: ImageSet
    cases: tuple[Case, ...]

    __repr__ = short_repr


def cases_of(scan: Scanned) -> list[Case]:
    """Every image of a scan, in order. Raises DataError where the decisions beside it cannot be read."""
    table = scan.table
    findings = _findings_by_row(scan.findings)
    holding = holding_of(scan.roster, read_history(decisions_path(scan.folder.parent)))
    actions, labels = holding.actions, holding.relabelled
    names = ("row", "id", "label_name", "split", "digest", "verdict", "group", "x", "y")
    return [
        Case(*values, tuple(findings.get(row, ())), actions.get(row, ""), labels.get(row, ""))  # type: ignore[call-arg]
        for row, values in enumerate(zip(*(table[name].tolist() for name in names), strict=True))
    ]


def _findings_by_row(table: pd.DataFrame) -> dict[int, list[Finding]]:
    """row -> what was found in it, the gravest check first."""
    names = [entry.name for entry in fields(Finding) if entry.name in table]
    by_row: defaultdict[int, list[Finding]] = defaultdict(list)
    for values in zip(*(table[name].tolist() for name in names), strict=True):
        finding = Finding(**dict(zip(names, values, strict=True)))
        by_row[finding.row].append(finding)
    order = {check: number for number, check in enumerate(SEVERITY)}
    for found_in_row in by_row.values():
        found_in_row.sort(key=lambda finding: (order.get(finding.check, len(order)), -finding.score))
    return dict(by_row)


def rounded(value: float, digits: int = 4) -> float | None:
    """A number as tables have it, None where it is none."""
    return None if math.isnan(value) else round(value, digits)


def entries_of(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Findings as JSON has them: check, score, chance, group, action, because, suggested."""
    return [
        {
            "check": finding.check,
            "score": rounded(finding.score),
            "chance": rounded(finding.chance),
            "group": finding.group,
            "action": finding.action,
            "because": finding.because,
            "suggested": suggested(finding),
        }
        for finding in findings
    ]
