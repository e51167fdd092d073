"""Groups of copies without those that a person told apart: links are followed from the strongest on, up to these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..sets.imageset import NO_GROUP
from .grouping import Copies, numbered


def parted(
    group: np.ndarray, links: np.ndarray, distance: np.ndarray, pixels: np.ndarray, apart: Iterable[Sequence[int]]
) -> np.ndarray:
    """int64 (N,): the groups of N rows where no two are together that are no copies of each other.

    group     int64 (N,), -1 none
    links     int64 (L, 2): rows that are copies;  distance  (L,): the weakest link has the largest
    pixels    int64 (N,): equal where pixels are, which stay together
    apart     rows that are no copies of each other, any two of them

    Groups that hold no such rows are as they were; of another the part of its first row keeps the number, the others
    have new ones beyond, and what is alone is in none.
    """
    torn = _torn(group, pixels, apart)
    if not torn:
        return group
    parts = group.copy()
    beyond = int(group.max()) + 1
    together = group[links[:, 0]] == group[links[:, 1]]
    for number, sets in torn.items():
        members = np.flatnonzero(group == number)
        inside = np.flatnonzero(together & (group[links[:, 0]] == number))
        order = inside[np.lexsort((links[inside, 1], links[inside, 0], distance[inside]))]
        part = _joined(pixels[members], pixels[links[order]], sets)
        for i, own in enumerate(np.unique(part).tolist()):
            rows = members[part == own]
            parts[rows] = NO_GROUP if len(rows) == 1 else number if i == 0 else beyond
            beyond += i > 0
    return parts


def _torn(group: np.ndarray, pixels: np.ndarray, apart: Iterable[Sequence[int]]) -> dict[int, list[set[int]]]:
    """group -> the sets of pictures in it that are no copies of each other."""
    torn: dict[int, list[set[int]]] = {}
    for rows in apart:
        for number in sorted({int(group[row]) for row in rows} - {NO_GROUP}):
            pictures = {int(pixels[row]) for row in rows if group[row] == number}
            if len(pictures) > 1:
                torn.setdefault(number, []).append(pictures)
    return torn


def _joined(pictures: np.ndarray, links: np.ndarray, sets: Sequence[set[int]]) -> np.ndarray:
    """int64 (k,): the part of each of k members, the first member's 0, numbered in their order.

    pictures  int64 (k,) of the members;  links  (L, 2) of pictures, the strongest first;  sets  pictures told apart
    """
    names = list(dict.fromkeys(pictures.tolist()))
    parent = {name: name for name in names}
    barred = {name: {i for i, pictures_apart in enumerate(sets) if name in pictures_apart} for name in names}

    def root(name: int) -> int:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    def join(a: int, b: int) -> None:
        a, b = root(a), root(b)
        if a != b and not barred[a] & barred[b]:
            parent[b] = a
            barred[a] |= barred[b]

    for a, b in links.tolist():
        join(a, b)
    # Members whose way to the others led through rows that are not in the group stay with the first.
    for name in names:
        if not barred[root(name)]:
            join(names[0], name)
    roots = [root(name) for name in names]
    number = {name: i for i, name in enumerate(dict.fromkeys(roots))}
    of_picture = dict(zip(names, roots, strict=True))
    return np.array([number[of_picture[picture]] for picture in pictures.tolist()], np.int64)


def without_apart(copies: Copies, apart: Sequence[Sequence[int]]) -> Copies:
    """The copies where those that a person told apart are in no group together, and of each part the best is kept."""
    if not apart:
        return copies
    ends = np.array([pair[:2] for pair in copies.pairs], np.int64).reshape(-1, 2)
    lengths = np.array([pair[3] for pair in copies.pairs])
    group = parted(copies.group, ends, lengths, copies.first, apart)
    changed = np.flatnonzero(np.isin(copies.group, copies.group[group != copies.group]) & (copies.group != NO_GROUP))
    if not len(changed):
        return copies
    kept, distance = copies.kept.copy(), copies.distance.copy()
    nearest = np.full(len(group), np.inf)
    within = group[ends[:, 0]] == group[ends[:, 1]]
    np.minimum.at(nearest, ends[within], lengths[within, None])
    for number in np.unique(group[changed]).tolist():
        rows = changed[group[changed] == number]
        if number == NO_GROUP:
            kept[rows], distance[rows] = rows, 0
            continue
        best = int(rows[np.argmin(copies.rank[rows])])
        if best != copies.kept[best]:
            way = np.where(np.isfinite(nearest[rows]), nearest[rows], copies.distance[rows])
            distance[rows] = np.where(copies.picture[rows] == copies.picture[best], 0, way)
        kept[rows] = best
    alone = np.where(group == NO_GROUP, np.arange(len(group)), -1)
    photograph = copies.photograph
    if photograph is not None:
        photograph = np.unique(np.stack([photograph, group, alone]), axis=1, return_inverse=True)[1].reshape(-1)
    return replace(copies, group=numbered(group), kept=kept, distance=distance, photograph=photograph)
