"""The linear probe: a multinomial logistic regression on frozen features, fitted to the end in seconds.

It is where fine-tuning starts from (Kumar et al. 2022, LP-FT: a head that fits keeps the features from being torn), and
what fine-tuning has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curate.stage.shortness import short_repr

# Strengths of the penalty that are tried, strong to weak: each starts from the one before. Weaker ones were the worst
# of all on each of six builds, balanced or not, augmented or not.
STRENGTHS = (1e-1, 3e-2, 1e-2)
# After these the score no longer moves, though the loss does.
_MOST_STEPS = 50


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier: features (n, D) @ kernel + bias are logits.

    kernel    float32 (D, K);  bias  float32 (K,)
    strength  of the L2 penalty that was chosen
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float

    __repr__ = short_repr

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float32 (n, K): logits of features (n, D)."""
        logits: np.ndarray = features @ self.kernel + self.bias
        return logits


def fit_probe(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    score: Callable[[Probe], float],
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """The probe of the strength whose `score` is best; of equals the strongest penalty.

    features  float32 (n, D);  targets  (n, K), shares of the classes;  weights  (n,) of the rows

    Minimises the weighted mean of the cross-entropy plus strength / 2 times the squared norm of the kernel, on features
    of mean 0 and variance 1, by L-BFGS.
    """
    from threadpoolctl import threadpool_limits

    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled = np.asarray((features - mean) / spread, np.float32)
    start = np.zeros((features.shape[1] + 1, targets.shape[1]))
    best: tuple[float, Probe] | None = None
    for strength in strengths:
        # Products with a few columns wait for memory: two threads make them no faster, and the pools of NumPy and SciPy
        # contend. The weights are the same on any number of cores, besides.
        with threadpool_limits(1, user_api="blas"):
            start = _minimised(scaled, np.asarray(targets, np.float32), weights, strength, start)
        kernel = start[:-1] / spread[:, None]
        probe = Probe(kernel.astype(np.float32), (start[-1] - mean @ kernel).astype(np.float32), strength)
        value = score(probe)
        if best is None or value > best[0]:
            best = value, probe
    assert best is not None
    return best[1]


def _minimised(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, strength: float, start: np.ndarray
) -> np.ndarray:
    """float64 (D + 1, K): kernel and bias at the minimum."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    share = (weights / weights.sum()).astype(np.float32)[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = flat.reshape(start.shape)
        kernel, bias = parameters[:-1], parameters[-1]
        logs = log_softmax(features @ kernel.astype(np.float32) + bias.astype(np.float32), axis=1)
        error = share * (np.exp(logs) * targets.sum(axis=1, keepdims=True) - targets)
        value = -float((share * targets * logs).sum()) + strength / 2 * float((kernel**2).sum())
        slope = np.vstack([features.T @ error + strength * kernel, error.sum(axis=0, keepdims=True)])
        return value, slope.ravel().astype(np.float64)

    result = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS, "gtol": 1e-5})
    return np.asarray(result.x.reshape(start.shape))
