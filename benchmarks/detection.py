"""How much of what is wrong a scan finds, on sets whose faults are known: the table of docs/numbers.md.

    python benchmarks/detection.py data.npz truth.json [data2.npz truth2.json ...]

A truth file holds `planted` (see curate.planting), `natural_cast` (rows of a real colour cast) or `label_errors` (rows
whose label human reviewers rejected), or several of these.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

import curate
from curate.checks.scores import THRESHOLD
from curate.findings import DROP, KEEP, REVIEW, SEVERITY
from curate.tallying import average_precision, tally, ways_of


class Truth(TypedDict, total=False):
    """What a truth file holds; lists of rows, but for the entries of `planted`."""

    planted: list[dict[str, int | str]]
    natural_cast: list[int]
    label_errors: list[int]


def report(source: Path, truth: Truth) -> None:
    """Print what a scan of `source` finds of `truth`."""
    result = curate.scan(source, curate.ScanConfig(artifacts=None, map="none"))
    n = len(result.table)
    verdict = result.table["verdict"].to_numpy()
    print(f"\n## {source.name}: {n:,} images, {result.embedder}\n")
    planted = truth.get("planted", [])
    natural_mask = np.isin(np.arange(n), truth.get("natural_cast", []))
    fault_mask = np.zeros(n, bool)
    for entry in planted:
        fault_mask[[entry["row"], *([entry["of"]] if isinstance(entry.get("of"), int) else [])]] = True
    clean = ~fault_mask & ~natural_mask
    if planted:
        thresholds = dict.fromkeys(SEVERITY, THRESHOLD)
        # The casts of some truth files are of one strength and colour, and do not name them.
        entries = [{"strength": "", "colour": "", **entry} for entry in planted]
        ways = ways_of([tally(entries, result.table, result.findings, thresholds, np.zeros(n, bool))])
        print("| planted | rows | found |\n|---|---:|---:|")
        for kind, group in ways.groupby("kind", sort=False):
            print(f"| {kind} | {group['planted'].sum()} | {group['found'].sum()} |")
    cast = np.isin(np.arange(n), result.findings.loc[result.findings["check"] == "colour_cast", "row"])
    if natural_mask.any():
        score = result.table["colour_cast_score"].to_numpy()
        ap = average_precision(score[natural_mask], score[clean])
        hits = f"{cast[natural_mask].sum()} of {natural_mask.sum()} found, {cast[clean].sum()} others"
        print(f"\nreal colour casts: {hits}, AP {ap:.3f}")
    if planted and any(entry["kind"] == "label" for entry in planted):
        wrong = np.isin(np.arange(n), [entry["row"] for entry in planted if entry["kind"] == "label"])
        score = result.table["label_error_score"].to_numpy()
        print(f"\nlabel errors: AP {average_precision(score[wrong], score[clean]):.3f}")
    if "label_errors" in truth:
        rank = pd.Series(-result.table["label_error_score"]).rank(method="first").astype(int)
        print(f"\nlabels that reviewers rejected, by rank of score: {sorted(rank[truth['label_errors']].tolist())}")
    print(
        f"\nof {clean.sum():,} untouched images: {(verdict[clean] == DROP).sum()} dropped, "
        f"{(verdict[clean] == REVIEW).sum()} for review, {(verdict[clean] == KEEP).sum():,} kept"
    )
    for story in result.stories[:3]:
        print(f"- {story.sentence}")


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    if not paths or len(paths) % 2:
        raise SystemExit(__doc__)
    for source, truth in zip(paths[::2], paths[1::2], strict=True):
        report(source, json.loads(truth.read_text()))


if __name__ == "__main__":
    main()
