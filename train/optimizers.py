"""The optimizer of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .configs import FitConfig
from .schedules import learning_rate

if TYPE_CHECKING:
    import keras

# Decay is for what multiplies: not for biases, nor the scales and offsets of normalisation.
_UNDECAYED = ("bias", "gamma", "beta")


def optimizer_of(config: FitConfig, rate: float, steps: int) -> keras.optimizers.Optimizer:
    """The Keras optimizer of one stage: `rate` is its highest learning rate, `steps` how many steps it has in all.

    Gradients are clipped by their norm over all weights. With `ema` it keeps the moving average of the weights, which
    Keras puts in their place when fit ends, and SwapEMAWeights while it evaluates.
    """
    from keras import optimizers

    from .ranger import Ranger

    common = {
        "learning_rate": learning_rate(config.schedule, rate, steps, config.warmup),
        "global_clipnorm": config.clip or None,
        "use_ema": config.ema > 0,
        "ema_momentum": config.ema if config.ema > 0 else 0.99,
    }
    momentum, decay = {"momentum": config.momentum}, {"weight_decay": config.weight_decay}
    kinds: dict[str, tuple[type[keras.optimizers.Optimizer], dict[str, float]]] = {
        "adam": (optimizers.Adam, {}),
        "adamw": (optimizers.AdamW, decay),
        "sgd": (optimizers.SGD, momentum),
        "rmsprop": (optimizers.RMSprop, momentum),
        "lion": (optimizers.Lion, decay),
        "ranger": (Ranger, decay),
    }
    kind, specific = kinds[config.optimizer]
    optimizer = kind(**common, **specific)
    optimizer.exclude_from_weight_decay(var_names=_UNDECAYED)
    return optimizer
