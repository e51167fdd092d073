"""How a set is to be read: the table of labels, what classes, splits and groups are taken from, and how pixels become
8 bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..stage.errors import DataError
from .scaling import Decoding

NONE, PARENT, TABLE, FOLDERS = "none", "parent", "table", "folders"


class Directing(Protocol):
    """A configuration, or a record, that has these options."""

    @property
    def labels(self) -> str | None: ...
    @property
    def classes_from(self) -> str | None: ...
    @property
    def splits_from(self) -> str | None: ...
    @property
    def groups_from(self) -> str | None: ...


class ReadBy(Directing, Protocol):
    """One that says how pixels are read as well."""

    @property
    def decoding(self) -> Decoding: ...


@dataclass(frozen=True)
class Directions:
    """What a person says of a set; None leaves it to what is found.

    labels        a CSV beside the images
    classes_from  a level of folders, from 1; "parent", the folder that holds the file; "folders" as they are found;
                  "table"; a column of it; in an archive an array; "none"
    splits_from, groups_from  a level, "parent", a column, an array, or "none"
    """

    labels: str | None = None
    classes_from: str | None = None
    splits_from: str | None = None
    groups_from: str | None = None

    def __post_init__(self) -> None:
        for flag, direction in (("--splits-from", self.splits_from), ("--groups-from", self.groups_from)):
            if direction in (TABLE, FOLDERS):
                raise DataError(
                    f"{flag} {direction} is not understood. Give a level of folders such as 1, parent, the name of a "
                    "column or an array, or none."
                )

    @classmethod
    def of(cls, config: Directing) -> Directions:
        """Those of a configuration."""
        return cls(config.labels, config.classes_from, config.splits_from, config.groups_from)

    @property
    def columns(self) -> tuple[str | None, str | None, str | None]:
        """The columns of labels, splits and groups that they name."""
        return column_of(self.classes_from), column_of(self.splits_from), column_of(self.groups_from)

    @property
    def spoken(self) -> str:
        """The first of them, as it is typed: "--classes-from 2"."""
        options = [(name, getattr(self, name)) for name in _OPTIONS if getattr(self, name) is not None]
        return f"--{options[0][0].replace('_', '-')} {options[0][1]}" if options else ""


@dataclass(frozen=True)
class Reading(Directions):
    """All that a person, or an earlier stage, says of how a set is to be read.

    decoding  how its pictures become pixels; by default one scale for all that are deeper than 8 bits, decided by them
    """

    decoding: Decoding = field(default_factory=Decoding)


LEFT_OPEN = Directions()


def of_folders(direction: str | None) -> bool:
    """Whether a direction leads to folders, or to nothing, rather than to a table.

    >>> of_folders("2"), of_folders("none"), of_folders("dx"), of_folders(None)
    (True, True, False, False)
    """
    return direction is not None and (direction.isdecimal() or direction in (NONE, PARENT, FOLDERS))


def column_of(direction: str | None) -> str | None:
    """The column or array that a direction names, if it names one.

    >>> column_of("dx"), column_of("2"), column_of("none")
    ('dx', None, None)
    """
    return None if direction is None or direction.isdecimal() or direction in _WORDS else direction


_OPTIONS = ("labels", "classes_from", "splits_from", "groups_from")
_WORDS = (NONE, PARENT, TABLE, FOLDERS)
