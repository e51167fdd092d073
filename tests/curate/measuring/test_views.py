import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from curate.measuring.views import kernel_features, out_of_fold, small_pictures


@pytest.fixture
def points(rng):
    """Three clouds of 40 points in six dimensions, their columns and folds."""
    own = np.arange(120) % 3
    features = rng.normal(0, 1, (120, 6)).astype(np.float32)
    features[np.arange(120), own] += 3
    return features, own, np.arange(120) // 3 % 5


def test_it_is_the_discriminant_of_all_other_folds(points):
    features, own, fold = points
    logs = out_of_fold(features, own, fold, 3)
    for i in range(5):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features[fold != i], own[fold != i])
        centred = features[fold != i] - model.means_[own[fold != i]]
        # scikit-learn shrinks the covariance of features of unit variance, and this one that of features as they are.
        assert np.cov(centred.T).shape == (6, 6)
        agreement = model.predict_log_proba(features[fold == i]) - logs[fold == i]
        assert np.abs(agreement).mean() < 0.2
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_nothing_of_the_own_fold_is_seen(points):
    features, own, fold = points
    changed, moved = own.copy(), features.copy()
    changed[fold == 2], moved[(fold == 2) & (np.arange(120) > 60)] = 0, 9
    before, after = out_of_fold(features, own, fold, 3), out_of_fold(moved, changed, fold, 3)
    rows = (fold == 2) & (np.arange(120) <= 60)
    np.testing.assert_allclose(before[rows], after[rows])


def test_a_class_that_the_other_folds_hardly_show_gets_nothing_and_the_rest_go_on(points):
    features, own, fold = points
    rare = np.where(own == 2, 0, own)
    rare[:2] = 3
    logs = out_of_fold(features, rare, fold, 4)
    assert (logs[:, 2] < -500).all()
    assert np.isfinite(logs).all()


def test_where_nothing_is_left_to_learn_from_all_classes_are_alike(points):
    features, own, _ = points
    np.testing.assert_allclose(out_of_fold(features, own, np.zeros(120, np.int64), 3), -np.log(3))


def test_a_kernel_tells_a_ring_from_its_middle_which_no_plane_does(rng):
    angle, own = rng.uniform(0, 7, 400), np.arange(400) % 2
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * (0.2 + own)[:, None] + rng.normal(0, 0.1, (400, 2))
    ring, fold = ring.astype(np.float32), np.arange(400) // 2 % 5
    right = [
        (out_of_fold(features, own, fold, 2).argmax(axis=1) == own).mean()
        for features in (ring, kernel_features(ring, np.arange(400)))
    ]
    assert right[0] < 0.7
    assert right[1] > 0.97


def test_kernel_features_have_the_products_that_the_kernel_has(rng):
    points = rng.normal(0, 1, (60, 3)).astype(np.float32)
    features = kernel_features(points, np.arange(60))
    assert features.shape == (60, 12)
    assert (kernel_features(points, np.arange(60)) == features).all()
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    close = np.argsort(-(features @ features.T), axis=1)[:, 1]
    assert np.median(squared[np.arange(60), close]) < np.median(squared) / 3


@pytest.mark.parametrize("n", [1, 3, 9])
def test_few_points_have_few_centres(rng, n):
    features = kernel_features(rng.normal(0, 1, (n, 4)).astype(np.float32), np.arange(n))
    assert features.shape == (n, min(8, n))
    assert np.isfinite(features).all()


def test_points_that_are_all_one_are_no_fault():
    assert np.isfinite(kernel_features(np.zeros((30, 4), np.float32), np.arange(30))).all()


def test_small_pictures_are_means_of_squares(rng):
    thumbnails = rng.integers(0, 256, (5, 64, 64), np.uint8)
    small = small_pictures(thumbnails)
    assert small.shape == (5, 256)
    assert small[3, 17] == pytest.approx(thumbnails[3, 4:8, 4:8].mean() / 255, abs=1e-6)
