"""The images of each set, in order, before they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.stage.shortness import short_repr

from .balancing import CopyPlan
from .corruptions.corruption import TEST, VALIDATION

# Copies of each picture in a composed track: other corruptions each time, so that chance weighs less.
COMPOSED_COPIES = 3
_SHUFFLE, _SAMPLE = 1, 2  # what is drawn, so that equal seeds do not give equal draws


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a set, in order: row of the source and number of the copy, 0 for the picture itself."""

    rows: np.ndarray
    copies: np.ndarray

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def each(cls, rows: np.ndarray, copies: range = range(1)) -> Listing:
        """Every row with each of these copies, a row's copies side by side."""
        return cls(np.repeat(rows, len(copies)), np.tile(np.arange(copies.start, copies.stop), len(rows)))


def list_images(
    rows: Mapping[str, np.ndarray], labels: np.ndarray, plan: CopyPlan, most: int, seed: int
) -> dict[str, Listing]:
    """The lists that sets are made of: the splits, and samples of val and test for the benchmark.

    rows  split -> rows;  labels  int64 (N,);  most  images of a benchmark set

    The training set is shuffled by pictures, drawn from the seed; copies of a picture follow it, so that it is read
    once.
    """
    order = np.random.default_rng([seed, _SHUFFLE]).permutation(len(plan.rows))
    images = plan.copies[order] + 1
    starts = np.repeat(np.cumsum(images) - images, images)
    listings = {"train": Listing(np.repeat(plan.rows[order], images), np.arange(images.sum()) - starts)}
    for split, role in (("val", VALIDATION), ("test", TEST)):
        listings[split] = Listing.each(rows[split])
        sample = stratified(rows[split], labels, most, seed)
        listings[f"{role} sample"] = Listing.each(sample)
        listings[f"{role} composed"] = Listing.each(sample, range(1, 1 + COMPOSED_COPIES))
    return listings


def stratified(rows: np.ndarray, labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """int64: at most that many of the rows, ascending, each class in its proportion, by chance within a class."""
    if len(rows) <= most:
        return np.sort(rows)
    shuffled = np.random.default_rng([seed, _SAMPLE]).permutation(rows)
    # Each row's place within its class, as a share of it: the first `most` of all have every class in proportion.
    by_class = np.argsort(labels[shuffled], kind="stable")
    counts = np.unique(labels[shuffled], return_counts=True)[1]
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + 0.5) / np.repeat(counts, counts)
    return np.sort(shuffled[by_class][np.argsort(place, kind="stable")[:most]])
