"""The catalogue of checks, the words in which each reports, and the table of what they found: one row per suspicion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from .stage.registry import Registry
from .stage.shortness import short_repr

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .measuring.evidence import Evidence

DROP, REVIEW, KEEP = "drop", "review", "keep"
THRESHOLD = 0.5  # the score from which a check speaks, unless another is asked for
# Whose numbers the groups of a check's findings bear.
COPIES, OWN, BOTH, NONE = "copies", "own", "both", "none"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A row of the catalogue: all that is to be known of a check but how it measures.

    title       what its findings are called on the page;  looks_for  in one sentence
    outcome     what becomes of them, in words
    colour      "#rrggbb" of its marks on the page, of middling lightness: it must stand on light and on dark
    action      the gravest action that it may ask for: "drop" or "review"
    planted_by  kinds of planted faults that test it (see curate.planting);  may_see  kinds that it may tell of as well
    groups      whose numbers its groups bear: "copies", those of the groups of copies; "own", its own from 0, which
                are numbered on from those of the checks before it; "both", those of copies and its own beyond; "none"

    Where seven in ten of a group's rows are flagged by the checks of `explained_by`, or by those of
    `explained_if_recognised` and the label probe still knows them, the group is left to those checks.

    finds_foreign  it finds what belongs to no class: of what it found for certain the other checks are silent
    gist           its weightiest story stands beside it in the terminal's table
    """

    name: str
    title: str
    looks_for: str
    outcome: str
    colour: str
    action: str = REVIEW
    planted_by: tuple[str, ...] = ()
    may_see: tuple[str, ...] = ()
    groups: str = NONE
    explained_by: tuple[str, ...] = ()
    explained_if_recognised: tuple[str, ...] = ()
    finds_foreign: bool = False
    gist: bool = True

    __repr__ = short_repr


# Every check, in the order in which findings are told: the gravest first.
CATALOGUE: Mapping[str, Check] = {
    check.name: check
    for check in (
        Check(
            name="label_conflict",
            title="Label conflicts",
            looks_for="One picture under two labels: at least one of them is wrong.",
            outcome="drop the label that is clearly wrong, else review",
            colour="#d6336c",
            action=DROP,
            planted_by=("conflict",),
            may_see=("intruder", "exact", "near", "affine", "crop"),
            groups=COPIES,
            gist=False,
        ),
        Check(
            name="leak",
            title="Leaks",
            looks_for="A picture of one split that is in another split as well: test results are too good.",
            outcome="drop the copy outside of test",
            colour="#a33dc2",
            action=DROP,
            groups=COPIES,
        ),
        Check(
            name="unreadable",
            title="Unreadable",
            looks_for="Files that cannot be decoded.",
            outcome="drop",
            colour="#7d8590",
            action=DROP,
        ),
        Check(
            name="outlier_group",
            title="Foreign groups",
            looks_for="Many look-alikes that resemble no class of this set, such as one image copied into all of them.",
            outcome="drop many copies, review the rest",
            colour="#e0402f",
            action=DROP,
            planted_by=("intruder",),
            may_see=("off_topic",),
            groups=BOTH,
            explained_by=("blurred", "dark"),
            explained_if_recognised=("colour_cast", "grayscale", "light", "low_information"),
            finds_foreign=True,
        ),
        Check(
            name="exact_duplicate",
            title="Exact duplicates",
            looks_for="Pixel-identical copies. One of each group stays.",
            outcome="drop all but one",
            colour="#2b7de0",
            action=DROP,
            planted_by=("exact",),
            may_see=("intruder",),
            groups=COPIES,
        ),
        Check(
            name="near_duplicate",
            title="Near duplicates",
            looks_for="One picture resaved, cropped, brightened, turned, warped or mirrored. One of each group stays.",
            outcome="drop all but one",
            colour="#16a8c4",
            action=DROP,
            planted_by=("near", "affine", "crop"),
            may_see=("intruder",),
            groups=COPIES,
        ),
        Check(
            name="label_error",
            title="Likely label errors",
            looks_for="The label probe, fitted without the picture, predicts another class.",
            outcome="review",
            colour="#f2770b",
            planted_by=("label",),
            may_see=("off_topic",),
        ),
        Check(
            name="colour_cast",
            title="Colour casts",
            looks_for="Tinted unlike the rest of their class: another scanner, stain or lamp.",
            outcome="review",
            colour="#12a67c",
            planted_by=("cast",),
            groups=OWN,
        ),
        Check(
            name="outlier",
            title="Outliers",
            looks_for="Single pictures that belong to no class here: far from all, or from their own and like none.",
            outcome="review",
            colour="#a9683a",
            planted_by=("off_topic",),
            may_see=("intruder",),
        ),
        Check(
            name="blurred",
            title="Blurred",
            looks_for="Far less fine detail than the other pictures of the set.",
            outcome="review",
            colour="#7b5cf0",
            planted_by=("blur",),
        ),
        Check(
            name="dark",
            title="Dark",
            looks_for="Far darker than the other pictures of the set.",
            outcome="review",
            colour="#6166a3",
            planted_by=("dark",),
        ),
        Check(
            name="light",
            title="Light",
            looks_for="Far lighter than the other pictures of the set.",
            outcome="review",
            colour="#d1a700",
            planted_by=("light",),
        ),
        Check(
            name="low_information",
            title="Nearly empty",
            looks_for="One flat colour, or hardly any structure.",
            outcome="review",
            colour="#82a012",
            planted_by=("solid",),
        ),
        Check(
            name="odd_size",
            title="Odd sizes",
            looks_for="Much larger or smaller than the other pictures.",
            outcome="review",
            colour="#c4769a",
        ),
        Check(
            name="odd_aspect",
            title="Odd shapes",
            looks_for="Much longer than the other pictures, or much squarer.",
            outcome="review",
            colour="#94733b",
        ),
        Check(
            name="grayscale",
            title="Grey pictures",
            looks_for="Without colour in a set of coloured pictures.",
            outcome="review",
            colour="#868e96",
            planted_by=("grey",),
        ),
        Check(
            name="shortcut",
            title="Shortcuts",
            looks_for="A property other than the subject that predicts the class: a model may learn it instead.",
            outcome="report, for the set as a whole",
            colour="#3a9a4d",
        ),
    )
}
SEVERITY = tuple(CATALOGUE)
# What these say of a row it has only beside the copy that is kept: a row that they alone would drop has no fault.
BESIDE_THE_KEPT = ("leak", "exact_duplicate", "near_duplicate")


