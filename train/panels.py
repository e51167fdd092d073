"""What is shown of a model: pictures with their heat maps, in panels, and the images that are hardest for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Case:
    """One picture and what the model predicted of it.

    set, id     where the picture is found;  variant  what it is there, such as "fog 3"; "" where that is plain
    label       number of its class;  predicted  of the likeliest one
    confidence  probability of the likeliest class;  own  of the picture's class
    """

    set: str
    id: str
    label: int
    predicted: int
    confidence: float
    own: float
    variant: str = ""

    @property
    def right(self) -> bool:
        return self.label == self.predicted


@dataclass(frozen=True)
class Panel:
    """Cases that belong together: one row that may be broken anywhere, or several of one source each."""

    title: str
    about: str
    rows: tuple[tuple[Case, ...], ...]

    __repr__ = short_repr

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case for row in self.rows for case in row)


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, uint8 (H, W, 3), and the heat map of the predicted class, float32 (H, W) of 0..1."""

    pixels: np.ndarray
    heat: np.ndarray

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Explained:
    """What a run shows of its model.

    panels    what is shown;  pictures  of each of their cases
    places    (height, width) of the maps that the heat maps are made of, one per backbone: they are no sharper
    hardest   table of the hardest test images;  thumbnails  of the first of them, uint8 (H, W, 3)
    """

    classes: tuple[str, ...]
    panels: tuple[Panel, ...]
    pictures: Mapping[Case, Picture]
    places: tuple[tuple[int, int], ...]
    hardest: pd.DataFrame
    thumbnails: tuple[np.ndarray, ...] = ()

    __repr__ = short_repr
