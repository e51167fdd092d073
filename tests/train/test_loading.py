import keras
import numpy as np
import pytest

from curate.stage.errors import DataError
from train.backbones import CNN
from train.configs import ModelConfig
from train.loading import backbones_of, head_of, load_model
from train.models import build_model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    config = ModelConfig(backbone=(CNN,), weights="random", input_size=32, dense=(6,))
    return build_model(config, (24, 24), 3).model


def test_a_saved_model_is_read_with_its_parts(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert [network.name for network in backbones_of(loaded)] == [network.name for network in backbones_of(model)]
    for ours, theirs in zip(head_of(model).get_weights(), head_of(loaded).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_head_goes_from_features_to_a_logit_of_each_class(model):
    assert head_of(model).input_shape == (None, backbones_of(model)[0].output_shape[-1])
    assert head_of(model).output_shape == (None, 3)


def test_a_model_of_another_make_is_refused(tmp_path):
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=r"other\.keras holds a model of another make\. Needed is the model\.keras"):
        load_model(tmp_path / "other.keras")


def test_a_file_that_is_no_model_is_refused_in_a_line(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"model\.keras cannot be read as a model \([^\n]+$"):
        load_model(tmp_path / "model.keras")
