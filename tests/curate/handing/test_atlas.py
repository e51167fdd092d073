"""What Embedding Atlas is given, held against the columns that its command line documents."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from curate.deciding import record
from curate.handing import atlas
from curate.handing.delivering import export
from curate.handing.escaping import unescaped
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.sets.reading import read
from curate.stage.errors import DataError


def test_a_row_an_image_with_its_place_its_picture_and_its_neighbours(hostile):
    done = export(hostile, ExportConfig("embedding-atlas"))
    table = pd.read_parquet(done.path)
    scan = open_scan(hostile / "scan")
    images = read(hostile.parent / "cells.npz")
    assert table["id"].map(unescaped).tolist() == list(images.ids)
    assert table["x"].tolist() == scan.table["x"].tolist()
    assert table["y"].tolist() == scan.table["y"].tolist()
    for row, cell in enumerate(table["image"]):
        pixels = cv2.imdecode(np.frombuffer(cell["bytes"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.array_equal(pixels, images.images[row].pixels)
    for row, cell in enumerate(table["neighbors"]):
        assert sorted([*cell["ids"], row]) == list(range(12))
        assert list(cell["distances"]) == sorted(cell["distances"])
    assert table["check"].tolist()[4] == "exact_duplicate"
    assert table["check"].tolist()[11] == "nothing found"
    assert done.steps["open"].endswith("--x x --y y --image image --neighbors neighbors --text because")
    for word in ("x", "y", "image", "neighbors", "because"):
        assert word in table


def test_a_scan_without_a_map_hands_on_its_vectors(scan_made, tmp_path):
    np.savez(tmp_path / "d.npz", images=np.zeros((3, 4, 4, 3), np.uint8))
    artifacts = scan_made(tmp_path / "d.npz", tmp_path / "artifacts", [], mapped=False)
    done = export(artifacts, ExportConfig("embedding-atlas"))
    table = pd.read_parquet(done.path)
    vectors = np.load(artifacts / "scan" / "embeddings.npy")
    assert np.array_equal(np.stack(table["vector"].to_list()), vectors.astype(np.float32))
    assert "x" not in table
    assert "--vector vector" in done.steps["open"]
    assert any("--map none" in note for note in done.notes)


def test_large_pictures_are_small_ones_and_large_sets_have_no_neighbours(hostile, monkeypatch):
    monkeypatch.setattr(atlas, "SIDE", 6)
    monkeypatch.setattr(atlas, "EXACT_LIMIT", 11)
    monkeypatch.setattr(atlas, "index_available", lambda: False)
    done = export(hostile, ExportConfig("embedding-atlas"))
    table = pd.read_parquet(done.path)
    sizes = {cv2.imdecode(np.frombuffer(cell["bytes"], np.uint8), 1).shape for cell in table["image"]}
    assert sizes == {(5, 6, 3)}
    assert "neighbors" not in table
    assert "--neighbors" not in done.steps["open"]


def test_row_groups_are_small(hostile, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(atlas, "ROWS", 5)
    assert pq.ParquetFile(export(hostile, ExportConfig("embedding-atlas")).path).num_row_groups == 3


# Back


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_selection_is_decided_on_as_a_person_says(hostile, tmp_path, suffix):
    scan = open_scan(hostile / "scan")
    table = pd.read_parquet(export(hostile, ExportConfig("embedding-atlas")).path)
    path = tmp_path / f"selection{suffix}"
    # As its server does, of a table to which its loader has added a number.
    chosen = table.assign(__row_index__=range(12)).iloc[[4, 7, 8]]
    _ = chosen.to_parquet(path, index=False) if suffix == ".parquet" else chosen.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"selects 3 images, and does not say .* --decision drop"):
        proposals_from(path, scan)
    received = proposals_from(path, scan, "drop")
    assert [(p.action, p.id) for p in received.proposals] == [("drop", scan.roster.ids[row]) for row in (4, 7, 8)]
    assert len(record(scan, received.proposals).made) == 3
