"""replay(id) -> Replayed: one image of a built set made again from its source and its record."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.builds import BUILT, SPLITS, BuildManifest
from curate.sets.fitting import Fit, fit_to_size
from curate.sets.reading import read
from curate.sets.shards import read_shards
from curate.stage.errors import DataError, UnknownName
from curate.stage.manifest import file_digest, read_manifest

from .policies.policy import Record, perform
from .previewing import Sheet


@dataclass(frozen=True, eq=False)
class Replayed:
    """One image, made again.

    set     it is of;  row  its provenance (see rows.parquet);  record  what was done to the source
    source  uint8 (H, W, 3): the picture it was made from;  image  what the record makes of it
    stored  uint8 (H, W, 3): the image as it was built
    """

    set: str
    row: Mapping[str, Any]
    record: Record
    source: np.ndarray
    image: np.ndarray
    stored: np.ndarray

    @property
    def equal(self) -> bool:
        """Whether it is the stored image, pixel for pixel."""
        return np.array_equal(self.image, self.stored)

    def write(self, path: Path) -> None:
        """Write a PNG of the source beside what became of it. Raises OutputError."""
        Sheet([""], ["source", self.set], [[self.source, self.image]]).write(path)


def replay(name: str, artifacts: str | Path = "artifacts", set: str = "") -> Replayed:
    """Make the image with id `name` again.

    set  "train", "val", "test" or that of a benchmark, such as "benchmark/fog-3"; "" looks in the first three
    Raises DataError where nothing is built or the source has gone, UnknownName where no image has that id.
    """
    built = Path(artifacts, BUILT)
    if not (built / "manifest.json").is_file():
        raise DataError(f"{built} holds no built set. Type `augment build` first, or give --artifacts DIR.")
    read_manifest(BuildManifest, built)
    with _readable(built / "plan.json") as path:
        plan = json.loads(path.read_text(encoding="utf-8"))
    found, number, row = _find(built, name, set)
    images = read(plan["source"], labels=plan["labels"])

    @lru_cache(8)
    def open_row(at: int) -> np.ndarray:
        if at >= len(images):
            raise DataError(f"{plan['source']} has changed since: it has no row {at} any more. Build again.")
        return fit_to_size(images.images[at].pixels, tuple(plan["size"]), Fit(plan["fit"]))

    at = int(row["source_row"])
    if images.ids[at : at + 1] != (row["source_id"],):
        raise DataError(
            f"{plan['source']} has changed since: its row {at} is not {row['source_id']} any more. Build again."
        )
    record = json.loads(row["ops"])
    stored = read_shards(built / found).images[number].pixels
    done = Replayed(found, row, record, open_row(at), perform(open_row(at), record, open_row), stored)
    if not done.equal and plan["source_digest"] and file_digest(Path(plan["source"])) != plan["source_digest"]:
        raise DataError(f"{plan['source']} has changed since: {name} does not come out of it any more. Build again.")
    return done


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Raise DataError where a file of a built set is missing or broken."""
    try:
        yield path
    except (OSError, ValueError) as error:  # of JSON and of Parquet as well
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}). Build the set again.") from error


def _find(built: Path, name: str, set: str) -> tuple[str, int, dict[str, Any]]:
    """(set, place in it, provenance) of an image. Raises UnknownName."""
    import pandas as pd

    sets = [set] if set else list(SPLITS)
    near: list[str] = []
    for one in sets:
        path = built / one / "rows.parquet"
        if not path.is_file():
            if set:
                known = [p.parent.relative_to(built).as_posix() for p in built.rglob("rows.parquet")]
                raise UnknownName.among("set", set, known)
            continue
        with _readable(path):
            rows = pd.read_parquet(path)
        at = np.flatnonzero(rows["id"] == name)
        if len(at):
            return one, int(at[0]), {str(k): v for k, v in rows.iloc[int(at[0])].items()}
        near += difflib.get_close_matches(name, rows["id"].tolist(), n=3)
    hint = f" There are {', '.join(near[:3])}." if near else ""
    raise UnknownName(f"no image has the id {name!r} in {', '.join(sets)} of {built}.{hint} --set names another set.")
