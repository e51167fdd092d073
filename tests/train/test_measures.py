from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from train.measures import (
    auc,
    balanced_accuracy,
    brier,
    calibration_error,
    confusion,
    macro_f1,
    measures,
    reliability,
    tally,
    temperature,
    tempered,
)
from train.metrics import ClassScores, Unlabelled, WorstClass

CLASSES = ("ant", "bee", "cat", "dog")


def drawn(seed: int, n: int, classes: int = len(CLASSES)) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all classes, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])
    logits = rng.normal(size=(len(labels), classes)) + 1.2 * np.eye(classes)[labels]
    shares = np.exp(logits)
    return labels, (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 10_000), st.integers(0, 60))
def test_measures_are_those_of_scikit_learn(seed, n):
    labels, probabilities = drawn(seed, n)
    predicted = probabilities.argmax(axis=1)
    found = measures(labels, probabilities, CLASSES)
    assert found.images == len(labels)
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    for average in ("macro", "weighted"):
        told = reference.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        assert astuple(getattr(found, average)) == pytest.approx(told[:3])
    told = np.array(reference.precision_recall_fscore_support(labels, predicted, zero_division=0)).T
    assert np.allclose([astuple(of) for of in found.per_class.values()], told)
    assert np.array_equal(found.confusion, reference.confusion_matrix(labels, predicted))
    assert found.auc == pytest.approx(reference.roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-6)
    assert found.brier == pytest.approx(((np.eye(4)[labels] - probabilities) ** 2).sum() / len(labels), rel=1e-5)


def test_the_worst_class_is_that_found_least_often():
    found = measures(np.array([0, 0, 1, 1, 2]), np.eye(3)[[0, 1, 1, 1, 2]], ("a", "b", "c"))
    assert found.worst_class == WorstClass("a", 0.5)
    assert found.per_class["b"] == ClassScores(pytest.approx(2 / 3), 1, 0.8, 2)
    assert found.confusion == ((1, 1, 0), (0, 2, 0), (0, 0, 1))


def test_a_class_that_is_not_there_counts_in_no_mean_and_there_is_no_area_under_its_curve():
    labels, probabilities = np.array([0, 0, 1, 1]), np.eye(3)[[0, 0, 1, 2]] * 0.8 + 0.2 / 3
    found = measures(labels, probabilities, ("a", "b", "absent"))
    assert found.balanced_accuracy == found.macro.recall == 0.75
    assert found.macro.precision == 1
    assert found.auc is None
    assert found.per_class["absent"] == ClassScores(None, None, None, 0)
    assert found.worst_class == WorstClass("b", 0.5)


def test_soft_labels_count_as_their_largest_share_and_unlabelled_images_do_not_count():
    labels, probabilities = drawn(0, 20)
    soft = 0.6 * np.eye(4, dtype=np.float32)[labels] + 0.1
    assert measures(soft, probabilities, CLASSES) == measures(labels, probabilities, CLASSES)
    soft[:3] = 0
    assert measures(soft, probabilities, CLASSES) == measures(labels[3:], probabilities[3:], CLASSES)
    labels[:3] = -1
    assert measures(labels, probabilities, CLASSES) == measures(labels[3:], probabilities[3:], CLASSES)


def test_without_labels_nothing_is_told_but_that():
    assert measures(np.full(3, -1), np.full((3, 2), 0.5), ("a", "b")) == Unlabelled(images=0)


def test_of_one_class_alone_there_is_no_curve():
    assert auc(np.zeros(3, np.int64), np.ones((3, 1))) is None


def test_measures_of_stacked_counts_are_those_of_each():
    counts = [tally(*one, 3) for one in ((np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])), (np.array([1]),) * 2)]
    stacked = type(counts[0])(
        *(np.stack([getattr(c, name) for c in counts]) for name in ("hits", "support", "predicted"))
    )
    assert balanced_accuracy(stacked).tolist() == [float(balanced_accuracy(one)) for one in counts]
    assert macro_f1(stacked).tolist() == [float(macro_f1(one)) for one in counts]


def test_a_table_of_confusion_counts_every_image_once():
    labels, probabilities = drawn(3, 50)
    table = confusion(labels, probabilities.argmax(axis=1), 4)
    assert table.sum() == len(labels)
    assert table.sum(axis=1).tolist() == np.bincount(labels).tolist()


def test_the_calibration_error_is_the_gap_of_each_bin_by_its_images():
    # Three images at 0.9 of which two are right, one at 0.6 that is right: 3/4 of |0.9 - 2/3| and 1/4 of |0.6 - 1|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])
    labels = np.array([0, 1, 1, 0])
    assert calibration_error(labels, probabilities) == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.4)
    table = reliability(labels, probabilities)
    assert table.images == (1, 3)
    assert table.confidence == pytest.approx([0.6, 0.9])
    assert table.accuracy == pytest.approx([1, 2 / 3])


def test_the_edge_of_a_bin_belongs_to_the_lower_one():
    # (0, 1/2] and (1/2, 1], as Guo et al. have them.
    assert reliability(np.array([0, 0]), np.array([[0.5, 0.5], [0.75, 0.25]]), bins=2).images == (1, 1)


def test_one_who_is_sure_and_right_has_no_error():
    sure = np.eye(3)[[0, 1, 2]]
    assert calibration_error(np.arange(3), sure) == brier(np.arange(3), sure) == 0


@pytest.mark.parametrize("factor", [0.6, 1.0, 3.0])
def test_the_temperature_that_logits_were_multiplied_with_is_found_again(factor):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < rng.random(len(true))[:, None]).sum(axis=1)
    told = tempered(true, 1 / factor)  # as sure of itself as that
    found = temperature(labels, told)
    assert found == pytest.approx(factor, rel=0.05)
    assert calibration_error(labels, tempered(told, found)) < 0.02


def test_a_temperature_changes_no_order():
    _, probabilities = drawn(1, 100)
    cooled = tempered(probabilities, 2.5)
    assert (cooled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert np.allclose(cooled.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(tempered(probabilities, 1), probabilities, atol=1e-6)
