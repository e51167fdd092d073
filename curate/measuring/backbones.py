"""Keras applications by name, as models from uint8 pictures to pooled features."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..stage.errors import DataError, UnknownName, gist
from . import lite

if TYPE_CHECKING:
    import numpy as np
    from keras import KerasTensor
    from keras import Model as Model
    from tensorflow.types.experimental import ConcreteFunction

# What a family needs at least, where it is more than 32 pixels: as each says itself when it is built smaller.
_NEEDED = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


class WeightsUnavailable(DataError):
    """ImageNet weights are neither in the Keras cache nor to be fetched."""


def application(name: str) -> tuple[Callable[..., Model], ModuleType, dict[str, float]]:
    """The constructor, the module with its preprocess_input, and the options of a backbone such as "MobileNetV2-0.35".

    A number after the dash is the width multiplier `alpha`.
    """
    import keras

    family, _, width = name.partition("-")
    constructors = {n: f for n, f in vars(keras.applications).items() if callable(f) and n[:1].isupper()}
    constructors |= {n: getattr(lite, n) for n in lite.NAMES}
    if family not in constructors:
        raise UnknownName.among("backbone", family, constructors)
    ours = family in lite.NAMES
    module = lite if ours else getattr(keras.applications, constructors[family].__module__.rpartition(".")[2])
    if width and not _is_number(width):
        raise DataError(
            f"{name}: {width!r} is no width. Write a number from 0.05 to 8 after the dash, as in MobileNetV2-0.35."
        )
    if width and "alpha" not in signature(constructors[family]).parameters:
        raise DataError(f"{name}: {family} comes in one width only. Write {family}.")
    return constructors[family], module, {"alpha": float(width)} if width else {}


def application_names() -> tuple[str, ...]:
    """Names of Keras' applications, () where it is not installed. Keras is not imported, which takes seconds."""
    spec = find_spec("keras")
    folders = (spec.submodule_search_locations if spec else None) or []
    texts = [file.read_text("utf-8") for folder in folders for file in Path(folder).glob("applications/__init__.py")]
    names = {name for text in texts for name in re.findall(r"\bas ([A-Z]\w+)", text)}
    return tuple(sorted({*names, *lite.NAMES})) if names else ()


def _is_number(text: str) -> bool:
    try:
        return 0.05 <= float(text) <= 8
    except ValueError:
        return False


def smallest(name: str) -> int:
    """Pixels a side that a backbone needs at least."""
    return _NEEDED.get(name.partition("-")[0], 32)


def check_side(name: str, side: int) -> None:
    """Raise DataError where pictures of `side` pixels are too small for a backbone."""
    if side < smallest(name):
        raise DataError(f"--input-size {side} is below the {smallest(name)} pixels that {name} needs.")


def feature_model(name: str, size: int, weights: str) -> Model:
    """A Keras model from uint8 (N, size, size, 3) to average-pooled features, preprocessing included.

    weights  a file as `save_weights` wrote it, "imagenet", or "random"
    Raises WeightsUnavailable where ImageNet's can neither be read nor fetched, DataError where a file does not fit.
    """
    import keras

    _, module, _ = application(name)
    pixels = keras.Input((size, size, 3))
    return keras.Model(pixels, application_model(name, size, weights, "avg")(module.preprocess_input(pixels)))


def application_model(name: str, size: int, weights: str, pooling: str | None = None) -> Model:
    """The bare Keras application, without its top: takes what the family's `preprocess_input` makes of pixels.

    Its output is the last map (N, h, w, C), or pooled. Other arguments and errors are those of `feature_model`.
    """
    construct, _, options = application(name)
    check_side(name, size)
    built = construct(include_top=False, weights=None, input_shape=(size, size, 3), pooling=pooling, **options)
    if weights == "imagenet":
        return carried(_published(name, pooling), built)
    if weights != "random":
        load_weights(built, name, weights)
    return built


def _published(name: str, pooling: str | None) -> Model:
    """The application with ImageNet's weights, built at its own size: that decides which file Keras looks for."""
    construct, _, options = application(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that they are those of 224 px
            return construct(include_top=False, weights="imagenet", pooling=pooling, **options)
    except Exception as error:
        # Keras raises a bare Exception where the download fails; any other is not ours to hide.
        if "URL fetch failure" not in str(error) and not isinstance(error, OSError):
            raise
        raise WeightsUnavailable(f"no ImageNet weights for {name}: {error}.") from error


def carried(donor: Model, model: Model) -> Model:
    """`model`, which is that of `donor` at another size, with the weights of `donor`.

    EfficientNet has one layer more where its weights are ImageNet's, which divides once more by the spread of the
    colours: where the layers are not the same, those of `donor` are laid out anew.
    """
    import keras

    if [type(layer) for layer in donor.layers] != [type(layer) for layer in model.layers]:
        return copied(donor, keras.config.dtype_policy().name, keras.Input(model.input_shape[1:]))
    _set_weights(model, donor.get_weights())
    return model


def copied(model: Model, policy: str, pixels: KerasTensor | None = None) -> Model:
    """A model of the same layers and weights that computes in another precision, or on another input."""
    import keras

    copy = keras.models.clone_model(
        model,
        input_tensors=pixels,
        clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"dtype": policy}),
        recursive=pixels is None,
    )
    _set_weights(copy, model.get_weights())
    return copy


def _set_weights(model: Model, weights: list[np.ndarray]) -> None:
    import keras

    model.set_weights(weights)
    layers = list(model.layers)
    for layer in layers:
        layers += getattr(layer, "layers", [])
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with a copy, which set_weights leaves as it was


def load_weights(model: Model, name: str, path: str) -> None:
    """Load a file as `save_weights` writes it. Raises DataError where there is none, or it does not fit."""
    if not Path(path).is_file():
        raise DataError(f"no weights file {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what it does not find: that is an error in the end
            model.load_weights(path)
    except Exception as error:  # h5py, zipfile and Keras raise whatever the file leads them to
        raise DataError(
            f"{path} does not hold weights of {name} without its top ({gist(error)}). Give a file that "
            "save_weights wrote of that network."
        ) from error


def traced(model: Model) -> ConcreteFunction | None:
    """On TensorFlow what a model computes as a function of its graph, which OpenVINO reads; None on other backends.

    In half the time of Keras' own export, which traces twice and searches the model for resources; the weights and the
    numbers are the same.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    pixels = model.input
    spec = tf.TensorSpec(pixels.shape, pixels.dtype, name=pixels.name)
    return tf.function(lambda images: model(images, training=False), autograph=False).get_concrete_function(spec)
