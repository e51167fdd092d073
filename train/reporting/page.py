"""page(run) -> str: how right a model is and what it looks at, as one HTML page that opens offline.

Pictures, charts and style are all inside, and there is no script; the page makes no request. The same run gives the
same page, but for how long it took.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import cv2
import numpy as np
from markupsafe import Markup

from curate.findings import CATALOGUE
from curate.reporting.base import Report, asset, render, settings_of
from curate.stage.manifest import versions
from curate.stage.shortness import short_repr

from ..configs import EnsembleConfig, RunConfig
from ..metrics import Benchmark, Calibration, Contrast, Interval, Metrics, RunMetrics, SetMeasures, Slice
from ..panels import Explained, Panel
from ..predicting import views_in_words
from ..slices import ScanWord
from . import scales
from .charts import Line, line_chart, reliability_chart, ticks
from .sheets import beside, caption_of

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "train.reporting"  # where the template and the style of this page are
MATRIX_UP_TO = 40  # classes; of more the pairs that are most often taken for each other
PAIRS = 20
PICTURE_SIDE = 160
SCAN_PAGE = "../../scan/report.html"  # seen from the page of a run
# What a part of the template shows, by the names that it has there.
View = dict[str, object]
PACKAGES = (
    "trustset",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "openvino",
)
FILES = (
    ("model.keras", "the model: uint8 pictures to class probabilities"),
    ("metrics.json", "every number of this page, and more"),
    ("predictions.parquet", "one row per measured image: the probability of each class"),
    ("history.csv", "one row per epoch"),
    ("gradcam.png", "the heat maps of this page"),
    ("hardest.csv", "the hundred hardest test images"),
    ("config.toml", "every option, to repeat this run"),
    ("manifest.json", "digests and versions, to trace this run to its pixels"),
)


@dataclass(frozen=True, eq=False)
class RunReport:
    """What the page of a run shows.

    history    one row per epoch, None for a run that was not fitted
    explained  None for a run without a model of its own
    digests    of scan, build and whatever else the run is made of;  seconds  of each part of the work
    scan       id -> what the scan says of each of the hardest images; {} where its scan is not there
    """

    name: str
    config: RunConfig | EnsembleConfig
    metrics: Metrics
    history: pd.DataFrame | None = None
    explained: Explained | None = None
    digests: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    scan: Mapping[str, ScanWord] = field(default_factory=dict)

    __repr__ = short_repr


def page(run: RunReport) -> str:
    """The whole page of a run: HTML with everything inlined, to be written as UTF-8."""
    metrics = run.metrics
    content = {
        "run": run,
        "facts": _facts(run),
        "verdict": _verdict_sentence(metrics),
        "tracks": _tracks(metrics),
        "remarks": _remarks(metrics),
        "views": views_in_words(metrics),
        "curves": _curves(run),
        "epochs": _epochs(run.history),
        "clean": _set("clean test images", metrics.clean) if metrics.clean else None,
        "corruptions": _corruptions(metrics),
        "levels": [f"bad-{level}" for level in range(0, scales.LEVELS, 2)],
        "chance": _chance(metrics),
        "composed": _composed_rows(metrics.benchmark) if metrics.benchmark else [],
        "verdicts": _verdict_rows(metrics.benchmark) if metrics.benchmark else [],
        "external": [_set(name, measures) for name, measures in metrics.external_measures.items()],
        "slices": list(map(_slice, metrics.slices or ())),
        "calibration": _calibration_view(metrics.calibration) if metrics.calibration else None,
        "panels": [_panel(panel, run.explained) for panel in run.explained.panels] if run.explained else [],
        "places": _places(run.explained),
        "hardest": _hardest(run.explained, run.scan) if run.explained else [],
        "digests": [(name.replace("_", " "), value) for name, value in run.digests.items() if value],
    }
    style = asset(PACKAGE, "report.css") + scales.rules()
    return render(_report(run), PACKAGE, style, content)


def _report(run: RunReport) -> Report:
    """What stands around the page's own sections."""
    parts = {field.name: getattr(run.config, field.name) for field in fields(run.config)}
    sections = {name: part for name, part in parts.items() if is_dataclass(part) and not isinstance(part, type)}
    sections = {**sections, "run": run.config}
    return Report(
        kind="run",
        name=run.name,
        notes=run.notes,
        files=FILES if run.explained else (),
        settings=[
            (f"Settings: {name}", settings_of(section)) for name, section in {**sections, "run": run.config}.items()
        ],
        versions=list(versions(PACKAGES).items()),
        timings=[(name, f"{seconds:.1f} s") for name, seconds in run.seconds.items()],
    )


# The head of the page


