import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer import Context
from typer.main import get_command
from typer.testing import CliRunner

import train.commands
import train.ensembles
import train.explanation
import train.exporting
import train.predicting
import train.runs
from train.commands import app
from train.configs import ATTENTIONS, SCHEDULES, SEARCHES, TEST_TIME
from train.exporting import TARGETS
from train.recipe import RECIPES, load_recipe


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document_of(*arguments: object):
    """The one JSON document that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def completed(command: str, option: str, incomplete: str = "") -> list[str]:
    program = get_command(app)
    (param,) = (param for param in program.commands[command].params if param.name == option)
    return [item.value for item in param.shell_complete(Context(program), incomplete)]


@pytest.fixture
def idle(monkeypatch):
    """Commands that find every run, and start no Keras."""
    monkeypatch.setattr(train.commands, "_start_keras", lambda output: None)
    for name in ("find_model", "find_run"):
        monkeypatch.setattr(train.runs, name, lambda run, artifacts: Path(artifacts, run))


def test_recipes_are_told_as_json():
    recipes = {row["name"]: row for row in document_of("recipes")}
    assert set(recipes) == set(RECIPES)
    assert all(row["build"] == load_recipe(name).build_command for name, row in recipes.items())


def test_predictions_are_told_as_json(monkeypatch, idle):
    table = pd.DataFrame({"predicted": ["round", "round", ""]})
    result = SimpleNamespace(path=Path("p.csv"), table=table, notes=("a note",), seconds={})
    monkeypatch.setattr(train.predicting, "predict", lambda *given, **words: result)
    assert document_of("predict", "baseline", "data.npz") == {
        "path": "p.csv", "images": 3, "classes": {"round": 2, "": 1}, "notes": ["a note"],
    }  # fmt: skip


def test_what_a_model_looks_at_is_told_as_json(monkeypatch, idle):
    hardest = pd.DataFrame({"id": ["3"], "clean": [np.nan]})
    monkeypatch.setattr(
        train.explanation, "explain", lambda *given: (SimpleNamespace(hardest=hardest), Path("gradcam.png"))
    )
    assert document_of("explain") == {"picture": "gradcam.png", "hardest": [{"id": "3", "clean": None}]}
    assert document_of("explain", "--images", "3")["hardest"] == []


def test_an_export_is_told_as_json(monkeypatch, idle):
    exported = train.exporting.Exported(Path("out"), "onnx", ("model.onnx",), 10, 1e-7, "load it")
    monkeypatch.setattr(train.exporting, "export", lambda *given, scale: exported)
    monkeypatch.setattr(train.predicting, "classes_of", lambda *given: (("a", "b"), ""))
    monkeypatch.setattr(train.predicting, "as_measured", lambda *given: SimpleNamespace(tta="flips"))
    export = document_of("export", "baseline", "--to", "onnx")
    assert export["path"] == "out"
    assert export["files"] == ["model.onnx"]
    assert export["notes"] == [
        "the run was measured with test-time augmentation (flips); the exported model takes one view"
    ]


def test_an_ensemble_is_told_as_json(monkeypatch):
    ensemble = SimpleNamespace(path=Path("runs/both"), metrics={"clean": {"accuracy": float("nan")}}, notes=())
    monkeypatch.setattr(train.ensembles, "ensemble", lambda *given: ensemble)
    assert document_of("ensemble", "one", "other") == {
        "path": "runs/both", "metrics": {"clean": {"accuracy": None}}, "notes": [],
    }  # fmt: skip


def test_options_recipes_and_runs_complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").touch()
    for name in ("baseline", "other"):
        (tmp_path / "artifacts" / "runs" / name).mkdir(parents=True)
        (tmp_path / "artifacts" / "runs" / name / "manifest.json").touch()
    (tmp_path / "artifacts" / "runs" / "half.partial").mkdir()
    assert completed("baseline", "attention") == list(ATTENTIONS)
    assert completed("run", "schedule", "c") == [name for name in SCHEDULES if name.startswith("c")]
    assert completed("baseline", "backbone", "auto,cn") == ["auto,cnn"]
    assert "ResNet50" in completed("m2g", "backbone", "ResNet5")
    assert completed("evaluate", "tta") == list(TEST_TIME)
    assert completed("tune", "how") == list(SEARCHES)
    assert completed("export", "to") == list(TARGETS)
    assert completed("tune", "recipe", "m") == ["m2g", "mine.toml"]
    assert completed("run", "recipe", "mi") == ["mine.toml"]
    assert completed("predict", "model") == ["baseline", "other"]
    assert completed("compare", "runs", "o") == ["other"]
