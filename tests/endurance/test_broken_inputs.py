"""Broken and hostile inputs, drawn by a seed: every command that is given one says what is wrong, or does what it can.

Never a traceback, a hang, an exit without a word, a change to what was given, or half a file. BROKEN_INPUTS=1000 tries
so many of each kind; BROKEN_SEED draws others. What came of them is printed at the end (pytest -s).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from breaking import (
    break_archive,
    break_bytes,
    break_folder,
    break_json,
    break_parquet,
    break_picture,
    break_text,
    flipped,
    odd_array,
    one_of,
)
from PIL import Image
from trials import Outcome, Trials

pytestmark = pytest.mark.endurance

AMOUNT = int(os.environ.get("BROKEN_INPUTS", "10"))
SEED = int(os.environ.get("BROKEN_SEED", "0"))
SCAN = ("--backbone", "builtin", "--map", "none")
NAMES = ("ant", "bee")


def pictures(count: int = 12, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (n, side, side, 3), int64 (n,)): coloured squares, those of the second class with a red one inside."""
    rng = np.random.default_rng(7)
    labels = np.arange(count) % 2
    blocks = rng.integers(0, 256, (count, 6, 6, 3), np.uint8)
    images = blocks.repeat(side // 6, axis=1).repeat(side // 6, axis=2)
    images[labels == 1, 8:16, 8:16] = (220, 30, 30)
    return images, labels


def write_folder(folder: Path, count: int = 12) -> Path:
    for row, (image, label) in enumerate(zip(*pictures(count), strict=True)):
        path = folder / NAMES[label] / f"p{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def arrays_of(count: int = 12) -> dict[str, np.ndarray]:
    images, labels = pictures(count)
    ids = np.array([f"p{row}" for row in range(count)])
    return {"images": images, "labels": labels, "ids": ids, "class_names": np.array(NAMES)}


# What came of it


@dataclass
class Tally:
    """What came of all trials of a kind, and those that went wrong: what was broken, the command, what it said."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def take(self, broken: str, words: tuple[str, ...], outcome: Outcome, fault: str = "") -> None:
        fault = outcome.fault or fault
        self.counts["inputs"] += 1
        self.counts[fault or ("clear errors" if outcome.status else "accepted")] += 1
        if fault:
            self.wrong.append(f"[{broken}] {' '.join(words)}: {fault}\n{outcome.err[-1500:]}")


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with_process = Trials()
    yield with_process
    with_process.close()


@pytest.fixture
def tally(request) -> Iterator[Tally]:
    found = Tally()
    yield found
    print(f"\n{request.node.name}: {dict(found.counts)}")
    assert not found.wrong, f"{len(found.wrong)} wrong:\n" + "\n".join(found.wrong[:20])


@dataclass
class Bench:
    """Where trials are made: the process, the tally, and a folder that is emptied for each."""

    trials: Trials
    tally: Tally
    folder: Path

    def clear(self) -> Path:
        if self.folder.exists():
            for path in self.folder.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        return self.folder

    def try_out(
        self, broken: str, *words: str, given: str = "", wrong: Callable[[Outcome], str] | None = None
    ) -> Outcome:
        """Try a command in the folder.

        given  the input there, which is to stay as it is;  wrong  says what is wrong with an outcome, "" for nothing
        """
        before = contents(self.folder / given) if given else {}
        outcome = self.trials.run(self.folder, *words)
        fault = wrong(outcome) if wrong else ""
        if given and contents(self.folder / given) != before:
            fault = "input changed"
        if half := [path for path in self.folder.rglob("*") if path.suffix == ".tmp" or ".scan-" in path.name]:
            fault = f"half-written: {half[0].name}"
        if list(self.folder.rglob("ran")):
            fault = "code ran"
        self.tally.take(broken, words, outcome, fault)
        return outcome


@pytest.fixture
def bench(trials, tally, tmp_path) -> Bench:
    return Bench(trials, tally, tmp_path / "trial")


def contents(path: Path) -> dict[str, str]:
    """A digest of each file below a path."""
    files = [path] if path.is_file() and not path.is_symlink() else sorted(path.rglob("*"))
    found = {}
    for file in files:
        kind = file.lstat().st_mode
        whole = stat.S_ISREG(kind) and os.access(file, os.R_OK)
        found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest() if whole else str(kind)
    return found


def draws(kind: str, share: float = 1.0) -> Iterator[np.random.Generator]:
    """A generator for each trial of a kind."""
    for number in range(max(1, round(AMOUNT * share))):
        yield np.random.default_rng([SEED, int.from_bytes(kind.encode()[:4]), number])


# Sets


def test_broken_pictures_are_told(bench):
    for rng in draws("pictures"):
        write_folder(bench.clear() / "set")
        path = one_of(rng, sorted(bench.folder.rglob("*.png")))
        broken = break_picture(path, pictures()[0][0], rng)
        lost = broken.split()[0] in ("cut", "empty", "text")

        def silent(outcome: Outcome, lost: bool = lost) -> str:
            told = outcome.status or "unreadable" in json.loads(outcome.out)["checks"]
            return "" if told or not lost else "silently wrong"

        bench.try_out(broken, "curate", "scan", "set", *SCAN, "--json", given="set", wrong=silent)


def test_broken_archives_are_told(bench):
    for rng in draws("archives", 2):
        path = bench.clear() / "set.npz"
        broken = break_archive(path, arrays_of(), rng)
        bench.try_out(broken, "curate", "scan", "set.npz", *SCAN, given="set.npz")


def test_labels_of_another_number_are_refused(bench):
    for rng in draws("labels", 0.2):
        other = one_of(rng, [0, 1, 11, 13, 24])
        np.savez(bench.clear() / "set.npz", **arrays_of() | {"labels": np.zeros(other, int)})
        bench.try_out(
            f"{other} labels",
            "curate",
            "scan",
            "set.npz",
            *SCAN,
            wrong=lambda it: "" if it.refused else "silently wrong",
        )


def test_broken_tables_are_told(bench):
    for rng in draws("tables"):
        write_folder(bench.clear() / "set")
        names = [path.relative_to(bench.folder / "set").as_posix() for path in sorted(bench.folder.rglob("*.png"))]
        table = bench.folder / "labels.csv"
        pd.DataFrame({"file": names, "label": [name[:3] for name in names]}).to_csv(table, index=False)
        broken = one_of(rng, [break_text, break_text, break_bytes])(table, rng)
        bench.try_out(broken, "curate", "scan", "set", "--labels", "labels.csv", *SCAN, given="set")


def test_broken_files_of_an_own_model_are_told(bench):
    rows = np.random.default_rng(0).normal(size=(12, 5))
    shares = np.array([[0.8, 0.2], [0.3, 0.7]] * 6)
    for rng in draws("models", 2):
        np.savez(bench.clear() / "set.npz", **arrays_of())
        table = bench.folder / "own.csv"
        flag, numbers = one_of(rng, [("--embeddings", rows), ("--probabilities", shares)])
        kind = one_of(rng, ["npy", "npz", "csv"] if flag == "--probabilities" else ["npy", "npz"])
        path = bench.folder / f"own.{kind}"
        if kind == "csv":
            pd.DataFrame(shares, columns=NAMES).assign(id=arrays_of()["ids"]).to_csv(table, index=False)
            broken = one_of(rng, [break_text, break_bytes])(table, rng)
        elif kind == "npz":
            broken = break_archive(path, {"x": numbers, "ids": arrays_of()["ids"]}, rng)
        else:
            np.save(path, odd_array(numbers, rng), allow_pickle=True)
            broken = one_of(rng, [lambda *_: "odd", break_bytes])(path, rng)
        options = ("--map", "none") if flag == "--embeddings" else SCAN
        bench.try_out(f"{kind} {broken}", "curate", "scan", "set.npz", flag, path.name, *options, given="set.npz")


def test_broken_lists_are_told(bench):
    for rng in draws("lists", 0.5):
        write_folder(bench.clear() / "set")
        names = [path.relative_to(bench.folder).as_posix() for path in sorted(bench.folder.rglob("*.png"))]
        names[0] = one_of(rng, [names[0], "../../etc/passwd", "/dev/zero", "", "C:\\x.png", "https://x/y.png", "~"])
        table = bench.folder / "list.csv"
        pd.DataFrame({"file": names, "label": [name[4:7] for name in names]}).to_csv(table, index=False)
        broken = one_of(rng, [break_text, break_bytes])(table, rng)
        bench.try_out(f"{names[0]} {broken}", "curate", "scan", "list.csv", *SCAN, given="set")


def test_odd_folders_are_met(bench):
    for rng in draws("folders"):
        write_folder(bench.clear() / "set")
        broken = break_folder(bench.folder / "set", rng)
        bench.try_out(broken, "curate", "scan", "set", *SCAN, given="set")


# Configurations


def test_absurd_options_are_refused(bench):
    np.savez(bench.clear() / "set.npz", **arrays_of())
    numbers = ("-1", "0", str(2**70), "9" * 5000, "nan", "inf", "-inf", "1e400", "x", "", "1e-320")
    commands = {
        ("curate", "scan", "set.npz", *SCAN): "seed workers input-size threshold drop fail-on",
        ("augment", "preview", "set.npz"): "images copies seed size severities",
        ("augment", "plan", "set.npz"): "copies cap balance per-class train seed size",
        ("curate", "split", "set.npz"): "train per-class seed",
        ("train", "baseline"): "epochs learning-rate batch seed l2 dense folds clip",
        ("curate", "selftest", "set.npz"): "images precision repeats",
        ("curate", "undo"): "",
    }
    for rng in draws("options", 2):
        words = one_of(rng, list(commands))
        number = one_of(rng, numbers)
        options = commands[words].split()
        typed = [f"--{one_of(rng, options)}", number] if options else ["--", number]
        shutil.rmtree(bench.folder / "artifacts", ignore_errors=True)
        bench.try_out(f"{typed[0]} {number[:9]}", *words, *typed, given="set.npz")


def test_absurd_names_are_refused(bench):
    names = (
        "x" * 300,
        "a/" * 3000,
        "\0",
        "\n",
        "/dev/null",
        "/proc/x",
        "set.npz",
        "set.npz/x",
        "-",
        "\ud800",
        "~",
        "..",
    )
    commands: tuple[tuple[str, ...], ...] = (
        ("curate", "scan", "set.npz", *SCAN, "--artifacts"), ("curate", "scan", *SCAN),
        ("curate", "apply", "--artifacts"),
        ("curate", "scan", "set.npz", "--weights"), ("curate", "scan", "set.npz", "--backbone"),
        ("augment", "preview", "set.npz", "--out"), ("augment", "preview", "set.npz", "--policy"),
        ("augment", "replay"), ("curate", "export", "set.npz", "--to", "folder", "--out"), ("curate", "diff", "x"),
        ("train", "predict"), ("train", "run"), ("train", "evaluate"), ("curate", "split", "--out"),
        ("train", "compare", "x"), ("train", "explain"), ("augment", "build", "--artifacts"),
    )  # fmt: skip
    for rng in draws("names", 1.5):
        np.savez(bench.clear() / "set.npz", **arrays_of())
        words, name = one_of(rng, commands), one_of(rng, names)
        bench.try_out(f"{name[:9]!a}", *words, *(["--"] if name == "-" else []), name, given="set.npz")


VALUES = (
    "0", "-1", "1e400", "nan", "inf", "-inf", "true", '"x"', "[]", "[1, 2]", "[2, 1]", "[[1]]", "{}", str(10**400),
    str(2**63), "1e-300", "1979-05-27", '"\\u0000"', "0.5", "[nan, nan]", "1_000_000_000_000",
)  # fmt: skip


def _policy(rng: np.random.Generator) -> str:
    """The text of a policy with something odd in it."""
    op = one_of(
        rng, ["rotate", "zoom_blur", "gaussian_blur", "mixup", "augmix", "randaugment", "dihedral", "none", "elastic"]
    )
    keys = ["degrees", "zoom", "step", "sigma", "alpha", "p", "ops", "width", "depth", "among", "magnitude", "element"]
    step = f'{{op = "{op}", {one_of(rng, keys)} = {one_of(rng, VALUES)}}}'
    depth = one_of(rng, [0, 0, 3, 30, 200, 5000])
    step = "{one_of = [" * depth + step + "]}" * depth
    heads = ["", "", f"copies = {one_of(rng, VALUES)}\n", f"about = {one_of(rng, VALUES)}\n", "x = 1\n", "\ufeff", "\0"]
    pipeline = f"[[pipeline]]\nshare = {one_of(rng, VALUES)}\n" if rng.random() < 0.3 else ""
    call = '{call = "evil.py:f"}, ' if rng.random() < 0.2 else ""
    return f"{one_of(rng, heads)}{pipeline}steps = [{call}{step}]\n"


def _recipe(rng: np.random.Generator) -> str:
    """The text of a recipe with something odd in it."""
    section = one_of(rng, ["model", "fit", "evaluate", "run", "build", "x"])
    keys = (
        "backbone", "weights", "input_size", "dense", "epochs", "learning_rate", "batch", "seed", "tta", "name",
        "workers", "resamples", "unfreeze", "policy", "artifacts",
    )  # fmt: skip
    return (
        f"{one_of(rng, ['', 'about = 1', 'policy = []'])}\n[{section}]\n{one_of(rng, keys)} = {one_of(rng, VALUES)}\n"
    )


def test_hostile_policies_are_refused(bench):
    for rng in draws("policies", 2):
        np.savez(bench.clear() / "set.npz", **arrays_of())
        (bench.folder / "evil.py").write_text("open('ran', 'w').close()\ndef f(image, rng): return image\n")
        path = bench.folder / "mine.toml"
        text = _policy(rng)
        path.write_bytes(flipped(text.encode(), rng, 2) if rng.random() < 0.2 else text.encode())
        words = ("augment", "preview", "set.npz", "--policy", "mine.toml", "--images", "1", "--copies", "2")
        bench.try_out(text[:150], *words, given="mine.toml")


def test_hostile_recipes_are_refused(bench):
    for rng in draws("recipes"):
        bench.clear()
        path = bench.folder / "mine.toml"
        text = _recipe(rng)
        path.write_bytes(flipped(text.encode(), rng, 2) if rng.random() < 0.2 else text.encode())
        bench.try_out(text[:150], "train", "run", "mine.toml", given="mine.toml")


def test_hostile_functions_are_told(bench):
    bodies = (
        "raise SystemExit(0)", "raise BaseException", "return None", "return image.astype(float)", "image[:] = 1 / 0",
        "return image[:1]", "import sys; sys.exit('bye')", "raise Exception('\\ud800\\x1b[31m')", "yield image",
    )  # fmt: skip
    for rng in draws("functions", 0.5):
        np.savez(bench.clear() / "set.npz", **arrays_of())
        body = one_of(rng, bodies)
        top = one_of(rng, ["", "", "import sys; sys.exit()", "raise BaseException", "f = 3", "(", "\0"])
        (bench.folder / "own.py").write_text(f"def f(image, rng):\n    {body}\n{top}\n")
        bench.try_out(f"{body}; {top}", "augment", "preview", "set.npz", "--policy", "own.py:f", "--copies", "1")


# Files of earlier stages


@pytest.fixture(scope="module")
def stages(tmp_path_factory, trials) -> Path:
    """A set that was scanned twice, decided on, split and built; two runs on it, and an ensemble."""
    folder = tmp_path_factory.mktemp("stages")
    np.savez(folder / "set.npz", **arrays_of(64))
    fit = (
        "--backbone",
        "cnn",
        "--weights",
        "random",
        "--epochs",
        "1",
        "--no-probe",
        "--resamples",
        "9",
        "--tta",
        "none",
    )
    build = (
        "augment",
        "build",
        "--policy",
        "light",
        "--copies",
        "1",
        "--no-check",
        "--backbone",
        "builtin",
        "--balance",
        "none",
    )
    for words in (
        ("curate", "scan", "set.npz", *SCAN, "--artifacts", "other", "--strict"),
        ("curate", "scan", "set.npz", *SCAN),
        ("curate", "apply", "--keep-id", "p3", "--drop-id", "p4"),
        (*build, "--benchmark", "blood", "--benchmark-images", "2"),
        ("train", "baseline", *fit, "--name", "one"),
        ("train", "baseline", *fit, "--name", "two", "--seed", "1"),
        ("train", "ensemble", "one", "two", "--resamples", "9"),
    ):
        outcome = trials.run(folder, *words, patience=600)
        assert outcome.status == 0, f"{words}: {outcome.err}"
    return folder


CURATE = (
    ("curate", "apply"), ("curate", "apply", "--drop-id", "p5"), ("curate", "undo"), ("curate", "split"),
    ("curate", "split", "set.npz"), ("curate", "diff", "other", "artifacts"), ("augment", "plan"),
    ("curate", "scan", "set.npz", *SCAN), ("augment", "build", "--benchmark", "none", "--no-check", "--copies", "1"),
    ("augment", "preview", "--images", "1", "--copies", "1"),
)  # fmt: skip
BUILT = (
    ("augment", "replay", "p0"), ("augment", "replay", "p1+1"), ("curate", "export", "artifacts/built", "--to", "npz"),
    ("curate", "scan", "artifacts/built", *SCAN, "--artifacts", "new"), ("train", "evaluate", "one"),
    ("augment", "build", "--benchmark", "none", "--no-check", "--copies", "1", "--resume"),
    ("train", "explain", "one", "--images", "p0"),
)  # fmt: skip
RUNS = (
    ("train", "compare", "one", "two", "--resamples", "9"), ("train", "ensemble", "one", "two", "--resamples", "9"),
    ("train", "compare", "ensemble", "one", "--resamples", "9"), ("train", "evaluate", "one"),
    ("train", "predict", "one", "set.npz"), ("train", "explain", "one"), ("train", "evaluate", "ensemble"),
)  # fmt: skip
# The commands that look at a file, by where it lies.
OPENED = {
    "scan": CURATE,
    "clean.npz": CURATE,
    "splits.csv": CURATE,
    "decisions.jsonl": CURATE,
    "built": BUILT,
    "runs": RUNS,
}


def break_stage(path: Path, rng: np.random.Generator) -> str:
    """Break a file of a stage by what it is, or as any file may be broken."""
    if rng.random() < 0.3:
        return break_bytes(path, rng)
    if path.suffix == ".json":
        return break_json(path, rng)
    if path.suffix == ".parquet":
        return break_parquet(path, rng)
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = dict(file)
        return break_archive(path, arrays, rng)
    if path.suffix in (".csv", ".jsonl", ".toml"):
        return break_text(path, rng)
    path.write_bytes(flipped(path.read_bytes(), rng))
    return "flipped"


def sign_again(artifacts: Path, path: Path) -> None:
    """Let the manifests know a file as it is now: what lies behind the digests is tried as well."""
    for place in artifacts.glob("**/manifest.json") if path.is_file() else ():
        try:
            manifest = json.loads(place.read_text("utf-8"))
            for output in manifest["outputs"].values():
                if output["path"] == path.name:
                    output["digest"] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
            for name, shards in manifest.get("sets", {}).items():
                if place.parent / name / path.name == path:
                    shards[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
            place.write_text(json.dumps(manifest), "utf-8")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # the manifest is what was broken
            continue


@pytest.mark.parametrize("part", ["scan", "clean.npz", "splits.csv", "decisions.jsonl", "built", "runs"])
def test_broken_files_of_earlier_stages_are_told(bench, stages, part):
    for rng in draws(part, {"scan": 3, "built": 1.5, "runs": 1.5}.get(part, 0.7)):
        shutil.rmtree(bench.folder, ignore_errors=True)
        shutil.copytree(stages, bench.folder)
        place = bench.folder / "artifacts" / part
        files = [path for path in [place, *sorted(place.rglob("*"))] if path.is_file()]
        path = one_of(rng, [path for path in files if path.suffix not in (".html", ".png")])
        broken = f"{path.relative_to(bench.folder)}: {break_stage(path, rng)}"
        if rng.random() < 0.6:
            sign_again(bench.folder / "artifacts", path)
            broken += ", signed"
        bench.try_out(broken, *one_of(rng, OPENED[part]), given="set.npz")


PLACES = (
    "", "info", "columns/label", "columns/queue", "details?rows=0,1,11", "thumbnails?rows=0,1,2,11", "original/0",
    "original/5", "neighbours/0", "search?q=p", "decisions",
)  # fmt: skip


def test_a_review_of_a_broken_scan_is_refused_or_answers_in_words(stages, tmp_path, tally):
    from curate.configs import ReviewConfig
    from curate.reviewing.opening import review
    from curate.stage.errors import ToolkitError

    for rng in draws("review", 2):
        artifacts = tmp_path / "artifacts"
        shutil.rmtree(artifacts, ignore_errors=True)
        shutil.copytree(stages / "artifacts", artifacts, ignore=shutil.ignore_patterns("built", "runs"))
        path = one_of(rng, [*sorted((artifacts / "scan").iterdir()), artifacts / "decisions.jsonl"])
        broken = f"{path.name}: {break_stage(path, rng)}"
        if rng.random() < 0.6:
            sign_again(artifacts, path)
        tally.counts["inputs"] += 1
        try:
            with review(artifacts, ReviewConfig(browser=False)) as opened:
                statuses = {place: status_of(opened.address + place) for place in PLACES}
        except ToolkitError:
            tally.counts["clear errors"] += 1
            continue
        tally.counts["accepted"] += 1
        tally.wrong += [f"[{broken}] {place}: {status}" for place, status in statuses.items() if status == 500]
        assert not (artifacts / ".review").exists()


def status_of(address: str) -> int:
    """The status that an address answers with."""
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
