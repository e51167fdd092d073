"""Where a fit has come to, in one file: after a kill it goes on as if nothing had been."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curate.sets.archives import Archive
from curate.stage.errors import DataError
from curate.stage.files import write_npz

FILE = "checkpoint.npz"
# The model as it was best, beside it, where a fit has come to no good.
LAST_GOOD = "last-good.keras"


@dataclass(frozen=True, eq=False)
class State:
    """What a fit knows at the end of an epoch.

    stage, epoch  that are done
    model         arrays of all variables of the model, in its order, the seeds of its dropout too
    optimizer     those of the optimizer
    best          weights of the best epoch so far
    facts         history and scores: what JSON can hold
    """

    stage: int
    epoch: int
    model: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]
    best: Sequence[np.ndarray]
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one fit.

    folder  that it is in
    key     of configuration and data: another fit does not go on with it
    """

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def write(self, state: State) -> None:
        """Put a state in the place of the last one, whole or not at all. Raises OutputError."""
        arrays = {
            f"{kind}-{number:05d}": np.asarray(array)
            for kind, values in (("model", state.model), ("optimizer", state.optimizer), ("best", state.best))
            for number, array in enumerate(values)
        }
        facts = {"key": self.key, "stage": state.stage, "epoch": state.epoch, **state.facts}
        write_npz({"facts": np.array(json.dumps(facts)), **arrays}, self.path)

    def read(self) -> State | None:
        """The last state, None where there is none. Raises DataError where it is of another fit."""
        if not self.path.exists():
            return None
        archive = Archive(self.path)
        facts = json.loads(str(archive.array("facts")))
        check_key(facts.pop("key"), self.key, self.folder)
        parts: dict[str, list[np.ndarray]] = {"model": [], "optimizer": [], "best": []}
        for name in sorted(archive.members):
            kind, _, number = name.partition("-")
            if number:
                parts[kind].append(archive.array(name))
        return State(facts.pop("stage"), facts.pop("epoch"), parts["model"], parts["optimizer"], parts["best"], facts)


def check_key(begun: str, key: str, folder: Path) -> None:
    """Raise DataError where what a folder holds is of another fit."""
    if begun != key:
        raise DataError(
            f"{folder} was begun with other options or on another built set. "
            "Give the same ones, or leave out --resume to begin anew."
        )
