import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs import ScanConfig
from curate.scans import CleaningEffect, ScanManifest
from curate.stage.errors import DataError, OutputError
from curate.stage.manifest import (
    FORMAT,
    Output,
    check_outputs,
    file_digest,
    outputs_of,
    read_manifest,
    versions_in_use,
    write_manifest,
)

CONFIG = ScanConfig(drop=("dark",), thresholds={"leak": 0.75}, seed=3)


def written(folder, config=CONFIG, outputs=("images.parquet",), **changes):
    (folder / "images.parquet").write_bytes(b"table")
    known = {
        "source": "/data/cells.npz",
        "input_digest": "abc",
        "counts": {"images": 12, "drop": 3},
        "timings": {"reading": 0.25},
        "embedder": "builtin",
        "embedder_digest": "builtin-1",
        "effect": None,
    }
    outputs = outputs_of({Path(name).stem: folder / name for name in outputs})
    manifest = ScanManifest(
        config=config, seed=config.seed, outputs=outputs, versions=versions_in_use(), **(known | changes)
    )
    return write_manifest(manifest, folder)


def test_what_is_written_is_read(tmp_path):
    assert written(tmp_path, effect=CleaningEffect(0.8, 0.9, 0.85, 0.95, 100)) == tmp_path / "manifest.json"
    found = read_manifest(ScanManifest, tmp_path)
    assert found.format == FORMAT
    assert found.stage == "scan"
    assert found.source == "/data/cells.npz"
    assert found.input_digest == "abc"
    assert found.counts == {"images": 12, "drop": 3}
    assert found.timings == {"reading": 0.25}
    assert found.seed == 3
    assert found.embedder == "builtin"
    assert found.effect == CleaningEffect(0.8, 0.9, 0.85, 0.95, 100)


def test_the_whole_configuration_is_in_it_and_makes_the_same_one_again(tmp_path):
    written(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    unwritten = {"classes_from", "splits_from", "groups_from", "value_range", "max_pixels"}  # where nobody gave them
    unwritten |= {"embeddings", "probabilities", "review_budget"}
    options = json.loads(json.dumps(asdict(CONFIG)))
    assert document["config"] == {name: value for name, value in options.items() if name not in unwritten}
    assert read_manifest(ScanManifest, tmp_path).config == CONFIG


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"embeder": "builtin"}, "embeder"), ({"counts": [3]}, "counts"), ({"seed": "3"}, "seed")],
)
def test_what_is_not_known_or_of_another_type_is_refused_by_name(tmp_path, change, complaint):
    path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=rf"{complaint}.*Run `curate scan` again"):
        read_manifest(ScanManifest, tmp_path)


@settings(deadline=None, max_examples=20)
@given(source=st.text(), count=st.integers(), threshold=st.floats(0.001, 1))
def test_any_text_and_number_comes_back(tmp_path_factory, source, count, threshold):
    folder = tmp_path_factory.mktemp("scan")
    written(folder, ScanConfig(thresholds={"dark": threshold}), source=source, counts={"images": count})
    found = read_manifest(ScanManifest, folder)
    assert (found.source, found.counts["images"]) == (source, count)
    assert found.config.thresholds["dark"] == threshold


def test_outputs_are_named_with_digests_of_their_bytes(tmp_path):
    written(tmp_path)
    expected = hashlib.blake2b(b"table", digest_size=16).hexdigest()
    assert read_manifest(ScanManifest, tmp_path).outputs == {"images": Output("images.parquet", expected)}
    assert file_digest(tmp_path / "images.parquet") == expected


def test_outputs_are_checked_by_their_digests(tmp_path):
    written(tmp_path)
    manifest = read_manifest(ScanManifest, tmp_path)
    check_outputs(manifest, tmp_path, ("images", "of which nothing is known"))
    (tmp_path / "images.parquet").write_bytes(b"tablE")
    with pytest.raises(DataError, match=r"images\.parquet is not what `curate scan` wrote: .* Run `curate scan` again"):
        check_outputs(manifest, tmp_path, ("images",))
    (tmp_path / "images.parquet").unlink()  # of which its reader tells
    check_outputs(manifest, tmp_path, ("images",))


def test_the_versions_of_what_was_used_are_in_it(tmp_path):
    written(tmp_path)
    versions = read_manifest(ScanManifest, tmp_path).versions
    assert {"python", "trustset", "numpy", "scikit-learn", "openvino", "keras"} <= set(versions)
    assert all(version[0].isdigit() for version in versions.values())


def test_without_a_manifest_the_stage_is_not_finished(tmp_path):
    with pytest.raises(DataError, match=r"holds no finished scan.*Run `curate scan` first"):
        read_manifest(ScanManifest, tmp_path)
    with pytest.raises(DataError, match="holds no finished scan"):
        read_manifest(ScanManifest, tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
def test_a_manifest_that_is_none_says_to_run_the_stage_again(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="Run `curate scan` again"):
        read_manifest(ScanManifest, tmp_path)


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": None}, {"stage": "built"}])
def test_a_manifest_of_another_format_or_stage_is_refused(tmp_path, change):
    path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="needed is 'scan', format 1"):
        read_manifest(ScanManifest, tmp_path)


def test_a_manifest_that_cannot_be_written_is_no_half_of_one(tmp_path):
    written(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(OSError, match="gone"):
        written(tmp_path, outputs=("gone.parquet",))
    assert (tmp_path / "manifest.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_manifest(read_manifest(ScanManifest, tmp_path), tmp_path / "file")
