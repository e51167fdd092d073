"""plan_copies(labels, ...) -> CopyPlan: how many copies of each picture are trained on, decided before any is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.sets.classes import joined_names
from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .configs import BuildConfig

if TYPE_CHECKING:
    import pandas as pd

# Of the effective number of samples (Cui et al., Class-Balanced Loss, 2019): a thousand pictures are taken to cover
# about two thirds of what a class can look like.
BETA = 0.999


@dataclass(frozen=True, eq=False)
class CopyPlan:
    """What the training set will hold.

    rows     int64 (M,): rows of the set that are used, ascending
    copies   int64 (M,): augmented copies of each, beside the picture itself
    weights  float64 (K,): class weights of mean 1 over the images; 0 for a class without any
    table    one row per class: class, sources, used, copies, most (of one picture), images, effective, weight
    notes    what a person should know
    """

    rows: np.ndarray
    copies: np.ndarray
    weights: np.ndarray
    table: pd.DataFrame
    notes: tuple[str, ...]

    __repr__ = short_repr

    @property
    def images(self) -> int:
        """Images that the training set will hold, originals and copies."""
        return int(len(self.rows) + self.copies.sum())


def plan_copies(
    labels: np.ndarray,
    rows: np.ndarray,
    classes: Sequence[str],
    config: BuildConfig,
    copies: int,
    different: int | None = None,
) -> CopyPlan:
    """How many copies of each picture are made.

    labels     int64 (N,): a class from 0 for each picture of the set;  rows  int64: those of them to train on
    copies     of each picture of the largest class;  different  how many different copies there can be, None for any
    Copies of a class are dealt evenly: no two of its pictures differ by more than one. Which get one more, and which
    are left out by undersampling, is drawn from [seed, class]. A class without any gets none. Raises DataError where
    `rows` is empty.
    """
    rows = np.sort(np.asarray(rows, np.int64))
    if not len(rows):
        raise DataError("the training split is empty. Give it a share, such as --train 0.7 --val 0.15 --test 0.15.")
    sources = np.bincount(labels[rows], minlength=len(classes))
    used, target = _class_targets(sources, copies, config.balance, config.count)
    cap = config.cap if different is None else min(config.cap, different)
    kept_by_class, copies_by_class, notes = [], [], []
    for code in np.flatnonzero(sources).tolist():
        rng = np.random.default_rng([config.seed, code])
        kept = rng.permutation(rows[labels[rows] == code])[: used[code]]
        wanted = max(0, target[code] - len(kept))
        total = min(wanted, cap * len(kept))
        copies_each = np.full(len(kept), total // len(kept))
        copies_each[: total % len(kept)] += 1
        kept_by_class.append(kept)
        copies_by_class.append(copies_each)
    order = np.argsort(np.concatenate(kept_by_class), kind="stable")
    kept_rows = np.concatenate(kept_by_class)[order]
    kept_copies = np.concatenate(copies_by_class)[order].astype(np.int64)
    totals = np.bincount(labels[kept_rows], minlength=len(classes)) + np.bincount(
        labels[kept_rows], kept_copies, minlength=len(classes)
    ).astype(np.int64)
    if config.balance == "undersample" and sources[sources > 0].min() == 1:
        lonely = [classes[c] for c in np.flatnonzero(sources == 1).tolist()]
        why = f"{joined_names(lonely)} {'has' if len(lonely) == 1 else 'have'} no more"
        notes.append(f"undersampling leaves one picture of every class, as {why}; --min-class helps")
    short = [classes[c] for c in np.flatnonzero(totals < target).tolist()]
    if short:
        most = f"has {cap} different copies" if cap == different else f"gets at most {cap} copies (--cap)"
        get = "gets" if len(short) == 1 else "get"
        notes.append(f"{joined_names(short)} {get} fewer images than were asked for: a picture {most}")
    weights = class_weights(totals)
    table = _table(classes, labels[kept_rows], kept_copies, sources, totals, weights)
    return CopyPlan(kept_rows, kept_copies, weights, table, tuple(notes))


def class_weights(counts: np.ndarray) -> np.ndarray:
    """float64 (K,): N / (K * n_j), the weight of each class that gives all the same say; 0 for a class without images.

    The mean weight of an image is 1.
    """
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def effective_number(counts: np.ndarray) -> np.ndarray:
    """float64: (1 - BETA^n) / (1 - BETA), what n pictures are worth once they begin to resemble each other.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019. Copies add nothing to it.
    """
    return np.asarray((1 - BETA ** np.asarray(counts, float)) / (1 - BETA))


def _class_targets(sources: np.ndarray, copies: int, way: str, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(int64 (K,) pictures used of each class, int64 (K,) images it is to have)."""
    present = sources > 0
    if count is not None:
        return np.minimum(sources, count), np.where(present, count, 0)
    if way == "undersample":
        used = np.where(present, sources[present].min(), 0)
        return used, used * (1 + copies)
    if way == "oversample":
        return sources, np.where(present, sources.max() * (1 + copies), 0)
    return sources, sources * (1 + copies)


def _table(
    classes: Sequence[str],
    labels: np.ndarray,
    copies: np.ndarray,
    sources: np.ndarray,
    totals: np.ndarray,
    weights: np.ndarray,
) -> pd.DataFrame:
    import pandas as pd

    used = np.bincount(labels, minlength=len(classes))
    most = np.zeros(len(classes), np.int64)
    np.maximum.at(most, labels, copies)
    return pd.DataFrame(
        {
            "class": list(classes),
            "sources": sources,
            "used": used,
            "copies": totals - used,
            "most of one": most,
            "images": totals,
            "effective": effective_number(used).round().astype(np.int64),
            "weight": weights,
        }
    )
