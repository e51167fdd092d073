"""A set full of hostile names is inert: on the terminal, whatever the command, and in every file that is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cli
from curate.demo import DemoConfig, clean_cells
from curate.handing.escaping import unescaped
from curate.sets.formats import FORMATS, TOOLS

# Markup, quotes, line breaks, escape sequences of both kinds, marks of direction, a formula, and 300 characters.
CLASSES = (
    "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold]",
    "<script>alert(1)</script>\u202egnp\u2066\n\r'\"&amp;{{7*7}}",
    "=" + "x" * 299,
)
SPLITS = ("train\x1b[2J", "=val\u2067\n", "test<b>")
# Of files: what a file system takes of these.
FOLDERS = ("\x1b[31mred\x07", "<b>'\"&amp;\u202e\n{{7*7}}", "=" + "x" * 200)
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
WHY = "it is \x1b[5mred\x07,\n=1+1 \u202e<script>"
QUICK = ("--backbone", "builtin", "--map", "none")


def run(*words: object, program: str = "curate", fine: tuple[int, ...] = (0,)) -> str:
    """What a command prints, of which nothing steers a terminal."""
    app = {"curate": cli.curate_app, "augment": cli.augment_app}[program]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code in fine, (words, done.output, done.exception)
    assert not STEERING.search(done.output), (words, STEERING.search(done.output), done.output)
    return done.output


def check_files(folder: Path) -> None:
    """Nothing in the texts below a folder steers a screen but tabs in scripts, and no name of a file does."""
    for path in folder.rglob("*"):
        assert not STEERING.search(str(path.relative_to(folder))), path
        if path.suffix in (".json", ".jsonl", ".xml", ".html") or path.name == "findings.csv":
            text = path.read_text(encoding="utf-8-sig").replace("\t", " ")
            found = STEERING.search(text)
            assert not found, (path, found and text[max(0, found.start() - 60) : found.end() + 60])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells with copies, some under another label; every name of it is hostile."""
    images, labels = clean_cells(DemoConfig(images=66, classes=3))
    images = np.concatenate([images, images[3:5], images[6:9]])
    labels = np.concatenate([labels, labels[3:5], (labels[6:9] + 1) % 3])
    ids = [f"=\x1b[2J{row}\u2067[bold]\u2028\n<img src=x onerror=alert(1)>" for row in range(len(images))]
    ids[0] = "y" * 300
    splits = [SPLITS[row % 3] for row in range(len(images))]
    path = tmp_path_factory.mktemp("in") / "\x1b[1mdata\u202e.npz"
    np.savez(path, images=images, labels=labels, ids=np.array(ids), class_names=np.array(CLASSES), splits=splits)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files in folders."""
    root = tmp_path_factory.mktemp("files") / "set\x1b[1m"
    images, labels = clean_cells(DemoConfig(images=30, classes=3))
    for row, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = root / FOLDERS[label] / f"=\x1b[2J{row}\u2067[bold]\u2028\n'\".png"
        path.parent.mkdir(parents=True, exist_ok=True)
        done, png = cv2.imencode(".png", pixels[..., ::-1])
        assert done
        path.write_bytes(png.tobytes())
    (root / FOLDERS[0] / "broken\x9b\u202e.png").write_bytes(b"\x89PNG no more")
    return root


@pytest.fixture(params=["archive", "files"])
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.slow
def test_no_name_steers_the_terminal_or_lies_raw_in_a_file(source, tmp_path):
    artifacts = tmp_path / "a"
    place = ("--artifacts", artifacts)
    run("scan", source, "--dry-run")
    shown = run("scan", source, *QUICK, *place)
    name = json.loads(run("scan", source, *QUICK, *place, "--json"))["classes"][0]
    assert name in (CLASSES[0], FOLDERS[0])
    ids = pd.read_parquet(artifacts / "scan" / "images.parquet")["id"].tolist()
    shown += run("apply", *place, "--drop-id", ids[3], "--why", WHY)
    shown += run("apply", *place, "--keep-id", ids[4], "--drop-id", f"{ids[3]}x", fine=(2,))
    shown += run("undo", *place)
    run("diff", artifacts, artifacts / "scan")
    run("split", *place, fine=(0, 2))
    run("split", *place, "--fresh", "--out", tmp_path / "splits.csv")
    run("selftest", source, "--images", "60", "--backbone", "builtin", "--artifacts", tmp_path / "self", fine=(0, 2))
    assert r"\x1b[31mred" in shown + run("scan", source, "--dry-run")
    check_files(artifacts / "scan")
    check_files(tmp_path / "self")


@pytest.mark.slow
@pytest.mark.parametrize("to", [*(name for name in FORMATS if name != "tfrecord"), *TOOLS])
def test_no_export_has_a_name_that_steers(source, tmp_path, to):
    artifacts = tmp_path / "a"
    run("scan", source, *QUICK, "--artifacts", artifacts)
    clean = next(path for path in artifacts.glob("clean.*") if path.suffix != ".json")
    words = ("export", artifacts if to in TOOLS else clean, "--to", to, "--all-images", "--out")
    run(*words, tmp_path / "out" / "it")
    run(*words, tmp_path / "out" / "it", fine=(2,))
    assert json.loads(run(*words, tmp_path / "out2" / "it", "--json"))["to"] == to
    check_files(tmp_path / "out")


@pytest.mark.slow
def test_what_comes_back_steers_no_terminal(source, tmp_path):
    artifacts = tmp_path / "a"
    place = ("--artifacts", artifacts)
    run("scan", source, *QUICK, *place)
    run("export", artifacts, "--to", "csv", "--all-images", "--out", tmp_path / "it.csv")
    table = pd.read_csv(tmp_path / "it.csv", dtype=str, keep_default_na=False)
    table.loc[0, "action"], table.loc[1, "action"], table.loc[2, "new_label"] = "drop", "keep", table["label"].iloc[-1]
    table.to_csv(tmp_path / "it.csv", index=False)
    shown = run("apply", "--from", tmp_path / "it.csv", *place, "--why", WHY)
    assert "by your decision" in shown
    run("export", artifacts, "--to", "csv", "--all-images", "--out", tmp_path / "again.csv")
    again = pd.read_csv(tmp_path / "again.csv", dtype=str, keep_default_na=False).set_index("id")["decided"]
    assert again[table["id"][0]] == "drop"
    assert again[table["id"][1]] == "keep"
    run("scan", source, *QUICK, *place)
    run("undo", "2", *place)
    table.loc[0, "action"] = "\x1b[2Jdrop"
    table.to_csv(tmp_path / "it.csv", index=False)
    run("apply", "--from", tmp_path / "it.csv", *place, fine=(2,))
    (tmp_path / "it.csv").write_text("id,action\n\x1b[2Jnobody,drop\n")
    run("apply", "--from", tmp_path / "it.csv", *place, fine=(2,))
    run("apply", "--relabel", f"{unescaped(table['id'][0])}=\x1b[2J\u202e", *place, fine=(2,))
    check_files(artifacts)


@pytest.mark.slow
def test_plans_and_builds_print_no_name_raw(source, tmp_path):
    place = ("--artifacts", tmp_path / "a")
    run("scan", source, *QUICK, *place)
    run("plan", "--policy", "light", *place, "--fresh", program="augment")
    run("build", "--policy", "light", "--copies", "1", "--benchmark", "none", *place, "--fresh", program="augment")
    check_files(tmp_path / "a")
