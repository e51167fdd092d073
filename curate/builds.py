"""A built set's folder, artifacts/built: the documents that `augment build` writes and a trainer reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .stage.manifest import Manifest

BUILT, BENCHMARK = "built", "benchmark"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class BuildManifest(Manifest):
    """manifest.json of a build.

    input_digest  of the set, its scan and the options (see augment.preparing.identity)
    scan_digest   of the scan's manifest
    sets          set, such as "train" or "benchmark/fog-3" -> shard -> SHA-256 of its file
    """

    COMMAND: ClassVar[str] = "augment build"

    stage: str = "build"
    config: Mapping[str, object]
    scan_digest: str
    sets: Mapping[str, Mapping[str, str]]
