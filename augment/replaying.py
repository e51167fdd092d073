"""replay(id) -> Replayed: one image of a built set made again from its source and its record."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.builds import BUILT, SPLITS, BuildManifest, read_plan
from curate.sets.fitting import Fit, fit_to_size
from curate.sets.provenance import ROWS, ImageOrigin, Provenance
from curate.sets.reading import read_as
from curate.sets.shards import read_shards
from curate.stage.errors import DataError, ToolkitError, UnknownName, telling
from curate.stage.manifest import file_digest, read_manifest
from curate.stage.shortness import short_repr

from .policies.functions import load_recorded
from .policies.policy import OpenRow, Record, perform
from .policies.recording import record_of
from .previewing import Sheet


@dataclass(frozen=True, eq=False)
class Replayed:
    """One image, made again.

    set     it is of;  row  its row of rows.parquet;  record  what was done to the source
    source  uint8 (H, W, 3): the picture it was made from;  image  what the record makes of it
    stored  uint8 (H, W, 3): the image as it was built
    """

    set: str
    row: ImageOrigin
    record: Record
    source: np.ndarray
    image: np.ndarray
    stored: np.ndarray

    __repr__ = short_repr

    @property
    def equal(self) -> bool:
        """Whether it is the stored image, pixel for pixel."""
        return np.array_equal(self.image, self.stored)

    def write(self, path: Path) -> None:
        """Write a PNG of the source beside what became of it. Raises OutputError."""
        Sheet([""], ["source", self.set], [[self.source, self.image]]).write(path)


def replay(
    name: str, artifacts: str | Path = "artifacts", set: str = "", functions: Iterable[str | Path] = ()
) -> Replayed:
    """Make the image with id `name` again.

    functions  Python files that its record may call: none is run that is not among them
    set  "train", "val", "test" or that of a benchmark, such as "benchmark/fog-3"; "" looks in the first three
    Raises DataError where nothing is built or the source has gone, UnknownName where no image has that id.
    """
    built = Path(artifacts, BUILT)
    if not (built / "manifest.json").is_file():
        raise DataError(f"{built} holds no built set. Type `augment build` first, or give --artifacts DIR.")
    read_manifest(BuildManifest, built)
    plan = read_plan(built)
    place, number, origin = _find(built, name, set)
    images = read_as(plan.source, plan)

    @lru_cache(8)
    def open_row(row: int) -> np.ndarray:
        if row >= len(images):
            raise DataError(f"{plan.source} has changed since: it has no row {row} any more. Build again.")
        return fit_to_size(images.images[row].pixels, plan.size, Fit(plan.fit))

    row = origin.source_row
    if images.ids[row : row + 1] != (origin.source_id,):
        raise DataError(
            f"{plan.source} has changed since: its row {row} is not {origin.source_id} any more. Build again."
        )
    stored = read_shards(built / place).images[number].pixels
    with telling(f"{name} in {built / place / ROWS}"):
        record = record_of(origin.ops)
        load_recorded(record, functions)
    replayed = Replayed(place, origin, record, open_row(row), _made(name, record, open_row(row), open_row), stored)
    if not replayed.equal and plan.source_digest and file_digest(Path(plan.source)) != plan.source_digest:
        raise DataError(f"{plan.source} has changed since: {name} cannot be reproduced from it any more. Build again.")
    return replayed


def _made(name: str, record: Record, image: np.ndarray, open_row: OpenRow) -> np.ndarray:
    """What a record makes of a picture. Raises DataError where its values cannot be done."""
    try:
        return perform(image, record, open_row)
    except ToolkitError:
        raise
    except Exception as error:  # of OpenCV or NumPy, of values that none of our policies draws
        raise DataError(f"what was done to {name} cannot be done again ({error}). Build the set again.") from error


def _find(built: Path, name: str, set: str) -> tuple[str, int, ImageOrigin]:
    """(set, place in it, where it comes from) of an image. Raises UnknownName."""
    places = [set] if set else list(SPLITS)
    near: list[str] = []
    for place in places:
        path = built / place / ROWS
        if not path.is_file():
            if set:
                sets = [p.parent.relative_to(built).as_posix() for p in built.rglob(ROWS)]
                raise UnknownName.among("set", set, sets)
            continue
        rows = Provenance(path)
        if name in rows.ids:
            number = rows.ids.index(name)
            return place, number, rows.origin(number)
        near += difflib.get_close_matches(name, rows.ids, n=3)
    hint = f" There are {', '.join(near[:3])}." if near else ""
    raise UnknownName(f"no image has the id {name!r} in {', '.join(places)} of {built}.{hint} --set names another set.")
