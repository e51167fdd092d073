"""How a value shows itself in a console: one short line, whatever it holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sized
from dataclasses import MISSING, Field, fields, is_dataclass
from numbers import Integral, Real
from pathlib import PurePath
from typing import TYPE_CHECKING

from .lines import printable, shortened

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LONGEST, _TEXT, _FEW = 320, 60, 4  # letters of a line and of a text in it; items that are told one by one


def short_repr(record: DataclassInstance) -> str:
    """The fields of a dataclass in one line, to be its `__repr__`: shapes of arrays and tables, counts of long lists.

    Fields that have their default are left out. The line is bounded whatever the fields hold, and no name in them
    breaks it or steers a terminal.

    >>> from ..configs import ApplyConfig
    >>> short_repr(ApplyConfig(drop=("dark", "light")))
    "ApplyConfig(drop=('dark', 'light'))"
    """
    name = type(record).__name__
    line = f"{name}("
    for field in fields(record):
        value = getattr(record, field.name, MISSING)  # not there: it was made without its __init__
        if not field.repr or value is MISSING or _is_default(field, value):
            continue
        word = f"{'' if line.endswith('(') else ', '}{field.name}={in_short(value)}"
        if len(line) + len(word) > _LONGEST:
            return f"{line}, ...)"
        line += word
    return f"{line})"


def _is_default(field: Field[object], value: object) -> bool:
    if field.default is not MISSING:
        # What an array compares to is an array.
        return value is field.default or (
            type(value) is type(field.default) and isinstance(value, _PLAIN) and value == field.default
        )
    return field.default_factory is not MISSING and isinstance(value, Sized) and not len(value)


_PLAIN = (str, int, float, tuple)
_BRACKETS = {"tuple": ("(", ")"), "list": ("[", "]")}


def in_short(value: object) -> str:
    """A value in a few words: at most some 70 letters, in one line.

    >>> in_short("a" * 100), in_short(range(9000)), in_short({"kept": 1}), in_short(2 / 3)
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", 'range of 9,000', "{'kept': 1}", '0.6667')
    """
    if isinstance(value, str | PurePath):
        return _quoted(str(value))
    if isinstance(value, bool) or value is None:
        return repr(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return _of_shape(value, shape)
    if isinstance(value, Integral):
        return shortened(str(int(value)), _TEXT)
    if isinstance(value, Real):
        return f"{float(value):.4g}"
    if is_dataclass(value):
        return f"{type(value).__name__}(...)"
    if isinstance(value, Mapping | tuple | list | set | frozenset | range):
        return _of_many(value)
    if isinstance(value, type) or callable(value):
        return shortened(str(getattr(value, "__name__", type(value).__name__)), _TEXT)
    return type(value).__name__


def one_line(text: str, longest: int = 120) -> str:
    """The text in one line of at most so many letters, shortened in the middle; what steers a terminal is escaped."""
    text = printable(text if len(text) <= longest else f"{text[:longest]}…{text[-longest:]}")
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[1 - half :]}"


def _quoted(text: str) -> str:
    """A text between quotes, what steers a terminal escaped, as Python writes it."""
    if len(text) > 2 * _TEXT:  # of letters that take no room there may be any number
        text = f"{text[:_TEXT]}…{text[-_TEXT:]}"
    word = repr(shortened(text, _TEXT))
    return word if len(word) <= _TEXT + 20 else f"{word[:_TEXT]}…{word[0]}"


def _of_shape(value: object, shape: tuple[object, ...]) -> str:
    """ "float16 (2904, 1280)", "DataFrame (2904, 21)"."""
    kind = getattr(value, "dtype", None)
    name = type(value).__name__ if kind is None or type(value).__name__ == "Series" else str(kind)
    return f"{shortened(name, 20)} ({', '.join(map(str, shape[:5]))})"


def _of_many(values: Collection[object]) -> str:
    """A few plain items one by one; of more their number."""
    kind = type(values).__name__
    if len(values) <= _FEW:
        if isinstance(values, Mapping):
            words = [f"{in_short(key)}: {in_short(item)}" for key, item in values.items()]
        else:
            words = [in_short(item) for item in values]
        text = ", ".join(words) + ("," if kind == "tuple" and len(words) == 1 else "")
        left, right = _BRACKETS.get(kind, ("{", "}"))
        if len(text) <= _TEXT and kind != "range":
            return f"{left}{text}{right}"
    return f"{kind} of {len(values):,}"
