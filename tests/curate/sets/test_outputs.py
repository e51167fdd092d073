from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.scanning import scan
from curate.sets.exporting import export
from curate.sets.formats import ExportConfig
from curate.sets.outputs import is_beside_outputs, is_output_folder, is_signed, sign_png
from curate.sets.reading import read
from curate.sets.shards import write_shard

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
OWN = ScanConfig(backbone="builtin", map="none")


def png(side: int = 5) -> bytes:
    file = BytesIO()
    Image.fromarray(np.arange(3 * side * side, dtype=np.uint8).reshape(side, side, 3)).save(file, "PNG")
    return file.getvalue()


def test_a_signed_picture_has_the_same_pixels_and_is_known(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(sign_png(png()))
    assert [is_signed(str(tmp_path / name)) for name in ("a.png", "b.png", "gone.png")] == [False, True, False]
    before, after = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("stage", ["scan", "build"])
def test_a_folder_with_our_manifest_is_our_own_and_one_with_another_is_not(stage, tmp_path):
    shutil.copytree(GOLDEN / stage, tmp_path / "any name")
    assert is_output_folder(str(tmp_path / "any name"), {"manifest.json"})
    for text in ("{}", '{"format": 1}', "[]", "no json", '"' + "x" * 9):
        (tmp_path / "any name" / "manifest.json").write_text(text)
        assert not is_output_folder(str(tmp_path / "any name"), {"manifest.json"})


def test_loose_files_are_our_own_beside_the_folders_of_stages_alone():
    assert is_beside_outputs("clean.csv", {"scan", "clean.csv"})
    assert not is_beside_outputs("clean.csv", {"cat", "clean.csv"})
    assert not is_beside_outputs("labels.csv", {"scan", "labels.csv"})


def written(folder: Path) -> None:
    """Everything that stages write, with pictures in it, in places of any name."""
    images, labels = clean_cells(DemoConfig(images=4, classes=2))
    ids = tuple(map(str, range(4)))
    np.savez(folder / "x.npz", images=images, labels=labels)
    export(folder / "x.npz", ExportConfig("folder", out=str(folder / "cat" / "deep" / "exported")))
    (folder / "x.npz").unlink()
    run = folder / "results" / "runs" / "first"
    shutil.copytree(GOLDEN / "scan", run)
    (run / "gradcam.png").write_bytes(png())
    write_shard(folder / "built by us" / "train", 0, images, labels, ids, ("a", "b"))
    (folder / "built by us" / "train" / "rows.parquet").touch()
    (folder / "built by us" / "train" / "look.png").write_bytes(png())
    partial = folder / "out" / "run.partial"
    partial.mkdir(parents=True)
    (partial / ".lock").touch()
    (partial / "gradcam.png").write_bytes(png())
    (folder / "sheet.png").write_bytes(sign_png(png()))


def test_what_stages_wrote_is_not_read_wherever_it_lies(tmp_path, files):
    before = read(files(tmp_path, "cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"))
    written(tmp_path)
    after = read(tmp_path)
    assert (after.ids, after.classes) == (before.ids, before.classes)
    (note,) = (note for note in after.source.notes if "Trustset" in note)
    assert note == "what Trustset wrote itself skipped (built by us, cat/deep, out ...)"


def test_a_contact_sheet_in_a_folder_of_a_class_is_no_image_of_it(tmp_path, files):
    files(tmp_path, "cat/1.png", "cat/2.png", "dog/3.png")
    (tmp_path / "cat" / "sheet.png").write_bytes(sign_png(png()))
    images = read(tmp_path)
    assert images.ids == ("cat/1.png", "cat/2.png", "dog/3.png")
    assert "what Trustset wrote itself skipped (cat)" in images.source.notes


def test_an_export_is_read_where_it_is_what_is_asked_for(tmp_path):
    written(tmp_path)
    assert len(read(tmp_path / "cat" / "deep" / "exported")) == 4


def test_a_folder_scanned_from_inside_twice_gives_the_same(tmp_path, monkeypatch):
    images, labels = clean_cells(DemoConfig(images=24, classes=2))
    (tmp_path / "cells").mkdir()
    monkeypatch.chdir(tmp_path / "cells")
    for row, (picture, label) in enumerate(zip(images, labels, strict=True)):
        Path(f"kind{label}").mkdir(exist_ok=True)
        Image.fromarray(picture).save(f"kind{label}/{row:02}.png")
    first, second = (scan(".", OWN) for _ in range(2))
    assert first.table.equals(second.table)
    assert first.images.source.name == "cells"
    assert "<title>cells" in Path("artifacts/scan/report.html").read_text(encoding="utf-8")
    assert json.loads(Path("artifacts/scan/manifest.json").read_text())["source"] == str(tmp_path / "cells")
    assert [topic.text for topic in second.images.source.topics if topic.name == "left out"] == [
        "what Trustset wrote itself skipped (artifacts)"
    ]
    within = scan(".", ScanConfig(backbone="builtin", map="none", artifacts="."))
    again = scan(".", ScanConfig(backbone="builtin", map="none", artifacts="."))
    assert within.table.equals(again.table)
