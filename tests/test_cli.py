import hashlib
import json
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import augment.benchmark
import augment.building
import augment.features
import augment.judging
import augment.making
import augment.preparing
import augment.previewing
import cli
import curate.scanning
import train.commands
import train.evaluation
import train.training
from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.policies import library
from curate.cleaning import ApplyConfig
from curate.configs import DecideConfig, ScanConfig, SplitConfig
from curate.demo import DemoConfig, clean_cells
from curate.findings import SEVERITY
from curate.selftesting import SelftestConfig
from curate.sets.exporting import EXPORTS, ExportConfig
from curate.stage.errors import DataError, OutputError, WorkerLost
from curate.stage.options import written
from train.configs import EvaluateConfig, FitConfig, ModelConfig, RunConfig
from train.ensembles import EnsembleConfig
from train.exporting import TARGETS
from train.recipe import RECIPES, load_recipe
from train.tuning import TuneConfig

ROOT = Path(__file__).parents[1]
APPS = {"curate": cli.curate_app, "augment": cli.augment_app, "train": cli.train_app}
COMMANDS = [(app, name) for app in APPS for name in get_command(APPS[app]).commands]
QUICK = ("--backbone", "builtin", "--map", "none")


def run(app: str, *arguments: object):
    return CliRunner().invoke(APPS[app], [str(argument) for argument in arguments])


def options_of(app: str, command: str) -> dict:
    """All but how a command prints, which is the same for all (tests/curate/test_commandline.py)."""
    params = get_command(APPS[app]).commands[command].params
    return {param.name: param for param in params if param.name not in ("help", "as_json", "quiet", "verbose")}


