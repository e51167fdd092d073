"""Several views of a set, each judged by a discriminant of its own. Together they are better than each alone.

A linear discriminant of the embedding, one of a kernel on it, and one of a kernel on small grey pictures. Errors of one
are seldom those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..stage.engine import chunks, one_thread
from ..stage.shortness import short_repr
from .neighbours import evenly
from .noise import log_softmax

# One centre of a kernel for so many pictures, and at most so many: more bring little.
_EACH, _CENTRES = 5, 800
_MOST = 1 << 25  # values of a kernel that are held: 128 MB
_BLOCK = 4096
_SMALL = 16  # side of the small grey pictures
_NEVER = -1e3  # log odds of a class that nothing is known of


def out_of_fold(features: np.ndarray, own: np.ndarray, fold: np.ndarray, classes: int) -> np.ndarray:
    """float64 (M, K): log probabilities by linear discriminants, each of which saw nothing of a row's fold.

    own   int64 (M,): column of the given label;  fold  int64 (M,)

    Few rows bear few dimensions and a stiff covariance (see curate.measuring.probe.discriminant). Sums and products are
    taken once of each fold: those of all others are what its discriminant is made of. A class that these show less than
    twice gets next to nothing.
    """
    folds = [np.flatnonzero(fold == i) for i in range(int(fold.max(initial=-1)) + 1)]
    taught = len(own) - max(map(len, folds), default=0)
    axes = int(np.clip(taught // 4, 8, features.shape[1]))
    moments = [_Moments.of(features[rows, :axes].astype(np.float64), own[rows], classes) for rows in folds]
    logs = np.full((len(own), classes), -np.log(classes))
    for i, rows in enumerate(folds):
        rest = [part for at, part in enumerate(moments) if at != i]
        if len(rows) and rest and _learnable(rest).sum() > 1:
            weights, offsets = _discriminant(rest)
            logs[rows] = log_softmax(features[rows, :axes] @ weights + offsets)
    return logs


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of some rows: their number in each class (K,), their sum in each (K, d), and their products (d, d)."""

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray

    __repr__ = short_repr

    @classmethod
    def of(cls, points: np.ndarray, own: np.ndarray, classes: int) -> _Moments:
        member = np.zeros((classes, len(own)))
        member[own, np.arange(len(own))] = 1
        return cls(member.sum(axis=1), member @ points, points.T @ points)


def _learnable(parts: Sequence[_Moments]) -> np.ndarray:
    """bool (K,): classes that are shown twice at least."""
    return np.asarray(np.sum([part.counts for part in parts], axis=0) > 1)


def _discriminant(parts: Sequence[_Moments]) -> tuple[np.ndarray, np.ndarray]:
    """(d, K) and (K,): a linear discriminant of classes that share a covariance, shrunk towards a sphere."""
    from scipy.linalg import solve

    counts = np.sum([part.counts for part in parts], axis=0)
    means = np.sum([part.sums for part in parts], axis=0) / np.maximum(counts, 1)[:, None]
    n = counts.sum()
    within = (np.sum([part.products for part in parts], axis=0) - (means.T * counts) @ means) / n
    stiffness = 0.1 if n >= 1000 else 0.3
    sphere = max(float(np.trace(within)) / len(within), 1e-12) * np.eye(len(within))
    with one_thread():
        weights = solve((1 - stiffness) * within + stiffness * sphere, means.T, assume_a="pos")
    offsets = np.log(np.maximum(counts, 1) / n) - 0.5 * (means.T * weights).sum(axis=0)
    return weights, np.where(_learnable(parts), offsets, _NEVER)


def kernel_features(points: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """float32 (M, m): points (M, d) as a Gaussian kernel sees them, by its values at some of them (Nystroem 1930;
    Williams and Seeger, NIPS 2000). Its width is the median distance.

    candidates  int64: positions of points that may be centres, such as one of each picture
    """
    number = int(np.clip(min(len(candidates) // _EACH, _MOST // len(points)), min(8, len(candidates)), _CENTRES))
    at = points[evenly(points, candidates, number)]
    between = _squared_distances(at, at)
    width = float(np.median(between[~np.eye(len(at), dtype=bool)])) if len(at) > 1 else 1.0
    width = max(width, 1e-12)
    with one_thread():
        values, vectors = np.linalg.eigh(np.exp(-between.astype(np.float64) / width))
    root = (vectors / np.sqrt(np.maximum(values, 1e-6 * values[-1]))).astype(np.float32)
    # The largest first: with few rows the leading ones are what a discriminant looks at.
    root = root[:, ::-1]
    out = np.empty((len(points), len(at)), np.float32)
    for block in chunks(len(points), _BLOCK):
        rows = slice(block.start, block.stop)
        out[rows] = np.exp(-_squared_distances(points[rows], at) / width) @ root
    return out


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0))


def small_pictures(thumbnails: np.ndarray) -> np.ndarray:
    """float32 (M, 256), 0 .. 1: grey thumbnails (M, S, S) averaged to 16 x 16."""
    n, side, _ = thumbnails.shape
    step = side // _SMALL
    cut = thumbnails[:, : step * _SMALL, : step * _SMALL].reshape(n, _SMALL, step, _SMALL, step)
    return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1) / 255)
