"""cvat: images with a tag each, in the format "CVAT for images 1.1", and the labels of the task."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from ..findings import DROP, KEEP, REVIEW
from ..proposals import READERS, Reader, Received
from ..scans import Scanned
from ..sets.carrying import copy_of, distinct_names, safe_name, with_progress
from ..sets.exporting import Loading
from ..stage.engine import cores, threaded
from ..stage.errors import DataError, gist
from ..stage.files import replacing, write_text
from ..stage.progress import Advance
from .answers import Answer, received
from .cases import Case, Handover
from .escaping import escaped, unescaped
from .tools import TOOLS, Tool, apply_line

ANNOTATIONS, LABELS, IMAGES = "annotations.xml", "labels.json", "images"
# Letters that CVAT has room for in the name of a label, and in the value of an attribute.
NAME, VALUE = 64, 4096
UNLABELLED = "(no label)"
DECISION, UNDECIDED = "decision", "undecided"
DECISIONS = (UNDECIDED, KEEP, DROP, REVIEW)
# What else a tag tells; a person reads it and leaves it as it is.
TOLD = ("id", "given", "suggested", "chance", "verdict", "checks", "because", "decided", "digest")


def write(handover: Handover, to: Path, advance: Advance) -> Loading:
    """images/, annotations.xml and labels.json, with which a task is made."""
    to.mkdir()
    (to / IMAGES).mkdir()
    names = label_names(handover.images.classes)
    cases = sorted(handover.cases, key=lambda case: case.row)  # as their files are
    write_text(json.dumps(_labels([*names.values(), UNLABELLED]), indent=2) + "\n", to / LABELS)
    copies = with_progress(threaded(lambda case: copy_of(handover.images, case.row), cases, cores()), advance)
    with replacing(to / ANNOTATIONS) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            text.write(_head([*names.values(), UNLABELLED], len(cases)))
            for number, (case, copy) in enumerate(zip(cases, copies, strict=True)):
                name = image_name(case.row, case.id, copy.suffix)
                (to / IMAGES / name).write_bytes(copy.data)
                text.write(_image(number, name, copy.size, case, names))
            text.write("</annotations>\n")
        finally:
            text.detach()
    return Loading(
        "",
        lambda path: "",
        steps=lambda path: {
            "open": (
                f"cvat-cli task create trustset --labels {shlex.quote(str(path / LABELS))} "
                f"--annotation_path {shlex.quote(str(path / ANNOTATIONS))} --annotation_format 'CVAT 1.1' "
                f"local {shlex.quote(str(path / IMAGES))}/*"
            ),
            "back": "cvat-cli task export-dataset --format 'CVAT for images 1.1' TASK-ID decided.zip",
            "then": apply_line(handover, "decided.zip"),
        },
    )


def label_names(classes: Sequence[str]) -> dict[str, str]:
    """class -> the label that it is in CVAT: another for each, of NAME letters at most, none of which steers.

    >>> label_names(["mono", "m" * 70])["m" * 70] == "m" * 50
    True
    """
    wishes = [name if len(name) <= NAME else name[:50].rstrip() for name in map(escaped, classes)]
    return dict(zip(classes, distinct_names(wishes, [UNLABELLED]), strict=True))


def image_name(row: int, name: str, suffix: str) -> str:
    """The file of an image: its row, by which CVAT orders them, and what of its id any system takes.

    >>> image_name(12, "cells/BA_1.jpg", ".jpg")
    '00000012_cells_BA_1.jpg.jpg'
    """
    return f"{row:08d}_{safe_name(name)}{suffix}"


def _labels(names: Iterable[str]) -> list[dict[str, object]]:
    """labels.json: what a task is made with."""
    return [{"name": name, "type": "tag", "attributes": [_decision(), *map(_text, TOLD)]} for name in names]


def _decision() -> dict[str, object]:
    return {
        "name": DECISION,
        "mutable": False,
        "input_type": "select",
        "default_value": UNDECIDED,
        "values": [*DECISIONS],
    }


def _text(name: str) -> dict[str, object]:
    return {"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}


def _head(names: Sequence[str], size: int) -> str:
    """What annotations.xml begins with: the task and its labels."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", "  <meta>"]
    lines += ["    <task>", "      <name>trustset</name>", f"      <size>{size}</size>"]
    lines += ["      <mode>annotation</mode>", "      <labels>"]
    for label in _labels(names):
        lines += ["        <label>", f"          <name>{escape(str(label['name']))}</name>"]
        lines += ["          <type>tag</type>", "          <attributes>"]
        for attribute in (_decision(), *map(_text, TOLD)):
            values = "\n".join(DECISIONS) if attribute["name"] == DECISION else ""
            lines += ["            <attribute>"]
            lines += [
                f"              <{key}>{escape(value)}</{key}>"
                for key, value in (
                    ("name", str(attribute["name"])),
                    ("mutable", "False"),
                    ("input_type", str(attribute["input_type"])),
                    ("default_value", str(attribute["default_value"])),
                    ("values", values),
                )
            ]
            lines += ["            </attribute>"]
        lines += ["          </attributes>", "        </label>"]
    lines += ["      </labels>", "    </task>", "  </meta>"]
    return "\n".join(lines) + "\n"


