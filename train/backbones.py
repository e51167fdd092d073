"""Backbones to fine-tune: every Keras application by name, and a small network of our own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .loading import backbones_of, load_model

if TYPE_CHECKING:
    import keras

CNN = "cnn"
AUTO = "auto"
# Of the small network: channels of its blocks, each of which halves the picture.
_CHANNELS = (32, 64, 128, 256)
SMALLEST, LARGEST, STEP = 96, 224, 32


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network without its top.

    name     as it is called;  model  keras.Model from (n, side, side, 3) to the last map (n, h, w, C)
    colours  (3 x 3 matrix, 3 offsets) that pixels of 0..255 go through first
    digest   of its weights
    """

    name: str
    model: keras.Model
    colours: tuple[np.ndarray, np.ndarray]
    digest: str

    __repr__ = short_repr


def check_name(name: str) -> None:
    """Raise UnknownName or DataError for what is no backbone."""
    if "+" in name:
        raise DataError(f"a model takes several backbones with commas between. Write {name.replace('+', ',')}.")
    if name not in (AUTO, CNN):
        from curate.measuring.backbones import application

        application(name)


def alternatives(names: Sequence[str], weights: str) -> dict[str, tuple[str, ...]]:
    """What may be taken for "auto" (of itself where that is not among the names) -> the backbones then.

    In the order in which they are tried: those of a scan (see `curate.measuring.choosing.automatic`), and at last cnn.
    """
    from curate.measuring.choosing import automatic

    choices = (*automatic(None if weights == "imagenet" else weights), CNN) if AUTO in names else (AUTO,)
    return {choice: tuple(choice if name == AUTO else name for name in names) for choice in choices}


def input_side(side: int, names: Sequence[str], asked: int | None) -> int:
    """Pixels a side that backbones are to see of pictures of `side`: half as many again, from 96 to 224.

    Small pictures gain by being enlarged. Raises DataError where fewer are asked for than a backbone needs.

    >>> [input_side(side, ["MobileNetV2-0.35"], None) for side in (28, 96, 128, 512)]
    [96, 160, 192, 224]
    """
    from curate.measuring.backbones import check_side, smallest

    least = max(smallest(name) for name in names)
    if asked is None:
        return max(least, int(np.clip(-(-side * 3 // 2 // STEP) * STEP, SMALLEST, LARGEST)))
    for name in names:
        check_side(name, asked)
    return asked


def backbone(name: str, side: int, weights: str) -> Backbone:
    """A backbone for pictures of `side` pixels.

    weights  "imagenet", "random", a file as `save_weights` writes it, or the .keras file of a run, of which the
             backbone is taken; cnn has none of ImageNet's, and begins at random

    A file is loaded into the network that Keras builds for weights that are not its own, as `weights=FILE` does in
    Keras: EfficientNetB0 to B7 leave out the last step of their preprocessing then.

    Raises WeightsUnavailable where ImageNet's cannot be had, DataError where a file does not fit.
    """
    from curate.measuring.backbones import application, application_model, load_weights

    published = weights if weights in ("imagenet", "random") else "random"
    if name == CNN:
        model = _small(side)
        colours = np.eye(3, dtype=np.float32) / 127.5, np.full(3, -1, np.float32)
    else:
        model = application_model(name, side, published)
        colours = colours_of(application(name)[1].preprocess_input)
    if weights.endswith(".keras"):
        model = _of_run(weights, name, model)
    elif weights != published:
        load_weights(model, name, weights)
    return Backbone(name, model, colours, _weights_digest(model))


def _of_run(path: str, name: str, model: keras.Model) -> keras.Model:
    """`model` with the weights that its like in a .keras file has."""
    from curate.measuring.backbones import carried

    backbones = backbones_of(load_model(path))
    for donor in backbones:
        if [weight.shape for weight in donor.weights] == [weight.shape for weight in model.weights]:
            return carried(donor, model)
    held = " and ".join(f"{donor.count_params():,} weights in {len(donor.weights)} arrays" for donor in backbones)
    raise DataError(
        f"{path} holds a backbone of {held}, and needed are {model.count_params():,} in {len(model.weights)}, those of "
        f"{name}. Name the backbone that it was fitted with."
    )


def colours_of(preprocess: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(3 x 3 matrix, 3 offsets) of what a family does to pixels before its network, found by asking it."""
    offset = np.asarray(preprocess(np.zeros((1, 1, 1, 3), np.float32)))[0, 0, 0]
    unit = 255 * np.eye(3, dtype=np.float32)[:, None, None, :]
    matrix = (np.asarray(preprocess(unit.copy()))[:, 0, 0] - offset) / 255
    return matrix.astype(np.float32), offset.astype(np.float32)


def _small(side: int) -> keras.Model:
    """Four blocks of convolution, normalisation and pooling: what one writes first."""
    import keras

    pixels = keras.Input((side, side, 3))
    maps = pixels
    for number, channels in enumerate(_CHANNELS, 1):
        maps = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv_{number}")(maps)
        maps = keras.layers.BatchNormalization(name=f"norm_{number}")(maps)
        maps = keras.layers.ReLU(name=f"relu_{number}")(maps)
        maps = keras.layers.MaxPooling2D(name=f"halve_{number}")(maps)
    return keras.Model(pixels, maps, name=CNN)


def _weights_digest(model: keras.Model) -> str:
    h = hashlib.blake2b(digest_size=16)
    for array in model.get_weights():
        h.update(np.ascontiguousarray(array).data)
    return h.hexdigest()
