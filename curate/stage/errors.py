"""The error tree. A command prints these as one line and exits 2; anything else is a bug.

ToolkitError
├── DataError      the input is not what is needed           (also a ValueError)
├── UnknownName    a name that no registry holds             (also a KeyError)
├── MissingExtra   a feature whose extra is not installed    (also an ImportError)
├── OutputError    the output cannot be written              (also an OSError)
├── Diverged       a fit whose loss is no number any more    (also an ArithmeticError)
└── WorkerLost     a process that did part of the work is gone (also a RuntimeError)
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

# So many names are all shown; of more, so many.
_ALL, _NEAREST = 40, 12


class ToolkitError(Exception):
    """Base of all errors that a user can cause: what was given, what is needed, what to do."""

    def __str__(self) -> str:
        return " ".join(str(a) for a in self.args)


class DataError(ToolkitError, ValueError):
    """The input is not what is needed."""


class UnknownName(ToolkitError, KeyError):
    """A name that no registry holds."""

    @classmethod
    def among(cls, kind: str, name: str, catalogue: Iterable[str]) -> UnknownName:
        """The error for `name`, with the nearest known name and all of them; of very many those that are nearest."""
        names = sorted(catalogue)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if len(names) > _ALL:
            nearest = difflib.get_close_matches(name, names, n=_NEAREST, cutoff=0)
            return cls(f"no {kind} named {name!r}.{hint} The nearest of {len(names)} known: {', '.join(nearest)}")
        return cls(f"no {kind} named {name!r}.{hint} Known: {', '.join(names)}")

    @classmethod
    def check(cls, kind: str, names: Iterable[str], catalogue: Collection[str]) -> None:
        """Raise the error of the first of the given names that is not known."""
        for name in names:
            if name not in catalogue:
                raise cls.among(kind, name, catalogue)


class MissingExtra(ToolkitError, ImportError):
    """A feature whose optional dependency is not installed."""


class OutputError(ToolkitError, OSError):
    """The output cannot be written."""


class WorkerLost(ToolkitError, RuntimeError):
    """A process that did part of the work is gone."""


class Diverged(ToolkitError, ArithmeticError):
    """A fit whose loss is no number any more."""


def gist(error: BaseException, most: int = 200) -> str:
    r"""The first line of an error, cut where it is very long; its kind where it says nothing.

    >>> gist(ValueError(" no such layer ")), gist(KeyError())
    ('no such layer', 'KeyError')
    """
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= most else f"{first[:most].rstrip()}..."


@contextmanager
def telling(place: str) -> Iterator[None]:
    """Errors raised within tell the place first.

    >>> with telling("a.toml"):
    ...     raise DataError("this is no TOML.")
    Traceback (most recent call last):
    curate.stage.errors.DataError: a.toml: this is no TOML.
    """
    try:
        yield
    except ToolkitError as error:
        raise type(error)(f"{place}: {error}") from error
