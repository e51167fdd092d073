"""The model that is fitted: uint8 pictures in, class probabilities out, everything between inside.

Its layers, in order: `resize`; for each backbone i `colours_i`, `backbone_i`, `attention_i` where there is one, and
`pool_i`; `features`, all of them side by side; `head`, which ends in `logits`; `probabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.engine import chunks
from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .backbones import CNN, Backbone, alternatives, backbone, check_name, input_side
from .configs import ModelConfig
from .loading import backbones_of, head_of, load_model

if TYPE_CHECKING:
    import keras

__all__ = [
    "Classifier", "backbones_of", "build_model", "frozen_features", "head_of", "load_model", "on_openvino", "runner",
    "set_trainable",
]  # fmt: skip

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model and what it was made of.

    model      keras.Model: uint8 (n, H, W, 3) to float32 (n, K)
    backbones  names;  side  pixels that they see;  digests  of the weights that they begin with
    fresh      numbers of those that begin from nothing, which are always trained whole
    notes      for the person, where it is not all as asked
    """

    model: keras.Model
    backbones: tuple[str, ...]
    side: int
    digests: tuple[str, ...]
    fresh: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


def build_model(config: ModelConfig, shape: tuple[int, int], classes: int, dtype_policy: str = "float32") -> Classifier:
    """A model for pictures of (H, W) and K classes, its head yet to be fitted.

    dtype_policy  what backbone, attention and head compute in; colours, pooling and logits stay in float32

    Where "auto" finds no weights of one backbone it takes the next, at last cnn, and a note says so. What begins at
    random draws from Keras' own generator: see keras.utils.set_random_seed. Raises DataError where weights cannot be
    had or do not fit, or pictures would be too small for a backbone.
    """
    from curate.measuring.backbones import WeightsUnavailable

    for name in config.backbone:
        check_name(name)
    missed: list[str] = []
    with _policy(dtype_policy):
        for choice, names in alternatives(config.backbone, config.weights).items():
            side = input_side(max(shape), names, config.input_size)
            try:
                return _built(config, names, side, shape, classes, _stand_in_notes(missed, choice))
            except WeightsUnavailable as error:
                reason = error
                missed.append(choice)
    raise DataError(
        f"{reason} Give a file with --weights, point KERAS_HOME at a cache that holds them, or use --weights random or "
        "--backbone cnn."
    )


def _stand_in_notes(missed: Sequence[str], choice: str) -> tuple[str, ...]:
    """What to say where the weights of some backbones could not be had, and another is taken for "auto"."""
    if not missed:
        return ()
    instead = f"a small network is fitted from nothing: {CNN}" if choice == CNN else f"{choice} is fitted instead"
    return (f"no weights of {' or '.join(missed)} are to be had here, so {instead}",)


def _built(
    config: ModelConfig, names: tuple[str, ...], side: int, shape: tuple[int, int], classes: int, notes: tuple[str, ...]
) -> Classifier:
    import keras

    from .layers import Resize

    parts = [backbone(name, side, config.weights) for name in names]
    pixels = keras.Input((*shape, 3), dtype="uint8", name="pixels")
    resized = Resize(side, side, dtype="float32", name="resize")(pixels)
    pooled = [_pooled(number, part, resized, config.attention) for number, part in enumerate(parts)]
    if len(pooled) == 1:
        features = keras.layers.Identity(dtype="float32", name="features")(pooled[0])
    else:
        features = keras.layers.Concatenate(dtype="float32", name="features")(pooled)
    logits = _head(config, int(features.shape[-1]), classes)(features)
    probabilities = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    model = keras.Model(pixels, probabilities, name="-".join(names).replace(".", "_"))
    learnt = config.weights != "random"
    fresh = tuple(i for i, name in enumerate(names) if not learnt or (name == CNN and config.weights == "imagenet"))
    return Classifier(model, names, side, tuple(part.digest for part in parts), fresh, notes)


