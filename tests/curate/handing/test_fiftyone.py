"""What FiftyOne is given, held against FiftyOneDataset as it is documented: metadata.json, samples.json, data/."""

from __future__ import annotations

import json

import cv2
import numpy as np

from curate.handing.delivering import export
from curate.handing.escaping import unescaped
from curate.sets.formats import ExportConfig
from curate.sets.reading import read


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
