"""One size for all: the pictures of a built set are of the same width and height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.sets.arrays import ArrayPictures
from curate.sets.fitting import Fit, fit_to_size
from curate.sets.imageset import ImageSet, Unreadable, evenly
from curate.stage.shortness import short_repr

# Sets of larger pictures are built at this shorter side, unless told otherwise: no backbone looks at more.
LARGEST = 256
_LOOKED_AT = 256


def common_size(images: ImageSet) -> tuple[tuple[int, int], str]:
    """((width, height) that a set is built at, and a note on it, "" where all pictures keep their size)."""
    sizes = _sizes(images)
    width, height = (int(np.median(side)) for side in zip(*sizes, strict=True))
    scale = min(1.0, LARGEST / min(width, height))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    if len(set(sizes)) > 1:
        return (
            size,
            f"pictures differ in size and are brought to {size[0]}x{size[1]}, their median; --size sets another",
        )
    if scale < 1:
        return size, f"pictures of {width}x{height} are built at {size[0]}x{size[1]}; --size sets another"
    return size, ""


def _sizes(images: ImageSet) -> list[tuple[int, int]]:
    """(width, height) of some pictures, spread over the set."""
    pictures = images.images
    if isinstance(pictures, ArrayPictures) and len({array.shape[1:] for array in pictures.arrays}) == 1:
        height, width = pictures[0].pixels.shape[:2]
        return [(width, height)]
    rows = evenly(len(images), _LOOKED_AT).tolist()
    sizes = []
    for row in rows:
        try:
            height, width = pictures[row].pixels.shape[:2]
        except Unreadable:  # a scan tells of it, and the build when it comes to that picture
            continue
        sizes.append((width, height))
    return sizes or [(LARGEST, LARGEST)]


@dataclass(frozen=True, eq=False)
class FittedPictures(Sequence[np.ndarray]):
    """Pictures of a set, each brought to one size when it is asked for: uint8 (height, width, 3).

    rows  int64: the rows of the set that they are, all of them for None
    """

    images: ImageSet
    size: tuple[int, int]
    fit: str
    rows: np.ndarray | None = None

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.images if self.rows is None else self.rows)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]  # one at a time, no slices
        row = number if self.rows is None else int(self.rows[number])
        try:
            pixels = self.images.images[row].pixels
        except Unreadable as error:
            name = f"{self.images.ids[row]} of {self.images.source.path}"
            raise Unreadable(
                f"{name} {error}. Mend it, or take the clean set of a scan, which leaves it out."
            ) from None
        return fit_to_size(pixels, self.size, Fit(self.fit))
