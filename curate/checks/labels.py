"""Wrong labels: what several views say out of fold, the neighbours' opinion, and what classes a picture fits."""

from __future__ import annotations

import numpy as np

from ..findings import CHECKS, THRESHOLD, Judgement
from ..measuring.evidence import Evidence
from ..measuring.probe import Probe
from .outliers import strangers
from .scores import LEAST_ODDS, chance_of_odds, score_of_odds

_VOTERS = 15
# Of all flags together so many at least shall be right, by what is known.
PRECISION = 0.8
# Wrong labels that are not flagged are worth a remark from so many on, and from this share of all.
_FEW_MISSED, _MANY_MISSED = 20, 0.25


@CHECKS.add
def label_error(evidence: Evidence) -> Judgement:
    """The label is probably wrong: a probe that never saw the image and its neighbours both say another class."""
    n, probe = len(evidence), evidence.probe
    if not evidence.images.labelled:
        return Judgement.silent(n, "no labels")
    if probe is None:
        only = len(evidence.images.classes) < 2
        return Judgement.silent(n, "one class only" if only else "too few images of each class for the label probe")
    labels, rows = evidence.images.labels, probe.rows
    own = np.searchsorted(probe.classes, labels[rows])
    index = np.arange(len(own))
    rest = probe.probabilities.copy()
    rest[index, own] = -1
    likely = rest.argmax(axis=1)
    votes = _votes(evidence, probe)
    opposed = votes[index, likely] >= votes[index, own]

    apart = strangers(evidence)
    suspected = opposed & (probe.odds >= _least_odds(probe.odds))
    if apart is not None:
        suspected &= apart.score[rows] < THRESHOLD  # what fits no class has no right label here

    score, chance = np.zeros(n, np.float32), np.full(n, np.nan, np.float32)
    rank = score_of_odds(probe.odds)
    score[rows] = np.where(suspected, np.maximum(rank, THRESHOLD), np.minimum(rank, 0.99 * THRESHOLD))
    chance[rows] = chance_of_odds(probe.odds)
    at = dict(zip(rows.tolist(), index.tolist(), strict=True))

    def because(row: int) -> str:
        i = at[row]
        name = evidence.images.classes[probe.classes[likely[i]]]
        return (
            f"labelled {evidence.images.label_name(row)}, likely {name}: the probe gives {name} "
            f"{probe.probabilities[i, likely[i]]:.0%} and {votes[i, likely[i]]:.0%} of its {_VOTERS} nearest agree"
        )

    flagged = np.flatnonzero(score[rows] >= THRESHOLD)
    return Judgement(
        score,
        because,
        chance=chance,
        remarks=_missed(evidence.images.labels, probe, flagged),
        suggested=lambda row: evidence.images.classes[probe.classes[likely[at[row]]]],
    )


def _least_odds(odds: np.ndarray) -> float:
    """The log odds from which a label is flagged: those of LEAST_CHANCE, and more where PRECISION asks for it."""
    ranked = np.sort(odds[odds >= LEAST_ODDS])[::-1]
    right = chance_of_odds(ranked).cumsum() / np.arange(1, len(ranked) + 1)
    enough = np.flatnonzero(right >= PRECISION)
    return float(ranked[enough[-1]]) if len(enough) else np.inf


def _missed(labels: np.ndarray, probe: Probe, flagged: np.ndarray) -> tuple[str, ...]:
    """A remark where many more labels are likely wrong than are flagged, and why.

    flagged  positions in the rows of the probe
    """
    count, wrong = len(probe.rows), probe.wrong * len(probe.rows)
    missed = wrong - float(chance_of_odds(probe.odds[flagged]).sum())
    if not missed >= max(_FEW_MISSED, _MANY_MISSED * wrong):
        return ()
    agreement = (probe.classes[probe.probabilities.argmax(axis=1)] == labels[probe.rows]).mean()
    return (
        f"some {wrong:,.0f} of {count:,} labels are wrong by estimate, {len(flagged):,} are flagged: the label probe, "
        f"which agrees with {agreement:.0%} of the labels, cannot tell the other wrong ones from images that it does "
        "not know; a better --backbone may, or --probabilities of a model of yours",
    )


def _votes(evidence: Evidence, probe: Probe) -> np.ndarray:
    """(M, K): the share of each class among a row's nearest, none of them a copy of it."""
    near = evidence.nearest(_VOTERS)[0][evidence.shown[probe.rows]]
    labels = evidence.images.labels[evidence.representatives][near]
    return np.stack(
        [(labels == c).mean(axis=1) if near.shape[1] else np.zeros(len(near)) for c in probe.classes], axis=1
    )
