"""How the learning rate goes over the steps of a stage, and how it falls where the score stands still."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras.optimizers.schedules import LearningRateSchedule

# He et al., 2016, and many since: a tenth at half of the way, and again at three quarters.
_DROPS, _DROP = (0.5, 0.75), 0.1


def learning_rate(schedule: str, rate: float, steps: int, warmup: float = 0.0) -> LearningRateSchedule | float:
    """What a Keras optimizer takes as its learning rate: a schedule over `steps` steps, or a number.

    schedule  one of SCHEDULES. cosine rises from 0 in the first `warmup` of the steps, then falls to 0 as half a wave
              does (Loshchilov and Hutter, 2017); step falls to a tenth at half of the steps and again at three
              quarters; constant and plateau are `rate`: a Plateau tells by how much to multiply it
    rate      the highest
    """
    from keras.optimizers import schedules

    if schedule == "cosine":
        rising = round(warmup * steps)
        if not rising:
            return schedules.CosineDecay(rate, max(1, steps))
        return schedules.CosineDecay(0.0, max(1, steps - rising), warmup_target=rate, warmup_steps=rising)
    if schedule == "step":
        # Keras goes on with a value up to the boundary and at it.
        boundaries = [round(share * steps) - 1 for share in _DROPS]
        return schedules.PiecewiseConstantDecay(boundaries, [rate * _DROP**i for i in range(len(_DROPS) + 1)])
    return float(rate)


@dataclass
class Plateau:
    """What the learning rate is multiplied by: by `factor` once more after `patience` scores in a row that are no
    better than the best so far.

    >>> plateau = Plateau(factor=0.3, patience=2)
    >>> [plateau.after(score) for score in (0.7, 0.6, 0.7)]
    [1.0, 1.0, 0.3]
    """

    factor: float = 0.3
    patience: int = 2
    multiplier: float = 1.0
    best: float = -math.inf
    waited: int = 0

    def after(self, score: float) -> float:
        """The multiplier after one more score; more is better, and what is not a number is not."""
        if score > self.best:
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        if self.waited == self.patience:
            self.multiplier, self.waited = self.multiplier * self.factor, 0
        return self.multiplier
