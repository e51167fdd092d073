"""Which pictures look alike: the nearest ones of a picture, and the typical ones of a class, by their embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .measuring.neighbours import principal_axes
from .sets.imageset import evenly
from .stage.engine import chunks

TYPICAL = 3  # pictures of each class
NEAREST = 12
_AXES = 64  # of the embeddings' variation, on which candidates are found
_CANDIDATES = 16  # for each neighbour: those whose distance is then measured exactly
_ONE_BY_ONE = 4_000  # up to so many rows all are measured exactly
_LOOKED_AT = 20_000  # rows that classes are summed up by, and a few hundred of each at most
_FEWEST, _MOST = 24, 400
_PIECE = 8_192


class Likeness:
    """The nearest rows of any row of a set, told one row at a time.

    embeddings  (N, D), L2-normalised, of any float type; mapped into memory they are read where they are needed
    looks       int64 (N,): rows of one number look the same, and one stands for all of them; -1 takes no part

    Distances are 1 - cosine, 0 .. 2. They are exact; among more than some thousand rows the candidates are those that
    are nearest on the 64 main axes.
    """

    def __init__(self, embeddings: np.ndarray, looks: np.ndarray) -> None:
        self._embeddings, self._looks = embeddings, np.asarray(looks, np.int64)
        self._rows = np.flatnonzero(self._looks >= 0)
        _, first = np.unique(self._looks[self._rows], return_index=True)
        self._rows = self._rows[np.sort(first)]
        self._axes: np.ndarray | None = None
        if len(self._rows) > _ONE_BY_ONE:
            self._centre, axes = principal_axes(embeddings, self._rows[evenly(len(self._rows), _LOOKED_AT // 4)])
            self._axes = axes[:, :_AXES]
            self._points = np.empty((len(self._rows), self._axes.shape[1]), np.float32)
            for piece in chunks(len(self._rows), _PIECE):
                place = slice(piece.start, piece.stop)
                self._points[place] = self._on_axes(self._rows[place])
            self._lengths = np.einsum("ij,ij->i", self._points, self._points)

    def nearest(self, row: int, count: int = NEAREST) -> tuple[np.ndarray, np.ndarray]:
        """(rows int64 (k,), distances float32 (k,)), nearest first, none that looks the same as the row itself.

        k is `count`, or as many as there are; 0 of a row that takes no part.
        """
        own = self._looks[row]
        if own < 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        rows = self._candidates(row, _CANDIDATES * (count + 1))
        rows = rows[self._looks[rows] != own]
        likeness = self._vectors(rows) @ self._vectors(np.array([row]))[0]
        order = np.lexsort((rows, -likeness))[:count]
        return rows[order], np.clip(1 - likeness[order], 0, 2).astype(np.float32)

    def _candidates(self, row: int, count: int) -> np.ndarray:
        if self._axes is None or count >= len(self._rows):
            return self._rows
        point = self._on_axes(np.array([row]))[0]
        squared = self._lengths - 2 * (self._points @ point)
        return np.asarray(self._rows[np.sort(np.argpartition(squared, count)[:count])])

    def _on_axes(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((self._vectors(rows) - self._centre) @ self._axes, np.float32)

    def _vectors(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._embeddings[rows]).astype(np.float32)


def nearest_of_each(embeddings: np.ndarray, looks: np.ndarray, rows: np.ndarray, count: int) -> dict[int, list[int]]:
    """row -> the nearest other rows, nearest first, of some of the rows of a set at once.

    embeddings (N, D) and looks (N,) as of Likeness; distances are exact.
    """
    shown = np.flatnonzero(looks >= 0)
    shown = shown[np.sort(np.unique(looks[shown], return_index=True)[1])]
    asked = rows[looks[rows] >= 0]
    vectors = np.asarray(embeddings[asked]).astype(np.float32)
    best = np.full((len(asked), 0), -1, np.int64)
    score = np.full((len(asked), 0), -np.inf, np.float32)
    for piece in chunks(len(shown), _PIECE):
        own = shown[piece.start : piece.stop]
        likeness = vectors @ np.asarray(embeddings[own]).astype(np.float32).T
        likeness[looks[asked][:, None] == looks[own][None, :]] = -np.inf
        columns = np.broadcast_to(own, likeness.shape)
        near, value = _best(columns, likeness, count)
        best, score = np.concatenate([best, near], axis=1), np.concatenate([score, value], axis=1)
        best, score = _best(best, score, count)
    return {
        asked_row: [row for row, value in zip(near, values, strict=True) if value > -np.inf]
        for asked_row, near, values in zip(asked.tolist(), best.tolist(), score.tolist(), strict=True)
    }


def _best(columns: np.ndarray, scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the highest scores of each row, and these, the highest first; of equal ones the first column."""
    if scores.shape[1] > 4 * count:
        # Some to spare; ties across that bound are as good as one another.
        top = np.argpartition(-scores, 2 * count, axis=1)[:, : 2 * count]
        top.sort(axis=1)
        columns, scores = np.take_along_axis(columns, top, axis=1), np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(scores, order, axis=1)


def looks_of(digests: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """int64 (N,): a number for each picture under each label, for Likeness; -1 of what cannot be read.

    Copies under another label are pictures of their own: they are what tells that a label is wrong.

    >>> looks_of(["a", "b", "a", "a", ""], np.array([0, 0, 0, 1, 0])).tolist()
    [0, 1, 0, 2, -1]
    """
    numbers: dict[tuple[str, int], int] = {}
    pairs = zip(digests, np.asarray(labels).tolist(), strict=True)
    return np.array([numbers.setdefault(pair, len(numbers)) if pair[0] else -1 for pair in pairs], np.int64)


def typical(
    embeddings: np.ndarray,
    labels: np.ndarray,
    classes: int,
    looks: np.ndarray,
    fine: np.ndarray,
    count: int = TYPICAL,
) -> np.ndarray:
    """int64 (classes, count): of each class the rows nearest to its centre.

    embeddings  as of Likeness;  labels  int64 (N,): 0 .. classes - 1, -1 none
    looks       as of Likeness: no two rows of one number are taken
    fine        bool (N,): rows that may be taken, such as those that are kept and of which nothing was found

    Filled up with -1 where a class has fewer. Of a class of many rows a few hundred are looked at, evenly spread.
    """
    rows = np.full((classes, count), -1, np.int64)
    most = int(np.clip(_LOOKED_AT // max(1, classes), _FEWEST, _MOST))
    usable = np.flatnonzero(fine & (labels >= 0) & (looks >= 0))
    usable = usable[np.argsort(labels[usable], kind="stable")]
    ends = np.searchsorted(labels[usable], np.arange(classes + 1))
    for number in range(classes):
        own = usable[ends[number] : ends[number + 1]]
        own = own[np.sort(np.unique(looks[own], return_index=True)[1])]
        own = own[evenly(len(own), most)]
        if len(own):
            vectors = np.asarray(embeddings[own]).astype(np.float32)
            order = np.lexsort((own, -(vectors @ vectors.mean(axis=0))))[:count]
            rows[number, : len(order)] = own[order]
    return rows
