"""rows.parquet of a built set: where each of its images comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..stage.columns import FLAG, INTEGER, TEXT, column_fault
from ..stage.errors import DataError, gist
from ..stage.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = "rows.parquet"


@dataclass(frozen=True)
class ImageOrigin:
    """One row of rows.parquet: where an image of a built set comes from. Its fields are the columns, in their order.

    source_id, source_row   of the image that it was made of;  group  of the scan or the set, -1 none
    copy                    0 for the source itself, then 1, 2 ...
    ops                     what was done to the source, as JSON (see augment.replay)
    attempt                 how often it was drawn again;  doubted  whether its label was not found even so
    given_label             of an image that a person relabelled the name of the class that the set gives it, else "";
                            a column where there are such
    """

    id: str
    source_id: str
    source_row: int
    group: int
    copy: int
    label: int
    label_name: str
    ops: str
    seed: int
    attempt: int
    doubted: bool
    given_label: str = ""


GIVEN_LABEL = "given_label"
_TYPES = {"str": TEXT, "int": INTEGER, "bool": FLAG}
_KINDS = {field.name: _TYPES[str(field.type)] for field in dataclasses.fields(ImageOrigin)}
COLUMNS = {name: kind for name, kind in _KINDS.items() if name != GIVEN_LABEL}


@dataclass(frozen=True, eq=False)
class Provenance:
    """A rows.parquet, whose columns are read when they are asked for: each of length n, in the order of the images.

    Every column raises DataError where the file has it not, or not as it should.
    """

    path: Path

    @cached_property
    def ids(self) -> list[str]:
        return self._text("id")

    @cached_property
    def source_ids(self) -> list[str]:
        return self._text("source_id")

    @cached_property
    def source_rows(self) -> np.ndarray:
        return self._numbers("source_row")

    @cached_property
    def groups(self) -> np.ndarray:
        return self._numbers("group")

    @cached_property
    def copies(self) -> np.ndarray:
        return self._numbers("copy")

    @cached_property
    def labels(self) -> np.ndarray:
        return self._numbers("label")

    @cached_property
    def attempts(self) -> np.ndarray:
        return self._numbers("attempt")

    @cached_property
    def doubted(self) -> np.ndarray:
        """bool (n,)."""
        return np.asarray(self._column("doubted").to_numpy(zero_copy_only=False), bool)

    @cached_property
    def given_labels(self) -> list[str]:
        """Of the images that a person relabelled the classes that they were given, of the others ""."""
        import pyarrow.parquet as pq

        has_column = self.path.is_file() and GIVEN_LABEL in pq.read_schema(self.path).names
        return self._text(GIVEN_LABEL) if has_column else [""] * len(self.ids)

    def origin(self, number: int) -> ImageOrigin:
        """The row of one image."""
        values = {name: self._column(name)[number].as_py() for name in COLUMNS}
        return ImageOrigin(**values, given_label=self.given_labels[number])

    def _text(self, name: str) -> list[str]:
        return list(self._column(name).to_pylist())

    def _numbers(self, name: str) -> np.ndarray:
        """int64 (n,)."""
        return np.array(self._column(name).fill_null(-1).to_numpy(), np.int64)

    def _column(self, name: str) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                fault = column_fault(file.schema_arrow, {name: _KINDS[name]})
                if not fault:
                    return file.read(columns=[name])[name]
        except (OSError, pa.ArrowException) as error:
            fault = gist(error)
        raise DataError(f"{self.path} cannot be read ({fault}). Build the set again.")


def write_provenance(origins: Sequence[ImageOrigin], path: Path, relabelled: bool = False) -> None:
    """Write a rows.parquet: equal rows give equal bytes. Raises OutputError.

    relabelled  whether a person relabelled images of the set, so that it says what they were
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {TEXT: pa.string(), INTEGER: pa.int64(), FLAG: pa.bool_()}
    columns = {
        name: pa.array([getattr(origin, name) for origin in origins], kinds[kind])
        for name, kind in (_KINDS if relabelled else COLUMNS).items()
    }
    with replacing(path) as file:
        pq.write_table(pa.table(columns), file, compression="zstd")


def merge_provenance(parts: Sequence[Path], path: Path) -> None:
    """Write the rows.parquet of several, one after the other; one at a time in memory. Raises OutputError."""
    import pyarrow.parquet as pq

    with replacing(path) as file:
        writer = None
        for part in parts:
            table = pq.read_table(part)
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
