"""metrics.json as frozen dataclasses: every number of a run, of an ensemble, and of an evaluation.

Attributes are called as the keys of the file, and stand in its order (docs/files.md says what each means); a key that
is no name in Python has its own: `class` is `class_name`. What was not measured is None, and then not in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from curate.sets.scaling import Scale
from curate.stage.records import OPTIONAL, named, read_record, write_record
from curate.stage.shortness import short_repr

METRICS = "metrics.json"
FORMAT = 1
Interval = tuple[float, float]
"""The lower and the upper end."""


# A set of images


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1: means over classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of a class, None where no image is of it; support: its images."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class WorstClass:
    """The class that is recognised least often."""

    class_name: str = field(metadata=named("class"))
    recall: float


@dataclass(frozen=True, kw_only=True)
class SetMeasures:
    """All measures of a set of labelled images. To add one, add a field here and a line where measures.py fills it in.

    images     those with a label
    interval   of the accuracy;  intervals  of some other measures, by name
    auc        None where a class has no image
    confusion  a row per true class, a column per predicted one
    """

    images: int
    accuracy: float
    interval: Interval
    balanced_accuracy: float
    macro: Scores
    weighted: Scores
    auc: float | None
    ece: float
    brier: float
    per_class: Mapping[str, ClassScores]
    worst_class: WorstClass
    confusion: tuple[tuple[int, ...], ...]
    intervals: Mapping[str, Interval]

    __repr__ = short_repr


@dataclass(frozen=True)
class Unlabelled:
    """A set of images without a single label, of which nothing can be measured."""

    images: int = 0


@dataclass(frozen=True)
class SetFacts:
    """What a set of predictions.parquet is of: see predictions.Track."""

    role: str
    corruption: str = ""
    severity: int = 0
    family: str = ""
    verdict: str = ""


# Under corruption


@dataclass(frozen=True)
class Accuracy:
    """A share that is right, and its interval."""

    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class VerdictMeasures:
    """A mean over the corruptions that the training policy stands to alike."""

    corruptions: int
    mean_accuracy: float
    interval: Interval


@dataclass(frozen=True)
class CorruptionMeasures:
    """One corruption: its mean, and each severity with its interval."""

    family: str
    verdict: str
    accuracy: float
    interval: Interval
    severities: Mapping[str, float]
    intervals: Mapping[str, Interval]

    __repr__ = short_repr


@dataclass(frozen=True)
class ComposedMeasures:
    """A track of several corruptions at once."""

    verdict: str
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class RelativeErrors:
    """Errors under corruption divided by those of another run; None where that errs in nothing."""

    run: str
    ce: Mapping[str, float | None]
    mce: float | None
    relative_ce: Mapping[str, float | None]
    relative_mce: float | None

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class ShiftMeasures:
    """Images under corruption. Of composed tracks alone there is no mean over single corruptions, nor what follows it.

    sources   of which the images were made
    gap       by how much the same pictures are more often right when clean
    severities, corruptions, per_class  by the severity, the corruption, the class
    composed  by the track
    """

    images: int | None = field(default=None, metadata=OPTIONAL)
    sources: int | None = field(default=None, metadata=OPTIONAL)
    mean_accuracy: float | None = field(default=None, metadata=OPTIONAL)
    interval: Interval | None = field(default=None, metadata=OPTIONAL)
    mean_corruption_error: float | None = field(default=None, metadata=OPTIONAL)
    clean_accuracy: float | None = field(default=None, metadata=OPTIONAL)
    gap: float | None = field(default=None, metadata=OPTIONAL)
    gap_interval: Interval | None = field(default=None, metadata=OPTIONAL)
    severities: Mapping[str, float] | None = field(default=None, metadata=OPTIONAL)
    corruptions: Mapping[str, CorruptionMeasures] | None = field(default=None, metadata=OPTIONAL)
    disjoint: VerdictMeasures | None = field(default=None, metadata=OPTIONAL)
    near: VerdictMeasures | None = field(default=None, metadata=OPTIONAL)
    identical: VerdictMeasures | None = field(default=None, metadata=OPTIONAL)
    per_class: Mapping[str, float] | None = field(default=None, metadata=OPTIONAL)
    worst_class: WorstClass | None = field(default=None, metadata=OPTIONAL)
    composed: Mapping[str, ComposedMeasures] | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class Benchmark(ShiftMeasures):
    """The test images under the corruptions to measure on; baseline: errors relative to those of another run."""

    images: int = field()
    sources: int = field()
    composed: Mapping[str, ComposedMeasures] = field()
    baseline: RelativeErrors | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class SelectionScores:
    """Accuracy on each part to select by that is there (clean, corruptions, composed), and their mean."""

    score: float | None
    scores: Mapping[str, float]

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class Selection(ShiftMeasures, SelectionScores):
    """The val images, and these under the corruptions to select by: what may be chosen by."""

    __repr__ = short_repr


# Calibration, slices


@dataclass(frozen=True)
class Reliability:
    """Of each bin of confidence that holds images: how many, their mean confidence, and the share that is right."""

    images: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class SetCalibration:
    """The calibration error of a set, as it is and with logits divided by the temperature."""

    ece: float
    ece_tempered: float
    reliability: Reliability


@dataclass(frozen=True)
class Calibration:
    """The temperature that fits val best, and what it does to each set."""

    temperature: float
    sets: Mapping[str, SetCalibration]

    __repr__ = short_repr


@dataclass(frozen=True)
class Contrast:
    """The accuracy of some images against that of the rest; p of there being no difference."""

    accuracy: float
    interval: Interval
    rest: float
    rest_interval: Interval
    difference: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The test images in which a check of the scan found something, against the rest.

    share       of all test images
    class_name  the class that most of them are of, and class_share: the share of them that are
    """

    slice: str
    images: int
    share: float
    class_name: str = field(metadata=named("class"))
    class_share: float
    clean: Contrast
    benchmark: Contrast | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class PredictionFacts:
    """How pictures became probabilities: the engine, test-time augmentation, and the filter before it."""

    engine: str
    tta: str
    filter: str


