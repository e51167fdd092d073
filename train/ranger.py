"""Ranger: rectified Adam, and every few steps a look back. Keras has neither.

Imports keras, so import it inside the functions that use it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

import keras
from keras import KerasTensor, ops

from curate.stage.errors import DataError

# The paper's own bound, below which the variance of the adaptive rate has no finite estimate.
_TRACTABLE = 4.0


@keras.saving.register_keras_serializable(package="trustset")
class Ranger(keras.optimizers.Optimizer):  # type: ignore[misc]  # keras has no types
    """RAdam with Lookahead.

    beta_1, beta_2, epsilon  as of Adam; in the first steps, where the variance of the adaptive rate has no
                             estimate, it is momentum alone; after that the rate is rectified
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
        **kwargs: object,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.look, self.share = look, share
        self._tractable_from = _tractable_from(beta_2)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make room for both moments and the weights of the last look back."""
        if self.built:
            return
        super().build(variables)
        self._means, self._squares, self._slow = self.add_optimizer_variables(variables, ["mean", "square", "slow"])

    def update_step(self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor) -> None:
        """Update one variable and its moments."""
        kind = variable.dtype
        rate, gradient = ops.cast(learning_rate, kind), ops.cast(gradient, kind)
        step = ops.cast(self.iterations + 1, kind)
        index = self._get_variable_index(variable)
        moments = self._means[index], self._squares[index], self._slow[index]
        # As tensors: JAX takes no variables into operations.
        weights, mean, square, slow = (ops.convert_to_tensor(value) for value in (variable, *moments))

        mean = mean + (gradient - mean) * (1 - self.beta_1)
        square = square + (ops.square(gradient) - square) * (1 - self.beta_2)
        direction = mean / _below_one(self.beta_1, step)
        tractable, factor = self._rectification(step)
        adapted = direction * factor * ops.sqrt(_below_one(self.beta_2, step)) / (ops.sqrt(square) + self.epsilon)
        fast = weights - rate * ops.where(tractable, adapted, direction)

        # At the first step the weights are where they were at the last look back.
        slow = ops.where(ops.equal(step, 1), weights, slow)
        looks = ops.equal(ops.mod(step, self.look), 0)
        slow = ops.where(looks, slow + self.share * (fast - slow), slow)
        for target, value in zip((variable, *moments), (ops.where(looks, slow, fast), mean, square, slow), strict=True):
            self.assign(target, value)

    def _rectification(self, step: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """(whether the variance has an estimate at this step, the factor of the adapted direction where it has)."""
        longest = 2 / (1 - self.beta_2) - 1
        correction = _below_one(self.beta_2, step)
        # Without an estimate the root would be of a negative number.
        length = ops.maximum(longest - 2 * step * (1 - correction) / correction, _TRACTABLE)
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return ops.greater_equal(step, self._tractable_from), ops.sqrt(ratio)

    def get_config(self) -> dict[str, object]:
        """The arguments that make an equal optimizer."""
        arguments = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "look", "share")}
        return {**super().get_config(), **arguments}


def _below_one(beta: float, step: KerasTensor) -> KerasTensor:
    """1 - beta^step, exact also in float32, where 1 - 0.999 has but four digits."""
    return -ops.expm1(step * math.log(beta))


def _tractable_from(beta: float) -> int:
    """The first step at which the variance of the adaptive rate has an estimate."""
    longest = 2 / (1 - beta) - 1
    if longest <= _TRACTABLE:
        raise DataError(f"beta_2 is {beta}; needed is a number from 0.7 to 1, so that the rate can be rectified.")
    return next(t for t in count(1) if longest - 2 * t * beta**t / (1 - beta**t) > _TRACTABLE)
