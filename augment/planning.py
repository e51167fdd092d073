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
from curate.sets.directions import Directions
from curate.sets.imageset import UNLABELLED, ImageSet
from curate.splitting import Divided, clean_set, divided
from curate.stage.errors import DataError
from curate.stage.locks import holding
from curate.stage.manifest import file_digest
from curate.stage.progress import Reporter, Silent

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

    @cached_property
    def set(self) -> ImageSet:
        """The set that is built from: every picture is held against the scan when it is read."""
        images = self.divided.images
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
    images = division.images
    if not images.labelled:
        raise DataError(f"{place} has no labels, and nothing can be balanced without. Give --labels FILE.csv.")
    notes = list(division.notes)
    split_of, labelled = np.array(images.splits), images.labels != UNLABELLED
    if not labelled.all():
        notes.append(f"{(~labelled).sum():,} images have no label and are left out")
    rows = {name: np.flatnonzero((split_of == name) & labelled) for name in SPLITS}
    unused = sorted(set(split_of[labelled].tolist()) - {*SPLITS})
    if unused and not len(rows["train"]):
        raise DataError(
            f"the splits of {place} are called {', '.join(unused)}, and no image is in train. Name them train, "
            "val and test, or split the set anew: --fresh."
        )
    if unused:
        count = int((~np.isin(split_of, SPLITS) & labelled).sum())
        notes.append(f"{count:,} images of {', '.join(unused)} are left out")
    copies = policy.copies if config.copies is None else config.copies
    if policy.different is not None and copies > policy.different:
        notes.append(f"{policy.name} makes {policy.different} different copies of a picture, so there are no more")
        copies = policy.different
    copy_plan = plan_copies(images.labels, rows["train"], images.classes, config, copies, policy.different)
    _check_ids(images.ids, copy_plan, place)
    if images.soft is not None:
        notes.append("the set has shares of classes for labels; of each image the likeliest class is taken")
    size, note = (config.size, "") if config.size else common_size(images)
    counts = {"train": copy_plan.images, "val": len(rows["val"]), "test": len(rows["test"])}
    notes += [*copy_plan.notes, *([note] if note else [])]
    return BuildPlan(division, rows, policy, copy_plan, size, counts, directions, source_digest, tuple(notes))


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
    directions = directed(open_scan(Path(config.artifacts, "scan")).manifest, place, config.labels)
    labels = None if directions.labels is None else str(Path(directions.labels).resolve())
    return replace(directions, labels=labels)
