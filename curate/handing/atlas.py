"""embedding-atlas: one Parquet with the map, a small picture and what was found, a row an image."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..decisions import Proposal
from ..measuring.neighbours import EXACT_LIMIT, index_available, nearest, principal_features
from ..proposals import READERS, Reader, Received
from ..scans import Scanned, read_embeddings
from ..sets.carrying import copy_of, with_progress
from ..sets.exporting import Loading
from ..sets.writing import pixels_of
from ..stage.engine import chunks, cores, threaded
from ..stage.errors import DataError, gist
from ..stage.files import python_text, replacing
from ..stage.progress import Advance
from .cases import Case, Handover, rounded
from .escaping import escaped, unescaped
from .labelstudio import reduced_jpeg
from .tools import TOOLS, Tool, apply_line

if TYPE_CHECKING:
    import pyarrow as pa

# Pixels a side of the pictures: what the panel beside the map shows.
SIDE = 256
NEIGHBOURS = 15
ROWS = 100  # of a row group: readers load whole ones
# Columns by which what Embedding Atlas exports is told.
_MARKS = {"id", "digest", "because", "image"}


def write(handover: Handover, to: Path, advance: Advance) -> Loading:
    """A Parquet of one row an image: its place on the map, or its vector where there is no map, and its neighbours."""
    import pyarrow.parquet as pq

    rows = np.array([case.row for case in handover.cases], np.int64)
    vectors = read_embeddings(handover.scan)[rows]
    mapped = all(np.isfinite((case.x, case.y)).all() for case in handover.cases)
    near = _neighbours(vectors)
    schema = _schema(mapped, bool(near))
    pictures = with_progress(threaded(lambda case: _picture(handover, case), handover.cases, cores()), advance)
    # PNG and JPEG are compressed already, and no two are equal.
    texts = ["label", "split", "verdict", "check", "checks", "because", "suggested", "decided"]
    with replacing(to) as file, pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts) as out:
        for batch in chunks(len(rows), ROWS):
            entries = [
                _entry(handover, handover.cases[i], next(pictures))
                | ({} if mapped else {"vector": vectors[i].astype(np.float32)})
                | ({"neighbors": near[i]} if near else {})
                for i in batch
            ]
            out.write_table(_table(entries, schema))
    place = "--x x --y y" if mapped else "--vector vector"
    beside = " --neighbors neighbors" if near else ""
    return Loading(
        "pandas",
        lambda path: f"pandas.read_parquet({python_text(path)})",
        () if mapped else ("the scan has no map (--map none); Embedding Atlas makes one of the vectors",),
        lambda path: {
            "open": f"embedding-atlas {shlex.quote(str(path))} {place} --image image{beside} --text because",
            "back": f"{apply_line(handover, 'selection.parquet')} --decision drop",
        },
    )


def _schema(mapped: bool, neighbours: bool) -> pa.Schema:
    import pyarrow as pa

    texts = ("id", "label", "split", "verdict", "check", "checks", "because", "suggested", "decided", "digest")
    columns: dict[str, pa.DataType] = {name: pa.string() for name in texts}
    columns |= {"score": pa.float32(), "chance": pa.float32(), "group": pa.int64()}
    columns["image"] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns |= {"x": pa.float32(), "y": pa.float32()} if mapped else {"vector": pa.list_(pa.float32())}
    if neighbours:
        columns["neighbors"] = pa.struct({"ids": pa.list_(pa.int64()), "distances": pa.list_(pa.float32())})
    return pa.schema(columns)


def _table(entries: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(entries, schema)


def _entry(handover: Handover, case: Case, picture: bytes) -> dict[str, object]:
    texts = {
        "id": case.id,
        "label": case.label_now,
        "split": case.split,
        "check": case.checks[0] if case.checks else "nothing found",
        "checks": ", ".join(case.checks),
        "because": case.because,
        "suggested": case.suggested,
        "decided": case.decided,
    }
    return {
        **{name: escaped(value) for name, value in texts.items()},
        "verdict": case.verdict,
        "digest": case.digest,
        "score": case.score,
        "chance": rounded(case.chance),
        "group": case.group,
        "image": {"bytes": picture, "path": None},
        "x": case.x,
        "y": case.y,
    }


def _picture(handover: Handover, case: Case) -> bytes:
    """A picture of at most SIDE pixels a side: where it is as small as that its own file, or PNG, with nothing lost."""
    copy = copy_of(handover.images, case.row)
    return copy.data if max(copy.size) <= SIDE else reduced_jpeg(pixels_of(handover.images, case.row), SIDE)


def _neighbours(vectors: np.ndarray) -> list[dict[str, list[float]]]:
    """The nearest of each row by its row number; [] where they would take minutes to find."""
    if len(vectors) < 2 or (len(vectors) > EXACT_LIMIT and not index_available()):
        return []
    table = nearest(principal_features(vectors), np.arange(len(vectors)), NEIGHBOURS)
    return [
        {"ids": ids, "distances": distances}
        for ids, distances in zip(table.indices.tolist(), table.distances.tolist(), strict=True)
    ]


# Back


def _takes(path: Path, head: bytes) -> bool:
    if path.suffix.lower() == ".parquet":
        return head.startswith(b"PAR1") and set(_columns(path)) >= _MARKS
    columns = head.split(b"\n", 1)[0].decode("utf-8", "replace").replace('"', "").strip().split(",")
    return path.suffix.lower() == ".csv" and set(columns) >= _MARKS


def _columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return []


def _read(path: Path, scan: Scanned) -> Received:
    """The images of a selection that was exported, as Parquet or CSV; what becomes of them it does not say."""
    import pandas as pd

    columns = ["id", "digest"]
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path, columns=columns)
        else:
            table = pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {gist(error)}.") from error
    selected = [
        Proposal("", unescaped(str(name)), digest=str(digest), by="Embedding Atlas")
        for name, digest in zip(table["id"], table["digest"], strict=True)
    ]
    return Received((), selected=selected)


READERS.put("embedding-atlas", Reader(_takes, _read))


TOOLS.put("embedding-atlas", Tool(write, suffix=".parquet", whole=True))
