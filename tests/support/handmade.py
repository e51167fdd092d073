"""Artifacts as a scan leaves them, made by hand: what tests of decisions and clean sets begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from manifests import finish_scan, table_of

from curate.configs import ScanConfig
from curate.findings import Finding, findings_table
from curate.sets.reading import read
from curate.sets.writing import write_clean
from curate.stage.files import write_parquet
from curate.stage.manifest import outputs_of

# What the scan said: row -> check and action. Row 2 is told twice, row 5 can only be reviewed.
SAID = [(1, "exact_duplicate", "drop"), (2, "exact_duplicate", "drop"), (2, "dark", "review"), (5, "blurred", "review")]


def scanned(
    source: Path, artifacts: Path, said=SAID, groups=-1, splits="", scores: Mapping[int, float] = {}, **options: object
) -> Path:
    """Artifacts as a scan of `source` leaves them, made by hand."""
    images = read(source)
    verdict = ["keep"] * len(images)
    for row, _, action in sorted(said, key=lambda s: s[2], reverse=True):
        verdict[row] = action
    table = table_of(
        images,
        {
            "split": splits,
            "group": groups,
            "verdict": verdict,
        },
    )
    findings = findings_table(
        Finding(row, images.ids[row], check, scores.get(row, 1.0), -1, action, "so") for row, check, action in said
    )
    folder = artifacts / "scan"
    write_parquet(table, folder / "images.parquet")
    write_parquet(findings, folder / "findings.parquet")
    keep = (table["verdict"] != "drop").to_numpy()
    outputs = outputs_of({"images": folder / "images.parquet", "clean": write_clean(images, keep, artifacts)})
    config = ScanConfig(artifacts=str(artifacts), **options)
    finish_scan(folder, config, source=str(source.resolve()), outputs=outputs)
    return artifacts
