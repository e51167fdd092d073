"""The options of each command, as frozen dataclasses: defaults live here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from curate.configs import SplitConfig
from curate.stage.errors import DataError, UnknownName

# Sets of corruptions: the 19 of ImageNet-C, those of MedMNIST-C's blood cells, those of a microscope.
SETS = ("common", "blood", "microscopy")
BALANCES = ("oversample", "undersample", "weights", "none")
CALIBRATED = "calibrated"
PRESET_NAMES = ("imagenet-c", "tiny-imagenet-c", "cifar-c", "medmnist-c-blood")
FITS = ("crop", "pad", "stretch")


@dataclass(frozen=True)
class BuildConfig:
    """How to build. Every option of `augment build` is a field of this; `augment plan` takes the first of them.

    policy   a built-in policy, a .toml file, or file.py:function
    copies   augmented copies of each picture of the largest class; None takes the policy's own number
    balance  "oversample": copies of the other classes until each has as many images as the largest
             "undersample": fewer pictures of the other classes, as many as the smallest has
             "weights": no balancing; the class weights that are written down are for the trainer to use
             "none": no balancing;  or a number of images of every class
    cap      most copies of one picture; a class that would need more stays smaller

    train, val, test, balanced_test, per_class, fresh   as of `curate split`, for sets that have no splits yet

    size     (width, height) of all images; None keeps the set's, or takes the median where they differ
    fit      how other sizes are brought to it: "crop" the middle, "pad" with the border's mirror image, "stretch"

    benchmark         sets of corruptions: "common" (the 19 of ImageNet-C), "blood", "microscopy"; empty for none
    severities        "calibrated" to this set, or a preset of published parameters such as "cifar-c"
    benchmark_images  most images of each benchmark set
    allow_overlap     build although the policy contains a corruption of the test

    check    whether augmented images whose label a probe no longer knows are drawn again
    backbone, weights, input_size   what the probe and the distances see with, as of a scan; input_size None takes the
             side of the images, from 96 to 160

    labels     a CSV of labels for a flat folder, as of a scan
    artifacts  where `scan/` and the clean set are, and `built/` is written
    resume     go on where an interrupted build of the same options stopped
    workers    processes; 0 means one per core
    """

    policy: str = "heavy"
    copies: int | None = None
    balance: str = "oversample"
    cap: int = 16
    train: float = SplitConfig.train
    val: float = SplitConfig.val
    test: float = SplitConfig.test
    balanced_test: bool = False
    per_class: int | None = None
    fresh: bool = False
    size: tuple[int, int] | None = None
    fit: str = "crop"
    benchmark: tuple[str, ...] = SETS
    severities: str = CALIBRATED
    benchmark_images: int = 500
    allow_overlap: bool = False
    check: bool = True
    backbone: str = "auto"
    weights: str | None = None
    input_size: int | None = None
    labels: str | None = None
    artifacts: str = "artifacts"
    resume: bool = False
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.balance not in BALANCES and not (self.balance.isdecimal() and int(self.balance)):
            raise UnknownName(
                f"no balance named {self.balance!r}. Known: {', '.join(BALANCES)}, or a number of images of every class"
            )
        for name, least in (("copies", 0), ("cap", 0), ("benchmark_images", 1), ("workers", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise DataError(f"{name} is {value}; needed is a whole number from {least}.")
        for name in self.benchmark:
            if name not in SETS:
                raise UnknownName.among("set of corruptions", name, SETS)
        if self.severities not in (CALIBRATED, *PRESET_NAMES):
            raise UnknownName.among("severities", self.severities, (CALIBRATED, *PRESET_NAMES))
        if self.fit not in FITS:
            raise UnknownName.among("fit", self.fit, FITS)
        if self.size is not None and min(self.size) < 8:
            raise DataError(f"size is {self.size[0]}x{self.size[1]}; needed are 8 pixels a side at least.")
        self.split  # noqa: B018  it refuses what cannot be split by

    @property
    def count(self) -> int | None:
        """The number of images of every class that is asked for, if one is."""
        return int(self.balance) if self.balance.isdecimal() else None

    @property
    def split(self) -> SplitConfig:
        """How a set without splits is split."""
        return SplitConfig(
            self.train, self.val, self.test, self.balanced_test, self.per_class, self.fresh, self.labels,
            self.artifacts, None, self.seed,
        )  # fmt: skip