def _image(number: int, name: str, size: tuple[int, int], case: Case, names: Mapping[str, str]) -> str:
    """One image with its tag.

    names  class -> label
    """
    values = {
        DECISION: case.decision if case.decision in DECISIONS else UNDECIDED,
        "id": case.id,
        "given": case.label,
        "suggested": case.suggested,
        "chance": "" if case.chance != case.chance else f"{case.chance:.2f}",
        "verdict": case.verdict,
        "checks": ", ".join(case.checks),
        "because": case.because,
        "decided": case.decided,
        "digest": case.digest,
    }
    label = names[case.label_now] if case.label_now else UNLABELLED
    lines = [
        f'  <image id="{number}" name={quoteattr(name)} width="{size[0]}" height="{size[1]}">',
        f'    <tag label={quoteattr(label)} source="file">',
        *(
            f'      <attribute name="{key}">{escape(escaped(value)[:VALUE])}</attribute>'
            for key, value in values.items()
        ),
        "    </tag>",
        "  </image>",
    ]
    return "\n".join(lines) + "\n"


# Back


def _takes(path: Path, head: bytes) -> bool:
    if head.startswith(b"PK"):
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            return ANNOTATIONS in archive.namelist()
    return path.suffix.lower() == ".xml" and b"<annotations" in head


def _read(path: Path, scan: Scanned) -> Received:
    """Of "CVAT for images 1.1", as XML or zipped, the images whose tag or whose decision was changed."""
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix.lower() == ".xml":
                file: IO[bytes] = stack.enter_context(path.open("rb"))
            else:
                file = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(ANNOTATIONS))
            images = [_read_image(element) for _, element in ElementTree.iterparse(file) if element.tag == "image"]
    except (OSError, ElementTree.ParseError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path} is no CVAT for images 1.1: {gist(error)}.") from error
    classes = {label: name for name, label in label_names(scan.roster.classes).items()}
    places = _Places(scan)
    answers = [answer for image in images for answer in _answers(image, classes, places)]
    if not answers:
        raise DataError(
            f"no image of {path} is one of the scan. Needed is the export, as CVAT for images 1.1, of a task that was "
            "made of `curate export artifacts --to cvat`."
        )
    return received(answers)


@dataclass(frozen=True)
class _Image:
    """An image of the file: its name, and of each tag its label and its attributes."""

    name: str
    tags: tuple[tuple[str, Mapping[str, str]], ...]


def _read_image(element: ElementTree.Element) -> _Image:
    tags = tuple(
        (tag.get("label", ""), {entry.get("name", ""): unescaped(entry.text or "") for entry in tag.iter("attribute")})
        for tag in element.iter("tag")
    )
    image = _Image(element.get("name", ""), tags)
    element.clear()
    return image


class _Places:
    """Which image of a scan a file is of, by the name that it was given."""

    def __init__(self, scan: Scanned) -> None:
        self.roster = scan.roster
        self._by_name: dict[str, list[int]] = {}
        for row, name in enumerate(self.roster.ids):
            self._by_name.setdefault(safe_name(name), []).append(row)

    def row(self, file: str) -> int | None:
        """The row of an image, that of its number before all others of the name; None where there is none."""
        number, _, rest = file.rpartition("/")[2].partition("_")
        rows = self._by_name.get(rest.rpartition(".")[0], [])
        if number.isdecimal() and int(number) in rows:
            return int(number)
        return rows[0] if len(rows) == 1 else None


def _answers(image: _Image, classes: Mapping[str, str], places: _Places) -> list[Answer]:
    """What was said of one image, nothing where it is none of the scan."""
    told_values = next((values for _, values in image.tags if values.get("id")), {})
    row = places.row(image.name)
    if not told_values.get("id") and row is None:
        return []
    roster = places.roster
    name = told_values.get("id") or roster.ids[row or 0]
    given_label = told_values.get("given") or (roster.given[row] if row is not None else "")
    decided = told_values.get("decided", "")
    chosen = {values.get(DECISION, UNDECIDED) for _, values in image.tags} - {UNDECIDED, ""}
    labels = {classes.get(label, unescaped(label)) for label, _ in image.tags} - {UNLABELLED}
    if len(labels) > 1:  # a new tag was set beside the one that it came with
        labels.discard(decided.removeprefix("relabel ") if decided.startswith("relabel ") else given_label)
    if len(labels) > 1 or len(chosen) > 1:
        raise DataError(f"{image.name} has several tags: {', '.join(sorted(labels | chosen))}. Leave it one.")
    action, label = next(iter(chosen), ""), next(iter(labels), "")
    return [Answer(name, told_values.get("digest", ""), given_label, decided, action, label, by="CVAT")]


READERS.put("cvat", Reader(_takes, _read))


TOOLS.put("cvat", Tool(write))
