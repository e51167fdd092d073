import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from curate.measuring import backbones, choosing
from curate.measuring.backbones import WeightsUnavailable
from curate.stage.errors import DataError
from train.backbones import CNN
from train.configs import ModelConfig
from train.layers import CBAM, SqueezeExcitation
from train.models import (
    backbones_of,
    build_model,
    frozen_features,
    head_of,
    load_model,
    on_openvino,
    runner,
    set_trainable,
)

# Of Keras, when it reads a variable of TensorFlow with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
KERAS_HOME = ROOT / "../shared/keras"
WEIGHTS = KERAS_HOME / "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="no ImageNet weights beside the project")
CLASSES = 3
NARROW = "MobileNet-0.25"


def config(*names: str, **options) -> ModelConfig:
    return ModelConfig(**({"backbone": names or (CNN,), "weights": "random", "input_size": 32} | options))


def built(*names: str, side: int = 24, policy: str = "float32", **options):
    keras.utils.set_random_seed(0)
    return build_model(config(*names, **options), (side, side), CLASSES, policy)


@pytest.fixture(scope="module")
def small():
    """A model of the small network, which no test trains."""
    return built()


def drawn(count: int = 5, side: int = 24) -> np.ndarray:
    return np.random.default_rng([count, side]).integers(0, 256, (count, side, side, 3), np.uint8)


def said(model, images: np.ndarray, **how) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, **how))


def fitted(model, steps: int = 2) -> None:
    model.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy", jit_compile=False)
    for _ in range(steps):
        model.train_on_batch(drawn(6), np.eye(CLASSES, dtype=np.float32)[np.arange(6) % CLASSES])


def norms(model) -> list:
    (network,) = backbones_of(model)
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


# Layout


def test_a_model_is_its_blocks_in_order():
    model = built(CNN, NARROW, attention="se").model
    assert [layer.name for layer in model.layers if layer.name[-1] != "1"] == [
        "pixels", "resize", "colours_0", "backbone_0", "attention_0", "pool_0", "features", "head", "probabilities",
    ]  # fmt: skip
    assert {layer.name for layer in model.layers if layer.name[-1] == "1"} == {
        "colours_1", "backbone_1", "attention_1", "pool_1",
    }  # fmt: skip
    assert [network.output_shape[-1] for network in backbones_of(model)] == [256, 256]
    assert model.get_layer("features").output.shape == (None, 512)


