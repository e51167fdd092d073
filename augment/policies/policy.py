"""What a policy is, how its operations are drawn, and how what was drawn is done to a picture.

Drawing and doing are apart: `Policy.draw` gives a record of operations and values, `perform` does it. The record is
what provenance keeps, so that `augment replay` makes the same pixels again, and soft labels follow from it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from curate.stage.shortness import short_repr

from ..operations.operation import OPERATIONS, SEED, Operation, Pixels, Span, Values
from . import mixing
from .functions import CALL, call

T = TypeVar("T")
Record = list[Values]
OpenRow = Callable[[int], Pixels]
Spans = Mapping[str, Span]

# Of KerasCV's RandAugment, whose authors' ten operations leave one call in eleven as it is.
RATE = 10 / 11


@dataclass(frozen=True, eq=False)
class Context:
    """What drawing may look at besides the generator.

    units     what some values are multiples of: side and statistics of the set (see Parameter.unit)
    partners  int64: rows of the set that a picture may be mixed with; none, and nothing is mixed
    """

    units: Mapping[str, float] = field(default_factory=dict)
    partners: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    __repr__ = short_repr


class Step(Protocol):
    """One step of a pipeline."""

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        """The operations of this step for one picture; `before` are the steps that it went through already."""

    def operations(self) -> Mapping[str, Spans]:
        """The operations that may be drawn, and the spans of their values."""


@dataclass(frozen=True)
class Use:
    """One operation with probability p; parameters without a span stay neutral, and free ones are drawn from all."""

    operation: Operation
    spans: Spans
    p: float = 1.0

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if _left_out(self.p, rng):
            return []
        return [self.operation.draw(self.spans, rng, context.units)]

    def operations(self) -> Mapping[str, Spans]:
        return {self.operation.name: {**_spans_at(self.operation, 0), **self.spans}}


@dataclass(frozen=True)
class OneOf:
    """One of several steps, each as likely as the others, with probability p."""

    steps: tuple[Step, ...]
    p: float = 1.0

    __repr__ = short_repr

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if _left_out(self.p, rng):
            return []
        return _any_of(self.steps, rng).draw(rng, context, before)

    def operations(self) -> Mapping[str, Spans]:
        return _merged(self.steps)


@dataclass(frozen=True)
class RandAugment:
    """`ops` operations of a list, one after the other, each left out with probability 1 - rate.

    The magnitude (0..1) of each is drawn from a normal distribution of mean `magnitude` and sd `spread`, its side by
    chance. Source: Cubuk et al., RandAugment, 2020; magnitude's spread and rate as KerasCV has them.
    """

    among: tuple[Operation, ...]
    ops: int = 2
    magnitude: float = 0.5
    spread: float = 0.15
    rate: float = RATE
    p: float = 1.0

    __repr__ = short_repr

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if _left_out(self.p, rng):
            return []
        record: Record = []
        for _ in range(self.ops):
            if _left_out(self.rate, rng):
                continue
            magnitude = min(1.0, max(0.0, rng.normal(self.magnitude, self.spread)))
            record.append(_any_of(self.among, rng).draw_at(magnitude, rng, context.units))
        return record

    def operations(self) -> Mapping[str, Spans]:
        """Spans of all but one draw in fifty, which are stronger."""
        return {
            operation.name: _spans_at(operation, min(1.0, self.magnitude + 2 * self.spread)) for operation in self.among
        }


@dataclass(frozen=True)
class AugMix:
    """Several short chains of operations, mixed with each other and with the picture.

    width      chains;  depth  operations in each, 0 for 1 to 3 by chance
    alpha      of the Dirichlet (weights of the chains) and the Beta (how much of the picture they replace)
    magnitude  the most (0..1) of one operation: each is drawn between 0 and it
    Source: Hendrycks et al., AugMix, 2020.
    """

    among: tuple[Operation, ...]
    width: int = 3
    depth: int = 0
    alpha: float = 1.0
    magnitude: float = 0.3
    p: float = 1.0

    __repr__ = short_repr

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if _left_out(self.p, rng):
            return []
        chains = [self._chain(rng, context.units) for _ in range(self.width)]
        weights = rng.dirichlet([self.alpha] * self.width).tolist()
        return [
            {"op": "augmix", "chains": chains, "weights": weights, "share": float(rng.beta(self.alpha, self.alpha))}
        ]

    def _chain(self, rng: np.random.Generator, units: Mapping[str, float]) -> Record:
        depth = self.depth or 1 + int(rng.random() * 3)
        return [_any_of(self.among, rng).draw_at(self.magnitude * rng.random(), rng, units) for _ in range(depth)]

    def operations(self) -> Mapping[str, Spans]:
        return {operation.name: _spans_at(operation, self.magnitude) for operation in self.among}


@dataclass(frozen=True)
class Mix:
    """MixUp or CutMix with another picture of the training set, which goes through the same steps before.

    kind   a name of mixing.KINDS;  alpha  of the Beta distribution that the share is drawn from
    Source: Zhang et al., mixup, 2018; Yun et al., CutMix, 2019.
    """

    kind: str
    alpha: float = 1.0
    p: float = 1.0

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if not len(context.partners) or _left_out(self.p, rng):
            return []
        row = int(context.partners[int(rng.random() * len(context.partners))])
        first: Record = []
        for i, step in enumerate(before):
            if not _may_mix(step):
                first += step.draw(rng, context, before[:i])
        return [{"op": self.kind, "row": row, "first": first, **mixing.draw(self.kind, self.alpha, rng)}]

    def operations(self) -> Mapping[str, Spans]:
        return {}


@dataclass(frozen=True)
class Call:
    """A person's own function (image, rng) -> image, from a Python file.

    target  "file.py:name";  digest  of the file (see functions.digest_of)
    """

    target: str
    digest: str
    p: float = 1.0

    def draw(self, rng: np.random.Generator, context: Context, before: Sequence[Step]) -> Record:
        if _left_out(self.p, rng):
            return []
        return [{"op": CALL, "function": self.target, "digest": self.digest, SEED: int(rng.integers(1 << 32))}]

    def operations(self) -> Mapping[str, Spans]:
        return {}


@dataclass(frozen=True)
class Policy:
    """How copies of a picture are made.

    pipelines  steps of each kind of copy: copy 1 goes through the first, copy 2 through the second, and round again
    copies     of each picture, unless told otherwise
    about      what it is for, in a sentence;  origin  the report or paper that it is from
    path       of the file that it was read from, where it is none of ours
    """

    name: str
    pipelines: tuple[tuple[Step, ...], ...]
    copies: int = 4
    about: str = ""
    origin: str = ""
    path: Path | None = None

    __repr__ = short_repr

    def draw(self, rng: np.random.Generator, copy: int, context: Context) -> Record:
        """The operations of one copy, from 1."""
        steps = self.pipelines[(copy - 1) % len(self.pipelines)]
        record: Record = []
        for i, step in enumerate(steps):
            record += step.draw(rng, context, steps[:i])
        return record

    def steps(self) -> tuple[Step, ...]:
        """All steps of all pipelines, each once."""
        return _each_once(step for steps in self.pipelines for step in steps)

    def operations(self) -> Mapping[str, Spans]:
        """Every operation that may be drawn, and the spans of its values, over all steps."""
        return _merged(self.steps())

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed, so that labels become soft."""
        return any(map(_may_mix, self.steps()))

    @property
    def different(self) -> int | None:
        """How many different copies there can be; None where chance makes as many as one likes."""
        if not all(isinstance(step, Use) and _certain(step) for step in self.steps()):
            return None
        return len(_each_once(self.pipelines))


