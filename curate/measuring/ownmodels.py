"""What a person's own model says of a set: its embeddings, and its out-of-fold probabilities, checked before use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..sets.companions import Companion, read_companion
from ..sets.imageset import UNLABELLED, ImageSet, Unreadable
from ..stage.engine import chunks
from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .embedding import Embedder
from .probe import Probe, classes_of, judged

_VECTOR_KEYS = ("embeddings", "embedding", "features", "vectors", "x", "data", "arr_0")
_SHARE_KEYS = ("probabilities", "probs", "proba", "pred_probs", "predictions", "scores", "y", "arr_0")
_PIECE = 4096  # rows that are looked at at once
# How far a row of probabilities may be from 1: half precision; numbers of two decimals, for each class; at most.
_SUM, _ROUNDED, _FARTHEST = 0.01, 0.005, 0.1
_ENOUGH_PAIRS = 8  # pairs of equal pictures from which the order of vectors is judged
_ORDERED = 0.75  # of such pairs must be more alike than pairs by chance; of rows in another order half are
# A model that was fitted to what it predicts is right nearly always and sure of it; one out of fold is not.
_FITTED = 0.999


@dataclass(frozen=True, eq=False)
class Opinion:
    """Out-of-fold probabilities of a person's own model.

    shares   float64 (N, K), in the order of the classes; NaN in rows that say nothing
    name     of their file;  digest  of it;  notes  on what a person should know of them
    """

    shares: np.ndarray
    name: str
    digest: str
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


def own_embedder(path: Path, images: ImageSet) -> tuple[Embedder, str]:
    """(an embedder that has the vectors of a file ready, one row for each image; a note, "" for none).

    What rows of unreadable pictures hold does not matter. Raises DataError.
    """
    flag = "--embeddings"
    companion = read_companion(path, images.ids, flag, _VECTOR_KEYS)
    vectors = companion.values
    if vectors.shape[1] < 2:
        raise DataError(f"{flag} {path} has shape {vectors.shape}. Needed are 2 numbers or more for each image.")
    faulty: list[int] = []
    alike = True
    for rows in chunks(len(vectors), _PIECE):
        piece = np.asarray(vectors[rows.start : rows.stop], np.float64)
        finite = np.isfinite(piece).all(axis=1)
        faulty += (rows.start + np.flatnonzero(~finite | ~piece.any(axis=1))).tolist()
        alike = alike and bool((piece == np.asarray(vectors[0], np.float64)).all())
    if alike and len(vectors) > 1:
        raise DataError(f"{flag} {path} has the same numbers in every row. Needed is what a model makes of each image.")
    row = _first_readable(images, faulty)
    if row is not None:
        fault = "nothing but zeros" if not np.asarray(vectors[row]).any() else "NaN or infinity"
        raise DataError(
            f"{flag} {path}: the row of {images.ids[row]!r} holds {fault} ({len(faulty):,} such rows). Needed are "
            "finite numbers for every image that can be read. Embed these again."
        )

    def embed(batch: np.ndarray) -> np.ndarray:
        raise AssertionError("the vectors are there already")

    embedder = Embedder(
        "own",
        0,
        vectors.shape[1],
        f"embeddings from {path.name} ({vectors.shape[1]:,} numbers an image)",
        companion.digest,
        embed,
        vectors,
    )
    return embedder, "; ".join(companion.notes)


def check_order(embedder: Embedder, digests: np.ndarray) -> None:
    """Raise DataError where vectors of equal pictures are no more alike than others: they are of another order.

    digests  str (N,), equal for equal pictures, "" for unreadable ones
    """
    if embedder.vectors is None:
        return
    names, first = np.unique(digests, return_index=True)
    original = first[np.searchsorted(names, digests)]
    copies = np.flatnonzero((original != np.arange(len(digests))) & (digests != ""))
    readable = np.flatnonzero(digests != "")
    if len(copies) < _ENOUGH_PAIRS:
        return
    rng = np.random.default_rng([len(digests), len(copies)])
    # One of each picture, lest one that occurs a hundred times decides alone.
    _, pairs = np.unique(original[copies], return_index=True)
    copies = copies[pairs] if len(pairs) >= _ENOUGH_PAIRS else copies
    drawn = readable[rng.integers(0, len(readable), (2, 1000))]
    by_chance = _cosines(embedder.vectors, drawn[0], drawn[1])
    alike = _cosines(embedder.vectors, copies, original[copies])
    above = float((alike[:, None] > by_chance).mean() + (alike[:, None] == by_chance).mean() / 2)
    if above < _ORDERED:
        raise DataError(
            f"{embedder.describe} are of another order than the images, or of other images: of {len(copies):,} pairs "
            "of equal pictures the vectors are no more alike than those of any two. Needed is a row for each image in "
            "the order in which the scan lists them (`id` of images.parquet); an .npz with `ids` takes any order."
        )


def own_opinion(path: Path, images: ImageSet) -> Opinion:
    """The probabilities of a file, one row for each image and one column for each class. Raises DataError.

    What rows of unreadable pictures and of those without a label hold does not matter.
    """
    flag = "--probabilities"
    if not images.labelled or len(images.classes) < 2:
        count = "no labels" if not images.labelled else "one class"
        raise DataError(f"{flag} is for a set with labels of two classes or more; {images.source.name} has {count}.")
    companion = read_companion(path, images.ids, flag, _SHARE_KEYS, images.classes)
    shares = np.array(companion.values, np.float64)
    classes = ", ".join(images.classes[:12]) + (" ..." if len(images.classes) > 12 else "")
    if shares.shape[1] != len(images.classes):
        raise DataError(
            f"{flag} {path} has {shares.shape[1]:,} columns, and the set {len(images.classes):,} classes. Needed is a "
            f"column for each, in this order: {classes}."
        )
    _check_shares(flag, path, shares, images)
    labelled = np.flatnonzero(images.labels != UNLABELLED)
    rows = labelled[np.isfinite(shares[labelled]).all(axis=1)]
    _check_columns(flag, path, shares[rows], images.labels[rows], classes)
    return Opinion(
        shares, path.name, companion.digest, (*companion.notes, *_doubts(companion, shares[rows], images, rows))
    )


def own_probe(
    opinion: Opinion, labels: np.ndarray, fold: np.ndarray, usable: np.ndarray, distinct: np.ndarray
) -> Probe | None:
    """The label probe that an own model is; None where fewer than two classes have enough images.

    fold, usable  as of probe_labels;  distinct  int64 (M,): one row of each picture
    """
    different = distinct[usable[distinct]]
    classes = classes_of(labels, different)
    rows = np.flatnonzero(usable & np.isin(labels, classes) & np.isfinite(opinion.shares).all(axis=1))
    if len(classes) < 2 or not len(rows):
        return None
    shares = np.clip(opinion.shares[np.ix_(rows, classes)], 1e-12, 1)
    shares /= shares.sum(axis=1, keepdims=True)
    return judged(np.log(shares)[None], rows, labels[rows], fold[rows], different)


def _check_shares(flag: str, path: Path, shares: np.ndarray, images: ImageSet) -> None:
    """Raise DataError at the first image with a label whose row is no probabilities, unless it cannot be read."""
    finite = np.isfinite(shares).all(axis=1)
    numbers = np.where(np.isfinite(shares), shares, 0)
    outside = finite & ((numbers < -1e-6) | (numbers > 1 + 1e-6)).any(axis=1)
    sums = numbers.sum(axis=1)
    slack = min(_SUM + _ROUNDED * shares.shape[1], _FARTHEST)
    uneven = finite & ~outside & (np.abs(sums - 1) > slack)
    labelled = images.labels != UNLABELLED
    for faulty, fault in (
        (~finite, "NaN or infinity"),
        (outside, "numbers below 0 or above 1"),
        (uneven, "numbers that add up to {sum:.3g}"),
    ):
        rows = np.flatnonzero(faulty & labelled)
        row = _first_readable(images, rows.tolist())
        if row is not None:
            raise DataError(
                f"{flag} {path}: the row of {images.ids[row]!r} holds {fault.format(sum=sums[row])} ({len(rows):,} "
                "such rows). Needed are probabilities, from 0 to 1, which add up to 1 in each row; softmax makes them "
                "of logits."
            )
    shares[~finite | outside | uneven] = np.nan


def _check_columns(flag: str, path: Path, shares: np.ndarray, labels: np.ndarray, classes: str) -> None:
    """Raise DataError where columns, or rows, are in another order than classes and images."""
    from scipy.optimize import linear_sum_assignment

    k = shares.shape[1]
    guesses = shares.argmax(axis=1)
    table = np.zeros((k, k), np.int64)
    np.add.at(table, (labels, guesses), 1)
    right = np.trace(table) / max(1, len(labels))
    of_class, column = linear_sum_assignment(table, maximize=True)
    best = table[of_class, column].sum() / max(1, len(labels))
    chance = float((np.bincount(labels, minlength=k) / max(1, len(labels)) * np.bincount(guesses, minlength=k)).sum())
    chance /= max(1, len(labels))
    spread = np.sqrt(chance * (1 - chance) / max(1, len(labels)))
    needed = f"Needed is a column for each class ({classes}) and a row for each image, in the order of the scan"
    if best > 0.5 and best > 2 * right:
        raise DataError(
            f"{flag} {path}: the likeliest class is the label in {right:.0%} of the images, and in {best:.0%} with its "
            f"columns in another order. {needed}."
        )
    if len(labels) >= 20 and right <= chance + 2 * spread:
        raise DataError(
            f"{flag} {path}: the likeliest class is the label in {right:.0%} of the images, as by chance "
            f"({chance:.0%}): rows or columns are in another order. {needed}."
        )


def _doubts(companion: Companion, shares: np.ndarray, images: ImageSet, rows: np.ndarray) -> Iterable[str]:
    """A note where probabilities look as if the model had been fitted to what it predicts."""
    own = shares[np.arange(len(rows)), images.labels[rows]]
    if len(rows) and (shares.argmax(axis=1) == images.labels[rows]).mean() >= _FITTED and np.median(own) >= _FITTED:
        yield (
            f"{companion.path.name} agrees with nearly every label and is sure of it: a model that was fitted to these "
            "images hides their wrong labels. Needed are out-of-fold probabilities, as of cross-validation"
        )


def _first_readable(images: ImageSet, rows: Iterable[int]) -> int | None:
    """The first of some rows whose picture can be read."""
    for row in rows:
        try:
            images.images[row]
        except Unreadable:
            continue
        return row
    return None


def _cosines(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 (n,): how alike pairs of rows are, -1 to 1."""
    left, right = (np.asarray(vectors[rows], np.float64) for rows in (a, b))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / np.maximum(norms, 1e-12))
