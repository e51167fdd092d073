"""Options: fields of frozen dataclasses that say what a command line and a check of their values need to know.

    @dataclass(frozen=True)
    class ScanConfig:
        workers: int = option(0, "Threads; 0 means one per core.", group="Running", at_least=0)

        def __post_init__(self) -> None:
            check(self)

A command has an option for each such field (curate/commandline.py): nothing is said of it anywhere else.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, SimpleNamespace, UnionType
from typing import Concatenate, ParamSpec, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import DataError, UnknownName
from .shortness import short_repr

T = TypeVar("T")
P = ParamSpec("P")
Names = Callable[[], Iterable[str]]
_KEY = "option"
# A field of this metadata is left out of a document on disk where its value is None (see records).
OPTIONAL: Mapping[str, object] = {"optional": True}


@dataclass(frozen=True)
class Option:
    """What a field is as an option.

    help      its sentence
    group     the heading it stands under, "" for what most people need
    flag      where that is not the field's name with dashes;  short  a letter beside it, such as "-q"
    metavar   what stands for its value;  example  such a value, for refusals
    switch    of what is true or false: there is no --no-...
    path      of a file or a folder
    commas    whether they separate several values
    nothing   the word for no values, where there are some by default
    at_least, at_most  the smallest and the largest number;  share  of numbers from 0 to 1
    among     all values that there are
    noun      what a value is called that is not among them, where that is not the field's name
    names     values to be completed, where others are taken too;  suffixes  of files that are taken as well
    unwritten  left out of the records that it is in where it is None (see records.OPTIONAL)
    """

    help: str
    group: str = ""
    flag: str = ""
    short: str = ""
    metavar: str = ""
    example: str = ""
    switch: bool = False
    path: bool = False
    commas: bool = True
    nothing: str = ""
    at_least: float | None = None
    at_most: float | None = None
    share: bool = False
    among: tuple[str, ...] = ()
    noun: str = ""
    names: Names | None = None
    suffixes: tuple[str, ...] = ()
    unwritten: bool = False

    __repr__ = short_repr

    def known(self) -> tuple[str, ...]:
        """The values that can be completed."""
        return self.among or tuple(self.names() if self.names else ())


@dataclass(frozen=True)
class Section:
    """A field that is a configuration itself, whose options are those of the whole; `only` some of them."""

    only: tuple[str, ...] = ()

    __repr__ = short_repr


def metadata(about: Option | Section) -> dict[str, Option | Section]:
    """The metadata of a dataclass' field that is this; for fields without a default."""
    return {_KEY: about}


def _as_field(describe: Callable[P, Option]) -> Callable[Concatenate[T, P], T]:
    def described_field(default: T, /, *words: P.args, **details: P.kwargs) -> T:
        described = describe(*words, **details)
        about = {**metadata(described), "optional": described.unwritten}
        if isinstance(default, dict):
            return cast(T, field(default_factory=default.copy, metadata=about))
        return field(default=default, metadata=about)

    return described_field


# option(default, help, group=..., at_least=...): a field of a dataclass, with the words of Option.
option = _as_field(Option)


def section(config: type[T], only: Sequence[str] = ()) -> T:
    """A field of a dataclass that is a configuration itself."""
    return field(default_factory=config, metadata=metadata(Section(tuple(only))))


@dataclass(frozen=True)
class Shape:
    """The type of a field: one value or several of a `single` type, a size, or a score for each of some names."""

    single: type
    several: bool = False
    size: bool = False
    scores: bool = False


@dataclass(frozen=True)
class FieldOption:
    """An option where it stands: of a field, with its type and default (MISSING where one is needed)."""

    name: str
    option: Option
    shape: Shape
    default: object

    @property
    def flag(self) -> str:
        """As it is typed.

        >>> field_options(_Example)[0].flag
        '--input-size'
        """
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def repeats(self) -> bool:
        """Whether it is given once for each value, or for several separated by commas."""
        return self.shape.scores or (self.shape.several and self.shape.single is str and not self.default)


def field_options(config: type, only: Sequence[str] = ()) -> tuple[FieldOption, ...]:
    """The options of a configuration in order, those of its sections in their place; `only` some of them."""
    every = _field_options(config)
    return tuple(entry for entry in every if not only or entry.name in only)


@cache
def _field_options(config: type) -> tuple[FieldOption, ...]:
    assert is_dataclass(config)
    own = [entry for entry in fields(config) if _KEY in entry.metadata]
    hints = get_type_hints(
        SimpleNamespace(__annotations__={entry.name: entry.type for entry in own}), vars(sys.modules[config.__module__])
    )
    options: list[FieldOption] = []
    for entry in own:
        about = entry.metadata[_KEY]
        if isinstance(about, Section):
            options += field_options(hints[entry.name], about.only)
        else:
            options.append(FieldOption(entry.name, about, _shape(hints[entry.name]), _default(entry)))
    return tuple(options)


