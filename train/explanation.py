"""What a model looks at (Grad-CAM), which images are hardest for it, and the pictures that show both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.stage.engine import chunks
from curate.stage.errors import DataError
from curate.stage.files import replacing
from curate.stage.progress import Reporter, Silent

from .answers import Track, answers_of, track_of
from .robustness import by_corruption
from .runs import GRADCAM, HARDEST, read_run

if TYPE_CHECKING:
    import pandas as pd

    from .sets import BuiltSets, LabelledSet

CLASSES_SHOWN, WRONG_SHOWN, SHIFTED_SHOWN = 16, 8, 6
HARDEST_KEPT, HARDEST_SHOWN = 100, 16
SELECTED = "gradcam-images.png"
_BATCH = 16
_MAP = re.compile(r"pool_\d+")


@dataclass(frozen=True)
class Case:
    """One picture and what the model said of it.

    set, id     where the picture is found;  variant  what it is there, such as "fog 3"; "" where that is plain
    label       number of its class;  predicted  of the likeliest one
    confidence  probability of the likeliest class;  own  of the picture's class
    """

    set: str
    id: str
    label: int
    predicted: int
    confidence: float
    own: float
    variant: str = ""

    @property
    def right(self) -> bool:
        return self.label == self.predicted


@dataclass(frozen=True)
class Panel:
    """Cases that belong together: one row that may be broken anywhere, or several of one source each."""

    title: str
    about: str
    rows: tuple[tuple[Case, ...], ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case for row in self.rows for case in row)


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, uint8 (H, W, 3), and the heat map of the class that was said, float32 (H, W) of 0..1."""

    pixels: np.ndarray
    heat: np.ndarray


@dataclass(frozen=True, eq=False)
class Explained:
    """What a run shows of its model.

    panels    what is shown;  pictures  of each of their cases
    places    (height, width) of the maps that the heat maps are made of, one per backbone: they are no sharper
    hardest   table of the hardest test images;  thumbnails  of the first of them, uint8 (H, W, 3)
    """

    classes: tuple[str, ...]
    panels: tuple[Panel, ...]
    pictures: Mapping[Case, Picture]
    places: tuple[tuple[int, int], ...]
    hardest: pd.DataFrame
    thumbnails: tuple[np.ndarray, ...] = ()


def heat_maps(model: Any, images: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
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
        of = None if classes is None else np.asarray(classes)[part]
        pieces.append(_heat(front, back, images[part], of))
    return np.concatenate(pieces) if pieces else np.zeros(images.shape[:3], np.float32)


def _halves(model: Any) -> tuple[Callable[[np.ndarray], list[np.ndarray]], Callable[[list[Any]], Any]]:
    """From pictures to the maps that are pooled, and from these to logits."""
    import keras

    maps = _maps(model)
    front = keras.Model(model.input, maps)
    back = keras.Model(maps if len(maps) > 1 else maps[0], model.get_layer("probabilities").input)

    def features(images: np.ndarray) -> list[np.ndarray]:
        found = keras.tree.flatten(front(keras.ops.convert_to_tensor(images), training=False))
        return [np.asarray(keras.ops.convert_to_numpy(one), np.float32) for one in found]

    return features, lambda given: back(given if len(given) > 1 else given[0], training=False)


def _maps(model: Any) -> list[Any]:
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
    back: Callable[[list[Any]], Any],
    images: np.ndarray,
    classes: np.ndarray | None,
) -> np.ndarray:
    import cv2
    import keras

    from .autodiff import gradient_of

    maps = front(images)
    if classes is None:
        given = [keras.ops.convert_to_tensor(one) for one in maps]
        classes = keras.ops.convert_to_numpy(keras.ops.argmax(back(given), axis=-1))
    rows = keras.ops.convert_to_tensor(np.asarray(classes)[:, None].astype(np.int32))

    def logit(given: list[Any]) -> Any:
        return keras.ops.take_along_axis(keras.ops.cast(back(given), "float32"), rows, axis=1)

    _, gradients = gradient_of(logit, maps)
    height, width = images.shape[1:3]
    heat = np.zeros((len(images), height, width), np.float32)
    for one, gradient in zip(maps, gradients, strict=True):
        weighed = (one * gradient.sum(axis=(1, 2), keepdims=True)).sum(axis=-1)
        heat += np.stack([cv2.resize(of, (width, height), interpolation=cv2.INTER_LINEAR) for of in weighed])
    heat = np.maximum(heat, 0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


# Which cases are shown


def panels(predictions: pd.DataFrame, tracks: Sequence[Track]) -> tuple[Panel, ...]:
    """The cases that tell most, chosen by confidence alone: the same predictions give the same ones.

    predictions  as in predictions.parquet;  tracks  of those sets that are to be shown
    """
    table = _judged(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))]
    right = _surest(clean[clean["right"]]).drop_duplicates("label").sort_values("label", kind="stable")
    surest = "Those that it was surest of."
    elsewhere = [track.name for track in tracks if track.role == "external"]
    made = [
        Panel("Right, and sure of it", "The surest one of each class.", (_cases(right.head(CLASSES_SHOWN)),)),
        Panel("Wrong on clean pictures", surest, (_worst(clean),)),
        *(Panel(f"Wrong on {name}", surest, (_worst(table[table["set"] == name]),)) for name in elsewhere),
        _shifted(table, tracks),
    ]
    return tuple(panel for panel in made if panel.cases)


