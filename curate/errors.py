"""The error tree. A command prints these as one line and exits 2; anything else is a bug.

ToolkitError
├── DataError      the input is not what is needed           (also a ValueError)
├── UnknownName    a name that no registry holds             (also a KeyError)
├── MissingExtra   a feature whose extra is not installed    (also an ImportError)
└── OutputError    the output cannot be written              (also an OSError)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ToolkitError(Exception):
    """Base of all errors that a user can cause: what was given, what is needed, what to do."""

    def __str__(self) -> str:
        return " ".join(str(a) for a in self.args)


class DataError(ToolkitError, ValueError):
    """The input is not what is needed."""


class UnknownName(ToolkitError, KeyError):
    """A name that no registry holds."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownName:
        """The error for `name`, with the nearest known name and all of them."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return cls(f"no {kind} named {name!r}.{hint} Known: {', '.join(names)}")


class MissingExtra(ToolkitError, ImportError):
    """A feature whose optional dependency is not installed."""


class OutputError(ToolkitError, OSError):
    """The output cannot be written."""
