"""How fast training images are made, written included, and how much memory that takes.

    python benchmarks/throughput.py data.npz --images 10000 100000

Each build runs in a process of its own, three times; printed is the median, of the images a second between the first
task and the last, and of the memory of all its processes at their fullest (proportional set size: pages that are
shared count once).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def memory(pid: int) -> int:
    """Bytes of a process and of all that it started; 0 for those that have ended."""
    total = 0
    for process in [pid, *children(pid)]:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) * 1024
    return total


def children(pid: int) -> list[int]:
    """The processes that one has started, and those that these have."""
    try:
        tasks = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        direct = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:  # it has ended
        return []
    return [*direct, *(descendant for child in direct for descendant in children(child))]


def built(artifacts: Path, images: int, classes: int, options: list[str]) -> tuple[float, float, float]:
    """(images a second, seconds of all, peak megabytes) of one build of about that many training images."""
    command = [
        sys.executable, "cli.py", "augment", "build", "--artifacts", str(artifacts), "--json",
        "--balance", str(images // classes), "--cap", "10000", *options,
    ]  # fmt: skip
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.5)  # each look costs the processes some time
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    report = json.loads(output)
    rate = report["images"]["train"] / report["seconds"]["training images"]
    return rate, time.perf_counter() - began, peak / 1e6


def main() -> None:
    """Scan the set without a map, build, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--policy", default="heavy")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Path(folder)
        scan = [sys.executable, "cli.py", "curate", "scan", str(arguments.source.resolve()), "--map", "none"]
        subprocess.run([*scan, "--artifacts", folder], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        with np.load(artifacts / "clean.npz") as clean:
            classes = len(np.unique(clean["labels"]))
        print(f"policy {arguments.policy}, medians of {arguments.runs}\n")
        print("| training images | labels checked | images/s | whole build, s | memory, MB |")
        print("|---|---|---|---|---|")
        options = ["--policy", arguments.policy, "--workers", str(arguments.workers), "--benchmark", "none"]
        for images in arguments.images:
            for check in ("--no-check", "--check"):
                runs = [built(artifacts, images, classes, [*options, check]) for _ in range(arguments.runs)]
                rate, seconds, peak = (statistics.median(column) for column in zip(*runs, strict=True))
                checked = "yes" if check == "--check" else "no"
                print(f"| {images:,} | {checked} | {rate:,.0f} | {seconds:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