def _facts(run: RunReport) -> list[str]:
    """What was fitted, in a few words each."""
    metrics, classes = run.metrics, f"{len(run.metrics.classes):,} classes"
    if not isinstance(metrics, RunMetrics):
        return [classes]
    model, kept = metrics.model, metrics.fit.kept
    return [
        " + ".join(model.backbones),
        f"at {model.input_side} pixels",
        f"{model.parameters:,} parameters",
        classes,
        f"recipe {metrics.recipe}",
        f"kept epoch {kept.epoch} of stage {kept.stage}" if kept.stage else "kept the probe",
    ]


def _verdict_sentence(metrics: Metrics) -> str:
    """How right the model is, in one sentence."""
    clean, benchmark = metrics.clean, metrics.benchmark
    if clean is None:
        return "Not measured on clean test images."
    accuracies = [f"Accuracy {clean.accuracy:.3f} on the clean test images"]
    if benchmark and benchmark.mean_accuracy is not None:
        accuracies.append(f"{benchmark.mean_accuracy:.3f} under corruption")
    if benchmark and benchmark.composed:
        name = max(benchmark.composed)
        number = name.rpartition("-")[2]
        accuracies.append(f"{benchmark.composed[name].accuracy:.3f} with {number} corruptions at once")
    first, *under = accuracies
    return f"{first}, {' and '.join(under)}." if under else f"{first}."


def _tracks(metrics: Metrics) -> View:
    """Accuracies with their intervals, and where they lie on a common scale, in percent of its width."""
    rows = _accuracies(metrics)
    ends = [value for _, accuracy, interval in rows for value in (accuracy, *interval)]
    low = max(0.0, np.floor(10 * min(ends, default=0) - 0.2) / 10)

    def at(value: float) -> float:
        return float(round(100 * (value - low) / (1 - low), 2))

    return {
        "rows": [
            {"name": name, "accuracy": accuracy, "interval": interval, "at": at(accuracy)}
            | {"from": at(interval[0]), "to": at(interval[1])}
            for name, accuracy, interval in rows
        ],
        "low": low,
        "ticks": [(value, at(value)) for value in ticks(low, 1, 5)],
    }


def _accuracies(metrics: Metrics) -> list[tuple[str, float, Interval]]:
    """(name, accuracy, its interval) of everything that the run was measured on."""
    clean, benchmark = metrics.clean, metrics.benchmark
    rows = [("clean", clean.accuracy, clean.interval)] if clean else []
    if benchmark and benchmark.mean_accuracy is not None and benchmark.interval:
        rows.append(("under corruption", benchmark.mean_accuracy, benchmark.interval))
    if benchmark:
        rows += [(_in_words(name), track.accuracy, track.interval) for name, track in benchmark.composed.items()]
    external = metrics.external_measures
    return rows + [(name, measures.accuracy, measures.interval) for name, measures in external.items()]


def _remarks(metrics: Metrics) -> list[tuple[str, str, str]]:
    """(what, value, what it means): the other numbers that one looks for first."""
    clean, benchmark = metrics.clean, metrics.benchmark
    remarks = []
    if benchmark and benchmark.gap is not None:
        remarks.append(("lost to corruption", f"{benchmark.gap:.3f}", _interval_text(benchmark.gap_interval)))
    if clean:
        worst_class = clean.worst_class
        remarks.append(("worst class", f"{worst_class.recall:.3f}", f"recall of {worst_class.class_name}, clean"))
    if benchmark and benchmark.corruptions:
        name, worst = min(benchmark.corruptions.items(), key=lambda item: (item[1].accuracy, item[0]))
        remarks.append(("worst corruption", f"{worst.accuracy:.3f}", _in_words(name)))
    if clean:
        remarks.append(("calibration error", f"{clean.ece:.3f}", _confidence(metrics.calibration)))
    if clean and clean.auc is not None:
        remarks.append(("AUC", f"{clean.auc:.4f}", "each class against the rest, clean"))
    for name, spread in ((isinstance(metrics, RunMetrics) and metrics.spread) or {}).items():
        remarks.append((f"{name}, {len(spread.values)} fits", f"{spread.mean:.3f}", f"sd {spread.sd:.3f}"))
    baseline = benchmark.baseline if benchmark else None
    if baseline and baseline.mce is not None:
        remarks.append(("errors under corruption", f"{baseline.mce:.3f}", f"relative to {baseline.run}"))
    return remarks


def _confidence(calibration: Calibration | None) -> str:
    """What the temperature means for how sure the model is."""
    if calibration is None:
        return ""
    if calibration.temperature > 1.1:
        return "overconfident"
    return "underconfident" if calibration.temperature < 0.9 else "well calibrated"


