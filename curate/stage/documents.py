"""TOML files: those that come with a package, by name, and people's own, by path."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from .errors import DataError, telling


@dataclass(frozen=True)
class Document:
    """A TOML file as it was read.

    name  without its ending;  content  its bytes, in UTF-8
    path  of a person's own, None of one that comes with a package
    """

    name: str
    content: bytes
    path: Path | None = None

    @contextmanager
    def tables(self) -> Iterator[dict[str, object]]:
        """What the file holds; errors raised within tell its place first. Raises DataError where it is no TOML.

        >>> with Document("a", b"copies = 4").tables() as tables:
        ...     tables["copies"]
        4
        """
        with telling(str(self.path or f"{self.name}.toml")):
            try:
                tables = tomllib.loads(self.content.decode())
            except ValueError as error:  # of the syntax, with its line, or of the encoding
                raise DataError(f"this is no TOML: {error}.") from error
            except RecursionError:
                raise DataError("this is nested too deep to be read.") from None
            yield tables


def own_document(path: str | Path, needed: str) -> Document:
    """A person's own file. Raises DataError, with what is `needed`, where it cannot be read."""
    path = Path(path)
    try:
        return Document(path.stem, path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {needed}") from error


def packaged_document(folder: Traversable, name: str) -> Document:
    """The file `name`.toml of a package's folder."""
    return Document(name, folder.joinpath(f"{name}.toml").read_bytes())


def find_document(name_or_path: str, kind: str, folder: Traversable, names: Collection[str]) -> Document | None:
    """The document of one of the `names` in a package's folder, or of a .toml file; None for any other name.

    kind  "policy", "recipe": what it describes, for the DataError of a file that cannot be read
    """
    if name_or_path in names:
        return packaged_document(folder, name_or_path)
    if name_or_path.endswith(".toml"):
        return own_document(name_or_path, f"Give a {kind}'s name or its file.")
    return None
