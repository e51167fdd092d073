"""Runs on disk: artifacts/runs/<name>/, one folder each, whole or not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from curate.stage.errors import DataError, gist
from curate.stage.files import drafting, write_parquet
from curate.stage.manifest import FILE, Manifest, check_outputs, read_manifest
from curate.stage.records import OPTIONAL, read_document, record_text
from curate.stage.shortness import short_repr

from .configs import EnsembleConfig, EvaluateConfig, RunConfig
from .metrics import METRICS, EnsembleMetrics, Metrics, RunMetrics, read_metrics

if TYPE_CHECKING:
    import keras
    import pandas as pd

RUNS = "runs"
MODEL, HISTORY, PREDICTIONS = "model.keras", "history.csv", "predictions.parquet"
CONFIG, REPORT, GRADCAM, HARDEST = "config.toml", "report.html", "gradcam.png", "hardest.csv"


@dataclass(frozen=True, kw_only=True)
class RunManifest(Manifest):
    """manifest.json of a run.

    build_digest   of the built set's manifest;  scan_digest, source_digest  what that was made of
    key            what makes the fit the same (see training)
    """

    COMMAND: ClassVar[str] = "train baseline"

    stage: str = "run"
    config: RunConfig = field()
    build_digest: str | None = field(default=None, metadata=OPTIONAL)
    scan_digest: str | None = field(default=None, metadata=OPTIONAL)
    source_digest: str | None = field(default=None, metadata=OPTIONAL)
    key: str | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True)
class EnsembleManifest(Manifest):
    """manifest.json of an ensemble, which counts as a run.

    build_digest, scan_digest  of what the first member was fitted to;  members  run -> digest of its manifest
    """

    COMMAND: ClassVar[str] = "train ensemble"

    stage: str = "run"
    config: EnsembleConfig = field()
    build_digest: str | None = field(default=None, metadata=OPTIONAL)
    scan_digest: str | None = field(default=None, metadata=OPTIONAL)
    members: Mapping[str, str]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, or an ensemble: its folder, and what two of its files hold."""

    path: Path
    manifest: RunManifest | EnsembleManifest
    metrics: Metrics

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def measured_with(self) -> EvaluateConfig:
        """How the run was measured. Raises DataError of an ensemble, which has no model to measure."""
        if isinstance(self.manifest, EnsembleManifest):
            raise _no_model(self.path)
        return self.manifest.config.evaluate

    @property
    def model(self) -> Path:
        """The model's file. Raises DataError where the run has none, as an ensemble has not."""
        return _model_of(self.path)

    def predictions(self) -> pd.DataFrame:
        """One row per evaluated image: set, id, source, group, label and p0 .. pK-1. Raises DataError."""
        import pandas as pd

        path = self.path / PREDICTIONS
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({gist(error)}). Run it again.") from error
        check_outputs(self.manifest, self.path, (PREDICTIONS,))
        return table

    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        return read_history(self.path)


def read_history(folder: Path) -> pd.DataFrame:
    """history.csv of a run's folder: one row per epoch."""
    import pandas as pd

    return pd.read_csv(folder / HISTORY)


def run_path(name: str, artifacts: str | Path) -> Path:
    """Where the run of that name is. Raises DataError where the name is none of a folder."""
    if not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
        raise DataError(f"{name!r} is no name of a run; needed are letters, digits, and - _ . +, as in heavy-2.")
    return Path(artifacts, RUNS, name)


def run_names(artifacts: str | Path) -> list[str]:
    """The names of the finished runs, sorted."""
    return sorted(path.parent.name for path in Path(artifacts, RUNS).glob("*/manifest.json"))


def find_run(run: str | Path, artifacts: str | Path) -> Path:
    """The folder of a run: `run` itself where it is one, or the run of that name. Raises DataError."""
    path = Path(run)
    if (path / METRICS).is_file():
        return path
    if path.name == str(run) and (Path(artifacts, RUNS, path) / METRICS).is_file():
        return Path(artifacts, RUNS, path)
    names = run_names(artifacts)
    choice = f"There are: {', '.join(names)}." if names else "There are none yet: run `train baseline` first."
    raise DataError(f"no run {str(run)!r} in {Path(artifacts, RUNS)}, nor a run's folder of that path. {choice}")


def read_run(run: str | Path, artifacts: str | Path) -> Run:
    """A finished run, by its name or folder. Raises DataError."""
    path = find_run(run, artifacts)
    if _is_ensemble(path):
        finished = Run(path, read_manifest(EnsembleManifest, path), read_metrics(EnsembleMetrics, path))
    else:
        finished = Run(path, read_manifest(RunManifest, path), read_metrics(RunMetrics, path))
    check_outputs(finished.manifest, path, (METRICS, HISTORY))
    return finished


def _is_ensemble(path: Path) -> bool:
    """Whether a folder is of an ensemble, whose manifest names members; not where it has none, which reading tells."""
    file = path / FILE
    return file.is_file() and "members" in read_document(file, "Run it again.")


def find_model(model: str | Path, artifacts: str | Path) -> Path:
    """The .keras file of a model: `model` itself where it is one, or that of a run. Raises DataError."""
    path = Path(model)
    if path.suffix == ".keras":
        if not path.is_file():
            raise DataError(f"no model {path}.")
        return path
    return _model_of(find_run(model, artifacts))


def _model_of(run: Path) -> Path:
    path = run / MODEL
    if not path.is_file():
        raise _no_model(run)
    if (run / FILE).is_file():
        check_outputs(read_manifest(RunManifest, run), run, (MODEL,))
    return path


def _no_model(run: Path) -> DataError:
    return DataError(f"{run} holds no {MODEL}: an ensemble has no model of its own. Name its members.")


def write_model(model: keras.Model, path: Path) -> Path:
    """Write a Keras model, without what it was fitted by, which is twice as much again. Raises OutputError."""
    import keras

    bare = keras.Model(model.input, model.output, name=model.name)
    with drafting(path) as draft:
        named = draft.with_suffix(".keras")  # Keras asks for that ending
        bare.save(named)
        named.replace(draft)
    return path


def metrics_text(document: object) -> str:
    """Metrics, or a document that holds some, as JSON: numbers that are none become null."""
    return record_text(document)


def write_predictions(predictions: pd.DataFrame, folder: Path) -> Path:
    """Write predictions.parquet. Raises OutputError."""
    path = folder / PREDICTIONS
    write_parquet(predictions, path)
    return path
