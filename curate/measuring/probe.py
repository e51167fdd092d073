"""The label probe: a linear classifier of the embedding, whose out-of-fold probabilities tell what labels are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..sets.imageset import UNLABELLED
from ..stage.engine import one_thread

if TYPE_CHECKING:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

FOLDS = 5
# Fewer images of a class than this say nothing of what the class looks like.
FEWEST = 5


@dataclass(frozen=True, eq=False)
class Probe:
    """Out-of-fold class probabilities.

    rows           int64 (M,): rows that were fitted and predicted
    probabilities  float64 (M, K), each row predicted by a probe that saw neither it nor its copies
    classes        int64 (K,): labels of the columns
    fold           int64 (M,)
    doubt          float64 (M,): -log10 of what was given to a row's own label before tempering, 0 .. 12
    """

    rows: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray
    fold: np.ndarray
    doubt: np.ndarray


def folds_of(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """int64 (N,): one of FOLDS folds for each labelled row, -1 for the others.

    Groups stay whole and classes are spread evenly: the groups of each class (that of their first row), largest first
    and otherwise shuffled, are dealt out to and fro. Fewer folds where there are fewer groups. scikit-learn's
    StratifiedGroupKFold deals more finely and takes 0.25 ms a group: minutes for a million.
    """
    fold = np.full(len(labels), -1)
    rows = np.flatnonzero(labels != UNLABELLED)
    if not len(rows):
        return fold
    _, first, group, size = np.unique(groups[rows], return_index=True, return_inverse=True, return_counts=True)
    of_class = labels[rows][first]
    chance = np.random.default_rng([seed, len(first)]).random(len(first))
    order = np.lexsort((chance, -size, of_class))
    starts = np.searchsorted(of_class[order], of_class[order])
    rank = np.arange(len(order)) - starts
    number = min(FOLDS, len(first))
    forth, back = rank % number, number - 1 - rank % number
    dealt = np.empty(len(first), np.int64)
    # Each class begins at another fold, lest the first get the odd one of every class.
    dealt[order] = (np.where(rank // number % 2 == 0, forth, back) + of_class[order]) % number
    fold[rows] = dealt[group]
    return fold


def fit_probe(
    features: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    fold: np.ndarray,
    train: np.ndarray | None = None,
) -> Probe:
    """Out-of-fold probabilities for `rows`, whose folds are given.

    train  bool (M,): rows to learn from; all are predicted in any case.

    The probe is linear discriminant analysis with a shrunk covariance: on the embeddings of `docs/numbers.md` it ranks
    planted label errors above logistic regression (AP 0.975 against 0.965), which bends towards each wrong label, and
    takes a tenth of the time.
    """
    classes = np.unique(labels[rows])
    probabilities = np.full((len(rows), len(classes)), 1 / len(classes))
    usable = np.ones(len(rows), bool) if train is None else train
    for i in range(fold.max(initial=-1) + 1):
        learn, held_out = usable & (fold != i), fold == i
        names, counts = np.unique(labels[rows[learn]], return_counts=True)
        seen = names[counts > 1]
        learn &= np.isin(labels[rows], seen)
        if len(seen) < 2 or not held_out.any():
            continue
        predict = _learn(features[rows[learn]], labels[rows[learn]])
        probabilities[held_out] = 0
        probabilities[np.ix_(held_out, np.searchsorted(classes, seen))] = predict(features[rows[held_out]])
    own_probability = probabilities[np.arange(len(rows)), np.searchsorted(classes, labels[rows])]
    return Probe(rows, probabilities, classes, fold, -np.log10(np.clip(own_probability, 1e-12, 1)))


def _learn(features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Class probabilities as a function of features, learnt from some."""
    model = discriminant(features, labels)
    return lambda batch: model.predict_proba(batch[:, : model.n_features_in_])


def discriminant(features: np.ndarray, labels: np.ndarray) -> LinearDiscriminantAnalysis:
    """scikit-learn's discriminant analysis with a shrunk covariance, fitted to the leading axes of some features.

    Few rows bear few dimensions and a stiff covariance: of 100 digits 25 axes find more wrong labels than all 128.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    n = len(labels)
    axes = int(np.clip(n // 4, 8, features.shape[1]))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1 if n >= 1000 else 0.3)
    with one_thread():
        return model.fit(features[:, :axes], labels)


def probe_labels(
    features: np.ndarray, labels: np.ndarray, fold: np.ndarray, usable: np.ndarray, representatives: np.ndarray
) -> Probe | None:
    """The probe on all usable rows, calibrated; None where it cannot be fitted.

    usable           bool (N,): labelled rows that may teach what a class looks like
    representatives  int64 (M,): one row of each picture, so that copies do not count as several

    Classes of fewer than five different pictures take no part.
    """
    different = representatives[usable[representatives]]
    names, counts = np.unique(labels[different], return_counts=True)
    rows = np.flatnonzero(usable & np.isin(labels, names[counts >= FEWEST]))
    if (counts >= FEWEST).sum() < 2 or len(np.unique(fold[rows])) < 2:
        return None
    return calibrated(fit_probe(features, labels, rows, fold[rows]), labels)


def recognised(probe: Probe | None, features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a probe that saw none of `rows` finds their labels about as well as `probe` those of other rows.

    True where there are no labels to tell by.
    """
    rows = np.intersect1d(rows, probe.rows) if probe is not None else rows[:0]
    if probe is None or not len(rows):
        return True
    rest = np.setdiff1d(probe.rows, rows)
    likely = _learn(features[rest], labels[rest])(features[rows]).argmax(axis=1)
    accuracy = float((np.unique(labels[rest])[likely] == labels[rows]).mean())
    usual = float((probe.classes[probe.probabilities.argmax(axis=1)] == labels[probe.rows]).mean())
    chance = float(np.bincount(labels[rest]).max() / len(rest))
    return accuracy >= (usual + chance) / 2


def calibrated(probe: Probe, labels: np.ndarray) -> Probe:
    """The probe with its probabilities tempered: discriminant analysis is too sure of itself."""
    own = np.searchsorted(probe.classes, labels[probe.rows])
    logs = np.log(np.clip(probe.probabilities, 1e-12, 1))
    return replace(probe, probabilities=tempered(logs, temperature(logs, own)))


def tempered(logs: np.ndarray, factor: float) -> np.ndarray:
    """(M, K): probabilities whose logarithms are `factor` times those given, up to a constant of each row."""
    scaled = logs * factor
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def temperature(logs: np.ndarray, own: np.ndarray) -> float:
    """The factor that makes log probabilities (M, K) fit best to the true columns `own` (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_factor: float) -> float:
        own_probability = tempered(logs, np.exp(log_factor))[np.arange(len(own)), own]
        return float(-np.log(np.clip(own_probability, 1e-12, 1)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 1.0), method="bounded").x))
