from dataclasses import replace

import numpy as np
import pytest

from curate.checks.labels import PRECISION, label_error
from curate.checks.outliers import outlier
from curate.checks.scores import LEAST_CHANCE
from curate.measuring.probe import folds_of, probe_labels
from curate.tallying import average_precision

FLIPPED = [4, 31, 58, 77, 90, 111, 128, 150]


def flagged(judgement) -> list[int]:
    return np.flatnonzero(judgement.score >= 0.5).tolist()


def learnt(evidence):
    """The evidence with the probe that its labels and folds teach."""
    labels = evidence.images.labels
    usable = (labels >= 0) & (evidence.position >= 0) & ~evidence.foreign
    thumbnails, shown = evidence.measured.prints.thumbnails, evidence.representatives
    probe = probe_labels(evidence.features, thumbnails, labels, evidence.fold, usable, shown)
    return replace(evidence, probe=probe)


def believed(evidence, labels):
    """The evidence of the same pictures under other labels."""
    fold = folds_of(labels, np.arange(len(labels)), evidence.seed)
    evidence = replace(evidence, images=replace(evidence.images, labels=labels), fold=fold)
    return learnt(evidence)


@pytest.fixture(scope="module")
def flipped(clean):
    labels = clean.images.labels.copy()
    labels[FLIPPED] = (labels[FLIPPED] + 1 + np.arange(len(FLIPPED)) % 3) % 4
    return believed(clean, labels)


# Label errors


def test_flipped_labels_rank_above_all_others(flipped):
    score = label_error(flipped).score
    wrong = np.isin(np.arange(len(score)), FLIPPED)
    assert average_precision(score[wrong], score[~wrong]) > 0.85
    assert set(np.argsort(-score)[:4].tolist()) <= set(FLIPPED)


def test_flipped_labels_are_flagged_and_few_others(flipped):
    found = set(flagged(label_error(flipped)))
    assert len(found & set(FLIPPED)) >= len(FLIPPED) - 1
    assert len(found - set(FLIPPED)) <= 5


def test_a_wrong_label_is_never_certain_for_a_model_alone_says_so(flipped):
    assert label_error(flipped).certain is None


def test_a_wrong_label_names_the_likely_one_and_both_opinions(flipped, clean):
    judgement = label_error(flipped)
    row = next(row for row in flagged(judgement) if row in FLIPPED)
    now, was = flipped.images.label_name(row), clean.images.label_name(row)
    assert judgement.because(row).startswith(f"labelled {now}, likely {was}: the probe gives {was} ")
    assert judgement.because(row).endswith("% of its 15 nearest agree")


def test_wrong_labels_on_copies_are_not_vouched_for_by_each_other(cells, evidence_of):
    # Three pictures with a mirrored copy each, all six under the same wrong label.
    images = np.concatenate([cells[0], cells[0][FLIPPED[:3], :, ::-1]])
    labels = np.concatenate([cells[1], cells[1][FLIPPED[:3]]])
    pairs = [[row, 160 + i] for i, row in enumerate(FLIPPED[:3])]
    for pair in pairs:
        labels[pair] = (labels[pair] + 2) % 4
    evidence = evidence_of(images, labels)
    assert all(evidence.fold[a] == evidence.fold[b] for a, b in pairs)
    found = flagged(label_error(evidence))
    assert sum(set(pair) <= set(found) for pair in pairs) >= 2


def test_a_flag_comes_with_the_chance_that_it_is_right(flipped):
    judgement = label_error(flipped)
    rows = flagged(judgement)
    assert (judgement.chance[rows] >= LEAST_CHANCE).all()
    assert judgement.chance[rows].mean() >= PRECISION
    assert np.isin(rows, FLIPPED).mean() >= judgement.chance[rows].mean() - 0.3


def test_where_next_to_nothing_is_sure_next_to_nothing_is_flagged(flipped):
    odds = np.where(flipped.probe.odds > 0, 0.5, flipped.probe.odds)  # 62 % each, of which 80 % cannot be
    assert flagged(label_error(replace(flipped, probe=replace(flipped.probe, odds=odds)))) == []


def test_a_remark_tells_of_wrong_labels_that_are_not_flagged_and_why(flipped):
    assert label_error(flipped).remarks == ()
    weak = replace(flipped.probe, odds=np.full(160, -1.0), wrong=0.25)
    (remark,) = label_error(replace(flipped, probe=weak)).remarks
    assert remark.startswith("some 40 of 160 labels are wrong by estimate, 0 are flagged: the label probe, which ")
    few = replace(flipped.probe, odds=np.full(160, -1.0), wrong=0.1)
    assert label_error(replace(flipped, probe=few)).remarks == ()


def test_what_is_of_no_class_here_is_left_to_outlier(flipped):
    row = flagged(label_error(flipped))[0]
    n = len(flipped)
    odds, nowhere = np.full(n, -np.inf), np.full(n, -np.inf)
    odds[row] = 3.0
    fits = replace(flipped.belonging, odds=odds, fit=nowhere, apart=True)
    evidence = replace(flipped, belonging=fits)
    assert row not in flagged(label_error(evidence))
    assert row in flagged(outlier(evidence))
    evidence = replace(flipped, belonging=replace(fits, fit=np.where(odds > 0, 2.0, -np.inf)))
    assert row in flagged(label_error(evidence))
    assert row not in flagged(outlier(evidence))


def test_groups_given_with_the_set_stay_in_one_fold(cells, set_of, evidence_of):
    patients = np.arange(60) // 4
    evidence = evidence_of(set_of(cells[0][:60], cells[1][:60], groups=patients))
    for patient in range(15):
        assert len(set(evidence.fold[patients == patient].tolist())) == 1


def test_a_class_that_one_patient_makes_up_is_not_called_wrong_as_a_whole(clean, cells):
    labels = cells[1]
    patients = np.where(labels == 3, 1000, np.arange(160))
    evidence = learnt(replace(clean, fold=folds_of(labels, patients, 0)))
    assert len(set(flagged(label_error(evidence))) & set(np.flatnonzero(labels == 3))) <= 3


def test_without_labels_nothing_is_wrong_with_them(clean):
    judgement = label_error(believed(clean, np.full(160, -1)))
    assert judgement.note == "no labels"
    assert not judgement.score.any()


@pytest.mark.parametrize("others", [0, 1, 2, 4])
def test_one_class_and_too_few_of_another_teach_nothing(clean, others):
    labels = np.zeros(160, np.int64)
    labels[:others] = 1
    evidence = believed(clean, labels)
    assert evidence.probe is None
    assert "too few" in label_error(evidence).note


def test_classes_too_small_to_learn_are_left_in_peace(clean, cells):
    labels = cells[1].copy()
    small = np.flatnonzero(labels == 3)
    labels[small[4:]] = 0
    evidence = believed(clean, labels)
    assert evidence.probe.classes.tolist() == [0, 1, 2]
    assert not label_error(evidence).score[small[:4]].any()


def test_every_image_a_class_of_its_own_is_no_wrong_label(clean):
    images = replace(clean.images, labels=np.arange(160), classes=tuple(map(str, range(160))))
    evidence = believed(replace(clean, images=images), np.arange(160))
    assert evidence.probe is None
    assert flagged(label_error(evidence)) == []
