from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.checks.redundancy import exact_duplicate, label_conflict, leak, near_duplicate
from curate.measuring.conflicts import settled
from curate.measuring.probe import Probe

CHECKS = (label_conflict, leak, exact_duplicate, near_duplicate)
ANT, BEE, CAT = range(3)
CLASSES = ("ant", "bee", "cat")
# Rows 0, 2, 4 and 6 are one picture, row 5 is it mirrored; rows 1 and 3 are another; 7 and 8 stand alone.
SHOWS = [0, 1, 0, 1, 0, 0, 0, 2, 3]
MIRRORED = 5
GROUPS = ([0, 2, 4, 5, 6], [1, 3])
SPLITS = (
    None,
    ("train",) * 9,
    ("train", "train", "val", "test", "test", "train", "val", "train", "test"),
    ("test", "val", "train", "train", "train", "test", "train", "train", "train"),
)


@pytest.fixture(scope="module")
def album(cells, set_of, evidence_of):
    """The evidence of these nine pictures without labels, for each of SPLITS; a function, for it prints short."""
    images = cells[0][SHOWS].copy()
    images[MIRRORED] = images[MIRRORED, :, ::-1]
    made = {splits: evidence_of(set_of(images, classes=CLASSES, splits=splits)) for splits in SPLITS}
    return lambda splits: made[splits]


def labelled(evidence, labels, likely=None):
    """The evidence once the pictures have labels and the probe has an opinion: per row the class probabilities."""
    images = replace(evidence.images, labels=np.asarray(labels))
    probe = None
    if likely is not None:
        rows = np.flatnonzero(images.labels >= 0)
        opinion = np.asarray(likely, float)[rows]
        doubt = -np.log(opinion[np.arange(len(rows)), images.labels[rows]])
        probe = Probe(rows, opinion, np.arange(len(CLASSES)), rows % 2, doubt)
    evidence = replace(evidence, images=images, probe=probe)
    return replace(evidence, copies=settled(evidence.copies, images.labels, probe))


def sure_of(label: int, sure: float = 0.96) -> np.ndarray:
    """The probe's opinion of nine pictures that it takes for one class."""
    opinion = np.full((9, 3), (1 - sure) / 2)
    opinion[:, label] = sure
    return opinion


def dropped(evidence) -> np.ndarray:
    """Rows that some check on copies is certain of."""
    judgements = [check(evidence) for check in CHECKS]
    certain = [j.certain & (j.score >= 0.5) for j in judgements if j.certain is not None]
    return np.flatnonzero(np.any(certain, axis=0))


def flagged(judgement) -> list[int]:
    return np.flatnonzero(judgement.score >= 0.5).tolist()


def test_the_albums_hold_the_copies_they_should(album):
    for evidence in map(album, SPLITS):
        assert [evidence.copies.members(group).tolist() for group in range(2)] == list(GROUPS)


# Conflicts


def test_copies_of_one_label_are_no_conflict(album):
    evidence = labelled(album(None), [ANT, BEE, ANT, BEE, ANT, ANT, ANT, CAT, CAT], sure_of(ANT))
    assert not label_conflict(evidence).score.any()
    assert label_conflict(evidence).stories == ()


def test_the_probe_decides_which_of_two_labels_is_wrong(album):
    evidence = labelled(album(None), [ANT, BEE, BEE, BEE, ANT, BEE, ANT, CAT, CAT], sure_of(ANT))
    found = label_conflict(evidence)
    assert flagged(found) == GROUPS[0]
    assert np.flatnonzero(found.certain).tolist() == [2, 5]
    assert found.score[2] > 0.9 > found.score[0] >= 0.5
    assert found.because(2) == "copies of one picture labelled 3 ant, 2 bee; the probe says ant (96%)"
    (story,) = found.stories
    assert story.rows == tuple(GROUPS[0])
    assert story.sentence == "1 picture occurs under two labels or more; for 1 the probe tells which is wrong"


@pytest.mark.parametrize(
    ("likely", "wrong"), [(None, {ANT: 0.5, BEE: 0.5}), (sure_of(ANT), {ANT: 0.02, BEE: 1}), (sure_of(CAT), {ANT: 0.5})]
)
def test_of_the_labels_of_one_picture_one_is_right(album, likely, wrong):
    evidence = labelled(album(None), [ANT, BEE, BEE, BEE, ANT, BEE, ANT, CAT, CAT], likely)
    chance = dict(zip(evidence.images.labels[GROUPS[0]], label_conflict(evidence).chance[GROUPS[0]], strict=True))
    for label, expected in wrong.items():
        assert chance[label] == pytest.approx(expected, abs=0.03)
    assert sum(chance.values()) == pytest.approx(1)


@pytest.mark.parametrize("likely", [None, sure_of(ANT, 1 / 3), sure_of(CAT), sure_of(ANT, 0.6)])
def test_a_conflict_stands_even_where_no_label_can_be_rejected(album, likely):
    evidence = labelled(album(None), [ANT, BEE, BEE, BEE, ANT, BEE, ANT, CAT, CAT], likely)
    found = label_conflict(evidence)
    assert flagged(found) == GROUPS[0]
    assert not found.certain.any()
    assert found.because(0) == "copies of one picture labelled 3 ant, 2 bee; the probe cannot tell which is right"