# The file


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What `train evaluate --out` writes: every measure of a model, but for what only a run or an ensemble knows.

    classes   in the order of the probabilities;  sets  of predictions.parquet, by name
    clean     the test images as they are;  external  sets from elsewhere, by name
    slices    those that lose most first
    scale     kind of values -> the scale that pictures become 8 bits by, as those did that the model was fitted to
    """

    classes: tuple[str, ...]
    sets: Mapping[str, SetFacts]
    train: SetMeasures | None = field(default=None, metadata=OPTIONAL)
    val: SetMeasures | None = field(default=None, metadata=OPTIONAL)
    clean: SetMeasures | None = field(default=None, metadata=OPTIONAL)
    benchmark: Benchmark | None = field(default=None, metadata=OPTIONAL)
    external: Mapping[str, SetMeasures | Unlabelled]
    calibration: Calibration | None
    selection: Selection
    slices: tuple[Slice, ...] | None = field(default=None, metadata=OPTIONAL)
    prediction: PredictionFacts | None = field(default=None, metadata=OPTIONAL)
    scale: Mapping[str, Scale] | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr

    @property
    def external_measures(self) -> dict[str, SetMeasures]:
        """Those sets from elsewhere that have labels."""
        return {name: measures for name, measures in self.external.items() if isinstance(measures, SetMeasures)}


@dataclass(frozen=True)
class ModelFacts:
    """The model of a run: its backbones, the pixels a side that they see, and the weights that they began with."""

    backbones: tuple[str, ...]
    input_side: int
    parameters: int
    weights: str

    __repr__ = short_repr


@dataclass(frozen=True)
class KeptEpoch:
    """The epoch whose weights were kept; stage 0 is the probe."""

    stage: int
    epoch: int
    score: float


@dataclass(frozen=True)
class FitFacts:
    """How a fit went: the epoch that was kept, by which measure, and how many there were."""

    kept: KeptEpoch
    by: str
    epochs: int


@dataclass(frozen=True)
class Spread:
    """One accuracy over several fits."""

    mean: float
    sd: float
    values: tuple[float, ...]

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What stands before the measures of a run."""

    format: int = FORMAT
    recipe: str
    model: ModelFacts
    fit: FitFacts


@dataclass(frozen=True, kw_only=True)
class RunMetrics(Metrics, RunFacts):
    """metrics.json of a run; best and spread: of several fits, the best one's folder, and how far they differ."""

    best: str | None = field(default=None, metadata=OPTIONAL)
    spread: Mapping[str, Spread] | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr


@dataclass(frozen=True)
class EnsembleFacts:
    """How runs were joined, and what each member counts, or counts for each class."""

    how: str
    members: Mapping[str, float | tuple[float, ...]]

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class EnsembleMetrics(Metrics):
    """metrics.json of an ensemble."""

    model: EnsembleFacts

    __repr__ = short_repr


M = TypeVar("M", bound=Metrics)


def read_metrics(kind: type[M], folder: Path) -> M:
    """The metrics of a run's folder. Raises DataError where they are not whole, or hold what is not known."""
    return read_record(kind, folder / METRICS, "Run it again.")


def write_metrics(metrics: Metrics, folder: Path) -> Path:
    """Write metrics.json, in which numbers that are none become null. Raises OutputError."""
    return write_record(metrics, folder / METRICS)
