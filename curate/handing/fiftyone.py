"""fiftyone: a dataset in FiftyOne's own format, with classifications, tags and places on the map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..decisions import VERDICTS
from ..findings import KEEP
from ..proposals import READERS, Reader, Received
from ..scans import Scanned
from ..sets.carrying import copy_of, with_progress
from ..sets.exporting import Loading
from ..stage.engine import cores, threaded
from ..stage.errors import DataError, gist
from ..stage.files import python_text, replacing
from ..stage.progress import Advance
from .answers import Answer, received
from .cases import Case, Handover, entries_of, rounded
from .escaping import escaped, unescaped
from .tools import TOOLS, Tool, apply_line

# The version whose format this is: later ones bring it to theirs when they load it.
VERSION = "1.0.0"
_FIELD, _LABEL = "fiftyone.core.fields.", "fiftyone.core.labels."
_FLOAT, _TEXT, _INTEGER, _LIST = (f"{_FIELD}{kind}Field" for kind in ("Float", "String", "Int", "List"))
_OBJECT_ID, _EMBEDDED = f"{_FIELD}ObjectIdField", f"{_FIELD}EmbeddedDocumentField"
_KINDS = {float: _FLOAT, str: _TEXT, int: _INTEGER}

Document = dict[str, object]


def write(handover: Handover, to: Path, advance: Advance) -> Loading:
    """metadata.json, samples.json, and data/ with the pictures that are in no file which FiftyOne can show."""
    to.mkdir()
    (to / "data").mkdir()
    with replacing(to / "samples.json") as file:
        file.write(b'{"samples": [')
        for number, sample in enumerate(with_progress(_samples(handover, to), advance)):
            file.write((b",\n" if number else b"\n") + json.dumps(sample).encode())
        file.write(b"\n]}\n")
    with replacing(to / "metadata.json") as file:
        file.write(json.dumps(_metadata(handover)).encode() + b"\n")
    return Loading(
        "fiftyone",
        lambda path: f"fiftyone.Dataset.from_dir({python_text(path)}, dataset_type=fiftyone.types.FiftyOneDataset)",
        steps=lambda path: {
            "decide": "tag samples keep, drop or review, or change ground_truth",
            "back": 'dataset.export(export_dir="decided", dataset_type=fiftyone.types.FiftyOneDataset, '
            "export_media=False)",
            "then": apply_line(handover, "decided"),
        },
    )


def _samples(handover: Handover, to: Path) -> Iterator[Document]:
    """The documents of samples.json; pictures that are in no plain file are written on the way."""

    # Files are written here alone: a thread that still writes would keep a draft from going when it is given up.
    copies = threaded(lambda case: copy_of(handover.images, case.row), handover.cases, cores())
    for case, copy in zip(handover.cases, copies, strict=True):
        path = str(Path(copy.path).absolute()) if copy.path else ""
        if not path or path != escaped(path):
            path = f"data/{case.row:08d}{copy.suffix}"
            (to / path).write_bytes(copy.data)
        yield _sample(handover, case, path, copy.size)


def _sample(handover: Handover, case: Case, path: str, size: tuple[int, int]) -> Document:
    key = f"{handover.scan.manifest.input_digest} {case.row}"
    sample: Document = {
        "_id": _object_id(key),
        "filepath": path,
        "tags": [*([case.verdict] if case.verdict != KEEP else []), *case.checks],
        "metadata": {"_cls": "ImageMetadata", "width": size[0], "height": size[1], "num_channels": 3},
        "_media_type": "image",
        "_rand": int(_hash(key)[:12], 16) / 16**12,
        "trustset_id": escaped(case.id),
        "digest": case.digest,
        "given": escaped(case.label),
        "split": escaped(case.split),
        "verdict": case.verdict,
        "decision": escaped(case.decided),
        "because": escaped(case.because),
        "score": round(case.score, 4),
        "chance": rounded(case.chance),
        "copies": case.group,
        "map_x": rounded(case.x),
        "map_y": rounded(case.y),
    }
    if case.label_now:
        sample["ground_truth"] = _classification(f"{key} given", escaped(case.label_now))
    if case.suggestion is not None:
        chance = rounded(case.suggestion.chance)
        sample["suggested"] = _classification(f"{key} suggested", escaped(case.suggested), chance)
    labels = [
        {
            **_classification(f"{key} {number}", str(entry.pop("check")), entry.pop("score")),
            **{name: escaped(value) if isinstance(value, str) else value for name, value in entry.items()},
        }
        for number, entry in enumerate(entries_of(case.findings))
    ]
    sample["findings"] = {"_cls": "Classifications", "classifications": labels}
    return sample


def _classification(key: str, label: str, confidence: object = None) -> Document:
    document: Document = {"_id": _object_id(key), "_cls": "Classification", "tags": [], "label": label}
    return document if confidence is None else {**document, "confidence": confidence}


def _hash(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _object_id(key: str) -> Document:
    """An identifier of the database's kind: the same of the same key."""
    return {"$oid": _hash(key)}


# The schema