def perform(image: Pixels, record: Sequence[Values], open_row: OpenRow) -> Pixels:
    """The picture (uint8 (H, W, 3)) after all operations of a record; the one that was given stays as it is.

    open_row  gives the picture of a row that is mixed in, of the same shape
    """
    for drawn in record:
        name = drawn["op"]
        if name == "augmix":
            chains = [perform(image, chain, open_row) for chain in drawn["chains"]]
            image = mixing.augmix(image, chains, drawn["weights"], drawn["share"])
        elif name in mixing.KINDS:
            partner = perform(open_row(drawn["row"]), drawn["first"], open_row)
            image = mixing.KINDS[name](image, partner, drawn)
        elif name == CALL:
            image = call(drawn["function"], drawn["digest"], image, drawn[SEED])
        else:
            image = OPERATIONS[name].function(image, **{key: value for key, value in drawn.items() if key != "op"})
    return image


def shares(row: int, record: Sequence[Values]) -> dict[int, float]:
    """How much of each row's label the result of a record has; the shares add up to 1.

    They are shares of the pixels; only of two CutMixes, one on the box of the other, they are what is to be expected.
    """
    held = {row: 1.0}
    for drawn in record:
        if drawn["op"] in mixing.KINDS:
            kept = drawn["kept"]
            held = {source: share * kept for source, share in held.items()}
            for source, share in shares(drawn["row"], drawn["first"]).items():
                held[source] = held.get(source, 0.0) + share * (1 - kept)
    return held


def _left_out(p: float, rng: np.random.Generator) -> bool:
    return p < 1 and rng.random() >= p


def _any_of(items: Sequence[T], rng: np.random.Generator) -> T:
    return items[int(rng.random() * len(items))]


def _each_once(items: Iterable[T]) -> tuple[T, ...]:
    """The items without repetitions, in order; what they hold has no hash."""
    unique: list[T] = []
    for item in items:
        if item not in unique:
            unique.append(item)
    return tuple(unique)


def _spans_at(operation: Operation, magnitude: float) -> Spans:
    """Where the values of an operation lie up to a magnitude, to either side."""
    spans = {}
    for name, parameter in operation.parameters.items():
        ends = [parameter.at(1 if parameter.free else magnitude, up) for up in (False, True)]
        spans[name] = (min(ends), max(ends))
    return spans


def _merged(steps: Iterable[Step]) -> Mapping[str, Spans]:
    """The widest spans of each operation over some steps."""
    merged: dict[str, dict[str, Span]] = {}
    for step in steps:
        for name, spans in step.operations().items():
            widest = merged.setdefault(name, {})
            for key, (low, high) in spans.items():
                before = widest.get(key, (low, high))
                widest[key] = (min(before[0], low), max(before[1], high))
    return merged


def _may_mix(step: Step) -> bool:
    return any(map(_may_mix, step.steps)) if isinstance(step, OneOf) else isinstance(step, Mix)


def _certain(step: Use) -> bool:
    (spans,) = step.operations().values()
    return step.p >= 1 and not step.operation.seeded and all(low == high for low, high in spans.values())
