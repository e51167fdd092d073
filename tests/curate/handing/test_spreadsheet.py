from __future__ import annotations

import csv

import pandas as pd

from curate.handing.delivering import export
from curate.handing.escaping import unescaped
from curate.handing.spreadsheet import COLUMNS
from curate.scans import open_scan
from curate.sets.formats import ExportConfig


def test_a_line_an_image_with_all_that_was_found_and_two_cells_to_fill_in(hostile):
    done = export(hostile, ExportConfig("csv"))
    names: dict[str, object] = {}
    exec(f"import {done.imports}\ntable = {done.load}", names)
    table = names["table"]
    assert isinstance(table, pd.DataFrame)
    assert tuple(table.columns) == COLUMNS
    scan = open_scan(hostile / "scan")
    assert table["id"].map(unescaped).tolist() == scan.table["id"].tolist()[:10]
    assert table["label"].map(unescaped).tolist() == scan.table["label_name"].tolist()[:10]
    assert table["because"].map(unescaped)[3] == f"blurred: {scan.findings['because'].iat[3]}"
    assert table["checks"][4] == "exact_duplicate, blurred"
    assert (table["chance"][1], table["score"][1]) == ("0.8", "0.9")
    assert unescaped(table["suggested"][1]) == scan.table["label_name"].iat[2]
    assert table["digest"].tolist() == scan.table["digest"].tolist()[:10]
    assert set(table["action"]) == set(table["new_label"]) == set(table["path"]) == {""}


def test_no_cell_is_a_formula_and_a_spreadsheet_knows_the_letters(hostile):
    path = export(hostile, ExportConfig("csv", all_images=True)).path
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 13
    for row in rows:
        assert len(row) == len(COLUMNS)
        assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_files_are_named_by_their_path(folder):
    done = export(folder, ExportConfig("csv"))
    table = pd.read_csv(done.path, dtype=str, keep_default_na=False).set_index("id")
    assert table["path"]["dog/broken.png"] == str(folder.parent / "cells" / "dog" / "broken.png")
    assert table["group"].tolist() == [""] * 3
