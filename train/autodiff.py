"""Gradients on whichever backend Keras runs on: with devices.py and exporting.py the only files that name one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.errors import DataError

if TYPE_CHECKING:
    from keras import KerasTensor

    Function = Callable[[list[KerasTensor]], KerasTensor]
    Gradient = Callable[[Function, list[KerasTensor]], tuple[KerasTensor, list[KerasTensor]]]


def gradient_of(function: Function, values: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """What `function` returns for `values`, and the gradient of its sum with respect to each of them, as arrays.

    function  from a list of tensors to one tensor, in keras.ops and layers called with training=False: nothing in it
              may change a variable, as JAX would lose that
    values    floating-point arrays; a gradient has the shape and type of its value, zeros where nothing depends on it

    Raises DataError on a backend without gradients.
    """
    import keras

    backend = keras.backend.backend()
    if backend not in _WAYS:
        raise DataError(f"the {backend} backend has no gradients; needed is {', '.join(_WAYS)} in KERAS_BACKEND.")
    value, gradients = _WAYS[backend](function, [keras.ops.convert_to_tensor(value) for value in values])
    to_numpy = keras.ops.convert_to_numpy
    return to_numpy(value), [to_numpy(gradient) for gradient in gradients]


def _on_tensorflow(function: Function, values: list[KerasTensor]) -> tuple[KerasTensor, list[KerasTensor]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        value = function(values)
    return value, tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _on_jax(function: Function, values: list[KerasTensor]) -> tuple[KerasTensor, list[KerasTensor]]:
    import jax

    def summed(inputs: list[KerasTensor]) -> tuple[KerasTensor, KerasTensor]:
        value = function(inputs)
        return value.sum(), value

    (_, value), gradients = jax.value_and_grad(summed, has_aux=True)(values)
    return value, gradients


def _on_torch(function: Function, values: list[KerasTensor]) -> tuple[KerasTensor, list[KerasTensor]]:
    import torch

    watched = [tensor.detach().requires_grad_() for tensor in values]
    with torch.enable_grad():
        value = function(watched)
        gradients = torch.autograd.grad(value.sum(), watched, allow_unused=True, materialize_grads=True)
    return value, list(gradients)


_WAYS: dict[str, Gradient] = {
    "tensorflow": _on_tensorflow,
    "jax": _on_jax,
    "torch": _on_torch,
}
