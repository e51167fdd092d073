from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

import curate
from curate.handing.delivering import export, scan_folder
from curate.handing.escaping import unescaped
from curate.sets.formats import ExportConfig
from curate.sets.reading import read
from curate.stage.errors import DataError, OutputError


def test_a_set_is_exported_as_ever(hostile, tmp_path):
    done = curate.export(tmp_path / "cells.npz", ExportConfig("npz", str(tmp_path / "out")))
    assert read(done.path).ids == read(tmp_path / "cells.npz").ids
    assert done.steps == {}


def test_a_scan_is_given_by_its_artifacts_or_by_its_folder(hostile):
    assert scan_folder(hostile) == scan_folder(hostile / "scan") == hostile / "scan"
    assert scan_folder(hostile.parent) is None
    assert scan_folder(hostile.parent / "cells.npz") is None
    first = export(hostile, ExportConfig("csv"))
    assert export(hostile / "scan", ExportConfig("csv", force=True)).path == first.path


def test_a_scan_is_no_set_and_its_clean_set_is_named(hostile):
    with pytest.raises(DataError, match=r"holds a scan, and --to folder takes a set\. Give the set that was scanned"):
        export(hostile, ExportConfig("folder"))
    (hostile / "clean.npz").touch()
    with pytest.raises(DataError, match=r"Give its clean set, .*clean\.npz\."):
        export(hostile, ExportConfig("folder"))


def test_a_set_is_no_scan_and_what_to_type_is_told(hostile, tmp_path):
    source = tmp_path / "cells.npz"
    for given in (source, read(source)):
        with pytest.raises(DataError, match=r"cells\.npz holds no scan.* `curate export artifacts --to cvat`"):
            export(given, ExportConfig("cvat"))


def test_a_scan_that_is_not_finished_is_told(hostile):
    path = hostile / "scan" / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "format": 99}), encoding="utf-8")
    with pytest.raises(DataError, match=r"Run `curate scan` again"):
        export(hostile, ExportConfig("csv"))


def test_a_set_that_has_moved_or_changed_is_told_and_nothing_is_written(hostile, tmp_path):
    source = tmp_path / "cells.npz"
    arrays = dict(np.load(source))
    np.savez(source, **{**arrays, "images": arrays["images"][:, ::-1]})
    with pytest.raises(DataError, match=r"has other pixels than when it was scanned"):
        export(hostile, ExportConfig("csv"))
    source.unlink()
    with pytest.raises(DataError, match="is not where it was scanned"):
        export(hostile, ExportConfig("fiftyone"))
    assert not (hostile / "export").exists()


def test_where_nothing_was_found_all_can_be_handed_on(scan_made, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    np.savez(tmp_path / "d.npz", images=np.zeros((3, 4, 4, 3), np.uint8))
    artifacts = scan_made(tmp_path / "d.npz", tmp_path / "artifacts", [])
    with pytest.raises(DataError, match=r"nothing was found in any image .*--all-images"):
        export(artifacts, ExportConfig("csv"))
    assert export(artifacts, ExportConfig("csv", all_images=True)).images == 3


def test_a_file_gets_its_suffix_and_the_scan_is_not_written_over(hostile, tmp_path):
    assert export(hostile, ExportConfig("csv", str(tmp_path / "mine"))).path == tmp_path / "mine.csv"
    assert export(hostile, ExportConfig("embedding-atlas", str(tmp_path / "m.csv"))).path == tmp_path / "m.csv.parquet"
    with pytest.raises(OutputError, match="is not what an export to cvat wrote"):
        export(hostile, ExportConfig("cvat", str(hostile / "scan"), force=True))
    with pytest.raises(OutputError, match="is where the images are read from"):
        export(hostile, ExportConfig("cvat", str(tmp_path), force=True))


def test_a_persons_work_begins_with_the_likeliest_and_maps_keep_the_order_of_the_set(hostile):
    rows = read(hostile.parent / "cells.npz").ids
    table = pd.read_csv(export(hostile, ExportConfig("csv", all_images=True)).path, dtype=str, keep_default_na=False)
    order = [rows.index(unescaped(name)) for name in table["id"]]
    assert order == [1, 0, 2, 3, 5, 6, 7, 8, 9, 4, 10, 11]  # two findings; those that await review; what is dropped
    table = pd.read_parquet(export(hostile, ExportConfig("embedding-atlas")).path)
    assert [rows.index(unescaped(name)) for name in table["id"]] == list(range(12))
