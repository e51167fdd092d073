import json

import numpy as np
import pandas as pd
import pytest
from manifests import finish_run
from metrics import run_metrics

from curate.stage.errors import DataError
from train.metrics import METRICS, write_metrics
from train.runs import (
    MODEL,
    find_model,
    find_run,
    read_run,
    run_names,
    run_path,
    write_predictions,
)


def finished(artifacts, name):
    folder = run_path(name, artifacts)
    folder.mkdir(parents=True)
    write_metrics(run_metrics(best="fold-1"), folder)
    finish_run(folder, source="built", input_digest="d")
    return folder


def test_a_run_is_found_by_its_name_and_by_its_folder(tmp_path):
    folder = finished(tmp_path, "one")
    assert find_run("one", tmp_path) == folder
    assert find_run(folder, "elsewhere") == folder
    assert read_run("one", tmp_path).metrics == run_metrics(best="fold-1")
    assert read_run(folder, tmp_path).name == "one"


def test_a_run_that_there_is_not_is_told_with_those_that_there_are(tmp_path):
    finished(tmp_path, "one")
    finished(tmp_path, "two")
    assert run_names(tmp_path) == ["one", "two"]
    with pytest.raises(DataError, match=r"no run 'three'.*There are: one, two\."):
        find_run("three", tmp_path)


def test_where_there_is_none_yet_the_command_is_named(tmp_path):
    with pytest.raises(DataError, match="run `train baseline` first"):
        find_run("one", tmp_path)


def test_a_run_without_a_manifest_is_not_finished(tmp_path):
    folder = finished(tmp_path, "one")
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="holds no finished run"):
        read_run("one", tmp_path)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "two words"])
def test_a_name_that_no_folder_should_have_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="is no name of a run"):
        run_path(name, tmp_path)


def test_a_model_is_a_file_or_that_of_a_run(tmp_path):
    folder = finished(tmp_path, "one")
    with pytest.raises(DataError, match="an ensemble has no model"):
        find_model("one", tmp_path)
    (folder / MODEL).write_bytes(b"model")
    assert find_model("one", tmp_path) == folder / MODEL
    assert find_model(folder / MODEL, "elsewhere") == folder / MODEL
    with pytest.raises(DataError, match=r"no model .*other\.keras"):
        find_model(tmp_path / "other.keras", tmp_path)


def test_numbers_that_are_none_are_null_in_the_metrics(tmp_path):
    write_metrics({"a": float("nan"), "b": [1.0, float("inf")], "c": {"d": (0.5,)}}, tmp_path)
    assert json.loads((tmp_path / METRICS).read_text()) == {"a": None, "b": [1.0, None], "c": {"d": [0.5]}}


def test_damaged_metrics_are_told_of(tmp_path):
    folder = finished(tmp_path, "one")
    (folder / METRICS).write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_run("one", tmp_path)


def test_predictions_come_back_as_they_were(tmp_path):
    folder = finished(tmp_path, "one")
    table = pd.DataFrame({"set": ["test"], "id": ["1"], "p0": np.array([0.5], np.float32)})
    write_predictions(table, folder)
    pd.testing.assert_frame_equal(read_run("one", tmp_path).predictions(), table, check_dtype=False)


def test_predictions_that_are_gone_are_told_of(tmp_path):
    finished(tmp_path, "one")
    with pytest.raises(DataError, match="cannot be read"):
        read_run("one", tmp_path).predictions()
