"""Commands that are killed, stopped, or run beside each other: what they leave is whole or told as unfinished.

TRUSTSET_TRIALS says how often each is tried: 6 where it is not set, 0 for every step and 20 moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from killing import STAGES

from curate.cleaning import apply
from curate.configs import ScanConfig
from curate.decisions import standing
from curate.demo import DemoConfig, clean_cells
from curate.scanning import scan
from curate.scans import open_scan
from curate.sets.reading import read
from curate.sets.writing import check_clean

pytestmark = pytest.mark.endurance

ROOT = Path(__file__).parents[2]
TRIALS = int(os.environ.get("TRUSTSET_TRIALS", "6"))
MOMENTS = TRIALS // 2 or 20
REMNANTS = ("*.tmp", "*.partial", "*.old", ".scan-*", ".lock", ".writable", "before")
QUICK_BUILD = ("--policy", "light", "--benchmark", "none", "--no-check", "--size", "32", "--workers", "2")


def command(program, *words, cwd):
    """A command in a process group of its own."""
    line = [sys.executable, "-m", "cli", program, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        line, cwd=cwd, env=environment, text=True, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_hear_interrupts,
    )  # fmt: skip


def _hear_interrupts():
    """A shell has what it runs in the background ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished(process):
    """(exit status, what it said on stderr) of a command."""
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def run(program, *words, cwd):
    status, said = finished(command(program, *words, cwd=cwd))
    assert status == 0, said


def remnants(folder):
    return sorted(path.relative_to(folder).as_posix() for kind in REMNANTS for path in folder.rglob(kind))


def refused_in_a_line(said):
    """What a refused command says on stderr."""
    *_, line = said.strip().splitlines()
    return "Traceback" not in said and line.startswith(("DataError: ", "OutputError: ", "WorkerLost: "))


