"""Copies judged: which are one too many, which disagree about the label, which leak between splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..findings import CHECKS, Judgement, Story
from ..measuring.duplicates import Copies
from ..measuring.evidence import Evidence
from ..sets.imageset import NO_GROUP, UNLABELLED

# A label is rejected for its copies when the probe gives it less than this, and another of theirs more than that.
_REJECTED, _ACCEPTED = 0.1, 0.7


@CHECKS.add
def label_conflict(evidence: Evidence) -> Judgement:
    """Copies of one picture with different labels: one of them is wrong, whatever a model says."""
    n, copies, labels = len(evidence), evidence.copies, evidence.images.labels
    if not evidence.images.labelled:
        return Judgement.silent(n, "no labels")
    score, certain = np.zeros(n, np.float32), np.zeros(n, bool)
    sentence: dict[int, str] = {}
    for group in range(copies.group.max(initial=-1) + 1):
        rows = copies.members(group)
        named = rows[(labels[rows] != UNLABELLED) & ~evidence.foreign[rows]]
        counts = Counter(evidence.images.classes[c] for c in labels[named].tolist())
        if len(counts) < 2:
            continue
        opinion = _opinion(evidence, named)
        wrong = [r for r in named.tolist() if opinion.get(int(labels[r]), 1.0) < _REJECTED]
        right = [evidence.images.classes[c] for c, p in opinion.items() if p > _ACCEPTED]
        # Even where no label can be rejected, the conflict itself is certain: no copy scores below one half.
        score[named] = [1 - opinion.get(int(labels[r]), 0.5) / 2 for r in named.tolist()]
        has = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        if right and wrong:
            certain[wrong] = True
            sentence[group] = (
                f"copies of one picture labelled {has}; the probe says {right[0]} ({max(opinion.values()):.0%})"
            )
        else:
            sentence[group] = f"copies of one picture labelled {has}; the probe cannot tell which is right"
    found = np.flatnonzero(score)
    return Judgement(
        score,
        lambda row: sentence[int(copies.group[row])],
        copies.group,
        certain,
        _conflict_story(copies, found, certain),
    )


def _conflict_story(copies: Copies, rows: np.ndarray, certain: np.ndarray) -> tuple[Story, ...]:
    """All conflicts in one sentence; none where there are none."""
    if not len(rows):
        return ()
    groups = np.unique(copies.group[rows])
    told = len(np.unique(copies.group[rows][certain[rows]]))
    times = "picture occurs" if len(groups) == 1 else "pictures occur"
    which = f"for {told:,} the probe tells which is wrong" if told else "the probe cannot tell which is wrong"
    sentence = f"{len(groups):,} {times} under two labels or more; {which}"
    return (Story("label_conflict", NO_GROUP, tuple(rows.tolist()), sentence, 3 * len(rows) / len(copies.group)),)


def _opinion(evidence: Evidence, rows: np.ndarray) -> dict[int, float]:
    """The probe's mean out-of-fold probability of each label that occurs among copies; empty where it has none."""
    probe = evidence.probe
    if probe is None:
        return {}
    at = np.flatnonzero(np.isin(probe.rows, rows))
    if not len(at):
        return {}
    mean = probe.probabilities[at].mean(axis=0)
    # A class that the probe never learnt is neither accepted nor rejected.
    named = np.intersect1d(evidence.images.labels[rows], probe.classes)
    return {int(c): float(mean[np.searchsorted(probe.classes, c)]) for c in named}


