"""Policies by name, from TOML files, and from people's own functions.

    about = "Flips and a little colour."   # one sentence
    origin = "..."                         # the report or paper
    copies = 4                             # of each picture, unless told otherwise
    [[pipeline]]                           # copy 1 goes through the first, copy 2 through the second, and round again
    share = 1                              # this many copies in a row
    steps = [
      {op = "dihedral", element = [0, 7]},
      {one_of = [{op = "hue", degrees = [-15, 15]}, {op = "gamma", exponent = [0.8, 1.25]}], p = 0.8},
      {op = "randaugment", ops = 2, magnitude = 0.45},
      {call = "mine.py:fade", p = 0.5},
    ]

A number is a fixed value, [low, high] a span. A file of one pipeline may have its `steps` at the top.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from types import FunctionType
from typing import TypeVar

from curate.stage.documents import Document, find_document
from curate.stage.errors import DataError, UnknownName, telling
from curate.stage.options import MOST_COPIES, shortened

from ..operations.operation import OPERATIONS, WHOLE, Operation, Span
from .functions import load, split_target
from .policy import AugMix, Call, Mix, OneOf, Policy, RandAugment, Step, Use

# Goes up when the same file draws other values than before.
FORMAT = 1
# Times the strongest sensible value: beyond it a value is taken for a mistake.
_FAR = 10
# Values that make no picture look different, such as the step of a blur: so many times smaller or greater is a mistake.
_BESIDE = 100
# More operations of a step, or pipelines of a policy, than anybody draws; choices within choices.
_MOST, _PIPELINES, _DEEPEST = 100, 1000, 10

NAMES = (
    "light", "moderate", "heavy", "everything", "microscopy", "dihedral8",
    "randaugment", "augmix", "augmix-all", "mixup", "cutmix",
    "traditional", "mixup-cutmix", "mixup-cutmix-traditional",
    "a1", "a2", "a3", "hidden-players",
    "randaugment-0.2x1", "randaugment-0.35x1", "randaugment-0.45x2", "randaugment-0.6x2",
    "shear-zoom-flip",
)  # fmt: skip

# KerasCV's ten, and what the original has besides.
RANDAUGMENT = (
    "autocontrast", "equalize", "solarize", "colourfulness", "enhance_contrast", "enhance_brightness",
    "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "posterize", "sharpness",
)  # fmt: skip
# The paper's; it leaves out what the corruption benchmark is made of, which are the second ones.
AUGMIX = (
    "autocontrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
AUGMIX_ALL = (*AUGMIX, "colourfulness", "enhance_contrast", "enhance_brightness", "sharpness")


def names() -> tuple[str, ...]:
    """The built-in policies: ours, those of the papers, those of the reports."""
    return NAMES


@dataclass(frozen=True)
class _Home:
    """Where the file of a policy lies, and the Python files that a person has named: no other one is run."""

    folder: Path
    functions: tuple[str | Path, ...]


def policy(name_or_path: str, functions: Iterable[str | Path] = ()) -> Policy:
    """A built-in policy, that of a .toml file, or a function "file.py:name" as a policy of one step.

    functions  Python files that a .toml file may call: none is run that is not among them

    Raises UnknownName for a name that there is not, DataError with file, pipeline and step for a mistake in a file.

    >>> policy("dihedral8").different
    7
    """
    document = find_document(name_or_path, "policy", resources.files(__package__), NAMES)
    if document:
        return _policy_of(document, tuple(functions))
    if ".py:" in name_or_path:
        path, _ = split_target(name_or_path)
        call = _call(name_or_path, _Home(Path(), (path,)))
        return Policy(name_or_path, ((call,),), about="A function of yours.", path=path)
    unknown = UnknownName.among("policy", name_or_path, NAMES)
    raise UnknownName(f"{unknown}. A file of your own is taken too: mine.toml, or mine.py:function.")


def digest(policy: Policy) -> str:
    """Hex BLAKE2b-128 of all that decides what a policy draws; its name and its words do not."""
    described = json.dumps([FORMAT, _described(policy.pipelines)], sort_keys=True)
    return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()


def _described(value: object) -> object:
    """A step in what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _described(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {name: _described(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_described(inner) for inner in value]
    return value.__name__ if isinstance(value, FunctionType) else value


# Reading a file. A reader's error tells of the mistake alone; `telling` puts the place before it.


def _policy_of(document: Document, functions: tuple[str | Path, ...]) -> Policy:
    with document.tables() as table:
        UnknownName.check("key of a policy", table, ("about", "origin", "copies", "steps", "pipeline"))
        if ("steps" in table) == ("pipeline" in table):
            raise DataError("needed is either steps = [...], or [[pipeline]] once or more.")
        home = _Home(document.path.parent if document.path else Path(), functions)
        return Policy(
            document.name,
            _pipelines(table["pipeline"], home) if "pipeline" in table else (_steps(table["steps"], home),),
            _copies("copies", table.get("copies", Policy.copies)),
            _words("about", table.get("about", "")),
            _words("origin", table.get("origin", "")),
            document.path,
        )


def _pipelines(tables: object, home: _Home) -> tuple[tuple[Step, ...], ...]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise DataError("pipeline is no list of tables; write [[pipeline]], in two pairs of brackets.")
    pipelines: list[tuple[Step, ...]] = []
    for number, table in enumerate(tables, 1):
        with telling(f"pipeline {number}"):
            UnknownName.check("key of a pipeline", table, ("share", "steps"))
            pipelines += [_steps(table.get("steps"), home)] * _shared("share", table.get("share", 1))
            if len(pipelines) > _PIPELINES:
                raise DataError(f"the shares add up to {len(pipelines):,}; needed are {_PIPELINES:,} at most.")
    return tuple(pipelines)


def _steps(tables: object, home: _Home, kind: str = "step", depth: int = 0) -> tuple[Step, ...]:
    if depth > _DEEPEST:
        raise DataError(f"one_of is nested more than {_DEEPEST} deep. Write the choices side by side.")
    if not isinstance(tables, list) or not tables:
        raise DataError(f'there is no {kind}; needed is a list of one or more, as in [{{op = "flip_x"}}].')
    steps = []
    for number, table in enumerate(tables, 1):
        with telling(f"{kind} {number}"):
            steps.append(_step(table, home, depth))
    return tuple(steps)


def _step(table: object, home: _Home, depth: int) -> Step:
    options: dict[str, object] = dict(table) if isinstance(table, dict) else {}
    kinds = [key for key in ("op", "one_of", "call") if key in options]
    if len(kinds) != 1:
        raise DataError(
            f'this is {shortened(table, 200)}; needed is a table with op, one_of or call, as in {{op = "flip_x"}}.'
        )
    kind = kinds[0]
    value, p = options.pop(kind), _share("p", options.pop("p", 1.0))
    if kind == "op":
        return _operation(_words("op", value), options, p)
    UnknownName.check(f"key of {kind}", options, ("p",))
    if kind == "one_of":
        return OneOf(_steps(value, home, "choice", depth + 1), p)
    return _call(_words("call", value), home, p)


def _operation(name: str, options: dict[str, object], p: float) -> Step:
    if name in _SPECIAL:
        make, keys = _SPECIAL[name]
        UnknownName.check(f"key of {name}", options, ("p", *keys))
        return make(p=p, **{key: _READERS[key](key, value) for key, value in options.items()})
    operation = _find_operation(name)
    spans = {key: _span(key, value) for key, value in options.items()}
    for key, span in spans.items():
        operation.check(key, span)
        _within(operation, key, span)
    return Use(operation, spans, p)


def _within(operation: Operation, key: str, span: Span) -> None:
    """Raise where values are far from sensible: pixels where shares are meant, per cent, a ninth of eight elements."""
    parameter = operation.parameters[key]
    low, high = parameter.low, parameter.high
    far = 1 if parameter.scale == WHOLE else _FAR
    least, most = parameter.at(far, up=False), parameter.at(far, up=True)
    if low == high:
        least, most = (low / _BESIDE, low * _BESIDE) if low else (-_FAR, _FAR)
    if not least <= span[0] <= span[1] <= most:
        unit = ", as shares of the shorter side" if parameter.unit == "side" else ""
        raise DataError(
            f"{key} of {operation.name} is [{span[0]:g}, {span[1]:g}]; sensible is {low:g} to {high:g}{unit}."
        )


def _call(target: str, home: _Home, p: float = 1.0) -> Call:
    path, name = split_target(target)
    target = f"{home.folder / path}:{name}"
    return Call(target, load(target, home.functions), p)  # a mistake in it shows now, not in the middle of a build


def _randaugment(**options: object) -> Step:
    return _step_among(RandAugment, RANDAUGMENT, options)


def _augmix(all_ops: bool = False, **options: object) -> Step:
    if all_ops and "among" in options:
        raise DataError("augmix has all_ops and among; give one of them.")
    return _step_among(AugMix, AUGMIX_ALL if all_ops else AUGMIX, options)


def _step_among(make: Callable[..., Step], operations: tuple[str, ...], options: Mapping[str, object]) -> Step:
    """A step that draws among operations: those of its options, by default the named ones."""
    return make(**{"among": _operations("among", operations), **options})


# Readers of single values: (key, what the file has) -> what a step is made with.
N = TypeVar("N", int, float)
_Reader = Callable[[str, object], object]


def _number_reader(kind: type[N], least: float, most: float) -> Callable[[str, object], N]:
    number = "a whole number" if kind is int else "a number"

    def read(key: str, value: object) -> N:
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or not least <= value <= most:
            raise DataError(f"{key} is {shortened(value)}; needed is {number} from {least:g} to {most:,}.")
        return kind(value)

    return read


_share = _number_reader(float, 0, 1)
_amount = _number_reader(float, 0, 100)
# Of distributions: below and above it they are all or nothing.
_positive = _number_reader(float, 0.001, 1_000_000)
_whole = _number_reader(int, 0, _MOST)
_count = _number_reader(int, 1, _MOST)
_copies = _number_reader(int, 1, MOST_COPIES)
_shared = _number_reader(int, 1, _PIPELINES)


def _span(key: str, value: object) -> Span:
    ends = value if isinstance(value, list) else [value, value]
    numbers = [end for end in ends if isinstance(end, (int, float)) and not isinstance(end, bool)]
    # Of whole numbers there are some that no float holds.
    if not len(ends) == len(numbers) == 2 or any(abs(number) > sys.float_info.max < math.inf for number in numbers):
        raise DataError(f"{key} is {shortened(value)}; needed is a number, or two as [low, high].")
    return float(numbers[0]), float(numbers[1])


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{key} is {shortened(value)}; needed is true or false.")
    return value


def _words(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f'{key} is {shortened(value)}; needed is text in "quotes".')
    return value


def _find_operation(name: str) -> Operation:
    if name not in OPERATIONS:
        raise UnknownName.among("operation", name, [*OPERATIONS, *_SPECIAL])
    return OPERATIONS[name]


def _operations(key: str, value: object) -> tuple[Operation, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise DataError(f'{key} is {shortened(value)}; needed is a list of operations, as in ["rotate", "equalize"].')
    return tuple(OPERATIONS[_words(key, name)] for name in value)


_READERS: Mapping[str, _Reader] = {
    "ops": _count,
    "magnitude": _share,
    "spread": _amount,
    "rate": _share,
    "width": _count,
    "depth": _whole,
    "alpha": _positive,
    "all_ops": _flag,
    "among": _operations,
}
# Steps that are no single operation: what makes them, and their keys.
_SPECIAL: Mapping[str, tuple[Callable[..., Step], tuple[str, ...]]] = {
    "randaugment": (_randaugment, ("ops", "magnitude", "spread", "rate", "among")),
    "augmix": (_augmix, ("width", "depth", "alpha", "magnitude", "among", "all_ops")),
    "mixup": (partial(Mix, "mixup"), ("alpha",)),
    "cutmix": (partial(Mix, "cutmix"), ("alpha",)),
}
