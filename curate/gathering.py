"""gather(images, measured, config) -> Evidence: what a measured set shows as a whole, before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .configs import ScanConfig
from .findings import SEVERITY, THRESHOLD
from .measuring.belonging import Belonging, belonging
from .measuring.conflicts import settled
from .measuring.duplicates import find_copies, first_of_each
from .measuring.evidence import Evidence, Measured
from .measuring.grouping import Copies, with_photographs
from .measuring.neighbours import Neighbours, among, nearest, nearest_to, principal_features
from .measuring.ownmodels import Opinion, own_probe
from .measuring.parting import without_apart
from .measuring.photographs import Gallery, find_photographs
from .measuring.probe import Probe, folds_of, odds_of, probe_labels
from .measuring.strangers import foreign_copies
from .sets.imageset import NO_GROUP, UNLABELLED, ImageSet, held_out_rank, whole_groups

STEPS = 4  # that gathering tells of


def gather(
    images: ImageSet,
    measured: Measured,
    config: ScanConfig,
    workers: int,
    progress: Callable[[int], None] = lambda step: None,
    opinion: Opinion | None = None,
    apart: Sequence[Sequence[int]] = (),
) -> Evidence:
    """What the measured set shows as a whole: its copies, its neighbours, and what its labels are worth.

    opinion  what a person's own model says of the labels, which replaces the label probe
    apart    rows that are no copies of each other, as a person says
    """
    labels = images.labels
    first, picture = first_of_each(measured.digests), first_of_each(measured.canonical)
    features = principal_features(measured.embeddings, fit_on=_firsts(first))
    among_distinct = nearest(features, _firsts(picture))
    progress(1)
    sides = np.minimum(measured.properties["width"], measured.properties["height"])
    gallery, quality = Gallery(images, sides, workers), _quality(images, measured)
    copies = find_copies(first, picture, measured.prints, among_distinct, quality, gallery)
    copies = with_photographs(copies, find_photographs(gallery, copies, among_distinct))
    copies = without_apart(copies, apart)
    progress(2)
    among_kept, position = _represented(copies, among_distinct, features)
    variants, shown = _variants(copies, among_kept, position, features)
    progress(3)
    fold = folds_of(labels, whole_groups(copies.group, images.groups), config.seed)
    # What belongs to no class must teach neither the probe what the classes are nor the other checks what is usual.
    foreign = foreign_copies(copies, position, labels, among_kept)
    usable = (labels != UNLABELLED) & (position >= 0) & ~foreign
    distinct = _under_each_label(copies, labels)
    if opinion is not None:  # fitted by whoever knows the set, and out of fold: views of ours would only blur it
        probe = own_probe(opinion, labels, fold, usable, distinct)
    else:
        probe = probe_labels(features, measured.prints.thumbnails, labels, fold, usable, distinct, among_kept.rows)
    fits = _belonging(features, measured, labels, copies, position, distinct[~foreign[distinct]], probe)
    progress(STEPS)
    return Evidence(
        images=images,
        measured=measured,
        copies=settled(copies, labels, probe),
        features=features,
        neighbours=among_kept,
        position=position,
        variants=variants,
        shown=shown,
        fold=fold,
        foreign=foreign,
        probe=probe,
        belonging=fits,
        seed=config.seed,
        thresholds={name: config.thresholds.get(name, THRESHOLD) for name in SEVERITY},
    )


def _belonging(
    features: np.ndarray,
    measured: Measured,
    labels: np.ndarray,
    copies: Copies,
    position: np.ndarray,
    references: np.ndarray,
    probe: Probe | None,
) -> Belonging | None:
    """How the rows fit their classes; whether one fits another, the probe is asked as well."""
    key = np.where(copies.group != NO_GROUP, len(labels) + copies.group, position)
    fits = belonging(features, measured.embeddings, labels, key, references)
    return fits and replace(fits, fit=fits.fit + odds_of(probe, fits.rival))


def _under_each_label(copies: Copies, labels: np.ndarray) -> np.ndarray:
    """int64: one row of each picture under each label that its copies have, the best: a class of crops has pictures."""
    rows = np.argsort(copies.rank)
    rows = rows[copies.first[rows] != -1]
    _, best = np.unique(np.stack([copies.kept[rows], labels[rows]]), axis=1, return_index=True)
    return np.sort(rows[best])


def _firsts(first: np.ndarray) -> np.ndarray:
    """int64: the rows that are the first of their kind, of the first of each row's (N,)."""
    return np.flatnonzero(first == np.arange(len(first)))


def _quality(images: ImageSet, measured: Measured) -> np.ndarray:
    """float64 (N, 3): by which copy of a picture is kept, the first column counting first.

    Of copies in several splits the held-out one is kept; of those in one split the larger, then the sharper, unless it
    has more detail than three in four of the set: that may be noise. Less than a quarter octave is nothing.
    """
    properties = measured.properties
    rank = held_out_rank(images.splits or [""] * len(images))
    detail = properties["detail"]
    most = np.nanquantile(detail, 0.75) if (measured.digests != "").any() else 0.0
    sharpness = np.round(4 * np.where(detail > most, 2 * most - detail, detail))
    columns = [rank, properties["width"] * properties["height"], sharpness]
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1), nan=-1e9))


def _represented(copies: Copies, among_distinct: Neighbours, features: np.ndarray) -> tuple[Neighbours, np.ndarray]:
    """(neighbours among the kept one of each picture, int64 (N,): where among these each row's picture is, or -1)."""
    n = len(copies.kept)
    kept = np.flatnonzero((copies.first != -1) & (copies.kept == np.arange(n)))
    position = np.full(n, -1)
    position[kept] = np.arange(len(kept))
    return among(among_distinct, kept, features), position[copies.kept]


def _variants(
    copies: Copies, among_kept: Neighbours, position: np.ndarray, features: np.ndarray
) -> tuple[Neighbours, np.ndarray]:
    """(copies that differ from the kept one, int64 (N,): where each row's pixels are): see Evidence."""
    first, kept_first = copies.first, copies.first[copies.kept]
    rows = np.unique(first[first != kept_first])
    shown = np.where(first == kept_first, position, len(among_kept.rows) + np.searchsorted(rows, first))
    return nearest_to(features, rows, position[rows], among_kept), shown
