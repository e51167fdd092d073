"""The options of curate's commands, as frozen dataclasses: defaults and what they mean live here and nowhere else.

Of `curate export` they are in sets/formats.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .findings import SEVERITY
from .measuring.backbones import application_names
from .sets.asking import AskedReading
from .stage.errors import DataError, UnknownName
from .stage.options import (
    DECIDING,
    MANY,
    READING,
    RUNNING,
    SEEING,
    artifacts_option,
    check,
    check_range,
    classes_from_option,
    groups_from_option,
    labels_option,
    max_pixels_option,
    option,
    section,
    seed_option,
    splits_from_option,
    value_range_option,
    workers_option,
)

if TYPE_CHECKING:
    from .planting import PlantConfig

READ_BY = ("labels", "classes_from", "splits_from", "groups_from", "value_range", "max_pixels")
MAP_NAMES = ("umap", "tsne", "pca", "none")
# Images that a self-test needs to plant faults in.
FEWEST = 60


def backbone_names() -> Iterable[str]:
    """What a backbone may be."""
    return ("auto", "builtin", *application_names())


def backbone_option() -> str:
    """A field for what images are seen with."""
    help = "A network such as MobileNetV2-0.35, two with + between, 'builtin', or 'auto'."
    return option("auto", help, SEEING, names=backbone_names)


def weights_option() -> str | None:
    """A field for the weights of a backbone."""
    return option(None, "Weights file for the backbone instead of ImageNet's.", SEEING, path=True)


def embeddings_option() -> str | None:
    """A field for the vectors of a person's own model."""
    help = "Your own vectors, a row for each image: .npy in the order of the scan, or .npz with ids. No backbone then."
    return option(None, help, SEEING, path=True, metavar="FILE", unwritten=True)


def probabilities_option() -> str | None:
    """A field for the probabilities of a person's own model."""
    help = "Out-of-fold probabilities of your own model, .npy, .npz or .csv: they replace the label probe's."
    return option(None, help, SEEING, path=True, metavar="FILE", unwritten=True)


def min_class_option(group: str = "") -> int | None:
    """A field for the size from which a class takes part."""
    return option(None, "Leave out classes of fewer images than this; by default none.", group, at_least=1)


@dataclass(frozen=True)
class ScanConfig(AskedReading):
    """How to scan: the options of `curate scan`. Without artifacts nothing is written."""

    labels: str | None = labels_option()
    classes_from: str | None = classes_from_option()
    splits_from: str | None = splits_from_option()
    groups_from: str | None = groups_from_option()
    artifacts: str | None = artifacts_option()
    backbone: str = backbone_option()
    weights: str | None = weights_option()
    embeddings: str | None = embeddings_option()
    probabilities: str | None = probabilities_option()
    input_size: int = option(
        160, "Pixels a side that pictures are resized to for embedding.", SEEING, at_least=8, at_most=4096
    )
    map: str = option("umap", f"Method of the map: {', '.join(MAP_NAMES)}.", SEEING, among=MAP_NAMES)
    drop: tuple[str, ...] = option(
        (),
        "Drop every finding of this check. Repeat, or separate by commas.",
        DECIDING,
        metavar="CHECK",
        among=SEVERITY,
        noun="check",
    )
    review: tuple[str, ...] = option(
        (), "Drop no finding of this check, only review.", DECIDING, metavar="CHECK", among=SEVERITY, noun="check"
    )
    thresholds: Mapping[str, float] = option(
        {},
        "CHECK=SCORE: the score from which a check flags a row, instead of 0.5.",
        DECIDING,
        flag="--threshold",
        metavar="CHECK=SCORE",
        example="dark=0.6",
        names=lambda: SEVERITY,
    )
    strict: bool = option(False, "Leave what awaits review out of the clean set as well.", DECIDING)
    review_budget: int | None = option(
        None,
        "Images that await review at most: the likeliest suspicions do, the rest is kept.",
        DECIDING,
        at_least=0,
        unwritten=True,
    )
    value_range: tuple[float, ...] | None = value_range_option()
    max_pixels: int | None = max_pixels_option()
    workers: int = workers_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)
        check_range(self.value_range)
        _check_thresholds(self.thresholds)
        _check_apart(self.drop, self.review)
        if self.embeddings is not None and (self.weights is not None or self.backbone != "auto"):
            raise DataError(
                "--embeddings goes without a backbone, which would make them. Leave out --backbone and --weights."
            )


