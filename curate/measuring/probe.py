"""The label probe: several views of the pictures, whose out-of-fold probabilities tell what labels are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..sets.imageset import UNLABELLED
from ..stage.engine import one_thread
from ..stage.shortness import short_repr
from .noise import log_softmax, noise
from .views import kernel_features, out_of_fold, small_pictures

if TYPE_CHECKING:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

FOLDS = 5
# Fewer images of a class than this say nothing of what the class looks like.
FEWEST = 5
_UNDOUBTED = -30.0  # log odds of a label that nothing speaks against


@dataclass(frozen=True, eq=False)
class Probe:
    """Out-of-fold class probabilities.

    rows           int64 (M,): rows that were fitted and predicted
    probabilities  float64 (M, K) of what the pictures are, each row predicted by a probe that saw neither it nor its
                   copies
    classes        int64 (K,): labels of the columns
    fold           int64 (M,)
    odds           float64 (M,): log odds of a row's own label being wrong
    wrong          share of the labels that are wrong, as estimated; NaN where that was not
    """

    rows: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray
    fold: np.ndarray
    odds: np.ndarray
    wrong: float = np.nan

    __repr__ = short_repr


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

    One view only, linear discriminant analysis of the features with a shrunk covariance, and its probabilities as they
    are: to compare sets by.
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
    own_probability = np.clip(own_probability, 1e-12, 1 - 1e-12)
    return Probe(rows, probabilities, classes, fold, np.log((1 - own_probability) / own_probability))


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


def classes_of(labels: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """int64: the classes, ascending, of which there are enough different pictures for their labels to be judged.

    pictures  int64: one usable row of each picture under each label
    """
    names, counts = np.unique(labels[pictures], return_counts=True)
    return np.asarray(names[counts >= FEWEST])


def probe_labels(
    features: np.ndarray,
    thumbnails: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    usable: np.ndarray,
    representatives: np.ndarray,
    distinct: np.ndarray | None = None,
) -> Probe | None:
    """What all views say of all usable rows (see curate.measuring.noise); None where nothing can be learnt.

    thumbnails       uint8 (N, S, S), grey
    usable           bool (N,): labelled rows that may teach what a class looks like
    representatives  int64 (M,): one row of each picture under each label, so that copies do not count as several
    distinct         int64: one row of each picture, which kernels are centred on; None: the representatives

    Classes of fewer than five different pictures take no part.
    """
    different = representatives[usable[representatives]]
    classes = classes_of(labels, different)
    rows = np.flatnonzero(usable & np.isin(labels, classes))
    if len(classes) < 2 or len(np.unique(fold[rows])) < 2:
        return None
    own = np.searchsorted(classes, labels[rows])
    centres = np.flatnonzero(np.isin(rows, different if distinct is None else distinct))
    centres = centres if len(centres) else np.arange(len(rows))
    points = features[rows]
    looks = (
        points,
        kernel_features(points, centres),
        kernel_features(small_pictures(thumbnails[rows]), centres),
    )
    logs = np.stack([out_of_fold(look, own, fold[rows], len(classes)) for look in looks])
    return judged(logs, rows, labels[rows], fold[rows], different, _shown_elsewhere(own, fold[rows]))


def _shown_elsewhere(own: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """bool (M,): rows whose class is shown twice at least outside of their fold: of others nothing can be learnt."""
    table = np.zeros((own.max() + 1, fold.max() + 1), np.int64)
    np.add.at(table, (own, fold), 1)
    return np.asarray(table.sum(axis=1)[own] - table[own, fold] > 1)


def judged(
    logs: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    different: np.ndarray,
    judgeable: np.ndarray | None = None,
) -> Probe:
    """The probe that some views make together.

    logs       float64 (V, M, K): out-of-fold log probabilities by each view of the classes that the labels name
    different  int64: one row of each picture, of these rows and maybe of others
    judgeable  bool (M,): rows of which the views can say whether they are of their class; no other label is doubted
    """
    classes, own = np.unique(labels, return_inverse=True)
    judgeable = np.ones(len(rows), bool) if judgeable is None else judgeable
    odds = np.full(len(rows), _UNDOUBTED)
    if not judgeable.any():
        return Probe(rows, np.exp(log_softmax(logs[0])), classes, fold, odds)
    outcome = noise(logs[:, judgeable], own[judgeable], len(rows) / max(1, int(np.isin(different, rows).sum())))
    truth = np.exp(log_softmax(np.tensordot(outcome.weights, logs, axes=1)))
    odds[judgeable] = outcome.odds
    return Probe(rows, truth, classes, fold, odds, outcome.rate)


def odds_of(probe: Probe | None, labels: np.ndarray) -> np.ndarray:
    """float64 (N,): log odds, by the probe, of each row being of the class given for it; 0 where it says nothing.

    labels  int64 (N,): the classes that are asked about, -1 none
    """
    odds = np.zeros(len(labels))
    if probe is not None:
        i = np.flatnonzero(np.isin(labels[probe.rows], probe.classes))
        asked = np.searchsorted(probe.classes, labels[probe.rows[i]])
        p = np.clip(probe.probabilities[i, asked], 1e-12, 1 - 1e-12)
        odds[probe.rows[i]] = np.log(p / (1 - p))
    return odds


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
