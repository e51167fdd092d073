"""The manifest of a stage: written last, so that its existence means that the stage completed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import ClassVar, TypeVar

from .errors import DataError
from .records import OPTIONAL, read_document, record_of, write_record
from .shortness import short_repr

FORMAT = 1
FILE = "manifest.json"
_PACKAGES = (
    "trustset", "numpy", "pillow", "opencv-python-headless", "scipy", "scikit-learn", "umap-learn",
    "imagehash", "pandas", "pyarrow", "openvino", "keras", "tensorflow",
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """A file that a stage has written, below its manifest (the clean set: a folder above it), and its digest."""

    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """manifest.json: what was done to what, with what, and digests of what came out. Each stage adds fields of its own.

    stage         name of the stage, which each kind of manifest has by itself
    source        path of the input;  input_digest  of its content
    outputs       name -> file
    counts        what was counted -> number;  timings  stage -> seconds
    versions      package -> version
    replaced      output -> digest of the file that a new one is just being put in the place of: either may be there
    """

    COMMAND: ClassVar[str]

    format: int = FORMAT
    stage: str = ""
    source: str
    input_digest: str
    config: object
    seed: int
    outputs: Mapping[str, Output]
    counts: Mapping[str, int]
    timings: Mapping[str, float]
    versions: Mapping[str, str]
    replaced: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr


M = TypeVar("M", bound=Manifest)


def outputs_of(paths: Mapping[str, Path]) -> dict[str, Output]:
    """Files that were written, by name, with their digests."""
    return {name: Output(path.name, file_digest(path)) for name, path in paths.items()}


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write folder/manifest.json, last of all, and return its path. Raises OutputError."""
    return write_record(manifest, folder / FILE)


def read_manifest(kind: type[M], folder: Path) -> M:
    """The manifest of a finished stage. Raises DataError where there is none, or one of another format or stage."""
    path = folder / FILE
    remedy = f"Run `{kind.COMMAND}` again."
    if not path.is_file():
        raise DataError(
            f"{folder} holds no finished {kind.stage}: there is no {FILE} in it. Run `{kind.COMMAND}` first."
        )
    document = read_document(path, remedy)
    if document.get("format") != FORMAT or document.get("stage") != kind.stage:
        raise DataError(
            f"{path} is of stage {document.get('stage')!r}, format {document.get('format')!r}; "
            f"needed is {kind.stage!r}, format {FORMAT}. {remedy}"
        )
    return record_of(kind, document, str(path), remedy)


def check_outputs(manifest: Manifest, folder: Path, names: Iterable[str]) -> None:
    """Raise DataError where one of these outputs is not as the stage wrote it: damaged, or replaced since.

    What a manifest has no digest of is not checked, nor what is missing, of which its reader tells.
    """
    for name in names:
        output = manifest.outputs.get(name)
        if output is None or not (path := folder / output.path).is_file():
            continue
        if file_digest(path) not in (output.digest, (manifest.replaced or {}).get(name)):
            raise DataError(
                f"{path} is not what `{manifest.COMMAND}` wrote: its digest is not the one in {folder / FILE}. "
                f"It was changed or damaged since. Run `{manifest.COMMAND}` again."
            )


def file_digest(path: Path) -> str:
    """Hex BLAKE2b-128 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def versions_in_use() -> dict[str, str]:
    """The version of Python and of each package that a stage's output may depend on."""
    return {"python": sys.version.split()[0], **versions(_PACKAGES)}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed, in that order."""
    installed = {}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # an extra that is not installed
            continue
    return installed
