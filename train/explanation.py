"""What a model looks at (Grad-CAM), which images are hardest for it, and the pictures that show both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.notebooks.progress import onlooker
from curate.sets.outputs import sign_png
from curate.stage.engine import chunks
from curate.stage.errors import DataError
from curate.stage.files import replacing
from curate.stage.progress import Reporter, Silent

from .autodiff import gradient_of
from .filters import FILTERS
from .inputs import RunInputs
from .loading import load_model
from .panels import Case, Explained, Panel, Picture
from .predictions import Track, predictions_of, track_of
from .robustness import by_corruption
from .runs import GRADCAM, HARDEST, read_run
from .sets import LabelledSet, read_built, read_set

if TYPE_CHECKING:
    import keras
    import pandas as pd

CLASSES_SHOWN, WRONG_SHOWN, SHIFTED_SHOWN = 16, 8, 6
HARDEST_KEPT, HARDEST_SHOWN = 100, 16
SELECTED = "gradcam-images.png"
_BATCH = 16
_MAP = re.compile(r"pool_\d+")
if TYPE_CHECKING:
    # From the maps that are pooled to logits.
    Logits = Callable[[list[keras.KerasTensor]], keras.KerasTensor]


def heat_maps(model: keras.Model, images: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """float32 (n, H, W), 0..1: how much each place speaks for a class, 1 where most (Grad-CAM, Selvaraju et al. 2017).

    model    laid out as train's models are: any number of backbones, pooled and joined
    images   uint8 (n, H, W, 3) of the model's size;  classes  int (n,), the likeliest ones by default

    Of several backbones the maps are added as each adds to the logit: a weight is the gradient's sum over the places
    and not its mean, which is the same for one alone. All zeros where nothing speaks for the class. Raises DataError
    for a model of another layout.
    """
    front, back = _halves(model)
    pieces = []
    for rows in chunks(len(images), _BATCH):
        part = slice(rows.start, rows.stop)
        pieces.append(_heat(front, back, images[part], None if classes is None else np.asarray(classes)[part]))
    return np.concatenate(pieces) if pieces else np.zeros(images.shape[:3], np.float32)


def _halves(model: keras.Model) -> tuple[Callable[[np.ndarray], list[np.ndarray]], Logits]:
    """From pictures to the maps that are pooled, and from these to logits."""
    import keras

    maps = _maps(model)
    front = keras.Model(model.input, maps)
    back = keras.Model(maps if len(maps) > 1 else maps[0], model.get_layer("probabilities").input)

    def features(images: np.ndarray) -> list[np.ndarray]:
        pooled = keras.tree.flatten(front(keras.ops.convert_to_tensor(images), training=False))
        return [np.asarray(keras.ops.convert_to_numpy(tensor), np.float32) for tensor in pooled]

    return features, lambda tensors: back(tensors if len(tensors) > 1 else tensors[0], training=False)


def _maps(model: keras.Model) -> list[keras.KerasTensor]:
    """The maps that are pooled, as tensors of the whole model. Raises DataError where there are none."""
    names = [layer.name for layer in model.layers]
    pools = [layer for layer in model.layers if _MAP.fullmatch(layer.name)]
    if not pools or "probabilities" not in names:
        raise DataError(
            f"model {model.name!r} has no layers named pool_0 and probabilities, between which Grad-CAM looks; "
            "needed is one that `train` has made."
        )
    # A layer's input belongs to the whole model; the output of a nested one would belong to that alone.
    return [layer.input for layer in pools]


def _heat(
    front: Callable[[np.ndarray], list[np.ndarray]],
    back: Logits,
    images: np.ndarray,
    classes: np.ndarray | None,
) -> np.ndarray:
    import cv2
    import keras

    maps = front(images)
    if classes is None:
        logits = back(list(map(keras.ops.convert_to_tensor, maps)))
        classes = keras.ops.convert_to_numpy(keras.ops.argmax(logits, axis=-1))
    rows = keras.ops.convert_to_tensor(np.asarray(classes)[:, None].astype(np.int32))

    def logit(tensors: list[keras.KerasTensor]) -> keras.KerasTensor:
        return keras.ops.take_along_axis(keras.ops.cast(back(tensors), "float32"), rows, axis=1)

    _, gradients = gradient_of(logit, maps)
    height, width = images.shape[1:3]
    heat = np.zeros((len(images), height, width), np.float32)
    for pooled, gradient in zip(maps, gradients, strict=True):
        weighed = (pooled * gradient.sum(axis=(1, 2), keepdims=True)).sum(axis=-1)
        heat += np.stack([cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR) for part in weighed])
    heat = np.maximum(heat, 0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(heat, most, out=np.zeros_like(heat), where=most > 0))


# Which cases are shown


def panels(predictions: pd.DataFrame, tracks: Sequence[Track]) -> tuple[Panel, ...]:
    """The cases that tell most, chosen by confidence alone: the same predictions give the same ones.

    predictions  as in predictions.parquet;  tracks  of those sets that are to be shown
    """
    table = _labelled_rows(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))]
    right = _surest(clean[clean["right"]]).drop_duplicates("label").sort_values("label", kind="stable")
    surest = "The most confident ones first."
    elsewhere = [track.name for track in tracks if track.role == "external"]
    shown = [
        Panel(
            "Right, with high confidence", "The most confident one of each class.", (_cases(right.head(CLASSES_SHOWN)),)
        ),
        Panel("Wrong on clean pictures", surest, (_worst(clean),)),
        *(Panel(f"Wrong on {name}", surest, (_worst(table[table["set"] == name]),)) for name in elsewhere),
        _shifted(table, tracks),
    ]
    return tuple(panel for panel in shown if panel.cases)


def panel_of(predictions: pd.DataFrame, tracks: Sequence[Track], images: Sequence[str]) -> Panel:
    """One row for each of these test images: clean, mildly and severely under what misleads most, and composed.

    images  ids of the clean test. Raises DataError for one that is not among the predictions.
    """
    table = _labelled_rows(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))]
    sources = dict(zip(clean["id"], clean["source"], strict=True))
    for name in images:
        if name not in sources:
            few = ", ".join(list(sources)[:5])
            raise DataError(f"no test image {name!r} in this run. There are {len(sources):,}, such as {few}.")
    rows = tuple(_row(table[table["source"] == sources[name]], tracks, _ladders(tracks)) for name in images)
    return Panel(
        "As asked for", "One picture a row: clean, under the corruption that misleads most, and composed.", rows
    )


def _clean(tracks: Iterable[Track]) -> list[str]:
    """Names of the clean test sets."""
    return [track.name for track in tracks if track.role == "test" and not track.corruption]


def _labelled_rows(predictions: pd.DataFrame, tracks: Sequence[Track]) -> pd.DataFrame:
    """Of each labelled row of those sets: set, id, source, label, predicted, confidence, own, right."""
    import pandas as pd

    labelled = predictions_of(predictions[predictions["set"].isin([track.name for track in tracks])], tracks).on(tracks)
    names = np.array([track.name for track in tracks], dtype=object)
    columns = {
        "set": names[labelled.sets],
        "id": labelled.ids.astype(str),
        "source": labelled.sources.astype(str),
        "label": labelled.labels,
        "predicted": labelled.predicted,
        "confidence": labelled.probabilities.max(axis=1, initial=0),
        "own": labelled.probabilities[np.arange(len(labelled)), labelled.labels],
        "right": labelled.right,
    }
    # In an order of their own, so that of equals always the same are taken.
    return pd.DataFrame(columns).sort_values(["set", "id"], ignore_index=True)


def _surest(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["confidence", "id"], ascending=[False, True], kind="stable")


def _worst(rows: pd.DataFrame) -> tuple[Case, ...]:
    return _cases(_surest(rows[~rows["right"]]).head(WRONG_SHOWN))


def _cases(rows: pd.DataFrame, variants: Mapping[str, str] | None = None) -> tuple[Case, ...]:
    """The rows as cases; `variants` has words for their sets."""
    words = variants or {}
    return tuple(
        Case(set_name, name, int(label), int(predicted), float(confidence), float(own), words.get(set_name, ""))
        for set_name, name, _, label, predicted, confidence, own, _ in rows.itertuples(index=False)
    )


@dataclass(frozen=True)
class _Ladder:
    """A corruption of the test images, and its mildest and its severest set."""

    name: str
    family: str
    mild: str
    severe: str


def _ladders(tracks: Iterable[Track]) -> tuple[_Ladder, ...]:
    single = [track for track in tracks if track.role == "test" and track.severity]
    return tuple(
        _Ladder(name, steps[0].family, steps[0].name, steps[-1].name) for name, steps in by_corruption(single).items()
    )


def _shifted(table: pd.DataFrame, tracks: Sequence[Track]) -> Panel:
    """Sources that are right when clean and wrong under corruption: of each family under the one that hurts most."""
    shares = table.groupby("set")["right"].mean()
    hurting = sorted(
        (ladder for ladder in _ladders(tracks) if ladder.severe in shares.index),
        key=lambda ladder: (shares[ladder.severe], ladder.name),
    )
    left = set(table.loc[table["set"].isin(_clean(tracks)) & table["right"], "source"])
    shown: dict[str, tuple[Case, ...]] = {}  # by family
    for ladder in hurting:
        wrong = table[(table["set"] == ladder.severe) & ~table["right"] & table["source"].isin(left)]
        if ladder.family in shown or len(shown) == SHIFTED_SHOWN or not len(wrong):
            continue
        source = _surest(wrong).iloc[0]["source"]
        left.remove(source)
        shown[ladder.family] = _row(table[table["source"] == source], tracks, (ladder,))
    about = "One picture a row: clean, mildly and severely corrupted, and several corruptions at once."
    return Panel("Right when clean, wrong under corruption", about, tuple(shown.values()))


def _row(cases: pd.DataFrame, tracks: Sequence[Track], ladders: Sequence[_Ladder]) -> tuple[Case, ...]:
    """Pictures of one source: clean, mild and severe of the corruption that misleads most, composed of most."""
    firsts = cases.drop_duplicates("set").set_index("set", drop=False)
    words = dict.fromkeys(_clean(tracks), "clean")
    measured = [ladder for ladder in ladders if ladder.severe in firsts.index]
    if measured:
        ladder = min(measured, key=lambda ladder: (firsts.at[ladder.severe, "own"], ladder.name))
        corruption = ladder.name.replace("_", " ")
        words |= {ladder.mild: f"{corruption}, mild", ladder.severe: f"{corruption}, severe"}
    composed = max((track.name for track in tracks if track.role == "test" and track.composed), default="")
    words |= {composed: f"{composed.rpartition('-')[2]} at once"}
    return _cases(firsts.loc[[name for name in words if name in firsts.index]], words)


# The hardest images


def hardest(predictions: pd.DataFrame, tracks: Sequence[Track], classes: Sequence[str]) -> pd.DataFrame:
    """The test images whose class the model gives least probability, at most HARDEST_KEPT, the hardest first.

    Columns: set, id, source, label, class, said (when clean), clean (probability of its class then), corrupted (the
    mean over the benchmark, NaN without one), mean of the two, wrong (share of the corrupted pictures that are),
    worst_set, worst (probability there).
    """
    import pandas as pd

    table = _labelled_rows(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))].drop_duplicates("source").set_index("source", drop=False)
    under = table[table["set"].isin([track.name for track in tracks if track.role == "test" and track.corruption])]
    under = under[under["source"].isin(clean.index)]
    by_source = under.groupby("source")
    worst = under.loc[by_source["own"].idxmin()].set_index("source")
    names = np.array(classes, dtype=object)
    columns = {
        **clean[["set", "id", "source", "label"]],
        "class": names[clean["label"]],
        "said": names[clean["predicted"]],
        "clean": clean["own"],
        "corrupted": by_source["own"].mean(),
        "mean": np.nan,
        "wrong": 1 - by_source["right"].mean(),
        "worst_set": worst["set"],
        "worst": worst["own"],
    }
    table = pd.DataFrame(columns, index=clean.index)
    table["mean"] = table[["clean", "corrupted"]].mean(axis=1)
    table["worst_set"] = table["worst_set"].fillna("")
    ordered = table.sort_values(["mean", "id"], kind="stable").head(HARDEST_KEPT)
    return ordered.reset_index(drop=True)


# Pictures


def explained(
    model: keras.Model,
    inputs: RunInputs,
    predictions: pd.DataFrame,
    reporter: Reporter = Silent(),
    *,
    images: Sequence[str] = (),
    filter: str = "none",
) -> Explained:
    """What is to be shown of a model, with heat maps of the classes that it predicted.

    inputs       of the run: of its sets those are shown that there are predictions of
    predictions  of this model, as in predictions.parquet: their numbers are those that are shown
    images       ids of test images to show instead of those that tell most
    filter       what was done to a picture before it was predicted

    Raises DataError where an image is not there.
    """
    built, measured = inputs.built, set(predictions["set"])
    shifted = (*built.benchmark, *inputs.external)
    sets = {images.name: images for images in (built.test, *shifted) if images.name in measured}
    tracks = list(map(track_of, sets.values()))
    shown = (panel_of(predictions, tracks, images),) if images else panels(predictions, tracks)
    table = hardest(predictions, tracks, built.classes)
    cases = list(dict.fromkeys(case for panel in shown for case in panel.cases))
    pictures: dict[Case, Picture] = {}
    with reporter.stage("heat maps", len(cases), "images") as advance:
        for rows in chunks(len(cases), _BATCH):
            batch = [cases[i] for i in rows]
            pixels = _filtered_pixels(np.concatenate([_pixels(sets[case.set], [case.id]) for case in batch]), filter)
            heat = heat_maps(model, pixels, np.array([case.predicted for case in batch]))
            pictures.update(zip(batch, map(Picture, pixels, heat), strict=True))
            advance(rows.stop)
    thumbnails = tuple(_pixels(built.test, table["id"].head(HARDEST_SHOWN).tolist()))
    places = tuple((int(pooled.shape[1]), int(pooled.shape[2])) for pooled in _maps(model))
    return Explained(built.classes, shown, pictures, places, table, thumbnails)


def explain(
    run: str | Path, artifacts: str | Path, reporter: Reporter | None = None, images: Sequence[str] = ()
) -> tuple[Explained, Path]:
    """What a finished run shows of its model, and the picture of it that was written.

    images  ids of test images: gradcam-images.png is written of these, else gradcam.png and hardest.csv
    Raises DataError where there is no such run, set or image, OutputError where nothing can be written.
    """
    reporter = reporter or onlooker()
    finished, built = read_run(run, artifacts), read_built(artifacts)
    model, config = finished.model, finished.measured_with
    external = []
    for source in config.external:
        if Path(source).exists():
            external.append(read_set(source, built.classes, artifacts, built.test.size, built.manifest.decoding))
        else:
            reporter.say(f"{source} is not there any more, so that nothing of it is shown")
    inputs, predictions = RunInputs(built, tuple(external)), finished.predictions()
    shown = explained(load_model(model), inputs, predictions, reporter, images=images, filter=config.filter or "none")
    if not images:
        write_hardest(shown, finished.path / HARDEST)
    return shown, write_sheet(shown, finished.path / (SELECTED if images else GRADCAM))


def write_hardest(explained: Explained, path: Path) -> Path:
    """Write hardest.csv. Raises OutputError."""
    with replacing(path) as file:
        file.write(explained.hardest.to_csv(index=False, float_format="%.4f").encode())
    return path


def write_sheet(explained: Explained, path: Path) -> Path:
    """Write all panels as one PNG. Raises OutputError."""
    import cv2

    from .reporting.sheets import sheet

    _, coded = cv2.imencode(".png", np.ascontiguousarray(sheet(explained)[..., ::-1]))
    with replacing(path) as file:
        file.write(sign_png(coded.tobytes()))
    return path


def _filtered_pixels(pixels: np.ndarray, name: str) -> np.ndarray:
    return pixels if name == "none" else np.stack([FILTERS[name](picture) for picture in pixels])


def _pixels(images: LabelledSet, ids: Sequence[str]) -> np.ndarray:
    """uint8 (n, H, W, 3): the pictures of those ids. Raises DataError for one that is not there."""
    place = {name: row for row, name in enumerate(images.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise DataError(
            f"the set {images.name} has no image {missing[0]!r}, of which this run has predictions: it was built anew "
            "since. Train again."
        )
    return images.batch([place[name] for name in ids])
