"""outcome_of: the clean set that follows from what a scan found and from what a person decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .configs import ApplyConfig
from .deciding import Holding
from .decisions import RELABEL
from .findings import BESIDE_THE_KEPT, DROP, KEEP, REVIEW
from .measuring.parting import parted
from .sets.imageset import NO_GROUP, held_out_rank
from .stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd

_CONFLICT = "label_conflict"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What becomes of N rows.

    verdict     str (N,): keep, drop or review, decisions included
    clean       bool (N,): rows of the clean set;  blind  how many would be in it, if they could be decoded
    relabelled  row -> the name of its class, where a person gave it another one
    notes       what a person should know of it
    """

    verdict: np.ndarray
    clean: np.ndarray
    blind: int
    relabelled: Mapping[int, str]
    notes: tuple[str, ...]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Tables:
    """What a scan found: images.parquet, findings.parquet and, where images are told apart, pairs.parquet.

    reviewed  checks of which the scan drops nothing
    """

    table: pd.DataFrame
    findings: pd.DataFrame
    pairs: pd.DataFrame | None
    reviewed: Collection[str] = ()

    __repr__ = short_repr


def outcome_of(scan: Tables, held: Holding, config: ApplyConfig) -> Outcome:
    """What becomes of the rows of a scan once the decisions that hold count.

    config  whose `strict` is known: what of the scan's verdicts is changed for whole checks
    """
    table = scan.table
    group = groups_apart(table, scan.pairs, held)
    strict = bool(config.strict)
    names = _labels(table, held)
    findings = _asked(scan, config)
    settled = _settled(scan, group, names, held)
    if settled.any():
        torn = _torn(table["group"].to_numpy(np.int64), group)
        findings = _without_conflicts(findings, settled, torn, {*config.review, *scan.reviewed})
    verdict, own = _verdicts(findings, len(table))
    decided = np.zeros(len(table), bool)
    decided[list(held.decisions)] = True
    second = _second_copies(findings, group, names, held, settled) & ~decided
    verdict[second] = DROP
    for row, decision in held.decisions.items():
        verdict[row] = KEEP if decision.action == RELABEL else decision.action
    alone = (group == NO_GROUP) & (table["group"].to_numpy() != NO_GROUP) & ~decided
    verdict[alone] = own[alone]
    inside = _in_set(verdict, strict)
    stand_ins = _stand_ins(scan, group, inside, ~inside & ~decided & ~second & _in_set(own, strict))
    verdict[stand_ins] = own[stand_ins]
    inside = _in_set(verdict, strict)
    clean = inside & (table["digest"] != "").to_numpy()
    given_names = table["label_name"].tolist()
    relabelled = {row: name for row, name in held.relabelled.items() if given_names[row] != name}
    notes = _notes(scan, group, stand_ins, clean, relabelled)
    return Outcome(verdict, clean, int((inside & ~clean).sum()), relabelled, tuple(notes))


def groups_apart(table: pd.DataFrame, pairs: pd.DataFrame | None, held: Holding) -> np.ndarray:
    """int64 (N,): the groups of copies of a scan, without joining images that a person told apart."""
    group = table["group"].to_numpy(np.int64)
    if not held.apart or pairs is None:
        return group
    pixels = table["digest"].factorize()[0]
    links = pairs[["row_a", "row_b"]].to_numpy(np.int64).reshape(-1, 2)
    return parted(group, links, pairs["distance"].to_numpy(np.float64), pixels, held.apart)


def _labels(table: pd.DataFrame, held: Holding) -> np.ndarray:
    """str (N,): the class of each row, once it is relabelled."""
    names = table["label_name"].to_numpy(dtype=object).copy()
    for row, name in held.relabelled.items():
        names[row] = name
    return names


def _asked(scan: Tables, config: ApplyConfig) -> pd.DataFrame:
    """The findings with the actions that the configuration asks of whole checks."""
    findings = scan.findings
    action = findings["action"].to_numpy(dtype=object).copy()
    action[(action == DROP) & findings["check"].isin(config.review)] = REVIEW
    action[findings["check"].isin(config.drop)] = DROP
    return findings.assign(action=action)


