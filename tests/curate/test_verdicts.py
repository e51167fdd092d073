from dataclasses import replace

import cv2
import numpy as np
import pytest

from curate.checks import CHECKS
from curate.configs import ScanConfig
from curate.findings import CATALOGUE, DROP, KEEP, REVIEW, SEVERITY, Judgement, Story
from curate.verdicts import (
    balance_table,
    beyond_budget,
    images_table,
    left_out,
    not_checked,
    pairs_table,
    remarks_on,
    thinned,
    torn_note,
    weigh,
)

CONFIG = ScanConfig(artifacts=None)


def said(scores, group=None, certain=(), stories=()):
    """A judgement on the 160 clean cells: a score for some rows, its groups, what is certain."""
    score, sure = np.zeros(160, np.float32), np.zeros(160, bool)
    score[list(scores)] = list(scores.values())
    sure[list(certain)] = True
    numbers = np.full(160, -1)
    for number, rows in (group or {}).items():
        numbers[list(rows)] = number
    return Judgement(score, lambda row: f"row {row}", numbers if group else None, sure if certain else None, stories)


def weighed(evidence, config=CONFIG, **judgements):
    """What these judgements come to, where all other checks are silent."""
    silent = {name: Judgement.silent(len(evidence), "") for name in SEVERITY}
    return weigh(evidence, silent | judgements, config)


def rows_of(verdicts, check):
    return verdicts.findings.loc[verdicts.findings["check"] == check, "row"].tolist()


def test_where_no_check_speaks_everything_is_kept(clean):
    verdicts = weighed(clean, dark=said({3: 0.49}))
    assert not len(verdicts.findings)
    assert (verdicts.verdict == KEEP).all()
    assert verdicts.stories == ()


def test_findings_come_by_gravity_then_score_then_row(clean):
    verdicts = weighed(clean, dark=said({9: 0.6, 2: 0.9, 4: 0.9}), leak=said({7: 0.5}))
    assert list(zip(verdicts.findings["check"], verdicts.findings["row"], strict=True)) == [
        ("leak", 7), ("dark", 2), ("dark", 4), ("dark", 9),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "action"),
    [(CONFIG, DROP), (replace(CONFIG, review=("leak",)), REVIEW), (replace(CONFIG, drop=("leak",)), DROP)],
)
def test_what_is_certain_is_dropped_unless_it_shall_be_reviewed(clean, config, action):
    verdicts = weighed(clean, config, leak=said({1: 0.9, 2: 0.9}, certain=[1]))
    assert verdicts.verdict[1] == action
    assert verdicts.verdict[2] == (DROP if config.drop else REVIEW)


def test_each_finding_has_the_chance_that_its_check_gives_it(clean):
    chance = np.full(len(clean), np.nan, np.float32)
    chance[[3, 4]] = 0.9, 0.25
    dark = replace(said({3: 0.9, 4: 0.6, 5: 0.55}), chance=chance)
    findings = weighed(clean, dark=dark, light=said({6: 0.7})).findings.set_index("row")
    assert findings.loc[[3, 4], "chance"].tolist() == pytest.approx([0.9, 0.25])
    assert findings.loc[[5, 6], "chance"].isna().all()


def test_within_a_budget_only_the_likeliest_rows_await_review_and_a_line_says_so(clean):
    chance = np.full(len(clean), np.nan, np.float32)
    chance[[3, 4, 5]] = 0.9, 0.7, 0.95
    dark = replace(said({3: 0.9, 4: 0.6, 5: 0.55}), chance=chance)
    config = replace(CONFIG, review_budget=2)
    verdicts = weighed(clean, config, dark=dark)
    assert verdicts.verdict[[3, 4, 5]].tolist() == [REVIEW, KEEP, REVIEW]
    assert rows_of(verdicts, "dark") == [3, 4, 5]
    assert beyond_budget(verdicts.unreviewed, config) == [
        "1 further suspicious image is kept and not for review (--review-budget 2); all stand in findings.parquet"
    ]
    assert beyond_budget(weighed(clean, dark=dark).unreviewed, CONFIG) == []


