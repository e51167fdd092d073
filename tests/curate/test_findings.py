import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from albums import album

from curate.checks import CHECKS
from curate.findings import (
    BOTH,
    CATALOGUE,
    COLUMNS,
    COPIES,
    DROP,
    KEEP,
    NONE,
    OWN,
    REVIEW,
    SEVERITY,
    Finding,
    Judgement,
    findings_table,
    found_by_check,
)
from curate.measuring.probe import probe_labels
from curate.planting import KINDS as FAULTS
from curate.planting import Cast, PlantConfig, plant
from curate.sets.imageset import ImageSet

PLANTED = PlantConfig(
    label=0.03, blur=0.02, dark=0.02, light=0.02, grey=0.02, solid=0.02, casts=(Cast("blue", "strong", 0.03),)
)
# The check names that docs/ and every table promise.
PUBLIC = [
    "unreadable",
    "exact_duplicate",
    "near_duplicate",
    "label_conflict",
    "leak",
    "outlier",
    "outlier_group",
    "colour_cast",
    "dark",
    "light",
    "blurred",
    "low_information",
    "odd_size",
    "odd_aspect",
    "grayscale",
    "label_error",
    "shortcut",
]
TYPES = {
    "row": "int64",
    "id": "str",
    "check": "str",
    "score": "float32",
    "group": "int64",
    "action": "str",
    "because": "str",
    "chance": "float32",
    "suggested": "str",
}


def test_the_checks_are_those_with_public_names_each_once():
    assert sorted(SEVERITY) == sorted(PUBLIC)


def test_label_conflicts_are_told_first():
    assert SEVERITY[0] == "label_conflict"


def test_a_table_of_findings_has_one_row_each_in_the_order_given():
    found = [
        Finding(7, "b.png", "dark", 0.75, -1, "review", "mean brightness 0.02", 0.5, "cat"),
        Finding(2, "a.png", "leak", 1, 4, "drop", "a copy of b.png", 1),
    ]
    table = findings_table(found)
    assert tuple(table.columns) == COLUMNS
    assert table.dtypes.astype(str).to_dict() == TYPES
    assert [Finding(**row) for row in table.to_dict("records")] == found


def test_the_chance_of_a_finding_is_open_where_its_check_cannot_tell():
    table = findings_table([Finding(2, "a.png", "leak", 1, 4, "drop", "a copy of b.png")])
    assert table["chance"].isna().tolist() == [True]


def test_a_table_of_no_findings_has_the_same_columns_and_types():
    table = findings_table([])
    assert not len(table)
    assert table.dtypes.astype(str).to_dict() == TYPES


def test_a_check_that_cannot_judge_says_why_and_accuses_nobody():
    silent = Judgement.silent(5, "no labels")
    assert silent.note == "no labels"
    assert silent.score.dtype == np.float32
    assert silent.score.tolist() == [0] * 5


# The catalogue


def test_every_row_has_a_check_and_every_check_a_row():
    assert set(CATALOGUE) == set(CHECKS)
    assert all(check.name == name for name, check in CATALOGUE.items())
    assert tuple(CATALOGUE) == SEVERITY


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=CATALOGUE)
def test_every_row_is_filled(check):
    assert check.title == check.title.strip() != ""
    assert check.looks_for.endswith(".")
    assert check.outcome.strip()
    assert re.fullmatch(r"#[0-9a-f]{6}", check.colour)
    assert check.action in (DROP, REVIEW)
    assert (check.action == DROP) == check.outcome.startswith("drop")
    assert check.groups in (COPIES, OWN, BOTH, NONE)
    others = set(SEVERITY) - {check.name}
    assert {*check.explained_by, *check.explained_if_recognised} <= others
    assert not set(check.explained_by) & set(check.explained_if_recognised)


def test_titles_are_told_apart():
    assert len({check.title for check in CATALOGUE.values()}) == len(CATALOGUE)


def test_every_fault_is_planted_for_one_check_and_no_other_is_known():
    planted = [kind for check in CATALOGUE.values() for kind in check.planted_by]
    assert sorted(planted) == sorted(FAULTS)
    for check in CATALOGUE.values():
        assert set(check.may_see) <= set(FAULTS) - set(check.planted_by)


# The contract of every check, on sets of every kind


def kinds_of_evidence(planted, cells) -> dict[str, ImageSet]:
    images, labels = cells
    n = len(planted.images)
    torn = [None if row % 40 == 7 else picture for row, picture in enumerate(planted.images)]
    splits = tuple(("train", "train", "val", "test")[row % 4] for row in range(n))
    return {
        "every fault": album(torn, planted.labels, splits),
        "no labels": album(list(planted.images[:60])),
        "one class": album(list(images[:40]), np.zeros(40, int)),
        "four pictures": album(list(images[:4]), labels[:4]),
        "one picture": album(list(images[:1]), labels[:1]),
        "all the same": album([images[0]] * 30, np.arange(30) % 4, splits[:30]),
        "nothing readable": album([None] * 12, np.arange(12) % 4, splits[:12]),
        "grey": album([np.repeat(image[..., :1], 3, axis=2) for image in images[:40]], labels[:40]),
        "solid": album([np.full((8, 8, 3), (v, 255 - v, 90), np.uint8) for v in range(40)], np.arange(40) % 4),
    }


KINDS = (
    "every fault", "no labels", "one class", "four pictures", "one picture", "all the same", "nothing readable",
    "grey", "solid",
)  # fmt: skip


