import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measuring.probe import (
    FOLDS,
    discriminant,
    fit_probe,
    folds_of,
    odds_of,
    probe_labels,
    recognised,
    temperature,
    tempered,
)
from curate.sets.imageset import UNLABELLED

# Folds


LABELS = st.lists(st.integers(-1, 4), min_size=0, max_size=120)


@given(labels=LABELS, groups=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_folds_keep_groups_whole_and_leave_out_what_has_no_label(labels, groups, seed):
    labels = np.array(labels, np.int64)
    of = np.random.default_rng(seed).integers(0, groups, len(labels))
    fold = folds_of(labels, of, seed)
    assert ((fold == -1) == (labels == -1)).all()
    assert fold.max(initial=-1) < FOLDS
    for group in np.unique(of):
        assert len(set(fold[(of == group) & (labels != -1)].tolist())) <= 1
    assert (folds_of(labels, of, seed) == fold).all()


@given(labels=LABELS, seed=st.integers(0, 2**32))
def test_every_class_is_spread_evenly_over_the_folds(labels, seed):
    labels = np.array(labels, np.int64)
    fold = folds_of(labels, np.arange(len(labels)), seed)
    known = int((labels >= 0).sum())
    for label in set(labels.tolist()) - {-1}:
        counts = np.bincount(fold[labels == label], minlength=min(FOLDS, known))
        assert np.ptp(counts) <= 1


@pytest.mark.parametrize("label", range(6))
def test_two_groups_of_a_class_are_held_out_one_at_a_time(label):
    labels = np.array([label] * 4 + [7] * 10)
    groups = np.array([0, 0, 1, 1, *range(2, 12)])
    assert len(set(folds_of(labels, groups, 0)[:4].tolist())) == 2


def test_classes_of_one_image_each_do_not_all_fall_into_one_fold():
    assert np.bincount(folds_of(np.arange(20), np.arange(20), 0)).tolist() == [4] * 5


def test_another_seed_deals_other_folds():
    labels, alone = np.arange(60) % 3, np.arange(60)
    assert (folds_of(labels, alone, 0) != folds_of(labels, alone, 1)).any()


# The probe


@pytest.fixture(scope="module")
def points():
    """Three clouds of forty points, their labels and folds."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = rng.normal(0, 1, (120, 6)).astype(np.float32)
    features[np.arange(120), labels] += 4
    return features, labels, folds_of(labels, np.arange(120), 0)


def test_the_probe_tells_clouds_apart_and_gives_probabilities(points):
    features, labels, fold = points
    probe = fit_probe(features, labels, np.arange(120), fold)
    assert probe.probabilities.shape == (120, 3)
    assert probe.classes.tolist() == [0, 1, 2]
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)
    assert (probe.probabilities.argmax(axis=1) == labels).mean() > 0.95


@settings(deadline=None, max_examples=20)
@given(row=st.integers(0, 119), label=st.integers(0, 2))
def test_what_is_said_of_a_row_does_not_depend_on_its_label_nor_on_those_in_its_fold(points, row, label):
    features, labels, fold = points
    other = labels.copy()
    other[row] = label
    before, after = (fit_probe(features, given_labels, np.arange(120), fold) for given_labels in (labels, other))
    together = fold == fold[row]
    np.testing.assert_array_equal(before.probabilities[together], after.probabilities[together])


def test_rows_left_out_of_training_are_predicted_all_the_same(points):
    features, labels, fold = points
    train = labels != 2
    train[80:90] = True
    probe = fit_probe(features, labels, np.arange(120), fold, train)
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)
    wrong = labels.copy()
    wrong[~train] = 0
    again = fit_probe(features, wrong, np.arange(120), fold, train)
    np.testing.assert_array_equal(probe.probabilities, again.probabilities)


def test_odds_are_against_the_own_label(points):
    features, labels, fold = points
    probe = fit_probe(features, labels, np.arange(120), fold)
    own = np.clip(probe.probabilities[np.arange(120), labels], 1e-12, 1 - 1e-12)
    np.testing.assert_allclose(probe.odds, np.log((1 - own) / own))
    assert np.isnan(probe.wrong)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_fold_that_nobody_is_in_is_passed_over(points, empty):
    features, labels, _ = points
    fold = np.where(np.arange(120) % 2, 3, (empty + 1) % 3)
    probe = fit_probe(features, labels, np.arange(120), fold)
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)


def test_a_class_seen_once_is_not_learnt_and_raises_no_warning(points):
    features, labels, fold = points
    rare = labels.copy()
    rare[7] = 3
    probe = fit_probe(features, rare, np.arange(120), fold)
    assert probe.classes.tolist() == [0, 1, 2, 3]
    assert not probe.probabilities[:, 3].any()
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)


def test_probabilities_of_all_views_sum_to_one_and_are_seldom_wrong_on_clean_cells(clean):
    probe = clean.probe
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)
    assert ((probe.probabilities >= 0) & (probe.probabilities <= 1)).all()
    assert probe.wrong < 0.05
    assert (probe.odds < 0).mean() > 0.95


def test_the_probe_is_as_sure_of_clean_cells_as_it_is_right(clean):
    right = clean.probe.classes[clean.probe.probabilities.argmax(axis=1)] == clean.images.labels
    assert right.mean() > 0.9
    assert clean.probe.probabilities.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)


def probe_of(evidence, labels):
    """The probe on the pictures of some evidence under other labels."""
    usable = (labels != UNLABELLED) & (evidence.position >= 0) & ~evidence.foreign
    thumbnails = evidence.measured.prints.thumbnails
    return probe_labels(evidence.features, thumbnails, labels, evidence.fold, usable, evidence.representatives)


def test_flipped_labels_have_the_longest_odds_and_their_share_is_estimated(clean):
    labels = clean.images.labels.copy()
    labels[::16] = (labels[::16] + 1) % 4
    probe = probe_of(clean, labels)
    assert set(np.argsort(-probe.odds)[:5].tolist()) <= set(range(0, 160, 16))
    assert probe.wrong == pytest.approx(10 / 160, abs=0.04)


def test_a_label_that_only_its_own_fold_shows_is_not_doubted(clean):
    labels = clean.images.labels
    fold = np.where(labels == 3, 0, clean.fold)
    usable = np.ones(160, bool)
    thumbnails, shown = clean.measured.prints.thumbnails, clean.representatives
    probe = probe_labels(clean.features, thumbnails, labels, fold, usable, shown)
    assert (probe.odds[labels == 3] < -20).all()
    assert (probe.odds > 0).sum() <= 3
    assert probe.wrong < 0.05


def test_what_a_row_is_asked_about_is_answered_by_its_column_and_else_not_at_all(clean):
    probe, labels = clean.probe, np.full(160, -1)
    labels[[3, 50]] = [1, 2]
    odds = odds_of(probe, labels)
    p = probe.probabilities[[3, 50], [1, 2]]
    np.testing.assert_allclose(odds[[3, 50]], np.log(p / (1 - p)))
    assert not np.delete(odds, [3, 50]).any()
    assert not odds_of(None, labels).any()


# What is measured with it


def test_a_factor_of_one_gives_the_probabilities_back_and_of_none_knows_nothing():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(tempered(np.log(probabilities), 1), probabilities)
    np.testing.assert_allclose(tempered(np.log(probabilities) + np.array([[3], [-400]]), 1), probabilities)
    np.testing.assert_allclose(tempered(np.log(probabilities), 0), np.full((2, 3), 1 / 3))
    assert (tempered(np.log(probabilities), 5).max(axis=1) > probabilities.max(axis=1)).all()


@pytest.mark.parametrize("factor", [0.25, 1, 2])
def test_the_temperature_undoes_what_made_probabilities_too_sure(rng, factor):
    truth = rng.dirichlet([1, 1, 1], 4000)
    own = (rng.random((4000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    logs = np.log(np.clip(truth, 1e-12, 1)) / factor
    assert temperature(logs, own) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize(("n", "axes"), [(20, 8), (100, 25), (2000, 64)])
def test_few_rows_bear_few_dimensions(rng, n, axes):
    labels = np.arange(n) % 3
    features = rng.normal(0, 1, (n, 64)) + labels[:, None]
    model = discriminant(features, labels)
    assert model.n_features_in_ == axes
    assert model.shrinkage == (0.1 if n >= 1000 else 0.3)


def test_a_class_that_looks_as_before_is_recognised_and_one_that_is_mislabelled_is_not(clean):
    rows = np.flatnonzero(clean.images.labels == 2)[:15]
    labels = clean.images.labels.copy()
    assert recognised(clean.probe, clean.features, labels, rows)
    labels[rows] = 3
    assert not recognised(probe_of(clean, labels), clean.features, labels, rows)


def test_without_a_probe_everything_is_recognised(clean):
    labels = clean.images.labels
    assert recognised(None, clean.features, labels, np.arange(10))
    assert recognised(clean.probe, clean.features, labels, np.arange(0))
    assert probe_of(clean, np.full(160, UNLABELLED)) is None


# Whether what is under another light is known still


def test_rows_are_recognised_where_a_probe_that_never_saw_them_finds_their_labels(points):
    features, labels, fold = points
    probe = fit_probe(features, labels, np.arange(120), fold)
    rows = np.array([0, 1, 2, 50, 51, 90])
    assert recognised(probe, features, labels, rows)
    moved = features.copy()
    moved[rows] = features[(rows + 40) % 120]  # each looks like another class
    assert not recognised(probe, moved, labels, rows)


def test_without_labels_to_tell_by_everything_is_recognised(points):
    features, labels, fold = points
    probe = fit_probe(features, labels, np.arange(60), fold[:60])
    assert recognised(None, features, labels, np.arange(5))
    assert recognised(probe, features, labels, np.array([100, 101]))
