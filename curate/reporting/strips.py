"""Which pictures stand beside a story, so that they show what it tells."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import pandas as pd

from ..findings import CATALOGUE, COPIES, Story
from ..sets.imageset import NO_GROUP

STRIP = 8  # pictures beside a story
OF_ONE_GROUP = 4  # of which so many are of one picture, where it tells of several


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
