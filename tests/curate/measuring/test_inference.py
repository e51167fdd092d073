import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from curate.measuring.inference import BATCH, import_openvino, load, to_openvino

ROOT = Path(__file__).parents[3]
SIDE, DIMENSIONS = 6, 5


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, DIMENSIONS)).astype(np.float32)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, weights) -> Path:
    """An IR that multiplies the mean colour of pictures of any number with a matrix."""
    openvino = import_openvino()
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, SIDE, SIDE, 3], np.float32)
    colour = ops.reduce_mean(pixels, ops.constant(np.array([1, 2])), keep_dims=False)
    model = openvino.Model([ops.matmul(colour, ops.constant(weights), False, False)], [pixels])
    path = tmp_path_factory.mktemp("ir") / "model.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def expected(pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return pictures.astype(np.float64).mean(axis=(1, 2)) @ weights


def drawn(count: int) -> np.ndarray:
    return np.random.default_rng([1, count]).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_any_number_of_pictures_is_run_in_batches_of_one_size(converted, weights, count):
    found = load(converted, (SIDE, SIDE, 3), 1)(drawn(count))
    assert found.shape == (count, DIMENSIONS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(drawn(count), weights), rtol=1e-4, atol=1e-3)


def test_pictures_may_be_floats_between_the_grey_levels(converted, weights):
    pictures = drawn(3).astype(np.float32) + np.float32(0.25)
    found = load(converted, (SIDE, SIDE, 3), 1, "f32")(pictures)
    np.testing.assert_allclose(found, expected(pictures, weights), rtol=1e-4, atol=1e-3)


def test_a_picture_gives_the_same_in_any_batch_by_any_thread_and_with_any_number_of_workers(converted):
    pictures = drawn(11)
    infer = load(converted, (SIDE, SIDE, 3), 2)
    whole = infer(pictures)
    np.testing.assert_array_equal(np.concatenate([infer(picture[None]) for picture in pictures]), whole)
    np.testing.assert_array_equal(load(converted, (SIDE, SIDE, 3), 1)(pictures), whole)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(infer, [pictures] * 16):
            np.testing.assert_array_equal(found, whole)


def test_pictures_are_not_changed(converted):
    pictures = drawn(5)
    pictures.flags.writeable = False
    load(converted, (SIDE, SIDE, 3), 1)(pictures)
    np.testing.assert_array_equal(pictures, drawn(5))


def test_the_files_may_go_once_a_model_is_loaded(converted, weights, tmp_path):
    for file in (converted, converted.with_suffix(".bin")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    infer = load(tmp_path / converted.name, (SIDE, SIDE, 3), 1)
    for file in tmp_path.iterdir():
        file.unlink()
    np.testing.assert_allclose(infer(drawn(2)), expected(drawn(2), weights), rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def model():
    """A model of Keras: pictures of any number to DIMENSIONS numbers."""
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    maps = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Dense(DIMENSIONS)(keras.layers.GlobalAveragePooling2D()(maps)))


def test_a_model_is_written_as_two_files_and_computes_what_it_did(model, tmp_path):
    path = tmp_path / "model.xml"
    path.write_text("old")
    to_openvino(model, path)
    assert {file.name for file in tmp_path.iterdir()} == {"model.xml", "model.bin"}
    read = import_openvino().Core().read_model(path)
    assert (read.input().any_name, read.input().partial_shape[0].is_dynamic) == ("pixels", True)
    found = load(path, (SIDE, SIDE, 3), 1)(drawn(9))
    np.testing.assert_allclose(found, model.predict(drawn(9), verbose=0), rtol=1e-4, atol=1e-5)


def test_of_a_conversion_that_breaks_nothing_is_left(model, tmp_path, monkeypatch):
    def full(made, path):
        Path(path).with_suffix(".bin").write_bytes(b"half of it")
        raise RuntimeError("no more space")

    monkeypatch.setattr(import_openvino(), "serialize", full)
    with pytest.raises(RuntimeError, match="no more space"):
        to_openvino(model, tmp_path / "model.xml")
    assert list(tmp_path.iterdir()) == []


def test_openvino_sends_no_telemetry():
    script = (
        "import sys; from curate.measuring.inference import import_openvino; import_openvino()\n"
        "print(sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "None", done.stderr
