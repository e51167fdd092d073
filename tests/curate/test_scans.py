from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from manifests import finish_scan, images_table

from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.findings import findings_table
from curate.scanning import scan
from curate.scans import FINDINGS, IMAGES, PAIRS, ScanManifest, open_scan
from curate.stage.columns import NUMBER, column_fault
from curate.stage.errors import DataError
from curate.stage.files import write_parquet
from curate.stage.manifest import file_digest, read_manifest
from curate.stage.records import record_text


@pytest.fixture
def folder(tmp_path):
    """A scan of two images that found nothing, made by hand."""
    table = images_table({"row": [0, 1], "id": ["a", "b"], "verdict": "keep"})
    write_parquet(table, tmp_path / "images.parquet")
    write_parquet(findings_table([]), tmp_path / "findings.parquet")
    finish_scan(tmp_path, ScanConfig())
    return tmp_path


def test_a_scan_writes_the_columns_that_are_named_and_a_score_of_each_check(tmp_path):
    images, labels = clean_cells(DemoConfig(images=60, classes=2))
    images = np.concatenate([images, images[:2]])
    np.savez(tmp_path / "cells.npz", images=images, labels=np.concatenate([labels, labels[:2]]))
    scan(tmp_path / "cells.npz", ScanConfig(artifacts=str(tmp_path), backbone="builtin", map="none"))
    for name, columns in (("images", IMAGES), ("findings", FINDINGS), ("pairs", PAIRS)):
        schema = pq.read_schema(tmp_path / "scan" / f"{name}.parquet")
        assert column_fault(schema, columns) == ""
        scores = [column for column in schema.names if column not in columns]
        assert bool(scores) == (name == "images")
        assert all(column.endswith("_score") for column in scores)
        assert column_fault(schema, dict.fromkeys(scores, NUMBER)) == ""


def test_a_scan_is_opened_with_its_tables(folder):
    scanned = open_scan(folder)
    assert scanned.table["id"].tolist() == ["a", "b"]
    assert len(scanned.findings) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="verdict"), "there is no column verdict"),
        (lambda table: table.assign(group=["a", "b"]), "column group is (large_)?string; needed is int64"),
        (lambda table: table.assign(x=[0.5, 0.5]), "column x is double; needed is float"),
    ],
)
def test_a_table_with_other_columns_is_refused_in_a_line(folder, change, words):
    path = folder / "images.parquet"
    write_parquet(change(pd.read_parquet(path)), path)
    with pytest.raises(DataError, match=rf"images.parquet cannot be read \({words}\). Run `curate scan` again"):
        open_scan(folder)


# As version 1 wrote it, of drawn cells

GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "scan"


def test_a_scan_of_version_1_is_opened():
    scanned = open_scan(GOLDEN)
    assert scanned.manifest.config == ScanConfig(artifacts="demo/artifacts", map="none")
    assert scanned.manifest.embedder == "the built-in descriptor (no weights), 96 px"
    assert len(scanned.table) == scanned.manifest.counts["images"] == 48
    assert scanned.table["verdict"].value_counts().to_dict() == {"keep": 30, "review": 11, "drop": 7}
    counts = scanned.findings["check"].value_counts()
    assert counts.to_dict() == {name: scanned.manifest.counts[name] for name in counts.index}
    for name, columns in (("images", IMAGES), ("findings", FINDINGS), ("pairs", PAIRS)):
        assert column_fault(pq.read_schema(GOLDEN / f"{name}.parquet"), columns) == ""
        assert scanned.manifest.outputs[name].digest == file_digest(GOLDEN / f"{name}.parquet")


def test_a_manifest_of_version_1_is_written_as_it_was():
    manifest = read_manifest(ScanManifest, GOLDEN)
    assert record_text(manifest) == (GOLDEN / "manifest.json").read_text(encoding="utf-8")