def _metadata(handover: Handover) -> Document:
    """metadata.json: the fields of the samples, as FiftyOne needs to know them."""
    classes = [escaped(name) for name in handover.images.classes]
    return {
        "_id": _object_id(handover.scan.manifest.input_digest),
        "name": "trustset",
        "version": VERSION,
        "media_type": "image",
        "tags": [],
        "info": {"scan": handover.scan.manifest.input_digest},
        "app_config": {},
        "classes": {},
        "default_classes": classes,
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": _sample_fields(),
        "frame_fields": [],
        "saved_views": [],
        "workspaces": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
        "runs": {},
    }


def _sample_fields() -> list[Document]:
    size = [_field(name, _INTEGER) for name in ("size_bytes", "width", "height", "num_channels")]
    kind = f"{_FIELD[:-7]}metadata.ImageMetadata"
    label = _label_fields()
    texts = ("trustset_id", "digest", "given", "split", "verdict", "decision", "because")
    return [
        _field("id", _OBJECT_ID, db_field="_id"),
        _field("filepath", _TEXT),
        _field("tags", _LIST, subfield=_TEXT),
        _field("metadata", _EMBEDDED, embedded=kind, fields=[*size, _field("mime_type", _TEXT)]),
        *(_field(name, _TEXT) for name in texts),
        *(_field(name, _FLOAT) for name in ("score", "chance", "map_x", "map_y")),
        _field("copies", _INTEGER),
        _field("ground_truth", _EMBEDDED, embedded=f"{_LABEL}Classification", fields=label),
        _field("suggested", _EMBEDDED, embedded=f"{_LABEL}Classification", fields=label),
        _field(
            "findings",
            _EMBEDDED,
            embedded=f"{_LABEL}Classifications",
            fields=[
                _field(
                    "classifications",
                    _LIST,
                    subfield=_EMBEDDED,
                    embedded=f"{_LABEL}Classification",
                    fields=[*label, *_finding_fields()],
                )
            ],
        ),
    ]


def _label_fields() -> list[Document]:
    return [
        _field("id", _OBJECT_ID, db_field="_id"),
        _field("tags", _LIST, subfield=_TEXT),
        _field("label", _TEXT),
        _field("confidence", _FLOAT),
        _field("logits", f"{_FIELD}VectorField"),
    ]


def _finding_fields() -> list[Document]:
    kinds = {"chance": _FLOAT, "group": _INTEGER, "action": _TEXT, "because": _TEXT, "suggested": _TEXT}
    return [_field(name, kind) for name, kind in kinds.items()]


def _field(
    name: str,
    kind: str,
    subfield: str | None = None,
    embedded: str | None = None,
    fields: list[Document] | None = None,
    db_field: str = "",
) -> Document:
    return {
        "name": name,
        "ftype": kind,
        "embedded_doc_type": embedded,
        "subfield": subfield,
        "fields": fields or [],
        "db_field": db_field or name,
        "description": None,
        "info": None,
        "read_only": False,
        "created_at": None,
    }


# Back


def _takes(path: Path, head: bytes) -> bool:
    return (path / "samples.json").is_file() or (path.suffix == ".json" and head.lstrip()[:12] == b'{"samples": ')


def _read(path: Path, scan: Scanned) -> Received:
    """Of samples.json the samples that were tagged keep, drop or review, or whose ground_truth was changed."""
    file = path / "samples.json" if path.is_dir() else path
    try:
        samples = json.loads(file.read_text(encoding="utf-8"))["samples"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file} is no dataset that FiftyOne exported: {gist(error)}.") from error
    if not isinstance(samples, list):
        raise DataError(f"{file} is no dataset that FiftyOne exported: it has no list of samples.")
    own = [sample for sample in samples if isinstance(sample, dict) and isinstance(sample.get("trustset_id"), str)]
    if not own:
        raise DataError(
            f"no sample of {file} has a trustset_id. Needed is the export of a dataset that was loaded from "
            "`curate export artifacts --to fiftyone`, in the format FiftyOneDataset."
        )
    return received([_answer(sample) for sample in own])


def _answer(sample: Mapping[str, object]) -> Answer:
    texts = {name: unescaped(str(sample.get(name) or "")) for name in ("trustset_id", "digest", "given", "decision")}
    tags = sample.get("tags")
    chosen = {
        tag for tag in (tags if isinstance(tags, list) else []) if tag in VERDICTS and tag != sample.get("verdict")
    }
    if len(chosen) > 1:
        raise DataError(f"{texts['trustset_id']} is tagged {' and '.join(sorted(chosen))}. Leave it one of these tags.")
    truth = sample.get("ground_truth")
    label = truth.get("label") if isinstance(truth, dict) else None
    return Answer(
        texts["trustset_id"],
        texts["digest"],
        texts["given"],
        texts["decision"],
        next(iter(chosen), ""),
        unescaped(str(label or "")),
        by="FiftyOne",
    )


READERS.put("fiftyone", Reader(_takes, _read))


TOOLS.put("fiftyone", Tool(write, whole=True))
