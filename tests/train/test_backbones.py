import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from curate.measuring import choosing, lite
from curate.measuring.backbones import application, smallest
from curate.measuring.choosing import PACKED_BACKBONE, SMALL_BACKBONE, STRONG_BACKBONE
from curate.stage.errors import DataError, UnknownName
from train.backbones import AUTO, CNN, alternatives, backbone, check_name, colours_of, input_side
from train.configs import ModelConfig
from train.layers import Colours
from train.models import build_model

# Of Keras, when it reads a variable of TensorFlow with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OF_KERAS = sorted(name for name, made in vars(keras.applications).items() if callable(made) and name[0].isupper())
NAMES = [*OF_KERAS, *lite.NAMES]
# The module of each family, and the smallest network of it.
FAMILIES = {
    "convnext": "ConvNeXtTiny", "densenet": "DenseNet121", "efficientnet": "EfficientNetB0",
    "efficientnet_v2": "EfficientNetV2B0", "inception_resnet_v2": "InceptionResNetV2", "inception_v3": "InceptionV3",
    "lite": "EfficientNetLite0", "mobilenet": "MobileNet-0.25", "mobilenet_v2": SMALL_BACKBONE,
    "mobilenet_v3": "MobileNetV3Small-0.75",
    "nasnet": "NASNetMobile", "resnet": "ResNet50", "resnet50": "ResNet50", "resnet_v2": "ResNet50V2",
    "vgg16": "VGG16", "vgg19": "VGG19", "xception": "Xception",
}  # fmt: skip
WITH_THEIR_OWN = ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3")


def module_of(family: str):
    return lite if family == "lite" else getattr(keras.applications, family)


def drawn(side: int) -> np.ndarray:
    return np.random.default_rng(side).uniform(0, 255, (2, side, side, 3)).astype(np.float32)


# Names


def test_every_family_of_keras_is_tried_here():
    assert {name for name, module in vars(keras.applications).items() if hasattr(module, "preprocess_input")} == set(
        FAMILIES
    ) - {"lite"} | {"imagenet_utils"}


@pytest.mark.parametrize("name", NAMES)
def test_every_application_is_a_backbone(name):
    check_name(name)
    assert callable(application(name)[1].preprocess_input)


@pytest.mark.parametrize("name", OF_KERAS)
def test_the_smallest_side_is_what_keras_itself_asks_for(name):
    with pytest.raises(ValueError) as told:
        application(name)[0](include_top=False, weights=None, input_shape=(1, 1, 3))
    assert f"at least {smallest(name)}x" in str(told.value)


def test_auto_is_what_it_is_in_a_scan_and_at_last_the_small_network(monkeypatch):
    monkeypatch.setattr(choosing, "on_gpu", lambda: True)
    assert list(alternatives([AUTO], "imagenet")) == [STRONG_BACKBONE, PACKED_BACKBONE, CNN]
    monkeypatch.setattr(choosing, "on_gpu", lambda: False)
    monkeypatch.setattr(choosing, "_hub_answers", lambda: True)
    assert alternatives([AUTO, "VGG16"], "imagenet") == {
        SMALL_BACKBONE: (SMALL_BACKBONE, "VGG16"), PACKED_BACKBONE: (PACKED_BACKBONE, "VGG16"), CNN: (CNN, "VGG16"),
    }  # fmt: skip
    assert alternatives(["VGG16"], "imagenet") == {AUTO: ("VGG16",)}


def test_a_name_that_is_none_is_answered_with_the_nearest():
    check_name(CNN)
    check_name(AUTO)
    with pytest.raises(UnknownName, match=r"no backbone named 'Xeption'\. Did you mean 'Xception'\?"):
        check_name("Xeption")


def test_backbones_side_by_side_are_written_with_commas_in_a_model():
    with pytest.raises(DataError, match=r"Write MobileNetV2-0\.35,EfficientNetLite2\."):
        check_name("MobileNetV2-0.35+EfficientNetLite2")


# Sizes


@pytest.mark.parametrize(("side", "seen"), [(8, 96), (28, 96), (64, 96), (65, 128), (96, 160), (128, 192), (150, 224)])
def test_a_backbone_sees_pictures_half_as_large_again(side, seen):
    assert input_side(side, [SMALL_BACKBONE], None) == seen