def test_bytes_go_in_and_probabilities_come_out(small):
    assert small.model.input.dtype == "uint8"
    assert small.model.input_shape == (None, 24, 24, 3)
    found = said(small.model, drawn())
    assert found.shape == (5, CLASSES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (small.backbones, small.side, small.notes) == ((CNN,), 32, ())


def test_pictures_need_not_be_square():
    model = build_model(config(), (20, 28), CLASSES).model
    assert model.input_shape == (None, 20, 28, 3)
    assert backbones_of(model)[0].input_shape == (None, 32, 32, 3)


def test_by_default_the_backbone_sees_more_than_the_pictures_have():
    assert built(side=70, input_size=None).side == 128


def test_a_backbone_that_is_asked_to_see_too_little_is_an_error():
    with pytest.raises(DataError, match=r"--input-size 16 is below the 32 pixels that MobileNet-0\.25 needs"):
        built(NARROW, input_size=16)


def test_the_head_is_the_dense_layers_that_are_asked_for():
    head = head_of(built(dense=(12, 7), dropout=0.3, head_norm=True, l2=0.01).model)
    assert [type(layer).__name__ for layer in head.layers] == [
        *(["Dropout", "Dense", "BatchNormalization", "ReLU"] * 2), "Dropout", "Dense",
    ]  # fmt: skip
    assert [layer.units for layer in head.layers if isinstance(layer, keras.layers.Dense)] == [12, 7, CLASSES]
    assert {layer.rate for layer in head.layers if isinstance(layer, keras.layers.Dropout)} == {0.3}
    assert head.layers[-1].name == "logits"
    weights = sum(float((layer.get_weights()[0] ** 2).sum()) for layer in head.layers if hasattr(layer, "units"))
    assert float(sum(head.losses)) == pytest.approx(0.01 * weights, rel=1e-5)


def test_without_a_penalty_there_is_none(small):
    assert small.model.losses == []


@pytest.mark.parametrize(("attention", "block"), [("se", SqueezeExcitation), ("cbam", CBAM)])
def test_attention_stands_between_backbone_and_pooling(attention, block):
    model = built(attention=attention).model
    assert type(model.get_layer("attention_0")) is block
    assert model.get_layer("pool_0").input is model.get_layer("attention_0").output


def test_the_same_seed_gives_the_same_model():
    one, two = built(dense=(4,)), built(dense=(4,))
    assert one.digests == two.digests
    np.testing.assert_array_equal(said(one.model, drawn()), said(two.model, drawn()))


# Weights


def unavailable(monkeypatch, *names: str) -> list[str]:
    """ImageNet's weights of these backbones cannot be had; what is asked for is noted."""
    asked = []

    def published(name, pooling):
        asked.append(name)
        if name in names:
            raise WeightsUnavailable(f"no ImageNet weights for {name}: offline.")
        return backbones.application_model(name, 32, "random")

    monkeypatch.setattr(backbones, "_published", published)
    monkeypatch.setattr(choosing, "_hub_answers", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return asked


def test_without_weights_auto_is_the_next_that_has_some_and_says_so(monkeypatch):
    asked = unavailable(monkeypatch, "MobileNetV2-0.35")
    classifier = built("auto", weights="imagenet")
    assert asked == ["MobileNetV2-0.35", "EfficientNetLite0"]
    assert classifier.backbones == ("EfficientNetLite0",)
    assert classifier.notes == (
        "no weights of MobileNetV2-0.35 are to be had here, so EfficientNetLite0 is fitted instead",
    )


def test_without_any_weights_auto_is_the_small_network_and_says_so(monkeypatch):
    unavailable(monkeypatch, "MobileNetV2-0.35", "EfficientNetLite0")
    classifier = built("auto", weights="imagenet")
    assert classifier.backbones == (CNN,)
    (note,) = classifier.notes
    assert "no weights of MobileNetV2-0.35 or EfficientNetLite0" in note
    assert "cnn" in note


def test_without_weights_the_others_keep_theirs(monkeypatch):
    unavailable(monkeypatch, "MobileNetV2-0.35", "EfficientNetLite0")
    assert built("auto", NARROW, weights="imagenet").backbones == (CNN, NARROW)


@pytest.mark.parametrize("names", [(NARROW,), ("auto", NARROW)])
def test_a_backbone_asked_for_by_name_is_an_error_without_its_weights(monkeypatch, names):
    unavailable(monkeypatch, NARROW)
    with pytest.raises(
        DataError, match=r"no ImageNet weights for MobileNet-0\.25: offline\..*--weights.*--backbone cnn"
    ):
        built(*names, weights="imagenet")


def test_weights_are_those_of_the_file_that_is_given(tmp_path, small):
    path = str(tmp_path / "mine.weights.h5")
    backbones_of(small.model)[0].save_weights(path)
    keras.utils.set_random_seed(1)
    assert build_model(config(weights=path), (24, 24), CLASSES).digests == small.digests


@needs_weights
@pytest.mark.slow
def test_by_default_the_backbone_begins_with_the_weights_of_imagenet():
    script = (
        "from train.configs import ModelConfig; from train.models import build_model\n"
        "made = build_model(ModelConfig(), (24, 24), 3)\n"
        "print(*made.backbones, made.side, *made.digests, *made.notes)"
    )
    home = {"KERAS_HOME": str(KERAS_HOME.resolve()), "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "error::UserWarning"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | home
    )
    assert done.returncode == 0, done.stderr
    given = build_model(ModelConfig(("MobileNetV2-0.35",), str(WEIGHTS)), (24, 24), 3)
    assert done.stdout.split() == ["MobileNetV2-0.35", "96", *given.digests]


# What learns


@pytest.mark.parametrize(("share", "learning"), [(0, 0), (0.5, 8), (0.6, 10), (1, 17)])
def test_the_last_share_of_the_backbone_learns_and_all_after_it(share, learning):
    model = built(attention="se").model
    set_trainable(model, share, "train")
    (network,) = backbones_of(model)
    assert len(network.layers) == 17
    assert [layer.trainable for layer in network.layers] == [False] * (17 - learning) + [True] * learning
    assert head_of(model).trainable
    assert model.get_layer("attention_0").trainable


def test_what_learns_can_be_set_anew_for_each_stage():
    model = built().model
    counts = []
    for share in (0.0, 1.0, 0.3, 0.0):
        set_trainable(model, share, "train")
        counts.append(len(model.trainable_weights))
    assert counts == [2, 14, 5, 2]


def test_a_share_counts_for_each_of_several_backbones():
    model = built(CNN, NARROW).model
    set_trainable(model, 0.5, "train")
    for network in backbones_of(model):
        assert sum(layer.trainable for layer in network.layers) == round(len(network.layers) / 2)


def test_a_backbone_that_begins_from_nothing_learns_whole_whatever_is_asked_for():
    classifier = built(CNN, NARROW)
    assert classifier.fresh == (0, 1)  # NARROW with weights by chance
    set_trainable(classifier.model, 0.5, "frozen", fresh=(0,))
    fresh, other = backbones_of(classifier.model)
    assert all(layer.trainable for layer in fresh.layers)
    assert not all(layer.trainable for layer in other.layers)


def test_frozen_batch_normalisation_neither_learns_nor_gathers_statistics():
    model = built(dropout=0).model
    set_trainable(model, 1, "frozen")
    before = [layer.get_weights() for layer in norms(model)]
    fitted(model)
    assert len(before) == 4
    for layer, old in zip(norms(model), before, strict=True):
        np.testing.assert_array_equal(layer.get_weights(), old)
    np.testing.assert_allclose(said(model, drawn(), training=True), said(model, drawn(), training=False), rtol=1e-5)


def test_batch_normalisation_that_trains_does_so_where_the_layers_about_it_do():
    model = built(dropout=0).model
    set_trainable(model, 0.5, "train")
    before = [layer.get_weights() for layer in norms(model)]
    fitted(model)
    changed = [
        all((new != past).any() for new, past in zip(layer.get_weights(), old, strict=True))
        for layer, old in zip(norms(model), before, strict=True)
    ]
    assert changed == [False, False, True, True]
    assert np.abs(said(model, drawn(), training=True) - said(model, drawn(), training=False)).max() > 1e-3


def test_what_does_not_learn_stays_as_it_is():
    model = built(attention="cbam").model
    set_trainable(model, 0, "frozen")
    (network,) = backbones_of(model)
    before = network.get_weights()
    fitted(model)
    for new, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


# Precision


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_the_backbones_and_not_of_what_goes_in_or_comes_out(policy):
    model = built(policy=policy, dense=(4,)).model
    assert backbones_of(model)[0].output.dtype == policy.removeprefix("mixed_")
    for name in ("resize", "colours_0", "pool_0", "features"):
        assert model.get_layer(name).output.dtype == "float32"
    assert head_of(model).layers[-1].compute_dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    found = said(model, drawn())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, said(built(dense=(4,)).model, drawn()), atol=0.01)


def test_precision_is_that_of_the_model_alone(monkeypatch):
    built(policy="mixed_float16")
    assert keras.config.dtype_policy().name == "float32"
    unavailable(monkeypatch, NARROW)
    with pytest.raises(DataError):
        built(NARROW, weights="imagenet", policy="mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


# Files


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"attention": "cbam", "dense": (8,), "head_norm": True, "l2": 0.1}, {"policy": "mixed_bfloat16"}],
    ids=["plain", "all of it", "bfloat16"],
)
def test_a_saved_model_says_the_same_when_it_is_read(tmp_path, options):
    model = built(CNN, NARROW, **options).model
    fitted(model)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(said(again, drawn()), said(model, drawn()))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert len(backbones_of(again)) == 2


