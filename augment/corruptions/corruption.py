"""What a corruption is: an operation whose strength runs from mild to severe, under a name of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from curate.stage.registry import Registry
from curate.stage.shortness import short_repr

from ..operations.operation import OPERATIONS, SEED, Operation, Span, Values

SEVERITIES = (1, 2, 3, 4, 5)
TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Corruption:
    """One corruption of the benchmark.

    role      "test", or "validation": what models may be selected by
    sets      which of configs.SETS it belongs to
    strength  parameter -> (mild, severe), in the scale and unit of the parameter; these follow the severity
    free      parameter -> span that is drawn for every picture, whatever the severity (an angle, a place)
    fixed     parameter -> value, where it is not the neutral one
    """

    name: str
    operation: Operation
    role: str
    sets: tuple[str, ...]
    strength: Mapping[str, Span]
    free: Mapping[str, Span] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)

    __repr__ = short_repr

    @property
    def family(self) -> str:
        return self.operation.family

    def settings(self, strength: float, units: Mapping[str, float]) -> dict[str, float]:
        """The values that a strength from 0 (mild) to 1 (severe) stands for, in pixels and grey levels."""
        values = {}
        for name, parameter in self.operation.parameters.items():
            if name in self.free:
                continue
            if name in self.strength:
                mild, severe = self.strength[name]
                value = (
                    parameter.between((mild, severe), strength)
                    if parameter.scale != "whole"
                    else round(mild + strength * (severe - mild))
                )
            else:
                value = self.fixed.get(name, parameter.neutral)
            values[name] = value * units[parameter.unit] if parameter.unit else value
        return values

    def draw(self, settings: Mapping[str, float], rng: np.random.Generator, units: Mapping[str, float]) -> Values:
        """The record of one use at these settings: what is free is drawn, so is the seed.

        Severities of one picture that are drawn from equal generators differ in strength alone.
        """
        drawn: Values = {"op": self.operation.name}
        for name, parameter in self.operation.parameters.items():
            if name in self.free:
                value = parameter.between(self.free[name], rng.random())
                drawn[name] = value * units[parameter.unit] if parameter.unit else value
            else:
                drawn[name] = settings[name]
        if self.operation.seeded:
            drawn[SEED] = int(rng.integers(1 << 32))
        return drawn


CORRUPTIONS: Registry[Corruption] = Registry("corruption")


def corruption(
    name: str,
    operation: str,
    strength: Mapping[str, Span],
    *,
    sets: tuple[str, ...],
    role: str = TEST,
    free: Mapping[str, Span] | None = None,
    fixed: Mapping[str, float] | None = None,
) -> None:
    """Register a corruption. Raises UnknownName for an operation or a parameter that there is not."""
    registered = OPERATIONS[operation]
    for spans in (strength, free or {}, fixed or {}):
        for key, value in spans.items():
            low, high = (value, value) if isinstance(value, (int, float)) else value
            registered.check(key, (min(low, high), max(low, high)))
    CORRUPTIONS.put(name, Corruption(name, registered, role, sets, strength, free or {}, fixed or {}))
