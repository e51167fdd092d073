"""The options of each command, as frozen dataclasses: defaults live here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .findings import SEVERITY
from .stage.errors import DataError, UnknownName

MAP_NAMES = ("umap", "tsne", "pca", "none")


@dataclass(frozen=True)
class ScanConfig:
    """How to scan. Every option of `curate scan` is a field of this.

    labels      a CSV of labels for a flat folder (columns: file, label; optionally split, group)
    artifacts   where `scan/` and `clean.npz` are written; None writes nothing
    backbone    a Keras application such as "MobileNetV2-0.35", "builtin", or "auto"
    weights     a weights file for the backbone; None takes ImageNet's from the Keras cache
    input_size  pixels a side that pictures are resized to before they are embedded
    map         "umap", "tsne", "pca" or "none"
    drop        checks whose every finding is dropped;  review  checks of which none is
    thresholds  check -> score from which it speaks, instead of 0.5
    strict      leave what awaits review out of the clean set as well
    workers     threads; 0 means one per core
    """

    labels: str | None = None
    artifacts: str | None = "artifacts"
    backbone: str = "auto"
    weights: str | None = None
    input_size: int = 160
    map: str = "umap"
    drop: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    strict: bool = False
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.drop, *self.review, *self.thresholds):
            if name not in SEVERITY:
                raise UnknownName.among("check", name, SEVERITY)
        for name, value in self.thresholds.items():
            if not 0 < value <= 1:
                raise DataError(f"the threshold of {name} is {value}; scores run from 0 to 1.")
        both = set(self.drop) & set(self.review)
        if both:
            raise DataError(f"{', '.join(sorted(both))} is given to both --drop and --review; choose one.")
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; needed is a whole number from 0.")
        if self.workers < 0:
            raise DataError(f"workers is {self.workers}; 0 means one per core.")
        if self.map not in MAP_NAMES:
            raise UnknownName.among("map", self.map, MAP_NAMES)


@dataclass(frozen=True)
class SplitConfig:
    """How to split. Every option of `curate split` is a field of this.

    train, val, test  shares of the images, which add up to 1
    balanced_test     the same number of images of every class in test, as in real life each may be as frequent;
                      train and val share the rest in the ratio of theirs, as unbalanced as it is
    per_class         that number; None divides the share of test among the classes, or takes the largest number that
                      leaves every class as many in train as in test where that is less
    fresh             forget the splits that the set has; otherwise only what has none is assigned
    labels            a CSV of labels for a flat folder (columns: file, label; optionally split, group)
    artifacts         where `scan/` is, and `splits.csv` is written
    out               where the splits are written instead
    """

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15
    balanced_test: bool = False
    per_class: int | None = None
    fresh: bool = False
    labels: str | None = None
    artifacts: str = "artifacts"
    out: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        shares = {"train": self.train, "val": self.val, "test": self.test}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise DataError(f"the share of {name} is {share:g}; needed is one from 0 to 1, such as 0.15.")
        if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
            given = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise DataError(f"the shares {given} add up to {sum(shares.values()):g}; needed is 1.")
        if self.balanced_test and not self.train:
            raise DataError("a balanced test set leaves the rest to train and val; give train a share above 0.")
        if self.per_class is not None and not self.balanced_test:
            raise DataError("per_class is the size of a balanced test set; give --balanced-test as well.")
        if self.per_class is not None and self.per_class < 1:
            raise DataError(f"per_class is {self.per_class}; needed is a number of images from 1.")
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; needed is a whole number from 0.")
