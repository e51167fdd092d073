"""Sets of pictures that are held in a list, some of which cannot be read."""

from pathlib import Path

import numpy as np

from curate.sets.imageset import ImageSet, Picture, Source, Unreadable


class Album:
    """Pictures held in a list; None cannot be read."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        if self.pictures[row] is None:
            raise Unreadable("is empty (0 bytes)")
        return Picture(self.pictures[row], self.pictures[row], "PNG")


def album(pictures, labels=None, splits=None, classes=("a", "b", "c", "d")) -> ImageSet:
    n = len(pictures)
    labels = np.full(n, -1) if labels is None else np.asarray(labels)
    ids = tuple(f"{row}.png" for row in range(n))
    return ImageSet(Album(pictures), labels, ids, classes, Source("files", Path("album"), Path("album")), splits)
