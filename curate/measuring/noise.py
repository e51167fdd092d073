"""How many labels are wrong, and which: what a set's labels say once they are held to be noisy readings of the truth.

A probe's log probabilities are stretched to what it is worth, and some share of the labels is drawn by another rule:
each class is mistaken for the others in proportions of its own. All of it is fitted to the labels as they stand, out of
fold. A probe that is merely weak gives a label the less the surer it is of another; a wrong label is given however sure
it is. That is how the two are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MOST = 200_000  # values that a fit looks at: rows times classes
_ROUNDS = 2  # of fitting the mistakes and the rest in turn; more change next to nothing
# As much is added to what is seen of each class's mistakes as one label of each other class would bring.
_PRIOR = 1.0


@dataclass(frozen=True, eq=False)
class Noise:
    """What M labels are worth.

    logits   float64 (M, K): what all views together say, up to a constant of each row
    truth    float64 (M, K): probability of each class being the picture's own, whatever its label
    odds     float64 (M,): log odds of the given label being wrong
    rate     share of the labels that are wrong, as estimated
    weights  float64 (V,): how much each view counts
    """

    logits: np.ndarray
    truth: np.ndarray
    odds: np.ndarray
    rate: float
    weights: np.ndarray


def noise(views: np.ndarray, own: np.ndarray) -> Noise:
    """What labels are worth by the log probabilities (V, M, K) that some views give, out of fold.

    own  int64 (M,): column of the given label
    """
    n, k = views.shape[1:]
    shares = np.bincount(own, minlength=k) / n
    some = _evenly(n, max(1000, _MOST // k))
    flat = np.tile(shares, (k, 1)) + 1e-12
    mistakes = _without_diagonal(flat)
    weights, rate = _fitted(views[:, some], own[some], mistakes, [np.full(len(views), 0.3)], [0.03])
    for turn in range(_ROUNDS):
        logits = np.tensordot(weights, views[:, some], axes=1)
        # At first, whatever a class is taken for counts: where many labels are wrong, all of them look like weakness.
        taken = _blame(logits, own[some], mistakes, rate) if turn else np.exp(_log_softmax(logits))
        seen = np.zeros((k, k))
        np.add.at(seen.T, own[some], taken)
        mistakes = _without_diagonal(seen + _PRIOR * k * flat)
        start = np.ones(1), np.full(1, 2.0)
        scale, rate = _fitted(logits[None], own[some], mistakes, start, [rate, 0.4])
        weights = weights * scale[0]
    logits = np.tensordot(weights, views, axes=1)
    right = _log_softmax(logits)
    blame = _blame(logits, own, mistakes, rate).sum(axis=1)
    i = np.arange(n)
    by_mistake = np.log(np.maximum((np.exp(right) * mistakes[:, own].T).sum(axis=1), 1e-300)) + np.log(rate)
    by_truth = right[i, own] + np.log(1 - rate)
    return Noise(logits, np.exp(right), by_mistake - by_truth, float(blame.mean()), weights)


def _evenly(n: int, most: int) -> np.ndarray:
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _without_diagonal(counts: np.ndarray) -> np.ndarray:
    """Rows of probabilities, none for a class being mistaken for itself."""
    counts = counts * (1 - np.eye(len(counts)))
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def _blame(logits: np.ndarray, own: np.ndarray, mistakes: np.ndarray, rate: float) -> np.ndarray:
    """(M, K): probability that each other class is the true one, and the given label a mistake."""
    p = np.exp(_log_softmax(logits))
    wrong = rate * p * mistakes[:, own].T
    right = (1 - rate) * p[np.arange(len(own)), own]
    return np.asarray(wrong / np.maximum(wrong.sum(axis=1) + right, 1e-300)[:, None])


def _fitted(
    views: np.ndarray,
    own: np.ndarray,
    mistakes: np.ndarray,
    weights: list[np.ndarray] | tuple[np.ndarray, ...],
    rates: list[float],
) -> tuple[np.ndarray, float]:
    """(weights of the views, rate of mistakes) of the greatest likelihood, from some starts (each with each rate)."""
    from scipy.optimize import minimize

    i = np.arange(len(own))
    confused = mistakes[:, own].T

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        rate = 1 / (1 + np.exp(-at[-1]))
        p = np.exp(_log_softmax(np.tensordot(at[:-1], views, axes=1)))
        by_mistake = p * confused
        total = (1 - rate) * p[i, own] + rate * by_mistake.sum(axis=1)
        total = np.maximum(total, 1e-300)
        blame = rate * by_mistake / total[:, None]
        blame[i, own] += (1 - rate) * p[i, own] / total
        slopes = ((blame - p)[None] * views).sum(axis=(1, 2))
        slope = ((by_mistake.sum(axis=1) - p[i, own]) / total).sum() * rate * (1 - rate)
        return -float(np.log(total).mean()), -np.append(slopes, slope) / len(own)

    bounds = [(0.0, 10.0)] * len(views) + [(-12.0, 3.0)]
    starts = [np.append(w, np.log(r / (1 - r))) for w in weights for r in np.clip(rates, 1e-5, 0.9)]
    fits = [minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 60}) for start in starts]
    best = min(fits, key=lambda fit: float(fit.fun)).x
    return np.asarray(best[:-1]), float(1 / (1 + np.exp(-best[-1])))
