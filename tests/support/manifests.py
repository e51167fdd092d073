"""Manifests and tables of stages that tests make by hand: what a test does not ask for is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from augment.configs import BuildConfig
from curate.builds import BuildManifest
from curate.configs import ScanConfig
from curate.measuring.hashing import digest
from curate.scans import IMAGES, ScanManifest
from curate.sets.imageset import ImageSet, Unreadable
from curate.stage.columns import INTEGER, NUMBER, TEXT
from curate.stage.manifest import outputs_of, versions_in_use, write_manifest
from train.configs import RunConfig
from train.runs import RunManifest

NOTHING: Mapping[str, object] = {"source": "", "input_digest": "", "outputs": {}, "counts": {}, "timings": {}}


def finish_scan(folder: Path, config: ScanConfig, **facts: object) -> Path:
    """Write the manifest of a scan with some facts, such as its source."""
    known = {**NOTHING, "embedder": "E", "embedder_digest": "1", "effect": None, **facts}
    return write_manifest(ScanManifest(config=config, seed=config.seed, versions=versions_in_use(), **known), folder)


def images_table(columns: Mapping[str, object]) -> pd.DataFrame:
    """images.parquet of a scan with some columns, such as its verdicts."""
    table = pd.DataFrame(columns)
    empty = {TEXT: "", INTEGER: -1, NUMBER: np.float32(np.nan)}
    rest = {name: empty[kind] for name, kind in IMAGES.items() if name not in table}
    return table.assign(**rest).astype({name: "float32" for name in rest if IMAGES[name] == NUMBER})


def table_of(images: ImageSet, columns: Mapping[str, object]) -> pd.DataFrame:
    """images.parquet of a scan of some images, as it would be but for these columns."""
    digests = []
    for row in range(len(images)):
        try:
            digests.append(digest(images.images[row].raw))
        except Unreadable:
            digests.append("")
    return images_table(
        {
            "row": range(len(images)),
            "id": images.ids,
            "label": images.labels,
            "label_name": [images.label_name(row) for row in range(len(images))],
            "digest": digests,
            **columns,
        }
    )


def finish_build(folder: Path, config: BuildConfig, paths: Mapping[str, Path] = {}, **facts: object) -> Path:
    """Write the manifest of a build whose documents lie at some paths."""
    known = {**NOTHING, "outputs": outputs_of(paths), "scan_digest": "", "sets": {}, **facts}
    return write_manifest(
        BuildManifest(config=asdict(config), seed=config.seed, versions=versions_in_use(), **known), folder
    )


def finish_run(folder: Path, config: RunConfig = RunConfig(), **facts: object) -> Path:
    """Write the manifest of a run with some facts, such as its key."""
    known = {**NOTHING, **facts}
    return write_manifest(RunManifest(config=config, seed=config.seed, versions=versions_in_use(), **known), folder)
