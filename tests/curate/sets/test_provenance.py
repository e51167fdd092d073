from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import pytest

from curate.sets.provenance import COLUMNS, ImageOrigin, Provenance, merge_provenance, write_provenance
from curate.stage.errors import DataError
from curate.stage.files import write_parquet

ORIGINS = [
    ImageOrigin("a", "a", 0, -1, 0, 1, "bee", "[]", 0, 0, False),
    ImageOrigin("a+1", "a", 0, -1, 1, 1, "bee", '[{"op":"hue","degrees":3.5}]', 0, 2, True),
    ImageOrigin("böse", "böse", 7, 3, 0, 0, "ant", "[]", 0, 0, False),
]


@pytest.fixture
def path(tmp_path):
    write_provenance(ORIGINS, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_columns_are_the_fields_of_an_origin_in_their_order(path):
    assert [*COLUMNS, "given_label"] == [field.name for field in fields(ImageOrigin)]
    assert list(pd.read_parquet(path).columns) == list(COLUMNS)


def test_what_is_written_is_read(path):
    rows = Provenance(path)
    assert [rows.origin(number) for number in range(3)] == ORIGINS
    assert rows.ids == ["a", "a+1", "böse"]
    assert rows.source_ids == ["a", "a", "böse"]
    assert rows.source_rows.tolist() == [0, 0, 7]
    assert rows.groups.tolist() == [-1, -1, 3]
    assert rows.copies.tolist() == [0, 1, 0]
    assert rows.labels.tolist() == [1, 1, 0]
    assert rows.attempts.tolist() == [0, 2, 0]
    assert rows.doubted.tolist() == [False, True, False]
    assert rows.labels.dtype == np.int64


def test_equal_rows_give_equal_bytes(path, tmp_path):
    write_provenance([replace(origin) for origin in ORIGINS], tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_several_are_merged_one_after_the_other(path, tmp_path):
    write_provenance([replace(ORIGINS[0], id="z")], tmp_path / "last.parquet")
    merge_provenance([path, tmp_path / "last.parquet"], tmp_path / "all.parquet")
    assert Provenance(tmp_path / "all.parquet").ids == ["a", "a+1", "böse", "z"]


def test_a_column_that_is_missing_or_of_another_type_is_refused_when_it_is_read(tmp_path):
    table = pd.DataFrame([asdict(origin) for origin in ORIGINS])
    write_parquet(table.drop(columns="copy").assign(group=["x", "y", "z"]), tmp_path / "rows.parquet")
    rows = Provenance(tmp_path / "rows.parquet")
    assert rows.ids == ["a", "a+1", "böse"]
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read \(there is no column copy\)\. Build the set"):
        rows.copies  # noqa: B018
    with pytest.raises(DataError, match=r"column group is (large_)?string; needed is int64"):
        rows.groups  # noqa: B018


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table"])
def test_a_file_that_is_no_table_is_refused_in_a_line(tmp_path, data):
    (tmp_path / "rows.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read \(.+\)\. Build the set again\.$"):
        Provenance(tmp_path / "rows.parquet").ids  # noqa: B018


def test_the_labels_that_were_given_are_a_column_only_where_some_are_others_now(path):
    write_provenance(ORIGINS, path)
    assert Provenance(path).given_labels == [""] * 3
    plain = path.read_bytes()
    relabelled = [replace(ORIGINS[0], given_label="ant"), *ORIGINS[1:]]
    write_provenance(relabelled, path, relabelled=True)
    assert Provenance(path).given_labels == ["ant", "", ""]
    assert Provenance(path).origin(0) == relabelled[0]
    write_provenance(ORIGINS, path)
    assert path.read_bytes() == plain
