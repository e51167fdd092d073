"""refine: leave out of each class the pictures that form a small cluster of their own."""

from __future__ import annotations

import numpy as np

from curate.stage.errors import DataError


def refine(features: np.ndarray, labels: np.ndarray, clusters: int, seed: int = 0) -> np.ndarray:
    """bool (n,): which pictures are kept when each class is without the smallest of so many K-means clusters.

    features  float (n, D), finite;  labels  int (n,), -1 for none, and those are kept
    clusters  2 at least. A class of fewer different pictures than that is kept whole

    The same input and seed keep the same pictures. Of clusters of one size, that one goes which is farther from the
    middle of its class. After AI-pacapa's report of 2025, which found no gain. Raises DataError.

    >>> features = np.array([[0.0], [0.1], [0.2], [9.0], [5.0], [5.1]])
    >>> refine(features, np.array([0, 0, 0, 0, -1, -1]), 2).tolist()
    [True, True, True, False, True, True]
    """
    if clusters < 2:
        raise DataError(f"refine is {clusters}; needed are 2 clusters at least, for the smallest is left out.")
    if len(features) != len(labels):
        raise DataError(f"{len(features):,} rows of features but {len(labels):,} labels; each picture needs both.")
    kept = np.ones(len(labels), bool)
    for label in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == label)
        kept[rows] = ~_smallest(features[rows], clusters, int(np.random.default_rng([seed, label]).integers(2**31)))
    return kept


def _smallest(features: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """bool (n,): which rows are in the smallest cluster; none where there are not that many different ones."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(np.unique(features, axis=0)) < clusters:
        return np.zeros(len(features), bool)
    with threadpool_limits(1):  # the order in which threads add up their parts is left to chance
        kmeans = KMeans(clusters, n_init=4, random_state=seed).fit(features)
    sizes = np.bincount(kmeans.labels_, minlength=clusters)
    distance = np.linalg.norm(kmeans.cluster_centers_ - features.mean(axis=0), axis=1)
    return np.asarray(kmeans.labels_ == np.lexsort((-distance, sizes))[0])
