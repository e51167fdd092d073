"""The manifest of a stage: written last, so that its existence means that the stage completed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import DataError
from .files import write_text

FORMAT = 1
_COMMANDS = {"scan": "curate scan", "build": "augment build", "run": "train baseline"}
_PACKAGES = (
    "trustset", "numpy", "pillow", "opencv-python-headless", "scipy", "scikit-learn", "cleanlab", "umap-learn",
    "imagehash", "pandas", "pyarrow", "openvino", "keras", "tensorflow",
)  # fmt: skip


def write_manifest(
    folder: Path,
    stage: str,
    config: Any,
    *,
    source: str,
    input_digest: str,
    outputs: Mapping[str, Path],
    counts: Mapping[str, int],
    timings: Mapping[str, float],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write folder/manifest.json: what was done to what, with what, and digests of what came out."""
    document = {
        "format": FORMAT,
        "stage": stage,
        "source": source,
        "input_digest": input_digest,
        "config": dataclasses.asdict(config),
        "seed": config.seed,
        "outputs": {name: {"path": path.name, "digest": file_digest(path)} for name, path in outputs.items()},
        "counts": dict(counts),
        "timings": dict(timings),
        "versions": {"python": sys.version.split()[0], **versions(_PACKAGES)},
        **(extra or {}),
    }
    path = folder / "manifest.json"
    write_text(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n", path)
    return path


def read_manifest(folder: Path, stage: str) -> dict[str, Any]:
    """The manifest of a finished stage. Raises DataError where there is none, or one of another format or stage."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"{folder} holds no finished {stage}: there is no manifest.json in it. Run `{_COMMANDS[stage]}` first."
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}). Run `{_COMMANDS[stage]}` again.") from None
    if not isinstance(document, dict):
        raise DataError(f"{path} is no manifest. Run `{_COMMANDS[stage]}` again.")
    if document.get("format") != FORMAT or document.get("stage") != stage:
        raise DataError(
            f"{path} is of stage {document.get('stage')!r}, format {document.get('format')!r}; "
            f"needed is {stage!r}, format {FORMAT}. Run `{_COMMANDS[stage]}` again."
        )
    return dict(document)


def file_digest(path: Path) -> str:
    """Hex BLAKE2b-128 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed, in that order."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # an extra that is not installed
            continue
    return found