@pytest.mark.slow
def test_a_saved_model_is_read_in_a_process_that_has_seen_none(tmp_path, small):
    small.model.save(tmp_path / "model.keras")
    script = f"from train.models import load_model; print(load_model({str(tmp_path / 'model.keras')!r}).output_shape)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "(None, 3)", done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.keras", None), ("text.keras", b"not a model"), ("empty.keras", b""), ("folder", None), ("x.txt", b"x")],
)
def test_a_file_that_is_no_model_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    elif name == "folder":
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name} cannot be read as a model"):
        load_model(tmp_path / name)


def test_an_archive_of_something_else_is_named(tmp_path):
    np.savez(tmp_path / "data.npz", images=drawn())
    with pytest.raises(DataError, match=r"data\.keras cannot be read as a model"):
        load_model((tmp_path / "data.npz").rename(tmp_path / "data.keras"))


def test_a_model_cut_short_is_named(tmp_path, small):
    small.model.save(tmp_path / "model.keras")
    whole = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.keras cannot be read as a model"):
        load_model(tmp_path / "cut.keras")


def test_a_model_of_another_make_is_named(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=r"other\.keras holds a model of another make\. Needed is the model\.keras"):
        load_model(tmp_path / "other.keras")


# Without Keras' own way


@pytest.fixture(scope="module")
def features_of(small):
    return frozen_features(small, 2)