def test_what_is_certain_is_right(clean):
    leak = said({1: 0.9, 2: 0.9}, certain=[1])
    findings = weighed(clean, leak=leak).findings.set_index("row")
    assert findings.loc[1, "chance"] == 1
    assert np.isnan(findings.loc[2, "chance"])


def test_a_group_that_is_a_part_of_the_set_is_told_and_kept(clean):
    common = np.zeros(len(clean), bool)
    common[[3, 4]] = True
    cast = replace(said({3: 0.9, 4: 0.6, 5: 0.55}), common=common)
    verdicts = weighed(clean, colour_cast=cast)
    assert rows_of(verdicts, "colour_cast") == [3, 4, 5]
    assert verdicts.verdict[[3, 4, 5]].tolist() == [KEEP, KEEP, REVIEW]
    assert weighed(clean, replace(CONFIG, drop=("colour_cast",)), colour_cast=cast).verdict[3] == DROP


def test_remarks_on_the_set_come_in_the_order_of_the_checks(clean):
    silent = {name: Judgement.silent(len(clean), "") for name in SEVERITY}
    remarks = {"grayscale": ("30 of 160 images are grey",), "dark": ("40 of 160 images are dark",)}
    judgements = silent | {name: replace(said({}), remarks=lines) for name, lines in remarks.items()}
    assert remarks_on(judgements) == ["40 of 160 images are dark", "30 of 160 images are grey"]


def test_the_gravest_action_on_a_row_is_its_verdict(clean):
    verdicts = weighed(clean, leak=said({1: 0.9}, certain=[1]), dark=said({1: 0.9, 2: 0.9}))
    assert verdicts.verdict[[1, 2, 3]].tolist() == [DROP, REVIEW, KEEP]


def test_a_story_without_rows_is_a_finding_on_the_whole_set(clean):
    story = Story("shortcut", -1, (), "brightness tells the class", 0.2, 0.8)
    verdicts = weighed(clean, shortcut=said({}, stories=(story,)))
    (finding,) = verdicts.findings.to_dict("records")
    assert (finding["row"], finding["id"], finding["action"]) == (-1, "", REVIEW)
    assert finding["score"] == pytest.approx(0.8)
    assert (verdicts.verdict == KEEP).all()
    assert verdicts.stories == (story,)


def test_a_story_of_which_nothing_is_found_is_not_told(clean):
    stories = tuple(Story("leak", -1, (row,), f"row {row}", 0.1 * row) for row in (1, 2, 3))
    verdicts = weighed(clean, leak=said({1: 0.9, 2: 0.1, 3: 0.9}, stories=stories))
    assert [story.sentence for story in verdicts.stories] == ["row 3", "row 1"]


# One check beside the others


def group_of(rows, number=0, check="outlier_group"):
    return Story(check, number, tuple(rows), f"group {number}", 1.0)


EXPLAINED_IF_RECOGNISED = CATALOGUE["outlier_group"].explained_if_recognised


@pytest.mark.parametrize("check", CATALOGUE["outlier_group"].explained_by)
def test_a_group_whose_pictures_are_spoilt_is_left_to_what_spoils_them(clean, check):
    rows = range(10)
    strangers = said(dict.fromkeys(rows, 0.9), {0: rows}, stories=(group_of(rows),))
    for count, explained in ((7, True), (6, False)):
        verdicts = weighed(clean, outlier_group=strangers, **{check: said(dict.fromkeys(range(count), 0.9))})
        assert rows_of(verdicts, "outlier_group") == ([] if explained else list(rows))
        assert rows_of(verdicts, check) == list(range(count))
        assert len(verdicts.stories) == (not explained)


