"""The state of a fit in one file, from which it resumes exactly after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curate.sets.archives import Archive
from curate.stage.errors import DataError, ToolkitError, gist
from curate.stage.files import write_npz
from curate.stage.shortness import short_repr

FILE = "checkpoint.npz"
# The best model so far, saved beside it when a fit diverges.
LAST_GOOD = "last-good.keras"


@dataclass(frozen=True, eq=False)
class State:
    """The state of a fit at the end of an epoch.

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

    __repr__ = short_repr


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
        with self.told():
            facts = json.loads(str(archive.array("facts")))
            key, stage, epoch = facts.pop("key"), int(facts.pop("stage")), int(facts.pop("epoch"))
            parts: dict[str, list[np.ndarray]] = {"model": [], "optimizer": [], "best": []}
            for name in sorted(archive.members):
                kind, _, number = name.partition("-")
                if number:
                    parts[kind].append(archive.array(name))
        check_key(key, self.key, self.folder)
        return State(stage, epoch, parts["model"], parts["optimizer"], parts["best"], facts)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Within it, a state that is put where it does not fit is told as a DataError."""
        try:
            yield
        except ToolkitError:
            raise
        except Exception as error:  # of JSON, NumPy or Keras, of whatever is in the file
            raise DataError(
                f"{self.path} is not what a fit leaves ({type(error).__name__}: {gist(error)}). Leave out --resume to "
                "begin anew."
            ) from error


def check_key(stored_key: str, key: str, folder: Path) -> None:
    """Raise DataError where what a folder holds is of another fit."""
    if stored_key != key:
        raise DataError(
            f"{folder} was begun with other options or on another built set. "
            "Give the same ones, or leave out --resume to begin anew."
        )
