"""How long each stage of a scan takes, and how much memory the whole: the table of docs/numbers.md.

    python benchmarks/stages.py data.npz [--map none] [--runs 5]

Every run is a process of its own, as a person's would be, after one that is not counted (it converts the model and
compiles the map). Printed are medians over the runs, and the peak memory of the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def one_run(source: Path, options: list[str], artifacts: Path) -> tuple[dict[str, float], float]:
    """Seconds of each stage and of the whole process, and its peak memory in MB."""
    command = [sys.executable, "-m", "cli", "curate", "scan", str(source), "--artifacts", str(artifacts), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    timings = json.loads((artifacts / "scan" / "manifest.json").read_text())["timings"]
    rest = seconds - sum(timings.values())
    return {**timings, "start, imports, end": rest, "in all": seconds}, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--map", default="umap")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            one_run(arguments.source.resolve(), ["--map", arguments.map], Path(folder))
            for _ in range(arguments.runs + 1)
        ][1:]
    print(f"{arguments.source.name}, map {arguments.map}, {arguments.runs} runs, {os.cpu_count()} cores\n")
    print("| stage | seconds |\n|---|---:|")
    for stage in runs[0][0]:
        print(f"| {stage} | {statistics.median(seconds[stage] for seconds, _ in runs):.2f} |")
    print(f"\npeak memory {max(memory for _, memory in runs):,.0f} MB")


if __name__ == "__main__":
    main()