def said_in_one_line(result, *words: str) -> None:
    """A user's error: one line on stderr, nothing on stdout, exit status 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for word in words:
        assert word in line
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def pictures():
    """Twenty-four cells, the last two of which are copies."""
    images, labels = clean_cells(DemoConfig(images=22, classes=2))
    return np.concatenate([images, images[3:4], images[5:6, :, ::-1]]), np.append(labels, labels[[3, 5]])


@pytest.fixture
def data(tmp_path, pictures) -> Path:
    images, labels = pictures
    np.savez(tmp_path / "data.npz", images=images, labels=labels, class_names=np.array(["lobed", "round"]))
    return tmp_path / "data.npz"


@pytest.fixture
def scanned(data, tmp_path):
    """Where the artifacts of a scan of it are."""
    result = run("curate", "scan", data, *QUICK, "--artifacts", tmp_path / "artifacts")
    assert result.exit_code == 0, result.output
    return tmp_path / "artifacts"


@pytest.fixture(scope="module")
def found(pictures, tmp_path_factory):
    """What a scan of them finds."""
    path = tmp_path_factory.mktemp("found") / "data.npz"
    np.savez(path, images=pictures[0], labels=pictures[1])
    return curate.scanning.scan(path, ScanConfig(artifacts=None, backbone="builtin", map="none"))


# Options and help


def test_the_options_of_scan_are_the_fields_of_its_configuration():
    options = options_of("curate", "scan")
    mirrored = {field.name for field in fields(ScanConfig)}
    assert set(options) - mirrored == {"source", "fail_on", "dry_run"}
    assert mirrored <= set(options)
    for field in fields(ScanConfig):
        default = options[field.name].default
        if field.default is MISSING or field.default == ():  # given by repeating the option
            assert default in (None, ())
        elif field.default is None:
            assert default is None
        else:
            assert str(default) == str(field.default)


@pytest.mark.parametrize(
    ("command", "config", "beside", "instead"),
    [
        ("apply", ApplyConfig, {field.name for field in fields(DecideConfig)}, set()),
        ("split", SplitConfig, {"source"}, set()),
        ("export", ExportConfig, {"source"}, set()),
        ("selftest", SelftestConfig, None, None),
    ],
)
def test_the_options_of_other_commands_are_fields_of_theirs(command, config, beside, instead):
    options = options_of("curate", command)
    known = {field.name for field in fields(config)}
    if beside is None:  # those of the scan that it makes are options of its own
        known |= {field.name for field in fields(ScanConfig)} | {"source"}
        assert set(options) <= known
    else:
        renamed = dict(instead)
        assert {renamed.get(name, name) for name in set(options) - beside} == known
        for field in fields(config):
            if field.default not in (MISSING, None, ()) and field.name in options:
                assert str(options[field.name].default) == str(field.default)


def test_the_options_of_build_are_the_fields_of_its_configuration():
    options = options_of("augment", "build")
    assert set(options) == {field.name for field in fields(BuildConfig)} | {"source"}
    for field in fields(BuildConfig):
        default = options[field.name].default
        if field.default in (None, ()):
            assert default in (None, "")
        else:
            assert str(default) == (",".join(field.default) if field.name == "benchmark" else str(field.default))


@pytest.mark.parametrize(
    ("command", "beside"),
    [
        ("plan", {"source"}),
        ("preview", {"source", "policies", "corruptions", "images", "out"}),
        ("overlap", {"source"}),
    ],
)
def test_what_looks_ahead_has_options_of_build(command, beside):
    options, of_build = options_of("augment", command), options_of("augment", "build")
    assert set(options) - beside < set(of_build)
    for name in set(options) - beside - {"copies"}:  # of a preview: so many are shown
        assert options[name].default == of_build[name].default


@pytest.mark.parametrize(("app", "command"), COMMANDS)
def test_every_command_explains_itself_and_each_of_its_options(app, command):
    result = run(app, command, "--help")
    assert result.exit_code == 0
    assert result.stderr == ""
    shown = result.stdout.replace("\n", " ")
    for param in options_of(app, command).values():
        if param.param_type_name == "option":
            assert any(option in shown for option in param.opts)
            assert param.help
            assert "[" not in param.help  # which would be taken for markup, and not be shown


@pytest.mark.parametrize(("app", "command"), COMMANDS)
def test_every_option_is_a_field_of_a_configuration_with_its_default(app, command):
    function = get_command(APPS[app]).commands[command].callback
    while not hasattr(function, "takes"):
        function = function.__wrapped__
    known = {of.name: of for takes in reversed(function.takes.values()) for of in takes.options()}
    for param in get_command(APPS[app]).commands[command].params:
        if param.param_type_name == "option" and param.name != "help":
            of = known.pop(param.name)
            assert param.help == of.option.help
            assert param.opts[0] == of.flag
            if of.repeats or of.default in (MISSING, None):
                assert param.default in (MISSING, None)
            else:
                assert str(param.default) == str(written(of, of.default))
    assert known == {}


@pytest.mark.parametrize(("app", "command"), COMMANDS)
def test_every_command_has_help_under_headings_and_json(app, command):
    result = run(app, command, "-h")
    assert result.exit_code == 0
    assert "─ What is printed ─" in result.stdout
    params = {param.name for param in get_command(APPS[app]).commands[command].params}
    assert "as_json" in params
    assert {"quiet", "verbose"} <= params


@pytest.mark.parametrize("app", APPS)
def test_a_program_tells_its_version(app):
    result = run(app, "--version")
    assert (result.exit_code, result.stdout) == (0, f"{app} (Trustset) {metadata.version('trustset')}\n")


@pytest.mark.parametrize("app", APPS)
def test_a_program_without_a_command_shows_its_commands(app):
    result = run(app)
    for owner, command in COMMANDS:
        if owner == app:
            assert command in result.output


def test_every_check_can_be_named_on_the_command_line(data, tmp_path):
    thresholds = ",".join(f"{name}=0.9" for name in SEVERITY)
    artifacts = ("--artifacts", tmp_path / "artifacts")
    result = run("curate", "scan", data, *QUICK, *artifacts, "--threshold", thresholds, "--drop", ",".join(SEVERITY))
    assert result.exit_code == 0, result.output


# What a person does wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.npz"], ["DataError: nowhere.npz does not exist", "Give an .npz, a folder of images, or a list"]),
        (["data.npz", "--drop", "drak"], ["UnknownName: no check named 'drak'", "Did you mean 'dark'?"]),
        (["data.npz", "--review", "leek"], ["Did you mean 'leak'?"]),
        (["data.npz", "--map", "umpa"], ["UnknownName: no map named 'umpa'", "Did you mean 'umap'?"]),
        (["data.npz", "--threshold", "drak=0.6"], ["no check named 'drak'"]),
        (["data.npz", "--threshold", "dark"], ["DataError: --threshold 'dark' is not CHECK=SCORE"]),
        (["data.npz", "--threshold", "dark=much"], ["--threshold 'dark=much' is not CHECK=SCORE"]),
        (["data.npz", "--threshold", "dark=2"], ["the threshold of dark is 2.0", "from 0 to 1"]),
        (["data.npz", "--threshold", "dark=nan"], ["the threshold of dark is nan"]),
        (["data.npz", "--drop", "dark", "--review", "dark"], ["dark is given to both --drop and --review"]),
        (["data.npz", "--workers", "-1"], ["workers is -1"]),
        (["data.npz", "--seed", "-1"], ["seed is -1"]),
        (["data.npz", "--fail-on", "leak"], ["--fail-on 'leak' is not a condition", '"leak>0"']),
        (["data.npz", "--fail-on", "leak>many"], ["--fail-on 'leak>many' is not a condition"]),
        (["data.npz", "--fail-on", "leak>1.2.3"], ["--fail-on 'leak>1.2.3' is not a condition"]),
        (["data.npz", "--fail-on", "leek>0"], ["no check or verdict named 'leek'", "Did you mean 'leak'?"]),
        (["data.npz", "--input-size", "8", "--backbone", "auto"], ["--input-size 8 is below the 32 pixels"]),
        (["data.npz", "--labels", "labels.csv"], ["DataError", "--labels", "data.npz"]),
        (["data.npz", "--backbone", "auto", "--weights", "mine.h5"], ["no weights file mine.h5"]),
    ],
    ids=lambda value: " ".join(value[1:]) or value[0] if isinstance(value, list) and value[0].endswith("npz") else "",
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(data, monkeypatch, arguments, words):
    monkeypatch.chdir(data.parent)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    given = arguments if "--backbone" in arguments else [*arguments, "--backbone", "builtin"]
    given = given if "--map" in arguments else [*given, "--map", "none"]
    said_in_one_line(run("curate", "scan", *given), *words)
    assert not list(data.parent.rglob("manifest.json"))


@pytest.mark.slow
def test_an_unknown_backbone_is_told_in_one_line(data, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    curate.measuring.embedding.cache_folder.cache_clear()
    result = run("curate", "scan", data, "--backbone", "MobilNetV2", "--artifacts", tmp_path / "artifacts")
    curate.measuring.embedding.cache_folder.cache_clear()
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("UnknownName: no backbone named 'MobilNetV2'. Did you mean 'MobileNetV2'?")


@pytest.mark.parametrize(
    "arguments", [["scan"], ["scan", "data.npz", "--workers", "many"], ["scan", "--nothing"], ["sacn"]]
)
def test_a_command_line_that_cannot_be_read_is_no_traceback(arguments):
    result = run("curate", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("error", [DataError("no such thing."), OutputError("the disk is full.")])
def test_any_error_of_ours_names_itself(data, tmp_path, monkeypatch, error):
    def fails(*given):
        raise error

    monkeypatch.setattr(curate.scanning, "scan", fails)
    said_in_one_line(run("curate", "scan", data), f"{type(error).__name__}: {error}")


def test_brackets_in_an_error_are_shown_as_they_are(tmp_path):
    said_in_one_line(run("curate", "scan", tmp_path / "[red]set[/red] [/b].npz"), "[red]set[/red] [/b].npz")


def test_any_other_error_is_a_bug_and_shows_where_it_is(data, monkeypatch):
    def breaks(*given):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(curate.scanning, "scan", breaks)
    result = run("curate", "scan", data)
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code == 1


def test_an_interrupted_command_says_so_and_exits_with_130(data, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(curate.scanning, "scan", interrupted)
    result = run("curate", "scan", data)
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr.strip() == "stopped; nothing was left half-written."


# What scan prints


def test_a_scan_prints_what_it_found_where_it_is_and_what_to_type_next(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("curate", "scan", "data.npz", *QUICK)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("data.npz: 24 images, 96x96 RGB, 2 classes; embedding with the built-in descriptor")
    (row,) = (line for line in lines if line.startswith("exact_duplicate"))
    assert row.split() == ["exact_duplicate", "1", "1", "1", "drop"]
    assert any(line.startswith("would drop 2 rows (8.3%), keep ") for line in lines)
    assert lines[-2] == "report  artifacts/scan/report.html      clean set  artifacts/clean.npz (22 rows)"
    assert lines[-1] == "next    augment build --policy heavy    or look first: open the report"
    assert (tmp_path / "artifacts" / "scan" / "report.html").exists()


def test_another_place_for_the_artifacts_is_part_of_the_next_command(data, tmp_path):
    result = run("curate", "scan", data, *QUICK, "--artifacts", tmp_path / "else where")
    assert f"next    augment build --policy heavy --artifacts '{tmp_path / 'else where'}' " in result.stdout
    assert (tmp_path / "else where" / "clean.npz").exists()


def test_a_clean_set_is_told_to_be_clean(tmp_path, pictures):
    np.savez(tmp_path / "data.npz", images=pictures[0][:12])
    result = run("curate", "scan", tmp_path / "data.npz", *QUICK, "--artifacts", tmp_path / "artifacts")
    assert result.exit_code == 0, result.output
    assert "no check found anything" in result.stdout
    assert "would drop 0 rows (0.0%)" in result.stdout


def test_names_with_brackets_are_printed_as_they_are(tmp_path, pictures):
    images, labels = pictures
    names = np.array(["[/b] lobed", "[red]round"])
    np.savez(tmp_path / "data.npz", images=images, labels=labels, class_names=names)
    artifacts = ("--artifacts", tmp_path / "artifacts")
    assert run("curate", "scan", tmp_path / "data.npz", *QUICK, *artifacts).exit_code == 0
    result = run("curate", "split", tmp_path / "data.npz", *artifacts)
    assert result.exit_code == 0, result.output
    assert "[/b] lobed" in result.stdout
    assert "[red]round" in result.stdout


def test_json_is_all_there_is_on_stdout(data, tmp_path):
    result = run("curate", "scan", data, *QUICK, "--artifacts", tmp_path / "artifacts", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["images"] == 24
    assert found["classes"] == ["lobed", "round"]
    assert found["verdicts"]["drop"] == 2
    assert sum(found["verdicts"].values()) == 24
    assert found["checks"]["exact_duplicate"] == {"rows": 1, "likely_right": 1, "groups": 1, "drop": 1, "review": 0}
    assert set(found) == {
        "source", "images", "classes", "reading", "embedder", "verdicts", "checks", "stories", "effect", "notes",
        "timings", "artifacts", "not_checked", "decided", "decisions", "next",
    }  # fmt: skip
    assert found["not_checked"]["leak"] == "no splits"
    assert (found["decided"], found["next"]) == (
        0,
        f"augment build --policy heavy --artifacts {tmp_path / 'artifacts'}",
    )


def test_json_of_a_set_with_strangers_is_json_too(tmp_path, pictures):
    # Enough pictures for clusters to be looked for, ten of which are like each other and like no cell.
    images, labels = clean_cells(DemoConfig(images=110, classes=2))
    rng = np.random.default_rng(0)
    coarse = rng.uniform((0, 150, 0), (60, 210, 60), (10, 16, 16, 3)).astype(np.uint8)
    images = np.concatenate([images, coarse.repeat(6, axis=1).repeat(6, axis=2)])
    np.savez(tmp_path / "data.npz", images=images, labels=np.append(labels, np.arange(10) % 2))
    result = run("curate", "scan", tmp_path / "data.npz", *QUICK, "--artifacts", tmp_path / "artifacts", "--json")
    assert result.exit_code == 0, result.output
    stories = json.loads(result.stdout)["stories"]
    assert "outlier_group" in {story["check"] for story in stories}
    assert all(story["rows"] >= 0 and story["sentence"] for story in stories)


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ("", 0),
        ("exact_duplicate>0", 1),
        ("exact_duplicate>1", 0),
        ("exact_duplicate>=1", 1),
        ("exact_duplicate==1", 1),
        ("exact_duplicate<1", 0),
        ("exact_duplicate<=1", 1),
        ("leak>0, drop >= 2", 1),
        ("leak>0,drop>=3", 0),
        ("keep<5", 0),
    ],
)
def test_a_scan_fails_on_the_conditions_that_were_set(found, monkeypatch, conditions, status):
    monkeypatch.setattr(curate.scanning, "scan", lambda *given: found)
    result = run("curate", "scan", "data.npz", "--fail-on", conditions)
    assert result.exit_code == status, result.output
    assert ("failed on: " in result.stderr) == bool(status)
    assert "would drop 2 rows" in result.stdout


def test_conditions_are_read_before_any_work(data, tmp_path, monkeypatch):
    def too_late(*given):
        raise AssertionError("the work had begun")

    monkeypatch.setattr(curate.scanning, "scan", too_late)
    said_in_one_line(run("curate", "scan", data, "--fail-on", "leek>0"), "leek")


def test_options_reach_the_scan(data, monkeypatch):
    given = []

    def noted(source, config, reporter):
        given.append((source, config))
        raise DataError("enough.")

    monkeypatch.setattr(curate.scanning, "scan", noted)
    run(
        *("curate", "scan", data, "--labels", "l.csv", "--artifacts", "out", "--backbone", "ResNet50"),
        *("--weights", "w.h5", "--input-size", "64", "--map", "pca", "--drop", "dark,light", "--drop", "leak"),
        *("--review", "outlier", "--threshold", "dark=0.6, light=0.7", "--strict", "--workers", "3", "--seed", "9"),
    )
    ((source, config),) = given
    assert source == data
    assert config == ScanConfig(
        labels="l.csv", artifacts="out", backbone="ResNet50", weights="w.h5", input_size=64, map="pca",
        drop=("dark", "light", "leak"), review=("outlier",), thresholds={"dark": 0.6, "light": 0.7}, strict=True,
        workers=3, seed=9,
    )  # fmt: skip


# What comes after


def test_decisions_are_applied_and_taken_back(scanned):
    applied = run(
        "curate", "apply", "--artifacts", scanned, "--drop-id", "0", "--keep-id", "22", "--why", "it is blurred"
    )
    assert applied.exit_code == 0, applied.output
    assert "2 by your decision" in applied.stdout
    rows = np.load(scanned / "clean.npz")["rows"].tolist()
    assert 0 not in rows
    assert 22 in rows
    undone = run("curate", "undo", "2", "--artifacts", scanned)
    assert undone.exit_code == 0, undone.output
    assert undone.stdout.count("taken back: ") == 2
    assert "it is blurred" in undone.stdout
    rows = np.load(scanned / "clean.npz")["rows"].tolist()
    assert 0 in rows
    assert 22 not in rows
    said_in_one_line(run("curate", "undo", "--artifacts", scanned), "there is nothing to undo")


def test_a_decision_on_an_image_that_is_not_there_names_the_nearest(scanned):
    said_in_one_line(run("curate", "apply", "--artifacts", scanned, "--drop-id", "222"), "no image", "'222'", "'22'")


def test_two_scans_are_compared(data, scanned, tmp_path):
    other = tmp_path / "other"
    assert run("curate", "scan", data, *QUICK, "--artifacts", other, "--review", "exact_duplicate").exit_code == 0
    result = run("curate", "diff", scanned, other)
    assert result.exit_code == 0, result.output
    assert "24 matched" in result.stdout
    assert "1 other verdict" in result.stdout
    as_json = run("curate", "diff", scanned, other, "--json")
    assert json.loads(as_json.stdout)["counts"]["other verdict"] == 1


def test_a_scanned_set_is_split(scanned):
    result = run("curate", "split", "--artifacts", scanned)
    assert result.exit_code == 0, result.output
    assert "proof   0 of " in result.stdout
    table = pd.read_csv(scanned / "splits.csv")
    assert len(table) == 22
    assert set(table["split"]) <= {"train", "val", "test"}


def test_an_export_prints_where_it_is_and_how_to_load_it(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("curate", "export", "data.npz", "--to", "parquet")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    first, written, imports, load = result.stdout.splitlines()
    assert first.startswith("24 images as parquet: 2 files, 0.")
    assert written == "written  artifacts/export/data-parquet"
    assert imports == "import   pandas"
    assert load == 'load     pandas.read_parquet("artifacts/export/data-parquet")'
    assert len(eval(load.removeprefix("load "), {"pandas": pd})) == 24


@pytest.mark.slow
@pytest.mark.parametrize("to", ["folder", "npz"])
def test_what_an_export_prints_runs_as_it_stands_in_a_python_of_its_own(data, tmp_path, monkeypatch, to):
    (tmp_path / "my [1] :dog: 'set'").mkdir()
    monkeypatch.chdir(tmp_path / "my [1] :dog: 'set'")
    result = run("curate", "export", data, "--to", to, "--out", ":dog: {x}")
    imports, load = result.stdout.splitlines()[-2:]
    said = "len(loaded['labels'])" if to == "npz" else "len(loaded.file_paths)"
    code = f"{imports}\nloaded = {load.removeprefix('load ').strip()}\nprint({said})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "24"


def test_the_options_of_an_export_are_used(data, tmp_path):
    place = ("--out", tmp_path / "[b]out", "--artifacts", tmp_path / "elsewhere")
    for options in ((), ("--force",)):
        result = run("curate", "export", data, "--to", "folder", *place, *options)
        assert result.exit_code == 0, result.output
        assert f"written  {tmp_path}/[b]out" in result.stdout
    assert len(list((tmp_path / "[b]out" / "lobed").iterdir())) > 5
    said_in_one_line(run("curate", "export", data, "--to", "folder", *place), "OutputError", "Add --force")
    said_in_one_line(run("curate", "export", data, "--to", "npz", "--labels", "l.csv"), "DataError", "--labels")


def test_the_formats_are_named_and_near_misses_are_told(data):
    assert all(name in options_of("curate", "export")["to"].help for name in EXPORTS)
    said_in_one_line(run("curate", "export", data, "--to", "fodler"), "UnknownName", "Did you mean 'folder'?")


@pytest.mark.parametrize("command", [("apply",), ("undo",), ("split",), ("diff", "a", "b")])
def test_what_follows_a_scan_asks_for_one_first(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    said_in_one_line(run("curate", *command), "DataError")


# Augment


SIMPLE = ("--benchmark", "none", "--no-check", "--workers", "1", "--copies", "1")


@pytest.fixture
def thumbnails(monkeypatch):
    """A benchmark that takes no time."""
    shrink_benchmark(monkeypatch)


def shrink_benchmark(monkeypatch):
    """Features that take no time, and two corruptions of each role."""

    def embed(batch):
        small = [cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA) for picture in batch]
        return np.stack(small).reshape(len(batch), -1).astype(np.float32) - 128

    for name, number in (("CALIBRATED_ON", 16), ("COMPARED_ON", 8), ("DRAWS", 30)):
        monkeypatch.setattr(augment.benchmark, name, number)
    few = ("contrast", "jpeg_compression", "saturate", "gaussian_blur")
    chosen = augment.benchmark.chosen_corruptions
    features = augment.features.Features("thumbnails", "8x8 pixels", "1", 32, 8 * 8 * 3, embed)
    for module in (augment.features, augment.preparing, augment.judging, augment.previewing):
        monkeypatch.setattr(module, "load_features", lambda *given: (features, ""))
    for module in (augment.benchmark, augment.previewing):
        monkeypatch.setattr(
            module, "chosen_corruptions", lambda config: {n: c for n, c in chosen(config).items() if n in few}
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build"], ["DataError: artifacts holds no clean set", "Type `curate scan data.npz`"]),
        (["build", "nowhere.npz"], ["DataError: nowhere.npz does not exist"]),
        (["build", "data.npz"], ["has not been scanned", "Type `curate scan data.npz` first"]),
        (["build", "--policy", "haevy"], ["UnknownName: no policy named 'haevy'. Did you mean 'heavy'?", "mine.toml"]),
        (["build", "--policy", "mine.toml"], ["DataError: mine.toml cannot be read"]),
        (["build", "--policy", "[b].py:fade"], ["DataError: [b].py cannot be read"]),
        (["build", "--balance", "oversampel"], ["UnknownName: no balance named 'oversampel'", "or a number of images"]),
        (["build", "--benchmark", "blod"], ["UnknownName", "Did you mean 'blood'?"]),
        (["build", "--severities", "cifar"], ["UnknownName", "Did you mean 'cifar-c'?"]),
        (["build", "--fit", "corp"], ["UnknownName", "Did you mean 'crop'?"]),
        (["build", "--size", "96by96"], ["DataError: --size '96by96' is no size; needed is WIDTHxHEIGHT"]),
        (["build", "--size", "4x96"], ["DataError: --size is 4x96; needed are 8 to 8,192 pixels"]),
        (["build", "--copies", "-1"], ["DataError: --copies is -1"]),
        (["build", "--train", "0.9"], ["DataError: the shares train 0.9, val 0.15, test 0.15 add up to 1.2"]),
        (["build", "--per-class", "9"], ["DataError", "give --balanced-test as well"]),
        (["plan"], ["DataError: artifacts holds no clean set"]),
        (["plan", "--policy", "haevy"], ["Did you mean 'heavy'?"]),
        (["preview", "nowhere.npz"], ["DataError: nowhere.npz does not exist"]),
        (["preview", "--policies", "--corruptions"], ["DataError: --policies and --corruptions are two sheets"]),
        (["preview", "--images", "0"], ["DataError: --images is 0; needed is a whole number from 1"]),
        (["overlap", "--policy", "haevy"], ["Did you mean 'heavy'?"]),
        (["overlap", "--benchmark", "none"], ["UnknownName: no set of corruptions named 'none'"]),
        (["replay", "3+1"], ["DataError: artifacts/built holds no built set. Type `augment build` first"]),
    ],
    ids=lambda value: " ".join(value) if value[0].islower() else "",
)
def test_a_mistake_with_augment_is_told_in_one_line_and_nothing_is_written(data, monkeypatch, arguments, words):
    monkeypatch.chdir(data.parent)
    said_in_one_line(run("augment", *arguments), *words)
    assert [path.name for path in data.parent.iterdir()] == ["data.npz"]


@pytest.mark.parametrize("error", [WorkerLost("a worker process was killed."), OutputError("the disk is full.")])
def test_what_stops_a_build_is_told_in_one_line(monkeypatch, error):
    def fails(*given):
        raise error

    monkeypatch.setattr(augment.building, "build", fails)
    said_in_one_line(run("augment", "build"), f"{type(error).__name__}: {error}")


def test_options_reach_the_build(monkeypatch):
    given = []

    def noted(source, config, reporter):
        given.append((source, config))
        raise DataError("enough.")

    monkeypatch.setattr(augment.building, "build", noted)
    run(
        *("augment", "build", "d.npz", "--policy", "light", "--copies", "3", "--balance", "250", "--cap", "5"),
        *("--train", "0.5", "--val", "0.2", "--test", "0.3", "--balanced-test", "--per-class", "7", "--fresh"),
        *("--size", "64x48", "--fit", "pad", "--benchmark", "blood,common", "--severities", "cifar-c"),
        *("--benchmark-images", "9", "--allow-overlap", "--no-check", "--backbone", "ResNet50", "--weights", "w.h5"),
        *(
            "--input-size",
            "128",
            "--labels",
            "l.csv",
            "--artifacts",
            "out",
            "--resume",
            "--workers",
            "3",
            "--seed",
            "8",
        ),
    )
    run("augment", "build", "--benchmark", "none", "--size", "64")
    (source, config), (nothing, other) = given
    assert source == Path("d.npz")
    assert config == BuildConfig(
        policy="light", copies=3, balance="250", cap=5, train=0.5, val=0.2, test=0.3, balanced_test=True, per_class=7,
        fresh=True, size=(64, 48), fit="pad", benchmark=("blood", "common"), severities="cifar-c", benchmark_images=9,
        allow_overlap=True, check=False, backbone="ResNet50", weights="w.h5", input_size=128, labels="l.csv",
        artifacts="out", resume=True, workers=3, seed=8,
    )  # fmt: skip
    assert nothing is None
    assert other == BuildConfig(benchmark=(), size=(64, 64))


def test_a_plan_is_printed_and_nothing_is_built(scanned):
    before = {path.name for path in scanned.iterdir()}
    result = run("augment", "plan", "--artifacts", scanned, "--balance", "30", "--policy", "light")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["class", "sources", "used", "copies"]
    rows = {line.split()[0]: line.split() for line in lines[1:3]}
    assert set(rows) == {"lobed", "round"}
    assert {row[5] for row in rows.values()} == {"30"}
    assert any(line.startswith("images  train 60, val ") and "96x96" in line for line in lines)
    assert lines[-1] == f"next    augment build --policy light --balance 30 --artifacts {scanned}"
    assert {path.name for path in scanned.iterdir()} - before <= {"splits.csv"}


def test_the_policies_are_listed():
    result = run("augment", "policies")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for name in library.names():
        copies = library.policy(name).copies
        at = lines.index(f"{name}  ({copies} {'copy' if copies == 1 else 'copies'})")
        assert lines[at + 1].strip() == library.policy(name).about


def test_the_corruptions_are_listed_and_told_as_json():
    result = run("augment", "corruptions")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == list(CORRUPTIONS)
    told = json.loads(run("augment", "corruptions", "--json").stdout)
    assert {row["corruption"]: row["role"] for row in told} == {name: c.role for name, c in CORRUPTIONS.items()}


def test_a_preview_is_a_picture(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("augment", "preview", data, "--policy", "light", "--copies", "2", "--images", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout == "sheet   artifacts/preview.png\n"
    small = cv2.imread("artifacts/preview.png").shape
    assert run("augment", "preview", data, "--policies", "--copies", "2", "--out", "[b].png").exit_code == 0
    assert cv2.imread("[b].png").shape[0] > 5 * small[0]


def test_a_preview_of_the_corruptions_is_a_picture(data, tmp_path, thumbnails):
    result = run("augment", "preview", data, "--corruptions", "--size", "32", "--out", tmp_path / "new" / "c.png")
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(tmp_path / "new" / "c.png")).shape[0] > 4 * 100


def test_the_overlap_is_a_table(data, thumbnails):
    result = run("augment", "overlap", data, "--policy", "dihedral8")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("corruption "))
    names = [line.split()[0] for line in lines[start + 1 :]]
    assert names == [
        "contrast", "jpeg_compression", "gaussian_blur", "saturate", "composed-2", "composed-2-validation"
    ]  # fmt: skip
    as_json = run("augment", "overlap", data, "--policy", "dihedral8", "--json")
    assert [row["corruption"] for row in json.loads(as_json.stdout)] == names
    assert {row["verdict"] for row in json.loads(as_json.stdout)} == {"disjoint"}


def test_a_build_prints_what_it_made_and_where(scanned, thumbnails):
    result = run(
        *("augment", "build", "--artifacts", scanned, "--policy", "light", "--copies", "2", "--benchmark-images", "2"),
        *("--workers", "1"),
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    start = lines.index(next(line for line in lines if line.split()[:2] == ["class", "train"]))
    rows = [line.split() for line in lines[start + 1 : start + 3]]
    assert [row[0] for row in rows] == ["lobed", "round"]
    assert len({row[1] for row in rows}) == 1  # balanced
    told = "\n".join(lines)
    assert "benchmark  22 sets of 52 images: 3 corruptions and composed tracks for testing, 3 for selection" in told
    assert "overlap    light against the test: " in told
    assert lines[-2] == f"built   {scanned / 'built'}"
    assert lines[-1].startswith(f"next    train baseline --artifacts {scanned}")


def test_a_build_is_told_as_json(scanned):
    result = run("augment", "build", "--artifacts", scanned, *SIMPLE, "--policy", "mixup", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told) == {
        "path", "images", "counts", "plan", "benchmark", "redrawn", "doubted", "resumed", "seconds",
    }  # fmt: skip
    assert told["path"] == str(scanned / "built")
    assert told["benchmark"] is None
    assert sum(row["train"] for row in told["counts"]) == told["images"]["train"]
    assert told["plan"]["policy"]["name"] == "mixup"


def test_what_was_interrupted_is_resumed(scanned, monkeypatch):
    def stopped(task):
        if task.entry == "test":
            raise KeyboardInterrupt
        return augment.making.make(task)

    monkeypatch.setattr(augment.building, "make", stopped)
    given = ("augment", "build", "--artifacts", scanned, *SIMPLE, "--policy", "light")
    interrupted = run(*given)
    assert interrupted.exit_code == 130
    assert "go on with --resume" in interrupted.stdout
    monkeypatch.setattr(augment.building, "make", augment.making.make)
    said_in_one_line(run(*given, "--resume", "--seed", "1"), "is of another input or of other options")
    resumed = run(*given, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "resumed    2 shards already built" in resumed.stdout


def test_an_image_is_replayed(scanned, tmp_path):
    assert run("augment", "build", "--artifacts", scanned, *SIMPLE, "--policy", "light").exit_code == 0
    rows = pd.read_parquet(scanned / "built" / "train" / "rows.parquet")
    of = rows[rows["copy"] == 1].iloc[0]
    result = run("augment", "replay", of["id"], "--artifacts", scanned, "--out", tmp_path / "one.png")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{of['id']} in train: from {of['source_id']}, class {of['label_name']}"
    assert [line.split()[0] for line in lines[1:-2]] == [record["op"] for record in json.loads(of["ops"])]
    assert lines[-2:] == [f"picture {tmp_path / 'one.png'}", "reproduced, pixel for pixel"]
    assert cv2.imread(str(tmp_path / "one.png")) is not None
    as_it_is = run("augment", "replay", of["source_id"], "--artifacts", scanned)
    assert as_it_is.stdout.splitlines()[1:] == ["  unchanged", "reproduced, pixel for pixel"]
    said_in_one_line(run("augment", "replay", "no", "--artifacts", scanned), "UnknownName: no image has the id 'no'")
    said_in_one_line(run("augment", "replay", "no", "--set", "tarin", "--artifacts", scanned), "Did you mean 'train'?")


def test_an_image_that_comes_out_differently_is_a_failure(scanned):
    assert run("augment", "build", "--artifacts", scanned, *SIMPLE, "--policy", "light").exit_code == 0
    shard = scanned / "built" / "train" / "part-00000.npz"
    with np.load(shard) as file:
        arrays = {**file, "images": file["images"] ^ 1}
    np.savez(shard, **arrays)
    manifest = scanned / "built" / "manifest.json"
    document = json.loads(manifest.read_text())
    document["sets"]["train"][shard.name] = hashlib.sha256(shard.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(document))
    id = arrays["ids"][0]
    result = run("augment", "replay", id, "--artifacts", scanned)
    assert result.exit_code == 1
    assert "differs from the one that was built" in result.stderr
    assert "pixel for pixel" not in result.stdout


# Train


TINY = ("--backbone", "cnn", "--input-size", "32", "--epochs", "1", "--batch", "16", "--resamples", "20")
OF_A_RUN = {"name", "artifacts", "resume", "workers", "seed"}
SECTIONS = {"model": ModelConfig, "fit": FitConfig, "evaluate": EvaluateConfig}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the artifacts of a scan and of a small build are; not to be changed."""
    folder = tmp_path_factory.mktemp("built")
    images, labels = clean_cells(DemoConfig(images=48, classes=2))
    np.savez(folder / "data.npz", images=images, labels=labels, class_names=np.array(["lobed", "round"]))
    artifacts = ("--artifacts", folder / "artifacts")
    with pytest.MonkeyPatch.context() as monkeypatch:
        shrink_benchmark(monkeypatch)
        for command in (
            ("curate", "scan", folder / "data.npz", *QUICK),
            ("augment", "build", "--policy", "heavy", "--size", 32, "--copies", 1, "--no-check", "--workers", 1),
        ):
            done = run(*command, *artifacts)
            assert done.exit_code == 0, done.output
    return folder / "artifacts"


