"""One row per suspicion: the words in which every check reports, and the tables made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from .stage.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .measuring.evidence import Evidence

# Every check, in the order in which findings are told: the gravest first.
SEVERITY = (
    "label_conflict",
    "leak",
    "unreadable",
    "outlier_group",
    "exact_duplicate",
    "near_duplicate",
    "label_error",
    "colour_cast",
    "outlier",
    "blurred",
    "dark",
    "light",
    "low_information",
    "odd_size",
    "odd_aspect",
    "grayscale",
    "shortcut",
)

DROP, REVIEW, KEEP = "drop", "review", "keep"


@dataclass(frozen=True)
class Finding:
    """One suspicion about one row.

    score    0 fine .. 1 certainly bad
    group    number that related findings share, -1 none
    action   "drop" (certain) or "review"
    because  one sentence of measured facts
    """

    row: int
    id: str
    check: str
    score: float
    group: int
    action: str
    because: str


@dataclass(frozen=True)
class Story:
    """One group of related findings in words: what is told first, in the terminal and on the page."""

    check: str
    group: int
    rows: tuple[int, ...]
    sentence: str
    weight: float  # how telling: the most telling stories are shown first


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one check says of all N rows.

    score    float32 (N,), 0 fine .. 1 certainly bad; 0.5 is where the check starts to speak
    because  the sentence for a flagged row
    group    int64 (N,), -1 none
    certain  bool (N,): flagged rows that may be dropped without a person's look
    stories  its groups in words
    note     why the check could not say anything ("no labels"), "" where it could
    """

    score: np.ndarray
    because: Callable[[int], str]
    group: np.ndarray | None = None
    certain: np.ndarray | None = None
    stories: tuple[Story, ...] = field(default=())
    note: str = ""

    @classmethod
    def silent(cls, n: int, note: str) -> Judgement:
        """A check that has nothing to judge by, and says why."""
        import numpy as np

        return cls(np.zeros(n, np.float32), lambda row: "", note=note)


COLUMNS = ("row", "id", "check", "score", "group", "action", "because")


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The table of findings.parquet: columns row, id, check, score, group, action, because."""
    import pandas as pd

    frame = pd.DataFrame([asdict(f) for f in findings], columns=list(COLUMNS))
    return frame.astype(
        {
            "row": "int64",
            "id": "str",
            "check": "str",
            "score": "float32",
            "group": "int64",
            "action": "str",
            "because": "str",
        }
    )


# What can be wrong with a picture: each check is a function Evidence -> Judgement under its public name.
CHECKS: Registry[Callable[[Evidence], Judgement]] = Registry("check")
