"""What policies and corruptions are tried on before anything is built: a few pictures of the set at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curate.scans import ScanManifest, directed
from curate.sets.arrays import ArrayPictures
from curate.sets.directions import Reading
from curate.sets.imageset import ImageSet, Source, Unreadable, evenly
from curate.sets.reading import read, read_as
from curate.splitting import clean_set
from curate.stage.errors import DataError
from curate.stage.manifest import FILE as MANIFEST
from curate.stage.manifest import read_manifest
from curate.stage.shortness import short_repr

from .configs import BuildConfig
from .sizing import FittedPictures, common_size
from .statistics import lab_spread

_PICTURES = 256
_DRAWN = 200


@dataclass(frozen=True, eq=False)
class Trial:
    """A set to try things on.

    pictures  of the whole set, all of one size;  rows  some of them, spread over the set
    units     statistics of these (see Parameter.unit);  drawn  whether there was no set, so that cells were drawn
    """

    images: ImageSet
    pictures: FittedPictures
    rows: np.ndarray
    units: Mapping[str, float]
    drawn: bool

    __repr__ = short_repr

    def seen(self) -> list[np.ndarray]:
        """The pictures of these rows."""
        return [self.pictures[row] for row in self.rows.tolist()]


def trial(source: str | Path | None, config: BuildConfig) -> Trial:
    """The set to try things on: what is given, else the clean set, else cells drawn for the purpose."""
    images, drawn = _trial_images(source, config)
    size = config.size or common_size(images)[0]
    pictures = FittedPictures(images, size, config.fit)
    seen = {}
    for row in evenly(len(images), _PICTURES).tolist():
        try:
            seen[row] = pictures[row]
        except Unreadable:  # a scan tells of it
            continue
    if not seen:
        raise DataError(f"{images.source.path} holds no picture that can be read. Give another set.")
    units = {**lab_spread(list(seen.values())), "side": float(min(size))}
    return Trial(images, pictures, np.array(list(seen)), units, drawn)


def _trial_images(source: str | Path | None, config: BuildConfig) -> tuple[ImageSet, bool]:
    if source is not None:
        return read_as(source, _reading(Path(source), config)), False
    try:
        return read(clean_set(Path(config.artifacts))), False
    except DataError:  # nothing scanned yet
        return _cells(config.seed), True


def _reading(source: Path, config: BuildConfig) -> Reading:
    """How a set is read: as it was scanned, if it was; else by what is found."""
    folder = Path(config.artifacts, "scan")
    if not (folder / MANIFEST).is_file():
        return Reading(config.labels)
    manifest = read_manifest(ScanManifest, folder)
    scanned = Path(manifest.source) == source.resolve()
    return directed(manifest, source, config.labels) if scanned else Reading(config.labels)


def _cells(seed: int) -> ImageSet:
    from curate.demo import LOOKS, DemoConfig, clean_cells

    drawing = DemoConfig(images=_DRAWN, seed=seed)
    images, labels = clean_cells(drawing)
    ids = tuple(str(row) for row in range(len(images)))
    classes = tuple(LOOKS)[: drawing.classes]
    return ImageSet(ArrayPictures([images]), labels, ids, classes, Source("npz", Path("cells.npz")))
