"""What a scan found of faults that are known, counted: recall, precision and thresholds, check by check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .findings import CATALOGUE, SEVERITY
from .planting import COPIES, KINDS, PlantedFault
from .sets.imageset import NO_GROUP
from .stage.shortness import short_repr

# The checks that may tell of each kind of planted fault; the first is the one that it is planted for.
SEES: Mapping[str, tuple[str, ...]] = {
    kind: (
        *(name for name, check in CATALOGUE.items() if kind in check.planted_by),
        *(name for name, check in CATALOGUE.items() if kind in check.may_see),
    )
    for kind in KINDS
}
_GRID = np.round(np.arange(0.05, 0.995, 0.01), 2)


@dataclass(frozen=True, eq=False)
class Counts:
    """What one check makes of one planted copy, at whatever threshold.

    target     float (T,): its score of each fault that was planted for it; of a copy in no group with its original, 0
    otherwise  bool (T,): another check that may tell of that fault flags it
    right      float (R,): its score of each row that it is right to flag
    clean      float (C,): its score of each row in which nothing was planted
    flagged    rows that it flags
    chance     float (F,): that it is right, as it says itself, of each row that it flags and that counts in precision
    """

    target: np.ndarray
    otherwise: np.ndarray
    right: np.ndarray
    clean: np.ndarray
    flagged: int
    chance: np.ndarray

    __repr__ = short_repr

    @property
    def expected(self) -> float:
        """The precision that the check expects of itself; NaN where it cannot tell of all that it flags."""
        return float(self.chance.mean()) if len(self.chance) else np.nan

    def at(self, threshold: float) -> tuple[int, int, int]:
        """At a threshold: faults found, rows rightly flagged, false alarms."""
        hits = self.otherwise | (self.target >= threshold)
        return int(hits.sum()), int((self.right >= threshold).sum()), int((self.clean >= threshold).sum())


@dataclass(frozen=True, eq=False)
class Tally:
    """One planted copy, counted: what each check makes of it, and `rows` as in Selftest, without `repeat`."""

    counts: Mapping[str, Counts]
    rows: pd.DataFrame

    __repr__ = short_repr


@dataclass(frozen=True)
class _Outcome:
    """What a scan makes of one planted fault.

    rows       that show it: the planted one, then the original of a copy
    score      of the check that it was planted for; of a copy in no group with its original, 0
    otherwise  another check that may tell of it flags it;  found  any check that may tell of it does
    """

    fault: PlantedFault
    rows: list[int]
    score: float
    otherwise: bool
    found: bool


def tally(
    planted: Sequence[PlantedFault],
    table: pd.DataFrame,
    findings: pd.DataFrame,
    thresholds: Mapping[str, float],
    ignored: np.ndarray,
    ids: Sequence[str] = (),
) -> Tally:
    """What a scan of a planted copy of N rows found.

    planted     the entries of its truth (see planting.Planted)
    table       images.parquet of the scan: group, and <check>_score for every check
    findings    findings.parquet of the scan: row, check, chance
    thresholds  check -> threshold in use, for every check
    ignored     bool (N,): rows that count neither way
    ids         what each planted row is called; by default its number
    """
    flags = _flags(findings, len(table))
    scores = {name: _heeded(table[f"{name}_score"].to_numpy(), flags[name], thresholds[name]) for name in SEVERITY}
    group = table["group"].to_numpy()
    outcomes = [_outcome(fault, flags, scores, group) for fault in planted]
    clean = ~ignored  # rows in which nothing was planted, and of which no copy was made
    for outcome in outcomes:
        clean[outcome.rows] = False
    chances = _chances(findings, len(table))
    counts = {
        name: _check_counts(name, outcomes, flags[name], scores[name], chances[name], clean, ignored)
        for name in SEVERITY
    }
    names = ids or [str(row) for row in range(len(table))]
    rows = [
        (
            names[outcome.rows[0]],
            outcome.fault["kind"],
            _how(outcome.fault),
            outcome.found,
            ", ".join(_flagged_by(flags, outcome.rows)),
            outcome.score,
        )
        for outcome in outcomes
    ]
    alarms = [
        (names[row], "", "", False, name, float(scores[name][row]))
        for name in SEVERITY
        for row in np.flatnonzero(clean & flags[name]).tolist()
    ]
    return Tally(counts, pd.DataFrame(rows + alarms, columns=["id", "kind", "how", "found", "flagged", "score"]))


def _flags(findings: pd.DataFrame, n: int) -> dict[str, np.ndarray]:
    """check -> bool (n,): the rows that it flags."""
    flags = {name: np.zeros(n, bool) for name in SEVERITY}
    for name, row in zip(findings["check"], findings["row"], strict=True):
        if row >= 0:
            flags[name][row] = True
    return flags


def _chances(findings: pd.DataFrame, n: int) -> dict[str, np.ndarray]:
    """check -> float (n,): the chance that its flag is right, NaN where it flags nothing or cannot tell."""
    chances = {name: np.full(n, np.nan) for name in SEVERITY}
    for name, row, chance in zip(findings["check"], findings["row"], findings["chance"], strict=True):
        if row >= 0:
            chances[name][row] = chance
    return chances


def _flagged_by(flags: Mapping[str, np.ndarray], rows: list[int]) -> list[str]:
    """The checks that flag any of the rows."""
    return [name for name in SEVERITY if flags[name][rows].any()]


def _check_counts(
    check: str,
    outcomes: Sequence[_Outcome],
    flagged: np.ndarray,
    scores: np.ndarray,
    chance: np.ndarray,
    clean: np.ndarray,
    ignored: np.ndarray,
) -> Counts:
    """The counts of one check: which rows it flags, its scores and chances, which rows are clean and which ignored,
    each (N,)."""
    targets = [outcome for outcome in outcomes if SEES[outcome.fault["kind"]][0] == check]
    rightful = np.zeros(len(scores), bool)
    for outcome in outcomes:
        if check in SEES[outcome.fault["kind"]]:
            rightful[outcome.rows] = True
    return Counts(
        target=np.array([outcome.score for outcome in targets], float),
        otherwise=np.array([outcome.otherwise for outcome in targets], bool),
        right=scores[rightful & ~ignored],
        clean=scores[clean],
        flagged=int((flagged & ~ignored).sum()),
        chance=chance[flagged & ~ignored & (rightful | clean)],
    )


def _outcome(
    fault: PlantedFault, flags: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray], group: np.ndarray
) -> _Outcome:
    row, kind = fault["row"], fault["kind"]
    rows = [row, int(fault["of"])] if kind in COPIES else [row]
    together = kind not in COPIES or bool(group[row] != NO_GROUP and group[row] == group[rows[1]])
    check, *helpers = SEES[kind]
    flagging = _flagged_by(flags, rows) if together else []
    otherwise = any(name in flagging for name in helpers)
    score = float(scores[check][rows].max()) if together else 0.0
    return _Outcome(fault, rows, score, otherwise, otherwise or check in flagging)


def _heeded(score: np.ndarray, flagged: np.ndarray, threshold: float) -> np.ndarray:
    """Scores as the scan acted on them: at or above the threshold just where it flagged.

    Tables are rounded to four decimals, and a scan keeps silent on pictures that it has called foreign already.
    """
    score = np.round(np.nan_to_num(score.astype(np.float64)), 4)
    return np.where(flagged, np.maximum(score, threshold), np.minimum(score, np.nextafter(threshold, 0)))


def _how(fault: PlantedFault) -> str:
    """In which way a fault was planted, "" where there is one only."""
    if fault["kind"] == "cast":
        return f"{fault['strength']} {fault['colour']}"
    if fault["kind"] == "intruder":
        return f"picture {fault['of']}"
    return str(fault.get("how", ""))


def pooled(tallies: Sequence[Tally], name: str) -> Counts:
    """The counts of one check over several planted copies."""
    parts = [t.counts[name] for t in tallies]
    arrays = {
        f: np.concatenate([getattr(p, f) for p in parts]) for f in ("target", "otherwise", "right", "clean", "chance")
    }
    return Counts(**arrays, flagged=sum(p.flagged for p in parts))


def summary(
    tallies: Sequence[Tally],
    thresholds: Mapping[str, float],
    precision: float,
    natural: Mapping[str, int],
) -> pd.DataFrame:
    """The table of a Selftest; `natural` tells how many images each check flags before anything is planted."""
    rows = []
    for name in SEVERITY:
        counts, threshold = pooled(tallies, name), thresholds[name]
        n = len(counts.target)
        if not n and not counts.flagged:
            continue
        hits, right, wrong = counts.at(threshold)
        proposed = propose(counts, threshold, precision) if n else None
        # Where nothing was planted for a check, all that it flags is false by definition.
        recall, exact = (hits, n), (right if n else 0, right + wrong if n else 0)
        rows.append(
            {
                "check": name,
                "natural": int(natural.get(name, 0)),
                "planted": n,
                "found": hits,
                "recall": _share(*recall),
                "recall_low": wilson(*recall)[0],
                "recall_high": wilson(*recall)[1],
                "flagged": counts.flagged,
                "false_alarms": wrong,
                "precision": _share(*exact),
                "precision_low": wilson(*exact)[0],
                "precision_high": wilson(*exact)[1],
                "expected": counts.expected,
                "ap": average_precision(counts.target, counts.clean),
                "threshold": threshold,
                "proposed": np.nan if proposed is None else proposed,
                "recall_at_proposed": np.nan if proposed is None else _share(counts.at(proposed)[0], n),
            }
        )
    return pd.DataFrame(rows, columns=list(_TABLE)).astype(_TABLE)


_TABLE = {
    "check": "str", "natural": "int64", "planted": "int64", "found": "int64",
    "recall": "float64", "recall_low": "float64", "recall_high": "float64",
    "flagged": "int64", "false_alarms": "int64",
    "precision": "float64", "precision_low": "float64", "precision_high": "float64",
    "expected": "float64", "ap": "float64",
    "threshold": "float64", "proposed": "float64", "recall_at_proposed": "float64",
}  # fmt: skip


def ways_of(tallies: Sequence[Tally]) -> pd.DataFrame:
    """kind, how, planted, found: over several planted copies, in the order of KINDS and then of the alphabet."""
    rows = pd.concat([t.rows for t in tallies], ignore_index=True)
    counted = rows[rows["kind"] != ""].groupby(["kind", "how"])["found"].agg(["size", "sum"]).reset_index()
    counted.columns = pd.Index(["kind", "how", "planted", "found"])
    counted = counted.astype({"planted": "int64", "found": "int64"})
    order = {kind: i for i, kind in enumerate(KINDS)}
    return counted.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable", ignore_index=True)


def propose(counts: Counts, threshold: float, precision: float) -> float | None:
    """The threshold of 0.05, 0.06 .. 0.99 that finds most of what was planted, with at least that precision.

    Of equal ones the nearest to that in use: lower would flag more and find no more, higher would stand closer to
    what must be found. None where that in use does as well already, or where none reaches the precision.
    """
    best, most = None, -1
    for candidate in (threshold, *sorted(_GRID.tolist(), key=lambda t: (abs(t - threshold), t))):
        hits, right, wrong = counts.at(candidate)
        if right and right >= precision * (right + wrong) and hits > most:
            best, most = candidate, hits
    return None if best == threshold else best


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of n draws (Wilson 1927); NaN where there is none.

    >>> [round(end, 3) for end in wilson(20, 20)]
    [0.839, 1.0]
    """
    if not n:
        return np.nan, np.nan
    z = 1.959964
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def average_precision(bad: np.ndarray, clean: np.ndarray) -> float:
    """Area under the steps of precision over recall, ties taken together; NaN where nothing is bad.

    >>> average_precision(np.array([0.9, 0.5]), np.array([0.7, 0.1])).__round__(3)
    0.833
    """
    if not len(bad):
        return np.nan
    levels = np.unique(bad)  # precision matters where recall grows, which is at these scores
    hits = len(bad) - np.searchsorted(np.sort(bad), levels)
    alarms = len(clean) - np.searchsorted(np.sort(clean), levels)
    gained = hits - np.append(hits[1:], 0)
    return float((gained * hits / (hits + alarms)).sum() / len(bad))


def _share(hits: int, n: int) -> float:
    return hits / n if n else np.nan
