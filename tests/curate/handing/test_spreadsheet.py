from __future__ import annotations

import csv

import pandas as pd
import pytest

from curate.deciding import record
from curate.handing.delivering import export
from curate.handing.escaping import escaped_cell, unescaped
from curate.handing.spreadsheet import COLUMNS
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.stage.errors import DataError, ToolkitError


def in_order(table, scan):
    """The lines in the order of the set."""
    return table.sort_values(
        "id", key=lambda names: names.map(lambda name: scan.roster.row_of[unescaped(name)])
    ).reset_index(drop=True)


def test_a_line_an_image_with_all_that_was_found_and_two_cells_to_fill_in(hostile):
    done = export(hostile, ExportConfig("csv"))
    names: dict[str, object] = {}
    exec(f"import {done.imports}\ntable = {done.load}", names)
    table = names["table"]
    assert isinstance(table, pd.DataFrame)
    assert tuple(table.columns) == COLUMNS
    scan = open_scan(hostile / "scan")
    table = in_order(table, scan)
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


# Back


def filled_in(path, **cells):
    """The CSV, with cells of some rows filled in, as a spreadsheet of another language saves it."""
    table = in_order(pd.read_csv(path, dtype=str, keep_default_na=False), open_scan(path.parents[1] / "scan"))
    for name, values in cells.items():
        for row, value in values.items():
            table.loc[row, name] = value
    table.to_csv(path, index=False, sep=";", encoding="utf-16")


def test_what_is_filled_in_comes_back_as_decisions(hostile):
    scan = open_scan(hostile / "scan")
    path = export(hostile, ExportConfig("csv")).path
    filled_in(
        path,
        action={0: "drop", 1: "Relabel", 2: "keep ", 3: "review"},
        new_label={4: escaped_cell(scan.roster.classes[0]), 5: escaped_cell(scan.roster.given[5])},
    )
    received = proposals_from(path, scan)
    ids, given = scan.roster.ids, scan.roster.given
    assert [(p.action, p.id, p.label, p.digest, p.given) for p in received.proposals] == [
        ("drop", ids[0], "", scan.roster.digests[0], given[0]),
        ("relabel", ids[1], scan.roster.classes[2], scan.roster.digests[1], given[1]),
        ("keep", ids[2], "", scan.roster.digests[2], given[2]),
        ("review", ids[3], "", scan.roster.digests[3], given[3]),
        ("relabel", ids[4], scan.roster.classes[0], scan.roster.digests[4], given[4]),
        ("keep", ids[5], "", scan.roster.digests[5], given[5]),
    ]
    assert received.notes[-1] == "nothing was decided on 4 images of the file"
    assert len(record(scan, received.proposals).made) == 6


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"action": {2: "dorp"}}, r"row 4: no action named 'dorp'. Did you mean 'drop'"),
        ({"action": {2: "relabel"}}, r"row 4: .* is to be relabelled, and no class is suggested. Fill in new_label"),
        ({"action": {2: "drop"}, "new_label": {2: "x"}}, r"has the action drop and a new label. Fill in one of them"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_row(hostile, cells, message):
    path = export(hostile, ExportConfig("csv")).path
    filled_in(path, **cells)
    with pytest.raises(ToolkitError, match=message):
        proposals_from(path, open_scan(hostile / "scan"))


def test_a_column_that_is_gone_is_named(hostile):
    path = export(hostile, ExportConfig("csv")).path
    pd.read_csv(path, dtype=str).drop(columns="label").to_csv(path, index=False)
    with pytest.raises(DataError, match="has no column label"):
        proposals_from(path, open_scan(hostile / "scan"))
