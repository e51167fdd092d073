"""page(run) -> str: how right a model is and what it looks at, as one HTML page that opens offline.

Pictures, charts and style are all inside, and there is no script; the page makes no request. The same run gives the
same page, but for how long it took.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from markupsafe import Markup

from curate.findings import CATALOGUE
from curate.reporting.base import Report, asset, render, settings_of

from ..predicting import looks
from . import scales
from .charts import Line, line_chart, reliability_chart, ticks
from .sheets import beside, said_of

if TYPE_CHECKING:
    import pandas as pd

    from ..explanation import Explained, Panel

PACKAGE = "train.reporting"  # where the template and the style of this page are
MATRIX_UP_TO = 40  # classes; of more the pairs that are most often taken for each other
PAIRS = 20
PICTURE_SIDE = 160
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

    config     the dataclass of its options
    metrics    what metrics.json holds;  history  one row per epoch, None for a run that was not fitted
    explained  None for a run without a model of its own
    digests    of scan, build and whatever else the run is made of;  seconds  of each part of the work
    """

    name: str
    config: Any
    metrics: Mapping[str, Any]
    history: pd.DataFrame | None = None
    explained: Explained | None = None
    digests: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def page(run: RunReport) -> str:
    """The whole page of a run: HTML with everything inlined, to be written as UTF-8."""
    metrics = run.metrics
    clean, benchmark = metrics.get("clean"), metrics.get("benchmark") or {}
    external = metrics.get("external", {})
    content = {
        "run": run,
        "facts": _facts(run),
        "verdict": _verdict(metrics),
        "tracks": _tracks(metrics),
        "remarks": _remarks(metrics),
        "looks": looks(metrics),
        "curves": _curves(run),
        "epochs": _epochs(run.history),
        "clean": _measured("clean test images", clean) if clean else None,
        "corruptions": _corruptions(metrics),
        "levels": [f"bad-{level}" for level in range(0, scales.LEVELS, 2)],
        "chance": _chance(metrics),
        "composed": _composed(benchmark),
        "verdicts": _verdicts(benchmark),
        "external": [_measured(name, measures) for name, measures in external.items() if measures["images"]],
        "slices": [_slice(one) for one in metrics.get("slices") or ()],
        "calibration": _calibration(metrics.get("calibration")),
        "panels": [_panel(panel, run.explained) for panel in run.explained.panels] if run.explained else [],
        "places": _places(run.explained),
        "hardest": _hardest(run.explained) if run.explained else [],
        "digests": [(name.replace("_", " "), value) for name, value in run.digests.items() if value],
    }
    style = asset(PACKAGE, "report.css") + scales.rules()
    return render(_report(run), PACKAGE, style, content)


def _report(run: RunReport) -> Report:
    """What stands around the page's own sections."""
    parts = {field.name: getattr(run.config, field.name) for field in fields(run.config)}
    sections = {name: part for name, part in parts.items() if is_dataclass(part)} | {"run": run.config}
    return Report(
        kind="run",
        name=run.name,
        notes=run.notes,
        files=FILES if run.explained else (),
        settings=[(f"Settings: {name}", settings_of(section)) for name, section in sections.items()],
        packages=PACKAGES,
        timings=[(name, f"{seconds:.1f} s") for name, seconds in run.seconds.items()],
    )


# The head of the page


def _facts(run: RunReport) -> list[str]:
    """What was fitted, in a few words each."""
    model, fit = run.metrics.get("model", {}), run.metrics.get("fit", {})
    kept = fit.get("kept", {})
    said = [
        " + ".join(model.get("backbones", ())),
        f"at {model['input_side']} pixels" if "input_side" in model else "",
        f"{model['parameters']:,} parameters" if "parameters" in model else "",
        f"{len(run.metrics['classes']):,} classes",
        f"recipe {run.metrics['recipe']}" if "recipe" in run.metrics else "",
    ]
    if kept:
        said.append("kept the probe" if not kept["stage"] else f"kept epoch {kept['epoch']} of stage {kept['stage']}")
    return [one for one in said if one]


