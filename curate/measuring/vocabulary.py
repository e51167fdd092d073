"""Visual words: which pictures share local features, found for all of them at once, before any two are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..sets.imageset import evenly
from ..stage.engine import chunks, one_thread
from .keypoints import MIRRORED, normalised

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# A word is a pair of centres, one of each half of a descriptor: 128 x 128 words at the price of 256 comparisons
# (the inverted multi-index, Babenko and Lempitsky, CVPR 2012).
_CENTRES = 128
_AXES = 32  # main axes of the descriptors that words are made of, half of them each
_SAMPLE = 20_000  # descriptors that the words are found from
_ROUNDS = 8
# What a tenth of the pictures and more have tells nothing.
_COMMON = 0.1
_BLOCK = 512  # pictures whose likeness to all others is held at once


def likely_pairs(descriptors: Sequence[np.ndarray], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64 (P, 2) pairs i < j, float32 (P,) likeness 0 .. 1, int64 (P,) rank): the likest others of each picture.

    descriptors  of each of n pictures, uint8 (P, 128), see keypoints.Features
    most         others of each

    Likeness is the cosine of the counts of words, each weighted by how rare it is (Sivic and Zisserman, ICCV 2003).
    A picture and its mirror image have the same words. The likest come first; a rank of 0 has the likest of one of the
    two, 1 the next.
    """
    weights = _weights(descriptors)
    n = weights.shape[0]
    most = min(most, n - 1)
    pairs, values, ranks = [], [], []
    for rows in chunks(n, _BLOCK):
        likeness = (weights[rows.start : rows.stop] @ weights.T).toarray()
        likeness[np.arange(len(rows)), np.arange(rows.start, rows.stop)] = -1
        near = np.argpartition(-likeness, most - 1, axis=1)[:, :most]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(likeness, near, 1), axis=1, kind="stable"), 1)
        own = np.repeat(np.arange(rows.start, rows.stop), most)
        pairs.append(np.sort(np.stack([own, near.ravel()], axis=1), axis=1))
        values.append(np.take_along_axis(likeness, near, axis=1).ravel())
        ranks.append(np.tile(np.arange(most), len(rows)))
    return _likest_first(np.concatenate(pairs), np.concatenate(values), np.concatenate(ranks))


def _likest_first(
    pairs: np.ndarray, likeness: np.ndarray, ranks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair once, with the better of its ranks, and only those that have any likeness."""
    order = np.lexsort((ranks, pairs[:, 1], pairs[:, 0]))
    order = order[likeness[order] > 0]
    pairs, first = np.unique(pairs[order], axis=0, return_index=True)
    likeness, ranks = likeness[order[first]], ranks[order[first]]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -likeness))
    return pairs[order], likeness[order], ranks[order]


def _weights(descriptors: Sequence[np.ndarray]) -> csr_array:
    """scipy csr (n, words) float32, rows of norm 1."""
    from scipy.sparse import csr_array, diags_array

    n = len(descriptors)
    row = np.repeat(np.arange(n), [len(part) for part in descriptors])
    word = _words(np.concatenate(list(descriptors)))
    counts = csr_array((np.ones(len(word), np.float32), (row, word)), shape=(n, _CENTRES**2))
    counts.sum_duplicates()
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = np.where((having > 1) & (having <= max(2, _COMMON * n)), np.log((n + 1) / np.maximum(having, 1)), 0)
    counts.data = np.sqrt(counts.data) * rarity[counts.indices].astype(np.float32)
    counts.eliminate_zeros()
    norms = np.sqrt(np.bincount(np.repeat(np.arange(n), np.diff(counts.indptr)), counts.data**2, minlength=n))
    return csr_array(diags_array((1 / np.maximum(norms, 1e-6)).astype(np.float32)) @ counts)


def _words(descriptors: np.ndarray) -> np.ndarray:
    """int64 (P,): the word of each descriptor, uint8 (P, 128), the same for it and its mirror image."""
    from scipy.linalg import eigh

    sample = _unmirrored(descriptors[evenly(len(descriptors), _SAMPLE)])
    centre = sample.mean(axis=0)
    size = sample.shape[1]
    with one_thread():
        covariance = (sample - centre).T @ (sample - centre)
        axes = eigh(covariance, subset_by_index=[size - _AXES, size - 1])[1]
    halves = [axes[:, side::2] for side in (0, 1)]  # each half has as much of the variation
    centres = [_centres((sample - centre) @ half) for half in halves]
    words = np.empty(len(descriptors), np.int64)
    for piece in chunks(len(descriptors), 16_384):
        values = _unmirrored(descriptors[piece.start : piece.stop]) - centre
        first, second = (_nearest(values @ half, of_half) for half, of_half in zip(halves, centres, strict=True))
        words[piece.start : piece.stop] = first * _CENTRES + second
    return words


def _unmirrored(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors, normalised, each as it is or mirrored, whichever has more in its first half."""
    values = normalised(descriptors)
    swapped = values[:, :64].sum(axis=1) < values[:, 64:].sum(axis=1)
    values[swapped] = values[swapped][:, MIRRORED]
    return values


def _centres(points: np.ndarray) -> np.ndarray:
    """(_CENTRES, d) by k-means, begun from points evenly over all."""
    centres = points[np.linspace(0, len(points) - 1, _CENTRES).astype(np.int64)]
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(points[order], starts, axis=0)
        centres[present] = sums / np.diff(np.append(starts, len(points)))[:, None]
    return centres


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int64 (P,): the nearest centre of each point."""
    return np.asarray((points @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1))
