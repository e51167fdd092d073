"""Which epoch is kept: by how well it does on val, as it is and under corruptions that the test does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.sets.imageset import evenly
from curate.stage.shortness import short_repr

from .predictions import track_of

if TYPE_CHECKING:
    from .sets import LabelledSet

# So many images are looked at after each epoch: the score moves by a point at most for want of more.
AT_MOST = 1500
PARTS = ("clean", "corruptions", "composed")


@dataclass(frozen=True, eq=False)
class Watched:
    """Images that a model is watched on while it is fitted.

    images  uint8 (n, H, W, 3);  labels  int64 (n,);  part  (n,): index into PARTS
    sets    (n,): number of the set, so that each set of a part counts alike
    """

    images: np.ndarray
    labels: np.ndarray
    part: np.ndarray
    sets: np.ndarray

    __repr__ = short_repr

    def scores(self, probabilities: np.ndarray) -> dict[str, float]:
        """Accuracy of each part that is there, and the `loss` on clean images, of probabilities (n, K)."""
        right = probabilities.argmax(axis=1) == self.labels
        accuracies = {}
        for part, name in enumerate(PARTS):
            sets = np.unique(self.sets[self.part == part])
            if len(sets):
                accuracies[name] = float(np.mean([right[self.sets == number].mean() for number in sets]))
        clean = self.part == 0
        of_label = probabilities[clean, self.labels[clean]]
        accuracies["loss"] = -float(np.log(np.maximum(of_label, 1e-7)).mean())
        return accuracies


def score(scores: dict[str, float], by: str) -> float:
    """One number, more is better: clean accuracy, minus the loss, or the mean over clean, corrupted and composed."""
    if by == "loss":
        return -scores["loss"]
    if by == "clean":
        return scores["clean"]
    return float(np.mean([scores[name] for name in PARTS if name in scores]))


def score_in_words(by: str, parts: Sequence[str]) -> str:
    """What that number is, of the parts that are there.

    >>> score_in_words("corruptions", ["clean", "corruptions", "composed"])
    'the mean accuracy of clean, corruptions and composed'
    """
    if by == "loss":
        return "minus the loss on clean images"
    names = [name for name in PARTS if name in parts]
    if by == "clean" or len(names) < 2:
        return "the accuracy on clean images"
    return f"the mean accuracy of {', '.join(names[:-1])} and {names[-1]}"


def watch(val: LabelledSet, benchmark: Sequence[LabelledSet], by: str, at_most: int = AT_MOST) -> Watched:
    """At most `at_most` images of val and, where they are to select by, of the validation part of the benchmark.

    A third of them each for val, its corruptions and their combinations, spread evenly over the rows.
    """
    shifted = [images for images in benchmark if images.role == "validation"] if by == "corruptions" else []
    singles, composed = ([images for images in shifted if track_of(images).composed is many] for many in (False, True))
    of_part = [[val], singles, composed]
    share = at_most // sum(bool(sets) for sets in of_part)
    chosen = [
        (number, images, evenly(len(images), max(1, share // len(sets))))
        for number, sets in enumerate(of_part)
        for images in sets
    ]
    return Watched(
        np.concatenate([images.batch(rows) for _, images, rows in chosen]),
        np.concatenate([images.labels[rows] for _, images, rows in chosen]),
        np.concatenate([np.full(len(rows), part) for part, _, rows in chosen]),
        np.concatenate([np.full(len(rows), number) for number, (_, _, rows) in enumerate(chosen)]),
    )
