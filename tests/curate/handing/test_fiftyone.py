"""What FiftyOne is given, held against FiftyOneDataset as it is documented: metadata.json, samples.json, data/."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from curate.deciding import record
from curate.decisions import Proposal
from curate.handing.delivering import export
from curate.handing.escaping import escaped, unescaped
from curate.receiving import proposals_from
from curate.scans import open_scan
from curate.sets.formats import ExportConfig
from curate.sets.reading import read
from curate.stage.errors import DataError


def document(path, name):
    return json.loads((path / name).read_text(encoding="utf-8"))


def test_each_sample_has_its_label_what_is_suggested_and_what_was_found(hostile):
    done = export(hostile, ExportConfig("fiftyone"))
    samples = document(done.path, "samples.json")["samples"]
    images = read(hostile.parent / "cells.npz")
    assert len(samples) == 12
    for row, sample in enumerate(samples):
        pixels = cv2.imread(str(done.path / sample["filepath"]))[..., ::-1]
        assert np.array_equal(pixels, images.images[row].pixels)
        assert unescaped(sample["trustset_id"]) == images.ids[row]
        assert unescaped(sample["ground_truth"]["label"]) == images.label_name(row)
        assert sample["metadata"]["width"] == 12
    assert samples[1]["suggested"]["confidence"] == 0.8
    assert unescaped(samples[1]["suggested"]["label"]) == images.classes[2]
    assert "suggested" not in samples[2]
    assert samples[4]["tags"] == ["drop", "exact_duplicate", "blurred"]
    assert samples[0]["tags"] == ["review", "blurred"]
    assert samples[11]["tags"] == []
    labels = samples[4]["findings"]["classifications"]
    assert [(label["label"], label["confidence"]) for label in labels] == [("exact_duplicate", 1.0), ("blurred", 0.61)]


def test_the_schema_has_every_field_of_the_samples(hostile):
    path = export(hostile, ExportConfig("fiftyone")).path
    fields = {field["db_field"]: field for field in document(path, "metadata.json")["sample_fields"]}
    for sample in document(path, "samples.json")["samples"]:
        assert set(sample) - {"_media_type", "_rand"} <= set(fields)
        for label in (sample["ground_truth"], sample.get("suggested", {}), *sample["findings"]["classifications"]):
            own = fields["findings"]["fields"][0]["fields"]
            assert set(label) - {"_cls"} <= {field["db_field"] for field in own}


def test_identifiers_are_those_of_a_database_and_each_another(hostile):
    path = export(hostile, ExportConfig("fiftyone")).path
    samples = document(path, "samples.json")["samples"]
    keys = [sample["_id"]["$oid"] for sample in samples]
    keys += [label["_id"]["$oid"] for sample in samples for label in sample["findings"]["classifications"]]
    assert len(set(keys)) == len(keys)
    assert all(len(bytes.fromhex(key)) == 12 for key in keys)


def test_plain_files_stay_where_they_are_and_others_are_written(folder):
    path = export(folder, ExportConfig("fiftyone")).path
    samples = {sample["trustset_id"]: sample for sample in document(path, "samples.json")["samples"]}
    cells = folder.parent / "cells"
    assert samples["cat/a.jpg"]["filepath"] == str(cells / "cat/a.jpg")
    assert [file.name for file in (path / "data").iterdir()] == [samples["dog/c.png"]["filepath"].rpartition("/")[2]]
    shown = cv2.imread(str(path / samples["dog/c.png"]["filepath"]))[..., ::-1]
    images = read(cells)
    assert np.array_equal(shown, images.images[images.ids.index("dog/c.png")].pixels)


# Back


def exported_again(path, changes, to):
    """The dataset as FiftyOne exports it, after a person changed some samples: number -> what is done to it."""
    samples = document(path, "samples.json")["samples"]
    for number, sample in enumerate(samples):
        changes.get(number, lambda sample: None)(sample)
        sample["created_at"] = {"$date": "2026-11-30T22:31:13.321Z"}
    to.mkdir()
    (to / "samples.json").write_text(json.dumps({"samples": samples}))
    (to / "metadata.json").write_text(json.dumps(document(path, "metadata.json")))
    return to


def tagged(tag, instead_of=""):
    def change(sample):
        sample["tags"] = [other for other in sample["tags"] if other != instead_of] + [tag]

    return change


def labelled(label):
    def change(sample):
        sample["ground_truth"] = {"_id": {"$oid": "0" * 24}, "_cls": "Classification", "tags": [], "label": label}

    return change


@pytest.mark.parametrize("file", ["", "samples.json"])
def test_tags_and_changed_labels_come_back(hostile, tmp_path, file):
    scan = open_scan(hostile / "scan")
    path = export(hostile, ExportConfig("fiftyone")).path
    classes = read(hostile.parent / "cells.npz").classes
    changes = {
        0: tagged("drop"),  # beside the tag of its verdict, review
        1: labelled(escaped(classes[2])),
        4: tagged("keep", instead_of="drop"),
        5: tagged("interesting"),
        6: labelled(escaped(scan.roster.given[6])),
        11: tagged("drop"),
    }
    back = exported_again(path, changes, tmp_path / "decided")
    received = proposals_from(back / file if file else back, scan)
    ids = scan.roster.ids
    assert [(p.action, p.id, p.label) for p in received.proposals] == [
        ("drop", ids[0], ""),
        ("relabel", ids[1], classes[2]),
        ("keep", ids[4], ""),
        ("drop", ids[11], ""),
    ]
    assert len(record(scan, received.proposals).made) == 4


def test_what_was_handed_on_decides_nothing_again(hostile):
    scan = open_scan(hostile / "scan")
    labels = scan.roster.classes
    record(scan, [Proposal("relabel", scan.roster.ids[0], label=labels[1]), Proposal("drop", scan.roster.ids[1])])
    path = export(hostile, ExportConfig("fiftyone")).path
    sample = document(path, "samples.json")["samples"][0]
    assert unescaped(sample["ground_truth"]["label"]) == labels[1]
    assert proposals_from(path, scan).proposals == []


def test_samples_that_say_two_things_or_are_of_another_dataset_are_told(hostile, tmp_path):
    scan = open_scan(hostile / "scan")
    path = export(hostile, ExportConfig("fiftyone")).path
    back = exported_again(path, {11: lambda sample: sample["tags"].extend(["keep", "drop"])}, tmp_path / "a")
    assert [p.action for p in proposals_from(back, scan).proposals] == ["drop"]
    back = exported_again(path, {0: lambda sample: sample["tags"].extend(["keep", "drop"])}, tmp_path / "b")
    with pytest.raises(DataError, match="is tagged drop and keep"):
        proposals_from(back, scan)
    back = exported_again(path, {n: lambda sample: sample.pop("trustset_id") for n in range(12)}, tmp_path / "c")
    with pytest.raises(DataError, match=r"has a trustset_id\. Needed is the export of a dataset"):
        proposals_from(back, scan)
    (back / "samples.json").write_text('{"samples": [')
    with pytest.raises(DataError, match="is no dataset that FiftyOne exported"):
        proposals_from(back, scan)
