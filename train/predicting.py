"""Pictures to class probabilities, as fast as the machine does it; and `predict`, for images without labels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from curate.builds import BUILT, PLAN_FILE, BuildManifest, read_plan
from curate.notebooks.progress import onlooker
from curate.sets.imageset import Unreadable
from curate.sets.scaling import Decoding
from curate.stage.engine import chunks, cores, threaded
from curate.stage.errors import DataError, OutputError, gist
from curate.stage.files import replacing, write_parquet
from curate.stage.manifest import FILE as MANIFEST
from curate.stage.manifest import read_manifest
from curate.stage.progress import Reporter, Stopwatch
from curate.stage.shortness import short_repr

from .configs import EvaluateConfig
from .devices import devices_of
from .filters import FILTERS
from .loading import load_model
from .metrics import METRICS, Metrics, PredictionFacts, RunMetrics, read_metrics
from .models import on_openvino
from .runs import find_model
from .sets import read_set

if TYPE_CHECKING:
    import keras
    import pandas as pd

A = TypeVar("A")
View = Callable[[np.ndarray], np.ndarray]

BATCH = 64
# Images that a converted model has to be right on, and how far its probabilities may be off.
SAMPLE, _TOLERANCE = 16, 1e-3


@dataclass(frozen=True, eq=False)
class Predictor:
    """Turns uint8 (n, H, W, 3) into class probabilities, float32 (n, K); safe to call from several threads.

    forward  the model, for any n;  size  (H, W)
    views    what test-time augmentation makes of a batch; probabilities are the mean over them
    filter   what is done to each picture before that, None for nothing
    engine   "openvino" or "keras";  note  for the person, "" if all is as one would expect
    """

    forward: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int]
    classes: tuple[str, ...]
    views: tuple[View, ...]
    filter: Callable[[np.ndarray], np.ndarray] | None
    workers: int
    engine: str
    note: str = ""

    __repr__ = short_repr

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.filter is not None:
            images = np.stack([self.filter(image) for image in images]) if len(images) else images
        total = np.zeros((len(images), len(self.classes)), np.float32)
        for view in self.views:
            total += self.forward(view(images))
        return total / len(self.views)

    def over(self, read: Callable[[A], np.ndarray], pieces: Iterable[A]) -> Iterator[np.ndarray]:
        """The probabilities of each piece, in order; `read` gives its images. On several threads."""
        return threaded(lambda piece: self(read(piece)), pieces, self.workers)


def _same(images: np.ndarray) -> np.ndarray:
    return images


def _dihedral(element: int) -> View:
    """One of the eight ways to lay down a square: from 4 on it is transposed first; bit 0 mirrors it, bit 1 turns it
    upside down."""

    def view(images: np.ndarray) -> np.ndarray:
        laid = images.swapaxes(1, 2) if element & 4 else images
        return np.ascontiguousarray(laid[:, :: -1 if element & 2 else 1, :: -1 if element & 1 else 1])

    return view


def zoomed(images: np.ndarray, zoom: float) -> np.ndarray:
    """uint8 (n, H, W, 3): the pictures as much larger, from their middle; of smaller ones the edge is mirrored."""
    import cv2

    height, width = images.shape[1:3]
    inner = round(height / max(zoom, 1)), round(width / max(zoom, 1))
    outer = round(height * min(zoom, 1)), round(width * min(zoom, 1))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    above, beside = (height - outer[0]) // 2, (width - outer[1]) // 2
    border = (above, height - outer[0] - above, beside, width - outer[1] - beside)
    out = np.empty_like(images)
    for image, zoomed_image in zip(images, out, strict=True):
        part = image[top : top + inner[0], left : left + inner[1]]
        scaled = cv2.resize(part, outer[::-1], interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
        zoomed_image[:] = cv2.copyMakeBorder(scaled, *border, cv2.BORDER_REFLECT_101)
    return out


def _zoom(zoom: float) -> View:
    return lambda images: zoomed(images, zoom)


# What the probabilities are averaged over: as it is; mirrored; all eight ways of a square; nearer and farther.
VIEWS: dict[str, tuple[View, ...]] = {
    "none": (_same,),
    "flips": (_same, *map(_dihedral, (1, 2, 3))),
    "dihedral": (_same, *map(_dihedral, range(1, 8))),
    "scales": (_same, _zoom(1.15), _zoom(0.87)),
}


def views_in_words(metrics: Metrics) -> str:
    """A few words on the views of each picture that the probabilities are a mean of; "" of a single one."""
    how = metrics.prediction.tta if metrics.prediction else "none"
    words = {"flips": "mirrored either way", "dihedral": "turned and mirrored", "scales": "nearer and farther"}
    return f"the mean of {len(VIEWS[how])} views ({words[how]})" if how in words else ""


def views_of(name: str, size: tuple[int, int]) -> tuple[View, ...]:
    """The views of test-time augmentation for pictures of (H, W).

    Raises DataError where they would have to be square and are not.
    """
    if name == "dihedral" and size[0] != size[1]:
        raise DataError(f"dihedral turns pictures by quarters, and these are {size[1]}x{size[0]}. Take flips.")
    return VIEWS[name]


def as_measured(model: Path, config: EvaluateConfig) -> EvaluateConfig:
    """With what the run that a .keras file lies in was measured with, where nothing else is asked for."""
    run = _metrics_beside(model)
    facts = run.prediction if run and run.prediction else PredictionFacts("", "none", "none")
    return replace(config, tta=config.tta or facts.tta, filter=config.filter or facts.filter)


def _metrics_beside(model: Path) -> RunMetrics | None:
    """The metrics of the run that a .keras file lies in, None where it lies in none."""
    return read_metrics(RunMetrics, model.parent) if (model.parent / METRICS).is_file() else None


def load_predictor(
    model: Path | keras.Model,
    sample: np.ndarray,
    classes: Sequence[str],
    config: EvaluateConfig = EvaluateConfig(),
    workers: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Predictor:
    """The predictor of a model, which is a .keras file or a model of Keras.

    sample   uint8 (n, H, W, 3), some sixteen real images
    classes  names of its classes;  workers  threads

    On a CPU with TensorFlow the model is converted to OpenVINO, several times faster, and tried on the sample:
    where its probabilities are not those of Keras to 0.001, or it cannot be converted, Keras itself predicts, and the
    note says so. Raises DataError where the model is not of these classes and this size.
    """
    import keras

    if isinstance(model, str | Path):
        model = load_model(model)
    size = (int(model.input_shape[1]), int(model.input_shape[2]))
    if model.output_shape[-1] != len(classes):
        raise DataError(
            f"the model has {model.output_shape[-1]} classes, and needed are {len(classes)}: "
            f"{', '.join(classes)}. Take a model that was fitted to them."
        )
    if sample.shape[1:3] != size:
        raise DataError(
            f"the model takes pictures of {size[1]}x{size[0]}, and these are {sample.shape[2]}x{sample.shape[1]}. "
            "Take a model that was fitted to pictures of that size."
        )
    views = views_of(config.tta or "none", size)
    devices = devices_of("one")
    model.jit_compile = devices.jit
    on_keras = _on_keras(model)
    forward, note = on_keras, ""
    if keras.backend.backend() == "tensorflow" and devices.describe == "the CPU":
        say("converting the model for the CPU")
        forward, note = _on_openvino(model, on_keras, sample[:SAMPLE], workers)
    engine = "keras" if forward is on_keras else "openvino"
    return Predictor(forward, size, tuple(classes), views, _filter(config.filter or "none"), workers, engine, note)


def _filter(name: str) -> Callable[[np.ndarray], np.ndarray] | None:
    return None if name == "none" else FILTERS[name]


def _on_keras(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The model's probabilities by Keras, one batch at a time, each of the same size lest it be compiled anew."""
    lock = threading.Lock()

    def forward(images: np.ndarray) -> np.ndarray:
        out = np.empty((len(images), model.output_shape[-1]), np.float32)
        for rows in chunks(len(images), BATCH):
            piece = images[rows.start : rows.stop]
            padded = np.zeros((BATCH, *images.shape[1:]), np.uint8)
            padded[: len(piece)] = piece
            with lock:
                out[rows.start : rows.stop] = np.asarray(model.predict_on_batch(padded))[: len(piece)]
        return out

    return forward


