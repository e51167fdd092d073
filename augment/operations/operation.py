"""What policies and corruptions are made of: an operation changes one picture by values that were drawn before.

An operation is a pure function of pixels and values. What is drawn is written down, so that every augmented picture
can be made again, pixel for pixel, from its source and that record.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.stage.errors import DataError, UnknownName
from curate.stage.registry import Registry
from curate.stage.shortness import short_repr

Pixels = np.ndarray  # uint8 (H, W, 3) RGB
Span = tuple[float, float]
Values = dict[str, Any]

FAMILIES = ("geometry", "light", "colour", "noise", "blur", "weather", "digital", "marks", "texture")
LINEAR, LOG, WHOLE = "linear", "log", "whole"
# A value of this name feeds the operation's own generator: noise, fields, places.
SEED = "seed"


@dataclass(frozen=True)
class Parameter:
    """One value that an operation is drawn with.

    low, high  the strongest sensible values to either side: what RandAugment's magnitude 1 means
    neutral    the value at which the picture stays as it is, or nearest to that
    scale      "linear"; "log" for factors, so that halving is as likely as doubling; "whole" for whole numbers
    unit       what drawn values are multiplied by: "side" for lengths, which are drawn as shares of the picture's
               shorter side and recorded in pixels; "sd_l", "sd_a", "sd_b" for spreads of the set; "" for none
    free       whether it says where or which way, and not how much: drawn from low to high unless told otherwise
    """

    low: float
    high: float
    neutral: float = 0.0
    scale: str = LINEAR
    unit: str = ""
    free: bool = False

    def between(self, span: Span, share: float) -> float:
        """The value at `share` (0..1) of the way from span[0] to span[1], in this parameter's scale."""
        low, high = span
        if self.scale == LOG:
            return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
        if self.scale == WHOLE:
            return int(min(high, math.floor(low + share * (high - low + 1))))
        return float(low + share * (high - low))

    def at(self, magnitude: float, up: bool) -> float:
        """The value `magnitude` (0..1) of the way from neutral to one of the ends."""
        end = self.high if up else self.low
        if self.scale == WHOLE:
            return round(self.neutral + magnitude * (end - self.neutral))
        return self.between((self.neutral, end), magnitude)


@dataclass(frozen=True)
class Operation:
    """A function (uint8 (H, W, 3), **values) -> uint8 (H, W, 3), and what its values may be.

    family   one of FAMILIES;  seeded  whether it takes a `seed` of its own;  resizes  whether things change their size
    """

    name: str
    family: str
    function: Callable[..., Pixels]
    parameters: Mapping[str, Parameter]
    seeded: bool = False
    resizes: bool = False

    __repr__ = short_repr

    def __call__(self, image: Pixels, **values: object) -> Pixels:
        return self.function(image, **values)

    def check(self, name: str, span: Span) -> None:
        """Raise where the operation has no parameter of that name, or cannot take those values."""
        if name not in self.parameters:
            raise UnknownName.among(f"parameter of {self.name}", name, self.parameters)
        low, high = span
        parameter = self.parameters[name]
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise DataError(f"{name} of {self.name} is [{low:g}, {high:g}]; needed are two numbers, the smaller first.")
        if parameter.scale == LOG and low <= 0:
            raise DataError(f"{name} of {self.name} is a factor and begins at {low:g}; needed is one above 0.")
        if parameter.scale == WHOLE and (low != int(low) or high != int(high)):
            raise DataError(f"{name} of {self.name} is [{low:g}, {high:g}]; needed are whole numbers.")

    def draw(self, spans: Mapping[str, Span], rng: np.random.Generator, units: Mapping[str, float]) -> Values:
        """The record of one use: its name and a value for each parameter.

        Those without a span stay neutral, but for the free ones.
        """
        drawn: Values = {"op": self.name}
        for name, parameter in self.parameters.items():
            span = spans.get(name, (parameter.low, parameter.high) if parameter.free else None)
            value = parameter.neutral if span is None else parameter.between(span, rng.random())
            drawn[name] = value * units[parameter.unit] if parameter.unit else value
        if self.seeded:
            drawn[SEED] = int(rng.integers(1 << 32))
        return drawn

    def draw_at(self, magnitude: float, rng: np.random.Generator, units: Mapping[str, float]) -> Values:
        """The record of one use at a magnitude from 0 to 1, to either side alike."""
        drawn: Values = {"op": self.name}
        for name, parameter in self.parameters.items():
            if parameter.free:
                value = parameter.between((parameter.low, parameter.high), rng.random())
            else:
                sides = (parameter.low != parameter.neutral, parameter.high != parameter.neutral)
                up = rng.random() < 0.5 if all(sides) else sides[1]
                value = parameter.at(magnitude, up)
            drawn[name] = value * units[parameter.unit] if parameter.unit else value
        if self.seeded:
            drawn[SEED] = int(rng.integers(1 << 32))
        return drawn


OPERATIONS: Registry[Operation] = Registry("operation")


def operation(
    family: str, *, resizes: bool = False, **parameters: Parameter
) -> Callable[[Callable[..., Pixels]], Callable[..., Pixels]]:
    """Register a function under its own name; a decorator.

    Its arguments after the image are the parameters, in the same order, and `seed` last where it takes one.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}")

    def add(function: Callable[..., Pixels]) -> Callable[..., Pixels]:
        takes = list(inspect.signature(function).parameters)[1:]
        seeded = SEED in takes
        if takes != [*parameters, *([SEED] if seeded else [])]:
            raise ValueError(f"{function.__name__} takes {takes}, but {list(parameters)} are declared")
        name = function.__name__
        OPERATIONS.put(name, Operation(name, family, function, parameters, seeded, resizes))
        return function

    return add
