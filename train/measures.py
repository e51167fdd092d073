"""How right a model is: pure functions of true classes and predicted probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.stage.shortness import short_repr

from .metrics import ClassScores, Interval, Reliability, Scores, SetMeasures, Unlabelled, WorstClass

BINS = 15
# The interval of an accuracy of which nothing was drawn.
NOT_DRAWN: Mapping[str, Interval] = {"accuracy": (math.nan, math.nan)}


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of each class, (..., K): all that accuracy, precision, recall and F1 are made of.

    hits  images of the class predicted as such;  support  images of it;  predicted  images taken for it
    """

    hits: np.ndarray
    support: np.ndarray
    predicted: np.ndarray

    __repr__ = short_repr


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (K, K): images of the class of a row that were taken for that of a column.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def tally(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Tally:
    """The counts of some images: labels and predicted classes, int64 (n,)."""
    table = confusion(labels, predicted, classes)
    return Tally(np.diagonal(table), table.sum(axis=1), table.sum(axis=0))


def accuracy(counts: Tally) -> np.ndarray:
    """(...): the share of images that are right; NaN of none."""
    return _ratio(counts.hits.sum(axis=-1), counts.support.sum(axis=-1))


def balanced_accuracy(counts: Tally) -> np.ndarray:
    """(...): the mean recall of the classes that are there."""
    return _masked_mean(_ratio(counts.hits, counts.support), counts.support > 0)


def scores(counts: Tally) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(precision, recall, F1) of each class, (..., K). Of a class that nothing was taken for all are 0.

    NaN is the recall of a class that is not there.
    """
    f1 = _ratio(2 * counts.hits, counts.support + counts.predicted)
    return np.nan_to_num(_ratio(counts.hits, counts.predicted)), _ratio(counts.hits, counts.support), np.nan_to_num(f1)


def macro_f1(counts: Tally) -> np.ndarray:
    """(...): the mean F1 of the classes that are there."""
    return _masked_mean(scores(counts)[2], counts.support > 0)


def class_aucs(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray | None:
    """float64 (K,): the area under the curve of each class against the rest; None where one is absent."""
    from sklearn.metrics import roc_auc_score

    present = np.bincount(labels, minlength=probabilities.shape[1])
    if not present.all() or len(present) < 2:
        return None
    truth = labels[:, None] == np.arange(len(present))
    return np.asarray(roc_auc_score(truth, probabilities, average=None))


def auc(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The mean area under the curve of each class against the rest; None where a class is absent."""
    areas = class_aucs(labels, probabilities)
    return None if areas is None else float(areas.mean())


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Reliability:
    """Of each bin of confidence that holds images: how many, and their mean confidence and accuracy.

    Bins are equally wide, (0, 1/15], (1/15, 2/15] ...; confidence is the probability of the likeliest class
    (Guo et al. 2017).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    full = count > 0
    sure, correct = ((np.bincount(number, values, bins)[full] / count[full]).tolist() for values in (confidence, right))
    return Reliability(tuple(count[full].tolist()), tuple(sure), tuple(correct))


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error, 0..1: how far confidence is from accuracy, over bins (Guo et al. 2017).

    >>> calibration_error(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])).__round__(6)
    0.4
    """
    table = reliability(labels, probabilities, bins)
    images, confidence, accuracy = map(np.array, (table.images, table.confidence, table.accuracy))
    return float((images * abs(confidence - accuracy)).sum() / images.sum())


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean squared distance of the probabilities from the truth, 0..2 (Brier 1950).

    >>> brier(np.array([0]), np.array([[0.5, 0.5]]))
    0.5
    """
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The number by which logits are to be divided so that probabilities fit the labels best (Guo et al. 2017).

    Above 1 the model was too sure of itself. From e^-1 to e^4; the former also where nothing is wrong.
    """
    from curate.measuring.probe import temperature as factor

    return 1 / factor(_logs(probabilities), labels)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """float32 (n, K): the probabilities of logits divided by a temperature.

    >>> tempered(np.array([[0.8, 0.2]]), 2).astype(float).round(3).tolist()
    [[0.667, 0.333]]
    """
    from curate.measuring.probe import tempered as scaled

    return scaled(_logs(probabilities), 1 / temperature).astype(np.float32)


def measures(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], ends: Mapping[str, Interval] = NOT_DRAWN
) -> SetMeasures | Unlabelled:
    """All measures of a set.

    labels         int (n,), or shares of each class (n, K), of which the largest counts; those below 0 are left out
    probabilities  (n, K), rows add up to 1
    ends           95 % intervals of the accuracy and of other measures, by name: see intervals.intervals

    Where a class has no image, as in a set from elsewhere, macro means and balanced accuracy are those of the classes
    that are there, and `auc` is None. Where there are no labels at all, nothing is measured.
    """
    if labels.ndim == 2:
        labels = np.where(labels.any(axis=1), labels.argmax(axis=1), -1)
    probabilities, labels = probabilities[labels >= 0], labels[labels >= 0]
    if not len(labels):
        return Unlabelled()
    table = confusion(labels, probabilities.argmax(axis=1), len(classes))
    counts = Tally(np.diagonal(table), table.sum(axis=1), table.sum(axis=0))
    by_class = scores(counts)
    present = counts.support > 0
    weights = counts.support / counts.support.sum()
    recall = by_class[1]
    worst = int(np.nanargmin(recall))
    return SetMeasures(
        images=len(labels),
        accuracy=float(accuracy(counts)),
        interval=ends["accuracy"],
        balanced_accuracy=float(balanced_accuracy(counts)),
        macro=Scores(*(float(values[present].mean()) for values in by_class)),
        weighted=Scores(*(float((values * weights)[present].sum()) for values in by_class)),
        auc=auc(labels, probabilities),
        ece=calibration_error(labels, probabilities),
        brier=brier(labels, probabilities),
        per_class={name: _class_scores(counts, by_class, number) for number, name in enumerate(classes)},
        worst_class=WorstClass(classes[worst], float(recall[worst])),
        confusion=tuple(map(tuple, table.tolist())),
        intervals={name: interval for name, interval in ends.items() if name != "accuracy"},
    )


def _class_scores(counts: Tally, by_class: Sequence[np.ndarray], number: int) -> ClassScores:
    support = int(counts.support[number])
    if not support:
        return ClassScores(None, None, None, support)
    precision, recall, f1 = (float(values[number]) for values in by_class)
    return ClassScores(precision, recall, f1, support)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def _masked_mean(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The mean over the last axis, of those that are named; NaN of none."""
    return _ratio(np.where(among, values, 0).sum(axis=-1), among.sum(axis=-1))
