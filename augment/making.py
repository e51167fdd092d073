"""Shards: what one worker makes. A task is a pure function of the job and its number, whoever does it and when."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np

from curate.measuring.hashing import VerifiedPictures
from curate.sets.imageset import ImageSet, of_classes
from curate.sets.provenance import ImageOrigin, Provenance, write_provenance
from curate.sets.reading import read_as
from curate.sets.scaling import Decoding
from curate.sets.shards import shard_digest, shard_path, write_shard
from curate.stage.errors import DataError
from curate.stage.files import replacing
from curate.stage.records import read_record, write_record
from curate.stage.shortness import short_repr

from .corruptions.corruption import CORRUPTIONS, Corruption
from .corruptions.presets import preset
from .listings import Listing
from .operations.operation import FAMILIES, Values
from .policies import library
from .policies.policy import Context, OpenRow, Policy, Record, perform, shares
from .sizing import FittedPictures

SHARD_BYTES = 16 << 20
# In the folder of a job: a digest of all that decides what is made.
IDENTITY = "identity"
# There, too: the label probe, where labels are checked.
PROBE = "keeper.npz"
# (images, soft labels, rows, open_row) -> bool (n,): whether the labels are still to be seen.
LabelCheck = Callable[[np.ndarray, np.ndarray, np.ndarray, OpenRow], np.ndarray]
# How often an image whose label is lost is drawn again.
ATTEMPTS = 3
# Of composed tracks, where the least harms nobody and the most leaves nothing to see.
COMPOSED_SEVERITIES = (2, 3, 4)
# As light travels: what lies on the slide, the lens, the lamp, the sensor, the file.
_ORDER = ("geometry", "marks", "weather", "texture", "blur", "light", "colour", "noise", "digital")


@dataclass(frozen=True)
class Entry:
    """One set of a build.

    name      its folder: "train", "val", "test", "benchmark/fog-3"
    listing   the list of rows that it is made of, by name
    corruption, severity   of a benchmark set;  compose  corruptions at once, 0 where it is not a composed track
    role      "test" or "validation" of a benchmark set, else ""
    """

    name: str
    listing: str
    corruption: str = ""
    severity: int = 0
    compose: int = 0
    role: str = ""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know, but for the pixels; kept on disk as job.json beside listings.npz.

    content     digest of the ids, labels and classes of the set, which are not to change (see `content_digest`)
    preset      whose corruptions those of the benchmark are, "" for ours, calibrated
    severities  corruption -> the values of its severities 1 to 5;  units  statistics of the set (see Parameter.unit)
    decoding    how its pictures are read
    """

    source: str
    labels: str | None
    content: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    fit: str
    policy: str
    soft: bool
    units: Mapping[str, float]
    preset: str
    severities: Mapping[str, Sequence[Mapping[str, int | float]]]
    decoding: Decoding
    entries: tuple[Entry, ...]
    check: bool
    backbone: str
    weights: str | None
    input_size: int
    seed: int
    classes_from: str | None = None
    splits_from: str | None = None
    groups_from: str | None = None

    __repr__ = short_repr


GIVEN_LABELS = "given_labels.npy"  # beside the job, where a person relabelled images of the set: of the others ""


@dataclass(frozen=True)
class Task:
    """One shard: images `first` to `last` of an entry.

    work  the folder of the job;  out  that of the sets;  functions  Python files that its policy may call
    """

    work: str
    out: str
    entry: str
    part: int
    first: int
    last: int
    functions: tuple[str, ...] = ()

    __repr__ = short_repr

    @property
    def images(self) -> int:
        return self.last - self.first

    @property
    def path(self) -> Path:
        return shard_path(Path(self.out, self.entry), self.part)

    @property
    def provenance(self) -> Path:
        return Path(self.work, "rows", self.entry, f"part-{self.part:05d}.parquet")

    @property
    def exists(self) -> bool:
        """Whether it was made before; each of its files is whole or not there."""
        return self.path.is_file() and self.provenance.is_file()

    def shard(self) -> Shard:
        """The shard that was made before, from its files."""
        rows = Provenance(self.provenance)
        return Shard(self, shard_digest(self.path), int((rows.attempts > 0).sum()), int(rows.doubted.sum()))


@dataclass(frozen=True)
class Shard:
    """A shard that was made. redrawn: images drawn more than once;  doubted: those whose label was not found again."""

    task: Task
    digest: str
    redrawn: int = 0
    doubted: int = 0


def content_digest(images: ImageSet) -> str:
    """Hex BLAKE2b-128 of a set's ids, labels and classes, row by row."""
    h = hashlib.blake2b(json.dumps([images.ids, images.classes]).encode(), digest_size=16)
    h.update(np.ascontiguousarray(images.labels).data)
    return h.hexdigest()