def _default(entry: Field[object]) -> object:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _shape(hint: object) -> Shape:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    kinds = get_args(hint)
    if get_origin(hint) is tuple:
        several = kinds[1:] == (...,)
        return Shape(kinds[0], several=several, size=not several)
    return Shape(kinds[-1], scores=True) if kinds else Shape(cast(type, hint))


def make(config: type[T], values: Mapping[str, object]) -> T:
    """The configuration of these values of its options, by keyword; the others have their defaults.

    >>> make(_Example, {"input_size": 64})
    _Example(input_size=64)
    """
    assert is_dataclass(config)
    words: dict[str, object] = {}
    for entry in fields(config):
        about = entry.metadata.get(_KEY)
        if isinstance(about, Section):
            kind = cast("Callable[[], object]", entry.default_factory)
            inner = {name: value for name, value in values.items() if not about.only or name in about.only}
            words[entry.name] = make(cast("type[object]", kind), inner)
        elif entry.name in values:
            words[entry.name] = values[entry.name]
    return cast("Callable[..., T]", config)(**words)


def check(config: object) -> None:
    """Refuse what the options of a configuration do not allow: too small a number, no share, a name there is not.

    Raises DataError, UnknownName.
    """
    for entry in field_options(type(config)):
        if hasattr(config, entry.name):  # that of a section has been looked at there
            value = getattr(config, entry.name)
            several = isinstance(value, (tuple, Mapping)) and not entry.shape.size
            for single in value if several else [value]:
                if single is not None:
                    _check(entry, single)


def _check(entry: FieldOption, value: object) -> None:
    limits = entry.option
    if limits.among and value not in limits.among:
        raise UnknownName.among(limits.noun or entry.name.replace("_", " "), str(value), limits.among)
    if not isinstance(value, (int, float)):
        return
    low, high = limits.at_least, limits.at_most
    # Not a number is neither.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        number = "a whole number" if entry.shape.single is int else "a number"
        ends = [f"{word} {end:,}" for word, end in (("from", low), ("to", high)) if end is not None]
        raise DataError(f"{entry.name} is {shortened(value)}; needed is {number} {' '.join(ends)}.")
    if limits.share and not 0 <= value <= 1:
        raise DataError(f"{entry.name} is {value}; needed is a share from 0 to 1.")


def shortened(value: object, most: int = 40) -> str:
    """A value as Python writes it, the middle of a very long one left out.

    >>> shortened(10**60, 20)
    '1000000000...0000000'
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-(most // 2 - 3) :]}"


def check_range(value_range: tuple[float, ...] | None) -> None:
    """Refuse what is no range of values: black and white, in this order. Raises DataError."""
    if value_range is not None and not (
        len(value_range) == 2 and -math.inf < value_range[0] < value_range[1] < math.inf
    ):
        raise DataError(
            f"value_range is {','.join(f'{value:g}' for value in value_range)}; needed are the value that is black and "
            "the larger one that is white, as in 0,4095."
        )


# From the words of a command line to values, and back.


def read(entry: FieldOption, typed: object) -> object:
    """The value of an option from what was typed for it: text, several texts, or what is a value already.

    Raises DataError.
    """
    if entry.option.nothing and typed == entry.option.nothing:
        return ()
    if typed is None and entry.default is None:
        return None
    if entry.shape.scores:
        return _scores(entry, typed)
    if entry.shape.several:
        return _several(entry, typed)
    if entry.shape.size:
        return _size(entry, str(typed or ""))
    return None if typed is None else str(typed) if entry.option.path else typed


def written(entry: FieldOption, value: object) -> str | None:
    """What is typed for a value of an option, where one word says it; None where there is nothing to say."""
    if entry.shape.size and isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or (entry.option.nothing or None)
    if isinstance(value, Mapping):
        return ",".join(f"{name}={score:g}" for name, score in value.items()) or None
    return None if value is None else str(value)


def spelled(config: object, leave: Iterable[str] = ()) -> list[str]:
    """The words of a command line that make a configuration, but for what is the default and what is left out.

    >>> spelled(_Example(input_size=64))
    ['--input-size', '64']
    """
    words: list[str] = []
    for entry in field_options(type(config)):
        value = getattr(config, entry.name, entry.default)
        if entry.name in (*leave,) or value == entry.default:
            continue
        if isinstance(value, bool):
            words.append(entry.flag if value else f"--no-{entry.flag.removeprefix('--')}")
        elif isinstance(value, tuple) and not entry.option.commas:
            words += [word for single in value for word in (entry.flag, str(single))]
        elif (text := written(entry, value)) is not None:
            words += [entry.flag, text]
    return words


def _words(entry: FieldOption, typed: object) -> list[str]:
    parts = [typed] if isinstance(typed, str) else cast("Sequence[str]", typed or ())
    if not entry.option.commas:
        return list(parts)
    return [word.strip() for part in parts for word in part.split(",") if word.strip()]


def _several(entry: FieldOption, typed: object) -> tuple[object, ...]:
    try:
        return tuple(entry.shape.single(word) for word in _words(entry, typed))
    except ValueError:
        numbers = "whole numbers" if entry.shape.single is int else "numbers"
        raise DataError(f"{entry.flag} {shortened(typed)}; needed are {numbers}, separated by commas.") from None


def _scores(entry: FieldOption, typed: object) -> dict[str, float]:
    scores = {}
    for word in _words(entry, typed):
        name, _, score = word.partition("=")
        try:
            scores[name.strip()] = float(score)
        except ValueError:
            about = entry.option
            raise DataError(
                f"{entry.flag} {word!r} is not {about.metavar}, as in {entry.flag} {about.example}."
            ) from None
    return scores


def _size(entry: FieldOption, text: str) -> tuple[int, int] | None:
    """(width, height) of "96x96" or "96"."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", text)
    if not match:
        raise DataError(f"{entry.flag} {shortened(text)} is no size; needed is WIDTHxHEIGHT, as in 96x96.")
    return int(match[1]), int(match[2] or match[1])