def contents(folder):
    """The bytes of every file but those that have the time in them."""
    dated = ("manifest.json", "overview.json", "report.html")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in dated
    }


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A folder with data.npz, 160 cells, and the artifacts of its scan; and how a scan and a build of it come out."""
    home = tmp_path_factory.mktemp("start") / "home"
    home.mkdir()
    images, labels = clean_cells(DemoConfig(images=160, classes=2))
    np.savez(home / "data.npz", images=images[:, ::3, ::3], labels=labels)
    scan(home / "data.npz", ScanConfig(artifacts=str(home / "artifacts"), backbone="builtin", map="none"))
    return home


@pytest.fixture
def home(start, tmp_path):
    """A copy of it."""
    return shutil.copytree(start, tmp_path / "home")


# Kills


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed_at_any_step_is_finished_as_if_nothing_had_been(stage, tmp_path, record_property):
    line = [sys.executable, ROOT / "tests" / "support" / "killing.py", stage, tmp_path / "trials", str(TRIALS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    record_property("figures", row_of(f"{stage}, at its steps ({figures['steps']})", figures))
    assert figures["faults"] == []
    assert figures["undisturbed"] == figures["trials"] == figures["intact"] + figures["unfinished"]
    assert figures["left"] == 0


def row_of(name, figures):
    return {
        "kill -9": name,
        "trials": figures["trials"],
        "as undisturbed": figures["undisturbed"],
        "whole before": figures["intact"],
        "told as unfinished": figures["unfinished"],
        "left over": figures["left"],
    }


def seconds_of(program, *words, cwd):
    started = time.monotonic()
    run(program, *words, cwd=cwd)
    return time.monotonic() - started


GROUPS = {
    "scan": ("curate", ("scan", "data.npz", "--backbone", "builtin", "--map", "none"), ()),
    "build": ("augment", ("build", *QUICK_BUILD), ("--resume",)),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_command_whose_whole_group_is_killed_at_any_moment_is_finished_as_if_nothing_had_been(
    name, home, start, record_property
):
    program, words, resume = GROUPS[name]
    seconds = seconds_of(program, *words, cwd=home)
    expected = contents(home)
    chance = random.Random(name)
    figures = dict.fromkeys(("trials", "undisturbed", "intact", "unfinished", "left"), 0)
    for _ in range(MOMENTS):
        shutil.rmtree(home)
        shutil.copytree(start, home)
        process = command(program, *words, cwd=home)
        time.sleep(seconds * chance.uniform(0.3, 1))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        figures["trials"] += 1
        figures["intact"] += len(open_scan(home / "artifacts" / "scan").table) == 160
        run(program, *words, *resume, cwd=home)
        figures["undisturbed"] += contents(home) == expected
        figures["left"] += len(remnants(home))
    record_property("figures", row_of(f"{name}, its group", figures))
    assert figures["trials"] == figures["undisturbed"] == figures["intact"]
    assert figures["left"] == 0


def test_a_run_whose_whole_group_is_killed_goes_on_to_the_same_predictions(home, record_property):
    run("augment", "build", *QUICK_BUILD, cwd=home)
    words = ("baseline", "--backbone", "cnn", "--epochs", "2", "--select", "clean", "--tta", "none")
    predictions = home / "artifacts" / "runs" / "baseline" / "predictions.parquet"
    seconds = seconds_of("train", *words, cwd=home)
    expected, earlier = predictions.read_bytes(), contents(predictions.parent)
    chance = random.Random(0)
    figures = dict.fromkeys(("trials", "undisturbed", "intact", "unfinished", "left"), 0)
    for _ in range(max(1, MOMENTS // 3)):
        process = command("train", *words, cwd=home)
        time.sleep(seconds * chance.uniform(0.3, 0.95))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        figures["trials"] += 1
        figures["intact"] += process.returncode == 0 or contents(predictions.parent) == earlier
        run("train", *words, "--resume", cwd=home)
        figures["undisturbed"] += predictions.read_bytes() == expected
        figures["left"] += len(remnants(home))
        earlier = contents(predictions.parent)
    record_property("figures", row_of("train, its group", figures))
    assert figures["trials"] == figures["undisturbed"] == figures["intact"]
    assert figures["left"] == 0


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_command_that_is_told_to_stop_cleans_up_and_says_so(name, number, home):
    program, words, resume = GROUPS[name]
    before = contents(home)
    process = command(program, *words, cwd=home)
    draft = home / "artifacts" / {"scan": "scan.partial", "build": "built.partial"}[name]
    while not draft.exists():
        time.sleep(0.005)
        assert process.poll() is None, process.communicate()
    time.sleep(0.1)  # in the very moment when it is made it may stay, for the next command
    process.send_signal(number)
    status, said = finished(process)
    assert status == 128 + number, said
    assert said.endswith("stopped; nothing was left half-written.\n")
    assert contents(home) == before or name == "build"
    assert remnants(home) == [] if name == "scan" else True
    run(program, *words, *resume, cwd=home)
    assert remnants(home) == []


# Commands at once


def test_scans_at_once_leave_one_whole_scan_and_refuse_the_others_in_a_line(home):
    processes = [
        command("curate", "scan", "data.npz", "--backbone", "builtin", "--map", "none", "--seed", seed, cwd=home)
        for seed in range(3)
    ]
    results = [finished(process) for process in processes]
    assert {status for status, _ in results} <= {0, 2}
    assert any(status == 0 for status, _ in results)
    for status, said in results:
        assert status == 0 or "another scan is writing to" in said, said
    scanned = open_scan(home / "artifacts" / "scan")
    assert str(scanned.manifest.seed) in "012"
    check_clean(home / "artifacts" / "clean.npz")
    assert remnants(home) == []


def states_mixed(home):
    """How many images of a built set are in another split, or have other pixels, than its source says."""
    built, source = home / "artifacts" / "built", read(home / "data.npz")
    splits = pd.read_csv(home / "artifacts" / "splits.csv", dtype=str).set_index("id")["split"]
    wrong = 0
    for split in ("train", "val", "test"):
        rows = pd.read_parquet(built / split / "rows.parquet")
        images = read(built / split)
        for number, (name, copy) in enumerate(zip(rows["source_id"], rows["copy"], strict=True)):
            wrong += splits[name] != split
            wrong += not copy and not np.array_equal(images.images[number].pixels, source.images[int(name)].pixels)
    return wrong


@pytest.mark.parametrize(
    "beside",
    [
        ("scan", "data.npz", "--backbone", "builtin", "--map", "none"),
        ("apply", "--keep-id", "7", "--drop-id", "0", "--drop-id", "1"),
    ],
    ids=["scan", "apply"],
)
def test_a_build_beside_another_command_is_of_one_state_or_refused_in_a_line(beside, home, start, record_property):
    chance, refused, mixed = random.Random(beside[0]), 0, 0
    for _ in range(MOMENTS):
        shutil.rmtree(home)
        shutil.copytree(start, home)
        building = command("augment", "build", *QUICK_BUILD, cwd=home)
        time.sleep(chance.uniform(0, 2))
        other = command("curate", *beside, cwd=home)
        status, said = finished(building)
        assert finished(other)[0] == 0
        assert status == 0 or (status == 2 and refused_in_a_line(said)), said
        refused += status == 2
        mixed += states_mixed(home) if status == 0 else 0
        open_scan(home / "artifacts" / "scan")
        check_clean(home / "artifacts" / "clean.npz")
    figures = {"beside a build": beside[0], "trials": MOMENTS, "refused": refused, "images of another state": mixed}
    record_property("figures", figures)
    assert mixed == 0


def test_sixteen_decisions_at_once_are_sixteen_lines_and_all_of_them_count(home):
    kept = read(home / "artifacts" / "clean.npz").ids[:16]
    processes = [command("curate", "apply", "--drop-id", name, cwd=home) for name in kept]
    assert [finished(process)[0] for process in processes] == [0] * 16
    assert len((home / "artifacts" / "decisions.jsonl").read_text().splitlines()) == 16
    assert set(standing(home / "artifacts")) == set(kept)
    clean = home / "artifacts" / "clean.npz"
    written = clean.read_bytes()
    assert set(kept).isdisjoint(read(clean).ids)
    apply(home / "artifacts")
    assert clean.read_bytes() == written
    assert remnants(home) == []


# Input that changes


@pytest.mark.parametrize("change", ["cut short", "saved anew"])
def test_an_archive_that_changes_during_a_scan_is_told_in_a_line(change, home, record_property):
    content, chance = (home / "data.npz").read_bytes(), random.Random(change)
    before = contents(home / "artifacts")
    outcomes = []
    for _ in range(MOMENTS):
        (home / "data.npz").write_bytes(content)
        process = command("curate", "scan", "data.npz", "--backbone", "builtin", "--map", "none", cwd=home)
        while not (home / "artifacts" / "scan.partial").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.5))
        with (home / "data.npz").open("r+b") as file:
            file.truncate(len(content) // 3)
            if change == "saved anew":
                file.seek(0, os.SEEK_END)
                file.write(content[len(content) // 3 :])
        status, said = finished(process)
        assert status == 0 or (status == 2 and refused_in_a_line(said)), (status, said)
        outcomes.append(status)
        assert contents(home / "artifacts") == before
        assert remnants(home) == []
    record_property("figures", {"during a scan": change, "trials": MOMENTS, "told": outcomes.count(2)})
