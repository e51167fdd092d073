"""Which findings a page shows, in what order, and beside which pictures."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import pandas as pd

from ..findings import CATALOGUE, COPIES, DROP, Story
from ..reviews import UNKNOWN, likeliest_first
from ..sets.imageset import NO_GROUP
from ..stage.shortness import short_repr

ROUND = 12  # members of one group before the next group has its turn
MATES = 6
STRIP = 8  # pictures beside a story
OF_ONE_GROUP = 4  # of which so many are of one picture, where it tells of several


@dataclass(frozen=True)
class Unit:
    """One group of findings, or a single one.

    group   its number, -1 none
    total   findings in it, shown or not
    found   positions in the table of findings of those that are shown
    mates   rows that belong to the group without being accused: in a group of copies the kept one
    """

    group: int
    total: int
    found: tuple[int, ...]
    mates: tuple[int, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Gallery:
    """What one check found: `total` findings, of which the units hold those that are shown."""

    check: str
    total: int
    units: tuple[Unit, ...]

    __repr__ = short_repr

    @property
    def shown(self) -> int:
        """How many findings are shown."""
        return sum(len(unit.found) for unit in self.units)


def gallery(check: str, findings: pd.DataFrame, table: pd.DataFrame, limit: int) -> Gallery:
    """The findings of one check, the likeliest groups first, then the worst; above `limit`, some of every group.

    findings   the whole table, numbered 0, 1, 2 ...
    """
    own_findings = findings[findings["check"] == check]
    group = own_findings["group"].to_numpy()
    unit = np.where(group != NO_GROUP, group, -2 - np.arange(len(own_findings)))
    own_findings = own_findings.assign(unit=unit)
    by_unit = own_findings.groupby("unit")
    worst = by_unit["score"].transform("max")
    own_findings = own_findings.assign(
        likely=by_unit["chance"].transform("max").astype("float64").fillna(UNKNOWN).round(2),
        worst=worst,
        about=worst.round(2),  # groups as bad as one another: the larger one first
        size=by_unit["row"].transform("size"),
        first=by_unit["row"].transform("min"),
    ).sort_values(
        ["likely", "about", "size", "worst", "first", "unit", "score", "row"],
        ascending=[False, False, False, False, True, True, False, True],
        kind="stable",
    )
    turn = own_findings.groupby("unit", sort=False).cumcount().to_numpy() // ROUND
    shown = own_findings.iloc[np.sort(np.argsort(turn, kind="stable")[:limit])]

    # Groups of copies are those of the table's column `group`; other checks number groups of their own.
    of_copies = check in CATALOGUE and CATALOGUE[check].groups == COPIES
    mates = _mates(shown, set(own_findings["row"]), table) if of_copies else {}
    units = []
    for _, members in shown.groupby("unit", sort=False):
        number = int(members["group"].iloc[0])
        positions = tuple(int(i) for i in members.index)
        units.append(Unit(number, int(members["size"].iloc[0]), positions, mates.get(number, ())))
    return Gallery(check, len(own_findings), tuple(units))


def review_list(findings: pd.DataFrame, limit: int) -> Gallery:
    """The images that await review, of all checks, the likeliest first: each with the likeliest of its findings.

    findings   the whole table, numbered 0, 1, 2 ...
    """
    first = likeliest_first(findings)["finding"].tolist()
    return Gallery("", len(first), tuple(Unit(NO_GROUP, 1, (finding,), ()) for finding in first[:limit]))


def _mates(shown: pd.DataFrame, accused: set[int], table: pd.DataFrame) -> dict[int, tuple[int, ...]]:
    """Per group the rows that stay: not dropped, and not accused by this check."""
    groups = set(shown["group"]) - {NO_GROUP}
    staying = table[table["group"].isin(groups) & (table["verdict"] != DROP)]
    mates: dict[int, tuple[int, ...]] = {}
    for group, row in zip(staying["group"].tolist(), staying["row"].tolist(), strict=True):
        if row not in accused and len(mates.get(group, ())) < MATES:
            mates[group] = (*mates.get(group, ()), row)
    return mates


def strip(story: Story, table: pd.DataFrame) -> list[list[int]]:
    """The rows whose pictures stand beside a story: each with those that it belongs to, spread over the classes.

    Of what is told of groups of copies whole groups are shown, the copy that is kept among them, as one picture of a
    pair shows nothing; of any other story single pictures.
    """
    rows = [int(row) for row in story.rows if row >= 0]
    of_copies = story.group == NO_GROUP and story.check in CATALOGUE and CATALOGUE[story.check].groups == COPIES
    together = _groups_of(rows, table) if of_copies else [[row] for row in rows]
    label = table["label"].to_numpy()
    chosen: list[list[int]] = []
    for rows_of_one in _in_turn(together, lambda few: int(label[few[0]])):
        if sum(map(len, chosen)) + len(rows_of_one) <= STRIP:
            chosen.append(rows_of_one)
    return chosen


def _groups_of(rows: Sequence[int], table: pd.DataFrame) -> list[list[int]]:
    """The groups of copies that some rows are of: some of the rows, then others that show what they disagree with."""
    group, label, split = (table[name].to_numpy() for name in ("group", "label", "split"))
    accused = set(rows)
    numbers = dict.fromkeys(int(group[row]) for row in rows if group[row] != NO_GROUP)
    members = table.index[table["group"].isin(list(numbers))].to_numpy()
    of_group: dict[int, list[int]] = {number: [] for number in numbers}
    for row in members.tolist():
        of_group[int(group[row])].append(row)
    shown = []
    for mates in of_group.values():
        # One of each label and split first: that is what is told of them.
        kinds = list(_in_turn(mates, lambda row: (row not in accused, label[row], split[row])))
        shown.append(kinds[:OF_ONE_GROUP])
    return shown


T = TypeVar("T")


def _in_turn(things: Iterable[T], kind: Callable[[T], Hashable]) -> list[T]:
    """The things, one of each kind, then another of each, the kinds in the order of their first."""
    by_kind: dict[Hashable, list[T]] = {}
    for thing in things:
        by_kind.setdefault(kind(thing), []).append(thing)
    rounds = zip_longest(*by_kind.values())
    return [thing for round_ in rounds for thing in round_ if thing is not None]


def evenly(rows: np.ndarray, n: int) -> np.ndarray:
    """At most `n` of the rows, evenly spaced, in their order."""
    if len(rows) <= n:
        return rows
    return rows[np.linspace(0, len(rows) - 1, n).round().astype(np.int64)]


def first_of_each(galleries: Iterable[Gallery], findings: pd.DataFrame) -> list[int]:
    """The rows of all galleries, each once, as they appear; -1, the whole set, left out."""
    row = findings["row"].to_numpy()
    seen: dict[int, None] = {}
    for gallery in galleries:
        for unit in gallery.units:
            seen.update(dict.fromkeys(int(row[i]) for i in unit.found))
            seen.update(dict.fromkeys(unit.mates))
    seen.pop(-1, None)
    return list(seen)