def _verdicts(findings: pd.DataFrame, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of (N,) keep, drop or review, without decisions: the gravest action on each row, and the gravest that is for
    a fault of its own."""
    action, rows = findings["action"].to_numpy(dtype=object), findings["row"].to_numpy()
    alone = ~findings["check"].isin(BESIDE_THE_KEPT).to_numpy()
    verdicts = tuple(np.full(n, KEEP, dtype=object) for _ in range(2))
    for verdict, counts in zip(verdicts, (rows >= 0, (rows >= 0) & alone), strict=True):
        for name in (REVIEW, DROP):
            verdict[rows[(action == name) & counts]] = name
    return verdicts[0], verdicts[1]


def _in_set(verdict: np.ndarray, strict: bool) -> np.ndarray:
    """bool (N,): rows that are in the clean set by their verdict."""
    return np.asarray((verdict == KEEP) | ((verdict == REVIEW) & (not strict)), bool)


class _Members:
    """The rows of each group, found without looking through all."""

    def __init__(self, group: np.ndarray) -> None:
        self._order = np.argsort(group, kind="stable")
        self._sorted = group[self._order]

    def of(self, number: int) -> np.ndarray:
        """int64: rows of a group, ascending."""
        first, last = np.searchsorted(self._sorted, [number, number + 1])
        return np.asarray(self._order[first:last], np.int64)


# Labels of copies that disagreed


def _settled(scan: Tables, group: np.ndarray, names: np.ndarray, held: Holding) -> np.ndarray:
    """bool (N,): rows of a conflict whose copies agree in their labels now, as some were relabelled or told apart."""
    before = scan.table["group"].to_numpy(np.int64)
    contested = scan.findings.loc[scan.findings["check"] == _CONFLICT, "row"].to_numpy()
    settled = np.asarray((group == NO_GROUP) & (before != NO_GROUP))
    numbers = {*group[list(held.relabelled)].tolist(), *group[_torn(before, group)].tolist()}
    numbers &= {*group[contested].tolist()} - {NO_GROUP}
    dropped = np.zeros(len(group), bool)
    dropped[[row for row, action in held.actions.items() if action == DROP]] = True
    members = _Members(group)
    for number in sorted(numbers):
        rows = members.of(number)
        if len({*names[rows[~dropped[rows]]].tolist()} - {""}) < 2:
            settled[rows] = True
    return settled


def _torn(before: np.ndarray, group: np.ndarray) -> np.ndarray:
    """bool (N,): rows of groups in which some were told apart."""
    return np.isin(before, before[group != before])


def _without_conflicts(
    findings: pd.DataFrame, settled: np.ndarray, torn: np.ndarray, reviewed: Collection[str]
) -> pd.DataFrame:
    """The findings once labels agree: no conflict, and copies leave that stayed for their other label.

    A label that is certainly wrong stays so, unless it was told by pictures that are no copies.
    """
    rows = findings["row"].to_numpy()
    inside = (rows >= 0) & settled[rows]
    copies = findings["check"].isin([name for name in BESIDE_THE_KEPT if name not in reviewed])
    action = findings["action"].where(~(inside & copies & (findings["action"] == REVIEW)), DROP)
    over = inside & (findings["check"] == _CONFLICT) & ((findings["action"] != DROP) | torn[rows])
    left: pd.DataFrame = findings.assign(action=action)[~over]
    return left


def _second_copies(
    findings: pd.DataFrame, group: np.ndarray, names: np.ndarray, held: Holding, settled: np.ndarray
) -> np.ndarray:
    """bool (N,): copies of relabelled rows that have their label by now: of each picture one stays, the relabelled."""
    second = np.zeros(len(group), bool)
    leaving = findings.loc[findings["check"].isin(BESIDE_THE_KEPT) & (findings["action"] == DROP), "row"].to_numpy()
    of_copies = {*group[leaving].tolist()}
    members = _Members(group)
    for row in held.relabelled:
        if settled[row] and group[row] != NO_GROUP and group[row] in of_copies:
            rows = members.of(int(group[row]))
            second[rows[names[rows] == names[row]]] = True
    return second


# Of every picture one stays


def _stand_ins(scan: Tables, group: np.ndarray, stays: np.ndarray, free: np.ndarray) -> np.ndarray:
    """int64: a row of each group of copies of which none stays: the best of those that may take its place.

    stays  bool (N,): rows in the clean set;  free  bool (N,): rows that are not, but for being copies

    The best is the one in the most precious split, then the one most like the copy that would have been kept.
    """
    lost = ~np.isin(group, group[stays]) & (group != NO_GROUP)
    rows = np.flatnonzero(free & lost)
    of_copies = scan.findings[scan.findings["check"].isin(BESIDE_THE_KEPT)]
    likeness = of_copies.groupby("row")["score"].max().reindex(rows).to_numpy()
    order = np.lexsort((rows, -likeness, -held_out_rank(scan.table["split"].tolist())[rows], group[rows]))
    rows = rows[order]
    return np.asarray(rows[np.unique(group[rows], return_index=True)[1]], np.int64)


# What is told


def _notes(
    scan: Tables, group: np.ndarray, stand_ins: np.ndarray, clean: np.ndarray, relabelled: Mapping[int, str]
) -> list[str]:
    ids, before = scan.table["id"], scan.table["group"].to_numpy()
    torn = _torn(before, group)
    notes = []
    substitutes = stand_ins[~torn[stand_ins]]
    if len(substitutes):
        subject = "1 copy stays" if len(substitutes) == 1 else f"{len(substitutes):,} copies stay"
        notes.append(
            f"{subject} in place of one that leaves, for of each picture one stays, such as {ids[substitutes[0]]}; "
            "drop that too (--drop-id ID) to be rid of the picture"
        )
    contested = _contested(scan.table, group, clean, relabelled)
    if contested:
        (a, b), more = contested[0], len(contested) - 1
        names = [relabelled.get(row, scan.table["label_name"].iloc[row]) for row in (a, b)]
        notes.append(
            f"copies of one picture are in the clean set under two labels: {ids[a]} ({names[0]}) and {ids[b]} "
            f"({names[1]}){f', and {more:,} more such' if more else ''}; drop one of them, or relabel it"
        )
    return notes


def _contested(
    table: pd.DataFrame, group: np.ndarray, clean: np.ndarray, relabelled: Mapping[int, str]
) -> list[tuple[int, int]]:
    """(relabelled row, a copy of it that stays under another label), which no check could tell of."""
    names = table["label_name"].to_numpy(dtype=object)
    contested = []
    members = _Members(group)
    for row, name in relabelled.items():
        if clean[row] and group[row] != NO_GROUP:
            alike = [copy for copy in members.of(int(group[row])).tolist() if clean[copy] and names[copy]]
            copies = [copy for copy in alike if relabelled.get(copy, names[copy]) != name]
            if copies:
                contested.append((row, copies[0]))
    return contested
