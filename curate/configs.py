"""The options of each command, as frozen dataclasses: defaults live here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import DataError, UnknownName
from .findings import SEVERITY

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
