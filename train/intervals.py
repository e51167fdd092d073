"""How sure a measure is: a bootstrap over groups of images, and paired tests of two models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curate.stage.shortness import short_repr

from .measures import Tally, accuracy, balanced_accuracy, macro_f1
from .metrics import Interval

LEVEL = 0.95
# Numbers drawn at a time: 32 MB of weights.
_AT_ONCE = 4_000_000
_EXCHANGES = 10_000


@dataclass(frozen=True, eq=False)
class Resampling:
    """Groups of images drawn again and again, with replacement: the cluster bootstrap (Field and Welsh 2007).

    Copies of one source are not independent, so that it is sources, or the scan's groups of them, that are drawn,
    each with all its images in all sets. Two models that are asked about the same groups get the same draws.

    units      int64 (G,): the groups, ascending
    resamples  how often
    """

    units: np.ndarray
    resamples: int
    seed: int

    __repr__ = short_repr

    def weights(self) -> Iterator[np.ndarray]:
        """float64 (r, G), piece by piece: how often each draw has each group."""
        count = len(self.units)
        piece = max(1, _AT_ONCE // max(count, 1))
        rng = np.random.default_rng([self.seed, count])
        for start in range(0, self.resamples, piece):
            rows = min(piece, self.resamples - start)
            drawn = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
            yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)

    def totals(
        self, groups: np.ndarray, columns: np.ndarray, width: int, values: np.ndarray | None = None
    ) -> np.ndarray:
        """float64 (R, width): in each draw, the number of images in each column, or the total of their values.

        groups, columns  int64 (n,): the group of each image, and the column in which it counts
        values           float64 (n,): what it counts, 1 by default
        """
        from scipy.sparse import csr_array

        at = np.searchsorted(self.units, groups)
        counted = np.ones(len(at)) if values is None else values
        table = csr_array((counted, (at, columns)), shape=(len(self.units), width))
        return np.concatenate([(table.T @ weights.T).T for weights in self.weights()])

    def shares(self, groups: np.ndarray, columns: np.ndarray, right: np.ndarray, width: int) -> np.ndarray:
        """float64 (R, width): in each draw, the share of the images of each column that are right (bool (n,)).

        NaN where a draw has no image of a column.
        """
        sums = self.totals(groups, columns + width * right, 2 * width)
        wrong, correct = sums[:, :width], sums[:, width:]
        count = wrong + correct
        return np.asarray(np.divide(correct, count, out=np.full(count.shape, np.nan), where=count > 0))


def bootstrap(groups: np.ndarray, resamples: int, seed: int) -> Resampling:
    """The draws of some groups, int64 (n,), one for each image."""
    return Resampling(np.unique(groups), resamples, seed)


def interval(draws: np.ndarray, level: float = LEVEL) -> Interval:
    """(low, high): the middle 95 % of the draws (R,), those that are NaN left out.

    >>> [round(end, 3) for end in interval(np.arange(101.0))]
    [2.5, 97.5]
    """
    if np.isnan(draws).all():
        return np.nan, np.nan
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(share: float, draws: np.ndarray, count: int, level: float = LEVEL) -> Interval:
    """(low, high) of a share; where none or all of `count` groups are right, that of Clopper and Pearson (1934).

    There no draw differs from any other, which is not to say that one is sure.

    >>> [round(end, 3) for end in share_interval(1.0, np.ones(9), 20)]
    [0.832, 1.0]
    """
    least = ((1 - level) / 2) ** (1 / count)
    if min(share, 1 - share) < 1e-9:
        return (least, 1.0) if share > 0.5 else (0.0, 1 - least)
    return interval(draws, level)


def permuted_p(values: np.ndarray, weights: np.ndarray, inside: np.ndarray, resamples: int, seed: int) -> float:
    """p of the weighted mean of the units inside being that of the others: by dealing out anew which are inside.

    values, weights  float64 (G,);  inside  bool (G,), neither all nor none

    Exact whatever the values and however few are inside (Fisher 1935), unlike a bootstrap.
    """

    def apart(chosen: np.ndarray) -> np.ndarray:
        sums = [(part @ np.stack([values * weights, weights], axis=1)) for part in (chosen, ~chosen)]
        gap: np.ndarray = sums[0][..., 0] / sums[0][..., 1] - sums[1][..., 0] / sums[1][..., 1]
        return gap

    count, difference = len(inside), abs(float(apart(inside)))
    piece = max(1, _AT_ONCE // count)
    rng = np.random.default_rng([seed, count])
    as_far = 0
    for start in range(0, resamples, piece):
        dealt = rng.permuted(np.tile(inside, (min(piece, resamples - start), 1)), axis=1)
        as_far += int((abs(apart(dealt)) >= difference - 1e-9).sum())
    return (as_far + 1) / (resamples + 1)


# What has an interval of its own in metrics.json, besides accuracy.
MEASURES: dict[str, Callable[[Tally], np.ndarray]] = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}


def intervals(
    labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray, classes: int, resamples: int, seed: int
) -> dict[str, Interval]:
    """95 % intervals of the accuracy, balanced accuracy and macro F1 of a set; labels, predicted, groups int64 (n,).

    A class that a draw has no image of is left out of that draw's means.
    """
    resampling = bootstrap(groups, resamples, seed)
    right = labels == predicted
    # Three columns of each class: its hits, its misses, and what was wrongly taken for it.
    columns = np.concatenate([np.where(right, labels, classes + labels), 2 * classes + predicted[~right]])
    sums = resampling.totals(np.concatenate([groups, groups[~right]]), columns, 3 * classes)
    hits, missed, mistaken = sums[:, :classes], sums[:, classes : 2 * classes], sums[:, 2 * classes :]
    counts = Tally(hits, hits + missed, hits + mistaken)
    share = float(right.mean())
    of_accuracy = share_interval(share, accuracy(counts), len(resampling.units))
    # Where all are right, nothing is known of the other measures that is not known of the accuracy.
    of_measures = {name: of_accuracy if share == 1 else interval(measure(counts)) for name, measure in MEASURES.items()}
    return {"accuracy": of_accuracy, **of_measures}


@dataclass(frozen=True)
class Difference:
    """How much more one model has of an accuracy than another, on the same images.

    interval  95 %, by bootstrap over groups;  p  of there being no difference, two-sided
    """

    value: float
    interval: tuple[float, float]
    p: float


def paired(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, groups: np.ndarray, resamples: int, seed: int
) -> Difference:
    """The second model against the first: what each has right, bool (n,), and what each image counts, float64 (n,).

    p is by exchanging the two models' predictions in groups chosen by lot (Fisher's randomisation): of single images
    that is McNemar's exact test. A bootstrap would find five images against none surprising at 0.02, where that says
    0.06.
    """
    gained = weights * (second.astype(np.float64) - first)
    zero = np.zeros(len(groups), np.int64)
    resampling = bootstrap(groups, resamples, seed)
    drawn, sizes = (resampling.totals(groups, zero, 1, values) for values in (gained, weights))
    low, high = interval(drawn / sizes)
    of_group = np.bincount(np.searchsorted(resampling.units, groups), gained)
    return Difference(float(gained.sum() / weights.sum()), (low, high), _exchanged_p(of_group, seed))


def _exchanged_p(gained: np.ndarray, seed: int) -> float:
    """p of a sum of gains being 0, when the sign of each was as likely the other."""
    gained = gained[gained != 0]
    piece = max(1, _AT_ONCE // max(len(gained), 1))
    rng = np.random.default_rng([seed, len(gained)])
    as_far = 0
    for start in range(0, _EXCHANGES, piece):
        signs = 2 * rng.integers(0, 2, (min(piece, _EXCHANGES - start), len(gained)), np.int8) - 1
        as_far += int((abs(signs @ gained) >= abs(gained.sum()) - 1e-9).sum())
    return (as_far + 1) / (_EXCHANGES + 1)


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """(images that only the first has right, only the second, p of both being as good), exact (McNemar 1947).

    first, second  bool (n,): what each model has right. Images are taken to be independent.

    >>> first = np.repeat([True, True, False, False], [59, 6, 16, 80])
    >>> second = np.repeat([True, False, True, False], [59, 6, 16, 80])
    >>> only_first, only_second, p = mcnemar(first, second)
    >>> only_first, only_second, round(p, 3)
    (6, 16, 0.052)
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """p values of several tests, each raised so that one in twenty sets of tests errs at 0.05 (Holm 1979).

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    raised = np.maximum.accumulate(np.array(p)[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(raised, 1)
    return [float(value) for value in out]
