"""Published severities by name, from TOML files: a table for each corruption, five values for each parameter.

[jpeg_compression]                 # the corruption, by its published name
quality = [25, 18, 15, 10, 7]      # a parameter of its operation at severities 1 to 5; lengths in pixels
[bubble]
operation = "bubbles"              # where the name is none of ours
...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from curate.stage.documents import packaged_document
from curate.stage.errors import DataError, UnknownName
from curate.stage.shortness import short_repr

from ..operations.operation import OPERATIONS, Operation, Span, Values
from .corruption import CORRUPTIONS, SEVERITIES, TEST, Corruption

# name -> the set (see corruption.SETS) that its corruptions belong to
PRESETS = {"imagenet-c": "common", "tiny-imagenet-c": "common", "cifar-c": "common", "medmnist-c-blood": "blood"}


@dataclass(frozen=True)
class Preset:
    """Five published severities of one corruption.

    role, sets  as of a Corruption
    settings    for each severity the values of the operation, in pixels and grey levels (see Corruption.settings)
    free        parameter -> span that is drawn for every picture
    """

    name: str
    operation: Operation
    role: str
    sets: tuple[str, ...]
    settings: tuple[Values, ...]
    free: Mapping[str, Span]

    __repr__ = short_repr

    def corruption(self) -> Corruption:
        """What is to be drawn at these settings; it has no path from mild to severe of its own."""
        return Corruption(self.name, self.operation, self.role, self.sets, strength={}, free=self.free)


@lru_cache
def preset(name: str) -> Mapping[str, Preset]:
    """The corruptions of a preset, by their published names. Raises UnknownName."""
    if name not in PRESETS:
        raise UnknownName.among("preset", name, PRESETS)
    with packaged_document(resources.files(__package__) / "presets", name).tables() as tables:
        return MappingProxyType({key: _preset(key, (PRESETS[name],), table) for key, table in tables.items()})


def _preset(name: str, sets: tuple[str, ...], table: object) -> Preset:
    if not isinstance(table, dict):
        raise DataError(f"{name} is {table!r}; needed is a table.")
    registered = CORRUPTIONS.get(name)
    parameters: dict[str, list[float]] = {key: values for key, values in table.items() if key != "operation"}
    operation = OPERATIONS[table["operation"]] if "operation" in table else CORRUPTIONS[name].operation
    for key, values in parameters.items():
        operation.check(key, (min(values), max(values)))
    free = {key: span for key, span in registered.free.items() if key not in parameters} if registered else {}
    neutral = {key: parameter.neutral for key, parameter in operation.parameters.items() if key not in free}
    settings = tuple(neutral | {key: values[s - 1] for key, values in parameters.items()} for s in SEVERITIES)
    return Preset(name, operation, registered.role if registered else TEST, sets, settings, free)
