import hashlib
import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs import ScanConfig
from curate.stage.errors import DataError, OutputError
from curate.stage.manifest import FORMAT, file_digest, read_manifest, write_manifest

CONFIG = ScanConfig(drop=("dark",), thresholds={"leak": 0.75}, seed=3)


def written(folder, config=CONFIG, **changes):
    (folder / "images.parquet").write_bytes(b"table")
    known = {
        "source": "/data/cells.npz",
        "input_digest": "abc",
        "outputs": {"images": folder / "images.parquet"},
        "counts": {"images": 12, "drop": 3},
        "timings": {"reading": 0.25},
    }
    return write_manifest(folder, "scan", config, **(known | changes))


def test_what_is_written_is_read(tmp_path):
    assert written(tmp_path, extra={"embedder": "builtin"}) == tmp_path / "manifest.json"
    found = read_manifest(tmp_path, "scan")
    assert found["format"] == FORMAT
    assert found["stage"] == "scan"
    assert found["source"] == "/data/cells.npz"
    assert found["input_digest"] == "abc"
    assert found["counts"] == {"images": 12, "drop": 3}
    assert found["timings"] == {"reading": 0.25}
    assert found["seed"] == 3
    assert found["embedder"] == "builtin"


def test_the_whole_configuration_is_in_it_and_makes_the_same_one_again(tmp_path):
    written(tmp_path)
    config = read_manifest(tmp_path, "scan")["config"]
    assert config == json.loads(json.dumps(asdict(CONFIG)))
    as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    assert ScanConfig(**as_tuples) == CONFIG


@settings(deadline=None, max_examples=20)
@given(source=st.text(), count=st.integers(), threshold=st.floats(0.001, 1))
def test_any_text_and_number_comes_back(tmp_path_factory, source, count, threshold):
    folder = tmp_path_factory.mktemp("scan")
    written(folder, ScanConfig(thresholds={"dark": threshold}), source=source, counts={"images": count})
    found = read_manifest(folder, "scan")
    assert (found["source"], found["counts"]["images"]) == (source, count)
    assert found["config"]["thresholds"]["dark"] == threshold


def test_outputs_are_named_with_digests_of_their_bytes(tmp_path):
    written(tmp_path)
    expected = hashlib.blake2b(b"table", digest_size=16).hexdigest()
    assert read_manifest(tmp_path, "scan")["outputs"] == {"images": {"path": "images.parquet", "digest": expected}}
    assert file_digest(tmp_path / "images.parquet") == expected


def test_the_versions_of_what_was_used_are_in_it(tmp_path):
    written(tmp_path)
    versions = read_manifest(tmp_path, "scan")["versions"]
    assert {"python", "trustset", "numpy", "scikit-learn", "openvino", "keras"} <= set(versions)
    assert all(version[0].isdigit() for version in versions.values())


def test_without_a_manifest_the_stage_is_not_finished(tmp_path):
    with pytest.raises(DataError, match=r"holds no finished scan.*Run `curate scan` first"):
        read_manifest(tmp_path, "scan")
    with pytest.raises(DataError, match="holds no finished scan"):
        read_manifest(tmp_path / "nowhere", "scan")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
def test_a_manifest_that_is_none_says_to_run_the_stage_again(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="Run `curate scan` again"):
        read_manifest(tmp_path, "scan")


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": None}, {"stage": "built"}])
def test_a_manifest_of_another_format_or_stage_is_refused(tmp_path, change):
    path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="needed is 'scan', format 1"):
        read_manifest(tmp_path, "scan")


def test_a_manifest_that_cannot_be_written_is_no_half_of_one(tmp_path):
    written(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(OSError, match="gone"):
        written(tmp_path, outputs={"images": tmp_path / "gone.parquet"})
    assert (tmp_path / "manifest.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_manifest(tmp_path / "file", "scan", CONFIG, source="", input_digest="", outputs={}, counts={}, timings={})