@pytest.fixture(scope="module")
def evidence_for(planted, cells, evidence_of):
    """The evidence of each of KINDS, made when it is first asked for."""
    sets, made = kinds_of_evidence(planted, cells), {}

    def evidence(kind: str):
        if kind not in made:
            made[kind] = evidence_of(sets[kind])
        return made[kind]

    return evidence


def arrays_in(thing, seen: set[int] | None = None) -> list[np.ndarray]:
    """Every array that an evidence holds, however deep."""
    seen = set() if seen is None else seen
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, str | int | float | Path) or thing is None or id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, dict):
        return [array for value in thing.values() for array in arrays_in(value, seen)]
    if isinstance(thing, list | tuple):
        return [array for value in thing for array in arrays_in(value, seen)]
    return [array for value in vars(thing).values() for array in arrays_in(value, seen)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHECKS)
def test_every_check_keeps_its_contract_on_every_kind_of_set(evidence_for, name, kind):
    evidence = evidence_for(kind)
    n = len(evidence)
    before = [array.copy() for array in arrays_in(evidence)]
    assert len(before) > 20
    judgement = CHECKS[name](evidence)
    for array, copy in zip(arrays_in(evidence), before, strict=True):
        np.testing.assert_array_equal(array, copy)

    assert isinstance(judgement, Judgement)
    assert judgement.score.dtype == np.float32
    assert judgement.score.shape == (n,)
    assert np.isfinite(judgement.score).all()
    assert ((judgement.score >= 0) & (judgement.score <= 1)).all()
    # A threshold may be set as low as one likes, so that every row with a score needs its sentence.
    for row in np.flatnonzero(judgement.score).tolist():
        sentence = judgement.because(row)
        assert sentence.strip() == sentence != ""
        assert "\n" not in sentence
        assert "nan" not in sentence.lower().split()
    if judgement.group is not None:
        assert judgement.group.shape == (n,)
        assert judgement.group.dtype.kind == "i"
        assert judgement.group.min() >= -1
    if judgement.certain is not None:
        assert judgement.certain.shape == (n,)
        assert judgement.certain.dtype == bool
    for story in judgement.stories:
        assert story.check == name
        assert story.weight > 0
        assert story.sentence
        assert (judgement.score[list(story.rows)] >= 0.5).all()
        assert json.loads(json.dumps(asdict(story)))["rows"] == list(story.rows)
    if judgement.note:
        assert not judgement.score.any()
    check = CATALOGUE[name]
    if judgement.certain is not None:
        assert check.action == DROP
    if judgement.group is not None and (judgement.group >= 0).any():
        assert check.groups != NONE
    assert all(story.rows or 0 < story.score <= 1 for story in judgement.stories)
    if name != "unreadable":
        assert not judgement.score[list(evidence.measured.unreadable)].any()

    again = CHECKS[name](evidence)
    np.testing.assert_array_equal(judgement.score, again.score)
    assert judgement.stories == again.stories
    assert judgement.note == again.note


@pytest.fixture(scope="module")
def mixed(planted, cells, evidence_of):
    """Of a set with copies and of one without: (evidence, evidence of the same rows in another order, that order)."""

    def both(pictures, labels):
        order = np.random.default_rng(0).permutation(len(pictures))
        evidence = evidence_of(album(list(pictures), labels))
        reordered = evidence_of(album([pictures[row] for row in order], labels[order]))
        labels, fold = labels[order], evidence.fold[order]  # folds are drawn: the same for both
        usable = (labels >= 0) & ~reordered.foreign
        probe = probe_labels(
            reordered.features,
            reordered.measured.prints.thumbnails,
            labels,
            fold,
            usable,
            reordered.representatives,
        )
        return evidence, replace(reordered, fold=fold, probe=probe), order

    alone = replace(PLANTED, intruder=(), exact=0, near=0, conflict=0)
    single = plant(*(array[:120] for array in cells), alone)
    return {True: both(planted.images, planted.labels), False: both(single.images, single.labels)}


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_gives_the_same_scores_in_any_order_of_rows(mixed, name):
    copies = CATALOGUE[name].groups in (COPIES, BOTH)
    evidence, reordered, order = mixed[copies]
    before, after = CHECKS[name](evidence).score[order], CHECKS[name](reordered).score
    if copies:  # of equal copies the first is kept
        before, after = np.sort(before), np.sort(after)
    np.testing.assert_allclose(after, before, atol=0.01)


def test_what_a_check_found_is_counted_by_the_verdicts_of_the_rows():
    findings = findings_table(
        [
            Finding(0, "0", "label_error", 0.9, -1, REVIEW, ""),
            Finding(1, "1", "label_error", 0.8, -1, REVIEW, ""),
            Finding(1, "1", "exact_duplicate", 1, 4, DROP, ""),
            Finding(2, "2", "exact_duplicate", 1, 4, DROP, ""),  # which is kept after all
            Finding(-1, "", "shortcut", 0.7, -1, REVIEW, ""),
        ]
    )
    found = found_by_check(findings, pd.DataFrame({"verdict": [REVIEW, DROP, KEEP]}))
    assert {name: (check.rows, check.groups, dict(check.verdicts)) for name, check in found.items()} == {
        "label_error": (2, 0, {DROP: 1, REVIEW: 1}),
        "exact_duplicate": (2, 1, {DROP: 1, KEEP: 1}),
        "shortcut": (0, 0, {REVIEW: 1}),
    }
