import warnings

import keras
import numpy as np
import pytest

from curate.measuring import backbones
from curate.measuring.backbones import (
    WeightsUnavailable,
    application,
    application_model,
    carried,
    feature_model,
    load_weights,
)
from curate.stage.errors import DataError, UnknownName

# Of Keras, when it reads a variable of TensorFlow with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAME = "MobileNetV2-0.35"


def drawn(side: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.float32)


def test_a_name_may_end_in_a_width():
    construct, module, options = application(NAME)
    assert construct is keras.applications.MobileNetV2
    assert module is keras.applications.mobilenet_v2
    assert options == {"alpha": 0.35}
    assert application("ResNet50")[2] == {}


def test_a_name_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"no backbone named 'ResNet5'\. Did you mean 'ResNet50'\?"):
        application("ResNet5")


@pytest.mark.parametrize("name", ["MobileNetV2-wide", "MobileNetV2--1", "ResNet50-0.5"])
def test_a_width_must_be_a_number_and_the_family_must_have_widths(name):
    with pytest.raises(DataError, match=name):
        application(name)


def test_features_are_the_means_of_the_map_of_what_the_family_makes_of_pixels():
    keras.utils.set_random_seed(0)
    features = feature_model(NAME, 32, "random")
    (network,) = (layer for layer in features.layers if isinstance(layer, keras.Model))
    bare = application_model(NAME, 32, "random")
    bare.set_weights(network.get_weights())
    prepared = keras.applications.mobilenet_v2.preprocess_input(drawn(32))
    maps = np.asarray(bare(prepared))
    assert maps.shape == (2, 1, 1, 1280)
    np.testing.assert_allclose(np.asarray(features(drawn(32))), maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_weights_are_read_as_they_were_saved(tmp_path):
    path = str(tmp_path / "mine.weights.h5")
    saved = application_model(NAME, 32, "random")
    saved.save_weights(path)
    for found, expected in zip(application_model(NAME, 64, path).get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_weights_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no weights file .*none\.h5"):
        application_model(NAME, 32, str(tmp_path / "none.h5"))


@pytest.mark.parametrize("name", ["mine.weights.h5", "mine.h5", "mine.txt"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=rf"{name} does not hold weights of {NAME}"):
        application_model(NAME, 32, str(tmp_path / name))


def test_the_model_of_somebody_else_is_refused_in_a_line(tmp_path):
    import keras

    layers = [keras.layers.Dense(3, name=f"a_layer_of_another_network_{number}") for number in range(60)]
    keras.Sequential([keras.Input((8,)), *layers]).save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=rf"other\.keras does not hold weights of {NAME}") as told:
        application_model(NAME, 32, str(tmp_path / "other.keras"))
    assert len(str(told.value)) < 500
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("width", ["1e9", "0", "-1", "nan", "inf", "1e-9"])
def test_a_width_that_no_network_has_is_refused(width):
    with pytest.raises(DataError, match=r"is no width. Write a number from 0.05 to 8"):
        application(f"MobileNetV2-{width}")


def test_an_archive_of_something_else_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match=r"other\.h5 does not hold weights of Some"):
        load_weights(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "Some", str(tmp_path / "other.h5"))


# ImageNet's weights, without the network


def network(side: int | None, published: bool) -> keras.Model:
    """What EfficientNet begins with: one layer more where its weights are ImageNet's."""
    pixels = keras.Input((side, side, 3))
    x = keras.layers.Normalization(name="normalization")(pixels)
    if published:
        x = keras.layers.Rescaling([1.0, 2.0, 3.0])(x)
    return keras.Model(pixels, keras.layers.Conv2D(4, 3, name="conv")(x))


@pytest.mark.parametrize("published", [False, True], ids=["as it is", "with the layer that Keras adds"])
def test_weights_carried_to_another_size_leave_the_network_what_it_is(published):
    given = network(None, published)
    normalization = given.get_layer("normalization")
    normalization.adapt(np.random.default_rng(1).normal(3, 2, (50, 4, 4, 3)))
    made = carried(given, network(8, False))
    assert made.input_shape == (None, 8, 8, 3)
    pixels = drawn(8) / 255
    np.testing.assert_allclose(np.asarray(made(pixels)), np.asarray(given(pixels)), rtol=1e-5)


def imagenet(monkeypatch, construct) -> None:
    monkeypatch.setattr(backbones, "application", lambda name: (construct, None, {}))


def test_the_published_network_is_built_at_its_own_size_and_says_nothing_of_it(monkeypatch):
    asked = []

    def construct(*, include_top, weights, pooling, input_shape=None):
        asked.append((weights, input_shape))
        if weights:
            warnings.warn("Weights for input shape (224, 224) will be loaded as the default.", stacklevel=2)
        return network(input_shape[0] if input_shape else None, False)

    imagenet(monkeypatch, construct)
    assert application_model("Some", 32, "imagenet").input_shape == (None, 32, 32, 3)
    assert asked == [(None, (32, 32, 3)), ("imagenet", None)]


@pytest.mark.parametrize("error", [Exception("URL fetch failure on x"), OSError("read-only")], ids=["offline", "disk"])
def test_weights_that_cannot_be_fetched_are_told_from_a_bug(monkeypatch, error):
    def construct(*, weights, **options):
        if weights:
            raise error
        return network(8, False)

    imagenet(monkeypatch, construct)
    with pytest.raises(WeightsUnavailable, match=f"no ImageNet weights for Some: {error}"):
        application_model("Some", 32, "imagenet")


def test_any_other_failure_is_passed_on(monkeypatch):
    def construct(*, weights, **options):
        if weights:
            raise ZeroDivisionError("boom")
        return network(8, False)

    imagenet(monkeypatch, construct)
    with pytest.raises(ZeroDivisionError, match="boom"):
        application_model("Some", 32, "imagenet")
