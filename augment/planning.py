"""plan(source, config) -> BuildPlan: what a build would make, before a byte of it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from curate.builds import SPLITS
from curate.measuring.hashing import VerifiedPictures
from curate.scans import directed, open_scan
from curate.sets.classes import joined_names
from curate.sets.directions import Directions
from curate.sets.imageset import NO_GROUP, UNLABELLED, ImageSet, of_classes, whole_groups
from curate.splitting import Divided, clean_set, divided
from curate.stage.errors import DataError
from curate.stage.locks import holding
from curate.stage.manifest import file_digest
from curate.stage.progress import Reporter, Silent
from curate.stage.shortness import short_repr

from .balancing import CopyPlan, plan_copies
from .configs import BuildConfig
from .policies import library
from .policies.policy import Policy
from .sizing import common_size


@dataclass(frozen=True, eq=False)
class BuildPlan:
    """What a build would make.

    divided  the set with its splits and groups;  rows  split -> rows of the set, those without a label left out
    copy_plan  copies of each picture of the training set
    size    (width, height) of all images;  images  split -> how many images
    directions  how the set was read, where a person said so
    source_digest  of the file that holds the set, or lists its files; "" of a folder
    """

    divided: Divided
    rows: Mapping[str, np.ndarray]
    policy: Policy
    copy_plan: CopyPlan
    size: tuple[int, int]
    images: Mapping[str, int]
    directions: Directions
    source_digest: str
    notes: tuple[str, ...]

    __repr__ = short_repr

    @cached_property
    def set(self) -> ImageSet:
        """The set that is built from, without the classes that are left out: every picture is held against the scan
        when it is read."""
        images = _taking_part(self.divided)
        pictures = VerifiedPictures(images.images, self.divided.digests, images.ids, images.source.path)
        return replace(images, images=pictures)

    @property
    def labels(self) -> str | None:
        """The CSV of labels that the set was read with, if one was."""
        return self.directions.labels

    @property
    def bytes(self) -> int:
        """What the images of all splits take, without the benchmark."""
        return sum(self.images.values()) * self.size[0] * self.size[1] * 3


def plan(
    source: str | Path | None = None, config: BuildConfig = BuildConfig(), reporter: Reporter = Silent()
) -> BuildPlan:
    """What `build` would make of a set: its splits, and how many copies of each picture.

    source  the set that was scanned, or its clean set; None takes artifacts/clean.npz or clean.csv
    Raises DataError where the set was not scanned, has no labels, or cannot be split or balanced as asked.
    """
    policy = library.policy(config.policy, config.functions)
    with holding(Path(config.artifacts), shared=True, say=reporter.say):
        place = Path(source) if source is not None else clean_set(Path(config.artifacts))
        division = divided(place, config.split, previous=_splits_before(config))
        directions, source_digest = _directions(place, config), file_digest(place) if place.is_file() else ""
    if not division.images.labelled:
        raise DataError(f"{place} has no labels, and nothing can be balanced without. Give --labels FILE.csv.")
    notes = list(division.notes)
    if division.images.soft is not None:
        notes.append("the set has shares of classes for labels; of each image the likeliest class is taken")
    images = _taking_part(division)
    split_of, labelled = np.array(images.splits), images.labels != UNLABELLED
    nameless = int((~labelled).sum()) - sum(division.left_out.values())
    if nameless:
        notes.append(f"{nameless:,} images have no label and are left out")
    rows = {name: np.flatnonzero((split_of == name) & labelled) for name in SPLITS}
    unused = sorted(set(split_of[labelled].tolist()) - {*SPLITS})
    if unused:
        count = int((~np.isin(split_of, SPLITS) & labelled).sum())
        notes.append(f"{count:,} images of {', '.join(name or 'no split' for name in unused)} are left out")
    copies = policy.copies if config.copies is None else config.copies
    if policy.different is not None and copies > policy.different:
        notes.append(f"{policy.name} makes {policy.different} different copies of a picture, so there are no more")
        copies = policy.different
    if not len(rows["train"]):
        raise DataError(_no_training(division))
    if division.given:
        _check_given_splits(images, rows["train"])
    copy_plan = plan_copies(images.labels, rows["train"], images.classes, config, copies, policy.different)
    notes += _lonely_notes(images, copy_plan, anew=bool(division.given) and not config.fresh)
    _check_ids(images.ids, copy_plan, place)
    size, note = (config.size, "") if config.size else common_size(images)
    counts = {"train": copy_plan.images, "val": len(rows["val"]), "test": len(rows["test"])}
    notes += [*copy_plan.notes, *([note] if note else [])]
    return BuildPlan(division, rows, policy, copy_plan, size, counts, directions, source_digest, tuple(notes))


def _taking_part(division: Divided) -> ImageSet:
    """The set that was split, without the classes that are in no split."""
    images = division.images
    return of_classes(images, [name for name in images.classes if name not in division.left_out])


def _no_training(division: Divided) -> str:
    """What to do where no image is to be trained on."""
    if division.given:
        names = ", ".join(sorted(set(division.images.splits or ()) - {""}))
        return (
            f"no image is in train: the set came with the splits {names}, which were kept. Split it anew with --fresh, "
            "or call one of them train."
        )
    return "no image is in train. Give it a share, such as --train 0.7 --val 0.15 --test 0.15."


_FEWEST_GROUPS = 4  # of a class, of which new splits put two and more into train


def _check_given_splits(images: ImageSet, train: np.ndarray) -> None:
    """Raise DataError where the splits that the set has leave no class two pictures to train on, and new ones would:
    as where most of train were copies of what is held out."""
    units = whole_groups(np.full(len(images), NO_GROUP), images.groups)
    of_train = np.bincount(images.labels[train], minlength=len(images.classes))
    groups = np.array([len(np.unique(units[images.labels == code])) for code in range(len(images.classes))])
    if (of_train < 2).all() and (groups >= _FEWEST_GROUPS).any():
        raise DataError(
            f"{'1 picture is' if of_train.sum() == 1 else f'{of_train.sum():,} pictures are'} left to train on, and no "
            f"class has two: the splits of the set put the other {len(images) - of_train.sum():,} elsewhere. Split the "
            "set anew with --fresh."
        )


def _lonely_notes(images: ImageSet, copy_plan: CopyPlan, *, anew: bool) -> list[str]:
    """What a person should know of classes that have a single picture to train on, or none, and what helps.

    anew  whether the set came with splits, and could be split anew
    """
    sources = copy_plan.table["sources"].to_numpy()
    totals = np.bincount(images.labels[images.labels >= 0], minlength=len(images.classes))
    troubles = (
        (1, "a single picture to train on, and copies of one picture teach that picture"),
        (0, "no picture to train on, and cannot be learned"),
    )
    notes = []
    for number, trouble in troubles:
        codes = np.flatnonzero(sources == number).tolist()
        if not codes:
            continue
        elsewhere = int(totals[codes].sum()) - number * len(codes)
        line = f"{joined_names([images.classes[c] for c in codes])} {'has' if len(codes) == 1 else 'have'} {trouble}"
        subject = "1 other is" if elsewhere == 1 else f"{elsewhere:,} others are"
        line += f" ({subject} in val or test)" if elsewhere else ""
        cures = []
        if anew and any(_divisible(images, code) for code in codes):
            cures.append("--fresh splits the set anew")
        least = int(totals[codes].max()) + 1
        if (totals >= least).sum() > 1:
            cures.append(f"--min-class {least} leaves out classes of fewer than {least:,} images")
        notes.append(f"{line}: {''.join(f'{cure}, or ' for cure in cures)}get more of its images")
    return notes


def _divisible(images: ImageSet, code: int) -> bool:
    """Whether a split of the whole set would give a class two pictures to train on: see curate.assigning."""
    groups = (images.groups if images.groups is not None else np.full(len(images), -1))[images.labels == code]
    units = int((groups < 0).sum()) + len(np.unique(groups[groups >= 0]))
    return units == 2 or units > 3


def _check_ids(ids: Sequence[str], plan: CopyPlan, place: Path) -> None:
    """Raise DataError where a copy would have the id of another image, as in a set that was augmented before."""
    copies = dict(zip((ids[row] for row in plan.rows.tolist()), plan.copies.tolist(), strict=True))
    for name in ids:
        source, _, number = name.rpartition("+")
        if number.isdecimal() and 0 < int(number) <= copies.get(source, 0):
            raise DataError(
                f"{place} has the images {source} and {name}, which is what a copy of the first would be called. "
                "Build from the set that it was made of, before it was augmented."
            )


def _splits_before(config: BuildConfig) -> Path | None:
    """The splits.csv that is there, unless other splits are asked for."""
    path = Path(config.artifacts, "splits.csv")
    default = BuildConfig(artifacts=config.artifacts, labels=config.labels, seed=config.seed).split
    return path if config.split == default and path.is_file() else None


def _directions(place: Path, config: BuildConfig) -> Directions:
    """How a set was read: by what is given, else as its scan read it."""
    directions = Directions.of(directed(open_scan(Path(config.artifacts, "scan")).manifest, place, config.labels))
    labels = None if directions.labels is None else str(Path(directions.labels).resolve())
    return replace(directions, labels=labels)