def write_job(job: Job, listings: Mapping[str, Listing], work: Path) -> None:
    """Put a job on disk, for workers and for a build that is resumed."""
    write_record(job, work / "job.json")
    arrays: dict[str, np.ndarray] = {}
    for name, listing in listings.items():
        arrays |= {f"{name}.rows": listing.rows, f"{name}.copies": listing.copies}
    with replacing(work / "listings.npz") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # no list is called allow_pickle


def read_job(work: Path) -> tuple[Job, dict[str, Listing]]:
    """The job of a folder, and its lists."""
    job = read_record(Job, work / "job.json", "Build again without --resume.")
    with np.load(work / "listings.npz") as file:
        names = [name.removesuffix(".rows") for name in file if name.endswith(".rows")]
        listings = {name: Listing(file[f"{name}.rows"], file[f"{name}.copies"]) for name in names}
    return job, listings


def tasks(
    job: Job, listings: Mapping[str, Listing], work: Path, out: Path, functions: tuple[str, ...] = ()
) -> list[Task]:
    """Every shard of a job. Their size depends on the images alone, never on who makes them."""
    size = max(1, SHARD_BYTES // (job.size[0] * job.size[1] * 3))
    shards = []
    for entry in job.entries:
        count = len(listings[entry.listing])
        for part, first in enumerate(range(0, max(1, count), size)):
            shards.append(Task(str(work), str(out), entry.name, part, first, min(first + size, count), functions))
    return shards


class Workshop:
    """A job, opened: its pictures, its policy, and how each image of it is drawn."""

    def __init__(
        self,
        job: Job,
        listings: Mapping[str, Listing],
        images: ImageSet,
        label_check: LabelCheck | None = None,
        functions: tuple[str, ...] = (),
        given_labels: Sequence[str] | None = None,
    ) -> None:
        self.given_labels = given_labels
        self.job, self.listings, self.images, self.label_check = job, listings, images, label_check
        self.functions = functions
        self.entries = {entry.name: entry for entry in job.entries}
        # The last few: a picture's copies follow each other.
        self.open = lru_cache(8)(FittedPictures(images, job.size, job.fit).__getitem__)
        width, height = job.size
        self.units = {**job.units, "side": float(min(width, height))}

    @cached_property
    def policy(self) -> Policy:
        return library.policy(self.job.policy, self.functions)

    @cached_property
    def context(self) -> Context:
        train = self.listings.get("train")
        return Context(self.units, np.unique(train.rows) if train is not None else np.zeros(0, np.int64))

    @cached_property
    def corruptions(self) -> Mapping[str, Corruption]:
        """Those that the sets of the benchmark are named after."""
        if not self.job.preset:
            return CORRUPTIONS
        return {name: published.corruption() for name, published in preset(self.job.preset).items()}

    def draw(self, entry: Entry, row: int, copy: int, attempt: int = 0) -> Record:
        """What is done to one image."""
        if entry.corruption:
            rng = np.random.default_rng([self.job.seed, row, copy, zlib.crc32(entry.corruption.encode())])
            return [self._corrupted(self.corruptions[entry.corruption], entry.severity, rng)]
        if entry.compose:
            rng = np.random.default_rng([self.job.seed, row, copy, zlib.crc32(entry.name.encode())])
            return self._composed(entry, rng)
        if not copy:
            return []
        last = [attempt] if attempt else []
        return self.policy.draw(np.random.default_rng([self.job.seed, row, copy, *last]), copy, self.context)

    def _corrupted(self, corruption: Corruption, severity: int, rng: np.random.Generator) -> Values:
        return corruption.draw(self.job.severities[corruption.name][severity - 1], rng, self.units)

    def _composed(self, entry: Entry, rng: np.random.Generator) -> Record:
        """Corruptions of different families, one after the other as light travels, each of a moderate severity."""
        among: dict[str, list[Corruption]] = {}
        for name in self.job.severities:
            corruption = self.corruptions[name]
            if corruption.role == entry.role:
                among.setdefault(corruption.family, []).append(corruption)
        families = [name for name in FAMILIES if name in among]
        chosen = [families[i] for i in rng.choice(len(families), min(entry.compose, len(families)), replace=False)]
        record = []
        for family in sorted(chosen, key=_ORDER.index):
            corruption = among[family][int(rng.integers(len(among[family])))]
            severity = COMPOSED_SEVERITIES[int(rng.integers(len(COMPOSED_SEVERITIES)))]
            record.append(self._corrupted(corruption, severity, rng))
        return record

    def make(self, row: int, record: Record) -> np.ndarray:
        """The image that a record makes of a row's picture."""
        return perform(self.open(row), record, self.open)

    def label(self, row: int, record: Record) -> np.ndarray:
        """float32 (K,): the soft label of an image."""
        label = np.zeros(len(self.job.classes), np.float32)
        for source, share in shares(row, record).items():
            label[self.images.labels[source]] += share  # every row has one: others are left out of all lists
        return label

    def group(self, row: int) -> int:
        """The group of a row's picture, -1 for none."""
        return -1 if self.images.groups is None else int(self.images.groups[row])

    def name(self, entry: Entry, row: int, copy: int) -> str:
        """The id of an image: that of its source, and the number of the copy."""
        return f"{self.images.ids[row]}+{copy}" if copy else self.images.ids[row]


def make(task: Task) -> Shard:
    """Make one shard and its provenance, both whole or not there."""
    shop = _opened(task.work, (Path(task.work) / IDENTITY).read_text(encoding="utf-8"), task.functions)
    entry = shop.entries[task.entry]
    listing = shop.listings[entry.listing]
    rows, copies = listing.rows[task.first : task.last].tolist(), listing.copies[task.first : task.last].tolist()
    width, height = shop.job.size
    images = np.empty((task.images, height, width, 3), np.uint8)
    records: list[Record] = []
    for i, (row, copy) in enumerate(zip(rows, copies, strict=True)):
        records.append(shop.draw(entry, row, copy))
        images[i] = shop.make(row, records[i])
    attempts, doubted = _redrawn(shop, entry, rows, copies, images, records)
    labels = shop.images.labels[rows]
    if shop.job.soft and entry.name == "train":
        labels = np.stack([shop.label(row, record) for row, record in zip(rows, records, strict=True)])
    ids = [shop.name(entry, row, copy) for row, copy in zip(rows, copies, strict=True)]
    origins = [
        ImageOrigin(
            id=ids[i],
            source_id=shop.images.ids[row],
            source_row=row,
            group=shop.group(row),
            copy=copies[i],
            label=int(shop.images.labels[row]),
            label_name=shop.images.label_name(row),
            ops=json.dumps(records[i], separators=(",", ":")),
            seed=shop.job.seed,
            attempt=int(attempts[i]),
            doubted=bool(doubted[i]),
            given_label="" if shop.given_labels is None else shop.given_labels[row],
        )
        for i, row in enumerate(rows)
    ]
    write_provenance(origins, task.provenance, relabelled=shop.given_labels is not None)
    path = write_shard(task.path.parent, task.part, images, labels, ids, shop.job.classes)
    return Shard(task, shard_digest(path), int((attempts > 0).sum()), int(doubted.sum()))


def _redrawn(
    shop: Workshop,
    entry: Entry,
    rows: Sequence[int],
    copies: Sequence[int],
    images: np.ndarray,
    records: list[Record],
) -> tuple[np.ndarray, np.ndarray]:
    """(attempts (n,), doubted (n,)): images whose label the probe no longer knows are drawn again, in place."""
    attempts, doubted = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    if shop.label_check is None or entry.name != "train":
        return attempts, doubted
    keeps_label = shop.label_check

    def lost(among: np.ndarray) -> np.ndarray:
        """Those of some images whose label is not to be seen any more."""
        if not len(among):
            return among
        labels = np.stack([shop.label(rows[i], records[i]) for i in among.tolist()])
        return among[~keeps_label(images[among], labels, np.asarray(rows)[among], shop.open)]

    again = lost(np.flatnonzero(copies))
    for attempt in range(1, ATTEMPTS + 1):
        for i in again.tolist():
            attempts[i] = attempt
            records[i] = shop.draw(entry, rows[i], copies[i], attempt)
            images[i] = shop.make(rows[i], records[i])
        again = lost(again)
    doubted[again] = True
    return attempts, doubted


@lru_cache(1)
def _opened(work: str, identity: str, functions: tuple[str, ...]) -> Workshop:
    """The job of a folder, opened once in each process; of another identity, it is another one in its place."""
    folder = Path(work)
    job, listings = read_job(folder)
    check = _label_check(job, folder) if job.check else None
    path = folder / GIVEN_LABELS
    given_labels = np.load(path).tolist() if path.exists() else None
    return Workshop(job, listings, _job_images(job, folder), check, functions, given_labels)


def _label_check(job: Job, folder: Path) -> LabelCheck:
    from .features import load_features
    from .preservation import open_label_probe, shows_label

    features, _ = load_features(job.backbone, job.weights, job.input_size, 1)
    return partial(shows_label, open_label_probe(folder / PROBE), features)


def _job_images(job: Job, folder: Path) -> ImageSet:
    """The set of a job, with its classes and the groups that its splits were made by.

    Its pictures are held against the scan one by one, when they are read. Raises DataError where the set is another one
    by now.
    """
    images = of_classes(read_as(job.source, job), job.classes)
    if content_digest(images) != job.content:
        raise DataError(
            f"{job.source} has changed since this build began: its images are others, or in another order, or have "
            "other labels. Build again without --resume."
        )
    digests = np.load(folder / "digests.npy").tolist()
    pictures = VerifiedPictures(images.images, digests, images.ids, images.source.path)
    return replace(images, images=pictures, groups=np.load(folder / "groups.npy"))