def _interval_text(interval: Interval | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _in_words(name: str) -> str:
    """The name of a check, a corruption or a composed track as a person writes it.

    >>> _in_words("composed-3"), _in_words("gaussian_noise")
    ('3 corruptions at once', 'gaussian noise')
    """
    word, _, number = name.rpartition("-")
    return f"{number} corruptions at once" if word == "composed" else name.replace("_", " ")


# Curves


def _curves(run: RunReport) -> list[Markup]:
    """Loss, accuracy on val and learning rate over the epochs; none where there are not two."""
    history = run.history
    if history is None or len(history) < 2:
        return []
    history = history.assign(learning_rate=history["learning_rate"].where(history["stage"] > 0))  # a probe has none
    x = list(range(len(history)))
    stages = history["stage"].tolist()
    divisions = [i - 0.5 for i in x[1:] if stages[i] != stages[i - 1]]
    kept = run.metrics.fit.kept if isinstance(run.metrics, RunMetrics) else None
    marks = [
        (float(i), "kept")
        for i, row in enumerate(history[["stage", "epoch"]].itertuples(index=False))
        if kept and tuple(row) == (kept.stage, kept.epoch)
    ]

    def chart(title: str, names: Mapping[str, str], bounds: tuple[float, float] | None = None) -> Markup:
        lines = [
            Line(title, x, history[name].tolist(), i)
            for i, (name, title) in enumerate(names.items())
            if name in history
        ]
        return line_chart(title, lines, across="epoch", bounds=bounds, marks=marks, divisions=divisions)

    parts = {"val_clean": "clean", "val_corruptions": "corrupted", "val_composed": "composed"}
    shown = [name for name in parts if name in history]
    low = float(np.nanmin(history[shown].to_numpy(np.float64))) if shown else 0.0
    charts = [
        chart("Accuracy on val", parts, (np.floor(10 * low) / 10, 1.0)),
        chart("Loss", {"loss": "train", "val_loss": "val, clean"}),
        chart("Learning rate", {"learning_rate": "as an epoch begins"}),
    ]
    return list(filter(None, charts))


def _epochs(history: pd.DataFrame | None) -> View | None:
    """The history as a table of words."""
    if history is None:
        return None
    rows = [[_cell_text(value) for value in row] for row in history.itertuples(index=False)]
    return {"columns": [str(name).replace("_", " ") for name in history.columns], "rows": rows}


def _cell_text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)


# Classes


def _set(name: str, measures: SetMeasures) -> View:
    """A set's measures with its classes and who is taken for whom."""
    classes = list(measures.per_class)
    counts = np.array(measures.confusion, np.int64)
    return {
        "name": name,
        "measures": measures,
        "per_class": [
            {"name": class_name, "worst": class_name == measures.worst_class.class_name, "scores": scores}
            for class_name, scores in measures.per_class.items()
        ],
        "matrix": _matrix(classes, counts) if len(classes) <= MATRIX_UP_TO else None,
        "pairs": _pairs(classes, counts),
    }


def _matrix(classes: Sequence[str], counts: np.ndarray) -> list[View]:
    """Rows of cells, shaded by their share of the row: wrong ones by its square root, as a few are to be seen."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        {
            "name": name,
            "cells": [
                {
                    "count": int(counts[i, j]),
                    "share": float(shares[i, j]),
                    "class": f"good-{scales.level_of(shares[i, j])}"
                    if i == j
                    else f"bad-{scales.level_of(shares[i, j] ** 0.5)}",
                    "of": classes[j],
                }
                for j in range(len(classes))
            ],
        }
        for i, name in enumerate(classes)
    ]


def _pairs(classes: Sequence[str], counts: np.ndarray) -> list[View]:
    """Which class is most often taken for which."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    places = [np.unravel_index(at, wrong.shape) for at in order]
    return [
        {"of": classes[i], "said": classes[j], "count": int(wrong[i, j]), "images": int(counts[i].sum())}
        for i, j in places
        if wrong[i, j]
    ]


# Under shift


def _chance(metrics: Metrics) -> float:
    """What guessing would come to: where the colours of the accuracies end."""
    return 1 / max(2, len(metrics.classes))


def _shaded(accuracy: float | None, metrics: Metrics) -> View:
    if accuracy is None:
        return {"text": "", "class": ""}
    chance = _chance(metrics)
    return {"text": f"{accuracy:.2f}", "class": f"bad-{scales.level_of((1 - accuracy) / (1 - chance))}"}


