"""Metrics that tests make by hand: what a test does not ask for is empty."""

from __future__ import annotations

from dataclasses import fields

from train.metrics import FitFacts, KeptEpoch, Metrics, ModelFacts, RunMetrics, Selection

MODEL = ModelFacts(("cnn",), 96, 12345, "imagenet")
FIT = FitFacts(KeptEpoch(2, 2, 0.68), "corruptions", 5)


def metrics_with(**parts: object) -> Metrics:
    """Metrics with some parts, such as the classes."""
    nothing = {"classes": (), "sets": {}, "external": {}, "calibration": None}
    return Metrics(**{**nothing, "selection": Selection(score=None, scores={}), **parts})


def run_metrics(metrics: Metrics | None = None, **parts: object) -> RunMetrics:
    """The metrics of a run with those measures, and some other parts."""
    measures = metrics or metrics_with()
    facts = {"recipe": "baseline", "model": MODEL, "fit": FIT}
    return RunMetrics(**{field.name: getattr(measures, field.name) for field in fields(Metrics)} | facts | parts)
