"""How right a model is: pure functions of true classes and predicted probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 15


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of each class, (..., K): all that accuracy, precision, recall and F1 are made of.

    hits  images of the class found as such;  support  images of it;  found  images taken for it
    """

    hits: np.ndarray
    support: np.ndarray
    found: np.ndarray


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
    return _mean(_ratio(counts.hits, counts.support), counts.support > 0)


def scores(counts: Tally) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(precision, recall, F1) of each class, (..., K). Of a class that nothing was taken for all are 0.

    NaN is the recall of a class that is not there.
    """
    f1 = _ratio(2 * counts.hits, counts.support + counts.found)
    return np.nan_to_num(_ratio(counts.hits, counts.found)), _ratio(counts.hits, counts.support), np.nan_to_num(f1)


def macro_f1(counts: Tally) -> np.ndarray:
    """(...): the mean F1 of the classes that are there."""
    return _mean(scores(counts)[2], counts.support > 0)


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


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> dict[str, list[float]]:
    """Of each bin of confidence that holds images: `images`, and their mean `confidence` and `accuracy`.

    Bins are equally wide, (0, 1/15], (1/15, 2/15] ...; confidence is the probability of the likeliest class
    (Guo et al. 2017).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(of, minlength=bins)
    full = count > 0
    sums = {"confidence": np.bincount(of, confidence, bins), "accuracy": np.bincount(of, right, bins)}
    means = {name: (total[full] / count[full]).tolist() for name, total in sums.items()}
    return {"images": count[full].tolist(), **means}


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error, 0..1: how far confidence is from accuracy, over bins (Guo et al. 2017).

    >>> calibration_error(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])).__round__(6)
    0.4
    """
    table = reliability(labels, probabilities, bins)
    images, confidence, right = (np.array(table[name]) for name in ("images", "confidence", "accuracy"))
    return float((images * abs(confidence - right)).sum() / images.sum())


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


def measures(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """All measures of a set, as metrics.json holds them.

    labels         int (n,), or shares of each class (n, K), of which the largest counts; those below 0 are left out
    probabilities  (n, K), rows add up to 1

    Where a class has no image, as in a set from elsewhere, macro means and balanced accuracy are those of the classes
    that are there, and `auc` is None. Where there are no labels at all, `images` is 0 and nothing else is told.
    """
    if labels.ndim == 2:
        labels = np.where(labels.any(axis=1), labels.argmax(axis=1), -1)
    probabilities, labels = probabilities[labels >= 0], labels[labels >= 0]
    if not len(labels):
        return {"images": 0}
    table = confusion(labels, probabilities.argmax(axis=1), len(classes))
    counts = Tally(np.diagonal(table), table.sum(axis=1), table.sum(axis=0))
    each = dict(zip(("precision", "recall", "f1"), scores(counts), strict=True))
    there = counts.support > 0
    weights = counts.support / counts.support.sum()
    worst = int(np.nanargmin(each["recall"]))
    return {
        "images": len(labels),
        "accuracy": float(accuracy(counts)),
        "balanced_accuracy": float(balanced_accuracy(counts)),
        "macro": {name: float(values[there].mean()) for name, values in each.items()},
        "weighted": {name: float((values * weights)[there].sum()) for name, values in each.items()},
        "auc": auc(labels, probabilities),
        "ece": calibration_error(labels, probabilities),
        "brier": brier(labels, probabilities),
        "per_class": {
            name: {
                **{measure: float(values[i]) if there[i] else None for measure, values in each.items()},
                "support": int(counts.support[i]),
            }
            for i, name in enumerate(classes)
        },
        "worst_class": {"class": classes[worst], "recall": float(each["recall"][worst])},
        "confusion": table.tolist(),
    }


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _mean(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The mean over the last axis of those named; NaN of none."""
    return _ratio(np.where(among, values, 0).sum(axis=-1), among.sum(axis=-1))
