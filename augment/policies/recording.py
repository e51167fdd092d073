"""Records as they lie on disk: JSON of what was drawn, checked before it is done, as a set may come from anybody."""

from __future__ import annotations

import json
import math

from curate.stage.errors import DataError

from ..operations.operation import OPERATIONS, SEED, Parameter, Values
from . import mixing
from .functions import CALL
from .policy import Record

# A MixUp of pictures that are mixed themselves, and no deeper.
_DEPTH = 4
_FAR = 100
# Of values in pixels or grey levels.
_MOST = 10_000
_CALL = {"op": str, "function": str, "digest": str, SEED: int}


def record_of(text: str) -> Record:
    """The record that a text holds. Raises DataError where none of ours would be like it.

    >>> record_of('[{"op": "flip_x"}]')
    [{'op': 'flip_x'}]
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DataError(f"what was done to it is no JSON ({error}).") from None
    except RecursionError:
        raise DataError("what was done to it is nested deeper than any policy draws.") from None
    return _record(document, _DEPTH)


def _record(document: object, depth: int) -> Record:
    if not isinstance(document, list) or not all(isinstance(drawn, dict) for drawn in document):
        raise DataError("what was done to it is no list of operations.")
    if not depth:
        raise DataError("what was done to it is nested deeper than any policy draws.")
    for drawn in document:
        _check_drawn(drawn, depth)
    return document


def _check_drawn(drawn: Values, depth: int) -> None:
    name = drawn.get("op")
    if name == "augmix":
        _check_chains(drawn, depth)
    elif isinstance(name, str) and name in mixing.KINDS:
        _check_mixed(name, drawn, depth)
    elif name == CALL:
        if {key: type(value) for key, value in drawn.items()} != _CALL or drawn[SEED] < 0:
            raise DataError("a call is of a function, a digest and a seed, and this is not.")
    elif isinstance(name, str) and name in OPERATIONS:
        _check_values(name, drawn)
    else:
        raise DataError(f"there is no operation {name!r}.")


def _check_chains(drawn: Values, depth: int) -> None:
    chains, weights = drawn.get("chains"), drawn.get("weights")
    fits = isinstance(chains, list) and isinstance(weights, list) and len(chains) == len(weights)
    if not fits or not all(_is_share(value) for value in [*weights, drawn.get("share")]):  # type: ignore[misc]
        raise DataError("augmix has chains, a weight of each and a share, and this has not.")
    for chain in chains:  # type: ignore[union-attr]
        _record(chain, depth - 1)


def _check_mixed(name: str, drawn: Values, depth: int) -> None:
    shares = ("kept",) if name == "mixup" else ("kept", "left", "top", "right", "bottom")
    if not all(_is_share(drawn.get(key)) for key in shares) or not _is_row(drawn.get("row")):
        raise DataError(f"{name} is of a row and of shares from 0 to 1, and this is not.")
    _record(drawn.get("first"), depth - 1)


def _check_values(name: str, drawn: Values) -> None:
    operation = OPERATIONS[name]
    needed = {"op", *operation.parameters, *([SEED] if operation.seeded else [])}
    if drawn.keys() != needed:
        raise DataError(f"{name} takes {', '.join(sorted(needed - {'op'})) or 'nothing'}.")
    for key, parameter in operation.parameters.items():
        if not _is_sensible(drawn[key], parameter):
            raise DataError(f"{key} of {name} is {str(drawn[key])[:40]}, which no policy draws.")
    if operation.seeded and not (_is_row(drawn[SEED]) and drawn[SEED] < 1 << 32):
        raise DataError(f"the seed of {name} is no whole number from 0 to 2**32.")


def _is_sensible(value: object, parameter: Parameter) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _far(parameter):
        return False
    # A step so small that it is never done is as bad as a length without end.
    return parameter.unit != "" or parameter.low < parameter.high or abs(value) >= abs(parameter.low) / _FAR


def _far(parameter: Parameter) -> float:
    return max(_MOST, _FAR * abs(parameter.low), _FAR * abs(parameter.high))


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