@pytest.mark.parametrize("unknown", [BEE, CAT])
def test_a_class_that_the_probe_never_learnt_is_not_rejected_by_it(album, unknown):
    evidence = labelled(album(None), [ANT, ANT, unknown, ANT, ANT, ANT, ANT, ANT, ANT])
    known = np.array([label for label in range(3) if label != unknown])
    rows = np.flatnonzero(evidence.images.labels != unknown)
    opinion = np.tile((0.96, 0.04), (len(rows), 1))
    probe = Probe(rows, opinion, known, rows % 2, np.zeros(len(rows)))
    copies = settled(evidence.copies, evidence.images.labels, probe)
    evidence = replace(evidence, probe=probe, copies=copies)
    found = label_conflict(evidence)
    assert flagged(found) == GROUPS[0]
    assert not found.certain.any()


def test_an_image_without_a_label_takes_no_side(album):
    evidence = labelled(album(None), [ANT, BEE, -1, -1, BEE, -1, ANT, CAT, CAT], sure_of(ANT))
    found = label_conflict(evidence)
    assert flagged(found) == [0, 4, 6]
    assert np.flatnonzero(found.certain).tolist() == [4]


def test_without_labels_there_is_no_conflict(album):
    found = label_conflict(album(None))
    assert not found.score.any()
    assert found.note == "no labels"


def test_a_file_that_a_table_gives_two_labels_is_a_conflict_to_be_reviewed(album):
    evidence = labelled(album(None), [ANT, ANT, ANT, ANT, ANT, ANT, ANT, -1, CAT])
    evidence = replace(evidence, images=replace(evidence.images, conflicts={7: ("bee", "cat")}))
    found = label_conflict(evidence)
    assert flagged(found) == [7]
    assert not found.certain.any()
    assert found.because(7) == "the table gives this file several labels, bee, cat; it has none of them"
    (story,) = found.stories
    assert story.rows == (7,)
    assert story.sentence == "1 file has two labels or more in the table, and none here"
    unlabelled = replace(evidence, images=replace(evidence.images, labels=np.full(9, -1)))
    assert flagged(label_conflict(unlabelled)) == [7]


def test_the_copy_with_the_accepted_label_is_kept_and_the_rest_dropped(album):
    evidence = labelled(album(None), [BEE, BEE, BEE, BEE, ANT, BEE, ANT, CAT, CAT], sure_of(ANT))
    assert (evidence.copies.kept[GROUPS[0]] == 4).all()
    assert dropped(evidence).tolist() == [0, 2, 3, 5, 6]


def test_of_copies_with_the_accepted_label_the_held_out_one_is_kept(album):
    # Row 4 is in test but labelled wrongly; 2 and 6 are in val, 0 and 5 in train.
    evidence = labelled(album(SPLITS[2]), [ANT, BEE, ANT, BEE, BEE, ANT, ANT, CAT, CAT], sure_of(ANT))
    kept = evidence.copies.kept[0]
    assert evidence.images.labels[kept] == ANT
    assert SPLITS[2][kept] == "val"


LABELS = st.lists(st.sampled_from([-1, ANT, BEE, CAT]), min_size=9, max_size=9)
OPINIONS = st.lists(st.sampled_from([0.001, 0.05, 0.2, 1, 5, 50]), min_size=6, max_size=6)


@settings(deadline=None, max_examples=150)
@given(labels=LABELS, weights=OPINIONS, splits=st.sampled_from(SPLITS))
def test_no_group_loses_every_row_and_none_the_label_that_the_probe_accepts(album, labels, weights, splits):
    likely = np.empty((9, 3))
    for half, rows in ((weights[:3], GROUPS[0]), (weights[3:], [1, 3, 7, 8])):
        likely[rows] = np.array(half) / sum(half)
    evidence = labelled(album(splits), labels, likely)
    lost = dropped(evidence).tolist()
    for group in GROUPS:
        left = [row for row in group if row not in lost]
        assert left
        assert evidence.copies.kept[group[0]] in left
        # A leak is dropped whatever its label. Without one, no label goes but those that the probe rejects.
        if splits in SPLITS[:2]:
            accepted = {label for label in set(np.array(labels)[group]) - {-1} if likely[group[0], label] > 0.7}
            assert accepted <= {labels[row] for row in left}
            for row in set(group) & set(lost):
                assert labels[row] in {-1, *(labels[r] for r in left)} or likely[row, labels[row]] < 0.1
    assert not {7, 8} & set(lost)


# Leaks