@dataclass(frozen=True)
class Finding:
    """One suspicion about one row.

    score    0 fine .. 1 certainly bad
    group    number that related findings share, -1 none
    action   "drop" (certain), "review", or "keep": told, and not for review
    because  one sentence of measured facts
    chance   that it is right, 0 .. 1; NaN where the check cannot tell
    suggested  the class that the image likely is of, "" where the check names none
    """

    row: int
    id: str
    check: str
    score: float
    group: int
    action: str
    because: str
    chance: float = math.nan
    suggested: str = ""


@dataclass(frozen=True)
class Story:
    """One group of related findings in words: what is told first, in the terminal and on the page.

    rows    its images; none where it is told of the set as a whole, which makes it a finding by itself
    weight  how telling: the most telling stories are shown first
    score   of a finding on the whole set, 0 .. 1
    """

    check: str
    group: int
    rows: tuple[int, ...]
    sentence: str
    weight: float
    score: float = 0.0

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one check says of all N rows.

    score    float32 (N,), 0 fine .. 1 certainly bad; the check speaks from its threshold on
    because  the sentence for a flagged row
    group    int64 (N,), -1 none; whose numbers they are stands in the catalogue
    certain  bool (N,): flagged rows that may be dropped without a person's look
    stories  its groups in words
    chance   float32 (N,): of flagged rows the chance that the flag is right, 0 .. 1, NaN where nothing says it; None
             where the check cannot tell of any
    common   bool (N,): flagged rows of so large a group that it is a part of the set: told as a group, and kept
    remarks  what so much of the set has that it is no suspicion, and what the check could not flag, a line each
    suggested  the class that a flagged row is likely of, "" where none is; None where the check names no classes
    note     why the check could not say anything ("no labels"), "" where it could
    """

    score: np.ndarray
    because: Callable[[int], str]
    group: np.ndarray | None = None
    certain: np.ndarray | None = None
    stories: tuple[Story, ...] = field(default=())
    note: str = ""
    chance: np.ndarray | None = None
    common: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    suggested: Callable[[int], str] | None = None

    __repr__ = short_repr

    @classmethod
    def silent(cls, n: int, note: str) -> Judgement:
        """A check that has nothing to judge by, and says why."""
        import numpy as np

        return cls(np.zeros(n, np.float32), lambda row: "", note=note)


COLUMNS = ("row", "id", "check", "score", "group", "action", "because", "chance", "suggested")


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The table of findings.parquet: its columns are the fields of Finding."""
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
            "chance": "float32",
            "suggested": "str",
        }
    )


# What can be wrong with a picture: each check is a function Evidence -> Judgement under its public name.
CHECKS: Registry[Callable[[Evidence], Judgement]] = Registry("check")


@dataclass(frozen=True)
class Outcome:
    """What one check found: rows, groups, and how many of its rows have each verdict, the gravest first.

    A finding on the set as a whole has no row, and is for review.
    """

    rows: int
    groups: int
    verdicts: Mapping[str, int]

    __repr__ = short_repr


def found_by_check(findings: pd.DataFrame, table: pd.DataFrame) -> dict[str, Outcome]:
    """check -> what it found, in the order of the findings.

    findings, table  findings.parquet and images.parquet: the verdicts are those of the rows, whichever check asked
    """
    verdict = table["verdict"].to_numpy()
    outcomes = {}
    for check, own in findings.groupby("check", sort=False):
        rows = own.loc[own["row"] >= 0, "row"].to_numpy()
        verdicts = [*verdict[rows], *[REVIEW] * (len(own) - len(rows))]
        counts = {name: verdicts.count(name) for name in (DROP, REVIEW, KEEP) if name in verdicts}
        outcomes[str(check)] = Outcome(len(rows), int(own.loc[own["group"] >= 0, "group"].nunique()), counts)
    return outcomes