def _verdict(metrics: Mapping[str, Any]) -> str:
    """How right the model is, in one sentence."""
    clean, benchmark = metrics.get("clean") or {}, metrics.get("benchmark") or {}
    if "accuracy" not in clean:
        return "Not measured on clean test images."
    said = f"Right on {clean['accuracy']:.3f} of the clean test images"
    under = [f"{benchmark['mean_accuracy']:.3f} under corruption"] if "mean_accuracy" in benchmark else []
    composed = benchmark.get("composed") or {}
    if composed:
        name = max(composed)
        under.append(f"{composed[name]['accuracy']:.3f} with {name.rpartition('-')[2]} corruptions at once")
    return f"{said}, {' and '.join(under)}." if under else f"{said}."


def _tracks(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracies with their intervals, and where they lie on a common scale, in percent of its width."""
    benchmark = metrics.get("benchmark") or {}
    found = [("clean", metrics.get("clean") or {})]
    if "mean_accuracy" in benchmark:
        found.append(("under corruption", {**benchmark, "accuracy": benchmark["mean_accuracy"]}))
    found += [(_in_words(name), one) for name, one in (benchmark.get("composed") or {}).items()]
    found += list((metrics.get("external") or {}).items())
    rows = [
        {"name": name, "accuracy": one["accuracy"], "interval": one.get("interval")}
        for name, one in found
        if one.get("accuracy") is not None
    ]
    ends = [value for row in rows for value in (row["accuracy"], *(row["interval"] or ()))]
    low = max(0.0, np.floor(10 * min(ends, default=0) - 0.2) / 10)

    def at(value: float) -> float:
        return round(100 * (value - low) / (1 - low), 2)

    for row in rows:
        row["at"] = at(row["accuracy"])
        row["from"], row["to"] = (at(value) for value in row["interval"] or (row["accuracy"],) * 2)
    return {"rows": rows, "low": low, "ticks": [(value, at(value)) for value in ticks(low, 1, 5)]}


def _remarks(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, value, what it means): the other numbers that one looks for first."""
    clean, benchmark = metrics.get("clean") or {}, metrics.get("benchmark") or {}
    said = []
    if "gap" in benchmark:
        said.append(("lost to corruption", f"{benchmark['gap']:.3f}", _between(benchmark.get("gap_interval"))))
    if clean.get("worst_class"):
        worst = clean["worst_class"]
        said.append(("worst class", f"{worst['recall']:.3f}", f"of {worst['class']} is found, clean"))
    if benchmark.get("corruptions"):
        name, worst = min(benchmark["corruptions"].items(), key=lambda item: (item[1]["accuracy"], item[0]))
        said.append(("worst corruption", f"{worst['accuracy']:.3f}", _in_words(name)))
    if clean.get("ece") is not None:
        factor = (metrics.get("calibration") or {}).get("temperature")
        told = (
            ""
            if factor is None
            else "too sure of itself"
            if factor > 1.1
            else "too modest"
            if factor < 0.9
            else "as sure as it may be"
        )
        said.append(("calibration error", f"{clean['ece']:.3f}", told))
    if clean.get("auc") is not None:
        said.append(("AUC", f"{clean['auc']:.4f}", "each class against the rest, clean"))
    for name, of_all in (metrics.get("spread") or {}).items():
        said.append((f"{name}, {len(of_all['values'])} fits", f"{of_all['mean']:.3f}", f"sd {of_all['sd']:.3f}"))
    baseline = benchmark.get("baseline")
    if baseline and baseline.get("mce") is not None:
        said.append(("errors under corruption", f"{baseline['mce']:.3f}", f"times those of {baseline['run']}"))
    return said


def _between(interval: Sequence[float] | None) -> str:
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
    kept = run.metrics.get("fit", {}).get("kept", {})
    marks = [
        (float(i), "kept")
        for i, row in enumerate(history[["stage", "epoch"]].itertuples(index=False))
        if kept and tuple(row) == (kept["stage"], kept["epoch"])
    ]

    def chart(title: str, names: Mapping[str, str], bounds: tuple[float, float] | None = None) -> Markup:
        lines = [
            Line(said, x, history[name].tolist(), i) for i, (name, said) in enumerate(names.items()) if name in history
        ]
        return line_chart(title, lines, across="epoch", bounds=bounds, marks=marks, divisions=divisions)

    parts = {"val_clean": "clean", "val_corruptions": "corrupted", "val_composed": "composed"}
    shown = [name for name in parts if name in history]
    low = float(np.nanmin(history[shown].to_numpy(np.float64))) if shown else 0.0
    made = [
        chart("Accuracy on val", parts, (np.floor(10 * low) / 10, 1.0)),
        chart("Loss", {"loss": "train", "val_loss": "val, clean"}),
        chart("Learning rate", {"learning_rate": "as an epoch begins"}),
    ]
    return [one for one in made if one]


def _epochs(history: pd.DataFrame | None) -> dict[str, Any] | None:
    """The history as a table of words."""
    if history is None:
        return None
    rows = [[_number(value) for value in row] for row in history.itertuples(index=False)]
    return {"columns": [str(name).replace("_", " ") for name in history.columns], "rows": rows}


def _number(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)


# Classes


def _measured(name: str, measures: Mapping[str, Any]) -> dict[str, Any]:
    """A set's measures with its classes and who is taken for whom."""
    classes = list(measures["per_class"])
    counts = np.array(measures["confusion"], np.int64)
    worst = measures["worst_class"]["class"]
    per_class = [
        {"name": of_class, "worst": of_class == worst, **measures["per_class"][of_class]} for of_class in classes
    ]
    return {
        "name": name,
        "measures": measures,
        "per_class": per_class,
        "matrix": _matrix(classes, counts) if len(classes) <= MATRIX_UP_TO else None,
        "pairs": _pairs(classes, counts),
    }


def _matrix(classes: Sequence[str], counts: np.ndarray) -> list[dict[str, Any]]:
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


def _pairs(classes: Sequence[str], counts: np.ndarray) -> list[dict[str, Any]]:
    """Which class is most often taken for which."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    found = [np.unravel_index(at, wrong.shape) for at in order]
    return [
        {"of": classes[i], "said": classes[j], "count": int(wrong[i, j]), "images": int(counts[i].sum())}
        for i, j in found
        if wrong[i, j]
    ]


# Under shift


def _chance(metrics: Mapping[str, Any]) -> float:
    """What guessing would come to: where the colours of the accuracies end."""
    return 1 / max(2, len(metrics["classes"]))


def _shaded(accuracy: float | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
    if accuracy is None:
        return {"text": "", "class": ""}
    chance = _chance(metrics)
    return {"text": f"{accuracy:.2f}", "class": f"bad-{scales.level_of((1 - accuracy) / (1 - chance))}"}


def _corruptions(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table of corruptions, one body per family, the family and in it the corruption that hurts most first."""
    benchmark = metrics.get("benchmark") or {}
    told = benchmark.get("corruptions")
    if not told:
        return None
    severities = sorted({severity for one in told.values() for severity in one["severities"]}, key=int)
    relative = (benchmark.get("baseline") or {}).get("ce") or {}
    families: dict[str, list[dict[str, Any]]] = {}
    for name, one in sorted(told.items(), key=lambda item: (item[1]["accuracy"], item[0])):
        families.setdefault(one["family"], []).append(
            {
                "name": _in_words(name),
                "verdict": one["verdict"],
                "cells": [_shaded(one["severities"].get(severity), metrics) for severity in severities],
                "mean": _shaded(one["accuracy"], metrics),
                "interval": _between(one.get("interval")),
                "relative": "" if relative.get(name) is None else f"{relative[name]:.2f}",
            }
        )
    means = benchmark.get("severities", {})
    return {
        "severities": severities,
        "families": list(families.items()),
        "count": len(told),
        "mean": _shaded(benchmark["mean_accuracy"], metrics),
        "interval": _between(benchmark.get("interval")),
        "means": [_shaded(means.get(severity), metrics) for severity in severities],
        "baseline": benchmark["baseline"] if relative else None,
    }


def _composed(benchmark: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": _in_words(name),
            "verdict": one["verdict"],
            "accuracy": one["accuracy"],
            "interval": _between(one.get("interval")),
        }
        for name, one in (benchmark.get("composed") or {}).items()
    ]


