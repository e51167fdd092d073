"""label-studio: tasks with their pictures in them, predictions to confirm or to correct, and their interface."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from ..findings import DROP, KEEP, REVIEW
from ..proposals import READERS, Reader, Received
from ..scans import Scanned
from ..sets.carrying import copy_of, with_progress
from ..sets.exporting import Loading
from ..sets.writing import pixels_of
from ..stage.engine import cores, threaded
from ..stage.errors import DataError, gist
from ..stage.files import replacing, write_text
from ..stage.progress import Advance
from .answers import Answer, received
from .cases import Case, Handover, entries_of, rounded
from .escaping import escaped, unescaped
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
  <Image name="image" value="$image" zoom="true" maxWidth="480px"/>
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


# Back


def _takes(path: Path, head: bytes) -> bool:
    marks = (b'"annotations"', b'"annotation_id"', b'"image_id"', b"data:image")
    return path.suffix.lower() == ".json" and head.lstrip()[:1] == b"[" and any(mark in head for mark in marks)


def _read(path: Path, scan: Scanned) -> Received:
    """Of a project exported as JSON or JSON-MIN the last annotation of each task that was not skipped."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no project that Label Studio exported: {gist(error)}.") from error
    answers = [answer for task in tasks if isinstance(task, dict) for answer in _answers(task)]
    if not any("image_id" in _data(task) for task in tasks if isinstance(task, dict)):
        raise DataError(
            f"no task of {path} has an image_id. Needed is the export, as JSON, of a project whose tasks were imported "
            "from `curate export artifacts --to label-studio`."
        )
    return received({answer.id: answer for answer in answers}.values())


def _data(task: Mapping[str, object]) -> Mapping[str, object]:
    """What the task was made of; in JSON-MIN it stands among the answers."""
    data = task.get("data")
    return data if isinstance(data, dict) else task


def _answers(task: Mapping[str, object]) -> list[Answer]:
    """The answer to one task, none where nobody gave one."""
    data = _data(task)
    annotations = task.get("annotations")
    if isinstance(annotations, list):
        chosen = [_choices(entry) for entry in sorted(filter(_counts, annotations), key=_moment)][-1:]
    else:
        chosen = [{name: str(task.get(name) or "") for name in (NEW_LABEL, DECISION)}]
    texts = {name: unescaped(str(data.get(name) or "")) for name in ("image_id", "digest", "label", "decided")}
    return [
        Answer(
            texts["image_id"],
            texts["digest"],
            texts["label"],
            texts["decided"],
            choices.get(DECISION, ""),
            unescaped(choices.get(NEW_LABEL, "")),
            by="Label Studio",
            confirmed=True,
        )
        for choices in chosen
        if texts["image_id"]
    ]


def _counts(annotation: object) -> bool:
    return isinstance(annotation, dict) and not annotation.get("was_cancelled")


def _moment(annotation: Mapping[str, object]) -> str:
    return str(annotation.get("updated_at") or "")


def _choices(annotation: Mapping[str, object]) -> dict[str, str]:
    """control -> what was chosen in it."""
    results = annotation.get("result")
    chosen = {}
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        choices = value.get("choices") if isinstance(value, dict) else None
        if isinstance(choices, list) and choices:
            chosen[str(result.get("from_name"))] = str(choices[0])
    return chosen


def _takes_table(path: Path, head: bytes) -> bool:
    return path.suffix.lower() == ".csv" and b"annotation_id" in head.split(b"\n", 1)[0]


def _read_table(path: Path, scan: Scanned) -> Received:
    raise DataError(f"{path} is a project that Label Studio exported as CSV. Export it as JSON, and give that.")


READERS.put("label-studio", Reader(_takes, _read))
READERS.put("label-studio-csv", Reader(_takes_table, _read_table))


TOOLS.put("label-studio", Tool(write))
