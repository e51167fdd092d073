"""Stages killed at every step that they take on the disk, and finished afterwards: what has become of their artifacts?

    python tests/support/killing.py STAGE FOLDER STEPS

STAGE is one of STAGES, FOLDER is made anew, STEPS how many of the steps are tried: half of them spread over all, half
over the last third, where things are put in place; 0 for every one. Each trial is forked from one process that has
everything loaded, so that it takes a second and not ten. A step is a file that is opened to be written, renamed or
removed, or a folder that is made or removed, below FOLDER; the process is killed right before it. Prints the figures as
JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from augment import making
from augment.building import build
from augment.configs import BuildConfig
from curate.cleaning import apply
from curate.configs import ScanConfig, SplitConfig
from curate.deciding import decide
from curate.demo import DemoConfig, clean_cells
from curate.scanning import scan
from curate.scans import ScanManifest, open_scan
from curate.sets.exporting import export
from curate.sets.formats import ExportConfig
from curate.sets.writing import check_clean
from curate.splitting import split
from curate.stage.errors import DataError
from curate.stage.manifest import file_digest, read_manifest

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Of these the time is part of the content.
_DATED = ("manifest.json", "overview.json", "report.html")


@dataclass
class Figures:
    """How often a stage was killed, and what came of it.

    undisturbed  finished afterwards with the bytes that it writes undisturbed
    intact       right after the kill what there was, old or new, was whole;  unfinished  or was told as unfinished
    left         files and folders that were left over after all
    faults       sentences on what went wrong
    """

    stage: str
    steps: int = 0
    trials: int = 0
    undisturbed: int = 0
    intact: int = 0
    unfinished: int = 0
    left: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A stage as it is killed: what is there before, what is done, what is done again after the kill.

    whole  whether the artifacts are those of one state; raises DataError where they are told as unfinished
    """

    before: Callable[[Path], object]
    act: Callable[[Path], object]
    again: Callable[[Path], object]
    whole: Callable[[Path], bool]


def _scan(home: Path, dark: float = 0.5, name: str = "data.npz") -> None:
    quick = {"backbone": "builtin", "map": "none", "thresholds": {"dark": dark}}
    scan(home / name, ScanConfig(artifacts=str(home / "artifacts"), **quick))


def _whole_scan(home: Path) -> bool:
    """Every file that the manifest names is the one that it was written with."""
    folder = home / "artifacts" / "scan"
    open_scan(folder)
    for name, output in read_manifest(ScanManifest, folder).outputs.items():
        place = folder.parent if name == "clean" else folder
        if file_digest(place / output.path) != output.digest:
            return False
    return True


def _whole_clean(home: Path) -> bool:
    (clean,) = (home / "artifacts").glob("clean.[nc]*")
    check_clean(clean)
    return _readable(clean)


def _readable(path: Path) -> bool:
    with np.load(path) as arrays:
        return all(arrays[name] is not None for name in arrays)


def _decide(home: Path) -> None:
    """Drop some pictures, unless that was decided before the kill."""
    path = home / "artifacts" / "decisions.jsonl"
    if not path.exists() or not path.read_bytes().endswith(b"\n"):
        decide(home / "artifacts", dict.fromkeys(("3", "5", "8"), "drop"), "blurred")
    apply(home / "artifacts")


def _build(home: Path, copies: int = 1, resume: bool = False) -> None:
    making.SHARD_BYTES = 10 * 32 * 32 * 3
    build(
        None,
        BuildConfig(
            artifacts=str(home / "artifacts"), policy="light", copies=copies, benchmark=(), check=False, workers=1,
            size=(32, 32), resume=resume,
        ),
    )  # fmt: skip


def _whole_build(home: Path) -> bool:
    built = home / "artifacts" / "built"
    manifest = json.loads((built / "manifest.json").read_text())
    for name, shards in manifest["sets"].items():
        for shard, digest in shards.items():
            if hashlib.sha256((built / name / shard).read_bytes()).hexdigest() != digest:
                return False
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    shards = {f"{name}/{shard}" for name in manifest["sets"] for shard in manifest["sets"][name]}
    return files == shards | {f"{name}/rows.parquet" for name in manifest["sets"]} | {"plan.json", "manifest.json"}


def _export(home: Path, copies: int = 0) -> None:
    export(home / "data.npz", ExportConfig(to="folder", out=str(home / "out"), force=True))


