from dataclasses import replace

import numpy as np
import pytest
from manifests import finish_run
from metrics import run_metrics

import train.inputs
from curate.stage.errors import DataError
from train.configs import EvaluateConfig, RunConfig
from train.inputs import inputs_of, read_inputs
from train.metrics import write_metrics
from train.sets import read_built


@pytest.fixture(scope="module")
def sets(built):
    return read_built(built)


@pytest.fixture
def elsewhere(sets, tmp_path):
    path = tmp_path / "elsewhere.npz"
    np.savez(path, images=sets.test.batch(range(4)), labels=np.array(sets.classes)[sets.test.labels[:4]])
    return str(path)


def test_the_inputs_of_a_run_are_the_build_and_what_its_configuration_names(own_built, elsewhere):
    folder = own_built / "runs" / "plain"
    folder.mkdir(parents=True)
    write_metrics(run_metrics(best="fold-1"), folder)
    finish_run(folder)
    config = RunConfig(evaluate=EvaluateConfig(external=(elsewhere,), baseline="plain"), artifacts=str(own_built))
    inputs = read_inputs(config)
    assert [images.name for images in inputs.external] == ["elsewhere.npz"]
    assert inputs.external[0].classes == inputs.built.classes
    assert inputs.external[0].size == inputs.built.test.size
    assert inputs.baseline.metrics.best == "fold-1"
    assert read_inputs(replace(config, evaluate=EvaluateConfig())).baseline is None


def test_a_build_that_is_read_already_is_not_read_again(sets, built, monkeypatch):
    monkeypatch.setattr(train.inputs, "read_built", None)
    assert read_inputs(RunConfig(artifacts=str(built)), sets).built is sets


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"external": ("nowhere.npz",)}, "nowhere.npz"),
        ({"baseline": "nobody"}, "no run 'nobody'"),
    ],
)
def test_what_is_not_there_is_told(sets, options, words):
    with pytest.raises(DataError, match=words):
        inputs_of(sets, EvaluateConfig(**options))


def test_a_name_that_a_recipe_cannot_hold_is_told_before_anything_is_fitted(sets, built):
    with pytest.raises(DataError, match="no UTF-8"):
        read_inputs(RunConfig(evaluate=EvaluateConfig(external=("a\udcff",)), artifacts=str(built)), sets)
