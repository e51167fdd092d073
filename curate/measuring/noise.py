"""How many labels are wrong, and which: what a set's labels say once they are held to be noisy readings of the truth.

A probe's log probabilities are stretched to what it is worth, and some share of the labels is drawn by another rule:
each class is mistaken for the others in proportions of its own. All of it is fitted to the labels as they stand, out of
fold. A probe that is merely weak gives a label the less the surer it is of another; a wrong label is given however sure
it is. That is how the two are told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..sets.imageset import evenly
from ..stage.shortness import short_repr

_MOST = 200_000  # values that a fit looks at: rows times classes
_ROUNDS = 6  # of fitting the mistakes and the rest in turn; more change next to nothing
# As much is added to what is seen of each class's mistakes as one label of each other class would bring.
_PRIOR = 1.0
# It is believed beforehand that labels are right, as firmly as so many right ones would make it: a few dozen labels of
# no meaning might as well all be wrong.
_TRUSTED = 10
_START = 0.3  # discriminants are too sure of themselves by about so much


@dataclass(frozen=True, eq=False)
class Noise:
    """What M labels are worth.

    truth    float64 (M, K): probability of each class being the picture's own, whatever its label
    odds     float64 (M,): log odds of the given label being wrong
    rate     share of the labels that are wrong, as estimated
    weights  float64 (V,): how much each view counts
    """

    truth: np.ndarray
    odds: np.ndarray
    rate: float
    weights: np.ndarray

    __repr__ = short_repr


def noise(views: np.ndarray, own: np.ndarray, copies: float = 1.0) -> Noise:
    """What labels are worth by the log probabilities (V, M, K) that some views give, out of fold.

    own     int64 (M,): column of the given label
    copies  rows for each different picture: the copies of one speak once
    """
    trusted = _TRUSTED * copies
    n, k = views.shape[1:]
    sample = evenly(n, max(1000, _MOST // k))
    seen, drawn = views[:, sample], own[sample]
    shares = np.tile(np.bincount(own, minlength=k) / n, (k, 1))
    mistakes = _proportions(shares)
    start = np.full(len(views), _START)
    weights, rate = _likeliest([_Model(start, 0.03)], seen, drawn, mistakes, trusted)
    for turn in range(_ROUNDS):
        logits = np.tensordot(weights, seen, axes=1)
        # At first, whatever a class is taken for counts: where many labels are wrong, all of them look like weakness.
        confusion = _blame(logits, drawn, mistakes, rate) if turn else np.exp(log_softmax(logits))
        counts = np.zeros((k, k))
        np.add.at(counts.T, drawn, confusion)
        mistakes = _proportions(counts + _PRIOR * copies * k * shares)
        same, twice = np.ones(1), np.full(1, 2.0)
        starts = [_Model(same, rate)]
        if not turn:  # from here on it is near
            starts += [_Model(twice, rate), _Model(same, 0.4), _Model(twice, 0.4)]
        scale, rate = _likeliest(starts, logits[None], drawn, mistakes, trusted)
        weights = weights * scale[0]
    logits = np.tensordot(weights, views, axes=1)
    truth = log_softmax(logits)
    blame = _blame(logits, own, mistakes, rate).sum(axis=1)
    by_mistake = np.log(np.maximum((np.exp(truth) * mistakes[:, own].T).sum(axis=1), 1e-300)) + np.log(rate)
    by_truth = truth[np.arange(n), own] + np.log(1 - rate)
    return Noise(np.exp(truth), by_mistake - by_truth, float(blame.mean()), weights)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities of rows of logits (M, K)."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def _proportions(counts: np.ndarray) -> np.ndarray:
    """(K, K): in what proportions each class is mistaken for the others; none is for itself."""
    counts = (counts + 1e-12) * (1 - np.eye(len(counts)))
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _blame(logits: np.ndarray, own: np.ndarray, mistakes: np.ndarray, rate: float) -> np.ndarray:
    """(M, K): probability that each other class is the true one, and the given label a mistake."""
    p = np.exp(log_softmax(logits))
    wrong = rate * p * mistakes[:, own].T
    right = (1 - rate) * p[np.arange(len(own)), own]
    return np.asarray(wrong / np.maximum(wrong.sum(axis=1) + right, 1e-300)[:, None])


class _Model(NamedTuple):
    """Weights (V,) of views, and the rate of mistakes."""

    weights: np.ndarray
    rate: float


def _likeliest(
    starts: Sequence[_Model], views: np.ndarray, own: np.ndarray, mistakes: np.ndarray, trusted: float
) -> _Model:
    """The model of the greatest likelihood that is reached from some starts."""
    from scipy.optimize import minimize

    confused = mistakes[:, own].T

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss(_Model(at[:-1], 1 / (1 + np.exp(-at[-1]))), views, own, confused, trusted)

    bounds = [(0.0, 10.0)] * len(views) + [(-12.0, 3.0)]
    points = [np.append(model.weights, np.log(model.rate / (1 - model.rate))) for model in starts]
    fits = [
        minimize(loss, point, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 60}) for point in points
    ]
    best = min(fits, key=lambda fit: float(fit.fun)).x
    return _Model(np.asarray(best[:-1]), float(1 / (1 + np.exp(-best[-1]))))


def _loss(
    model: _Model, views: np.ndarray, own: np.ndarray, confused: np.ndarray, trusted: float
) -> tuple[float, np.ndarray]:
    """Mean negative log likelihood of the given labels, and its slopes by the weights and the logit of the rate.

    confused  (M, K): in what proportion each class is mistaken for the given label
    trusted   right labels that are believed in beforehand
    """
    i, rate = np.arange(len(own)), model.rate
    p = np.exp(log_softmax(np.tensordot(model.weights, views, axes=1)))
    by_mistake = p * confused
    total = np.maximum((1 - rate) * p[i, own] + rate * by_mistake.sum(axis=1), 1e-300)
    posterior = rate * by_mistake / total[:, None]
    posterior[i, own] += (1 - rate) * p[i, own] / total
    by_weight = ((posterior - p)[None] * views).sum(axis=(1, 2))
    by_rate = ((by_mistake.sum(axis=1) - p[i, own]) / total).sum() * rate * (1 - rate)
    likelihood = np.log(total).sum() + trusted * np.log(1 - rate)
    return -float(likelihood) / len(own), -np.append(by_weight, by_rate - trusted * rate) / len(own)
