"""Name tables: an entry is registered under its own name, and a second one of that name is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from .errors import UnknownName

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


class Registry(Mapping[str, T], Generic[T]):
    """Entries by name, in the order in which they were added.

    >>> sounds: Registry[Callable[[], str]] = Registry("sound")
    >>> @sounds.add
    ... def moo() -> str:
    ...     return "moo"
    >>> sounds["moo"]()
    'moo'
    >>> sounds["mo"]
    Traceback (most recent call last):
    curate.stage.errors.UnknownName: no sound named 'mo'. Did you mean 'moo'? Known: moo
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, function: F) -> F:
        """Register `function` under its own name; a decorator."""
        self.put(function.__name__, function)  # type: ignore[arg-type]  # a table of functions
        return function

    def put(self, name: str, entry: T) -> None:
        """Register `entry` under `name`."""
        if name in self._entries:
            raise ValueError(f"a {self.kind} named {name!r} is registered already")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName.among(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
