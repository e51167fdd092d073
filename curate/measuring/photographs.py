"""The same photograph wherever it hides: turned, sheared, cropped or mirrored, found by local features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..sets.imageset import NO_GROUP, ImageSet, Unreadable, evenly, joined
from ..stage.engine import chunks, in_turn, threaded
from .grouping import Copies, Link
from .keypoints import INLIERS, Features, Match, matched
from .neighbours import Neighbours
from .overlaps import NOTHING, Overlap, as_soft, overlap
from .vocabulary import likely_pairs

# Smaller pictures have too few points; copies among them are found by their thumbnails alone.
LEAST_SIDE = 64
# The detail of two copies of a photograph agrees to 0.965 and more in nearly all of 1,015 planted pairs of photographs
# and all 635 of cells; that of two photographs of one person, or of overlapping fields of one slide, to 0.963 at most.
_AGREEMENT = 0.965
# Of the picture that has more of itself in the overlap, at least the first is in it, and of the other the second: what
# is less than about a third of a picture is another picture, and may be a sign or a face that occurs in many.
_SHARE, _REST = 0.5, 0.28
# Pictures whose colours point elsewhere than this are another colour's version, and no copies.
_COLOUR = 0.5
# A twentieth of the set, and at least so many of its closest pairs, tells whether it has such copies at all.
_SAMPLED, _FEWEST = 20, 64
# Each picture is compared with so many of its likest, as long as they yield copies; with the very likest in any case.
_LIKEST, _CERTAINLY = 8, 2
# The likest pairs come first, in batches; two batches of which fewer than one pair in a hundred is a copy end it.
_BATCH, _YIELD = 256, 0.01
# Two groups of so many pictures are joined where pairs of so many of each agree rather than not.
_GROUP, _VOTERS = 3, 4
_READ = 32  # pictures that one thread reads at a time


class Gallery:
    """The pictures of a set as local features see them, each read and measured once, when it is first needed.

    sides  float (N,): the shorter side of each picture in pixels
    """

    def __init__(self, images: ImageSet, sides: np.ndarray, workers: int) -> None:
        self.large_enough = np.asarray(np.nan_to_num(sides) >= LEAST_SIDE)
        self._images, self.workers = images, workers
        self._features: dict[int, Features] = {}

    def __getitem__(self, row: int) -> Features:
        return self._features[row]

    def read(self, rows: np.ndarray) -> None:
        """Make the features of some rows, of those that have none yet."""
        new = [row for row in np.unique(rows).tolist() if row not in self._features]
        pieces = [new[piece.start : piece.stop] for piece in chunks(len(new), _READ)]
        for piece, features in zip(pieces, threaded(self._of, pieces, self.workers), strict=True):
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

    def links(self, pairs: np.ndarray) -> list[Link]:
        """Those of some pairs of rows (P, 2) that show one photograph."""
        return [
            Link(a, b, 1 - match.share)
            for (a, b), (match, common) in zip(pairs.tolist(), self._compared(pairs), strict=True)
            if match is not None and _one_photograph(common)
        ]

    def votes(self, pairs: np.ndarray) -> np.ndarray:
        """int64 (P,): 1 for pairs of rows (P, 2) that show one photograph, -1 where a map lays them over each other and
        they do not, 0 where there is none."""
        compared = self._compared(pairs)
        mapped = np.array([match is not None for match, _ in compared], bool)
        agreed = np.array([_one_photograph(common) for _, common in compared], bool)
        return np.where(mapped, np.where(agreed, 1, -1), 0)

    def confirmed(self, pairs: np.ndarray) -> np.ndarray:
        """bool (P,): False for pairs of rows (P, 2) that are alike as thumbnails, and closer by are not the same.

        What is too small or too plain for local features cannot be looked at closer, and stands.
        """
        confirmed = np.ones(len(pairs), bool)
        closer = np.flatnonzero(self.large_enough[pairs].all(axis=1))
        self.read(pairs[closer])
        confirmed[closer] = [
            match is None or _same(common) or self._same_but_for_focus(a, b, match)
            for (a, b), (match, common) in zip(pairs[closer].tolist(), self._compared(pairs[closer]), strict=True)
        ]
        return confirmed

    def _same_but_for_focus(self, a: int, b: int, match: Match) -> bool:
        """Whether two rows show the same, and one of them is out of focus."""
        soft = as_soft(self[a], self[b])
        return soft is not None and _same(overlap(*soft, match.affine))

    def _compared(self, pairs: np.ndarray) -> list[tuple[Match | None, Overlap]]:
        """Of each pair of rows (P, 2) the map between them, and what they have in common by it."""

        def compare(piece: range) -> list[tuple[Match | None, Overlap]]:
            results = []
            for a, b in pairs[piece.start : piece.stop].tolist():
                match = matched(self[a], self[b])
                results.append((match, overlap(self[a], self[b], match.affine) if match is not None else NOTHING))
            return results

        pieces = threaded(compare, chunks(len(pairs), 16), self.workers)
        return [result for results in pieces for result in results]


def _same(common: Overlap) -> bool:
    """Whether what two pictures have in common shows the same."""
    return common.agreement >= _AGREEMENT and common.colour >= _COLOUR


def _one_photograph(common: Overlap) -> bool:
    """Whether two pictures show one photograph: the same, and enough of it."""
    return _same(common) and common.share >= _SHARE and common.rest >= _REST


def find_photographs(gallery: Gallery, copies: Copies, neighbours: Neighbours) -> list[Link]:
    """Pairs of rows that show one photograph and are no copies of each other otherwise.

    neighbours  among the different pictures

    Of equal pictures, turned or not, the first takes part. A sample of the closest pairs tells whether the set has such
    copies; where it has none, that is all that is done.
    """
    usable = (copies.picture == np.arange(len(copies.kept))) & gallery.large_enough
    sample = _closest_pairs(neighbours, copies, usable)
    gallery.read(sample)
    if not gallery.links(sample):
        return []
    gallery.read(np.flatnonzero(usable))
    rows = np.array([row for row in np.flatnonzero(usable).tolist() if len(gallery[row].points) >= INLIERS], np.int64)
    if len(rows) < 2:
        return []
    pairs, _, ranks = likely_pairs([gallery[row].descriptors for row in rows.tolist()], _LIKEST)
    certainly = ranks < _CERTAINLY
    links = list(_walked(rows[pairs[certainly]], gallery, copies.kept, to_the_end=True))
    component = _merged(copies.kept, links)
    links += _walked(rows[pairs[~certainly]], gallery, component, to_the_end=False)
    return agreed(links, copies.kept, gallery)


def _closest_pairs(neighbours: Neighbours, copies: Copies, usable: np.ndarray) -> np.ndarray:
    """int64 (P, 2): pairs in which such copies would show first: half of them the nearest to each other beside their
    other neighbours, half evenly over the set."""
    rows, k = neighbours.rows, min(10, neighbours.indices.shape[1])
    own = np.flatnonzero(usable[rows])
    if not len(own) or not k:
        return np.zeros((0, 2), np.int64)
    near = rows[neighbours.indices[own, :k]]
    apart = copies.group[near] != copies.group[rows[own], None]
    fit = usable[near] & (apart | (copies.group[near] == NO_GROUP))
    first, has = fit.argmax(axis=1), fit.any(axis=1)
    closeness = neighbours.distances[own, first] / np.maximum(neighbours.distances[own, k - 1], 1e-6)
    pairs = np.sort(np.stack([rows[own], near[np.arange(len(own)), first]], axis=1), axis=1)
    pairs, at = np.unique(pairs[has], axis=0, return_index=True)
    count = max(_FEWEST, len(own) // _SAMPLED)
    closest = np.argsort(closeness[has][at], kind="stable")[: count // 2]
    return np.unique(np.concatenate([pairs[closest], pairs[evenly(len(pairs), count - count // 2)]]), axis=0)


def _walked(pairs: np.ndarray, gallery: Gallery, component: np.ndarray, to_the_end: bool) -> Iterator[Link]:
    """The links among pairs of rows, the likest first; unless it shall go to the end, until they yield next to nothing.

    component  int64 (N,): equal for rows that are joined already, which are not compared
    """
    poor = 0
    for piece in chunks(len(pairs), _BATCH):
        batch = pairs[piece.start : piece.stop]
        batch = batch[component[batch[:, 0]] != component[batch[:, 1]]]
        links = gallery.links(batch)
        yield from links
        component = _merged(component, links)
        poor = poor + 1 if len(links) < _YIELD * len(batch) else 0
        if poor == 2 and not to_the_end:
            return


def _merged(component: np.ndarray, links: Sequence[Link]) -> np.ndarray:
    """int64 (N,): components once some links join them."""
    ends = component[np.array([(link.first, link.second) for link in links], np.int64).reshape(-1, 2)]
    return np.asarray(joined(ends, len(component))[component])


def agreed(links: Sequence[Link], component: np.ndarray, gallery: Gallery) -> list[Link]:
    """The links without those that join two groups of which most pictures, laid over each other, do not agree.

    component  int64 (N,): equal for rows that are joined without links

    Photographs of overlapping fields of one slide, copied dozens of times, need but one link by mistake.
    """
    groups = _Groups(component)
    confirmed, doubtful = [], []
    for link in links:
        if min(groups.sizes(link)) >= _GROUP and not groups.joined(link):
            doubtful.append(link)
        else:
            groups.join(link)
            confirmed.append(link)
    across = [groups.across(link) for link in doubtful]
    votes = gallery.votes(np.concatenate([np.zeros((0, 2), np.int64), *across]))
    for link, votes_of in zip(
        doubtful, np.split(votes, np.cumsum([len(pairs) for pairs in across])[:-1]), strict=False
    ):
        if votes_of.sum() >= 0 or groups.joined(link):
            groups.join(link)
            confirmed.append(link)
    return confirmed


class _Groups:
    """Rows as links join them, one link after the other."""

    def __init__(self, component: np.ndarray) -> None:
        order = np.argsort(component, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
        self._members = {int(part[0]): part.tolist() for part in parts}
        self._group = {row: int(part[0]) for part in parts for row in part.tolist()}

    def sizes(self, link: Link) -> tuple[int, int]:
        """Rows in the groups of either end."""
        return len(self._members[self._group[link.first]]), len(self._members[self._group[link.second]])

    def joined(self, link: Link) -> bool:
        """Whether both ends are in one group."""
        return self._group[link.first] == self._group[link.second]

    def join(self, link: Link) -> None:
        """Make one group of those of both ends."""
        if not self.joined(link):
            small, large = sorted(
                (self._group[link.first], self._group[link.second]), key=lambda g: len(self._members[g])
            )
            for row in self._members[small]:
                self._group[row] = large
            self._members[large] += self._members.pop(small)

    def across(self, link: Link) -> np.ndarray:
        """int64 (P, 2): pairs of rows of both groups, a few of each."""
        first, second = (sorted(self._members[self._group[row]]) for row in (link.first, link.second))
        few = [[rows[i] for i in evenly(len(rows), _VOTERS).tolist()] for rows in (first, second)]
        return np.array([(a, b) for a in few[0] for b in few[1]], np.int64)