@pytest.fixture
def artifacts(built, tmp_path):
    """Those, with runs of its own."""
    (tmp_path / "artifacts").mkdir()
    for name in ("built", "scan"):
        (tmp_path / "artifacts" / name).symlink_to(built / name)
    return tmp_path / "artifacts"


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """Those, with two runs, and what the command said of the first."""
    artifacts = tmp_path_factory.mktemp("trained") / "artifacts"
    artifacts.mkdir()
    for name in ("built", "scan"):
        (artifacts / name).symlink_to(built / name)
    first = run("train", "baseline", *TINY, "--artifacts", artifacts)
    other = run("train", "baseline", *TINY, "--artifacts", artifacts, "--name", "other", "--seed", 1, "--json")
    for result in (first, other):
        assert result.exit_code == 0, result.output
    return SimpleNamespace(artifacts=artifacts, first=first, other=other)


@pytest.fixture
def asked(monkeypatch):
    """The configurations that a command asks for; nothing is fitted."""
    given = []

    def noted(config, reporter, built):
        given.append(config)
        raise DataError("enough.")

    monkeypatch.setattr(train.training, "train", noted)
    monkeypatch.setattr(train.commands, "_start_keras", lambda output: None)
    return given


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_options_of_a_recipe_are_the_fields_of_its_configuration(recipe):
    options, config = options_of("train", recipe), load_recipe(recipe).config
    assert set(options) == OF_A_RUN | {field.name for section in SECTIONS.values() for field in fields(section)}
    panels = {name: {options[field.name].rich_help_panel for field in fields(of)} for name, of in SECTIONS.items()}
    assert panels == {"model": {"The model"}, "fit": {"Fitting"}, "evaluate": {"Measuring"}}
    for name, section in SECTIONS.items():
        for field in fields(section):
            option, value = options[field.name], getattr(getattr(config, name), field.name)
            assert option.help == field.metadata["option"].help
            assert option.opts == [f"--{field.name.replace('_', '-')}"]
            if isinstance(value, tuple):
                value = ",".join(map(str, value)) or None
            assert option.default == value


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_not_given_is_as_the_recipe_has_it(built, asked, recipe):
    assert run("train", recipe, "--artifacts", built).exit_code == 2
    assert asked == [replace(load_recipe(recipe).config, name=recipe, artifacts=str(built))]


