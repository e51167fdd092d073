from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from reviewed import CLASSES, scanned_for_real

from curate.reporting.overviews import read_overview
from curate.reviewing.contents import classes_of, contents_of, looks_of_scan
from curate.scans import open_scan, read_embeddings
from curate.stage.errors import DataError


@pytest.fixture
def scan(tmp_path):
    return open_scan(scanned_for_real(tmp_path) / "scan")


@pytest.fixture
def contents(scan):
    return contents_of(scan, read_embeddings(scan), looks_of_scan(scan))


def test_the_page_asks_for_its_own_files_alone(contents):
    page = contents.files[""][1].decode()
    assert set(contents.files) == {"", "page.js", "page.css"}
    assert 'href="page.css"' in page
    assert 'src="page.js"' in page
    assert "<style" not in page
    assert "style=" not in page
    assert "<script>" not in page


def test_columns_are_those_that_info_tells_of_and_have_a_value_for_each_row(scan, contents):
    info = json.loads(json.dumps(contents.info))
    assert info["rows"] == len(scan.table)
    assert info["classes"] == list(contents.classes) == list(CLASSES)
    assert {name: [values.dtype.name, len(values)] for name, values in contents.columns.items()} == info["columns"]
    assert contents.columns["label"].tolist() == scan.table["label"].tolist()
    typical = contents.columns["typical"].reshape(len(CLASSES), 3)
    assert (contents.columns["label"][typical] == np.arange(len(CLASSES))[:, None]).all()


def test_words_on_a_row_are_its_id_and_the_reasons_of_its_findings(scan, contents):
    flagged = scan.findings["row"].unique().tolist()
    fine = next(row for row in range(len(scan.table)) if row not in flagged)
    rows = [*flagged[::-1], fine, flagged[0]]
    told = contents.details(rows)
    assert [entry["row"] for entry in told] == rows
    for entry in told:
        own = scan.findings[scan.findings["row"] == entry["row"]]
        assert entry["id"] == scan.table["id"][entry["row"]]
        assert entry["because"] == own["because"].to_dict()
    assert contents.details([]) == []


def test_classes_are_told_in_the_order_of_their_numbers(scan):
    overview = read_overview(scan.folder)
    assert classes_of(scan, overview) == list(CLASSES)
    scan.table.loc[0, "label"] = -1
    assert classes_of(scan, overview) == list(CLASSES)[:-1]


def test_a_scan_of_before_there_was_an_overview_is_refused(scan):
    (scan.folder / "overview.json").unlink()
    with pytest.raises(DataError, match=r"overview\.json is missing: .* Run `curate scan` again: decisions are kept"):
        contents_of(scan, read_embeddings(scan), looks_of_scan(scan))


@pytest.mark.parametrize("change", ["fewer findings", "no such row", "fewer images"])
def test_tables_that_are_not_of_one_scan_are_refused(scan, change):
    parts = {"table": scan.table, "findings": scan.findings}
    if change == "fewer findings":
        parts["findings"] = scan.findings.iloc[1:]
    elif change == "no such row":
        parts["findings"] = scan.findings.assign(row=10**6)
    else:
        parts["table"] = scan.table.iloc[:-1]
    with pytest.raises(DataError, match=r"are not those that its overview\.json tells of"):
        contents_of(replace(scan, **parts), read_embeddings(scan), looks_of_scan(scan))


def test_embeddings_that_are_missing_damaged_or_of_another_set_are_refused(scan):
    path = scan.folder / "embeddings.npy"
    np.save(path, np.zeros((3, 8), np.float16))
    with pytest.raises(DataError, match=r"has the shape \(3, 8\) for \d+ images"):
        read_embeddings(scan)
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read"):
        read_embeddings(scan)
    path.unlink()
    with pytest.raises(DataError, match=r"embeddings\.npy is missing. Run `curate scan` again"):
        read_embeddings(scan)
