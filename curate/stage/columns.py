"""Columns of Parquet tables: which a reader needs, and of which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Types of columns. Text is read as string or large_string: which of them is written depends on who writes.
TEXT, INTEGER, NUMBER, FLAG = "string", "int64", "float", "bool"
_ALIKE = {"large_string": TEXT}


def column_fault(schema: pa.Schema, columns: Mapping[str, str]) -> str:
    """Why a table is not what is needed: the first column that is missing or of another type; "" where all are there.

    >>> import pyarrow as pa
    >>> column_fault(pa.schema({"id": pa.large_string(), "group": pa.int32()}), {"id": TEXT, "group": INTEGER})
    'column group is int32; needed is int64'
    """
    for name, needed in columns.items():
        if name not in schema.names:
            return f"there is no column {name}"
        dtype = str(schema.field(name).type)
        if _ALIKE.get(dtype, dtype) != needed:
            return f"column {name} is {dtype}; needed is {needed}"
    return ""