def _corruptions(metrics: Metrics) -> View | None:
    """The table of corruptions, one body per family, the family and in it the corruption that hurts most first."""
    benchmark = metrics.benchmark
    corruptions = benchmark.corruptions if benchmark else None
    if benchmark is None or not corruptions:
        return None
    severities = sorted({severity for measures in corruptions.values() for severity in measures.severities}, key=int)
    relative = benchmark.baseline.ce if benchmark.baseline else {}
    families: dict[str, list[View]] = {}
    for name, measures in sorted(corruptions.items(), key=lambda item: (item[1].accuracy, item[0])):
        error = relative.get(name)
        families.setdefault(measures.family, []).append(
            {
                "name": _in_words(name),
                "verdict": measures.verdict,
                "cells": [_shaded(measures.severities.get(severity), metrics) for severity in severities],
                "mean": _shaded(measures.accuracy, metrics),
                "interval": _interval_text(measures.interval),
                "relative": "" if error is None else f"{error:.2f}",
            }
        )
    means = benchmark.severities or {}
    return {
        "severities": severities,
        "families": list(families.items()),
        "count": len(corruptions),
        "mean": _shaded(benchmark.mean_accuracy, metrics),
        "interval": _interval_text(benchmark.interval),
        "means": [_shaded(means.get(severity), metrics) for severity in severities],
        "baseline": benchmark.baseline if relative else None,
    }


def _composed_rows(benchmark: Benchmark) -> list[View]:
    return [
        {
            "name": _in_words(name),
            "verdict": track.verdict,
            "accuracy": track.accuracy,
            "interval": _interval_text(track.interval),
        }
        for name, track in benchmark.composed.items()
    ]


def _verdict_rows(benchmark: Benchmark) -> list[View]:
    """Means over the corruptions that the training policy stands to alike."""
    rows = (
        ("disjoint", benchmark.disjoint, "unlike anything that the training policy draws"),
        ("near", benchmark.near, "similar to what the training policy draws"),
        ("identical", benchmark.identical, "the training policy draws the same: accuracy is optimistic"),
    )
    return [
        {
            "name": name,
            "means": means,
            "corruptions": measures.corruptions,
            "accuracy": measures.mean_accuracy,
            "interval": _interval_text(measures.interval),
        }
        for name, measures, means in rows
        if measures
    ]


def _slice(part: Slice) -> View:
    """What the scan found against the rest, in words."""
    name = part.slice
    title = (
        "In a group of copies"
        if name == "in_group"
        else CATALOGUE[name].title
        if name in CATALOGUE
        else _in_words(name).capitalize()
    )
    contrasts = {"clean": part.clean, "benchmark": part.benchmark}
    return {
        "title": title,
        "images": part.images,
        "class": part.class_name,
        "class_share": part.class_share,
        "parts": {where: _contrast(contrast) for where, contrast in contrasts.items() if contrast},
    }


def _contrast(contrast: Contrast) -> View:
    return {
        "accuracy": contrast.accuracy,
        "rest": contrast.rest,
        "difference": f"{contrast.difference:+.3f}",
        "p": "below 0.001" if contrast.p < 0.001 else f"{contrast.p:.3f}",
        "sure": contrast.p < 0.05,
    }


def _calibration_view(calibration: Calibration) -> View:
    """Charts of the clean and the corrupted images, and the table of all sets."""
    titles = {"clean": "Clean test images", "benchmark": "Under corruption"}
    charts = [
        reliability_chart(title, bins.confidence, bins.accuracy, bins.images)
        for name, title in titles.items()
        if name in calibration.sets and (bins := calibration.sets[name].reliability)
    ]
    rows = [
        {
            "name": {"benchmark": "under corruption"}.get(name, _in_words(name)),
            "ece": part.ece,
            "tempered": part.ece_tempered,
        }
        for name, part in calibration.sets.items()
    ]
    return {"temperature": calibration.temperature, "charts": charts, "rows": rows}


# Pictures


def _panel(panel: Panel, explained: Explained) -> View:
    rows = []
    for row in panel.rows:
        figures = []
        for case in row:
            name, verdict, source = caption_of(case, explained.classes)
            picture = _jpeg(beside(explained.pictures[case], PICTURE_SIDE))
            figures.append({"src": picture, "name": name, "said": verdict, "which": source, "right": case.right})
        rows.append(figures)
    return {"title": panel.title, "about": panel.about, "rows": rows}


def _places(explained: Explained | None) -> str:
    """How fine the maps are that the heat maps are made of."""
    return " and ".join(f"{width}x{height}" for height, width in explained.places) if explained else ""


def _hardest(explained: Explained, scan: Mapping[str, ScanWord]) -> list[View]:
    """The thumbnails of the hardest images with what is known of each, and where one may decide on it."""
    rows = explained.hardest.head(len(explained.thumbnails)).to_dict("records")
    return [
        {str(key): value for key, value in row.items()}
        | {"src": _jpeg(_large(pixels)), "under": row["corrupted"] == row["corrupted"]}
        | {"scan": scan.get(str(row["source"])), "link": f"{SCAN_PAGE}#image={quote(str(row['source']), safe='')}"}
        for row, pixels in zip(rows, explained.thumbnails, strict=True)
    ]


def _large(pixels: np.ndarray) -> np.ndarray:
    scale = PICTURE_SIDE / max(pixels.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way)


def _jpeg(pixels: np.ndarray) -> str:
    """A picture as a data address."""
    _, coded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 86])
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