def by_keras(model, output: str, images: np.ndarray) -> np.ndarray:
    return said(keras.Model(model.input, model.get_layer(output).output), images)


@pytest.mark.parametrize("count", [0, 1, 5, 150])
def test_features_are_what_the_head_is_given(small, features_of, count):
    images = drawn(count)
    found = features_of(images)
    assert found.shape == (count, 256)
    assert found.dtype == np.float32
    if count:
        np.testing.assert_allclose(found, by_keras(small.model, "features", images), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(head_of(small.model)(found).numpy(), logits(small.model, images), atol=1e-3)


def logits(model, images: np.ndarray) -> np.ndarray:
    return said(keras.Model(model.input, model.get_layer("probabilities").input), images)


def test_a_picture_has_the_same_features_in_any_batch_and_with_any_number_of_workers(small, features_of):
    images = drawn(70)
    whole = features_of(images)
    np.testing.assert_array_equal(np.concatenate([features_of(image[None]) for image in images]), whole)
    np.testing.assert_array_equal(frozen_features(small, 1)(images), whole)


def test_on_a_gpu_keras_itself_gives_them(monkeypatch, small, features_of):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: [f"{kind}:0"])
    by_itself = frozen_features(small, 2)
    for count in (0, 3, 70):
        found = by_itself(drawn(count))
        assert found.shape == (count, 256)
        np.testing.assert_allclose(found, features_of(drawn(count)), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_openvino_says_what_keras_says_of_every_part(policy):
    model = built(CNN, NARROW, attention="cbam", dense=(8,), head_norm=True, policy=policy).model
    fitted(model)
    tolerance = 1e-4 if policy == "float32" else 0.02
    found = on_openvino(model, "probabilities", 1)(drawn(9))
    np.testing.assert_allclose(found, said(model, drawn(9)), atol=tolerance)
    assert runner(model, "pool_1", 1)(drawn(9)).shape == (9, 256)


@pytest.mark.slow
@pytest.mark.parametrize("side", [20, 33, 50, 64], ids=["up", "one down", "down", "far down"])
def test_openvino_resizes_as_keras_does_where_the_whole_model_is_exported(tmp_path, side):
    from curate.measuring.inference import load, to_openvino

    model = built(side=side).model
    to_openvino(model, tmp_path / "whole.xml")
    found = load(tmp_path / "whole.xml", (side, side, 3), 1)(drawn(9, side))
    np.testing.assert_allclose(found, said(model, drawn(9, side)), atol=1e-4)


# Other backends

ON_ANY = """
import sys
import keras, numpy as np
from train.configs import ModelConfig
from train.models import build_model, frozen_features, load_model, set_trainable

assert keras.backend.backend() == sys.argv[1]
images = np.load(sys.argv[2] + "/images.npy")
classifier = build_model(ModelConfig(("cnn",), "random", 32, attention="cbam"), (24, 24), 3)
model = classifier.model
model.load_weights(sys.argv[2] + "/model.weights.h5")
said = np.asarray(model.predict(images, verbose=0))
np.save(sys.argv[2] + "/said.npy", said)
np.save(sys.argv[2] + "/features.npy", frozen_features(classifier, 1)(images))
set_trainable(model, 0.5, "train")
model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", jit_compile=sys.argv[1] == "jax")
model.train_on_batch(images, np.eye(3, dtype="float32")[np.arange(len(images)) % 3])
model.save(sys.argv[2] + "/model.keras")
again = load_model(sys.argv[2] + "/model.keras")
after = [np.asarray(one.predict(images, verbose=0)) for one in (model, again)]
assert np.array_equal(*after)
assert np.abs(after[0] - said).max() > 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_builds_says_fits_and_saves_the_same_model(tmp_path, backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    ours = built(attention="cbam")
    ours.model.save_weights(tmp_path / "model.weights.h5")
    np.save(tmp_path / "images.npy", drawn(6))
    done = subprocess.run(
        [sys.executable, "-c", ON_ANY, backend, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), said(ours.model, drawn(6)), atol=1e-4)
    expected = by_keras(ours.model, "features", drawn(6))
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected, rtol=1e-3, atol=1e-4)
