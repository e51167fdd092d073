"""What holds of every tool that findings are handed to."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from disks import files_of_at_most

from curate.handing.delivering import export
from curate.handing.tools import TOOLS
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.exporting import MARK
from curate.sets.formats import FORMATS, ExportConfig
from curate.sets.formats import TOOLS as NAMES
from curate.stage.errors import OutputError, ToolkitError
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


# Back

ODD = (None, 3, 1.5, True, "x", [], {}, [1], {"a": 1}, "\ud800", "drop", [None])


def mutated(rng: random.Random, value: object) -> object:
    """A document of which some values are others, and some keys gone."""
    if rng.random() < 0.03:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: mutated(rng, inner) for key, inner in value.items() if rng.random() > 0.015}
    return [mutated(rng, inner) for inner in value] if isinstance(value, list) else value


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Bytes of which some are others, and the end may be gone."""
    broken = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    return bytes(broken[: rng.randrange(len(broken))] if rng.random() < 0.3 else broken)


def as_annotated(task: dict[str, object]) -> dict[str, object]:
    """A task as Label Studio exports it once its prediction was submitted."""
    annotation = {
        "id": 1,
        "was_cancelled": False,
        "updated_at": "2026-01-01",
        "result": task["predictions"][0]["result"],
    }
    return {"id": 1, "annotations": [annotation], **task}


@EACH
def test_what_was_broken_on_the_way_back_is_read_or_told(hostile, tmp_path, to):
    done = export(hostile, ExportConfig(to)).path
    scan = open_scan(hostile / "scan")
    (tmp_path / "back").mkdir()
    # What the tool gives back: for most as it was given, or near it.
    name = {"fiftyone": "samples.json", "label-studio": "tasks-1.json", "cvat": "annotations.xml"}.get(to, "")
    original = done / name if name else done
    outcomes = set()
    for seed in range(60):
        rng = random.Random(seed)
        path = tmp_path / "back" / original.name
        if name.endswith(".json") and seed % 4:
            document = json.loads(original.read_text(encoding="utf-8"))
            if to == "label-studio":
                document = [as_annotated(task) for task in document]
            path.write_text(json.dumps(mutated(rng, document)))
        else:
            path.write_bytes(spoiled(rng, original.read_bytes()))
        try:
            proposals_from(path, scan, "drop")
            outcomes.add("read")
        except ToolkitError:
            outcomes.add("told")
    assert outcomes == {"told", "read"}


@pytest.mark.parametrize("to", ["label-studio", "cvat", "embedding-atlas"])
def test_the_line_that_opens_it_names_files_that_are_there_whatever_they_are_called(hostile, tmp_path, to):
    done = export(hostile, ExportConfig(to, str(tmp_path / "my $(touch x) 'out'; \"")))
    words = shlex.split(done.steps["open"])
    paths = [word.removesuffix("/*") for word in words if word.startswith(str(tmp_path))]
    assert len(paths) == (3 if to == "cvat" else 1)
    assert all(Path(path).exists() for path in paths)
