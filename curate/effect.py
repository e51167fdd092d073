"""Did cleaning help? One linear probe, fitted on all rows and on the clean ones, tried on the same rows."""

from __future__ import annotations

import numpy as np

from .findings import DROP
from .measuring.evidence import Evidence
from .measuring.probe import fit_probe
from .scans import CleaningEffect
from .sets.imageset import UNLABELLED, whole_groups

_FEWEST = 20  # fewer rows say nothing of an accuracy
_LITTLE = 0.25  # of what a probe can gain over chance


def cleaning_effect(evidence: Evidence, verdict: np.ndarray) -> CleaningEffect | None:
    """The accuracy of the probe before and after; None where there is nothing to learn, or too few rows stay.

    verdict  str (N,): keep, drop or review
    """
    labels = evidence.images.labels
    rows = np.flatnonzero((labels != UNLABELLED) & (evidence.position >= 0))
    clean = verdict[rows] != DROP
    if evidence.probe is None or clean.sum() < _FEWEST:
        return None
    hits = []
    for taught_by in (np.ones(len(rows), bool), clean):
        probe = fit_probe(evidence.features, labels, rows, evidence.fold[rows], taught_by)
        hits.append((probe.classes[probe.probabilities.argmax(axis=1)] == labels[rows])[clean])
    before, after = (float(h.mean()) for h in hits)
    groups = whole_groups(evidence.copies.group, evidence.images.groups)[rows][clean]
    low, high = interval_over_groups(hits[1], groups, evidence.seed)
    return CleaningEffect(before, after, low, high, int(clean.sum()))


def interval_over_groups(hits: np.ndarray, groups: np.ndarray, seed: int, draws: int = 400) -> tuple[float, float]:
    """95 % interval of the mean of hits (M,), by bootstrap over groups int64 (M,)."""
    _, group = np.unique(groups, return_inverse=True)
    right, size = np.bincount(group, hits), np.bincount(group)
    rng = np.random.default_rng([seed, len(hits)])
    means = []
    for _ in range(draws):
        drawn = rng.integers(0, len(size), len(size))
        means.append(right[drawn].sum() / size[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def unexplained_labels(evidence: Evidence) -> str:
    """A sentence where the pictures do not tell the classes apart: they may be none. "" where they do, or too few tell.

    The probe's hits are held against its own guesses dealt out at random, so that a frequent class flatters nobody. It
    is told where the interval of the difference reaches down to nothing, and up to little of what could be gained; or
    where what the probe believes of the labels does: among few images it hits many by luck, and knows it.
    """
    probe, images = evidence.probe, evidence.images
    if probe is None or len(probe.rows) < _FEWEST:
        return ""
    labels = np.searchsorted(probe.classes, images.labels[probe.rows])
    guesses = probe.probabilities.argmax(axis=1)
    shares = np.bincount(labels, minlength=len(probe.classes)) / len(labels)
    advantage = (guesses == labels) - shares[guesses]
    groups = whole_groups(evidence.copies.group, images.groups)[probe.rows]
    low, high = interval_over_groups(advantage, groups, evidence.seed)
    chance = float(shares[guesses].mean())
    belief = probe.probabilities[np.arange(len(labels)), labels] - shares[labels]
    _, believed = interval_over_groups(belief, groups, evidence.seed)
    if low > 0 or min(high, believed) > _LITTLE * (1 - chance):
        return ""
    return (
        f"the pictures do not tell the classes apart: the label probe is right in {(guesses == labels).mean():.3f} of "
        f"the images, and by chance in {chance:.3f}. They may be no classes: see what they were taken from (curate "
        "scan --dry-run), and name something else with --classes-from"
    )
