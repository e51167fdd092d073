import keras
import numpy as np
import pytest
from keras import ops

from train.layers import CBAM, Colours, Resize, SqueezeExcitation
from train.resizing import by_bands

# Of Keras, when it reads a variable of TensorFlow with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = [(40, 33), (24, 20), (9, 50), (7, 5)]


def drawn(height: int = 24, width: int = 20, count: int = 3) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 256, (count, height, width, 3), np.uint8)


def maps(channels: int = 32) -> np.ndarray:
    return np.random.default_rng(channels).normal(size=(2, 5, 4, channels)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def stirred(layer: keras.layers.Layer, given: np.ndarray) -> keras.layers.Layer:
    """The layer, built for what it is given, with weights drawn anew."""
    if not layer.built:
        layer.build(given.shape)
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(0, 0.3, weight.shape) for weight in layer.weights])
    return layer


# Resizing


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_resized_by_the_bands_of_two_matrices(size):
    found = ops.convert_to_numpy(Resize(*size)(drawn()))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_bands(drawn().astype(np.float32), size, np), rtol=1e-5, atol=2e-3)


@pytest.mark.parametrize("size", [(9, 7), (24, 10), (23, 19)])
def test_shrunk_pictures_are_those_that_keras_averages(size):
    expected = ops.image.resize(drawn().astype(np.float32), size, interpolation="bilinear", antialias=True)
    found = Resize(*size)(drawn())
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-2)


def test_the_size_is_known_before_there_are_pictures():
    made = Resize(40, 33)(keras.Input((24, 20, 3), dtype="uint8"))
    assert made.shape == (None, 40, 33, 3)
    assert made.dtype == "float32"


def test_half_precision_rounds_what_was_resized_and_not_what_it_is_made_of():
    found = ops.convert_to_numpy(Resize(40, 33, dtype="mixed_float16")(drawn()))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, ops.convert_to_numpy(Resize(40, 33)(drawn())).astype(np.float16))


# Colours


def test_colours_are_a_product_with_a_matrix_and_an_offset():
    rng = np.random.default_rng(0)
    matrix, offset = rng.normal(size=(3, 3)), rng.normal(size=3)
    found = ops.convert_to_numpy(Colours(matrix, offset)(drawn().astype(np.float32)))
    np.testing.assert_allclose(found, drawn() @ matrix + offset, rtol=1e-4, atol=1e-3)


# Attention


def test_attention_begins_by_weighing_all_alike():
    given = maps()
    np.testing.assert_allclose(ops.convert_to_numpy(SqueezeExcitation()(given)), given / 2, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(CBAM()(given)), given / 4, rtol=1e-6)


def test_a_channel_is_weighed_by_the_means_of_all():
    given = maps()
    layer = stirred(SqueezeExcitation(ratio=4), given)
    narrow, bias, wide, last = layer.get_weights()
    assert narrow.shape == (32, 8)
    weights = sigmoid(np.maximum(given.mean(axis=(1, 2)) @ narrow + bias, 0) @ wide + last)
    expected = given * weights[:, None, None]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(given)), expected, rtol=1e-4, atol=1e-5)


def test_cbam_weighs_channels_by_means_and_maxima_and_then_places():
    given = maps()
    layer = stirred(CBAM(ratio=4, kernel=3), given)
    told = {weight.path.rpartition("cbam")[2].partition("/")[2]: weight.numpy() for weight in layer.weights}

    def weigh(x):
        return (
            np.maximum(x @ told["squeeze/kernel"] + told["squeeze/bias"], 0) @ told["excite/kernel"]
            + (told["excite/bias"])
        )

    weighed = given * sigmoid(weigh(given.mean(axis=(1, 2))) + weigh(given.max(axis=(1, 2))))[:, None, None]
    both = np.pad(np.stack([weighed.mean(axis=-1), weighed.max(axis=-1)], axis=-1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(both, (3, 3), axis=(1, 2))  # n, h, w, 2, 3, 3
    places = sigmoid(np.einsum("nhwcij,ijco->nhwo", windows, told["places/kernel"]) + told["places/bias"])
    np.testing.assert_allclose(ops.convert_to_numpy(layer(given)), weighed * places, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [SqueezeExcitation, CBAM])
def test_the_layer_between_has_eight_units_at_least(block):
    layer = block()
    layer.build((None, 5, 4, 16))
    assert layer.squeeze.units == 8


@pytest.mark.parametrize("block", [SqueezeExcitation, CBAM])
def test_all_of_attention_learns(block):
    layer = stirred(block(), maps())
    model = keras.Sequential([keras.Input((5, 4, 32)), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    before = layer.get_weights()
    model.train_on_batch(maps(), np.ones((2, 32), np.float32))
    assert all((old != new).any() for old, new in zip(before, layer.get_weights(), strict=True))


# Files


def test_a_model_of_these_layers_is_saved_and_read_again(tmp_path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((24, 20, 3), dtype="uint8")
    x = Colours(np.eye(3)[::-1] / 127.5, [-1.0, -0.5, 0.0], name="colours")(Resize(32, 40, name="resize")(pixels))
    x = keras.layers.Conv2D(16, 3)(x)
    x = CBAM(ratio=2, kernel=5, name="cbam")(SqueezeExcitation(ratio=2, name="se")(x))
    model = keras.Model(pixels, x)
    for name in ("se", "cbam"):
        stirred(model.get_layer(name), np.zeros((1, 30, 38, 16)))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(drawn())), np.asarray(model(drawn())))
    for layer in model.layers[1:]:
        assert again.get_layer(layer.name).get_config() == layer.get_config()
        assert type(again.get_layer(layer.name)) is type(layer)
