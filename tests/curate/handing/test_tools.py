"""What holds of every tool that findings are handed to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from disks import files_of_at_most

from curate.handing.delivering import export
from curate.handing.tools import TOOLS
from curate.sets.exporting import MARK
from curate.sets.formats import FORMATS, ExportConfig
from curate.sets.formats import TOOLS as NAMES
from curate.stage.errors import OutputError
from curate.stage.options import field_options

ROOT = Path(__file__).parents[3]
EACH = pytest.mark.parametrize("to", NAMES)
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200e\u200f]")


def bytes_of(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_every_tool_is_there_and_none_has_the_name_of_a_format():
    assert set(TOOLS) == set(NAMES)
    assert not set(NAMES) & set(FORMATS)


@EACH
def test_every_tool_is_told_of(to):
    page = (ROOT / "docs" / "how-to" / "handing-over.md").read_text(encoding="utf-8")
    assert f"--to {to}" in page
    assert to in field_options(ExportConfig)[0].option.help
    assert TOOLS[to].write.__doc__


@EACH
def test_two_exports_have_the_same_bytes_and_the_scan_and_the_set_stay(hostile, tmp_path, to):
    before = bytes_of(tmp_path)
    for name in ("a", "b"):
        export(hostile, ExportConfig(to, str(tmp_path / name / "out")))
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert bytes_of(tmp_path).items() >= before.items()
    assert bytes_of(tmp_path / "a")


@EACH
def test_what_came_of_it_is_told(hostile, to):
    done = export(hostile, ExportConfig(to))
    assert done.path.parent == hostile / "export"
    assert done.path.name.startswith("findings")
    assert done.images == (12 if TOOLS[to].whole else 10)
    assert ("2 images without a finding are not in it (--all-images)" in done.notes) == (not TOOLS[to].whole)
    assert "1 finding on the set as a whole is in the report alone" in done.notes
    assert any(step.startswith("curate apply --from ") for step in done.steps.values())
    files = [file for file in done.path.rglob("*") if file.is_file()] if done.path.is_dir() else [done.path]
    assert (done.files, done.bytes) == (len(files), sum(file.stat().st_size for file in files))
    assert (done.path / MARK).is_file() == (not TOOLS[to].suffix)
    assert export(hostile, ExportConfig(to, force=True, all_images=True)).images == 12


@EACH
def test_hostile_names_are_inert_in_every_file_and_name(hostile, to):
    done = export(hostile, ExportConfig(to, all_images=True))
    for file in [done.path, *done.path.rglob("*")]:
        assert not STEERING.search(str(file))
        assert len(file.name.encode()) <= 255
        assert hostile / "export" in file.resolve().parents
        if file.suffix in (".csv", ".json", ".xml"):
            text = file.read_text(encoding="utf-8-sig")
            assert not STEERING.search(text), file
            assert "<script>" not in text or file.suffix in (".csv", ".json")
    if done.path.is_dir():
        assert json.loads((done.path / MARK).read_text(encoding="utf-8"))["images"] == 12


@EACH
def test_what_cannot_be_decoded_has_no_picture_to_show(folder, to):
    done = export(folder, ExportConfig(to, all_images=True))
    assert done.images == (4 if TOOLS[to].pictures else 5)
    assert ("left out, as they cannot be decoded: 1 image" in done.notes) == TOOLS[to].pictures


@EACH
def test_what_is_there_already_is_replaced_only_by_force(hostile, tmp_path, to):
    first = export(hostile, ExportConfig(to))
    before = bytes_of(tmp_path)
    with pytest.raises(OutputError, match=r"findings.* is there already. Add --force"):
        export(hostile, ExportConfig(to))
    assert bytes_of(tmp_path) == before
    assert export(hostile, ExportConfig(to, force=True)).path == first.path
    assert bytes_of(tmp_path) == before


@EACH
def test_a_disk_that_fills_leaves_nothing_behind(hostile, tmp_path, to):
    with files_of_at_most(300), pytest.raises(OutputError, match=r"cannot write .*out"):
        export(hostile, ExportConfig(to, str(tmp_path / "new" / "out")))
    assert not list((tmp_path / "new").iterdir())


@EACH
def test_a_stopped_export_leaves_what_was_there(hostile, tmp_path, to):
    def stopped(done: int) -> None:
        raise KeyboardInterrupt

    class Impatient:
        @contextmanager
        def stage(self, name: str, total: int | None, unit: str) -> Iterator[object]:
            yield stopped

        def say(self, line: str) -> None:
            pass

    export(hostile, ExportConfig(to))
    before = bytes_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        export(hostile, ExportConfig(to, force=True, all_images=True), Impatient())
    assert bytes_of(tmp_path) == before
