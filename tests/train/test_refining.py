import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.stage.errors import DataError
from train.refining import refine


def blobs(*sizes: int, seed: int = 0) -> np.ndarray:
    """Well separated clouds of so many points each."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(10 * at, 0.3, (size, 4)) for at, size in enumerate(sizes)]).astype(np.float32)


def test_the_smallest_cluster_of_each_class_goes():
    features = np.concatenate([blobs(20, 5, 30), blobs(4, 12, 40, seed=1)])
    labels = np.repeat([0, 1], [55, 56])
    kept = refine(features, labels, 3)
    assert kept.dtype == bool
    assert np.flatnonzero(~kept).tolist() == [*range(20, 25), *range(55, 59)]


def test_which_pictures_stand_where_and_which_class_has_which_number_changes_nothing():
    features, labels = np.concatenate([blobs(20, 5), blobs(30, 7, seed=1)]), np.repeat([0, 1], [25, 37])
    order = np.random.default_rng(0).permutation(len(labels))
    assert (refine(features[order], labels[order], 2) == refine(features, labels, 2)[order]).all()
    assert (refine(features, 1 - labels, 2) == refine(features, labels, 2)).all()


def test_the_same_seed_keeps_the_same():
    features, labels = np.random.default_rng(0).normal(size=(300, 8)), np.arange(300) % 3
    first = refine(features, labels, 5, seed=1)
    assert (refine(features, labels, 5, seed=1) == first).all()
    assert any((refine(features, labels, 5, seed=seed) != first).any() for seed in range(2, 6))


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 3)), max_size=30), st.integers(2, 4))
def test_no_class_is_emptied_and_what_has_no_label_stays(rows, clusters):
    labels, features = np.array([row[0] for row in rows], np.int64), np.array([[row[1]] for row in rows], float)
    kept = refine(features.reshape(len(rows), 1), labels, clusters)
    assert kept.shape == labels.shape
    assert kept[labels == -1].all()
    for label in set(labels.tolist()):
        of = labels == label
        assert kept[of].any()
        assert kept[of].all() == (label == -1 or len(np.unique(features[of])) < clusters)


def test_of_two_clusters_of_one_size_the_one_farther_from_the_middle_goes():
    kept = refine(np.array([[0.0], [0.0], [0.0], [5.0], [0.0], [-9.0]]), np.zeros(6, int), 3)
    assert kept.tolist() == [True] * 5 + [False]


def test_what_cannot_be_refined_is_told():
    with pytest.raises(DataError, match="refine is 1; needed are 2 clusters at least"):
        refine(np.zeros((4, 2)), np.zeros(4, int), 1)
    with pytest.raises(DataError, match="4 rows of features but 3 labels"):
        refine(np.zeros((4, 2)), np.zeros(3, int), 2)
