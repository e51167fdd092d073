"""The options of each command, as frozen dataclasses: defaults and what they mean live here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from curate.stage.errors import DataError, UnknownName

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


def _option(default: Any, says: str) -> Any:
    """A field with the sentence that the command line shows for it."""
    return field(default=default, metadata={"help": says})


@dataclass(frozen=True)
class ModelConfig:
    """What is fitted: uint8 pictures of 0..255 in, class probabilities out, everything between inside the model."""

    backbone: tuple[str, ...] = _option(
        ("auto",), "Names of Keras applications, cnn, or auto; the features of several are concatenated."
    )
    weights: str = _option("imagenet", "Weights to start from: imagenet, random, or a file without the top.")
    input_size: int | None = _option(
        None, "Pixels a side that the backbone sees; by default the images' own and a half more, from 96 to 224."
    )
    attention: str = _option("none", f"Block between backbone and pooling: {', '.join(ATTENTIONS)}.")
    dense: tuple[int, ...] = _option((), "Units of the dense layers before the last one, such as 256,128.")
    dropout: float = _option(0.2, "Share dropped before each dense layer.")
    head_norm: bool = _option(False, "Batch normalisation after each of the dense layers before the last one.")
    l2: float = _option(0.0, "L2 penalty of the weights of the dense layers.")

    def __post_init__(self) -> None:
        if not self.backbone:
            raise DataError("no backbone is named; needed is one at least, such as MobileNetV2-0.35, or auto.")
        if len(self.backbone) > 1 and self.weights not in ("imagenet", "random"):
            raise DataError(f"one weights file cannot serve {len(self.backbone)} backbones. Name one of them.")
        _among("attention", self.attention, ATTENTIONS)
        _at_least("input_size", self.input_size, 8)
        _share("dropout", self.dropout)
        _at_least("l2", self.l2, 0)
        for units in self.dense:
            _at_least("dense", units, 1)


@dataclass(frozen=True)
class FitConfig:
    """How it is fitted: first a probe on frozen features, then stages in which more of the backbone is trained.

    unfreeze, epochs and learning_rate have a value for each stage; the last one goes on where there are fewer.
    """

    probe: bool = _option(True, "Begin with the head alone, on features computed once.")
    unfreeze: tuple[float, ...] = _option((0.6,), "Share of the backbone's layers trained, from its end, by stage.")
    epochs: tuple[int, ...] = _option((10,), "Epochs of each stage; 0 leaves it at the probe.")
    learning_rate: tuple[float, ...] = _option((5e-4,), "Highest learning rate of each stage.")
    batch_norm: str = _option("frozen", "Batch normalisation of the backbone: frozen, or train.")
    optimizer: str = _option("adamw", f"{', '.join(OPTIMIZERS)}.")
    momentum: float = _option(0.9, "Of sgd and rmsprop.")
    weight_decay: float = _option(0.01, "Decoupled weight decay of adamw, lion and ranger.")
    schedule: str = _option("cosine", f"Of the learning rate: {', '.join(SCHEDULES)}.")
    warmup: float = _option(0.1, "Share of a stage in which the learning rate rises from 0; cosine only.")
    clip: float = _option(1.0, "Largest norm of a gradient; 0 does not clip.")
    ema: float = _option(
        0.99, "Momentum of the moving average of the weights, which is what is kept; 0 keeps the last."
    )
    precision: str = _option("float32", f"{', '.join(PRECISIONS)}.")
    batch: int = _option(64, "Images a step.")
    label_smoothing: float = _option(0.1, "Share of each label spread over all classes.")
    focal: float = _option(0.0, "Gamma of the focal loss; 0 is cross-entropy.")
    class_weights: str = _option(
        "plan", "none, balanced (N/(K C_j)), counts (N/C_j), or plan: those that augment build has written down."
    )
    flips: str = _option("dihedral", f"Each image anew at each epoch: {', '.join(FLIPS)}.")
    mixup: float = _option(0.0, "Alpha of MixUp on the batch; 0 is none.")
    cutmix: float = _option(0.0, "Alpha of CutMix on the batch; 0 is none.")
    mix: float = _option(0.5, "Share of the batches that are mixed, where mixup or cutmix is given.")
    jsd: float = _option(0.0, "Weight of AugMix' consistency between an image and two of its copies; 0 is none.")
    refine: int = _option(0, "Leave out of each class the smallest of so many K-means clusters; 0 leaves all in.")
    select: str = _option("corruptions", f"By which measure on val the best epoch is kept: {', '.join(SELECTIONS)}.")
    patience: int = _option(0, "Stop a stage after so many epochs without a better one; 0 never does.")
    folds: int = _option(0, "Fit so many times, each on all but one fold of train by groups; 0 uses val.")
    seeds: int = _option(1, "Fit so many times, from seed on.")
    devices: str = _option("one", "one, or all that the machine has.")
    tensorboard: bool = _option(False, "Write logs for TensorBoard.")

    def __post_init__(self) -> None:
        for name in ("unfreeze", "epochs", "learning_rate"):
            if not getattr(self, name):
                raise DataError(f"{name} is empty; needed is a value for each stage, such as 0.3,0.6.")
        for share in self.unfreeze:
            _share("unfreeze", share)
        for count in self.epochs:
            _at_least("epochs", count, 0)
        for rate in self.learning_rate:
            if not rate > 0:
                raise DataError(f"learning_rate is {rate}; needed is a number above 0.")
        for name, known in (
            ("batch_norm", BATCH_NORMS),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("class_weights", CLASS_WEIGHTS),
            ("flips", FLIPS),
            ("select", SELECTIONS),
            ("devices", DEVICES),
        ):
            _among(name, getattr(self, name), known)
        for name in ("momentum", "warmup", "ema", "label_smoothing", "mix"):
            _share(name, getattr(self, name))
        for name, least in (
            ("weight_decay", 0), ("clip", 0), ("batch", 1), ("focal", 0), ("mixup", 0), ("cutmix", 0), ("jsd", 0),
            ("refine", 0), ("patience", 0), ("folds", 0), ("seeds", 1),
        ):  # fmt: skip
            _at_least(name, getattr(self, name), least)
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

    benchmark: bool = _option(True, "Measure on the benchmark too.")
    external: tuple[str, ...] = _option((), "Files or folders of images from elsewhere; classes are matched by name.")
    tta: str | None = _option(
        None,
        f"Test-time augmentation: {', '.join(TEST_TIME)}. By default flips where fitting turned the pictures "
        "(--flips dihedral), and what a run was measured with ever after.",
    )
    filter: str | None = _option(
        None, f"What is done to a picture before it is predicted: {', '.join(FILTERS)}; by default as the run was."
    )
    baseline: str | None = _option(None, "A run whose errors those under corruption are divided by.")
    resamples: int = _option(1000, "Bootstrap samples of each confidence interval.")

    def __post_init__(self) -> None:
        for name, known in (("tta", TEST_TIME), ("filter", FILTERS)):
            if getattr(self, name) is not None:
                _among(name, getattr(self, name), known)
        _at_least("resamples", self.resamples, 1)


def views_fitted(fit: FitConfig) -> str:
    """The test-time augmentation that shows a model nothing but what it was fitted to."""
    return "flips" if fit.flips == "dihedral" else "none"


@dataclass(frozen=True)
class RunConfig:
    """A run: what `train baseline` and the other recipes do. Its sections are those of a recipe's file.

    recipe     name of the recipe, or path of a .toml
    artifacts  where `built/` is, and `runs/` is written
    name       of the run's folder; the recipe's by default
    resume     go on where an interrupted run of the same options stopped
    workers    threads; 0 means one per core
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    recipe: str = "baseline"
    artifacts: str = "artifacts"
    name: str | None = None
    resume: bool = False
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least("workers", self.workers, 0)
        _at_least("seed", self.seed, 0)


@dataclass(frozen=True)
class EnsembleConfig:
    """How runs become one. Every option of `train ensemble` is a field of this.

    how        mean      of the probabilities
               weighted  their mean, by how well each run does on the validation part of the benchmark
               vote      the class that most runs say; of equals that with the higher mean probability
               one-vs-rest  of each class the probability by the run that tells it best from the rest on that part
    name       of the new run
    resamples  bootstrap samples of each interval
    """

    how: str = "mean"
    name: str = "ensemble"
    artifacts: str = "artifacts"
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in JOINS:
            raise UnknownName.among("way to join runs", self.how, JOINS)
        if self.resamples < 1:
            raise DataError(f"resamples is {self.resamples}; needed is 1 or more.")


def _among(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownName.among(what.replace("_", " "), name, known)


def _at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise DataError(f"{name} is {value}; needed is a number from {least}.")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise DataError(f"{name} is {value}; needed is a share from 0 to 1.")
