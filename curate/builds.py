"""A built set's folder, artifacts/built: the documents that `augment build` writes and a trainer reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from .sets.scaling import Decoding, Scale
from .stage.errors import DataError
from .stage.manifest import Manifest
from .stage.records import OPTIONAL, named, read_document, record_of
from .stage.shortness import short_repr

BUILT, BENCHMARK = "built", "benchmark"
SPLITS = ("train", "val", "test")
PLAN_FILE, BENCHMARK_FILE = "plan.json", "benchmark.json"
FORMAT = 1
_REMEDY = "Run `augment build` again."

D = TypeVar("D")


@dataclass(frozen=True, kw_only=True)
class BuildManifest(Manifest):
    """manifest.json of a build.

    input_digest  of the set, its scan and the options (see augment.preparing.identity)
    config        the options, by name: their class is augment's, which may not be named here, and nobody reads them
                  back but to show them
    scan_digest   of the scan's manifest
    sets          set, such as "train" or "benchmark/fog-3" -> shard -> SHA-256 of its file
    scale         kind of values -> the scale that they were read by;  max_pixels  of a picture (see ScanConfig)
    """

    COMMAND: ClassVar[str] = "augment build"

    stage: str = "build"
    config: Mapping[str, object]
    scan_digest: str
    sets: Mapping[str, Mapping[str, str]]
    scale: Mapping[str, Scale] | None = field(default=None, metadata=OPTIONAL)
    max_pixels: int | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr

    @property
    def decoding(self) -> Decoding:
        """How sets from elsewhere are read by a model that is fitted to this build."""
        return Decoding(self.scale or {}, self.max_pixels, foreign=True)


@dataclass(frozen=True)
class PolicySummary:
    """The policy that copies were made by.

    digest      of all that decides what it draws
    operations  operation -> value -> (least, most)
    """

    name: str
    about: str
    digest: str
    operations: Mapping[str, Mapping[str, tuple[int | float, int | float]]]

    __repr__ = short_repr


@dataclass(frozen=True)
class ClassCounts:
    """What the training set has of a class.

    sources    pictures of the training split;  used  those of them that are in the set
    copies     augmented images;  most_copies  of a single picture;  images  both together
    effective  number of samples that the used ones are worth;  weight  of each image of the class in the loss
    """

    class_name: str = field(metadata=named("class"))
    sources: int
    used: int
    copies: int
    most_copies: int = field(metadata=named("most of one"))
    images: int
    effective: int
    weight: float


@dataclass(frozen=True)
class LabelLoss:
    """What an operation does to labels when it is used alone.

    tried      images;  augmented  share of them whose label a probe no longer knows
    clean      that share of the same pictures before;  lost  the difference, which the operation is to blame for
    """

    operation: str
    tried: int
    augmented: float = field(metadata=named("killed"))
    clean: float
    lost: float


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """plan.json: the policy, what each class gets, the class weights, and what was measured on the way.

    source         the set that was built from;  source_digest  of its file, "" of a folder
    labels         the CSV of labels that it was read with;  scale, max_pixels  how its pictures were
    classes_from, splits_from, groups_from  as it was read, where a person said so
    size, fit      (width, height) of all images, and how others are brought to it
    class_weights  class -> weight of each of its images in the loss
    units          what some values of operations are multiples of: statistics of the training pictures
    left_out       class -> its images, of classes that are too small (--min-class); None where none is
    labels_lost    of each operation, the worst first; None where labels were not checked
    """

    format: int = FORMAT
    policy: PolicySummary
    balance: str
    source: str
    source_digest: str
    labels: str | None
    scale: Mapping[str, Scale] | None = field(default=None, metadata=OPTIONAL)
    max_pixels: int | None = field(default=None, metadata=OPTIONAL)
    size: tuple[int, int]
    fit: str
    classes: tuple[ClassCounts, ...]
    class_weights: Mapping[str, float]
    units: Mapping[str, float]
    left_out: Mapping[str, int] | None = field(default=None, metadata=OPTIONAL)
    labels_lost: tuple[LabelLoss, ...] | None
    notes: tuple[str, ...]
    classes_from: str | None = field(default=None, metadata=OPTIONAL)
    splits_from: str | None = field(default=None, metadata=OPTIONAL)
    groups_from: str | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr

    @property
    def decoding(self) -> Decoding:
        """How the pictures of the source were read."""
        return Decoding(self.scale or {}, self.max_pixels)


@dataclass(frozen=True, kw_only=True)
class CorruptedSet:
    """A set of the benchmark under one corruption, at one of its severities.

    name, role       its folder below benchmark/; "test", or "validation": what models may be selected by
    sets             sets of corruptions that it belongs to: "common", "blood", "microscopy"
    values           of the corruption's operation, in pixels and grey levels
    distance         from the clean pictures (see BenchmarkRecord)
    verdict          how the policy stands to it: "disjoint", "near" or "identical";  because  a sentence
    """

    name: str
    role: str
    corruption: str
    severity: int
    family: str
    sets: tuple[str, ...]
    values: Mapping[str, int | float]
    distance: float
    verdict: str
    because: str
    images: int

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class ComposedSet:
    """A set of the benchmark with `composed` corruptions at once; `corruption` is its name."""

    name: str
    role: str
    corruption: str
    composed: int
    verdict: str
    because: str
    images: int


@dataclass(frozen=True)
class ComposedTracks:
    """Severities that corruptions of composed sets are drawn at, and copies of each picture there."""

    severities: tuple[int, ...]
    copies: int

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class BenchmarkRecord:
    """benchmark.json: every set of the benchmark, in order.

    severities  "calibrated", or the preset that they were published in;  distance  what it is, in a sentence
    """

    format: int = FORMAT
    severities: str
    distance: str
    composed: ComposedTracks
    sets: tuple[CorruptedSet | ComposedSet, ...]

    __repr__ = short_repr


def read_plan(folder: Path) -> PlanRecord:
    """plan.json of a build's folder. Raises DataError where it is damaged or of another format."""
    # Its first release wrote no format.
    return _read_build_record(PlanRecord, folder / PLAN_FILE)


def read_benchmark(folder: Path) -> BenchmarkRecord | None:
    """benchmark.json of a build's folder, None where no benchmark was built. Raises DataError as `read_plan` does."""
    path = folder / BENCHMARK_FILE
    return _read_build_record(BenchmarkRecord, path) if path.is_file() else None


def _read_build_record(kind: type[D], path: Path) -> D:
    document = read_document(path, _REMEDY)
    if document.get("format", FORMAT) != FORMAT:
        raise DataError(f"{path} is of format {document['format']!r}; needed is {FORMAT}. {_REMEDY}")
    return record_of(kind, document, f"{path}", _REMEDY)