def _pooled(number: int, part: Backbone, resized: keras.KerasTensor, attention: str) -> keras.KerasTensor:
    """The features (n, C) of one backbone."""
    import keras

    from .layers import CBAM, Colours, SqueezeExcitation

    coloured = Colours(*part.colours, dtype="float32", name=f"colours_{number}")(resized)
    part.model.name = f"backbone_{number}"
    maps = part.model(coloured)
    if attention != "none":
        block = {"se": SqueezeExcitation, "cbam": CBAM}[attention]
        maps = block(name=f"attention_{number}")(maps)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"pool_{number}")(maps)


def _head(config: ModelConfig, width: int, classes: int) -> keras.Model:
    """Dense layers, the last of which gives logits in float32."""
    import keras

    penalty = keras.regularizers.L2(config.l2) if config.l2 else None
    layers: list[keras.layers.Layer] = [keras.Input((width,))]
    for units in config.dense:
        layers += [keras.layers.Dropout(config.dropout), keras.layers.Dense(units, kernel_regularizer=penalty)]
        layers += [keras.layers.BatchNormalization()] if config.head_norm else []
        layers += [keras.layers.ReLU()]
    layers += [keras.layers.Dropout(config.dropout)]
    layers += [keras.layers.Dense(classes, kernel_regularizer=penalty, dtype="float32", name="logits")]
    return keras.Sequential(layers, name="head")


def set_trainable(model: keras.Model, share: float, batch_norm: str, fresh: Sequence[int] = ()) -> None:
    """Let the last `share` of the layers of each backbone learn, and all that comes after; compile again after that.

    Those backbones whose numbers are in `fresh` learn whole, their batch normalisation too: nothing is in them yet.

    batch_norm  "frozen": that of the backbones neither learns nor gathers statistics (Keras then runs it as in
    inference); "train": it does as the layers about it do
    """
    import keras

    model.trainable = True
    for number, network in enumerate(backbones_of(model)):
        network.trainable = True
        if number in fresh:
            continue
        layers = network.layers
        fixed = len(layers) - round(share * len(layers))
        for place, layer in enumerate(layers):
            norm = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = place >= fixed and not (norm and batch_norm == "frozen")


def frozen_features(classifier: Classifier, workers: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function uint8 (n, H, W, 3) -> float32 (n, C): the features that the head is given, as they are now.

    By OpenVINO on a CPU with TensorFlow, else by Keras.
    """
    return runner(classifier.model, "features", workers)


def runner(model: keras.Model, output: str, workers: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function uint8 (n, H, W, 3) -> float32 (n, D) that gives what a layer of the model does, the fastest way."""
    import keras

    if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
        return on_openvino(model, output, workers)
    part = keras.Model(model.input, model.get_layer(output).output)

    def run(images: np.ndarray) -> np.ndarray:
        pieces = [np.zeros((0, part.output_shape[-1]), np.float32)]
        pieces += [part.predict_on_batch(images[rows.start : rows.stop]) for rows in chunks(len(images), _BATCH)]
        return np.concatenate(pieces)

    return run


def on_openvino(model: keras.Model, output: str, workers: int) -> Callable[[np.ndarray], np.ndarray]:
    """As `runner`, by OpenVINO, whatever the backend and the machine."""
    import tempfile

    import keras

    from curate.measuring import inference
    from curate.measuring.backbones import copied
    from curate.stage.engine import threaded

    if any(layer.compute_dtype != "float32" for network in backbones_of(model) for layer in network.layers):
        model = copied(model, "float32")  # which is what it computes in; half precisions it may not take
    part = keras.Model(model.input, model.get_layer(output).output)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "model.xml")
        inference.to_openvino(part, path)
        infer = inference.load(path, model.input_shape[1:], workers)

    def run(images: np.ndarray) -> np.ndarray:
        if len(images) <= _BATCH:
            return infer(images)
        pieces = (images[rows.start : rows.stop] for rows in chunks(len(images), _BATCH))
        return np.concatenate(list(threaded(infer, pieces, workers)))

    return run


@contextmanager
def _policy(name: str) -> Iterator[None]:
    """Layers that are made within compute in that precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