@pytest.mark.parametrize(
    ("command", "config", "beside"),
    [
        ("evaluate", EvaluateConfig, {"model", "sets", "out", "artifacts", "workers", "seed"}),
        ("ensemble", EnsembleConfig, {"runs"}),
    ],
)
def test_the_options_of_what_uses_a_run_are_the_fields_of_its_configuration(command, config, beside):
    options = options_of("train", command)
    assert set(options) - beside == {field.name for field in fields(config)}
    for field in fields(config):
        assert str(options[field.name].default) == str(None if field.default == () else field.default)


@pytest.mark.parametrize(
    ("command", "beside"),
    [
        ("run", OF_A_RUN | {"recipe"}),
        ("tune", {field.name for field in fields(TuneConfig)} | {"recipe", "name", "artifacts", "workers", "seed"}),
    ],
)
def test_what_takes_a_recipe_has_its_options_and_no_defaults(command, beside):
    options = options_of("train", command)
    shared = {field.name for section in SECTIONS.values() for field in fields(section)}
    assert set(options) == beside | shared
    assert {options[name].default for name in shared} == {None}


def test_options_reach_the_run(built, asked):
    result = run(
        *("train", "baseline", "--artifacts", built, "--name", "mine", "--workers", "3", "--seed", "9"),
        *("--backbone", "ResNet50, cnn", "--weights", "random", "--input-size", "64", "--dense", "256,128"),
        *("--head-norm", "--no-probe", "--unfreeze", "0.3,1", "--epochs", "2,3", "--learning-rate", "1e-3"),
        *("--ema", "0", "--tta", "flips", "--no-benchmark", "--external", "a.npz,b", "--baseline", "other"),
    )
    assert result.stderr.strip() == "DataError: enough."
    (config,) = asked
    of = load_recipe("baseline").config
    assert config == RunConfig(
        replace(
            of.model, backbone=("ResNet50", "cnn"), weights="random", input_size=64, dense=(256, 128), head_norm=True
        ),
        replace(of.fit, probe=False, unfreeze=(0.3, 1.0), epochs=(2, 3), learning_rate=(1e-3,), ema=0.0),
        replace(of.evaluate, benchmark=False, external=("a.npz", "b"), tta="flips", baseline="other"),
        artifacts=str(built), name="mine", workers=3, seed=9,
    )  # fmt: skip


