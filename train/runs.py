"""Runs on disk: artifacts/runs/<name>/, one folder each, whole or not there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from curate.stage.errors import DataError
from curate.stage.files import drafting, write_parquet, write_text
from curate.stage.manifest import FILE, Manifest, read_manifest
from curate.stage.records import OPTIONAL, record_of

from .configs import EvaluateConfig

if TYPE_CHECKING:
    import pandas as pd

RUNS = "runs"
MODEL, METRICS, HISTORY, PREDICTIONS = "model.keras", "metrics.json", "history.csv", "predictions.parquet"
CONFIG, REPORT, GRADCAM, HARDEST = "config.toml", "report.html", "gradcam.png", "hardest.csv"


@dataclass(frozen=True, kw_only=True)
class RunManifest(Manifest):
    """manifest.json of a run or an ensemble.

    config         a RunConfig, or an EnsembleConfig, as a document
    build_digest   of the built set's manifest;  scan_digest, source_digest  what that was made of
    key            what makes the fit the same (see training)
    members        of an ensemble: run -> digest of its manifest
    """

    COMMAND: ClassVar[str] = "train baseline"

    stage: str = "run"
    config: Mapping[str, object]
    build_digest: str | None = field(default=None, metadata=OPTIONAL)
    scan_digest: str | None = field(default=None, metadata=OPTIONAL)
    source_digest: str | None = field(default=None, metadata=OPTIONAL)
    key: str | None = field(default=None, metadata=OPTIONAL)
    members: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    path      its folder;  manifest  and  metrics  what the files of that name hold
    """

    path: Path
    manifest: RunManifest
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def measured_with(self) -> EvaluateConfig:
        """How the run was measured. Raises DataError where its manifest does not tell, as an ensemble's does not."""
        document = self.manifest.config.get("evaluate")
        return record_of(EvaluateConfig, document, str(self.path / FILE), "Run it again.")

    @property
    def model(self) -> Path:
        """The model's file. Raises DataError where the run has none, as an ensemble has not."""
        return _model_of(self.path)

    def predictions(self) -> pd.DataFrame:
        """One row per evaluated image: set, id, source, group, label and p0 .. pK-1. Raises DataError."""
        import pandas as pd

        path = self.path / PREDICTIONS
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}). Run it again.") from error

    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        import pandas as pd

        return pd.read_csv(self.path / HISTORY)


def run_path(name: str, artifacts: str | Path) -> Path:
    """Where the run of that name is. Raises DataError where the name is none of a folder."""
    if not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
        raise DataError(f"{name!r} is no name of a run; needed are letters, digits, and - _ . +, as in heavy-2.")
    return Path(artifacts, RUNS, name)


def run_names(artifacts: str | Path) -> list[str]:
    """The names of the finished runs, sorted."""
    return sorted(path.parent.name for path in Path(artifacts, RUNS).glob("*/manifest.json"))


def find_run(given: str | Path, artifacts: str | Path) -> Path:
    """The folder of a run: `given` itself where it is one, or the run of that name. Raises DataError."""
    path = Path(given)
    if (path / METRICS).is_file():
        return path
    if path.name == str(given) and (Path(artifacts, RUNS, path) / METRICS).is_file():
        return Path(artifacts, RUNS, path)
    known = run_names(artifacts)
    there = f"There are: {', '.join(known)}." if known else "There are none yet: run `train baseline` first."
    raise DataError(f"no run {str(given)!r} in {Path(artifacts, RUNS)}, nor a run's folder of that path. {there}")


def read_run(given: str | Path, artifacts: str | Path) -> Run:
    """A finished run, by its name or folder. Raises DataError."""
    path = find_run(given, artifacts)
    manifest = read_manifest(RunManifest, path)
    try:
        metrics = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path / METRICS} is not valid JSON ({error}). Run it again.") from error
    return Run(path, manifest, metrics)


def find_model(given: str | Path, artifacts: str | Path) -> Path:
    """The .keras file of a model: `given` itself where it is one, or that of a run. Raises DataError."""
    path = Path(given)
    if path.suffix == ".keras":
        if not path.is_file():
            raise DataError(f"no model {path}.")
        return path
    return _model_of(find_run(given, artifacts))


def _model_of(run: Path) -> Path:
    path = run / MODEL
    if not path.is_file():
        raise DataError(f"{run} holds no {MODEL}: an ensemble has no model of its own. Name its members.")
    return path


def write_model(model: Any, path: Path) -> Path:
    """Write a Keras model, without what it was fitted by, which is twice as much again. Raises OutputError."""
    import keras

    bare = keras.Model(model.input, model.output, name=model.name)
    with drafting(path) as draft:
        named = draft.with_suffix(".keras")  # Keras asks for that ending
        bare.save(named)
        named.replace(draft)
    return path


def write_metrics(metrics: Mapping[str, Any], folder: Path) -> Path:
    """Write metrics.json; numbers that are none become null. Raises OutputError."""
    path = folder / METRICS
    write_text(metrics_text(metrics), path)
    return path


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """The text of a metrics.json."""
    return json.dumps(_finite(metrics), indent=2, ensure_ascii=False) + "\n"


def write_predictions(predictions: pd.DataFrame, folder: Path) -> Path:
    """Write predictions.parquet. Raises OutputError."""
    path = folder / PREDICTIONS
    write_parquet(predictions, path)
    return path


def _finite(value: Any) -> Any:
    """JSON has no NaN: null in its place."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return None if value != value or abs(value) == float("inf") else value
    return value
