"""What the documents say is so: the tutorial runs, links lead somewhere, lists are complete, commands exist."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import augment
import cli
import curate
import train
from augment.building import Built
from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from curate.configs import ScanConfig
from curate.demo import DemoConfig, write_demo
from curate.findings import CATALOGUE, COLUMNS, SEVERITY
from curate.measuring.embedding import Embedder, builtin
from curate.scans import Scan
from train.configs import EvaluateConfig, FitConfig, ModelConfig, RunConfig
from train.recipe import RECIPES
from train.training import Trained

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
APPS = {"curate": cli.curate_app, "augment": cli.augment_app, "train": cli.train_app}
COMMANDS = {name: typer.main.get_command(app).commands for name, app in APPS.items()}
OPTIONS = {
    (app, name): {"--help"}.union(*([*p.opts, *p.secondary_opts] for p in command.params if p.opts[0].startswith("-")))
    for app, commands in COMMANDS.items()
    for name, command in commands.items()
}
# Of other programs that the documents name.
OTHERS = {"--constraint", "--runs", "--version", "--install-completion"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(page), re.M)


def typed(page: Path) -> Iterator[list[str]]:
    """The words of each command of ours that a page names, in its blocks and in its text."""
    lines = [
        re.sub(r"^(\$|- run:) ", "", line)
        for block in blocks(page)
        if block.language in ("console", "sh", "yaml")
        for line in block.text.splitlines()
    ]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", prose(page))]:
        if line.split(" ")[0] in APPS:
            yield shlex.split(line, comments=True)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# The tutorial and the Python of the pages


def coarse() -> Embedder:
    """Colours on a coarse grid: what a build looks at tens of thousands of pictures with, in no time."""

    def embed(batch: np.ndarray) -> np.ndarray:
        small = [cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA).ravel() for picture in batch]
        return np.stack(small).astype(np.float32) / 255 - 0.5

    return Embedder("coarse", 32, 8 * 8 * 3, "a coarse grid", "coarse-1", embed)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, on a machine of one core, without weights and without the patience for a map."""
    from augment import building, features
    from curate import scanning
    from curate.measuring import backbones
    from train import backbones as own

    def unavailable(name: str, *given: object) -> None:
        raise backbones.WeightsUnavailable(f"no ImageNet weights for {name}: there is no network.")

    lay_out = scanning.lay_out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scanning, "load_embedder", lambda *given, **named: (builtin(), ""))
    monkeypatch.setattr(scanning, "lay_out", lambda neighbours, kind, seed: lay_out(neighbours, "none", seed))
    monkeypatch.setattr(features, "load_embedder", lambda *given, **named: (coarse(), ""))
    monkeypatch.setattr(building, "cores", lambda: 1)
    monkeypatch.setattr(backbones, "application_model", unavailable)
    monkeypatch.setattr(own, "_CHANNELS", (8, 16, 32))
    return tmp_path


def run_console(text: str) -> None:
    """Type the lines of a console block that begin with "$ "; each ends with status 0, or what `echo $?` shows."""
    lines = iter(text.splitlines())
    status, told = 0, ""
    for line in lines:
        if line == "$ echo $?":
            assert status == int(next(lines)), told
            status = 0
        elif line.startswith("$ "):
            assert status == 0, told
            app, *words = shlex.split(line[2:])
            small = ["--images", "150"] if words[0] == "demo" else []
            done = CliRunner().invoke(APPS[app], [*words, *small])
            status, told = done.exit_code, f"{line}\n{done.output}\n{done.exception!r}"
    assert status == 0, told


@pytest.mark.slow
def test_the_tutorial_runs_from_an_empty_folder(workshop: Path) -> None:
    page = ROOT / "docs" / "tutorial.md"
    for block in blocks(page):
        if block.language == "console":
            run_console(block.text)
        elif block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), {})
    for name in (
        "scan/report.html",
        "splits.csv",
        "built/benchmark/fog-3/part-00000.npz",
        "export/train-folder/ids.csv",
        "runs/plain/model.keras",
        "runs/baseline/report.html",
    ):
        assert (workshop / "artifacts" / name).is_file()
    check_that_files_are_told_of(workshop / "artifacts" / "built")
    check_that_a_run_is_told_of(workshop / "artifacts" / "runs" / "baseline")


def check_that_files_are_told_of(built: Path) -> None:
    """Every column and key of a built set stands on the page of files."""
    plan, benchmark = (json.loads((built / name).read_text("utf-8")) for name in ("plan.json", "benchmark.json"))
    with np.load(built / "train" / "part-00000.npz") as shard:
        names = {*shard, *pd.read_parquet(built / "train" / "rows.parquet").columns}
    for table in (plan, plan["policy"], plan["labels_lost"][0], benchmark, *benchmark["sets"]):
        names.update(table)
    assert untold(names) == []


def check_that_a_run_is_told_of(run: Path) -> None:
    """Every file of a run, every column of its tables and every key of its measures stands there, too."""
    metrics, manifest = (json.loads((run / name).read_text("utf-8")) for name in ("metrics.json", "manifest.json"))
    names = {name for name in manifest if name.endswith("_digest")}
    names |= {*pd.read_csv(run / "history.csv"), *pd.read_csv(run / "hardest.csv")}
    names |= {*pd.read_parquet(run / "predictions.parquet")} - {f"p{i}" for i in range(2, len(metrics["classes"]))}
    # Names of sets, classes, corruptions and severities are those of the images.
    given = {*metrics["classes"], *metrics["sets"], *metrics["benchmark"]["corruptions"], *"12345"}
    given |= {*metrics["selection"]["corruptions"]}
    assert untold((names | keys(metrics)) - given) == []
    text = page_of_files()
    assert [file.name for file in run.iterdir() if file.name not in text] == []


