"""The layers that Keras has not: resizing, colours as a backbone wants them, attention.

Imports keras, so import it inside the functions that use it.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import KerasTensor, ops
from numpy.typing import ArrayLike

from .resizing import by_bands

_register = keras.saving.register_keras_serializable(package="trustset")


@_register
class Resize(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
    """uint8 or float (n, H, W, C) to float (n, height, width, C): bilinear, averaged where it shrinks.

    As two products with a matrix, cut into bands (see train.resizing), so that it is the same on every backend and in
    every export.
    """

    def __init__(self, height: int, width: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, images: KerasTensor) -> KerasTensor:
        output = by_bands(ops.cast(images, "float32"), (self.height, self.width), ops)
        return ops.cast(output, self.compute_dtype)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape[0], self.height, self.width, shape[-1]

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "height": self.height, "width": self.width}


@_register
class Colours(keras.layers.Layer):  # type: ignore[misc]
    """Pixels of 0..255 as a backbone was trained on them: x @ matrix + offset.

    matrix  3 x 3: a row says what one channel of the picture gives to each that comes out;  offset  3 values
    """

    def __init__(self, matrix: ArrayLike, offset: ArrayLike, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.matrix, self.offset = np.asarray(matrix, np.float32), np.asarray(offset, np.float32)

    def call(self, pixels: KerasTensor) -> KerasTensor:
        # As a convolution of one pixel: of 64 pictures of 160 px TensorFlow makes 3 ms, of the product 12, of scale
        # and offset alone 18.
        kernel = ops.cast(self.matrix[None, None], self.compute_dtype)
        return ops.conv(pixels, kernel, data_format="channels_last") + ops.cast(self.offset, self.compute_dtype)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "matrix": self.matrix.tolist(), "offset": self.offset.tolist()}


@_register
class SqueezeExcitation(keras.layers.Layer):  # type: ignore[misc]
    """A map (n, h, w, C), each channel weighted by what the means of all say. Hu et al., Squeeze-and-Excitation, 2018.

    ratio  by which the layer between is narrower than C, but not below 8

    It begins by weighing all channels alike, so that a probe sees the backbone's own features.
    """

    def __init__(self, ratio: int = 16, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.ratio = ratio

    def build(self, shape: tuple[int | None, ...]) -> None:
        channels = int(shape[-1] or 0)
        narrow = max(8, channels // self.ratio)
        self.squeeze = keras.layers.Dense(narrow, "relu", name="squeeze", dtype=self.dtype_policy)
        self.excite = keras.layers.Dense(channels, kernel_initializer="zeros", name="excite", dtype=self.dtype_policy)
        self.squeeze.build((None, channels))
        self.excite.build((None, narrow))
        super().build(shape)

    def weigh(self, means: KerasTensor) -> KerasTensor:
        """What the two layers make of (n, C)."""
        return self.excite(self.squeeze(means))

    def call(self, maps: KerasTensor) -> KerasTensor:
        weights = ops.sigmoid(self.weigh(ops.mean(maps, axis=(1, 2))))
        return maps * weights[:, None, None, :]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "ratio": self.ratio}


@_register
class CBAM(SqueezeExcitation):
    """Attention to channels by their means and maxima, then to places. Woo et al., CBAM, 2018.

    ratio  as of SqueezeExcitation;  kernel  side of the convolution that finds the places
    """

    def __init__(self, ratio: int = 16, kernel: int = 7, **kwargs: object) -> None:
        super().__init__(ratio, **kwargs)
        self.kernel = kernel

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.places = keras.layers.Conv2D(
            1,
            self.kernel,
            padding="same",
            activation="sigmoid",
            kernel_initializer="zeros",
            name="places",
            dtype=self.dtype_policy,
        )
        self.places.build((*shape[:-1], 2))
        super().build(shape)

    def call(self, maps: KerasTensor) -> KerasTensor:
        channels = self.weigh(ops.mean(maps, axis=(1, 2))) + self.weigh(ops.max(maps, axis=(1, 2)))
        maps = maps * ops.sigmoid(channels)[:, None, None, :]
        statistics = [ops.mean(maps, axis=-1, keepdims=True), ops.max(maps, axis=-1, keepdims=True)]
        return maps * self.places(ops.concatenate(statistics, axis=-1))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "kernel": self.kernel}
