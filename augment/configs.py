"""The options of augment's commands, as frozen dataclasses: defaults and what they mean live here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from curate.configs import SplitConfig, backbone_option, min_class_option, weights_option
from curate.stage.errors import DataError, UnknownName
from curate.stage.options import (
    MANY,
    MOST_COPIES,
    RUNNING,
    SEEING,
    SPLITTING,
    artifacts_option,
    check,
    labels_option,
    option,
    seed_option,
    shortened,
    workers_option,
)

# Sets of corruptions: the 19 of ImageNet-C, those of MedMNIST-C's blood cells, those of a microscope.
SETS = ("common", "blood", "microscopy")
BALANCES = ("oversample", "undersample", "weights", "none")
CALIBRATED = "calibrated"
PRESET_NAMES = ("imagenet-c", "tiny-imagenet-c", "cifar-c", "medmnist-c-blood")
# Pixels a side of what is built.
LARGEST = 8192
FITS = ("crop", "pad", "stretch")
BENCHMARK = "The benchmark of shifted domains"


def policy_names() -> Iterable[str]:
    """The built-in policies."""
    from .policies.library import names  # which loads numpy

    return names()


def functions_option(use: str) -> tuple[str, ...]:
    """A field for the Python files that may be run."""
    return option((), f"Python file that {use}; no other one is run. Repeat.", metavar="FILE.py", commas=False)


@dataclass(frozen=True)
class BuildConfig:
    """How to build: the options of `augment build`; `augment plan` takes the first of them.

    balance     "oversample": copies of the other classes until each has as many images as the largest
                "undersample": fewer pictures of the other classes, as many as the smallest has
                "weights": no balancing; the class weights that are written down are for the trainer to use
                "none": no balancing;  or a number of images of every class
    cap         a class that would need more stays smaller
    train ... min_class   as of `curate split`, for sets that have no splits yet
    size        (width, height); None keeps the set's, or takes the median where they differ
    fit         "crop" the middle, "pad" with the border's mirror image, "stretch"
    benchmark   sets of corruptions: "common" (the 19 of ImageNet-C), "blood", "microscopy"; empty for none
    backbone, weights, input_size   what the probe and the distances see with, as of a scan; input_size None takes the
                side of the images, from 96 to 160
    """

    policy: str = option(
        "heavy", "A built-in policy, a .toml file, or file.py:function.", names=policy_names, suffixes=(".toml", ".py")
    )
    functions: tuple[str, ...] = functions_option("a .toml policy may call")
    copies: int | None = option(
        None, "Copies of each picture of the largest class; by default the policy's.", at_least=0, at_most=MOST_COPIES
    )
    balance: str = option(
        "oversample", f"{', '.join(BALANCES)}, or a number of images of every class.", names=lambda: BALANCES
    )
    cap: int = option(16, "Most copies of one picture.", at_least=0, at_most=MOST_COPIES)
    train: float = option(SplitConfig.train, "Share of the images.", SPLITTING)
    val: float = option(SplitConfig.val, "Share of the images.", SPLITTING)
    test: float = option(SplitConfig.test, "Share of the images.", SPLITTING)
    balanced_test: bool = option(False, "The same number of images of every class in test.", SPLITTING, switch=True)
    per_class: int | None = option(
        None, "Test images of each class; by default as many as fit.", SPLITTING, at_least=1, at_most=MANY
    )
    fresh: bool = option(False, "Forget the splits that the set has.", SPLITTING, switch=True)
    min_class: int | None = min_class_option(SPLITTING)
    size: tuple[int, int] | None = option(None, "WIDTHxHEIGHT of all images; by default the set's own.")
    fit: str = option("crop", f"How pictures of other sizes are brought to it: {', '.join(FITS)}.", among=FITS)
    benchmark: tuple[str, ...] = option(
        SETS,
        f"Sets of corruptions: {', '.join(SETS)}, or none.",
        BENCHMARK,
        among=SETS,
        noun="set of corruptions",
        nothing="none",
    )
    severities: str = option(
        CALIBRATED,
        f"Calibrated to the set, or a preset: {', '.join(PRESET_NAMES)}.",
        BENCHMARK,
        among=(CALIBRATED, *PRESET_NAMES),
    )
    benchmark_images: int = option(500, "Most images of each benchmark set.", BENCHMARK, at_least=1, at_most=MANY)
    allow_overlap: bool = option(
        False, "Build although the policy contains a corruption of the test.", BENCHMARK, switch=True
    )
    check: bool = option(True, "Redraw copies whose label the label probe rejects.")
    backbone: str = backbone_option()
    weights: str | None = weights_option()
    input_size: int | None = option(
        None,
        "Pixels a side that pictures are resized to for embedding; by default from 96 to 160.",
        SEEING,
        at_least=8,
        at_most=4096,
    )
    labels: str | None = labels_option()
    artifacts: str = artifacts_option()
    resume: bool = option(False, "Go on where an interrupted build stopped.", RUNNING, switch=True)
    workers: int = workers_option("Processes")
    seed: int = seed_option()

    def __post_init__(self) -> None:
        if self.balance not in BALANCES and not self.balance.isdecimal():
            raise UnknownName(
                f"no balance named {self.balance!r}. Known: {', '.join(BALANCES)}, or a number of images of every class"
            )
        if self.balance.isdecimal() and not (len(self.balance) <= len(str(MANY)) and 1 <= int(self.balance) <= MANY):
            raise DataError(f"balance is {shortened(self.balance)}; needed is a number of images from 1 to {MANY:,}.")
        check(self)
        if self.size is not None and not 8 <= min(self.size) <= max(self.size) <= LARGEST:
            raise DataError(f"size is {self.size[0]}x{self.size[1]}; needed are 8 to {LARGEST:,} pixels a side.")
        self.split  # noqa: B018  it refuses what cannot be split by

    @property
    def count(self) -> int | None:
        """The number of images of every class that is asked for, if one is."""
        return int(self.balance) if self.balance.isdecimal() else None

    @property
    def split(self) -> SplitConfig:
        """How a set without splits is split."""
        return SplitConfig(
            train=self.train,
            val=self.val,
            test=self.test,
            balanced_test=self.balanced_test,
            per_class=self.per_class,
            fresh=self.fresh,
            min_class=self.min_class,
            labels=self.labels,
            artifacts=self.artifacts,
            seed=self.seed,
        )


@dataclass(frozen=True)
class PreviewConfig:
    """What a contact sheet shows: options of `augment preview`."""

    policies: bool = option(False, "Every policy, on one picture.", switch=True)
    corruptions: bool = option(False, "Every corruption at five severities, on one picture.", switch=True)
    copies: int = option(7, "Copies of each picture to show.", at_least=1, at_most=50)
    images: int = option(8, "Pictures to show.", at_least=1, at_most=200)
    out: str | None = option(None, "PNG to write; by default preview.png in the artifacts.", path=True)

    def __post_init__(self) -> None:
        if self.policies and self.corruptions:
            raise DataError("--policies and --corruptions are two sheets; ask for one at a time.")
        check(self)


@dataclass(frozen=True)
class ReplayConfig:
    """Which image is made again, and where it is shown: the options of `augment replay`."""

    set: str = option("", "Set of the image, such as benchmark/fog-3; by default train, val or test.")
    functions: tuple[str, ...] = functions_option("the record of the image may call")
    artifacts: str = artifacts_option()
    out: str | None = option(None, "PNG of the source beside the image.", path=True)