@pytest.mark.parametrize("check", EXPLAINED_IF_RECOGNISED)
def test_a_group_under_another_light_is_left_to_it_where_the_probe_knows_the_subject(clean, check):
    rows = range(10)
    strangers = said(dict.fromkeys(rows, 0.9), {0: rows}, stories=(group_of(rows),))
    flagged = {check: said(dict.fromkeys(rows, 0.9))}
    assert rows_of(weighed(clean, outlier_group=strangers, **flagged), "outlier_group") == []
    labels = clean.images.labels.copy()
    labels[list(rows)] = (labels[list(rows)] + 1) % 4  # now the probe takes each for another class
    other = replace(clean, images=replace(clean.images, labels=labels))
    assert rows_of(weighed(other, outlier_group=strangers, **flagged), "outlier_group") == list(rows)


def test_a_group_that_is_certain_is_explained_by_nothing(clean):
    rows = range(10)
    strangers = said(dict.fromkeys(rows, 0.9), {0: rows}, certain=rows, stories=(group_of(rows),))
    verdicts = weighed(clean, outlier_group=strangers, dark=said(dict.fromkeys(rows, 0.9)))
    assert rows_of(verdicts, "outlier_group") == list(rows)


def test_groups_of_a_checks_own_are_numbered_on_from_those_of_the_others(clean):
    casts = said({1: 0.9, 2: 0.9}, {0: [1], 1: [2]}, stories=(group_of([1], 0, "colour_cast"),))
    verdicts = weighed(clean, leak=said({5: 0.9}, {4: [5]}), colour_cast=casts)
    group = verdicts.findings.set_index("row")["group"]
    assert group[[5, 1, 2]].tolist() == [4, 5, 6]
    assert [story.group for story in verdicts.stories] == [5]
    assert verdicts.judgements["colour_cast"].group[0] == -1


def test_of_what_is_foreign_for_certain_the_other_checks_are_silent(clean):
    foreign = np.arange(160) < 3
    evidence = replace(clean, foreign=foreign)
    strangers = said({0: 0.9, 1: 0.9, 5: 0.9})
    verdicts = weighed(evidence, outlier_group=strangers, dark=said({0: 0.9, 2: 0.9, 5: 0.9}))
    assert rows_of(verdicts, "outlier_group") == [0, 1, 5]
    assert rows_of(verdicts, "dark") == [2, 5]


# Tables


def test_the_table_of_images_has_a_row_for_each_and_the_place_of_its_picture(clean):
    verdicts = weighed(clean, dark=said({3: 0.12345}))
    places = np.arange(2 * len(clean.representatives), dtype=float).reshape(-1, 2)
    table = images_table(clean, verdicts, places)
    assert len(table) == 160
    assert table["dark_score"][3] == np.float32(0.1234)
    assert (table["x"] == 2 * clean.position).all()
    assert [name for name in table if name.endswith("_score")] == [f"{name}_score" for name in SEVERITY]


def test_pairs_have_their_types_where_there_are_none(clean):
    assert pairs_table(replace(clean, copies=replace(clean.copies, pairs=[]))).dtypes.astype(str).to_dict() == {
        "row_a": "int64", "row_b": "int64", "kind": "str", "distance": "float32",
    }  # fmt: skip


def test_the_balance_counts_each_verdict_of_each_class(clean):
    labels = clean.images.labels.copy()
    labels[:2] = -1
    verdict = np.full(160, KEEP, dtype="<U6")
    verdict[[0, 5]] = DROP
    table = balance_table(replace(clean.images, labels=labels), verdict)
    assert table["name"].tolist() == [*clean.images.classes, "(no label)"]
    assert table.iloc[-1].tolist() == ["(no label)", 2, 1, 1, 0]
    assert table["images"].sum() == 160
    assert table["dropped"].sum() == 2


def test_checks_that_could_say_nothing_are_named_by_their_reason():
    judgements = {name: Judgement.silent(2, "") for name in SEVERITY}
    for name in ("shortcut", "label_error", "leak"):
        judgements[name] = Judgement.silent(2, "no labels" if name != "leak" else "no splits")
    reasons = not_checked(judgements)
    assert reasons == {"leak": "no splits", "label_error": "no labels", "shortcut": "no labels"}
    assert left_out(reasons) == [
        "not checked: leak (no splits)",
        "not checked: label_error, shortcut (no labels)",
    ]


# Copies


