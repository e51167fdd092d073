"""What lies far from all else in the embedding: distances against those of the set, and copies that are strangers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..sets.imageset import NO_GROUP, UNLABELLED
from ..stage.shortness import short_repr
from .grouping import Copies
from .neighbours import Neighbours
from .spreads import centre_and_scale

# Robust standard deviations of the log distance. One in a thousand clean pictures of five real sets lies beyond 3.
FAR = 3.5
# Many copies of one picture under several labels are evidence of their own: they need not lie as far out.
FAR_COPIES = 2.0
NEAREST = 20
FEWEST = 20  # among fewer different pictures none is far from the rest
_FEW, _MANY = 3, 10


@dataclass(frozen=True, eq=False)
class Distances:
    """How far each representative lies from the others: robust z of the log mean distance to its nearest 20."""

    z: np.ndarray
    centre: float
    scale: float

    __repr__ = short_repr

    def standardised(self, mean_distance: np.ndarray) -> np.ndarray:
        """z of given mean distances."""
        return np.asarray((np.log(np.maximum(mean_distance, 1e-6)) - self.centre) / self.scale)


def distances(neighbours: Neighbours) -> Distances:
    """How far each row of a table of neighbours lies from the others."""
    near = neighbours.distances[:, :NEAREST]
    if near.shape[1] == 0:
        return Distances(np.zeros(len(near)), 0.0, 1.0)
    logs = np.log(np.maximum(near.mean(axis=1), 1e-6))
    centre, scale = centre_and_scale(logs, floor=0.05)
    return Distances((logs - centre) / scale, centre, scale)


@dataclass(frozen=True, eq=False)
class FarCopies:
    """A group of copies that lies far out.

    rows     int64 (k,): all of the group;  z  of the picture that they show (see Distances)
    certain  that it belongs to no class: there are many, or they are under several labels
    """

    group: int
    rows: np.ndarray
    z: float
    certain: bool

    __repr__ = short_repr


def far_copies(
    copies: Copies, position: np.ndarray, labels: np.ndarray, distances_of_set: Distances
) -> list[FarCopies]:
    """The groups of copies that lie far out, in the order of their numbers.

    position  int64 (N,): where each row's picture is among the distances, -1 unreadable
    """
    # In a set that was oversampled every picture has its copies: many are many times as many as usual.
    sizes = np.bincount(position[position >= 0])
    many = _MANY * max(1, int(np.median(sizes)))
    groups = []
    for number in np.flatnonzero(np.bincount(copies.group[copies.group != NO_GROUP], minlength=1) >= _FEW).tolist():
        rows = copies.members(number)
        z = float(distances_of_set.z[position[rows[0]]])
        named = labels[rows]
        several = len(np.unique(named[named != UNLABELLED])) > 1
        if z >= (FAR_COPIES if several and len(rows) >= many else FAR):
            groups.append(FarCopies(number, rows, z, several or len(rows) >= many))
    return groups


def foreign_copies(copies: Copies, position: np.ndarray, labels: np.ndarray, neighbours: Neighbours) -> np.ndarray:
    """bool (N,): rows of copies of one picture that certainly belongs to no class: many, or under several labels."""
    foreign = np.zeros(len(position), bool)
    if len(neighbours.rows) >= FEWEST:
        for group in far_copies(copies, position, labels, distances(neighbours)):
            foreign[group.rows] = group.certain
    return foreign