@given(st.integers(1, 2000), st.sampled_from([*NAMES, CNN]))
def test_by_default_no_backbone_sees_less_than_it_needs_nor_more_than_224(side, name):
    seen = input_side(side, [name], None)
    assert max(96, smallest(name)) <= seen <= 224
    assert seen % 32 == 0


def test_a_side_that_is_asked_for_is_taken_where_all_can_see_it():
    assert input_side(28, [SMALL_BACKBONE, "InceptionV3"], 75) == 75
    with pytest.raises(DataError, match=r"--input-size 74 is below the 75 pixels that InceptionV3 needs\."):
        input_side(28, [SMALL_BACKBONE, "InceptionV3"], 74)


# Colours


@pytest.mark.parametrize("family", FAMILIES)
def test_colours_are_what_the_family_itself_makes_of_pixels(family):
    preprocess = module_of(family).preprocess_input
    found = Colours(*colours_of(preprocess))(drawn(5))
    np.testing.assert_allclose(ops.convert_to_numpy(found), preprocess(drawn(5)), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", WITH_THEIR_OWN)
def test_a_family_that_prepares_its_pixels_itself_is_given_them_as_they_are(family):
    matrix, offset = colours_of(module_of(family).preprocess_input)
    np.testing.assert_array_equal(matrix, np.eye(3))
    np.testing.assert_array_equal(offset, np.zeros(3))


# Networks


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FAMILIES.values())))
def test_the_smallest_network_of_each_family_gives_a_map_at_its_smallest_side(name):
    made = backbone(name, smallest(name), "random")
    height, width, channels = made.model.output_shape[1:]
    assert height == width >= 1
    assert channels >= 32
    assert np.isfinite(np.asarray(made.model(drawn(smallest(name)) / 255))).all()


def test_the_small_network_halves_the_picture_four_times():
    made = backbone(CNN, 32, "imagenet")
    assert made.model.output_shape == (None, 2, 2, 256)
    found = Colours(*made.colours)(np.array([0, 127.5, 255], np.float32)[None, None, :, None] * np.ones(3, np.float32))
    np.testing.assert_allclose(ops.convert_to_numpy(found)[0, 0, :, 0], [-1, 0, 1], atol=1e-6)


def test_equal_weights_have_equal_digests_and_others_have_not():
    def digest(seed: int, side: int) -> str:
        keras.utils.set_random_seed(seed)
        return backbone(CNN, side, "random").digest

    assert digest(0, 32) == digest(0, 48) != digest(1, 32)
    assert re.fullmatch(r"[0-9a-f]{32}", digest(0, 32))


# Files of weights


@pytest.mark.parametrize("name", [CNN, "MobileNet-0.25"])
def test_weights_are_read_as_they_were_saved(tmp_path, name):
    path = str(tmp_path / "mine.weights.h5")
    saved = backbone(name, 32, "random")
    saved.model.save_weights(path)
    assert backbone(name, 64, path).digest == saved.digest != backbone(name, 64, "random").digest


@pytest.mark.parametrize("name", [CNN, "MobileNet-0.25"])
def test_a_weights_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(DataError, match=r"no weights file .*none\.h5"):
        backbone(name, 32, str(tmp_path / "none.h5"))
    with pytest.raises(DataError, match=r"none\.keras"):
        backbone(name, 32, str(tmp_path / "none.keras"))


def test_weights_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "mine.weights.h5")
    backbone(CNN, 32, "random").model.save_weights(path)
    with pytest.raises(DataError, match=r"mine\.weights\.h5 does not hold weights of MobileNet-0\.25"):
        backbone("MobileNet-0.25", 32, path)


@pytest.mark.slow
def test_the_backbone_of_a_run_is_taken_out_of_its_model(tmp_path):
    path = str(tmp_path / "model.keras")
    config = ModelConfig(backbone=(CNN, "MobileNet-0.25"), weights="random", input_size=32)
    classifier = build_model(config, (32, 32), 3)
    classifier.model.save(path)
    assert backbone("MobileNet-0.25", 64, path).digest == classifier.digests[1]
    assert backbone(CNN, 64, path).digest == classifier.digests[0]
    with pytest.raises(DataError, match=r"model\.keras holds a backbone of .* and needed are .*those of VGG16\. Name"):
        backbone("VGG16", 32, path)