# What many commands have, and the headings that many have options under.

DECIDING = "What is dropped"
READING = "How the set is read"
SEEING = "Embedding"
SPLITTING = "Splits"
RUNNING = "How it runs"
PRINTING = "What is printed"
ARTIFACTS = "artifacts"
# The largest seed: all libraries take it, with some fits more from it on.
SEEDS = 2**31 - 1
# More images than anybody has; more copies of one than anybody makes.
MANY, MOST_COPIES = 1_000_000_000, 10_000


def artifacts_option() -> str:
    """A field for the folder that everything is written to and read from."""
    return option(ARTIFACTS, "Folder for everything that is written.", path=True)


def labels_option() -> str | None:
    """A field for a CSV of labels."""
    return option(None, "CSV of labels for a flat folder: columns file and label.", path=True, metavar="FILE")


def value_range_option() -> tuple[float, ...] | None:
    """A field for the values that become black and white."""
    help = "Values that are black and white, such as 0,4095 for 12 bits; by default told by the whole set."
    return option(None, help, READING, metavar="LOW,HIGH", unwritten=True)


def max_pixels_option() -> int | None:
    """A field for the most pixels of a picture."""
    help = "Most pixels of a picture; larger ones count as unreadable. By default some 89 million."
    return option(None, help, READING, at_least=1, unwritten=True)


def classes_from_option() -> str | None:
    """A field for what classes are taken from."""
    help = "Take classes from a LEVEL of folders (1 is the first), parent, folders, table, a COLUMN or array, or none."
    return option(
        None, help, READING, metavar="WHERE", names=lambda: ("parent", "folders", "table", "none"), unwritten=True
    )


def splits_from_option() -> str | None:
    """A field for what splits are taken from."""
    help = "Take splits from a LEVEL of folders, parent, a COLUMN or array, or none."
    return option(None, help, READING, metavar="WHERE", names=lambda: ("parent", "none"), unwritten=True)


def groups_from_option() -> str | None:
    """A field for what groups are taken from."""
    help = "Take groups that stay together, such as patients, from a LEVEL, parent, a COLUMN or array, or none."
    return option(None, help, READING, metavar="WHERE", names=lambda: ("parent", "none"), unwritten=True)


def seed_option() -> int:
    """A field for the seed of everything random."""
    return option(0, "Seed of everything random.", RUNNING, at_least=0, at_most=SEEDS)


def workers_option(kind: str = "Threads") -> int:
    """A field for how much is done at a time."""
    return option(0, f"{kind}; 0 means one per core.", RUNNING, at_least=0, at_most=1024)


def elsewhere(artifacts: object) -> str:
    """The words that the next command needs where the artifacts are not in their usual place, else "".

    >>> elsewhere("my artifacts")
    " --artifacts 'my artifacts'"
    """
    return "" if str(artifacts) == ARTIFACTS else f" --artifacts {shlex.quote(str(artifacts))}"


@dataclass(frozen=True)
class _Example:
    """For the examples above."""

    input_size: int = option(160, "Pixels a side.", at_least=1)
