import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer import Context
from typer.main import get_command
from typer.testing import CliRunner

import augment.planning
import augment.previewing
import augment.replaying
from augment.commands import app
from augment.configs import BALANCES, CALIBRATED, FITS, PRESET_NAMES, SETS, BuildConfig, PreviewConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.policies import library
from curate.sets.provenance import ImageOrigin
from curate.stage.errors import DataError


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document_of(*arguments: object, status: int = 0):
    """The one JSON document that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def completed(command: str, option: str, incomplete: str = "") -> list[str]:
    program = get_command(app)
    (param,) = (param for param in program.commands[command].params if param.name == option)
    return [item.value for item in param.shell_complete(Context(program), incomplete)]


def test_policies_are_told_as_json():
    policies = document_of("policies")
    assert [row["name"] for row in policies] == list(library.names())
    assert all(row["about"] and row["copies"] >= 0 for row in policies)


def test_corruptions_are_told_as_json():
    assert [row["corruption"] for row in document_of("corruptions")] == list(CORRUPTIONS)


@pytest.fixture
def plan(monkeypatch):
    """What a plan comes to; the configurations that are asked for are noted."""
    configs = []

    def planned(source, config):
        configs.append(config)
        return SimpleNamespace(
            copy_plan=SimpleNamespace(table=pd.DataFrame({"class": ["round"], "copies": [30]})),
            images={"train": 60}, size=(96, 64), bytes=10, notes=("a note",),
        )  # fmt: skip

    monkeypatch.setattr(augment.planning, "plan", planned)
    return configs


def test_a_plan_is_told_as_json(plan):
    assert document_of("plan", "data.npz", "--size", "96x64", "--balance", "30") == {
        "classes": [{"class": "round", "copies": 30}],
        "images": {"train": 60},
        "size": [96, 64],
        "bytes": 10,
        "notes": ["a note"],
        "next": "augment build data.npz --policy heavy --balance 30 --size 96x64",
    }


def test_the_next_command_builds_what_was_planned(plan):
    options = ("--policy", "light", "--copies", 2, "--balanced-test", "--per-class", 3, "--fresh", "--seed", 4)
    words = document_of("plan", *options, "--artifacts", "my own")["next"].split(" ", 2)
    assert words[:2] == ["augment", "build"]
    assert words[2] == ("--policy light --copies 2 --balanced-test --per-class 3 --fresh --seed 4 --artifacts 'my own'")
    assert plan == [
        BuildConfig(policy="light", copies=2, balanced_test=True, per_class=3, fresh=True, seed=4, artifacts="my own")
    ]


def test_notes_of_a_plan_are_left_out_when_it_is_to_be_quiet(plan):
    assert "note    a note" in run("plan").stdout
    assert "note" not in run("plan", "--quiet").stdout


def test_a_sheet_is_told_as_json(monkeypatch):
    monkeypatch.setattr(augment.previewing, "preview", lambda source, config, path, **words: path)
    assert document_of("preview", "--out", "here.png") == {"sheet": "here.png"}


@pytest.mark.parametrize("values", [{"copies": 0}, {"images": 0}])
def test_a_sheet_of_nothing_is_refused(values):
    with pytest.raises(DataError, match="is 0; needed is a whole number from 1"):
        PreviewConfig(**values)


@pytest.mark.parametrize(("equal", "status"), [(True, 0), (False, 1)])
def test_an_image_made_again_is_told_as_json(monkeypatch, equal, status):
    image = np.zeros((8, 8, 3), np.uint8)
    origin = ImageOrigin("3+1", "3", 3, -1, 1, 0, "round", "[]", 0, 0, False)
    replayed = augment.replaying.Replayed("train", origin, ({"op": "flip_x"},), image, image, image + (not equal))
    monkeypatch.setattr(augment.replaying, "replay", lambda *given: replayed)
    assert document_of("replay", "3+1", status=status) == {
        "id": "3+1", "set": "train", "source_id": "3", "class": "round", "record": [{"op": "flip_x"}],
        "picture": None, "equal": equal,
    }  # fmt: skip


def test_policies_severities_sets_and_balances_complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").touch()
    assert completed("build", "policy") == [*library.names(), "mine.toml"]
    assert completed("preview", "policy", "mi") == [*(n for n in library.names() if n.startswith("mi")), "mine.toml"]
    assert completed("build", "severities") == [CALIBRATED, *PRESET_NAMES]
    assert completed("build", "fit") == list(FITS)
    assert completed("plan", "balance") == list(BALANCES)
    assert completed("build", "benchmark") == [*SETS, "none"]
    assert completed("build", "benchmark", "common,b") == ["common,blood"]
    assert completed("overlap", "backbone", "a") == ["auto"]


@pytest.mark.parametrize(
    ("train", "val", "lacking"),
    [([4, 4], [1, 1], ""), ([4, 0], [1, 1], "two classes in train"), ([4, 4], [0, 0], "images in val and test")],
)
def test_a_build_that_cannot_be_trained_on_says_what_it_lacks(train, val, lacking):
    counts = pd.DataFrame({"class": ["a", "b"], "train": train, "copies": 0, "val": val, "test": val})
    assert augment.commands._lacking(SimpleNamespace(counts=counts)) == lacking
