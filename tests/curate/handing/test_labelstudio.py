"""What Label Studio is given, held against the formats that it documents: tasks with predictions, and an interface."""

from __future__ import annotations

import base64
import json
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from curate.handing import labelstudio
from curate.handing.delivering import export
from curate.handing.escaping import escaped, unescaped
from curate.handing.labelstudio import interface, reduced_jpeg
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.sets.reading import read


def tasks_of(path) -> list[dict]:
    return [task for file in sorted(path.glob("tasks-*.json")) for task in json.loads(file.read_text("utf-8"))]


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
