"""What a scan and three other tools find of the same faults in the same files: the table of docs/numbers.md.

    python benchmarks/peers.py DATA [--sets NAME ...] [--python PATH ...] [--cache build/peers] [--again TOOL ...]
    python benchmarks/peers.py DATA --time fastdup --sets NAME [--python PATH ...] [--runs 5]

DATA holds sets, each an .npz or a folder of class folders, and the truth of each as NAME.truth.json. Images of an .npz
are written as PNG files first, so that every tool reads the same. The tools are CleanVision, fastdup and cleanlab's
Datalab. Each runs as a process of its own, by the first interpreter of --python that has it. One that none has is left
out, and named. Put them into an environment of their own, as fastdup needs an older NumPy:

    pip install cleanvision==0.3.7 fastdup==2.54 'cleanlab[datalab]' 'pyarrow<22'

Their reports are kept in the cache and read again; the scan runs each time, as do the tools named by --again.

A cell such as `25 +3` says that 25 of the planted rows (for copies, of the pairs) were found, and that the same check
flagged 3 rows in which nothing of the kind was planted. A dash is a kind that the tool does not look for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from math import comb
from pathlib import Path
from shutil import which
from typing import TypedDict

import numpy as np
import pandas as pd
from PIL import Image

ROOT = Path(__file__).parents[1]


# The tools


@dataclass(frozen=True)
class Tool:
    """Another tool.

    distributions  what an interpreter needs to run it, the one that has its version first
    requirement    what pip installs
    embeddings     it works on embeddings, those of the scan
    """

    name: str
    title: str
    distributions: tuple[str, ...]
    requirement: str
    embeddings: bool = False


TOOLS = (
    Tool("cleanvision", "CleanVision", ("cleanvision",), "cleanvision==0.3.7"),
    Tool("fastdup", "fastdup", ("fastdup",), "fastdup==2.54"),
    Tool("datalab", "Datalab", ("cleanlab", "datasets"), "'cleanlab[datalab]>=2.8'", embeddings=True),
)

# The checks of a scan by the names that reports have; those that are missing here are `other`, or stand in groups.
CHECKS = {
    "outlier": ("outlier", "outlier_group"),
    "label": ("label_error",),
    "cast": ("colour_cast",),
    "blurred": ("blurred",),
    "dark": ("dark",),
}


@dataclass(frozen=True)
class Peer:
    """A tool that is installed: by which interpreter it runs, and its version."""

    tool: Tool
    python: str
    version: str

    @property
    def title(self) -> str:
        return f"{self.tool.title} {self.version}"


def find_peer(tool: Tool, pythons: Iterable[str]) -> Peer | None:
    """The tool in the first interpreter that has all its distributions."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    for python in pythons:
        if (path := which(python)) is None:
            raise SystemExit(f"there is no interpreter {python}")
        answer = subprocess.run([path, "-c", code, *tool.distributions], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return Peer(tool, str(Path(path).absolute()), answer.stdout.split()[0])
    return None


# What is true of a set


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    name    as truths have it
    words   as the table has it
    checks  of which one has to flag it
    pairs   counted in pairs that one group holds, not in rows
    """

    name: str
    words: str
    checks: tuple[str, ...]
    pairs: bool = False


KINDS = (
    # A tool that has no check for exact copies alone finds them by its check for near ones.
    Kind("exact", "exact copies", ("exact", "near"), pairs=True),
    Kind("near", "near copies", ("near",), pairs=True),
    Kind("conflict", "copies under another label", ("near",), pairs=True),
    Kind("same_photo", "the same photograph, cropped", ("near",), pairs=True),
    Kind("augmented", "augmented copies", ("near",), pairs=True),
    Kind("intruder", "copies of two photographs", ("near",)),
    Kind("off_topic", "off-topic pictures", ("outlier", "label")),
    Kind("label", "wrong labels", ("label",)),
    Kind("cast", "colour casts", ("cast",)),
    Kind("natural_cast", "cells of another scanner", ("cast",)),
    Kind("blur", "blurred", ("blurred",)),
    Kind("dark", "dark", ("dark",)),
)


class Entry(TypedDict, total=False):
    """A planted row; `of` is the row that it copies, or the name of a picture from elsewhere."""

    row: int
    kind: str
    of: int | str


class TruthOfRows(TypedDict, total=False):
    """What the truth of an array holds."""

    planted: list[Entry]
    natural_cast: list[int]
    label_errors: list[int]


class TruthOfNames(TypedDict, total=False):
    """What the truth of a folder holds: names of files; `sources` and `augmented` are groups of one photograph."""

    off_topic: list[str]
    flipped: dict[str, str]
    same_photo: list[list[str]]
    augmented: dict[str, list[str]]
    sources: list[list[str]]


@dataclass(frozen=True)
class Truth:
    """What is known of a set.

    ids      all rows
    rows     kind -> the rows that it was planted on
    sources  kind -> rows that show one picture, the original among them where the set has it
    """

    ids: Sequence[str]
    rows: Mapping[str, frozenset[str]]
    sources: Mapping[str, Sequence[frozenset[str]]]

    @property
    def clean(self) -> frozenset[str]:
        """The rows in which nothing was planted, and that were copied nowhere."""
        return frozenset(self.ids).difference(*self.rows.values(), *chain(*self.sources.values()))


def truth_of_rows(content: TruthOfRows, ids: Sequence[str]) -> Truth:
    """The truth of an array, whose rows have these ids."""
    rows: dict[str, set[str]] = {}
    sources: dict[str, list[set[str]]] = {}
    elsewhere: dict[str, set[str]] = {}
    for entry in content.get("planted", []):
        kind, row, original = entry["kind"], ids[entry["row"]], entry.get("of")
        if isinstance(original, int):
            sources.setdefault(kind, []).append({row, ids[original]})
        else:
            rows.setdefault(kind, set()).add(row)
        if isinstance(original, str):
            elsewhere.setdefault(original, set()).add(row)
    rows["natural_cast"] = {ids[row] for row in content.get("natural_cast", [])}
    rows.setdefault("label", set()).update(ids[row] for row in content.get("label_errors", []))
    sources["elsewhere"] = list(elsewhere.values())
    return _truth(ids, rows, sources)


def truth_of_names(content: TruthOfNames, ids: Sequence[str]) -> Truth:
    """The truth of a folder."""
    rows = {"off_topic": content.get("off_topic", []), "label": content.get("flipped", {})}
    augmented = [[name, *copies] for name, copies in content.get("augmented", {}).items()]
    sources = {
        "same_photo": content.get("same_photo", []),
        "augmented": [*augmented, *content.get("sources", [])],
    }
    return _truth(ids, rows, sources)


def _truth(
    ids: Sequence[str], rows: Mapping[str, Iterable[str]], sources: Mapping[str, Iterable[Iterable[str]]]
) -> Truth:
    return Truth(
        ids,
        {kind: frozenset(names) for kind, names in rows.items()},
        {kind: [frozenset(source) for source in groups] for kind, groups in sources.items()},
    )


@dataclass(frozen=True)
class Album:
    """A set as every tool reads it: a folder of class folders, and what is true of it."""

    name: str
    folder: Path
    truth: Truth


def read_album(data: Path, name: str, scratch: Path) -> Album:
    """A set of the folder `data`; one that is an array is written below `scratch` as PNG files."""
    content = json.loads((data / f"{name}.truth.json").read_text(encoding="utf-8"))
    archive = data / f"{name}.npz"
    if archive.exists():
        folder = scratch / name
        return Album(name, folder, truth_of_rows(content, write_images(archive, folder)))
    folder = data / name
    ids = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*")) if path.is_file()]
    return Album(name, folder, truth_of_names(content, ids))


def write_images(archive: Path, folder: Path) -> list[str]:
    """The ids of an archive's rows, each written as CLASS/ROW.png where it is not there yet."""
    with np.load(archive) as arrays:
        images, labels = arrays["images"], arrays["labels"].ravel()
        names = arrays["class_names"] if "class_names" in arrays else np.arange(labels.max() + 1)
    ids = [f"{names[label]}/{row:05d}.png" for row, label in enumerate(labels)]
    for image, path in zip(images, (folder / name for name in ids), strict=True):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return ids


# What a tool says of it


class Content(TypedDict):
    """A report on disk: what benchmarks/peer_runs.py writes, and how long that took."""

    flags: dict[str, list[str]]
    groups: dict[str, list[list[str]]]
    seconds: float


@dataclass(frozen=True)
class Report:
    """What a tool says of a set.

    flags    check -> ids; `other` is all that it flags beside the checks of the table
    groups   `near` -> ids that it calls copies of each other; `exact` -> exact copies, where it has a check for them
    seconds  how long its process took
    """

    flags: Mapping[str, frozenset[str]]
    groups: Mapping[str, Sequence[frozenset[str]]]
    seconds: float

    @classmethod
    def of(cls, content: Content) -> Report:
        """Groups that share a member become one."""
        flags = {check: frozenset(ids) for check, ids in content["flags"].items()}
        return cls(flags, {check: joined(groups) for check, groups in content["groups"].items()}, content["seconds"])

    @property
    def flagged(self) -> Mapping[str, frozenset[str]]:
        """check -> the rows that it would have a person look at, those of groups too."""
        return {**self.flags, **{check: frozenset(chain(*groups)) for check, groups in self.groups.items()}}


def joined(groups: Iterable[Iterable[str]]) -> list[frozenset[str]]:
    """The connected components of what stands together in a group."""
    home: dict[str, set[str]] = {}
    for group in groups:
        members = set(group)
        whole = members.union(*(home[name] for name in members & home.keys()))
        home.update(dict.fromkeys(whole, whole))
    return list(map(frozenset, {id(whole): whole for whole in home.values()}.values()))


@dataclass(frozen=True)
class Score:
    """How many of what was planted were found, and how many rows the same check flagged that it should not have."""

    found: int
    beside: int


def count_planted(kind: Kind, truth: Truth) -> int:
    """How many pairs or rows there are to find."""
    if kind.pairs:
        return sum(comb(len(source), 2) for source in truth.sources.get(kind.name, ()))
    return len(truth.rows.get(kind.name, ()))


def score(kind: Kind, truth: Truth, report: Report) -> Score | None:
    """What a tool finds of a kind; None if it does not look for it."""
    if not kind.pairs:
        checks = [report.flagged[check] for check in kind.checks if check in report.flagged]
        flagged = frozenset(chain(*checks))
        return Score(len(flagged & truth.rows[kind.name]), len(flagged & truth.clean)) if checks else None
    groups = next((report.groups[check] for check in kind.checks if check in report.groups), None)
    if groups is None:
        return None
    together = sum(comb(len(source & group), 2) for group in groups for source in truth.sources[kind.name])
    return Score(together, strays(groups, truth))


def strays(groups: Iterable[frozenset[str]], truth: Truth) -> int:
    """Rows that stand in a group of copies of something else, as far as is known."""
    sources = joined(chain(*truth.sources.values()))
    return sum(len(group) - max((len(group & source) for source in sources), default=0) for group in groups)


# The table


def table(albums: Sequence[Album], reports: Mapping[str, Mapping[str, Report]]) -> Iterator[str]:
    """The lines of the table by kind and set. reports: title of a tool -> name of a set -> report."""
    yield line("fault", "set", "of", *reports)
    yield line("---", "---", *["---:"] * (1 + len(reports)))
    for kind in KINDS:
        for album in albums:
            if count := count_planted(kind, album.truth):
                scores = [score(kind, album.truth, report[album.name]) for report in reports.values()]
                yield line(kind.words, album.name, f"{count:,}", *map(cell, scores))
    for album in albums:
        clean = album.truth.clean
        flagged = [clean.intersection(chain(*report[album.name].flagged.values())) for report in reports.values()]
        if clean:
            yield line(
                "*clean images, flagged*", album.name, f"{len(clean):,}", *(f"{len(rows):,}" for rows in flagged)
            )
    for album in albums:
        yield line("*seconds*", album.name, "", *(f"{report[album.name].seconds:.1f}" for report in reports.values()))


def line(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def cell(score: Score | None) -> str:
    """`25 +3`: found, and flagged beside."""
    return "-" if score is None else f"{score.found:,} +{score.beside:,}"


# Running


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds, and at its fullest megabytes of memory."""

    seconds: float
    megabytes: float


def run(command: Sequence[str | Path]) -> Usage:
    """Run a command from the root of the checkout; if it fails, end with the last lines that it wrote."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if status:
            output.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{''.join(output.readlines()[-20:])}")
    return Usage(seconds, usage.ru_maxrss / 1024)


def scan(source: Path, artifacts: Path) -> Usage:
    """Scan as a person would, with all defaults."""
    return run([sys.executable, "-m", "cli", "curate", "scan", source.resolve(), "--artifacts", artifacts.resolve()])


def run_peer(peer: Peer, folder: Path, scan: Path, report: Path) -> Usage:
    """Run another tool on a folder whose finished scan is `scan`."""
    return run([peer.python, ROOT / "benchmarks" / "peer_runs.py", peer.tool.name, folder.resolve(), scan, report])


def our_report(scan: Path, seconds: float) -> Report:
    """What a finished scan says, in the same words."""
    images, findings, pairs = (pd.read_parquet(scan / f"{name}.parquet") for name in ("images", "findings", "pairs"))
    checks = findings.groupby("check")["id"].agg(list).to_dict()
    named = {flag: [*chain(*(checks.pop(check, []) for check in own))] for flag, own in CHECKS.items()}
    ids = images.set_index("row")["id"]
    exact = pairs[pairs["kind"] == "exact"]
    near = images[images["group"] >= 0].groupby("group")["id"].agg(list)
    groups = {
        "exact": [[ids[a], ids[b]] for a, b in zip(exact["row_a"], exact["row_b"], strict=True)],
        "near": near.tolist(),
    }
    return Report.of({"flags": {**named, "other": [*chain(*checks.values())]}, "groups": groups, "seconds": seconds})


def peer_report(peer: Peer, album: Album, scan: Path, cache: Path, again: bool) -> Report:
    """What another tool says, from the cache if it has said it of the same files before."""
    path = cache / f"{album.name}-{peer.tool.name}-{peer.version}-{stamp(peer, album, scan)}.json"
    if again or not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            answer = Path(scratch) / "report.json"
            usage = run_peer(peer, album.folder, scan, answer)
            content = {**json.loads(answer.read_text(encoding="utf-8")), "seconds": usage.seconds}
        path.write_text(json.dumps(content), encoding="utf-8")
    return Report.of(json.loads(path.read_text(encoding="utf-8")))


def stamp(peer: Peer, album: Album, scan: Path) -> str:
    """A digest of what the tool gets to see: the files by name and size, and the embeddings if it works on them."""
    digest = hashlib.sha256()
    for name in album.truth.ids:
        digest.update(f"{name} {(album.folder / name).stat().st_size}\n".encode())
    if peer.tool.embeddings:
        digest.update((scan / "embeddings.npy").read_bytes())
    return digest.hexdigest()[:12]


def compare(albums: Sequence[Album], peers: Sequence[Peer], cache: Path, again: Collection[str]) -> Iterator[str]:
    """The lines of the table, of scans and of the other tools."""
    reports: dict[str, dict[str, Report]] = {"Trustset": {}, **{peer.title: {} for peer in peers}}
    for album in albums:
        artifacts = (cache / "scans" / album.name).resolve()
        say(f"{album.name}: Trustset")
        usage = scan(album.folder, artifacts)
        reports["Trustset"][album.name] = our_report(artifacts / "scan", usage.seconds)
        for peer in peers:
            say(f"{album.name}: {peer.title}")
            fresh = peer.tool.name in again
            reports[peer.title][album.name] = peer_report(peer, album, artifacts / "scan", cache, fresh)
    return table(albums, reports)


def race(data: Path, album: Album, peer: Peer, runs: int) -> Iterator[str]:
    """Seconds and memory of a scan and of another tool on the same files, in turns, and of a scan of the array."""
    archive = data / f"{album.name}.npz"
    contests: dict[str, Callable[[Path], Usage]] = {
        "Trustset": lambda folder: scan(album.folder, folder),
        peer.title: lambda folder: run_peer(peer, album.folder, folder / "scan", folder / "report.json"),
    }
    if archive.exists():
        contests[f"Trustset, {archive.name}"] = lambda folder: scan(archive, folder)
    usages: dict[str, list[Usage]] = {name: [] for name in contests}
    with tempfile.TemporaryDirectory() as scratch:
        scan(album.folder, Path(scratch))  # converts the model and compiles the map, where that was not done before
        for turn in range(runs):
            say(f"turn {turn + 1} of {runs}")
            for name, contest in contests.items():
                usages[name].append(contest(Path(scratch)))
    medians = {name: statistics.median(usage.seconds for usage in usages[name]) for name in contests}
    yield line("", "seconds", "from", "to", f"of {peer.title}", "MB")
    yield line("---", *["---:"] * 5)
    for name, median in medians.items():
        seconds = [usage.seconds for usage in usages[name]]
        times = (f"{value:.2f}" for value in (median, min(seconds), max(seconds), median / medians[peer.title]))
        yield line(name, *times, f"{max(usage.megabytes for usage in usages[name]):,.0f}")


def say(text: str) -> None:
    """Tell how far it is, beside the table."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """The processor and its cores."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    models = [entry.partition(":")[2].strip() for entry in text.splitlines() if entry.startswith("model name")]
    return f"{os.cpu_count()} cores, {models[0] if models else platform.machine()}"


def arguments_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", help="names of sets; by default all of DATA that have a truth")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters to look for the tools in")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--again", nargs="+", default=[], choices=[tool.name for tool in TOOLS], metavar="TOOL")
    parser.add_argument("--time", metavar="TOOL", choices=[tool.name for tool in TOOLS], help="only time the first set")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args(words)


def main() -> None:
    arguments = arguments_of()
    data, cache = arguments.data, arguments.cache
    names = arguments.sets or sorted(path.name.removesuffix(".truth.json") for path in data.glob("*.truth.json"))
    peers = []
    for tool in TOOLS if arguments.time is None else [tool for tool in TOOLS if tool.name == arguments.time]:
        if peer := find_peer(tool, arguments.python):
            peers.append(peer)
        else:
            print(f"{tool.title} is left out: {' '.join(arguments.python)} has none (pip install {tool.requirement})\n")
    cache.mkdir(parents=True, exist_ok=True)
    print(f"{date.today()}, {machine()}, {', '.join(peer.title for peer in peers)}\n")
    if arguments.time is None:
        albums = [read_album(data, name, cache / "images") for name in names]
        lines = compare(albums, peers, cache, arguments.again)
    elif peers:
        lines = race(data, read_album(data, names[0], cache / "images"), peers[0], arguments.runs)
    else:
        raise SystemExit(1)
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
