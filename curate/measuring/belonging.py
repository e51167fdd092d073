"""Whether a picture looks like its class: how far it lies from it, held against how far pictures of the others lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..sets.imageset import UNLABELLED
from ..stage.engine import chunks
from ..stage.shortness import short_repr
from .neighbours import evenly

NEAREST = 10  # of a class, by which a picture is near to it or far
FEWEST = 6  # different pictures that a class needs to have a middle
_TELLING = 1000  # of a larger class so many, evenly spread, tell where it lies
_SAMPLED = 1000  # pictures by which it is seen how far those of other classes lie
_BLOCK = 2048
_DOUBT = -2.0  # log odds from which it is asked what other class a picture may be of
# The bands of the class and of the others, four thirds of a spread to either side, must not meet: where they do, as
# among cells, a picture that lies as far from its class as others do is no stranger for that.
_APART = 3 / 4
# A heavier tail is believed until the set speaks against it by this much in log likelihood: half the 95 % quantile of
# chi squared.
_REFUTED = 1.92


@dataclass(frozen=True, eq=False)
class Belonging:
    """How N rows fit their classes. Distances are 0 in the middle of a class, and 1 where pictures of others lie.

    own      float64 (N,): distance from the own class; NaN where it is too small, or there is no label
    other    float64 (N,): distance from the class that fits best of the others; NaN where that was not measured
    rival    int64 (N,): that class, -1 where it was not measured
    odds     float64 (N,): log odds of the picture not being of its class; -inf where it cannot be told
    fit      float64 (N,): log odds of its being of the rival rather than of none, -inf where that was not measured
    apart    whether pictures of other classes lie apart from a class, so that strangers can be told
    """

    own: np.ndarray
    other: np.ndarray
    rival: np.ndarray
    odds: np.ndarray
    fit: np.ndarray
    apart: bool

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class _Points:
    """Rows in the space of distances, each with what it is a copy of.

    features   float32 (N, d);  squares  float32 (N,): their squared lengths, half of what the axes leave out added
    key        int64 (N,): the same for copies of one picture
    """

    features: np.ndarray
    squares: np.ndarray
    key: np.ndarray

    __repr__ = short_repr

    def at(self, rows: np.ndarray) -> _Points:
        """Some of them."""
        return _Points(self.features[rows], self.squares[rows], self.key[rows])


def belonging(
    features: np.ndarray, embeddings: np.ndarray, labels: np.ndarray, key: np.ndarray, references: np.ndarray
) -> Belonging | None:
    """How the rows fit their classes; None where there are not two that are large enough.

    key         int64 (N,): the same for copies of one picture, -1 unreadable
    references  int64 (M,): rows that tell where the classes lie, one of each picture under each of its labels
    """
    pictures = np.stack([key[references], labels[references]])
    references = references[np.unique(pictures, axis=1, return_index=True)[1]]
    members = {int(c): references[labels[references] == c] for c in np.unique(labels[references]) if c != UNLABELLED}
    members = {c: evenly(features, rows, _TELLING) for c, rows in members.items() if len(rows) >= FEWEST}
    if len(members) < 2:
        return None
    points = _points(features, embeddings, key, references)
    classes = {c: points.at(rows) for c, rows in members.items()}
    n = len(labels)
    logs = np.full(n, np.nan)
    for c, of_class in classes.items():
        rows = np.flatnonzero((labels == c) & (key >= 0))
        logs[rows] = _log_distance(points.at(rows), of_class)
    sample = evenly(features, np.concatenate(list(members.values())), _SAMPLED)
    away = _to_others(points.at(sample), labels[sample], classes)
    middle = np.array([np.median(logs[rows]) for rows in members.values()])
    # Where a class is no nearer to its own than to others there is no scale: whatever is, is wide.
    unit = np.maximum(np.nanmedian(away, axis=0) - middle, 0.05)
    column = np.full(int(labels.max()) + 1, -1)
    column[list(members)] = np.arange(len(members))
    of_row = np.where(labels >= 0, column[np.maximum(labels, 0)], -1)
    own = np.where(of_row >= 0, (logs - middle[of_row]) / unit[of_row], np.nan)
    away = (away - middle) / unit
    tail = _tail(own[references][np.isfinite(own[references])], away[np.isfinite(away)])
    odds = _of_pictures(tail.odds(own), key, labels)
    other, rival, fit = np.full(n, np.nan), np.full(n, -1), np.full(n, -np.inf)
    doubted = np.flatnonzero(odds > _DOUBT)
    if len(doubted):
        gaps = (_to_others(points.at(doubted), labels[doubted], classes) - middle) / unit
        other[doubted], rival[doubted] = np.nanmin(gaps, axis=1), np.array(list(members))[np.nanargmin(gaps, axis=1)]
        # Of the pictures of the sample the own class is left out: so far from all others lies what belongs to none.
        none, spread = _centre_and_spread(np.nanmin(away, axis=1))
        fit[doubted] = _normal(np.maximum(other[doubted], 0), 0, tail.spread)
        fit[doubted] -= _normal(np.minimum(other[doubted], none), none, max(spread, 0.05))
    return Belonging(own, other, rival, odds, fit, tail.apart)


def _of_pictures(odds: np.ndarray, key: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The least odds of the copies of a picture under one label: turned and cropped it still is what it is."""
    _, picture = np.unique(np.stack([key, labels]), axis=1, return_inverse=True)
    least = np.full(picture.max(initial=-1) + 1, np.inf)
    np.minimum.at(least, picture, odds)
    return np.asarray(np.where(key >= 0, least[picture], odds))


