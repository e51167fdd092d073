"""Copies under several labels: what the label probe gives each, and which copy is kept once it has spoken."""

from __future__ import annotations

import numpy as np

from ..sets.imageset import NO_GROUP, UNLABELLED
from .grouping import Copies
from .probe import Probe

# A label is rejected for its copies when the probe gives it less than this, and another of theirs more than that.
REJECTED, ACCEPTED = 0.1, 0.7


def opinion_on(rows: np.ndarray, labels: np.ndarray, probe: Probe | None) -> dict[int, float]:
    """The probe's mean out-of-fold probability of each label that occurs among copies; empty where it has none.

    rows  int64 (k,): copies of one picture;  labels  int64 (N,)
    """
    if probe is None:
        return {}
    at = np.flatnonzero(np.isin(probe.rows, rows))
    if not len(at):
        return {}
    mean = probe.probabilities[at].mean(axis=0)
    # A class that the probe never learnt is neither accepted nor rejected.
    named = np.intersect1d(labels[rows], probe.classes)
    return {int(label): float(mean[np.searchsorted(probe.classes, label)]) for label in named}


def settled(copies: Copies, labels: np.ndarray, probe: Probe | None) -> Copies:
    """The copies once the probe has spoken on conflicting labels.

    Where it clearly rejects the label of the copy that quality alone would keep, the first copy with an accepted
    label is kept instead.
    """
    likelier = []
    for group in range(copies.group.max(initial=-1) + 1):
        rows = copies.members(group)
        named = rows[labels[rows] != UNLABELLED]
        if len(np.unique(labels[named])) < 2:
            continue
        opinion = opinion_on(named, labels, probe)
        label = max(opinion, key=lambda label: opinion[label], default=UNLABELLED)
        if label != labels[copies.kept[rows[0]]] and opinion.get(int(label), 0) > ACCEPTED:
            alike = rows[labels[rows] == label]
            likelier.append(int(alike[np.argmin(copies.rank[alike])]))
    return copies.keeping(likelier)


def with_stand_ins(copies: Copies, labels: np.ndarray, leaves: np.ndarray) -> Copies:
    """The copies once it is known which rows leave the set for a fault of their own.

    leaves  bool (N,)

    Where the copy that would be kept leaves, the best of those that stay is kept instead, one of its label rather than
    another: no picture is lost because one of its copies has a fault and the others are copies of it.
    """
    chosen = []
    for group in np.unique(copies.group[leaves & ~copies.extra & (copies.group != NO_GROUP)]).tolist():
        rows = copies.members(group)
        left = rows[~leaves[rows]]
        if len(left):
            other = labels[left] != labels[copies.kept[rows[0]]]
            chosen.append(int(left[np.lexsort((copies.rank[left], other))[0]]))
    return copies.keeping(chosen) if chosen else copies
