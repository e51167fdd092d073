"""A run made by hand: three classes, two of them with names that are markup, a benchmark of every shape, pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from metrics import run_metrics

from train.answers import Answers, Track
from train.configs import RunConfig
from train.evaluation import metrics_of
from train.explanation import hardest, panels
from train.panels import Explained, Picture
from train.reporting import RunReport
from train.slices import sliced

CLASSES = ("cat", "dog & <b>bone</b>", "</script><script>alert(1)</script>")
SOURCES = 60
SIDE = 24


def _tracks() -> list[tuple[Track, float]]:
    """Every set, and the share that a made-up model is right on."""
    sets = [(Track("val", "val"), 0.9), (Track("test", "test"), 0.9), (Track("zoo <1>.npz", "external"), 0.4)]
    for name, family, verdict, loss in (
        ("fog", "weather", "near", 0.1),
        ("shot_noise", "noise", "disjoint", 0.05),
        ("impulse_noise", "noise", "identical", 0.02),
    ):
        sets += [(Track(f"{name}-{s}", "test", name, s, family, verdict), 0.9 - loss * s) for s in range(1, 6)]
    sets += [(Track(f"composed-{n}", "test", f"composed-{n}", verdict="near"), 0.8 - 0.1 * n) for n in (2, 3)]
    return [*sets, (Track("gamma-5", "validation", "gamma", 5, "light", "near"), 0.7)]


def _answers() -> Answers:
    rng = np.random.default_rng(0)
    tracks = _tracks()
    labels = np.arange(SOURCES) % len(CLASSES)
    probabilities = []
    for _, share in tracks:
        said = np.where(rng.random(SOURCES) < share, labels, (labels + 1) % len(CLASSES))
        spread = rng.dirichlet(np.ones(len(CLASSES)), SOURCES)
        probabilities.append(0.6 * np.eye(len(CLASSES))[said] + 0.4 * spread)
    count = len(tracks)
    ids = np.array([f"<i>{i:02}</i>" for i in range(SOURCES)], object)
    return Answers(
        tuple(track for track, _ in tracks),
        np.repeat(np.arange(count), SOURCES),
        np.tile(ids, count),
        np.tile(ids, count),
        np.tile(np.arange(SOURCES), count),
        np.tile(labels, count),
        np.concatenate(probabilities).astype(np.float32),
    )


def _history() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for stage, epoch in ((0, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3)):
        k = len(rows)
        rows.append(
            {
                "stage": stage, "epoch": epoch, "loss": 1.25 - k / 8 if stage else float("nan"),
                "learning_rate": 1e-3 / k if stage else 0.0, "val_clean": 0.8 + k / 50, "val_corruptions": 0.6 + k / 50,
                "val_composed": 0.5 + k / 50, "val_loss": 0.8 - k / 16, "score": 0.6 + k / 50, "seconds": 1.5,
                "better": k != 5,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def made() -> RunReport:
    """The run that is not to be changed."""
    answers = _answers()
    metrics = metrics_of(answers, CLASSES, 50, 0)
    flagged = {"colour_cast": set(answers.ids[:9]), "in_group": set(answers.ids[30:42])}
    slices = sliced(answers, flagged, CLASSES, 50, 0)
    table, rng = answers.table(), np.random.default_rng(1)
    shown = panels(table, answers.tracks)
    pictures = {
        case: Picture(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), rng.random((SIDE, SIDE), np.float32))
        for panel in shown
        for case in panel.cases
    }
    thumbnails = tuple(rng.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8))
    explained = Explained(CLASSES, shown, pictures, ((3, 4),), hardest(table, answers.tracks, CLASSES), thumbnails)
    return RunReport(
        name="heavy <2>",
        config=RunConfig(recipe="baseline", seed=7),
        metrics=run_metrics(metrics, slices=slices),
        history=_history(),
        explained=explained,
        digests={"scan_digest": "5ca1ab1e", "build_digest": "b111d", "source_digest": None},
        notes=("nothing of <note>",),
        seconds={"fitting": 12.34},
    )


@pytest.fixture
def run(made: RunReport) -> RunReport:
    """A run of one's own, but for what is within."""
    return replace(made)
