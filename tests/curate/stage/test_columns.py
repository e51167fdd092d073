import pyarrow as pa
import pytest

from curate.stage.columns import FLAG, INTEGER, NUMBER, TEXT, column_fault

COLUMNS = {"id": TEXT, "group": INTEGER, "score": NUMBER, "doubted": FLAG}
SCHEMA = {"id": pa.string(), "group": pa.int64(), "score": pa.float32(), "doubted": pa.bool_()}


def test_a_table_with_every_column_has_no_fault_whatever_else_it_has():
    assert column_fault(pa.schema(SCHEMA), COLUMNS) == ""
    assert column_fault(pa.schema({"more": pa.int8(), **SCHEMA}), COLUMNS) == ""


def test_text_may_be_written_in_either_way():
    assert column_fault(pa.schema(SCHEMA | {"id": pa.large_string()}), COLUMNS) == ""


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_is_missing_is_named(name):
    rest = {key: kind for key, kind in SCHEMA.items() if key != name}
    assert column_fault(pa.schema(rest), COLUMNS) == f"there is no column {name}"


@pytest.mark.parametrize(
    ("name", "kind"), [("id", pa.int64()), ("group", pa.int32()), ("score", pa.float64()), ("doubted", pa.int8())]
)
def test_a_column_of_another_type_is_named_with_both(name, kind):
    fault = column_fault(pa.schema(SCHEMA | {name: kind}), COLUMNS)
    assert fault == f"column {name} is {kind}; needed is {COLUMNS[name]}"
