"""What CVAT is given, held against the format "CVAT for images 1.1" as it documents it."""

from __future__ import annotations

import json
import zipfile
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from curate.deciding import record
from curate.findings import Finding
from curate.handing.cvat import DECISIONS, NAME, image_name, label_names
from curate.handing.delivering import export
from curate.handing.escaping import unescaped
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.sets.reading import read
from curate.stage.errors import DataError


def test_each_image_has_one_tag_that_tells_what_was_found_in_it(hostile):
    path = export(hostile, ExportConfig("cvat")).path
    root = ElementTree.parse(path / "annotations.xml").getroot()
    images = read(hostile.parent / "cells.npz")
    names = label_names(images.classes)
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "10"
    for row, image in enumerate(root.findall("image")):
        assert image.attrib["id"] == str(row)
        pixels = cv2.imread(str(path / "images" / image.attrib["name"]))[..., ::-1]
        assert np.array_equal(pixels, images.images[row].pixels)
        assert (image.attrib["width"], image.attrib["height"]) == ("12", "10")
        (tag,) = image.findall("tag")
        assert tag.attrib["label"] == names[images.label_name(row)]
        values = {attribute.attrib["name"]: attribute.text or "" for attribute in tag.findall("attribute")}
        assert values["decision"] == "undecided"
        assert unescaped(values["id"]) == images.ids[row]
        assert unescaped(values["given"]) == images.label_name(row)
        assert values["checks"].endswith("blurred")
        assert unescaped(values["suggested"]) == (images.classes[2] if row == 1 else "")
    assert len(root.findall("image")) == 10


def test_the_labels_of_the_task_are_those_of_the_tags_with_their_attributes(hostile):
    path = export(hostile, ExportConfig("cvat")).path
    root = ElementTree.parse(path / "annotations.xml").getroot()
    labels = {label["name"]: label for label in json.loads((path / "labels.json").read_text(encoding="utf-8"))}
    assert [name.text for name in root.findall("meta/task/labels/label/name")] == list(labels)
    for tag in root.iter("tag"):
        attributes = {attribute["name"]: attribute for attribute in labels[tag.attrib["label"]]["attributes"]}
        assert set(attributes) == {attribute.attrib["name"] for attribute in tag.findall("attribute")}
        assert attributes["decision"]["values"] == list(DECISIONS)
    for label in labels.values():
        assert label["type"] == "tag"
        for attribute in label["attributes"]:
            assert attribute["input_type"] in ("select", "text")
            assert attribute["default_value"] in attribute["values"]


def test_labels_are_as_short_as_cvat_takes_them_and_each_another():
    names = label_names(["x" * 300, "x" * 200, "mono", "(no label)", "a\nb"])
    assert len(set(names.values())) == 5
    assert all(len(name) <= NAME for name in names.values())
    assert names["mono"] == "mono"
    assert names["a\nb"] == "a\\u000ab"


def test_images_are_in_order_and_named_as_any_system_takes_it():
    assert image_name(7, "../a/\x1b[1m:?.png", ".png").startswith("00000007_")
    assert len(image_name(7, "ü" * 300, ".jpeg").encode()) < 255
    assert "/" not in image_name(7, "a/b", ".png")


def test_files_are_copied_as_they_are_and_odd_ones_become_png(folder):
    path = export(folder, ExportConfig("cvat")).path
    files = {file.name: file for file in (path / "images").iterdir()}
    assert sorted(name.partition("_")[2] for name in files) == ["cat_a.jpg.jpg", "dog_c.png.png"]
    copied = next(file for name, file in files.items() if name.endswith(".jpg"))
    assert copied.read_bytes() == (folder.parent / "cells/cat/a.jpg").read_bytes()


