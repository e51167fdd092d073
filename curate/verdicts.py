"""From what each check says to what is found: findings, a verdict on each row, stories, and the tables of a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .checks import CHECKS
from .configs import ScanConfig
from .findings import (
    BESIDE_THE_KEPT,
    CATALOGUE,
    DROP,
    KEEP,
    OWN,
    REVIEW,
    SEVERITY,
    Check,
    Finding,
    Judgement,
    Story,
    findings_table,
)
from .measuring.conflicts import with_stand_ins
from .measuring.evidence import Evidence
from .measuring.probe import recognised
from .reviews import within_budget
from .sets.imageset import NO_GROUP, UNLABELLED, ImageSet, torn_groups
from .stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd

_EXPLAINED = 0.7  # of a group's rows: from here on another check speaks for all of it


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the checks together say of N rows.

    judgements  check -> what it says, beside the others: groups explained away, and numbered on
    findings    findings.parquet
    verdict     str (N,): keep, drop or review
    stories     groups of findings in words, the most telling first
    unreviewed  rows that would await review, were there no budget for it
    """

    judgements: Mapping[str, Judgement]
    findings: pd.DataFrame
    verdict: np.ndarray
    stories: tuple[Story, ...]
    unreviewed: int = 0

    __repr__ = short_repr


def weigh(evidence: Evidence, judgements: Mapping[str, Judgement], config: ScanConfig) -> Verdicts:
    """What the judgements of all checks, by name, come to."""
    numbered = _numbered_on(_unexplained(evidence, judgements))
    findings, unreviewed = _findings(evidence, numbered, config)
    copies = with_stand_ins(evidence.copies, evidence.images.labels, _leaving(len(evidence), findings, config.strict))
    if copies is not evidence.copies:
        evidence = replace(evidence, copies=copies)
        numbered |= {name: CHECKS[name](evidence) for name in BESIDE_THE_KEPT}
        findings, unreviewed = _findings(evidence, numbered, config)
    judgements = numbered
    verdict = _row_verdicts(len(evidence), findings)
    return Verdicts(judgements, findings, verdict, _stories(judgements, findings), unreviewed)


def _flagged(evidence: Evidence, judgements: Mapping[str, Judgement], name: str) -> np.ndarray:
    """bool (N,): rows of which a check's score reaches the threshold in use."""
    return np.asarray(judgements[name].score >= evidence.thresholds[name])


# One check beside the others


