"""Copies judged: which are one too many, which disagree about the label, which leak between splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..findings import CHECKS, Judgement, Story
from ..measuring.conflicts import ACCEPTED, REJECTED, opinion_on
from ..measuring.evidence import Evidence
from ..measuring.grouping import Copies
from ..sets.imageset import NO_GROUP, UNLABELLED

_ALONE = "one image only"


@CHECKS.add
def label_conflict(evidence: Evidence) -> Judgement:
    """Copies of one picture with different labels, or one file with several: all but one of them are wrong."""
    n, copies, labels = len(evidence), evidence.copies, evidence.images.labels
    conflicts = evidence.images.conflicts
    if not evidence.images.labelled and not conflicts:
        return Judgement.silent(n, "no labels")
    if len(evidence.images.classes) < 2:
        return Judgement.silent(n, "one class only")
    score, certain, chance = np.zeros(n, np.float32), np.zeros(n, bool), np.full(n, np.nan, np.float32)
    sentence: dict[int, str] = {}
    suggested: dict[int, str] = {}
    for group in range(copies.group.max(initial=-1) + 1):
        rows = copies.members(group)
        named = rows[(labels[rows] != UNLABELLED) & ~evidence.foreign[rows]]
        counts = Counter(evidence.images.classes[c] for c in labels[named].tolist())
        if len(counts) < 2:
            continue
        opinion = opinion_on(named, labels, evidence.probe)
        wrong = [r for r in named.tolist() if opinion.get(int(labels[r]), 1.0) < REJECTED]
        right = [evidence.images.classes[c] for c, p in opinion.items() if p > ACCEPTED]
        # Even where no label can be rejected, the conflict itself is certain: no copy scores below one half.
        score[named] = [1 - opinion.get(int(labels[r]), 0.5) / 2 for r in named.tolist()]
        chance[named] = _wrong(labels[named], opinion)
        has = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        if right and wrong:
            certain[wrong] = True
            suggested |= dict.fromkeys(wrong, right[0])
            sentence[group] = (
                f"copies of one picture labelled {has}; the probe says {right[0]} ({max(opinion.values()):.0%})"
            )
        else:
            sentence[group] = f"copies of one picture labelled {has}; the probe cannot tell which is right"
    in_copies = np.flatnonzero(score)
    score[list(conflicts)] = chance[list(conflicts)] = 1  # whatever its copies say, it has no label

    def because(row: int) -> str:
        if row in conflicts:
            return f"the table gives this file several labels, {', '.join(conflicts[row])}; it has none of them"
        return sentence[int(copies.group[row])]

    stories = _conflict_story(copies, in_copies, certain, sorted(conflicts))
    return Judgement(
        score, because, copies.group, certain, stories, chance=chance, suggested=lambda row: suggested.get(row, "")
    )


def _wrong(labels: np.ndarray, opinion: Mapping[int, float]) -> np.ndarray:
    """float (k,): the chance that each of these labels of one picture is wrong, of which one is right.

    opinion  label -> its probability; one that nobody can tell of is as likely as not
    """
    named, index = np.unique(labels, return_inverse=True)
    right = np.array([opinion.get(int(label), 0.5) for label in named]) + 1e-6
    return np.asarray((1 - right / right.sum())[index])


def _conflict_story(copies: Copies, rows: np.ndarray, certain: np.ndarray, several: Sequence[int]) -> tuple[Story, ...]:
    """All conflicts in one sentence; none where there are none.

    rows  copies that disagree;  several  rows that have several labels themselves
    """
    parts = []
    if len(rows):
        groups = np.unique(copies.group[rows])
        decided = len(np.unique(copies.group[rows][certain[rows]]))
        times = "picture occurs" if len(groups) == 1 else "pictures occur"
        verdict = (
            f"for {decided:,} the probe tells which is wrong" if decided else "the probe cannot tell which is wrong"
        )
        parts.append(f"{len(groups):,} {times} under two labels or more; {verdict}")
    if several:
        files = "1 file has" if len(several) == 1 else f"{len(several):,} files have"
        parts.append(f"{files} two labels or more in the table, and none here")
    shown = sorted({*rows.tolist(), *several})
    weight = 3 * len(shown) / max(len(copies.group), 1)
    return (Story("label_conflict", NO_GROUP, tuple(shown), "; ".join(parts), weight),) if parts else ()


@CHECKS.add
def leak(evidence: Evidence) -> Judgement:
    """A copy of a held-out picture in another split."""
    n, copies, splits = len(evidence), evidence.copies, evidence.images.splits
    if splits is None or len(set(splits)) < 2:
        return Judgement.silent(n, "no splits" if splits is None else "one split only")
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
        f"in another split: results on that split are too good{_left_to_train_on(evidence, leaked)}"
    )
    stories = (Story("leak", NO_GROUP, tuple(leaked.tolist()), sentence, 3 * len(leaked) / n),) if len(leaked) else ()

    def because(row: int) -> str:
        kept = int(copies.kept[row])
        return f"a copy of {evidence.images.ids[kept]}, which is in {names[kept]}, while this one is in {names[row]}"

    return Judgement(score, because, copies.group, score > 0, stories)


def _left_to_train_on(evidence: Evidence, leaked: np.ndarray) -> str:
    """What is to be done where most of train is copies of what is in other splits; "" where enough is left."""
    train = np.array(evidence.images.splits) == "train"
    left = int((train & ~evidence.copies.extra).sum())
    if not train[leaked].any() or 2 * left >= train.sum():
        return ""
    return (
        f"; without copies train has {left:,} of its {train.sum():,} images, so split the clean set anew "
        "(`curate split --fresh`, or `augment build --fresh`)"
    )


@CHECKS.add
def exact_duplicate(evidence: Evidence) -> Judgement:
    """The very pixels of another image, beyond the one kept."""
    copies = evidence.copies
    if len(evidence) < 2:
        return Judgement.silent(len(evidence), _ALONE)
    score = np.where(copies.exact, 1.0, 0.0).astype(np.float32)

    def likeness(row: int) -> str:
        kept, earlier = int(copies.kept[row]), int(copies.first[row])
        if copies.first[kept] == earlier:
            return "the same pixels as"
        return f"the same pixels as {evidence.images.ids[earlier]}, and {_same_picture(copies, row)}"

    return Judgement(score, _kept_because(evidence, likeness), copies.group, _agrees(evidence), chance=score)


@CHECKS.add
def near_duplicate(evidence: Evidence) -> Judgement:
    """The same picture as another, recoded, shifted, cropped, brightened or turned, beyond the one kept."""
    copies = evidence.copies
    if len(evidence) < 2:
        return Judgement.silent(len(evidence), _ALONE)
    score = np.where(copies.extra & ~copies.exact & ~copies.grouped_only, 1 - copies.distance / 2, 0).astype(np.float32)
    return Judgement(
        score,
        _kept_because(evidence, lambda row: _same_picture(copies, row)),
        copies.group,
        _agrees(evidence),
        _source_story(copies),
        chance=(score > 0).astype(np.float32),
    )


def _source_story(copies: Copies) -> tuple[Story, ...]:
    """That the set is made of copies by augmentation, where it is: none of them is dropped, and all stay together."""
    spared = copies.grouped_only
    if not spared.any():
        return ()
    groups = np.unique(copies.group[spared])
    rows = int(np.isin(copies.group, groups).sum())
    sentence = (
        f"{rows:,} images are {len(groups):,} photographs, {round(rows / len(groups))} copies each; a random split "
        "would leak. They stay, in groups that splits, folds and balancing keep whole (`curate split`, `augment build`)"
    )
    return (Story("near_duplicate", NO_GROUP, (), sentence, 3 * rows / len(copies.group), 1.0),)


def _same_picture(copies: Copies, row: int) -> str:
    """How a row shows the picture of the copy that is kept of it, whose pixels it has not."""
    if copies.same_source[row]:
        return "the same photograph, cropped or warped, as"
    turned = copies.picture[row] == copies.picture[copies.kept[row]]
    return "the same pixels, turned or mirrored, as" if turned else "the same picture as"


def _agrees(evidence: Evidence) -> np.ndarray:
    """bool (N,): rows whose label is that of the copy kept for them, so that dropping them loses nothing."""
    labels = evidence.images.labels
    return np.asarray((labels == labels[evidence.copies.kept]) | (labels == UNLABELLED))


def _kept_because(evidence: Evidence, likeness: Callable[[int], str]) -> Callable[[int], str]:
    copies, measured = evidence.copies, evidence.measured.properties

    def because(row: int) -> str:
        kept = int(copies.kept[row])
        area = [measured["width"][r] * measured["height"][r] for r in (row, kept)]
        reason = "it comes first" if kept < row else "it is sharper or less noisy"
        if area[1] > area[0]:
            reason = "it is larger"
        splits = evidence.images.splits
        if splits is not None and splits[row] != splits[kept]:
            reason = f"it is in {splits[kept]}"
        elif copies.rank[kept] > copies.rank[copies.members(int(copies.group[row]))].min():
            reason = "its label is the likelier"
        return f"{likeness(row)} {evidence.images.ids[kept]}, which is kept because {reason}"

    return because
