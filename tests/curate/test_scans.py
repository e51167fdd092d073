import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from manifests import finish_scan, images_table
from PIL import Image

import curate.scanning
from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.findings import findings_table
from curate.scanning import scan
from curate.scans import FILES, FINDINGS, IMAGES, LATER_COLUMNS, PAIRS, ScanManifest, open_scan
from curate.stage.columns import NUMBER, TEXT, column_fault
from curate.stage.drafts import scratch_of
from curate.stage.errors import DataError
from curate.stage.files import write_parquet
from curate.stage.locks import holding
from curate.stage.manifest import file_digest, read_manifest
from curate.stage.progress import Silent
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
        assert bool(scores) == (name != "pairs")
        assert all(column.endswith("_score") or (name == "findings" and column in LATER_COLUMNS) for column in scores)
        kinds = {column: TEXT if column == "suggested" else NUMBER for column in scores}
        assert column_fault(schema, kinds) == ""
    assert read_manifest(ScanManifest, tmp_path / "scan").likely_right["exact_duplicate"] == 2


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


def test_a_table_that_reads_well_but_was_changed_is_refused(tmp_path):
    folder = scanned_cells(tmp_path)
    path = folder / "images.parquet"
    write_parquet(pd.read_parquet(path).assign(verdict="review"), path)
    with pytest.raises(DataError, match=r"images\.parquet is not what `curate scan` wrote: its digest is not the one"):
        open_scan(folder)


# Putting it in place


def scanned_cells(folder):
    """The folder of the scan of a dozen cells."""
    images, labels = clean_cells(DemoConfig(images=12, classes=2))
    np.savez(folder / "cells.npz", images=images, labels=labels)
    scan(folder / "cells.npz", ScanConfig(artifacts=str(folder), backbone="builtin", map="none"))
    return folder / "scan"


def test_files_of_a_persons_own_in_the_folder_of_a_scan_stay(tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "notes.txt").write_text("mine")
    folder = scanned_cells(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "notes.txt"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.npz", "clean.json", "clean.npz", "scan"]


def test_there_is_no_manifest_while_anything_is_put_in_place(tmp_path, monkeypatch):
    folder = scanned_cells(tmp_path)
    replace, seen = Path.replace, []

    def watched(self, target):
        if Path(target).parent in (folder, tmp_path) and self.parent.name == "scan.partial":
            seen.append((Path(target).name, (folder / "manifest.json").exists()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    scanned_cells(tmp_path)
    assert seen == [(name, False) for name in ("clean.npz", "clean.json", *FILES)]
    assert open_scan(folder)


def test_a_second_scan_at_once_is_refused_before_any_work(tmp_path, monkeypatch):
    scanned_cells(tmp_path)
    with (
        scratch_of(tmp_path / "scan", "scan"),
        pytest.raises(DataError, match=r"another scan is writing to .*scan\.partial\. Wait for it"),
    ):
        scanned_cells(tmp_path)


def test_a_scan_waits_until_the_clean_set_is_written_and_read(tmp_path):
    lines = []

    class Noted(Silent):
        def say(self, line):
            lines.append(line)

    scanned_cells(tmp_path)
    done = threading.Event()

    def rescan():
        config = ScanConfig(artifacts=str(tmp_path), backbone="builtin", map="none")
        scan(tmp_path / "cells.npz", config, Noted())
        done.set()

    with holding(tmp_path, shared=True):
        thread = threading.Thread(target=rescan)
        thread.start()
        while not any("waiting for another command" in line for line in lines):
            time.sleep(0.01)
        assert not done.is_set()
        assert open_scan(tmp_path / "scan")
    thread.join()
    assert done.is_set()


def test_a_set_that_is_saved_anew_during_its_scan_is_refused_and_the_scan_before_stays(tmp_path, monkeypatch):
    folder = scanned_cells(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    effect = curate.scanning.cleaning_effect

    def saving(*given):
        np.savez(tmp_path / "cells.npz", images=np.zeros((12, 8, 8), np.uint8))
        return effect(*given)

    monkeypatch.setattr(curate.scanning, "cleaning_effect", saving)
    with pytest.raises(DataError, match=r"cells\.npz has changed since it was read\. Begin again"):
        scanned_cells(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.npz", "clean.json", "clean.npz", "scan"]


def test_files_that_go_during_a_scan_are_told(tmp_path, monkeypatch):
    images, _ = clean_cells(DemoConfig(images=12, classes=2))
    (tmp_path / "set").mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / "set" / f"{number:02}.png")
    config = ScanConfig(artifacts=str(tmp_path / "artifacts"), backbone="builtin", map="none")
    effect = curate.scanning.cleaning_effect

    def going(*given):
        (tmp_path / "set" / "03.png").unlink()
        return effect(*given)

    monkeypatch.setattr(curate.scanning, "cleaning_effect", going)
    with pytest.raises(DataError, match=r"1 file has changed in .* since they were read, such as 03\.png"):
        scan(tmp_path / "set", config)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


# As version 1 wrote it, of drawn cells

GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "scan"


def test_a_scan_of_version_1_is_opened():
    scanned = open_scan(GOLDEN)
    assert scanned.manifest.config == ScanConfig(artifacts="demo/artifacts", map="none")
    assert scanned.manifest.embedder == "the built-in descriptor (no weights), 96 px"
    assert len(scanned.table) == scanned.manifest.counts["images"] == 48
    assert scanned.table["verdict"].value_counts().to_dict() == {"keep": 30, "review": 11, "drop": 7}
    assert scanned.findings["chance"].isna().all()  # which it has no word on
    counts = scanned.findings["check"].value_counts()
    assert counts.to_dict() == {name: scanned.manifest.counts[name] for name in counts.index}
    for name, columns in (("images", IMAGES), ("findings", FINDINGS), ("pairs", PAIRS)):
        assert column_fault(pq.read_schema(GOLDEN / f"{name}.parquet"), columns) == ""
        assert scanned.manifest.outputs[name].digest == file_digest(GOLDEN / f"{name}.parquet")


def test_a_manifest_of_version_1_is_written_as_it_was():
    manifest = read_manifest(ScanManifest, GOLDEN)
    assert record_text(manifest) == (GOLDEN / "manifest.json").read_text(encoding="utf-8")


def test_a_scan_is_told_in_two_short_lines_and_says_where_it_is(tmp_path, set_of):
    images, labels = clean_cells(DemoConfig(images=60, classes=2))
    cells = set_of(np.concatenate([images, images[:2]]), np.concatenate([labels, labels[:2]]), classes=("a\n", "b"))
    config = ScanConfig(artifacts=None, backbone="builtin", map="none")
    found = scan(cells, config)
    first, second = repr(found).split("\n")
    assert first == "<Scan of cells.npz: 62 images, 2 classes"
    assert second.startswith("60 kept, 2 dropped, 0 to review; 2 findings of 1 check; not written>")
    assert found.folder is None
    written = replace(found, config=replace(config, artifacts="out\x1b" * 100))
    assert "; in out\\x1bout" in repr(written)
    assert len(repr(written)) < 500
    assert repr(written).replace("\n", "").isprintable()