@dataclass(frozen=True)
class ApplyConfig:
    """How to rebuild the clean set: options of `curate apply`. Where `strict` is None it is done as the scan did."""

    strict: bool | None = option(None, "Leave out what awaits review; by default as scanned.")
    drop: tuple[str, ...] = option(
        (), "Drop every finding of this check. Repeat.", metavar="CHECK", among=SEVERITY, noun="check"
    )
    review: tuple[str, ...] = option(
        (), "Drop no finding of this check. Repeat.", metavar="CHECK", among=SEVERITY, noun="check"
    )
    labels: str | None = option(None, "The CSV of labels, where it has moved since.", path=True, metavar="FILE")

    def __post_init__(self) -> None:
        check(self)
        _check_apart(self.drop, self.review)


@dataclass(frozen=True)
class DecideConfig:
    """What a person decides: the other options of `curate apply`."""

    keep_id: tuple[str, ...] = option(
        (), "Ids of images to keep, whatever was found, separated by commas. Repeat.", "Decisions", metavar="ID",
        commas=False,
    )  # fmt: skip
    drop_id: tuple[str, ...] = option((), "Ids of images to drop. Repeat.", "Decisions", metavar="ID", commas=False)
    relabel: tuple[str, ...] = option(
        (), "ID=CLASS: the class that an image has. Repeat.", "Decisions", metavar="ID=CLASS", commas=False
    )
    keep_group: tuple[str, ...] = option((), "Keep all images of a group.", "Decisions", metavar="NUMBER")
    drop_group: tuple[str, ...] = option((), "Drop all images of a group.", "Decisions", metavar="NUMBER")
    not_copies: tuple[str, ...] = option(
        (), "ID,ID: images that are no copies of each other. Repeat.", "Decisions", metavar="ID,ID", commas=False
    )
    not_copies_group: tuple[str, ...] = option(
        (), "No two images of a group of copies are copies of each other.", "Decisions", metavar="NUMBER"
    )
    from_file: tuple[str, ...] = option(
        (),
        "Decisions made elsewhere: decisions.jsonl, a CSV with id and action, a labelling tool's export. Repeat.",
        "Decisions",
        flag="--from",
        metavar="FILE",
        path=True,
        commas=False,
    )
    decision: str = option(
        "",
        "What becomes of the images of a file that only selects some: keep, drop or review.",
        "Decisions",
        metavar="ACTION",
        names=lambda: ("keep", "drop", "review"),
    )
    why: str = option("", "Reason, recorded with the decisions that have none.", "Decisions")
    artifacts: str = artifacts_option()


@dataclass(frozen=True)
class UndoConfig:
    """The options of `curate undo`."""

    artifacts: str = artifacts_option()


@dataclass(frozen=True)
class ReviewConfig:
    """How to review: options of `curate review`."""

    port: int = option(
        0, "Port to listen at, on this machine alone; 0 takes any that is free.", RUNNING, at_least=0, at_most=65535
    )
    browser: bool = option(True, "Open the page in the browser.", RUNNING)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReviewedConfig:
    """Which scan to review: the other option of `curate review`."""

    artifacts: str = artifacts_option()