def _unexplained(evidence: Evidence, judgements: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """The judgements without the groups that other checks explain: ten blurred cells are no strangers."""
    left = dict(judgements)
    for name, check in CATALOGUE.items():
        if check.explained_by or check.explained_if_recognised:
            left[name] = _without_explained(evidence, judgements, check)
    return left


def _without_explained(evidence: Evidence, judgements: Mapping[str, Judgement], check: Check) -> Judgement:
    """What spoils a picture explains its group; another look does so only where the subject is known still."""
    judgement = judgements[check.name]
    none = np.zeros(len(evidence), bool)
    spoilt, changed = (
        np.any([none, *(_flagged(evidence, judgements, name) for name in names)], axis=0)
        for names in (check.explained_by, check.explained_if_recognised)
    )
    certain = none if judgement.certain is None else judgement.certain
    features, labels = evidence.features, evidence.images.labels
    score, stories = judgement.score.copy(), []
    for story in judgement.stories:
        rows = np.array(story.rows)
        if changed[rows].mean() >= _EXPLAINED:
            explained = recognised(evidence.probe, features, labels, rows)
        else:
            explained = spoilt[rows].mean() >= _EXPLAINED
        if explained and not certain[rows].any():
            score[rows] = np.minimum(score[rows], 0.98 * evidence.thresholds[check.name])
        else:
            stories.append(story)
    return replace(judgement, score=score, stories=tuple(stories))


def _numbered_on(judgements: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """The judgements with groups of no number twice: a check's own are numbered on from those of the others."""
    numbered = dict(judgements)
    own = [name for name, check in CATALOGUE.items() if check.groups == OWN and judgements[name].group is not None]
    highest = [
        j.group.max(initial=NO_GROUP) for name, j in judgements.items() if j.group is not None and name not in own
    ]
    first = 1 + int(max(highest, default=NO_GROUP))
    for name in own:
        judgement = judgements[name]
        assert judgement.group is not None
        group = np.where(judgement.group == NO_GROUP, NO_GROUP, judgement.group + first)
        stories = tuple(replace(story, group=story.group + first) for story in judgement.stories)
        numbered[name] = replace(judgement, group=group, stories=stories)
        first = max(first, 1 + int(group.max(initial=NO_GROUP)))
    return numbered


# What is found


def _findings(evidence: Evidence, judgements: Mapping[str, Judgement], config: ScanConfig) -> tuple[pd.DataFrame, int]:
    """(one row per suspicion, in order of severity, then of score; how many rows are beyond the budget for reviews)."""
    strangers = evidence.foreign & np.any(
        [_flagged(evidence, judgements, name) for name, check in CATALOGUE.items() if check.finds_foreign], axis=0
    )
    findings: list[Finding] = []
    for name, check in CATALOGUE.items():
        flagged = _flagged(evidence, judgements, name)
        if not check.finds_foreign:
            flagged &= ~strangers  # a picture that does not belong is told once
        findings += _findings_on_rows(evidence.images, judgements[name], flagged, check, config)
        findings += [
            Finding(-1, "", name, round(story.score, 4), NO_GROUP, REVIEW, story.sentence)
            for story in judgements[name].stories
            if not story.rows
        ]
    return within_budget(findings_table(findings), config.review_budget)


def _findings_on_rows(
    images: ImageSet, judgement: Judgement, flagged: np.ndarray, check: Check, config: ScanConfig
) -> list[Finding]:
    """A finding for each flagged row, the worst first."""
    group = judgement.group if judgement.group is not None else np.full(len(images), NO_GROUP)
    droppable = np.zeros(len(images), bool)
    if check.name in config.drop:
        droppable[:] = True
    elif check.action == DROP and check.name not in config.review and judgement.certain is not None:
        droppable = judgement.certain
    scores = np.round(judgement.score.astype(np.float64), 4)
    chance = _chance(judgement)
    common = np.zeros(len(images), bool) if judgement.common is None else judgement.common
    return [
        Finding(
            row,
            images.ids[row],
            check.name,
            float(scores[row]),
            int(group[row]),
            DROP if droppable[row] else KEEP if common[row] else REVIEW,
            judgement.because(row),
            round(float(chance[row]), 4),
            "" if judgement.suggested is None else judgement.suggested(row),
        )
        for row in sorted(np.flatnonzero(flagged).tolist(), key=lambda row: (-scores[row], row))
    ]


def _chance(judgement: Judgement) -> np.ndarray:
    """float64 (N,): the chance that each flag is right; NaN where nothing says it. What is certain is right."""
    chance = np.full(len(judgement.score), np.nan)
    if judgement.chance is not None:
        chance = judgement.chance.astype(np.float64)
    return chance if judgement.certain is None else np.where(judgement.certain, 1.0, chance)


def _leaving(n: int, findings: pd.DataFrame, strict: bool) -> np.ndarray:
    """bool (N,): rows that leave the clean set for a fault of their own, and not beside a copy of theirs."""
    own = _row_verdicts(n, findings[~findings["check"].isin(BESIDE_THE_KEPT)])
    return np.asarray((own == DROP) | ((own == REVIEW) & strict))


def _row_verdicts(n: int, findings: pd.DataFrame) -> np.ndarray:
    """(N,) of keep, drop or review: the gravest action on each row."""
    verdict = np.full(n, KEEP, dtype="<U6")
    for action in (REVIEW, DROP):
        rows = findings.loc[findings["action"] == action, "row"].to_numpy()
        verdict[rows[rows >= 0]] = action
    return verdict


def _stories(judgements: Mapping[str, Judgement], findings: pd.DataFrame) -> tuple[Story, ...]:
    """Groups in words, the weightiest first; those of which nothing is found left out."""
    accused = set(zip(findings["check"], findings["row"], strict=True))
    stories = [
        story
        for name in SEVERITY
        for story in judgements[name].stories
        if not story.rows or any((name, row) in accused for row in story.rows)
    ]
    return tuple(sorted(stories, key=lambda s: (-round(s.weight, 3), SEVERITY.index(s.check), s.group)))


# Tables


def images_table(evidence: Evidence, verdicts: Verdicts, places: np.ndarray) -> pd.DataFrame:
    """images.parquet: one row per image.

    places  float (M, 2): where the map has each of the representatives
    """
    import pandas as pd

    images = evidence.images
    n = len(images)
    xy = np.append(places, [[np.nan, np.nan]], axis=0)[evidence.position]
    columns: dict[str, object] = {
        "row": np.arange(n),
        "id": pd.Series(images.ids, dtype="str"),
        "label": images.labels,
        "label_name": pd.Series([images.label_name(row) for row in range(n)], dtype="str"),
        "split": pd.Series(images.splits or [""] * n, dtype="str"),
        "digest": pd.Series(evidence.measured.digests, dtype="str"),
        "group": evidence.copies.group,
        "verdict": pd.Series(verdicts.verdict, dtype="str"),
        "x": xy[:, 0].astype(np.float32),
        "y": xy[:, 1].astype(np.float32),
    }
    for name in SEVERITY:
        columns[f"{name}_score"] = np.round(verdicts.judgements[name].score.astype(np.float32), 4) + 0
    return pd.DataFrame(columns)


_PAIR_TYPES = {"row_a": "int64", "row_b": "int64", "kind": "str", "distance": "float32"}


def pairs_table(evidence: Evidence) -> pd.DataFrame:
    """pairs.parquet: the duplicate pairs that stood verification."""
    import pandas as pd

    return pd.DataFrame(evidence.copies.pairs, columns=list(_PAIR_TYPES)).astype(_PAIR_TYPES)


def balance_table(images: ImageSet, verdict: np.ndarray) -> pd.DataFrame:
    """Per class: name, images, kept, dropped, review; a last row for what has no label."""
    import pandas as pd

    parts = [(name, images.labels == label) for label, name in enumerate(images.classes)]
    if (images.labels == UNLABELLED).any():
        parts.append(("(no label)", images.labels == UNLABELLED))
    rows = [
        (name, int(members.sum()), *(int((verdict[members] == action).sum()) for action in (KEEP, DROP, REVIEW)))
        for name, members in parts
    ]
    return pd.DataFrame(rows, columns=["name", "images", "kept", "dropped", "review"])


def thinned(images: ImageSet, findings: pd.DataFrame, verdict: np.ndarray) -> list[str]:
    """Of which classes most images are dropped, for what, and what to do: at most one line for each check."""
    by_check: dict[str, list[str]] = {}
    dropped = verdict == DROP
    causes = findings[(findings["action"] == DROP) & (findings["check"] != "leak")]
    for label, name in enumerate(images.classes):
        rows = np.flatnonzero((images.labels == label) & dropped)
        total = int((images.labels == label).sum())
        if 2 * len(rows) > total:
            checks = causes.loc[causes["row"].isin(rows), "check"]
            check = max(CATALOGUE, key=lambda check: int((checks == check).sum()))
            by_check.setdefault(check, []).append(f"{len(rows):,} of the {total:,} of {name}")
    lines = []
    for check, classes in by_check.items():
        more = f" and most of {len(classes) - 5:,} more classes" if len(classes) > 5 else ""
        lines.append(
            f"cleaning takes {', '.join(classes[:5])}{more} as {CATALOGUE[check].title.lower()}; {_cure(check)}"
        )
    return lines


def _cure(check: str) -> str:
    """What to do where a check takes most of a class."""
    if check == "exact_duplicate":
        return "equal pictures add nothing, and `augment build` makes different copies where a class has few"
    return f"if they shall stay, scan with --review {check}"


def torn_note(images: ImageSet) -> list[str]:
    """A note where groups of the set itself, such as patients, stand in several of its splits."""
    if images.groups is None or images.splits is None:
        return []
    torn = torn_groups(images.groups.tolist(), images.splits)
    if not torn:
        return []
    a, b = torn[0]
    stand = "1 group of the set stands" if len(torn) == 1 else f"{len(torn):,} groups of the set stand"
    return [
        f"{stand} in several splits, such as that of {images.ids[a]} ({images.splits[a]}) and {images.ids[b]} "
        f"({images.splits[b]}): results on held-out splits are too good; `curate split --fresh` keeps groups whole"
    ]


def remarks_on(judgements: Mapping[str, Judgement]) -> list[str]:
    """What so much of the set has that it is no suspicion, a line each."""
    return [remark for name in SEVERITY for remark in judgements[name].remarks]


def beyond_budget(unreviewed: int, config: ScanConfig) -> list[str]:
    """A line on what a budget for reviews leaves out."""
    if not unreviewed:
        return []
    images = "1 further suspicious image is" if unreviewed == 1 else f"{unreviewed:,} further suspicious images are"
    return [f"{images} kept and not for review (--review-budget {config.review_budget}); all stand in findings.parquet"]


def not_checked(judgements: Mapping[str, Judgement]) -> dict[str, str]:
    """check -> why it could not say anything, the gravest first."""
    return {name: judgements[name].note for name in SEVERITY if judgements[name].note}


def left_out(reasons: Mapping[str, str]) -> list[str]:
    """Which checks could not say anything, and why: a line for each reason."""
    silent: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        silent.setdefault(reason, []).append(name)
    return [f"not checked: {', '.join(names)} ({reason})" for reason, names in silent.items()]
