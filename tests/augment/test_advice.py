"""What a message advises is tried: each of these is run into, what it says is done, and then it goes on."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cli

APPS = {"curate": cli.curate_app, "augment": cli.augment_app, "train": cli.train_app}
PLAN = ("augment", "plan", "--policy", "light")
BUILD = ("augment", "build", "--policy", "light", "--no-check", "--workers", "1", "--copies", "1")
PLAIN = (*BUILD, "--benchmark", "none")


def run(*words: str) -> tuple[int, str]:
    """(exit status, all that is printed) of a command; what is no user's fault is raised."""
    result = CliRunner().invoke(APPS[words[0]], list(words[1:]))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@dataclass(frozen=True)
class Trouble:
    """A set, a command that does not go through with it or says what would be better, and what is advised.

    sizes    of its classes;  arrays  beside images and labels;  copies  groups of copies, by row
    advice   what it says, a group for each option or command that it names
    """

    sizes: tuple[int, ...]
    command: tuple[str, ...]
    advice: str
    arrays: dict[str, object] = field(default_factory=dict)
    copies: tuple[int, ...] | None = None
    status: int = 2
    unlike: tuple[str, ...] = ()  # options that go when the advice is taken


SPLITS = np.array(["test"] * 19 + ["train"] + ["train"] * 30 + ["test"] * 10)
TROUBLES = {
    "a class of one picture": Trouble(
        (20, 20, 1), PLAN, r"c has a single picture to train on.*: (--min-class 2) leaves out", status=0
    ),
    "a class of three": Trouble(
        (20, 20, 3), PLAN, r"c has a single picture .* \(2 others are in val or test\): (--min-class 4) lea", status=0
    ),
    "a class of two": Trouble(
        (20, 20, 2), PLAN, r"c has a single picture .* \(1 other is in val or test\): (--fresh) splits the set anew",
        {"splits": np.array((["train"] * 10 + ["test"] * 10) * 2 + ["train", "test"])}, status=0,
    ),
    "a class whose copies stand in test": Trouble(
        (20, 40), PLAN, r"a has a single picture .*19 others are in val or test.*: (--fresh) splits the set anew",
        {"splits": SPLITS}, status=0,
    ),
    "a class that is in test alone": Trouble(
        (20, 40), PLAN, r"a has no picture to train on, and cannot be learned.*: (--fresh) splits the set anew",
        {"splits": np.array(["test"] * 20 + ["train"] * 30 + ["test"] * 10)}, status=0,
    ),
    "a class that is only named": Trouble(
        (20, 20, 0), PLAN, r"c has no picture to train on, and cannot be learned: (--min-class 1) leaves out", status=0
    ),
    "splits of the set without train": Trouble(
        (20, 20), PLAN, r"no image is in train: .* splits part1, test, which were kept. Split it anew with (--fresh)",
        {"splits": np.array(["part1", "test"] * 20)},
    ),
    "no share for train": Trouble(
        (20, 20), (*PLAN, "--train", "0", "--val", "0.5", "--test", "0.5"),
        r"no image is in train. Give it a share, such as (--train 0.7 --val 0.15 --test 0.15)",
        unlike=("--train", "0", "--val", "0.5", "--test", "0.5"),
    ),
    "copies on two sides": Trouble(
        (20, 20), PLAN, r"1 group lies in more than one split already.*Split the set anew with (--fresh)",
        {"splits": np.array(["train", "test"] * 20)}, (0, 0, *[-1] * 38),
    ),
    "fewer groups than splits": Trouble(
        (20,), PLAN, r"test would be empty.*Ask for fewer splits, as with (--train 0.8 --val 0 --test 0.2)",
        copies=(*[0] * 19, -1),
    ),
    "a single group": Trouble(
        (20,), PLAN, r"val would be empty.*Ask for fewer splits, as with (--train 1 --val 0 --test 0)", copies=(0,) * 20
    ),
    "a size that no class has": Trouble(
        (20, 9), (*PLAN, "--min-class", "50"), r"no class has 50 images.*Give (--min-class 20)",
        unlike=("--min-class", "50"),
    ),
    "test images of a balanced set beside its own": Trouble(
        (20, 20), (*PLAN, "--balanced-test"), r"the set has 20 test images already. Split it anew with (--fresh)",
        {"splits": np.array(["train", "test"] * 20)},
    ),
    "a number per class that whole groups do not make": Trouble(
        (12, 12), (*PLAN, "--balanced-test", "--per-class", "3"), r"cannot have exactly 3 .*Set (--per-class 2), or",
        copies=tuple(np.repeat(np.arange(12), 2).tolist()), unlike=("--per-class", "3"),
    ),
    "a number per class without a balanced test": Trouble(
        (20, 20), (*PLAN, "--per-class", "3"), r"give (--balanced-test) as well"
    ),
    "pictures too much alike to measure by": Trouble(
        (20, 20), (*BUILD, "--backbone", "builtin"), r"too much alike, to measure severities by\. .*(--benchmark none)",
        {"images": np.repeat(np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8), 5, axis=0)},
        copies=tuple(np.repeat(np.arange(8), 5).tolist()),
    ),
    "an interrupted build of other options": Trouble(
        (20, 20), (*PLAIN, "--resume", "--seed", "7"), r"is of another input or of other options.*leave out (--resume)",
        unlike=("--resume",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TROUBLES)
def test_what_a_message_advises_helps(tmp_path, monkeypatch, scan_by_hand, name):
    monkeypatch.chdir(tmp_path)
    trouble = TROUBLES[name]
    labels = np.repeat(np.arange(len(trouble.sizes)), trouble.sizes)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 12, 12, 3), np.uint8)
    names = np.array([*"abcdef"[: len(trouble.sizes)]])
    np.savez("data.npz", **{"images": pixels, "labels": labels, "class_names": names, **trouble.arrays})
    scan_by_hand(Path("data.npz"), Path("artifacts"), None if trouble.copies is None else list(trouble.copies))
    if "--resume" in trouble.command:
        assert run(*PLAIN)[0] == 0
        Path("artifacts/built").rename("artifacts/built.partial")
        Path("artifacts/built.partial/work").mkdir(exist_ok=True)
        Path("artifacts/built.partial/work/identity").write_text("another")
        Path("artifacts/built.partial/.lock").touch()
    status, said = run(*trouble.command)
    assert status == trouble.status, said
    advice = re.search(trouble.advice, said.replace("\n", " "))
    assert advice, said
    words = [*trouble.command]
    for word in trouble.unlike:
        words.remove(word)
    words += [] if advice[1] in trouble.command else shlex.split(advice[1])
    status, after = run(*words)
    assert status == 0, after
    assert not re.search(trouble.advice, after.replace("\n", " ")), after