def test_long_values_are_cut(scan_made, tmp_path):
    np.savez(tmp_path / "d.npz", images=np.zeros((1, 4, 4, 3), np.uint8))
    found = [Finding(0, "0", "dark", 0.8, -1, "review", "so " * 3000)]
    path = export(scan_made(tmp_path / "d.npz", tmp_path / "artifacts", found), ExportConfig("cvat")).path
    tag = ElementTree.parse(path / "annotations.xml").getroot().find("image/tag")
    assert tag is not None
    assert max(len(attribute.text or "") for attribute in tag) == 4096
    assert tag.attrib["label"] == "(no label)"


# Back


def edited(path, changes):
    """annotations.xml as CVAT exports it after a person changed some images: number -> what is done to the image."""
    tree = ElementTree.parse(path / "annotations.xml")
    for image in tree.getroot().findall("image"):
        for change in changes.get(int(image.attrib["id"]), ()):
            change(image)
    return tree


def set_label(label):
    return lambda image: image.find("tag").set("label", label)


def choose(action):
    def change(image):
        next(a for a in image.find("tag") if a.attrib["name"] == "decision").text = action

    return change


def new_tag(label, remove=True):
    """The tag set anew: its attributes are those that a new one begins with."""

    def change(image):
        if remove:
            image.remove(image.find("tag"))
        tag = ElementTree.SubElement(image, "tag", label=label, source="manual")
        for name in ("decision", "id", "given", "decided"):
            ElementTree.SubElement(tag, "attribute", name=name).text = "undecided" if name == "decision" else ""

    return change


@pytest.mark.parametrize("zipped", [False, True])
def test_changed_tags_and_decisions_come_back(hostile, tmp_path, zipped):
    scan = open_scan(hostile / "scan")
    path = export(hostile, ExportConfig("cvat")).path
    classes = read(hostile.parent / "cells.npz").classes
    names = label_names(classes)
    tree = edited(
        path,
        {
            0: [set_label(names[classes[1]])],
            1: [choose("drop")],
            2: [choose("keep")],
            3: [new_tag(names[classes[2]])],
            4: [new_tag(names[classes[2]], remove=False)],
            5: [new_tag(names[scan.roster.given[5]])],  # nothing but set anew
            6: [set_label(names[classes[1]]), choose("review")],
        },
    )
    back = tmp_path / ("task.zip" if zipped else "annotations.xml")
    tree.write(tmp_path / "annotations.xml", encoding="utf-8", xml_declaration=True)
    if zipped:
        with zipfile.ZipFile(back, "w") as archive:
            archive.write(tmp_path / "annotations.xml", "annotations.xml")
    received = proposals_from(back, scan)
    ids = scan.roster.ids
    assert [(p.action, p.id, p.label) for p in received.proposals] == [
        ("relabel", ids[0], classes[1]),
        ("drop", ids[1], ""),
        ("keep", ids[2], ""),
        ("relabel", ids[3], classes[2]),
        ("relabel", ids[4], classes[2]),
        ("review", ids[6], ""),
    ]
    assert received.notes == ("nothing was decided on 4 images of the file",)
    assert len(record(scan, received.proposals).made) == 6


def test_an_untouched_task_decides_nothing(hostile):
    path = export(hostile, ExportConfig("cvat")).path
    assert proposals_from(path / "annotations.xml", open_scan(hostile / "scan")).proposals == []


def test_two_new_tags_of_one_image_are_told(hostile, tmp_path):
    path = export(hostile, ExportConfig("cvat")).path
    names = label_names(read(hostile.parent / "cells.npz").classes)
    one, other = list(names.values())[1:]
    edited(path, {0: [new_tag(one, remove=False), new_tag(other, remove=False)]}).write(tmp_path / "a.xml")
    with pytest.raises(DataError, match=r"(?s)has several tags: .* Leave it one"):
        proposals_from(tmp_path / "a.xml", open_scan(hostile / "scan"))


@pytest.mark.parametrize("text", ["<annotations>", "<annotations><image name='x.png'/></annotations>"])
def test_what_is_of_something_else_is_told(hostile, tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml is no CVAT for images 1\.1|no image of .* is one of the scan"):
        proposals_from(tmp_path / "a.xml", open_scan(hostile / "scan"))
