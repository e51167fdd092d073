"""What Label Studio is given, held against the formats that it documents: tasks with predictions, and an interface."""

from __future__ import annotations

import base64
import json
from collections.abc import Container
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from curate.deciding import record
from curate.handing import labelstudio
from curate.handing.delivering import export
from curate.handing.escaping import escaped, unescaped
from curate.handing.labelstudio import interface, reduced_jpeg
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.sets.reading import read
from curate.stage.errors import DataError


def tasks_of(path) -> list[dict]:
    """The tasks of an export, in the order of the set."""
    tasks = [task for file in sorted(path.glob("tasks-*.json")) for task in json.loads(file.read_text("utf-8"))]
    row_of = open_scan(path.parents[1] / "scan").roster.row_of
    return sorted(tasks, key=lambda task: row_of[unescaped(task["data"]["image_id"])])


def picture(task: dict) -> np.ndarray:
    head, _, data = task["data"]["image"].partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_each_task_has_its_picture_what_is_known_of_it_and_an_answer_to_confirm(hostile):
    tasks = tasks_of(export(hostile, ExportConfig("label-studio")).path)
    images = read(hostile.parent / "cells.npz")
    for row, task in enumerate(tasks):
        assert np.array_equal(picture(task), images.images[row].pixels)
        assert unescaped(task["data"]["image_id"]) == images.ids[row]
        assert unescaped(task["data"]["label"]) == images.label_name(row)
        assert task["data"]["checks"]
        (prediction,) = task["predictions"]
        (answer,) = prediction["result"]
        assert (answer["from_name"], answer["to_name"], answer["type"]) == ("new_label", "image", "choices")
        (choice,) = answer["value"]["choices"]
        assert unescaped(choice) == images.classes[2 if row == 1 else row % 3]
        assert prediction.get("score") == (0.8 if row == 1 else None)
    assert len(tasks) == 10
    assert [finding["check"] for finding in tasks[4]["meta"]["findings"]] == ["exact_duplicate", "blurred"]


def test_the_interface_is_xml_and_offers_every_class_and_decision(hostile):
    path = export(hostile, ExportConfig("label-studio")).path
    view = ElementTree.fromstring((path / "config.xml").read_text(encoding="utf-8"))
    classes, decisions = view.findall("Choices")
    values = [choice.attrib["value"] for choice in classes]
    assert [unescaped(value) for value in values] == list(read(hostile.parent / "cells.npz").classes)
    assert not any("$" in value for value in values)
    assert [choice.attrib["value"] for choice in decisions] == ["keep", "drop", "review"]
    data = tasks_of(path)[0]["data"]
    for tag in view.iter():
        if tag.attrib.get("value", "").startswith("$"):
            assert tag.attrib["value"][1:] in data
    for task in tasks_of(path):
        assert task["predictions"][0]["result"][0]["value"]["choices"][0] in values


def test_names_of_classes_stay_as_they_are_where_they_are_plain():
    assert '<Choice value="monocyte"/>' in interface(["monocyte"])
    assert "<Choice value='say \"x\"'/>" in interface(['say "x"'])
    assert escaped("monocyte") == "monocyte"


def test_tasks_are_cut_into_files_that_are_taken_at_once(hostile, monkeypatch):
    whole = tasks_of(export(hostile, ExportConfig("label-studio")).path)
    monkeypatch.setattr(labelstudio, "TASKS", 5_000)
    done = export(hostile, ExportConfig("label-studio", force=True))
    files = sorted(done.path.glob("tasks-*.json"))
    assert len(files) > 2
    assert done.steps["tasks"] == ", ".join(map(str, files))
    assert tasks_of(done.path) == whole


@pytest.mark.parametrize("most", [0, 1_000_000])
def test_large_pictures_are_handed_on_smaller(folder, monkeypatch, most):
    monkeypatch.setattr(labelstudio, "PICTURE", most)
    monkeypatch.setattr(labelstudio, "SIDE", 6)
    tasks = tasks_of(export(folder, ExportConfig("label-studio")).path)
    assert {picture(task).shape for task in tasks} == ({(10, 12, 3)} if most else {(5, 6, 3)})
    own = base64.b64encode((folder.parent / "cells/cat/a.jpg").read_bytes()).decode()
    assert any(task["data"]["image"].endswith(own) for task in tasks) == bool(most)


def test_a_picture_that_is_small_enough_keeps_its_size():
    grey = np.full((30, 20, 3), 90, np.uint8)
    assert cv2.imdecode(np.frombuffer(reduced_jpeg(grey, 30), np.uint8), 1).shape == (30, 20, 3)


