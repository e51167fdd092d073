"""Ranger: rectified Adam, and every few steps a look back. Keras has neither.

Imports keras, so import it inside the functions that use it.
"""

from __future__ import annotations

import math
from itertools import count

import keras
from keras import KerasTensor, ops

from curate.stage.errors import DataError

# The paper's own bound, below which the variance of the adaptive rate has no finite estimate.
_TRACTABLE = 4.0


@keras.saving.register_keras_serializable(package="trustset")
class Ranger(keras.optimizers.Optimizer):  # type: ignore[misc]  # keras has no types
    """RAdam with Lookahead.

    beta_1, beta_2, epsilon  as of Adam; where the variance of the adaptive rate cannot be told yet, in the first steps,
                             it is momentum alone, and after that the rate is rectified
    look, share              every `look` steps the weights go back to where they were then, but for that share of the
                             way: phi += share (theta - phi), theta = phi

    Other arguments are those of every Keras optimizer. Sources: Liu et al., On the Variance of the Adaptive Learning
    Rate and Beyond, 2020 (algorithm 2); Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, 2019.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        look: int = 6,
        share: float = 0.5,
        name: str = "ranger",
        **shared: object,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **shared)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.look, self.share = look, share
        self._known_from = _known_from(beta_2)

    def build(self, variables: list[keras.Variable]) -> None:
        """Make room for both moments and the weights of the last look back."""
        if self.built:
            return
        super().build(variables)
        self._means, self._squares, self._slow = self.add_optimizer_variables(variables, ["mean", "square", "slow"])

    def update_step(self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor) -> None:
        """Change one variable, and what is known of it."""
        kind = variable.dtype
        rate, gradient = ops.cast(learning_rate, kind), ops.cast(gradient, kind)
        step = ops.cast(self.iterations + 1, kind)
        index = self._get_variable_index(variable)
        kept = self._means[index], self._squares[index], self._slow[index]
        # As tensors: JAX takes no variables into operations.
        weights, mean, square, slow = map(ops.convert_to_tensor, (variable, *kept))

        mean = mean + (gradient - mean) * (1 - self.beta_1)
        square = square + (ops.square(gradient) - square) * (1 - self.beta_2)
        direction = mean / _below_one(self.beta_1, step)
        rectified, factor = self._rectification(step)
        adapted = direction * factor * ops.sqrt(_below_one(self.beta_2, step)) / (ops.sqrt(square) + self.epsilon)
        fast = weights - rate * ops.where(rectified, adapted, direction)

        # At the first step the weights are where they were at the last look back.
        slow = ops.where(ops.equal(step, 1), weights, slow)
        back = ops.equal(ops.mod(step, self.look), 0)
        slow = ops.where(back, slow + self.share * (fast - slow), slow)
        for slot, value in zip((variable, *kept), (ops.where(back, slow, fast), mean, square, slow), strict=True):
            self.assign(slot, value)

    def _rectification(self, step: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """(whether the variance can be told at this step, what the adapted direction is multiplied by where it can)."""
        longest = 2 / (1 - self.beta_2) - 1
        missing = _below_one(self.beta_2, step)
        # Where it is not known yet, the root would be of less than 0.
        length = ops.maximum(longest - 2 * step * (1 - missing) / missing, _TRACTABLE)
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return ops.greater_equal(step, self._known_from), ops.sqrt(ratio)

    def get_config(self) -> dict[str, object]:
        """What makes one like it."""
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "look", "share")}
        return {**super().get_config(), **own}


def _below_one(beta: float, step: KerasTensor) -> KerasTensor:
    """1 - beta^step, exact also in float32, where 1 - 0.999 has but four digits."""
    return -ops.expm1(step * math.log(beta))


def _known_from(beta: float) -> int:
    """The first step at which the variance of the adaptive rate can be told."""
    longest = 2 / (1 - beta) - 1
    if longest <= _TRACTABLE:
        raise DataError(f"beta_2 is {beta}; needed is a number from 0.7 to 1, so that the rate can be rectified.")
    return next(t for t in count(1) if longest - 2 * t * beta**t / (1 - beta**t) > _TRACTABLE)
