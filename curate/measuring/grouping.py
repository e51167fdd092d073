"""Groups of copies: around the copy that is kept, from pairs that stood verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..sets.imageset import NO_GROUP, joined
from ..stage.shortness import short_repr


@dataclass(frozen=True)
class Link:
    """Two rows that show one photograph; distance 0 .. 1, the share of matched points that do not agree."""

    first: int
    second: int
    distance: float


@dataclass(frozen=True, eq=False)
class Copies:
    """Duplicates of a set of N rows.

    pairs      rows (row_a, row_b, kind, distance): kind exact | near | rotated | same_source, distance 0 equal ..
               1 unlike
    first      int64 (N,): the first row of the same pixels, -1 unreadable
    picture    int64 (N,): the first row of the same pixels in any of the eight orientations, -1 unreadable
    group      int64 (N,), -1 none
    kept       int64 (N,): the row that is kept of each row's group, itself where it is in none
    distance   float32 (N,): from the best copy of the group
    rank       int64 (N,): of all rows by quality, the best 0
    threshold  agreement that a near copy had to reach
    photograph int64 (N,): a number for each group of copies as it is without pairs of kind same_source, and for each
               row that is in none; None where there are no such pairs
    """

    pairs: list[tuple[int, int, str, float]]
    first: np.ndarray
    picture: np.ndarray
    group: np.ndarray
    kept: np.ndarray
    distance: np.ndarray
    rank: np.ndarray
    threshold: float
    photograph: np.ndarray | None = None

    __repr__ = short_repr

    def members(self, group: int) -> np.ndarray:
        """Rows of one group."""
        return np.flatnonzero(self.group == group)

    def keeping(self, rows: Iterable[int]) -> Copies:
        """These copies with other rows kept, each of its group."""
        kept, distance = self.kept.copy(), self.distance.copy()
        for best in rows:
            members = self.members(int(self.group[best]))
            # The way from the new kept copy is about that to it; exactly so for its very pixels, turned or not.
            distance[members] = np.where(self.picture[members] == self.picture[best], 0, self.distance[best])
            kept[members] = best
        return replace(self, kept=kept, distance=distance)

    @property
    def extra(self) -> np.ndarray:
        """bool (N,): copies beyond the one kept."""
        return np.asarray(self.kept != np.arange(len(self.group)))

    @property
    def same_source(self) -> np.ndarray:
        """bool (N,): of the copies beyond the one kept, those that local features alone tie to it."""
        if self.photograph is None:
            return np.zeros(len(self.group), bool)
        return np.asarray(self.extra & (self.photograph != self.photograph[self.kept]))

    @property
    def mostly_copies(self) -> bool:
        """Whether most of the pictures are copies of others by augmentation: that is how the set was made.

        To drop them would be to drop most of what somebody collected, which is not for a scan to decide.
        """
        return bool(2 * self.same_source.sum() > (self.first != -1).sum())

    @property
    def grouped_only(self) -> np.ndarray:
        """bool (N,): copies that stay, in their group: all but those of the same pixels, where the set was so made."""
        if self.photograph is None or not self.mostly_copies:
            return np.zeros(len(self.group), bool)
        of_source = np.isin(self.group, self.group[self.same_source])
        return np.asarray(self.extra & ~self.exact & of_source)

    @property
    def exact(self) -> np.ndarray:
        """bool (N,): of the copies beyond the one kept, those with the very pixels of it or of an earlier row."""
        earlier = self.first != np.arange(len(self.first))
        return np.asarray(self.extra & (earlier | (self.first == self.first[self.kept])))


def groups_of_copies(
    picture: np.ndarray,
    verified: Mapping[tuple[int, int], float],
    rank: np.ndarray,
    recheck: Callable[[int, int], float | None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(group, kept, distance from the kept), each (N,), from rows of equal pictures and verified pairs' distances.

    recheck  the distance of two rows that are linked through others only, None where they are no copies
    """
    n = len(picture)
    row_numbers = np.arange(n)
    group, kept, distance = np.full(n, NO_GROUP), row_numbers.copy(), np.zeros(n)
    links = [(int(picture[r]), r) for r in range(n) if picture[r] not in (r, -1)] + list(verified)
    if not links:
        return group, kept, distance
    component = joined(np.array(links), n)
    order = np.lexsort((row_numbers, component))
    number = 0
    for members in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(members) < 2:
            continue
        # Rows of one picture stand or fall together.
        distinct = {p: members[picture[members] == p] for p in np.unique(picture[members]).tolist()}
        left = sorted(distinct, key=lambda p: rank[distinct[p]].min())
        while left:
            head, *candidates = left
            best = int(min(distinct[head], key=lambda r: rank[r]))
            near = {head: 0.0}
            for candidate in candidates:
                d = verified.get((min(head, candidate), max(head, candidate)))
                if d is None:
                    d = recheck(head, candidate)
                if d is not None:
                    near[candidate] = d
            rows = np.concatenate([distinct[p] for p in near])
            left = [p for p in left if p not in near]
            if len(rows) > 1:
                group[rows], kept[rows] = number, best
                for p, d in near.items():
                    distance[distinct[p]] = d
                number += 1
    return numbered(group), kept, distance


def numbered(group: np.ndarray) -> np.ndarray:
    """Groups numbered by their first row, so that their numbers do not depend on how they were found."""
    grouped = np.flatnonzero(group != NO_GROUP)
    _, first, inverse = np.unique(group[grouped], return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    group = group.copy()
    group[grouped] = number[inverse]
    return group


def with_photographs(copies: Copies, links: Sequence[Link]) -> Copies:
    """The copies once pairs of one photograph join their groups."""
    if not links:
        return copies
    n = len(copies.group)
    alone = copies.group == NO_GROUP
    photograph = np.where(alone, copies.group.max(initial=NO_GROUP) + 1 + np.arange(n), copies.group)
    ends = np.array([(link.first, link.second) for link in links])
    component = joined(np.concatenate([ends, np.stack([np.arange(n), copies.kept], axis=1)]), n)
    nearest = np.full(photograph.max() + 1, np.inf)
    np.minimum.at(nearest, photograph[ends], np.array([link.distance for link in links])[:, None])
    sizes = np.bincount(component)
    group = np.where(sizes[component] > 1, component, NO_GROUP)
    order = np.lexsort((copies.rank, component))
    best = np.empty(len(sizes), np.int64)
    best[component[order[::-1]]] = order[::-1]  # the last written is the first in rank
    kept = best[component]
    changed = copies.keeping([int(row) for row in np.unique(kept) if copies.kept[row] != row])
    distance = np.where(photograph == photograph[kept], changed.distance, nearest[photograph])
    pairs = [(min(x.first, x.second), max(x.first, x.second), "same_source", x.distance) for x in links]
    return replace(
        copies,
        pairs=sorted([*copies.pairs, *pairs]),
        group=numbered(group),
        kept=kept,
        distance=np.where(group == NO_GROUP, 0, distance).astype(np.float32),
        photograph=photograph,
    )