def test_a_recipe_of_ones_own_is_run_where_and_as_it_says_unless_told_otherwise(artifacts, asked, tmp_path):
    recipe = tmp_path / "mine.toml"
    text = f'[model]\nbackbone = "cnn"\n[fit]\nepochs = [1, 2]\n[run]\nseed = 7\nartifacts = "{artifacts}"\n'
    recipe.write_text(text)
    run("train", "run", recipe)
    run("train", "run", recipe, "--epochs", "5", "--seed", "0", "--name", "again", "--workers", "2")
    config = replace(load_recipe(str(recipe)).config, name="mine")
    assert asked[0] == config
    assert config.artifacts == str(artifacts)
    fit = replace(config.fit, epochs=(5,))
    assert asked[1] == replace(config, fit=fit, seed=0, name="again", workers=2)


def test_a_build_by_another_policy_than_the_recipes_is_noted(built, asked):
    result = run("train", "m2g", "--artifacts", built)
    assert result.stderr.splitlines() == [
        "note    m2g is meant for the data of `augment build --policy randaugment --balance weights --allow-overlap`; "
        "this set was built by heavy",
        "DataError: enough.",
    ]
    assert run("train", "baseline", "--artifacts", built).stderr == "DataError: enough.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["baseline"], ["DataError: artifacts/built holds no finished build", "Run `augment build` first"]),
        (["baseline", "--name", "a/b"], ["DataError: 'a/b' is no name of a run"]),
        (["baseline", "--epochs", "ten"], ["--epochs 'ten'; needed are whole numbers, separated by commas"]),
        (["baseline", "--learning-rate", "1e-3,low"], ["--learning-rate '1e-3,low'; needed are numbers"]),
        (["baseline", "--learning-rate", "0"], ["DataError: --learning-rate is 0.0; needed is a number above 0"]),
        (["baseline", "--epochs", ""], ["DataError: --epochs is empty"]),
        (["baseline", "--dropout", "2"], ["DataError: --dropout is 2.0; needed is a share from 0 to 1"]),
        (["baseline", "--optimizer", "adma"], ["UnknownName: no optimizer named 'adma'. Did you mean 'adam'?"]),
        (["baseline", "--tta", "flip"], ["Did you mean 'flips'?"]),
        (["baseline", "--seed", "-1"], ["DataError: --seed is -1"]),
        (["run", "hendrx"], ["UnknownName: no recipe named 'hendrx'. Did you mean 'hendrix'?", "mine.toml"]),
        (["run", "mine.toml"], ["DataError: mine.toml cannot be read"]),
        (["tune", "hendrx"], ["Did you mean 'hendrix'?"]),
        (["tune", "--how", "bayes"], ["UnknownName: no way to search named 'bayes'"]),
        (["tune", "--trials", "0"], ["DataError: --trials is 0; needed is a whole number from 1"]),
        (["tune"], ["DataError: artifacts/built holds no finished build"]),
        (["evaluate"], ["no run 'baseline' in artifacts/runs", "There are none yet: run `train baseline` first"]),
        (["evaluate", "--tta", "flip"], ["Did you mean 'flips'?"]),
        (["evaluate", "m.keras"], ["DataError: no model m.keras"]),
        (["predict", "baseline", "data.npz"], ["no run 'baseline'"]),
        (["compare", "baseline"], ["DataError: 1 run is given; needed are two at least"]),
        (["compare", "baseline", "other"], ["no run 'baseline'"]),
        (["ensemble", "baseline", "other"], ["no run 'baseline'"]),
        (["ensemble", "baseline", "other", "--how", "maen"], ["no way to join runs named 'maen'", "'mean'?"]),
        (["explain"], ["no run 'baseline'"]),
        (["export", "baseline", "--to", "onnx"], ["no run 'baseline'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].islower() else "",
)
def test_a_mistake_with_train_is_told_in_one_line_before_keras_starts(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train.commands, "_start_keras", lambda output: pytest.fail("Keras was started"))
    said_in_one_line(run("train", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "MobilNetV2"], ["UnknownName: no backbone named 'MobilNetV2'. Did you mean 'MobileNetV2'?"]),
        ([*TINY, "--learning-rate", "1e30"], ["Diverged: the loss became NaN or infinite", "Lower --learning-rate"]),
        ([*TINY, "--external", "nowhere.npz"], ["DataError: nowhere.npz does not exist"]),
    ],
    ids=lambda value: value[-1] if value[0].startswith("--") else "",
)
def test_a_mistake_that_shows_late_is_told_in_one_line(artifacts, arguments, words):
    result = run("train", "baseline", "--artifacts", artifacts, *arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    for word in words:
        assert word in line
    assert not (artifacts / "runs" / "baseline").exists()


def test_the_recipes_are_listed():
    result = run("train", "recipes")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "baseline  (auto)"
    for name in RECIPES:
        of = load_recipe(name)
        at = lines.index(f"{name}  ({', '.join(of.config.model.backbone)})")
        assert [line.strip() for line in lines[at + 1 : at + 4]] == [of.about, of.origin, of.build_command]
    assert max(map(len, lines)) <= 110


@pytest.mark.slow
def test_a_run_prints_what_it_came_to_where_it_is_and_what_to_type_next(trained):
    result = trained.first
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert "cnn" in lines[0]
    assert any(line.startswith("  epoch 1/1") for line in lines)
    (clean,) = (line.split() for line in lines if line.startswith("clean test images"))
    assert all(0 <= float(number) <= 1 for number in clean[-3:])
    for word in ("2 corruptions, mean", "2 corruptions at once"):
        assert any(line.startswith(word) for line in lines)
    assert [line.split()[0] for line in lines[-5:]] == ["kept", "worst", "time", "report", "next"]
    path = trained.artifacts / "runs" / "baseline"
    assert lines[-2] == f"report  {path / 'report.html'}      model  {path / 'model.keras'}"
    assert lines[-1].startswith(f"next    train predict baseline FILE --artifacts {trained.artifacts} ")


@pytest.mark.slow
def test_a_run_is_told_as_json(trained):
    told = json.loads(trained.other.stdout)
    assert trained.other.stderr == ""
    assert set(told) == {"path", "metrics", "history", "seconds", "notes"}
    path = trained.artifacts / "runs" / "other"
    assert told["path"] == str(path)
    assert told["metrics"] == json.loads((path / "metrics.json").read_text())
    assert [row["epoch"] for row in told["history"]] == [0, 1]
    assert told["history"][0]["loss"] is None  # a probe has none


@pytest.mark.slow
def test_a_run_is_measured_again(trained, tmp_path):
    place = ("--artifacts", trained.artifacts, "--resamples", 20)
    result = run("train", "evaluate", *place, "--tta", "flips", "--baseline", "other", "--out", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "clean test images" in result.stdout
    assert "against other: mean corruption error " in result.stdout
    assert result.stdout.splitlines()[-1] == f"all measures  {tmp_path / 'm.json'}"
    assert json.loads((tmp_path / "m.json").read_text())["prediction"]["tta"] == "flips"
    as_json = run("train", "evaluate", "other", *place, "--json")
    told = json.loads((trained.artifacts / "runs" / "other" / "metrics.json").read_text())
    assert json.loads(as_json.stdout)["clean"]["confusion"] == told["clean"]["confusion"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first"),
    [("val", "val"), ("composed-2-validation", "2 corruptions at once"), ("data.npz", "data.npz")],
)
def test_any_set_may_be_measured_on(trained, built, monkeypatch, name, first):
    monkeypatch.chdir(built.parent)
    result = run("train", "evaluate", "baseline", name, "--artifacts", trained.artifacts, "--resamples", 20)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("measured on"))
    assert lines[at + 1].startswith(first)
    looks = lines[at + 2]
    assert looks == "  test-time augmentation: the mean of 4 views (mirrored either way); --tta none takes one view"


@pytest.mark.slow
def test_runs_are_joined_and_compared(trained):
    place = ("--artifacts", trained.artifacts, "--resamples", 20)
    joined = run("train", "ensemble", "baseline", "other", "--name", "both", "--how", "weighted", *place)
    assert joined.exit_code == 0, joined.output
    assert (
        joined.stdout.splitlines()[-1] == f"next    train compare both baseline other --artifacts {trained.artifacts}"
    )
    compared = run("train", "compare", "both", "baseline", "other", *place)
    assert compared.exit_code == 0, compared.output
    assert compared.stderr == ""
    assert max(map(len, compared.stdout.splitlines())) <= 100
    told = json.loads(run("train", "compare", "both", "baseline", "other", *place, "--json").stdout)
    assert set(told) == {"table", "tests", "notes"}
    assert {row["run"] for row in told["table"]} == {"both", "baseline", "other"}
    assert {row["against"] for row in told["tests"]} == {"both"}


@pytest.mark.slow
def test_what_a_model_looks_at_is_shown(trained):
    place = ("--artifacts", trained.artifacts)
    result = run("train", "explain", *place)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    path = trained.artifacts / "runs" / "baseline"
    assert lines[-1] == f"picture {path / 'gradcam.png'}"
    assert cv2.imread(str(path / "gradcam.png")) is not None
    assert max(map(len, lines[:-1])) <= 110
    of_one = pd.read_csv(path / "hardest.csv", dtype=str)["id"][0]
    asked = run("train", "explain", "baseline", *place, "--images", of_one)
    assert asked.exit_code == 0, asked.output
    assert asked.stdout.splitlines()[-1] == f"picture {path / 'gradcam-images.png'}"
    said_in_one_line(run("train", "explain", "baseline", *place, "--images", "nobody"), "no test image 'nobody'")


@pytest.mark.slow
def test_images_are_predicted(trained, built, tmp_path):
    out = tmp_path / "said.parquet"
    result = run("train", "predict", "baseline", built.parent / "data.npz", "--out", out, "--artifacts", built.parent)
    said_in_one_line(result, "no run 'baseline'")
    place = ("--artifacts", trained.artifacts)
    result = run("train", "predict", "baseline", built.parent / "data.npz", "--out", out, *place)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"table   {out}"
    table = pd.read_parquet(out)
    assert len(table) == 48
    assert list(table) == ["id", "predicted", "confidence", "p_lobed", "p_round"]
    counts = table["predicted"].value_counts()
    assert f"48 images: {', '.join(f'{count} {name}' for name, count in counts.items())}" in result.stdout
    late = run("train", "predict", "baseline", built.parent / "data.npz", "--out", "said.txt", *place)
    said_in_one_line(late, "OutputError: said.txt is neither .csv nor .parquet")


@pytest.mark.slow
def test_a_model_is_exported_with_how_to_load_it(trained, tmp_path):
    out = tmp_path / "[b]model"
    given = ("train", "export", "baseline", "--artifacts", trained.artifacts)
    result = run(*given, "--to", "openvino", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert f"written  {out}      to load it:" in result.stdout
    assert f'openvino.compile_model("{out}/model.xml"' in result.stdout
    assert result.stdout.splitlines()[-1].endswith("test-time augmentation (flips); the exported model takes one view")
    assert (out / "labels.txt").read_text() == "lobed\nround\n"
    said_in_one_line(run(*given, "--to", "openvino", "--out", out), "OutputError", "Add --force")
    said_in_one_line(run(*given, "--to", "onx"), "UnknownName", "Did you mean 'onnx'?")
    assert all(name in options_of("train", "export")["to"].help for name in TARGETS)


@pytest.mark.slow
def test_options_are_searched_and_what_is_found_can_be_run(artifacts, asked, tmp_path):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")
    (tmp_path / "space.toml").write_text("[space]\ndropout = [0.1, 0.4]\n")
    given = ("train", "tune", "--space", tmp_path / "space.toml", "--trials", 1, "--trial-epochs", 1)
    result = run(*given, *TINY, "--artifacts", artifacts)
    assert result.exit_code == 0, result.output
    best = artifacts / "tuning" / "baseline" / "best.toml"
    lines = result.stdout.splitlines()
    assert lines[-3].startswith("best of 1: 0.")
    assert lines[-1] == f"next    train run {best}"
    run("train", "run", best)
    (config,) = asked
    assert config.name == "baseline-tuned"
    assert config.artifacts == str(artifacts)
    assert config.model.backbone == ("cnn",)


@pytest.mark.slow
def test_a_run_that_is_interrupted_tells_how_it_goes_on(artifacts, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    given = ("train", "baseline", *TINY, "--artifacts", artifacts)
    measured = train.training.measured
    monkeypatch.setattr(train.training, "measured", stopped)
    interrupted = run(*given)
    assert interrupted.exit_code == 130
    assert interrupted.stderr.splitlines() == [
        "interrupted; the epochs that were finished are kept: go on with --resume",
        "stopped; nothing was left half-written.",
    ]
    monkeypatch.setattr(train.training, "measured", measured)
    resumed = run(*given, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "resuming after stage 1, epoch 1" in resumed.stdout


def test_what_an_unfinished_run_comes_to_is_noted(artifacts, asked):
    draft = artifacts / "runs" / "baseline.partial"
    given = ("train", "baseline", "--artifacts", artifacts)
    assert run(*given, "--resume").stderr.splitlines()[0] == "note    nothing to resume: fitting from the start"
    draft.mkdir(parents=True)
    (draft / ".lock").touch()
    assert run(*given).stderr == "DataError: enough.\n"
    (draft / "checkpoint.npz").touch()
    begun = f"note    the unfinished run in {draft} starts over; --resume would have continued it"
    assert run(*given).stderr.splitlines()[0] == begun
    assert run(*given, "--resume").stderr == "DataError: enough.\n"


def test_the_file_itself_is_a_program():
    done = subprocess.run(
        [sys.executable, "cli.py", "train", "compare", "one"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "1 run is given" in done.stderr