def panel_of(predictions: pd.DataFrame, tracks: Sequence[Track], images: Sequence[str]) -> Panel:
    """One row for each of these test images: clean, mildly and severely under what misleads most, and composed.

    images  ids of the clean test. Raises DataError for one that is not among the predictions.
    """
    table = _judged(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))]
    sources = dict(zip(clean["id"], clean["source"], strict=True))
    for name in images:
        if name not in sources:
            some = ", ".join(list(sources)[:5])
            raise DataError(f"no test image {name!r} in this run. There are {len(sources):,}, such as {some}.")
    rows = tuple(_row(table[table["source"] == sources[name]], tracks, _ladders(tracks)) for name in images)
    return Panel("As asked for", "One picture a row: clean, under what misleads most, and composed.", rows)


def _clean(tracks: Iterable[Track]) -> list[str]:
    """Names of the clean test sets."""
    return [track.name for track in tracks if track.role == "test" and not track.corruption]


def _judged(predictions: pd.DataFrame, tracks: Sequence[Track]) -> pd.DataFrame:
    """Of each labelled row of those sets: set, id, source, label, predicted, confidence, own, right."""
    import pandas as pd

    found = answers_of(predictions[predictions["set"].isin([track.name for track in tracks])], tracks).of(tracks)
    names = np.array([track.name for track in tracks], dtype=object)
    columns = {
        "set": names[found.sets],
        "id": found.ids.astype(str),
        "source": found.sources.astype(str),
        "label": found.labels,
        "predicted": found.predicted,
        "confidence": found.probabilities.max(axis=1, initial=0),
        "own": found.probabilities[np.arange(len(found)), found.labels],
        "right": found.right,
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
        Case(of, name, int(label), int(said), float(sure), float(own), words.get(of, ""))
        for of, name, _, label, said, sure, own, _ in rows.itertuples(index=False)
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
        (one for one in _ladders(tracks) if one.severe in shares.index), key=lambda one: (shares[one.severe], one.name)
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


def _row(of: pd.DataFrame, tracks: Sequence[Track], ladders: Sequence[_Ladder]) -> tuple[Case, ...]:
    """Pictures of one source: clean, mild and severe of the corruption that misleads most, composed of most."""
    firsts = of.drop_duplicates("set").set_index("set", drop=False)
    words = dict.fromkeys(_clean(tracks), "clean")
    there = [one for one in ladders if one.severe in firsts.index]
    if there:
        ladder = min(there, key=lambda one: (firsts.at[one.severe, "own"], one.name))
        said = ladder.name.replace("_", " ")
        words |= {ladder.mild: f"{said}, mild", ladder.severe: f"{said}, severe"}
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

    table = _judged(predictions, tracks)
    clean = table[table["set"].isin(_clean(tracks))].drop_duplicates("source").set_index("source", drop=False)
    under = table[table["set"].isin([track.name for track in tracks if track.role == "test" and track.corruption])]
    under = under[under["source"].isin(clean.index)]
    of_each = under.groupby("source")
    worst = under.loc[of_each["own"].idxmin()].set_index("source")
    names = np.array(classes, dtype=object)
    columns = {
        **clean[["set", "id", "source", "label"]],
        "class": names[clean["label"]],
        "said": names[clean["predicted"]],
        "clean": clean["own"],
        "corrupted": of_each["own"].mean(),
        "mean": np.nan,
        "wrong": 1 - of_each["right"].mean(),
        "worst_set": worst["set"],
        "worst": worst["own"],
    }
    found = pd.DataFrame(columns, index=clean.index)
    found["mean"] = found[["clean", "corrupted"]].mean(axis=1)
    found["worst_set"] = found["worst_set"].fillna("")
    ordered = found.sort_values(["mean", "id"], kind="stable").head(HARDEST_KEPT)
    return ordered.reset_index(drop=True)


# Pictures


def explained(
    model: Any,
    built: BuiltSets,
    predictions: pd.DataFrame,
    reporter: Reporter = Silent(),
    *,
    external: Sequence[LabelledSet] = (),
    images: Sequence[str] = (),
    filter: str = "none",
) -> Explained:
    """What is to be shown of a model, with heat maps of the classes that it said.

    predictions  of this model, as in predictions.parquet: their numbers are those that are shown
    external     sets from elsewhere among them;  images  ids of test images to show instead of those that tell most
    filter       what was done to a picture before it was predicted

    Raises DataError where an image is not there.
    """
    there = set(predictions["set"])
    sets = {one.name: one for one in (built.test, *built.benchmark, *external) if one.name in there}
    tracks = [track_of(one) for one in sets.values()]
    shown = (panel_of(predictions, tracks, images),) if images else panels(predictions, tracks)
    table = hardest(predictions, tracks, built.classes)
    cases = list(dict.fromkeys(case for panel in shown for case in panel.cases))
    pictures: dict[Case, Picture] = {}
    with reporter.stage("heat maps", len(cases), "images") as advance:
        for rows in chunks(len(cases), _BATCH):
            some = [cases[i] for i in rows]
            pixels = _filtered(np.concatenate([_pixels(sets[case.set], [case.id]) for case in some]), filter)
            heat = heat_maps(model, pixels, np.array([case.predicted for case in some]))
            pictures.update(zip(some, map(Picture, pixels, heat), strict=True))
            advance(rows.stop)
    thumbnails = tuple(_pixels(built.test, table["id"].head(HARDEST_SHOWN).tolist()))
    places = tuple((int(one.shape[1]), int(one.shape[2])) for one in _maps(model))
    return Explained(built.classes, shown, pictures, places, table, thumbnails)


def explain(
    run: str | Path, artifacts: str | Path, reporter: Reporter = Silent(), images: Sequence[str] = ()
) -> tuple[Explained, Path]:
    """What a finished run shows of its model, and the picture of it that was written.

    images  ids of test images: gradcam-images.png is written of these, else gradcam.png and hardest.csv
    Raises DataError where there is no such run, set or image, OutputError where nothing can be written.
    """
    from .models import load_model
    from .sets import read_built, read_set

    found, built = read_run(run, artifacts), read_built(artifacts)
    model, measured = found.model, found.measured_with
    there = [given for given in measured.external if Path(given).exists()]
    for given in measured.external:
        if given not in there:
            reporter.say(f"{given} is not there any more, so that nothing of it is shown")
    made = explained(
        load_model(model),
        built,
        found.predictions(),
        reporter,
        external=[read_set(given, built.classes, artifacts, built.test.size) for given in there],
        images=images,
        filter=measured.filter or "none",
    )
    if not images:
        write_hardest(made, found.path / HARDEST)
    return made, write_sheet(made, found.path / (SELECTED if images else GRADCAM))


def write_hardest(made: Explained, path: Path) -> Path:
    """Write hardest.csv. Raises OutputError."""
    with replacing(path) as file:
        file.write(made.hardest.to_csv(index=False, float_format="%.4f").encode())
    return path


def write_sheet(made: Explained, path: Path) -> Path:
    """Write all panels as one PNG. Raises OutputError."""
    import cv2

    from .reporting.sheets import sheet

    _, coded = cv2.imencode(".png", np.ascontiguousarray(sheet(made)[..., ::-1]))
    with replacing(path) as file:
        file.write(coded.tobytes())
    return path


def _filtered(pixels: np.ndarray, name: str) -> np.ndarray:
    if name == "none":
        return pixels
    from .filters import FILTERS

    return np.stack([FILTERS[name](one) for one in pixels])


def _pixels(of: LabelledSet, ids: Sequence[str]) -> np.ndarray:
    """uint8 (n, H, W, 3): the pictures of those ids. Raises DataError for one that is not there."""
    place = {name: row for row, name in enumerate(of.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise DataError(
            f"the set {of.name} has no image {missing[0]!r}, of which this run has predictions: it was built anew "
            "since. Train again."
        )
    return of.batch([place[name] for name in ids])