def test_a_set_that_was_not_scanned_is_scanned_by_the_command_that_is_given(tmp_path, monkeypatch, cells_of):
    monkeypatch.chdir(tmp_path)
    images, labels = cells_of((12, 12))
    np.savez("my data.npz", images=images, labels=labels)
    status, said = run(*PLAN, "my data.npz")
    command = re.search(r"Type `(curate scan [^`]*)` first", said)
    assert status == 2
    assert command, said
    assert run(*shlex.split(command[1]), "--backbone", "builtin", "--map", "none")[0] == 0
    assert run(*PLAN, "my data.npz")[0] == 0


def test_a_set_without_labels_is_built_with_the_table_that_is_asked_for(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Path("flat").mkdir()
    for i in range(24):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (12, 12, 3), np.uint8)).save(f"flat/{i:02}.png")
    assert run("curate", "scan", "flat", "--backbone", "builtin", "--map", "none")[0] == 0
    status, said = run(*PLAN, "flat")
    assert status == 2
    assert "Give --labels FILE.csv" in said
    Path("mine.csv").write_text("file,label\n" + "".join(f"{i:02}.png,{'ab'[i % 2]}\n" for i in range(24)))
    assert run(*PLAN, "flat", "--labels", "mine.csv")[0] == 0


@pytest.mark.slow
def test_a_build_without_a_split_is_made_anew_as_the_trainer_says(tmp_path, monkeypatch, scan_by_hand):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), np.uint8)
    np.savez("data.npz", images=pixels, labels=np.arange(40) % 2)
    scan_by_hand(Path("data.npz"), Path("artifacts"), None)
    assert run(*PLAIN, "--train", "0.8", "--val", "0", "--test", "0.2")[0] == 0
    status, said = run("train", "baseline")
    command = re.search(r"has no val set.*`augment build ([^`]*)`", said)
    assert status == 2
    assert command, said
    assert run(*PLAIN, *shlex.split(command[1]))[0] == 0
    status, said = run("train", "baseline", "--backbone", "cnn", "--input-size", "32", "--epochs", "1")
    assert status == 0, said