def _verdicts(benchmark: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Means over the corruptions that the training policy stands to alike."""
    words = {
        "disjoint": "unlike anything that the training policy draws",
        "near": "the training policy comes near to them",
        "identical": "the training policy draws the very same: they flatter",
    }
    return [
        {
            "name": name,
            "means": means,
            "corruptions": benchmark[name]["corruptions"],
            "accuracy": benchmark[name]["mean_accuracy"],
            "interval": _between(benchmark[name].get("interval")),
        }
        for name, means in words.items()
        if name in benchmark
    ]


def _slice(one: Mapping[str, Any]) -> dict[str, Any]:
    """What the scan found against the rest, in words."""
    name = one["slice"]
    title = (
        "In a group of copies"
        if name == "in_group"
        else CATALOGUE[name].title
        if name in CATALOGUE
        else _in_words(name).capitalize()
    )
    parts = {
        part: {
            "accuracy": one[part]["accuracy"],
            "rest": one[part]["rest"],
            "difference": f"{one[part]['difference']:+.3f}",
            "p": "below 0.001" if one[part]["p"] < 0.001 else f"{one[part]['p']:.3f}",
            "sure": one[part]["p"] < 0.05,
        }
        for part in ("clean", "benchmark")
        if part in one
    }
    return {**one, "title": title, "parts": parts}


def _calibration(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Charts of the clean and the corrupted images, and the table of all sets."""
    if not told:
        return None
    titles = {"clean": "Clean test images", "benchmark": "Under corruption"}
    charts = [
        reliability_chart(title, of["confidence"], of["accuracy"], of["images"])
        for name, title in titles.items()
        if name in told["sets"] and (of := told["sets"][name]["reliability"])
    ]
    rows = [
        {
            "name": {"benchmark": "under corruption"}.get(name, _in_words(name)),
            "ece": one["ece"],
            "tempered": one["ece_tempered"],
        }
        for name, one in told["sets"].items()
    ]
    return {"temperature": told["temperature"], "charts": charts, "rows": rows}


# Pictures


def _panel(panel: Panel, explained: Explained) -> dict[str, Any]:
    rows = []
    for row in panel.rows:
        figures = []
        for case in row:
            name, said, which = said_of(case, explained.classes)
            source = _jpeg(beside(explained.pictures[case], PICTURE_SIDE))
            figures.append({"src": source, "name": name, "said": said, "which": which, "right": case.right})
        rows.append(figures)
    return {"title": panel.title, "about": panel.about, "rows": rows}


def _places(explained: Explained | None) -> str:
    """How fine the maps are that the heat maps are made of."""
    return " and ".join(f"{width}x{height}" for height, width in explained.places) if explained else ""


def _hardest(explained: Explained) -> list[dict[str, Any]]:
    """The thumbnails of the hardest images with what is known of each."""
    rows = explained.hardest.head(len(explained.thumbnails)).to_dict("records")
    return [
        {str(key): value for key, value in row.items()}
        | {"src": _jpeg(_large(pixels)), "under": row["corrupted"] == row["corrupted"]}
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
