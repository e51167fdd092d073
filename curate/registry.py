"""Name tables: a function is registered under its own name, and a second one of that name is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from .errors import UnknownName

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Mapping[str, Callable[..., Any]]):
    """Functions by name, in the order in which they were added.

    >>> sounds = Registry("sound")
    >>> @sounds.add
    ... def moo() -> str:
    ...     return "moo"
    >>> sounds["moo"]()
    'moo'
    >>> sounds["mo"]
    Traceback (most recent call last):
    curate.errors.UnknownName: no sound named 'mo'. Did you mean 'moo'? Known: moo
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._functions: dict[str, Callable[..., Any]] = {}

    def add(self, function: F) -> F:
        """Register `function` under its own name; a decorator."""
        name = function.__name__
        if name in self._functions:
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self._functions[name] = function
        return function

    def __getitem__(self, name: str) -> Callable[..., Any]:
        try:
            return self._functions[name]
        except KeyError:
            raise UnknownName.among(self.kind, name, self._functions) from None

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


# What can be wrong with a picture: each check is a function Evidence -> Judgement under its public name.
CHECKS = Registry("check")
