"""What a fit makes small: cross-entropy, the focal loss, and AugMix' consistency between an image and its copies.

Imports keras, so import it inside the functions that use it.
"""

from __future__ import annotations

from collections.abc import Callable

from keras import KerasTensor, ops

from .configs import FitConfig

# Below this a probability counts as this. float32 has smaller ones, and its inverse, which is the gradient, must be
# finite too; Keras' own 1e-7 leaves a picture that is surely wrong without any gradient.
_SMALLEST = 1e-30
_CLAMP = 1e-7

Loss = Callable[[KerasTensor, KerasTensor], KerasTensor]


def loss_of(config: FitConfig) -> Loss:
    """The loss (y_true, y_pred) -> (n,) of each image, for soft labels (n, K) and probabilities (n, K).

    It is `cross_entropy`, smoothed and focal as configured. With `jsd` the batch is one of sources, copies, and other
    copies of them, a third each: the loss of a source, and `jsd` times the divergence of the three predictions, stand
    for all three.
    """

    def of_each(y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        return cross_entropy(y_true, y_pred, config.label_smoothing, config.focal)

    def consistent(y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        views = ops.split(y_pred, 3)
        loss = of_each(ops.split(y_true, 3)[0], views[0]) + config.jsd * divergence(*views)
        return ops.tile(loss, 3)

    return consistent if config.jsd else of_each


def cross_entropy(y_true: KerasTensor, y_pred: KerasTensor, smoothing: float = 0.0, gamma: float = 0.0) -> KerasTensor:
    """(n,): - sum_k y_k (1 - p_k)^gamma log p_k, of labels smoothed to y (1 - s) + s/K.

    A gamma above 0 makes it the focal loss of Lin et al., Focal Loss for Dense Object Detection, 2017: theirs is for
    one sure label; with soft ones each class's term counts by its share, as in Keras' CategoricalFocalCrossentropy,
    but without its alpha, for which there are class weights.
    """
    shares = ops.convert_to_tensor(y_true) * (1 - smoothing) + smoothing / y_true.shape[-1]
    terms = shares * ops.log(ops.maximum(y_pred, _SMALLEST))
    if gamma:
        terms = terms * ops.power(ops.maximum(1 - y_pred, _CLAMP), gamma)
    return -ops.sum(terms, axis=-1)


def divergence(*views: KerasTensor) -> KerasTensor:
    """(n,): Jensen-Shannon divergence of the probabilities (n, K) that each view of an image was given, in nats.

    Source: Hendrycks et al., AugMix, 2020; as there, the logarithm of the mean is one of 1e-7 at least.
    """
    views = tuple(map(ops.convert_to_tensor, views))
    mean = ops.log(ops.clip(sum(views) / len(views), _CLAMP, 1))
    logs = [ops.log(ops.maximum(view, _CLAMP)) for view in views]
    return sum(ops.sum(view * (log - mean), axis=-1) for view, log in zip(views, logs, strict=True)) / len(views)
