"""label-studio: tasks with their pictures in them, predictions to confirm or to correct, and their interface."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from ..findings import DROP, KEEP, REVIEW
from ..sets.carrying import copy_of, with_progress
from ..sets.exporting import Loading
from ..sets.writing import pixels_of
from ..stage.engine import cores, threaded
from ..stage.files import replacing, write_text
from ..stage.progress import Advance
from .cases import Case, Handover, entries_of, rounded
from .escaping import escaped
from .tools import TOOLS, Tool, apply_line

# Bytes of a file of tasks: Label Studio takes 250 MB at once.
TASKS = 100_000_000
# A picture of more bytes is handed on as JPEG, with so many pixels a side at most.
PICTURE, SIDE = 1_000_000, 1600
CONFIG = "config.xml"
# The controls of the interface, by the names that they have in what Label Studio exports.
NEW_LABEL, DECISION = "new_label", "decision"
ACTIONS = (KEEP, DROP, REVIEW)
_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


def write(handover: Handover, to: Path, advance: Advance) -> Loading:
    """config.xml, the labelling interface, and tasks-1.json, tasks-2.json ... of at most TASKS bytes each."""
    to.mkdir()
    write_text(interface([escaped(name) for name in handover.images.classes]), to / CONFIG)
    tasks = threaded(lambda case: _task(handover, case), handover.cases, cores())
    files = [to / f"tasks-{number}.json" for number in _write_tasks(with_progress(tasks, advance), to)]
    names = [file.name for file in files]
    return Loading(
        "",
        lambda path: "",
        steps=lambda path: {
            "open": f"label-studio start trustset --init --label-config {shlex.quote(str(path / CONFIG))}",
            "tasks": ", ".join(str(path / name) for name in names),
            "back": apply_line(handover, "the-project-exported-as.json"),
        },
    )


def interface(classes: Sequence[str]) -> str:
    """The labelling interface: the picture, what was found in it, its class and what becomes of it.

    classes  as XML can hold them; Label Studio takes "$" for the name of a value of the task
    """
    choices = "\n".join(f"    <Choice value={quoteattr(_literal(name))}/>" for name in classes)
    decisions = "\n".join(f"    <Choice value={quoteattr(action)}/>" for action in ACTIONS)
    return f"""<View>
  <Header value="Given: $label. Suggested: $suggested"/>
  <Text name="because" value="$because"/>
  <Image name="image" value="$image" zoom="true"/>
  <Header value="Class"/>
  <Choices name="{NEW_LABEL}" toName="image" choice="single" showInline="true">
{choices}
  </Choices>
  <Header value="Decision, where it is not to keep the picture under that class"/>
  <Choices name="{DECISION}" toName="image" choice="single" showInline="true">
{decisions}
  </Choices>
</View>
"""


def _literal(name: str) -> str:
    return name.replace("$", "\\u0024")


def _write_tasks(tasks: Iterator[bytes], to: Path) -> range:
    """Write tasks into files of at most TASKS bytes, one at least; returns their numbers."""
    number, task = 0, next(tasks, None)
    while task is not None or not number:
        number += 1
        with replacing(to / f"tasks-{number}.json") as file:
            file.write(b"[")
            size = 0
            while task is not None and (not size or size + len(task) < TASKS):
                file.write((b",\n" if size else b"\n") + task)
                size += len(task)
                task = next(tasks, None)
            file.write(b"\n]\n")
    return range(1, number + 1)


def _task(handover: Handover, case: Case) -> bytes:
    """One task: its picture inlined, what is known of it, and a prediction, which opens as the answer."""
    data = {
        "image": _inlined(handover, case.row),
        "image_id": escaped(case.id),
        "digest": case.digest,
        "label": escaped(case.label),
        "split": escaped(case.split),
        "verdict": case.verdict,
        "checks": ", ".join(case.checks),
        "because": escaped(case.because) or "nothing was found",
        "suggested": escaped(case.suggested) or "no other class",
        "decided": escaped(case.decided),
        "score": round(case.score, 4),
        "chance": rounded(case.chance),
    }
    findings = [
        {name: escaped(value) if isinstance(value, str) else value for name, value in entry.items()}
        for entry in entries_of(case.findings)
    ]
    task: dict[str, object] = {"data": data, "meta": {"findings": findings}}
    answer = case.suggested or case.label
    if answer:
        choices = {"choices": [_literal(escaped(answer))]}
        chance = rounded(case.suggestion.chance) if case.suggestion is not None else None
        task["predictions"] = [
            {
                "model_version": "Trustset",
                **({} if chance is None else {"score": chance}),
                "result": [
                    {"id": NEW_LABEL, "from_name": NEW_LABEL, "to_name": "image", "type": "choices", "value": choices}
                ],
            }
        ]
    return json.dumps(task).encode()


def _inlined(handover: Handover, row: int) -> str:
    """A picture as an address that holds it, so that no server has to be told where pictures are."""
    copy = copy_of(handover.images, row)
    kind, data = _KINDS[copy.suffix.lower()], copy.data
    if len(data) > PICTURE:
        kind, data = "jpeg", reduced_jpeg(pixels_of(handover.images, row), SIDE)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def reduced_jpeg(pixels: np.ndarray, side: int) -> bytes:
    """The JPEG of pixels, uint8 (H, W, 3), with so many a side at most."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return bytes(jpeg.tobytes())


TOOLS.put("label-studio", Tool(write))
