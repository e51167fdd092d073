"""The same photograph wherever it hides: turned, sheared, cropped or mirrored, found by local features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..sets.imageset import ImageSet, Unreadable, evenly, joined
from ..stage.engine import chunks, in_turn, threaded
from .grouping import Copies, Link
from .keypoints import INLIERS, Features, matched
from .neighbours import Neighbours
from .overlaps import overlap
from .vocabulary import likely_pairs

# Smaller pictures have too few points; copies among them are found by their thumbnails alone.
LEAST_SIDE = 64
# The detail of two copies of a photograph agrees to 0.965 and more in nearly all of 1,015 planted pairs of photographs
# and all 635 of cells; that of two photographs of one person, or of overlapping fields of one slide, to 0.96 at most.
_AGREEMENT = 0.965
# Of the picture that has more of itself in the overlap, at least this much is in it.
_SHARE = 0.35
# Pictures whose colours point elsewhere than this are another colour's version, and no copies.
_COLOUR = 0.5
# A fiftieth of the set, and at least so many of its closest pairs, tells whether it has such copies at all.
_SAMPLED, _FEWEST = 50, 32
# How many of the likest pictures each is compared with, the likest pairs first, in batches; two batches of which fewer
# than one pair in a hundred is a copy end it.
_LIKEST = 8
_BATCH, _YIELD = 256, 0.01
_READ = 32  # pictures that one thread reads at a time


def find_photographs(
    images: ImageSet, sides: np.ndarray, copies: Copies, neighbours: Neighbours, workers: int
) -> list[Link]:
    """Pairs of rows that show one photograph and are no copies of each other otherwise.

    sides       float (N,): the shorter side of each picture in pixels
    neighbours  among the different pictures

    One row of each group of copies stands for it. A sample of the closest pairs tells whether the set has such copies;
    where it has none, that is all that is done.
    """
    n = len(images)
    taking = (copies.kept == np.arange(n)) & (copies.first != -1) & (np.nan_to_num(sides) >= LEAST_SIDE)
    features = _Gallery(images, workers)
    sample = _closest_pairs(neighbours, copies, taking)
    features.read(np.unique(sample))
    if not any(_links(sample, features, workers)):
        return []
    features.read(np.flatnonzero(taking))
    rows = np.array([row for row in np.flatnonzero(taking).tolist() if len(features[row].points) >= INLIERS], np.int64)
    pairs, _ = likely_pairs([features[row].descriptors for row in rows.tolist()], _LIKEST)
    return list(_walked(rows[pairs], features, n, workers))


class _Gallery:
    """The features of rows, each read once."""

    def __init__(self, images: ImageSet, workers: int) -> None:
        self._images, self._workers = images, workers
        self._features: dict[int, Features] = {}

    def __getitem__(self, row: int) -> Features:
        return self._features[row]

    def read(self, rows: np.ndarray) -> None:
        """Make the features of some rows, of those that have none yet."""
        new = [row for row in rows.tolist() if row not in self._features]
        pieces = [new[piece.start : piece.stop] for piece in chunks(len(new), _READ)]
        for piece, features in zip(pieces, threaded(self._of, pieces, self._workers), strict=True):
            self._features |= dict(zip(piece, features, strict=True))

    def _of(self, rows: Sequence[int]) -> list[Features]:
        features = []
        for row in rows:
            with in_turn():
                try:
                    features.append(Features.of(self._images.images[row].pixels))
                except Unreadable:  # it was readable a moment ago
                    features.append(Features.of(np.zeros((1, 1, 3), np.uint8)))
        return features


def _closest_pairs(neighbours: Neighbours, copies: Copies, taking: np.ndarray) -> np.ndarray:
    """int64 (P, 2): pairs in which such copies would show first: half of them the nearest to each other beside their
    other neighbours, half evenly over the set."""
    rows, k = neighbours.rows, min(10, neighbours.indices.shape[1])
    own = np.flatnonzero(taking[rows])
    if not len(own) or not k:
        return np.zeros((0, 2), np.int64)
    near = rows[neighbours.indices[own, :k]]
    usable = taking[near] & ((copies.group[near] != copies.group[rows[own], None]) | (copies.group[near] == -1))
    first, has = usable.argmax(axis=1), usable.any(axis=1)
    closeness = neighbours.distances[own, first] / np.maximum(neighbours.distances[own, k - 1], 1e-6)
    pairs = np.sort(np.stack([rows[own], near[np.arange(len(own)), first]], axis=1), axis=1)
    pairs, at = np.unique(pairs[has], axis=0, return_index=True)
    count = max(_FEWEST, len(own) // _SAMPLED)
    closest = np.argsort(closeness[has][at], kind="stable")[: count // 2]
    return np.unique(np.concatenate([pairs[closest], pairs[evenly(len(pairs), count - count // 2)]]), axis=0)


def _walked(pairs: np.ndarray, features: _Gallery, n: int, workers: int) -> Iterator[Link]:
    """The links among pairs of rows, the likest first, until they yield next to nothing."""
    component = np.arange(n)
    poor = 0
    for piece in chunks(len(pairs), _BATCH):
        batch = pairs[piece.start : piece.stop]
        batch = batch[component[batch[:, 0]] != component[batch[:, 1]]]
        links = [link for link in _links(batch, features, workers) if link is not None]
        yield from links
        if links:
            ends = component[[(link.first, link.second) for link in links]]
            component = joined(ends, n)[component]
        poor = poor + 1 if len(links) < _YIELD * len(batch) else 0
        if poor == 2:
            return


def _links(pairs: np.ndarray, features: _Gallery, workers: int) -> list[Link | None]:
    """What each pair of rows (P, 2) is: a link, or None."""

    def compare(piece: range) -> list[Link | None]:
        return [_link(int(a), int(b), features) for a, b in pairs[piece.start : piece.stop]]

    return [link for links in threaded(compare, chunks(len(pairs), 16), workers) for link in links]


def _link(a: int, b: int, features: _Gallery) -> Link | None:
    match = matched(features[a], features[b])
    if match is None:
        return None
    common = overlap(features[a], features[b], match.affine)
    same = common.agreement >= _AGREEMENT and common.share >= _SHARE and common.colour >= _COLOUR
    return Link(a, b, 1 - match.share) if same else None