def keys(value: Any) -> set[str]:
    """The keys of a document at any depth."""
    if isinstance(value, dict):
        return {*value}.union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def untold(names: set[str]) -> list[str]:
    return sorted(name for name in names if f"`{name}`" not in page_of_files())


def page_of_files() -> str:
    return (ROOT / "docs" / "files.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["from-python", "splitting", "reading-your-data", "exporting", "recipes"])
def test_the_python_of_a_page_runs(name: str, workshop: Path) -> None:
    write_demo(workshop, DemoConfig(images=150))
    if name == "splitting":
        run_console("$ curate scan data.npz\n$ curate split\n")
    page = ROOT / "docs" / "how-to" / f"{name}.md"
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), names)


@pytest.mark.parametrize(
    "module",
    sorted(
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for package in ("curate", "augment", "train")
        for path in (ROOT / package).rglob("*.py")
        if ">>> " in path.read_text("utf-8")
    ),
)
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    done = doctest.testmod(import_module(module))
    assert done.attempted
    assert not done.failed


# Commands and options


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    for app, *words in typed(page):
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS[app], f"{app} {' '.join(words)}"
        given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert given <= OPTIONS[app, words[0]], f"{app} {' '.join(words)}"
    assert set(re.findall(r"`(--[a-z0-9-]+)", prose(page))) <= OTHERS.union(*OPTIONS.values())


def test_every_command_and_option_is_told_of_somewhere() -> None:
    told = "\n".join(page.read_text("utf-8") for page in PAGES)
    for app in APPS:
        # A recipe is a command as well; its page has a table of them.
        names = [name for name in COMMANDS[app] if app != "train" or name not in RECIPES]
        assert [name for name in names if f"{app} {name}" not in told] == []
    options = set().union(*OPTIONS.values())
    # Of an option and its opposite, one is enough.
    assert [name for name in sorted(options) if not (named(name, told) or named(opposite(name), told))] == []


def named(option: str, text: str) -> bool:
    return bool(re.search(rf"{option}(?![a-z-])", text))


def opposite(option: str) -> str:
    return f"--{option.removeprefix('--no-')}" if option.startswith("--no-") else f"--no-{option.removeprefix('--')}"


# Links, trees and lists


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        if anchor:
            # As the usual renderers make them of headings.
            anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings(place)}
            assert anchor in anchors, target


def tree(page: Path) -> set[str]:
    """The paths of the files in the page's tree: two spaces for each level, and a folder ends with "/"."""
    text = next(block.text for block in blocks(page) if block.text.startswith("curate/ "))
    above: list[str] = []
    found = set()
    for line in text.splitlines():
        name = line.split()[0]
        above = [*above[: (len(line) - len(line.lstrip())) // 2], name]
        if not name.endswith("/"):
            found.add("".join(above))
    return found


def test_the_tree_of_the_contributors_names_the_files_that_are_there() -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in ("curate", "augment", "train", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert tree(ROOT / "CONTRIBUTING.md") == there | {"cli.py"}


def test_every_check_has_a_section_and_a_row_in_the_table_above() -> None:
    page = ROOT / "docs" / "checks.md"
    assert [name for name in headings(page) if name in SEVERITY] == list(SEVERITY)
    rows = re.findall(r"^\| `\w+` \|.*$", page.read_text("utf-8"), re.M)
    assert rows == [f"| `{check.name}` | {check.looks_for} | {check.outcome} |" for check in CATALOGUE.values()]
    (count,) = re.findall(r"\[(\d+) checks\]\(docs/checks\.md\)", (ROOT / "README.md").read_text("utf-8"))
    assert int(count) == len(SEVERITY)


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 10_000


def test_the_page_of_the_benchmark_lists_every_corruption_as_it_is_registered() -> None:
    page = (ROOT / "docs" / "benchmark.md").read_text("utf-8")
    for title, role in (("Test", TEST), ("Validation", VALIDATION)):
        (section,) = re.findall(rf"^### {title}$(.*?)^##", page, re.M | re.S)
        told = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]+) \| \S.*\|$", section, re.M)
        among = [of for of in CORRUPTIONS.values() if of.role == role]
        assert told == [(of.name, of.family, ", ".join(of.sets)) for of in among]


def test_every_column_is_told_of() -> None:
    told = page_of_files()
    of_images = ("row", "id", "label", "label_name", "split", "digest", "group", "verdict", "x", "y")
    assert [c for c in (*COLUMNS, *of_images, "row_a", "row_b", "kind", "distance") if f"`{c}`" not in told] == []


def test_every_option_field_and_name_of_the_api_is_told_of() -> None:
    told = (ROOT / "docs" / "how-to" / "from-python.md").read_text("utf-8")
    names = [field.name for of in (ScanConfig, Scan, BuildConfig, Built, RunConfig, Trained) for field in fields(of)]
    names += [*curate.__all__, *augment.__all__, *train.__all__]
    assert [name for name in names if not re.search(rf"\b{name}\b", told)] == []


@pytest.mark.parametrize(
    ("page", "configs"), [("training", (ModelConfig, FitConfig)), ("measuring", (EvaluateConfig,))]
)
def test_the_page_of_a_task_tells_of_all_its_options(page: str, configs: tuple[type, ...]) -> None:
    told = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    options = [f"--{field.name.replace('_', '-')}" for of in configs for field in fields(of)]
    assert [name for name in options if not (named(name, told) or named(opposite(name), told))] == []