@CHECKS.add
def leak(evidence: Evidence) -> Judgement:
    """A copy of a held-out picture in another split."""
    n, copies, splits = len(evidence), evidence.copies, evidence.images.splits
    if splits is None or len(set(splits)) < 2:
        return Judgement.silent(n, "")
    names = np.array(splits)
    score = np.zeros(n, np.float32)
    for group in range(copies.group.max(initial=-1) + 1):
        rows = copies.members(group)
        if len(set(names[rows])) > 1:
            # The kept copy is the one in the most precious split; those elsewhere leak it.
            score[rows] = np.where(names[rows] == names[copies.kept[rows[0]]], 0, 1 - copies.distance[rows] / 2)

    leaked = np.flatnonzero(score)
    sentence = (
        f"{len(leaked):,} {'image is a copy of one' if len(leaked) == 1 else 'images are copies of images'} "
        "in another split: what is measured there is partly known already"
    )
    stories = (Story("leak", NO_GROUP, tuple(leaked.tolist()), sentence, 3 * len(leaked) / n),) if len(leaked) else ()

    def because(row: int) -> str:
        kept = int(copies.kept[row])
        return f"a copy of {evidence.images.ids[kept]}, which is in {names[kept]}, while this one is in {names[row]}"

    return Judgement(score, because, copies.group, score > 0, stories)


@CHECKS.add
def exact_duplicate(evidence: Evidence) -> Judgement:
    """The very pixels of another image, beyond the one kept."""
    copies = evidence.copies
    score = np.where(copies.exact, 1.0, 0.0).astype(np.float32)
    return Judgement(score, _kept_because(evidence, "the same pixels as"), copies.group, _agrees(evidence))


@CHECKS.add
def near_duplicate(evidence: Evidence) -> Judgement:
    """The same picture as another, recoded, shifted, cropped, brightened or turned, beyond the one kept."""
    copies = evidence.copies
    score = np.where(copies.extra & ~copies.exact, 1 - copies.distance / 2, 0).astype(np.float32)
    return Judgement(score, _kept_because(evidence, "the same picture as"), copies.group, _agrees(evidence))


def _agrees(evidence: Evidence) -> np.ndarray:
    """bool (N,): rows whose label is that of the copy kept for them, so that dropping them loses nothing."""
    labels = evidence.images.labels
    return np.asarray((labels == labels[evidence.copies.kept]) | (labels == UNLABELLED))


def _kept_because(evidence: Evidence, likeness: str) -> Callable[[int], str]:
    copies, of = evidence.copies, evidence.measured.properties

    def because(row: int) -> str:
        kept = int(copies.kept[row])
        area = [of["width"][r] * of["height"][r] for r in (row, kept)]
        reason = "it comes first" if kept < row else "it is sharper or less noisy"
        if area[1] > area[0]:
            reason = "it is larger"
        splits = evidence.images.splits
        if splits is not None and splits[row] != splits[kept]:
            reason = f"it is in {splits[kept]}"
        elif copies.rank[kept] > copies.rank[copies.members(int(copies.group[row]))].min():
            reason = "its label is the likelier"
        return f"{likeness} {evidence.images.ids[kept]}, which is kept because {reason}"

    return because


def settled(evidence: Evidence) -> Copies:
    """The copies once the probe has spoken on conflicting labels.

    Where it clearly rejects the label of the copy that quality alone would keep, the first copy with an accepted
    label is kept instead.
    """
    copies, labels = evidence.copies, evidence.images.labels
    kept, distance = copies.kept.copy(), copies.distance.copy()
    for group in range(copies.group.max(initial=-1) + 1):
        rows = copies.members(group)
        named = rows[labels[rows] != UNLABELLED]
        if len(np.unique(labels[named])) < 2:
            continue
        opinion = _opinion(evidence, named)
        label = max(opinion, key=lambda c: opinion[c], default=UNLABELLED)
        if label != labels[kept[rows[0]]] and opinion.get(int(label), 0) > _ACCEPTED:
            of_label = rows[labels[rows] == label]
            best = of_label[np.argmin(copies.rank[of_label])]
            # The way from the new kept copy is about that to it; exactly so for a copy of its very pixels.
            distance[rows] = np.where(copies.first[rows] == copies.first[best], 0, copies.distance[best])
            kept[rows] = best
    return replace(copies, kept=kept, distance=distance)