@dataclass(frozen=True)
class SplitConfig:
    """How to split: the options of `curate split`.

    min_class  classes of fewer images are left out: they are in no split; None leaves none out

    The shares add up to 1. In a balanced test set train and val share the rest in the ratio of theirs, as unbalanced as
    it is; without `per_class` the share of test is divided among the classes, or the largest number taken that leaves
    every class as many in train as in test, where that is less. Unless `fresh`, only what has no split is assigned one.
    """

    train: float = option(0.7, "Share of the images.")
    val: float = option(0.15, "Share of the images.")
    test: float = option(0.15, "Share of the images.")
    balanced_test: bool = option(False, "The same number of images of every class in test.", switch=True)
    per_class: int | None = option(
        None, "Test images of each class; by default as many as fit.", at_least=1, at_most=MANY
    )
    fresh: bool = option(False, "Forget the splits that the set has.", switch=True)
    min_class: int | None = min_class_option()
    labels: str | None = labels_option()
    artifacts: str = artifacts_option()
    out: str | None = option(None, "File to write; by default splits.csv in the artifacts.", path=True)
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)
        shares = {"train": self.train, "val": self.val, "test": self.test}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise DataError(f"the share of {name} is {share:g}; needed is one from 0 to 1, such as 0.15.")
        if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
            listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise DataError(f"the shares {listed} add up to {sum(shares.values()):g}; needed is 1.")
        if self.balanced_test and not self.train:
            raise DataError("a balanced test set leaves the rest to train and val; give train a share above 0.")
        if self.per_class is not None and not self.balanced_test:
            raise DataError("per_class is the size of a balanced test set; give --balanced-test as well.")


_OF_A_SCAN = (
    *READ_BY, "backbone", "weights", "embeddings", "probabilities", "input_size", "thresholds", "workers", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class SelftestConfig:
    """How to test: the options of `curate selftest`.

    scan       how the planted copy is scanned; `map`, `artifacts` and what is dropped are not used
    images     are taken evenly from each class
    precision  that the proposed thresholds should reach on the planted copy
    repeats    in the same images; the counts are pooled
    off_topic  a set of pictures that show something else; without one no such picture is planted
    faults     what is planted; None plants some of each kind, casts of as many colours as the set has room for
    artifacts  where `selftest.json` is written; None writes nothing
    """

    scan: ScanConfig = section(ScanConfig, only=_OF_A_SCAN)
    images: int = option(2000, "Images to plant faults among.")
    precision: float = option(0.95, "Precision that the proposed thresholds should reach.")
    repeats: int = option(1, "How often to plant faults, each time in the clean images.", at_least=1, at_most=1000)
    off_topic: str | None = option(
        None,
        "Pictures of something else to plant under drawn labels: a folder, list or .npz.",
        path=True,
        metavar="FOLDER",
    )
    seed: int = seed_option()
    faults: PlantConfig | None = None
    artifacts: str | None = option(None, "Folder for everything that is written.", path=True)

    def __post_init__(self) -> None:
        if self.images < FEWEST:
            raise DataError(f"images is {self.images}; a self-test needs {FEWEST} at least.")
        if not 0 < self.precision <= 1:
            raise DataError(f"precision is {self.precision}; it must be above 0 and at most 1, such as 0.95.")
        for name in ("embeddings", "probabilities"):
            if getattr(self.scan, name) is not None:
                raise DataError(
                    f"--{name} has no rows of the pictures that a self-test plants, which your model has not seen. "
                    f"Leave it out; --backbone and --weights name what the self-test sees with."
                )
        check(self)


@dataclass(frozen=True)
class DrawConfig:
    """How many cells to draw: options of `curate demo`."""

    images: int = option(1200, "Clean images to draw; faults come on top.", at_least=0, at_most=100_000)
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class RehearsalConfig:
    """Whether a set is looked at before it is scanned."""

    dry_run: bool = option(
        False, "Say what would be taken for what, and stop: nothing is decoded or written.", READING, switch=True
    )


@dataclass(frozen=True)
class GateConfig:
    """When a scan that went well is a failure all the same."""

    fail_on: str = option(
        "", 'Exit 1 when a condition holds, as in "leak>0,label_conflict>0,drop>=100".', RUNNING, metavar="CONDITIONS"
    )


def _check_thresholds(thresholds: Mapping[str, float]) -> None:
    UnknownName.check("check", thresholds, SEVERITY)
    for name, value in thresholds.items():
        if not 0 < value <= 1:
            raise DataError(f"the threshold of {name} is {value}; scores run from 0 to 1.")


def _check_apart(drop: tuple[str, ...], review: tuple[str, ...]) -> None:
    shared = set(drop) & set(review)
    if shared:
        raise DataError(f"{', '.join(sorted(shared))} is given to both --drop and --review; choose one.")