STAGES = {
    "scan": Stage(_scan, lambda home: _scan(home, 0.4), lambda home: _scan(home, 0.4), _whole_scan),
    "scan-of-files": Stage(
        _scan, lambda home: _scan(home, 0.4, "set"), lambda home: _scan(home, 0.4, "set"), _whole_scan
    ),
    "apply": Stage(_scan, _decide, _decide, _whole_clean),
    "split": Stage(
        lambda home: (_scan(home), split(None, SplitConfig(artifacts=str(home / "artifacts"), seed=1))),
        lambda home: split(None, SplitConfig(artifacts=str(home / "artifacts"), fresh=True)),
        lambda home: split(None, SplitConfig(artifacts=str(home / "artifacts"), fresh=True)),
        lambda home: len((home / "artifacts" / "splits.csv").read_text().splitlines()) == 33,
    ),
    "build": Stage(
        lambda home: (_scan(home), _build(home, 0)),
        lambda home: _build(home, 1),
        lambda home: _build(home, 1, resume=True),
        _whole_build,
    ),
    "export": Stage(_export, _export, _export, lambda home: len(list((home / "out").rglob("*.png"))) == 32),
}


def make_sets(home: Path) -> None:
    """data.npz, and set/ with the same cells as files."""
    from PIL import Image

    images, labels = clean_cells(DemoConfig(images=32, classes=2))
    images = images[:, ::3, ::3]
    home.mkdir(parents=True)
    np.savez(home / "data.npz", images=images, labels=labels)
    for number, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        (home / "set" / f"class{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(home / "set" / f"class{label}" / f"{number:02}.png")


def _forked(action: Callable[[], object]) -> int:
    """What a child process that does this ended with: its exit status, or less than 0 for a signal."""
    child = os.fork()
    if not child:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _counted(action: Callable[[], object], home: Path, log: Path, deadly: int = 0) -> None:
    """Do something, and note its steps; right before the deadly one the process is killed."""
    count = 0
    place = os.fspath(home)

    def hook(event: str, values: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            step = isinstance(values[2], int) and bool(values[2] & _WRITING) and str(values[0]).startswith(place)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            step = str(values[0]).startswith(place) or -1 not in values[1:]  # or relative to an open folder
        else:
            return
        if step:
            count += 1
            if count == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    action()
    steps = count
    count = -(10**9)
    log.write_text(str(steps))


def _contents(home: Path) -> dict[str, str]:
    """The digest of every file, "" for those that have the time in them; folders that are empty, too."""
    found = {}
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.is_file():
            found[name] = "" if path.name in _DATED else hashlib.sha256(_timeless(path)).hexdigest()
        elif not any(path.iterdir()):
            found[f"{name}/"] = ""
    return found


def _timeless(path: Path) -> bytes:
    """The bytes of a file, those of decisions without when they were made."""
    if path.name != "decisions.jsonl":
        return path.read_bytes()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return json.dumps([entry | {"when": ""} for entry in entries]).encode()


def kill_at_steps(name: str, root: Path, steps: int) -> Figures:
    """Kill a stage at so many of its steps, 0 for all, and finish it each time."""
    stage, figures = STAGES[name], Figures(name)
    start, home, log = root / "start", root / "home", root / "log"
    make_sets(home)
    if _forked(lambda: stage.before(home)):
        raise RuntimeError(f"what is there before {name} could not be made")
    home.rename(start)
    shutil.copytree(start, home)
    if _forked(lambda: _counted(lambda: stage.act(home), home, log)):
        raise RuntimeError(f"{name} fails undisturbed")
    expected, figures.steps = _contents(home), int(log.read_text())
    for step in _chosen(figures.steps, steps):
        shutil.rmtree(home)
        shutil.copytree(start, home)
        status = _forked(lambda step=step: _counted(lambda: stage.act(home), home, log, step))
        figures.trials += 1
        if status != -signal.SIGKILL:
            figures.faults.append(f"step {step}: ended with {status} and not by the kill")
            continue
        try:
            if stage.whole(home):
                figures.intact += 1
            else:
                figures.faults.append(f"step {step}: what lies there is of two states")
        except DataError:
            figures.unfinished += 1
        except Exception as error:
            figures.faults.append(f"step {step}: what lies there cannot be read: {error!r}")
        if _forked(lambda: stage.again(home)):
            figures.faults.append(f"step {step}: it could not be finished afterwards")
            continue
        _compare(figures, step, _contents(home), expected)
    return figures


def _chosen(steps: int, trials: int) -> list[int]:
    if not trials or trials >= steps:
        return list(range(1, steps + 1))
    everywhere = np.linspace(1, steps, trials // 2 + 1)[:-1]
    late = np.linspace(2 * steps / 3, steps, trials - trials // 2)
    return sorted({round(step) for step in (*everywhere, *late)})


def _compare(figures: Figures, step: int, contents: dict[str, str], expected: dict[str, str]) -> None:
    left = sorted(contents.keys() - expected.keys())
    figures.left += len(left)
    figures.faults += [f"step {step}: {name} was left over" for name in left]
    other = sorted(name for name in expected if contents.get(name) != expected[name])
    figures.undisturbed += not other
    figures.faults += [f"step {step}: {name} is not as undisturbed" for name in other]


if __name__ == "__main__":
    print(json.dumps(asdict(kill_at_steps(sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3])))))