def blurred_pair(cells, evidence_of, blurred: int):
    """Sixty cells, and the first of them once more with another light; one of the two is blurred a little."""
    images = [*cells[0][:60], np.clip(cells[0][0] * 1.05, 0, 255).astype(np.uint8)]
    images[blurred] = cv2.GaussianBlur(images[blurred], (0, 0), 1.6)
    evidence = evidence_of(np.stack(images))
    assert evidence.copies.group[0] == evidence.copies.group[60] >= 0
    return evidence


def judged(evidence, config):
    return weigh(evidence, {name: CHECKS[name](evidence) for name in CATALOGUE}, config)


@pytest.mark.parametrize("options", [{"drop": ("blurred",)}, {"strict": True}])
@pytest.mark.parametrize("faulty", [0, 60])
def test_where_the_kept_copy_leaves_for_a_fault_another_is_kept_and_the_findings_say_so(
    cells, evidence_of, options, faulty
):
    evidence = blurred_pair(cells, evidence_of, faulty)
    # As where the faulty one is the larger, or in test.
    evidence = replace(evidence, copies=evidence.copies.keeping([faulty]))
    whole = 60 - faulty
    verdicts = judged(evidence, replace(CONFIG, **options))
    assert rows_of(verdicts, "blurred") == [faulty]
    assert rows_of(verdicts, "near_duplicate") == [faulty]
    assert verdicts.verdict[[faulty, whole]].tolist() == [DROP, KEEP]
    because = verdicts.findings.set_index("check").loc["near_duplicate", "because"]
    assert f"cell {whole}, which is kept" in because
    # Where nothing leaves, the copy stays that would.
    before = judged(evidence, CONFIG)
    assert rows_of(before, "near_duplicate") == [whole]
    assert before.verdict[[faulty, whole]].tolist() == [REVIEW, DROP]


def test_copies_that_all_have_the_fault_that_is_dropped_go_like_any_other_picture(cells, evidence_of):
    blurred = cv2.GaussianBlur(cells[0][0], (0, 0), 1.5)
    images = np.concatenate([cells[0][1:60], blurred[None], blurred[None, ::-1]])
    verdicts = judged(evidence_of(images), replace(CONFIG, drop=("blurred",)))
    assert verdicts.verdict[[59, 60]].tolist() == [DROP, DROP]


@pytest.mark.parametrize(
    ("check", "cure"),
    [
        ("near_duplicate", "as near duplicates; if they shall stay, scan with --review near_duplicate"),
        ("exact_duplicate", "as exact duplicates; equal pictures add nothing, and `augment build` makes"),
        ("outlier_group", "as foreign groups; if they shall stay, scan with --review outlier_group"),
    ],
)
def test_it_is_told_where_cleaning_takes_most_of_a_class(clean, check, cure):
    rows = np.flatnonzero(clean.images.labels == 2)

    def told(dropped, config=CONFIG):
        verdicts = weighed(
            clean, config, **{check: said(dict.fromkeys(dropped.tolist(), 0.9), certain=dropped.tolist())}
        )
        return thinned(clean.images, verdicts.findings, verdicts.verdict)

    most = rows[: len(rows) // 2 + 1]
    (line,) = told(most)
    assert line.startswith(f"cleaning takes {len(most)} of the {len(rows)} of kidney {cure}")
    assert told(most[: len(rows) // 2]) == []
    assert told(most, replace(CONFIG, review=(check,))) == []  # the advice, followed


def test_groups_of_the_set_that_stand_in_several_splits_are_told(clean):
    images = clean.images
    n = len(images)
    splits = tuple(["train", "test"] * (n // 2))
    whole = replace(images, splits=splits, groups=np.arange(n) % 2)
    assert torn_note(whole) == []
    assert torn_note(images) == []
    torn = replace(images, splits=splits, groups=np.where(np.arange(n) < 6, np.arange(n) // 3, -1))
    (note,) = torn_note(torn)
    assert note.startswith(f"2 groups of the set stand in several splits, such as that of {images.ids[0]} (train)")