def _normal(x: np.ndarray, centre: float, spread: float) -> np.ndarray:
    """Log density."""
    return np.asarray(-0.5 * ((x - centre) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi)))


def _points(features: np.ndarray, embeddings: np.ndarray, key: np.ndarray, references: np.ndarray) -> _Points:
    """The rows, and how much of each the axes leave out: strangers have more of it, and so have noisy pictures."""
    centre = embeddings[references].mean(axis=0, dtype=np.float32)
    shift = features[references].mean(axis=0)
    left_out = np.empty(len(features), np.float32)
    for block in chunks(len(features), _BLOCK):
        whole = ((embeddings[block.start : block.stop].astype(np.float32) - centre) ** 2).sum(axis=1)
        left_out[block.start : block.stop] = whole - ((features[block.start : block.stop] - shift) ** 2).sum(axis=1)
    return _Points(features, (features**2).sum(axis=1) + np.maximum(left_out, 0) / 2, key)


def _log_distance(points: _Points, of_class: _Points) -> np.ndarray:
    """float64 (R,): log of the mean distance to the nearest of a class, none of them a copy."""
    nearest = min(NEAREST, len(of_class.key) // 3)
    out = np.empty(len(points.key))
    for block in chunks(len(out), _BLOCK):
        own = points.at(np.arange(block.start, block.stop))
        squares = own.squares[:, None] + of_class.squares[None] - 2 * own.features @ of_class.features.T
        squares[own.key[:, None] == of_class.key[None]] = np.inf
        squares.partition(nearest - 1, axis=1)
        out[block.start : block.stop] = np.sqrt(np.maximum(squares[:, :nearest], 1e-12)).mean(axis=1)
    return np.asarray(np.log(out))


def _to_others(points: _Points, labels: np.ndarray, classes: dict[int, _Points]) -> np.ndarray:
    """(R, K): log distance to each class, NaN to the own."""
    logs = np.stack([_log_distance(points, of_class) for of_class in classes.values()], axis=1)
    logs[labels[:, None] == np.array(list(classes))[None]] = np.nan
    return logs


def _centre_and_spread(values: np.ndarray) -> tuple[float, float]:
    centre = float(np.median(values))
    return centre, float(1.4826 * np.median(np.abs(values - centre)))


@dataclass(frozen=True)
class _Tail:
    """The upper half of the distances within the classes, and the strangers in it.

    Within, the density falls as exp(-(x / scale)^power); a share of the rows lies as pictures of other classes do,
    around `centre` with the spread `width`.
    """

    scale: float
    power: float
    share: float
    centre: float
    width: float

    @property
    def spread(self) -> float:
        """Standard deviation within the classes."""
        from scipy.special import gamma

        return float(self.scale * np.sqrt(gamma(3 / self.power) / gamma(1 / self.power)))

    @property
    def apart(self) -> bool:
        """Whether strangers can be told from the tail of the classes."""
        return self.spread + self.width <= _APART

    def odds(self, distance: np.ndarray) -> np.ndarray:
        """float64 (N,): log odds of what lies so far off being a stranger; -inf for NaN, and where none can be told."""
        from scipy.special import gamma

        if not self.apart:
            return np.full(len(distance), -np.inf)
        x = np.maximum(np.nan_to_num(distance), 0)
        within = np.log(self.power / (self.scale * gamma(1 / self.power))) - (x / self.scale) ** self.power
        # What lies farther out than others do is no less of a stranger.
        beyond = _normal(np.minimum(x, self.centre), self.centre, self.width)
        return np.where(np.isfinite(distance), np.log(self.share / (1 - self.share)) + beyond - within, -np.inf)


def _tail(own: np.ndarray, away: np.ndarray) -> _Tail:
    """The tail that fits best, by the likelihood on a grid; of powers that fit, the least: it has the most in it.

    own   distances of rows from their own class;  away  of rows from other classes
    """
    centre, width = _centre_and_spread(away)
    width = max(width, 0.05)
    edge = centre + width
    if edge <= 0 or not (own > 0).any():
        return _Tail(1.0, 1.0, 0.5, centre, np.inf)
    counts, edges = np.histogram(np.clip(own[own > 0], None, edge), bins=120, range=(0, edge))
    x = (edges[1:] + edges[:-1]) / 2
    beyond = _normalised(np.exp(-0.5 * ((x - centre) / width) ** 2))
    scales = np.geomspace(0.05, 2, 40)
    shares = np.geomspace(1 / max(int(counts.sum()), 2), 0.5, 30)  # a set may always have one
    fits = []
    for power in (1.0, 1.25, 1.5, 1.75, 2.0):
        within = _normalised(np.exp(-((x / scales[:, None]) ** power)))
        mixed = (1 - shares[:, None, None]) * within + shares[:, None, None] * beyond
        likelihood = np.log(np.maximum(mixed, 1e-12)) @ counts
        share, scale = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
        fits.append((float(likelihood.max()), _Tail(float(scales[scale]), power, float(shares[share]), centre, width)))
    best = max(likelihood for likelihood, _ in fits)
    return next(tail for likelihood, tail in fits if likelihood >= best - _REFUTED)


def _normalised(density: np.ndarray) -> np.ndarray:
    return np.asarray(density / density.sum(axis=-1, keepdims=True))
