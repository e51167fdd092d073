"""What a model predicts of the images of several sets, as predictions.parquet has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.errors import DataError
from curate.stage.shortness import short_repr

from .metrics import Metrics, SetFacts

if TYPE_CHECKING:
    import pandas as pd

    from .sets import LabelledSet

COLUMNS = ("set", "id", "source", "group", "label")


@dataclass(frozen=True)
class Track:
    """What a set is of; metrics.json has one for each set of predictions.parquet.

    role        val, test, external; of the benchmark validation, or test
    corruption  "" of clean images;  severity  1 to 5, 0 where several corruptions are composed
    verdict     how the training policy stands to it: disjoint, near or identical; "" where that is not known
    """

    name: str
    role: str
    corruption: str = ""
    severity: int = 0
    family: str = ""
    verdict: str = ""

    @property
    def composed(self) -> bool:
        return bool(self.corruption) and not self.severity


def track_of(images: LabelledSet) -> Track:
    """What a set is of."""
    return Track(**{field.name: getattr(images, field.name) for field in fields(Track)})


def tracks_of(metrics: Metrics) -> tuple[Track, ...]:
    """The sets of a metrics.json."""
    return tuple(
        Track(name, facts.role, facts.corruption, facts.severity, facts.family, facts.verdict)
        for name, facts in metrics.sets.items()
    )


def facts_of(tracks: Iterable[Track]) -> dict[str, SetFacts]:
    """What metrics.json holds of sets, by name."""
    return {
        track.name: SetFacts(track.role, track.corruption, track.severity, track.family, track.verdict)
        for track in tracks
    }


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model predicts of n images.

    sets           int64 (n,), into `tracks`
    ids, sources   strings (n,): of the image, and of the one that it was made of
    groups         int64 (n,): images that are drawn together for an interval
    labels         int64 (n,), -1 for none
    probabilities  float32 (n, K)
    """

    tracks: tuple[Track, ...]
    sets: np.ndarray
    ids: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def predicted(self) -> np.ndarray:
        """int64 (n,): the likeliest class."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def right(self) -> np.ndarray:
        """bool (n,)."""
        return np.asarray(self.predicted == self.labels)

    def on(self, chosen: Sequence[Track], among: np.ndarray | bool = True) -> Predictions:
        """Those on some sets, of these those that `among` (bool (n,)) names. Rows without a label are left out."""
        number = np.full(len(self.tracks), -1)
        number[[self.tracks.index(track) for track in chosen]] = range(len(chosen))
        rows = np.flatnonzero((number[self.sets] >= 0) & (self.labels >= 0) & among)
        return Predictions(
            tuple(chosen),
            number[self.sets[rows]],
            *(getattr(self, name)[rows] for name in ("ids", "sources", "groups", "labels", "probabilities")),
        )

    def clean_tracks(self, role: str) -> tuple[Track, ...]:
        """The clean sets of a role."""
        return tuple(track for track in self.tracks if track.role == role and not track.corruption)

    def table(self) -> pd.DataFrame:
        """One row per image: set, id, source, group, label, and p0 .. pK-1, float32."""
        import pandas as pd

        names = np.array([track.name for track in self.tracks], dtype=object)
        columns = dict(zip(COLUMNS, (names[self.sets], self.ids, self.sources, self.groups, self.labels), strict=True))
        return pd.DataFrame(columns | {f"p{i}": column for i, column in enumerate(self.probabilities.T)})


def predictions_of(table: pd.DataFrame, tracks: Sequence[Track]) -> Predictions:
    """Those that a predictions.parquet holds. Raises DataError where it tells of other sets or lacks columns."""
    missing = [name for name in (*COLUMNS, "p0") if name not in table]
    if missing:
        raise DataError(f"the predictions have columns {list(table)} but not {missing}. Run it again.")
    number = {track.name: i for i, track in enumerate(tracks)}
    strangers = sorted(set(table["set"].unique()) - set(number))
    if strangers:
        raise DataError(f"metrics.json does not tell of the sets {strangers[:3]} of the predictions. Run it again.")
    classes = sum(name[:1] == "p" and name[1:].isdigit() for name in map(str, table))
    return Predictions(
        tuple(tracks),
        table["set"].map(number).to_numpy(np.int64),
        table["id"].to_numpy(object),
        table["source"].to_numpy(object),
        table["group"].to_numpy(np.int64),
        table["label"].to_numpy(np.int64),
        table[[f"p{i}" for i in range(classes)]].to_numpy(np.float32),
    )
