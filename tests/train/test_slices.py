from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.builds import BuildManifest
from curate.stage.files import write_parquet
from curate.stage.manifest import file_digest, read_manifest
from train.predictions import Predictions, Track
from train.slices import IN_GROUP, found_by_scan, sliced, words_of_scan

CLASSES = ("ant", "bee")
TRACKS = (
    Track("test", "test"),
    Track("fog-1", "test", "fog", 1),
    Track("fog-2", "test", "fog", 2),
    Track("noise-1", "test", "noise", 1),
    Track("composed-2", "test", "composed-2"),
    Track("blur-1", "validation", "blur", 1),
)


def answers(right: dict[str, np.ndarray], count: int = 40) -> Predictions:
    """Predictions on sets made of the same sources; of each set it is given which are right, else all."""
    sources = np.tile(np.arange(count), len(TRACKS))
    labels = sources % 2
    hit = np.concatenate([right.get(track.name, np.ones(count, bool)) for track in TRACKS])
    probabilities = np.eye(2, dtype=np.float32)[np.where(hit, labels, 1 - labels)]
    ids = np.array([f"cell {source}" for source in sources], dtype=object)
    return Predictions(TRACKS, np.repeat(np.arange(len(TRACKS)), count), ids, ids, sources, labels, probabilities)


def cells(rows: range) -> set[str]:
    return {f"cell {row}" for row in rows}


def test_a_slice_is_told_with_its_accuracy_and_that_of_the_rest():
    first = np.arange(40) < 10
    (found,) = sliced(answers({"test": ~first, "noise-1": ~first}), {"blurred": cells(range(10))}, CLASSES, 200, 0)
    assert (found.slice, found.images, found.share) == ("blurred", 10, 0.25)
    assert (found.clean.accuracy, found.clean.rest) == (0, 1)
    assert found.clean.p < 0.01
    # Of two corruptions the slice is right in fog, whose two severities count as one, and wrong in noise.
    assert (found.benchmark.accuracy, found.benchmark.rest) == (0.5, 1)
    assert found.benchmark.difference == -0.5


def test_a_slice_that_is_like_the_rest_is_not_called_different():
    rng = np.random.default_rng(0)
    right = {track.name: rng.random(40) < 0.7 for track in TRACKS}
    (found,) = sliced(answers(right), {"dark": cells(range(0, 40, 4))}, CLASSES, 200, 0)
    for part in (found.clean, found.benchmark):
        assert part.p > 0.05
        low, high = part.interval
        assert low <= part.accuracy <= high


def test_five_images_that_are_all_wrong_among_many_that_are_wrong_prove_nothing():
    right = np.arange(40) % 5 == 0
    five = {f"cell {row}" for row in np.flatnonzero(~right)[:5]}
    (found,) = sliced(answers({"test": right}), {"dark": five}, CLASSES, 500, 0)
    assert found.clean.accuracy == 0
    assert found.clean.interval[1] > 0.4
    assert found.clean.p > 0.3


def test_of_fewer_than_five_images_or_of_all_nothing_is_told():
    given = {"light": cells(range(4)), "odd_size": cells(range(40)), "shortcut": {"another cell"}}
    assert sliced(answers({}), given, CLASSES, 50, 0) == ()


def test_the_slice_that_loses_most_comes_first():
    right = {"noise-1": np.arange(40) >= 5}
    given = {"light": cells(range(20, 30)), "dark": cells(range(10)), "blurred": cells(range(5))}
    assert [one.slice for one in sliced(answers(right), given, CLASSES, 50, 0)] == ["blurred", "dark", "light"]


def test_the_class_that_most_of_a_slice_are_of_is_named():
    odd = {f"cell {row}" for row in (1, 3, 5, 7, 9, 2)}
    (found,) = sliced(answers({}), {"colour_cast": odd}, CLASSES, 50, 0)
    assert (found.class_name, found.class_share) == ("bee", pytest.approx(5 / 6))


def test_findings_are_those_of_the_scan_that_the_set_was_built_from(own_built: Path):
    digest = read_manifest(BuildManifest, own_built / "built").scan_digest
    found, note = found_by_scan(own_built, digest)
    assert note == ""
    table = pd.read_parquet(own_built / "scan" / "images.parquet")
    assert found["colour_cast"] == set(table["id"][::9])
    assert found["blurred"] == set(table["id"][::11])
    assert found[IN_GROUP] == set(table.loc[table["group"] >= 0, "id"])


def test_a_finding_on_the_set_as_a_whole_is_of_no_image(own_built: Path):
    path = own_built / "scan" / "findings.parquet"
    findings = pd.read_parquet(path)
    write_parquet(findings.assign(row=-1, id=""), path)
    found, _ = found_by_scan(own_built, file_digest(own_built / "scan" / "manifest.json"))
    assert set(found) == {IN_GROUP}


def test_another_scan_and_none_tell_nothing_and_say_so(own_built: Path):
    found, note = found_by_scan(own_built, "another")
    assert found == {}
    assert "not the scan that the set was built from" in note
    (own_built / "scan" / "manifest.json").unlink()
    found, note = found_by_scan(own_built, "another")
    assert found == {}
    assert "no finished scan" in note


def test_of_some_images_the_scan_s_verdict_and_sentences_are_there(own_built: Path):
    digest = read_manifest(BuildManifest, own_built / "built").scan_digest
    table = pd.read_parquet(own_built / "scan" / "images.parquet")
    ids = table["id"].tolist()
    words = words_of_scan(own_built, digest, [ids[0], ids[1], "of another set"])
    assert set(words) == {ids[0], ids[1]}
    assert words[ids[0]].verdict == table["verdict"][0]
    assert [sentence.partition(":")[0] for sentence in words[ids[0]].sentences] == ["Colour casts", "Blurred"]
    assert words[ids[1]].sentences == ()
    assert words_of_scan(own_built, "another", ids) == {}