def test_an_image_without_a_label_has_no_answer_yet(scan_made, tmp_path):
    np.savez(tmp_path / "d.npz", images=np.zeros((2, 4, 4, 3), np.uint8))
    artifacts = scan_made(tmp_path / "d.npz", tmp_path / "artifacts", [])
    path = export(artifacts, ExportConfig("label-studio", all_images=True)).path
    assert all("predictions" not in task for task in tasks_of(path))
    assert len(open_scan(artifacts / "scan").table) == len(tasks_of(path))


# Back


def annotated(tasks: list[dict], answers: dict[int, list[dict[str, str]]], skipped: Container[int] = ()) -> list[dict]:
    """A project as it is exported as JSON: of some tasks the annotations, each of what was chosen in which control."""
    project = []
    for number, task in enumerate(tasks):
        annotations = [
            {
                "id": 100 * number + at,
                "completed_by": 1,
                "was_cancelled": number in skipped,
                "updated_at": f"2026-01-0{9 - at}T00:00:00.000000Z",
                "result": [
                    {
                        "id": "x",
                        "from_name": name,
                        "to_name": "image",
                        "type": "choices",
                        "value": {"choices": [choice]},
                    }
                    for name, choice in choices.items()
                ],
            }
            for at, choices in enumerate(answers.get(number, []))
        ]
        project.append({"id": number + 1, "annotations": annotations, "predictions": [number], "drafts": [], **task})
    return project


def test_the_last_annotation_of_each_task_comes_back_as_a_decision(hostile, tmp_path):
    scan = open_scan(hostile / "scan")
    tasks = tasks_of(export(hostile, ExportConfig("label-studio")).path)
    labels = [choice["value"] for choice in classes_of(hostile)]
    answers = {
        0: [{"new_label": labels[0]}],  # as it was given
        1: [{"new_label": labels[2]}],
        2: [{"new_label": labels[2], "decision": "drop"}],
        3: [{"new_label": labels[1]}, {"new_label": labels[2]}],  # the first is the later one
        4: [{"decision": "review"}],
        5: [{"new_label": labels[0]}],  # skipped
        6: [{}],
    }
    project = tmp_path / "project-1-at-2026.json"
    project.write_text(json.dumps(annotated(tasks, answers, {5}), indent=1))
    received = proposals_from(project, scan)
    classes, ids = read(hostile.parent / "cells.npz").classes, scan.roster.ids
    assert [(p.action, p.id, p.label) for p in received.proposals] == [
        ("keep", ids[0], ""),
        ("relabel", ids[1], classes[2]),
        ("drop", ids[2], ""),
        ("relabel", ids[3], classes[1]),
        ("review", ids[4], ""),
    ]
    assert {p.by for p in received.proposals} == {"Label Studio"}
    assert len(record(scan, received.proposals).made) == 5


def classes_of(artifacts):
    path = export(artifacts, ExportConfig("label-studio", force=True)).path
    view = ElementTree.fromstring((path / "config.xml").read_text(encoding="utf-8"))
    return [choice.attrib for choice in view.findall("Choices")[0]]


def test_json_min_is_read_and_csv_is_told_what_to_be(hostile, tmp_path):
    scan = open_scan(hostile / "scan")
    task = tasks_of(export(hostile, ExportConfig("label-studio")).path)[0]
    short = {**task["data"], "id": 1, "decision": "drop", "annotator": 1, "annotation_id": 1}
    (tmp_path / "p.json").write_text(json.dumps([short]))
    assert [(p.action, p.id) for p in proposals_from(tmp_path / "p.json", scan).proposals] == [
        ("drop", scan.roster.ids[0])
    ]
    (tmp_path / "p.csv").write_text("annotation_id,annotator,decision,image_id\n1,1,drop,0\n")
    with pytest.raises(DataError, match=r"exported as CSV\. Export it as JSON"):
        proposals_from(tmp_path / "p.csv", scan)


def test_a_project_of_something_else_is_told(hostile, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([{"id": 1, "annotations": [], "data": {"image": "/a.png"}}]))
    with pytest.raises(DataError, match=r"no task of .* has an image_id. Needed is the export, as JSON"):
        proposals_from(tmp_path / "p.json", open_scan(hostile / "scan"))
    (tmp_path / "p.json").write_text('[{"annotations": [')
    with pytest.raises(DataError, match="is no project that Label Studio exported"):
        proposals_from(tmp_path / "p.json", open_scan(hostile / "scan"))