def test_a_copy_in_a_more_precious_split_is_kept_and_the_others_leak_it(album):
    evidence = labelled(album(SPLITS[2]), [ANT] * 7 + [BEE, CAT])
    found = leak(evidence)
    # Of rows 0, 2, 4, 5, 6 the fourth is in test; of 1 and 3 the third.
    assert evidence.copies.kept[[0, 1]].tolist() == [4, 3]
    assert flagged(found) == [0, 1, 2, 5, 6]
    assert np.flatnonzero(found.certain).tolist() == flagged(found)
    assert found.because(0) == "a copy of cell 4, which is in test, while this one is in train"
    assert found.because(2) == "a copy of cell 4, which is in test, while this one is in val"
    (story,) = found.stories
    assert story.rows == (0, 1, 2, 5, 6)


def test_copies_within_one_split_leak_nothing(album):
    assert not leak(album(SPLITS[1])).score.any()
    found = leak(labelled(album(SPLITS[3]), [ANT] * 9))
    assert flagged(found) == [2, 3, 4, 6]  # but not row 5, which is in test as the copy kept is


@pytest.mark.parametrize(("splits", "note"), [(SPLITS[0], "no splits"), (SPLITS[1], "one split only")])
def test_with_one_split_the_check_on_leaks_says_that_it_has_nothing_to_do(album, splits, note):
    assert leak(album(splits)).note == note
    assert not leak(album(splits)).score.any()


# Copies


def test_exact_and_near_copies_are_told_apart_and_the_kept_one_is_neither(album):
    evidence = labelled(album(None), [ANT] * 9)
    exact, near = exact_duplicate(evidence), near_duplicate(evidence)
    assert flagged(exact) == [2, 3, 4, 6]
    assert flagged(near) == [MIRRORED]
    assert exact.score[[2, 3, 4, 6]].tolist() == [1] * 4
    assert 0.9 < near.score[MIRRORED] <= 1
    assert exact.because(3) == "the same pixels as cell 1, which is kept because it comes first"
    assert (
        near.because(MIRRORED) == "the same pixels, turned or mirrored, as cell 0, which is kept because it comes first"
    )


def test_a_copy_is_dropped_only_where_its_label_is_that_of_the_kept_one_or_missing(album):
    evidence = labelled(album(None), [ANT, ANT, BEE, ANT, ANT, -1, -1, CAT, CAT])
    assert (exact_duplicate(evidence).certain & (exact_duplicate(evidence).score > 0)).nonzero()[0].tolist() == [
        3,
        4,
        6,
    ]
    assert near_duplicate(evidence).certain[MIRRORED]
    unlabelled_first = labelled(album(None), [-1, -1, ANT, ANT, ANT, ANT, ANT, CAT, CAT])
    assert not exact_duplicate(unlabelled_first).certain[[2, 3, 4, 6]].any()


def test_the_reason_for_keeping_a_copy_names_its_size_its_sharpness_or_its_split(cells, set_of, evidence_of):
    small = np.stack([cv2.resize(cell, (64, 64), interpolation=cv2.INTER_AREA) for cell in cells[0][:2]])
    soft = np.stack([cv2.GaussianBlur(cell, (0, 0), 1) for cell in cells[0][2:4]])
    splits = ["test", "train"] + ["train"] * 22
    found = near_duplicate(evidence_of(set_of([small, soft, cells[0][:20]], splits=splits)))
    assert flagged(found) == [1, 2, 3, 4]
    assert found.because(1).endswith("cell 5, which is kept because it is larger")
    assert found.because(2).endswith("cell 6, which is kept because it is sharper or less noisy")
    assert found.because(4).endswith("cell 0, which is kept because it is in test")


@settings(deadline=None, max_examples=100)
@given(labels=LABELS, label=st.sampled_from([ANT, BEE, CAT]), splits=st.sampled_from(SPLITS))
def test_a_copy_said_to_come_first_does(album, labels, label, splits):
    evidence = labelled(album(splits), labels, sure_of(label))
    for check in (exact_duplicate, near_duplicate):
        found = check(evidence)
        for row in flagged(found):
            if found.because(row).endswith("it comes first"):
                assert evidence.copies.kept[row] < row


def test_what_a_single_image_or_class_cannot_show_is_not_checked(clean, cells, evidence_of, set_of):
    alone = evidence_of(cells[0][:1], cells[1][:1])
    assert [check(alone).note for check in (exact_duplicate, near_duplicate)] == ["one image only"] * 2
    one_class = evidence_of(set_of(cells[0][:3], np.zeros(3, np.int64), classes=("cell",)))
    assert label_conflict(one_class).note == "one class only"
    assert not exact_duplicate(one_class).note


def test_where_copies_leave_little_to_train_on_the_leak_says_what_to_do(cells, set_of, evidence_of):
    images = np.repeat(cells[0][:10], 4, axis=0)
    of_test = evidence_of(set_of(images, splits=["test", "train", "train", "train"] * 10))
    (story,) = leak(of_test).stories
    assert story.sentence == (
        "30 images are copies of images in another split: results on that split are too good; without copies train "
        "has 0 of its 30 images, so split the clean set anew (`curate split --fresh`, or `augment build --fresh`)"
    )
    enough = np.concatenate([images[:4], cells[0][10:20]])
    few = evidence_of(set_of(enough, splits=["test", *["train"] * 13]))
    assert leak(few).stories[0].sentence.endswith("results on that split are too good")
