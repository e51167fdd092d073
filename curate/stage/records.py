"""Records: frozen dataclasses that lie on disk as JSON, written in one way and read back strictly."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, TypeVar, get_args

from .errors import DataError
from .files import write_text
from .lines import json_text
from .options import OPTIONAL as OPTIONAL

if TYPE_CHECKING:
    from cattrs import Converter

R = TypeVar("R")
_KEY, _ROOT = "key", "$"
_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
}


def named(key: str) -> Mapping[str, object]:
    """Metadata of a field whose key in the document is no Python name, such as "class".

    >>> @dataclasses.dataclass(frozen=True)
    ... class Worst:
    ...     class_name: str = dataclasses.field(metadata=named("class"))
    >>> document_of(Worst("monocyte"))
    {'class': 'monocyte'}
    """
    return {_KEY: key}


def document_of(value: object) -> object:
    """What JSON holds of a record: dictionaries, lists and values, fields in their order.

    Numbers that are none (NaN, infinity) become None, as JSON has them not; what JSON does not know, its text.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {
            _key_of(field): document_of(inner)
            for field, inner in fields
            if not (inner is None and field.metadata.get("optional"))
        }
    if isinstance(value, Mapping):
        return {str(key): document_of(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [document_of(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def record_text(record: object) -> str:
    """The text of a record's file."""
    return json_text(document_of(record)) + "\n"


def write_record(record: object, path: Path) -> Path:
    """Write a record as JSON, and return its path. Raises OutputError."""
    write_text(record_text(record), path)
    return path


def read_document(path: Path, remedy: str) -> dict[str, object]:
    """The JSON object that a file holds. Raises DataError, with the remedy: a sentence that says what to do."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}). {remedy}") from None
    except RecursionError:
        raise DataError(f"{path} is nested too deep to be read. {remedy}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path} holds no JSON object. {remedy}")
    return document


def read_record(kind: type[R], path: Path, remedy: str) -> R:
    """The record of a kind that a file holds.

    Raises DataError where the file cannot be read, lacks a field, has one that is not known, or a value of another
    type; with the remedy.
    """
    return record_of(kind, read_document(path, remedy), f"{path}", remedy)


def record_of(kind: type[R], document: object, place: str, remedy: str) -> R:
    """The record of a kind that a document describes. Raises DataError, with the place and the remedy."""
    from cattrs import BaseValidationError, transform_error

    try:
        return _converter().structure(document, kind)
    except BaseValidationError as error:
        # What is not known comes first: it is most likely what is missing, misspelt.
        reasons = [
            _in_words(reason)
            for reason in sorted(transform_error(error, path=_ROOT), key=lambda it: "extra fields" not in it)
        ]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise DataError(f"{place}: {reasons[0]}{more}. {remedy}") from None


def _in_words(reason: str) -> str:
    """A reason of cattrs', "required field missing @ $.size", as a person would say it: "size is missing"."""
    fault, _, where = reason.rpartition(f" @ {_ROOT}")
    where = where.removeprefix(".") or "it"
    if match := re.fullmatch(r"extra fields found \((.*)\)", fault):
        return f"{where} has what is not known: {match[1]}"
    if fault == "required field missing":
        return f"{where} is missing"
    return f"{where} is not {_TYPES.get(fault.rpartition(', expected ')[2], 'as it should be')}"


def _key_of(field: dataclasses.Field[object]) -> str:
    return str(field.metadata.get(_KEY, field.name))


@lru_cache(1)
def _converter() -> Converter:
    """Structures documents strictly: no unknown key, no value of another type."""
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override
    from cattrs.strategies import configure_union_passthrough

    converter = Converter(forbid_extra_keys=True)

    def structure_record(kind: type[object]) -> Callable[[Mapping[str, object], object], object]:
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # only dataclasses come here
        renamed = {field.name: override(rename=_key_of(field)) for field in fields}
        return make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **renamed)  # type: ignore[arg-type]

    def structure_nearest(union: object) -> Callable[[object, object], object]:
        # cattrs tells the members apart by a field that differs from one process to the next.
        members = get_args(union)

        def structure(value: object, kind: object) -> object:
            if not isinstance(value, Mapping):
                raise ValueError(f"{value!r} is no object")
            return converter.structure(value, max(members, key=lambda member: _likeness(value, member)))

        return structure

    converter.register_structure_hook_factory(dataclasses.is_dataclass, structure_record)
    converter.register_structure_hook_factory(_joins_records, structure_nearest)
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, kind: value)
    configure_union_passthrough(str | int | float | bool | None, converter)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, _number)
    return converter


def _joins_records(kind: object) -> bool:
    """Whether a type is a union of kinds of records."""
    return isinstance(kind, UnionType) and all(map(dataclasses.is_dataclass, get_args(kind)))


def _likeness(document: Mapping[str, object], kind: type[object]) -> tuple[int, int, int]:
    """How much a document is like a kind of record: by keys that they share, then by how few either has alone."""
    keys = {_key_of(field) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return len(keys & document.keys()), -len(document.keys() - keys), -len(keys - document.keys())


def _exactly(value: object, kind: type[object]) -> object:
    """The value, where it is of this very type: True is no number."""
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value


def _number(value: object, kind: type[object]) -> float:
    """The number; NaN for None, which stands for it in JSON."""
    if value is None:
        return math.nan
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no number")
    return float(value)  # type: ignore[arg-type]