def _on_openvino(
    model: keras.Model, on_keras: Callable[[np.ndarray], np.ndarray], sample: np.ndarray, workers: int
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """(the model's probabilities by OpenVINO, or by Keras where it does not do; a note on that)."""
    import keras

    try:
        fast = on_openvino(model, "probabilities", workers)
    except Exception as error:  # of whatever kind: Keras can do it, and the note tells
        reason = gist(error)
        return on_keras, f"OpenVINO does not take this model ({reason}): predicting with Keras, more slowly"
    # Called and not predicted with, which would trace the model for sixteen images.
    expected = np.asarray(keras.ops.convert_to_numpy(model(sample, training=False)))
    off = float(np.abs(fast(sample) - expected).max(initial=0))
    if not off <= _TOLERANCE:
        return on_keras, f"OpenVINO is off by {off:.2g} on this model: predicting with Keras, more slowly"
    return fast, ""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a model says of images.

    path     the file written;  notes  what a person should know;  seconds  of each part of the work
    table    one row per image: id, predicted (the likeliest class), confidence (its probability), and p_<class>;
             "" and NaN of what cannot be decoded
    """

    path: Path
    table: pd.DataFrame
    notes: tuple[str, ...]
    seconds: dict[str, float]

    __repr__ = short_repr


def predict(
    model: str | Path,
    source: str | Path,
    config: EvaluateConfig = EvaluateConfig(),
    *,
    out: str | Path = "predictions.csv",
    artifacts: str | Path = "artifacts",
    workers: int = 0,
    reporter: Reporter | None = None,
) -> Predicted:
    """Predict the classes of images, of which no labels are needed, and write them as .csv or .parquet.

    model   name of a run, its folder, or a .keras file;  source  whatever `curate` reads, or a set of the build
    config  of it `tta` and `filter` are used; by default what the run was measured with

    Pictures of another size are cut to their middle and resized. Raises DataError, and OutputError where `out` cannot
    be written.
    """
    reporter = reporter or onlooker()
    import pandas as pd

    out = Path(out)
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise OutputError(f"{out} is neither .csv nor .parquet. Give --out a name that ends so.")
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise OutputError(f"{out} is what is read, and no input is overwritten. Write elsewhere (--out FILE).")
    workers = workers or cores()
    watch = Stopwatch()
    with watch.stage("loading"), reporter.stage("loading the model", None, ""):
        path = find_model(model, artifacts)
        loaded = load_model(path)
        size = (int(loaded.input_shape[1]), int(loaded.input_shape[2]))
        classes, note = classes_of(path, artifacts, int(loaded.output_shape[-1]))
        images = read_set(source, None, artifacts, size, decoding_of(path, artifacts))
        lost: list[int] = []

        def read(rows: Sequence[int]) -> np.ndarray:
            return _decoded_images(images.batch, rows, size, lost)

        sample = read(range(min(SAMPLE, len(images))))
        predictor = load_predictor(loaded, sample, classes, as_measured(path, config), workers, reporter.say)
    with watch.stage("predicting"), reporter.stage("predicting", len(images), "images") as advance:
        probabilities = np.empty((len(images), len(classes)), np.float32)
        pieces = list(chunks(len(images), BATCH))
        for rows, piece in zip(pieces, predictor.over(read, pieces), strict=True):
            probabilities[rows.start : rows.stop] = piece
            advance(rows.stop)
    unread = np.unique(np.array(lost, np.int64))
    names = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    names[unread], probabilities[unread] = "", np.nan
    table = pd.DataFrame(
        {"id": np.array(images.ids, dtype=object), "predicted": names, "confidence": probabilities.max(axis=1)}
        | {f"p_{name}": column for name, column in zip(classes, probabilities.T, strict=True)}
    )
    with watch.stage("writing"):
        _write_table(table, out)
    undone = f"{len(unread):,} images cannot be decoded, and have no class" if len(unread) else ""
    notes = (note, predictor.note, *images.notes, undone)
    return Predicted(out, table, tuple(filter(None, notes)), watch.seconds)


def classes_of(model: Path, artifacts: str | Path, count: int | None = None) -> tuple[tuple[str, ...], str]:
    """(names of the classes of a .keras file, a note): those of the run that it lies in, or of the built set.

    Numbers, where neither is there or has as many; `count` is of the model's, None where that is not known. Raises
    DataError where a run's are not as many.
    """
    run = _metrics_beside(model)
    if run is not None:
        if count not in (None, len(run.classes)):
            file = model.parent / METRICS
            raise DataError(f"{model} has {count} classes, and {file} has {len(run.classes)}. Run it again.")
        return run.classes, ""
    built = Path(artifacts, BUILT)
    if (built / PLAN_FILE).is_file():
        classes = tuple(read_plan(built).class_weights)
        if count in (None, len(classes)):
            return classes, ""
    return tuple(map(str, range(count or 0))), "the model's classes have no names here, and are numbered"


def decoding_of(model: Path, artifacts: str | Path) -> Decoding:
    """How a set from elsewhere is read for a .keras file: by the scale of what that was fitted to.

    Of the run that the file lies in, or of the built set; where neither has a scale the set's own is taken.
    """
    run, built = _metrics_beside(model), Path(artifacts, BUILT)
    manifest = read_manifest(BuildManifest, built) if (built / MANIFEST).is_file() else None
    max_pixels = manifest.max_pixels if manifest else None
    scale = run.scale if run else manifest.scale if manifest else None
    return Decoding(scale or {}, max_pixels, foreign=scale is not None)


def _decoded_images(
    batch: Callable[[Sequence[int]], np.ndarray], rows: Sequence[int], size: tuple[int, int], lost: list[int]
) -> np.ndarray:
    """The images of some rows; black ones for those that cannot be decoded, which are added to `lost`."""
    try:
        return batch(rows)
    except Unreadable:
        pass
    images = np.zeros((len(rows), *size, 3), np.uint8)
    for at, row in enumerate(rows):
        try:
            images[at] = batch([row])[0]
        except Unreadable:
            lost.append(row)
    return images


def _write_table(table: pd.DataFrame, out: Path) -> None:
    if out.suffix.lower() == ".parquet":
        write_parquet(table, out)
    else:
        with replacing(out) as file:
            table.to_csv(file, index=False, float_format="%.6g")
