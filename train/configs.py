"""The options of train's commands, as frozen dataclasses: defaults and what they mean live here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from curate.configs import backbone_names
from curate.stage.errors import DataError
from curate.stage.options import (
    RUNNING,
    Option,
    artifacts_option,
    check,
    metadata,
    option,
    section,
    seed_option,
    workers_option,
)

ATTENTIONS = ("none", "se", "cbam")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "lion", "ranger")
SCHEDULES = ("cosine", "step", "plateau", "constant")
CLASS_WEIGHTS = ("none", "balanced", "counts", "plan")
FLIPS = ("none", "flip", "dihedral")
BATCH_NORMS = ("frozen", "train")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SELECTIONS = ("corruptions", "clean", "loss")
TEST_TIME = ("none", "flips", "dihedral", "scales")
FILTERS = ("none", "high-pass", "denoise", "nucleus")
DEVICES = ("one", "all")
JOINS = ("mean", "weighted", "vote", "one-vs-rest")
SEARCHES = ("random", "bayesian", "hyperband")
# Bounds beyond which a number is a slip: penalties, rates and exponents; and epochs.
_STRONG, _EPOCHS = 1_000_000, 100_000
_LARGEST = 1e38  # a 32-bit float holds no more; a rate that is too high shows by itself, and is told then
MODEL, FITTING, MEASURING = "The model", "Fitting", "Measuring"
# The forms that a model is exported in (see exporting.TARGETS).
EXPORT_TARGETS = ("onnx", "tflite", "savedmodel", "openvino")


def known_backbones() -> Iterable[str]:
    """What may be fitted."""
    return ("cnn", *(name for name in backbone_names() if name != "builtin"))


def _resamples_option(group: str = "") -> int:
    return option(1000, "Bootstrap samples of each confidence interval.", group, at_least=1, at_most=1_000_000)


@dataclass(frozen=True)
class ModelConfig:
    """What is fitted: uint8 pictures of 0..255 in, class probabilities out, everything between inside the model."""

    backbone: tuple[str, ...] = option(
        ("auto",),
        "Names of Keras applications, cnn, or auto; the features of several are concatenated.",
        MODEL,
        names=known_backbones,
    )
    weights: str = option("imagenet", "Weights to start from: imagenet, random, or a file without the top.", MODEL)
    input_size: int | None = option(
        None,
        "Pixels a side that the backbone sees; by default 1.5 times the images' side, from 96 to 224.",
        MODEL,
        at_least=8,
        at_most=4096,
    )
    attention: str = option(
        "none", f"Block between backbone and pooling: {', '.join(ATTENTIONS)}.", MODEL, among=ATTENTIONS
    )
    dense: tuple[int, ...] = option(
        (), "Units of the dense layers before the last one, such as 256,128.", MODEL, at_least=1, at_most=65_536
    )
    dropout: float = option(0.2, "Share dropped before each dense layer.", MODEL, share=True)
    head_norm: bool = option(False, "Batch normalisation after each of the dense layers before the last one.", MODEL)
    l2: float = option(0.0, "L2 penalty of the weights of the dense layers.", MODEL, at_least=0, at_most=_STRONG)

    def __post_init__(self) -> None:
        if not self.backbone:
            raise DataError("no backbone is named; needed is one at least, such as MobileNetV2-0.35, or auto.")
        if len(self.backbone) > 1 and self.weights not in ("imagenet", "random"):
            raise DataError(f"one weights file cannot serve {len(self.backbone)} backbones. Name one of them.")
        check(self)


@dataclass(frozen=True)
class FitConfig:
    """How it is fitted: first a probe on frozen features, then stages in which more of the backbone is trained.

    unfreeze, epochs and learning_rate have a value for each stage; the last one goes on where there are fewer.
    """

    probe: bool = option(True, "Begin with the head alone, on features computed once.", FITTING)
    unfreeze: tuple[float, ...] = option(
        (0.6,), "Share of the backbone's layers trained, from its end, by stage.", FITTING, share=True
    )
    epochs: tuple[int, ...] = option(
        (10,), "Epochs of each stage; 0 keeps the probe.", FITTING, at_least=0, at_most=_EPOCHS
    )
    learning_rate: tuple[float, ...] = option(
        (5e-4,), "Highest learning rate of each stage.", FITTING, at_most=_LARGEST
    )
    batch_norm: str = option(
        "frozen", "Batch normalisation of the backbone: frozen, or train.", FITTING, among=BATCH_NORMS
    )
    optimizer: str = option("adamw", f"{', '.join(OPTIMIZERS)}.", FITTING, among=OPTIMIZERS)
    momentum: float = option(0.9, "Momentum of sgd and rmsprop.", FITTING, share=True)
    weight_decay: float = option(
        0.01, "Decoupled weight decay of adamw, lion and ranger.", FITTING, at_least=0, at_most=_STRONG
    )
    schedule: str = option(
        "cosine", f"Schedule of the learning rate: {', '.join(SCHEDULES)}.", FITTING, among=SCHEDULES
    )
    warmup: float = option(
        0.1, "Share of a stage in which the learning rate rises from 0; cosine only.", FITTING, share=True
    )
    clip: float = option(1.0, "Largest norm of a gradient; 0 does not clip.", FITTING, at_least=0, at_most=_STRONG)
    ema: float = option(
        0.99,
        "Momentum of the moving average of the weights, which is kept; 0 keeps the last weights.",
        FITTING,
        share=True,
    )
    precision: str = option("float32", f"{', '.join(PRECISIONS)}.", FITTING, among=PRECISIONS)
    batch: int = option(64, "Images a step.", FITTING, at_least=1, at_most=65_536)
    label_smoothing: float = option(0.1, "Share of each label spread over all classes.", FITTING, share=True)
    focal: float = option(0.0, "Gamma of the focal loss; 0 is cross-entropy.", FITTING, at_least=0, at_most=_STRONG)
    class_weights: str = option(
        "plan",
        "none, balanced (N/(K C_j)), counts (N/C_j), or plan: those that augment build has written down.",
        FITTING,
        among=CLASS_WEIGHTS,
    )
    flips: str = option(
        "dihedral", f"Random flips and turns of each image at each epoch: {', '.join(FLIPS)}.", FITTING, among=FLIPS
    )
    mixup: float = option(0.0, "Alpha of MixUp on the batch; 0 is none.", FITTING, at_least=0, at_most=_STRONG)
    cutmix: float = option(0.0, "Alpha of CutMix on the batch; 0 is none.", FITTING, at_least=0, at_most=_STRONG)
    mix: float = option(
        0.5, "Share of the batches that are mixed, where mixup or cutmix is given.", FITTING, share=True
    )
    jsd: float = option(
        0.0,
        "Weight of AugMix' consistency between an image and two of its copies; 0 is none.",
        FITTING,
        at_least=0,
        at_most=_STRONG,
    )
    refine: int = option(
        0,
        "Leave out of each class the smallest of so many K-means clusters; 0 leaves all in.",
        FITTING,
        at_least=0,
        at_most=1000,
    )
    select: str = option(
        "corruptions",
        f"Measure on val by which the best epoch is kept: {', '.join(SELECTIONS)}.",
        FITTING,
        among=SELECTIONS,
    )
    patience: int = option(
        0, "Stop a stage after so many epochs without a better one; 0 never does.", FITTING, at_least=0, at_most=_EPOCHS
    )
    folds: int = option(
        0,
        "Fit so many times, each on all but one fold of train by groups; 0 uses val.",
        FITTING,
        at_least=0,
        at_most=1000,
    )
    seeds: int = option(1, "Fit so many times, from seed on.", FITTING, at_least=1, at_most=1000)
    devices: str = option("one", "Devices to fit on: one, or all that the machine has.", FITTING, among=DEVICES)
    tensorboard: bool = option(False, "Write logs for TensorBoard.", FITTING)

    def __post_init__(self) -> None:
        for name in ("unfreeze", "epochs", "learning_rate"):
            if not getattr(self, name):
                raise DataError(f"{name} is empty; needed is a value for each stage, such as 0.3,0.6.")
        for rate in self.learning_rate:
            if not rate > 0:
                raise DataError(f"learning_rate is {rate}; needed is a number above 0.")
        check(self)
        for name in ("folds", "refine"):
            if getattr(self, name) == 1:
                raise DataError(f"{name} is 1; needed are 2 at least, or 0 for none.")
        if self.jsd and (self.mixup or self.cutmix):
            raise DataError("jsd compares an image with its copies, and mixup or cutmix would mix them. Leave one out.")

    @property
    def stages(self) -> tuple[tuple[float, int, float], ...]:
        """(unfreeze, epochs, learning rate) of each stage."""
        count = max(len(self.unfreeze), len(self.epochs), len(self.learning_rate))
        long = [
            values + values[-1:] * (count - len(values)) for values in (self.unfreeze, self.epochs, self.learning_rate)
        ]
        return tuple(zip(*long, strict=True))


@dataclass(frozen=True)
class EvaluateConfig:
    """How a model is measured.

    tta and filter are None where nobody has asked for any: a run takes what `views_fitted` tells, and no filter; what
    comes after it, whatever the run was measured with.
    """

    benchmark: bool = option(True, "Measure on the benchmark too.", MEASURING)
    external: tuple[str, ...] = option(
        (),
        "Files or folders of external images; classes are matched by name. Repeat, or separate by commas.",
        MEASURING,
    )
    tta: str | None = option(
        None,
        f"Test-time augmentation: {', '.join(TEST_TIME)}. By default flips for --flips dihedral; "
        "afterwards as the run was measured.",
        MEASURING,
        among=TEST_TIME,
    )
    filter: str | None = option(
        None,
        f"Filter of each picture before prediction: {', '.join(FILTERS)}; by default as the run was measured.",
        MEASURING,
        among=FILTERS,
    )
    baseline: str | None = option(None, "Run by whose errors the errors under corruption are divided.", MEASURING)
    resamples: int = _resamples_option(MEASURING)

    def __post_init__(self) -> None:
        check(self)


def views_fitted(fit: FitConfig) -> str:
    """The test-time augmentation that shows a model nothing but what it was fitted to."""
    return "flips" if fit.flips == "dihedral" else "none"


@dataclass(frozen=True)
class RunConfig:
    """A run: what `train baseline` and the other recipes do. Its sections are those of a recipe's file.

    recipe  name of the recipe, or path of a .toml
    """

    model: ModelConfig = section(ModelConfig)
    fit: FitConfig = section(FitConfig)
    evaluate: EvaluateConfig = section(EvaluateConfig)
    recipe: str = "baseline"
    artifacts: str = artifacts_option()
    name: str | None = option(None, "Name of the run's folder; by default the recipe's.")
    resume: bool = option(False, "Go on where an interrupted run of the same options stopped.", RUNNING, switch=True)
    workers: int = workers_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class MeasureConfig:
    """Where a model is measured, and what is written of it: the other options of `train evaluate`."""

    out: str | None = option(None, "JSON file of all measures.", path=True)
    artifacts: str = artifacts_option()
    workers: int = workers_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CompareConfig:
    """How runs are compared: the options of `train compare`."""

    artifacts: str = artifacts_option()
    resamples: int = _resamples_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EnsembleConfig:
    """How runs become one: the options of `train ensemble`.

    how  mean      of the probabilities
         weighted  their mean, by how well each run does on the validation part of the benchmark
         vote      the class that most runs say; of equals that with the higher mean probability
         one-vs-rest  of each class the probability by the run that tells it best from the rest on that part
    """

    how: str = option(
        "mean", f"How to join: {', '.join(JOINS[:-1])} or {JOINS[-1]}.", among=JOINS, noun="way to join runs"
    )
    name: str = option("ensemble", "Name of the run's folder.")
    artifacts: str = artifacts_option()
    resamples: int = _resamples_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ExplainConfig:
    """Which images are shown: the options of `train explain`."""

    images: tuple[str, ...] = option((), "Ids of test images to show. Repeat, or separate by commas.", metavar="ID")
    artifacts: str = artifacts_option()


@dataclass(frozen=True)
class PredictConfig:
    """Where predictions go: the other options of `train predict`."""

    out: str = option("predictions.csv", "A .csv or .parquet file.", path=True)
    artifacts: str = artifacts_option()
    workers: int = workers_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ModelExportConfig:
    """How a model is exported: the options of `train export`."""

    to: str = field(
        metadata=metadata(Option("Format: onnx, tflite, savedmodel or openvino.", names=lambda: EXPORT_TARGETS))
    )
    out: str | None = option(None, "Folder; by default export/ beside the model.", path=True)
    force: bool = option(False, "Replace what is there.", switch=True)
    artifacts: str = artifacts_option()


@dataclass(frozen=True)
class TuneConfig:
    """How to search: the options of `train tune` that are no recipe's.

    how  "random", "bayesian" (after some random ones, by a Gaussian process of the scores), or "hyperband" (many short
         fits, and ever longer ones of those that do best; it may end before so many trials)
    """

    space: str | None = option(None, "A .toml of the search space; by default the built-in one.", path=True)
    how: str = option(
        "random", f"How to search: {', '.join(SEARCHES[:-1])} or {SEARCHES[-1]}.", among=SEARCHES, noun="way to search"
    )
    trials: int = option(20, "Most trials.", at_least=1, at_most=100_000)
    trial_epochs: int = option(3, "Epochs of each stage of a trial; 0 takes the recipe's.", at_least=0, at_most=_EPOCHS)

    def __post_init__(self) -> None:
        check(self)
