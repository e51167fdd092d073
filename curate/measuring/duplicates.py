"""Copies: exact and near, verified pair by pair, grouped around the copy that is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..sets.imageset import evenly, joined
from .aligning import EVERY, Align, Alignment, Fingerprints, agreements, aligned, by_shift, by_warp, spectral_agreement
from .grouping import Copies, groups_of_copies
from .hashing import close_hashes, hash_radius
from .neighbours import Neighbours
from .photographs import Gallery

# The spectra of a picture and its shifted or turned copy agree to 0.95 and more, those of others to 0.93 at most.
_SPECTRUM = 0.93
# Likewise of a copy that is warped by a little: of photographs of 32 pixels 95 in 100 agree to this, and one in ten of
# those that are no copies.
_WARPED_SPECTRUM = 0.84
# Neighbours of tenth rank agree to 0.1 at the median once warped among photographs of 32 pixels, to 0.8 among digits.
_LOOSE = 0.5
# Copies agree in their detail to at least this after alignment; the set's own neighbours may ask for more.
_AGREEMENT = 0.9
# Beyond any doubt are copies that agree to this.
_CERTAIN = 0.995


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """int64 (N,): for each row the first row that has the same digest; -1 where the digest is empty (unreadable)."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    return np.where(digests == "", -1, first[inverse])


def find_copies(
    first: np.ndarray,
    picture: np.ndarray,
    prints: Fingerprints,
    neighbours: Neighbours,
    quality: np.ndarray,
    gallery: Gallery,
) -> Copies:
    """Copies among N rows.

    first       from first_of_each: equal pixels;  picture  likewise: pixels that are equal in some orientation
    prints      what they are compared by
    neighbours  among the different pictures, the first row of each
    quality     (N, any): the better copy, compared column by column, is kept; of equal ones the first
    gallery     the pictures closer by, where they are large enough

    Candidates come from the hashes (all eight orientations) and from the embedding; each is verified by aligning the
    two pictures before it counts. Pictures that are equal but for a turn need neither. Groups are the connected
    components, but every member must stand verification against the kept one, so that a chain of lookalikes does not
    merge.
    """
    n = len(first)
    threshold, verified = _verified(prints, neighbours, gallery)
    # Best first: each column of quality from high to low, then the first row.
    rank = np.empty(n, np.int64)
    rank[np.lexsort((np.arange(n), *(-quality[:, c] for c in reversed(range(quality.shape[1])))))] = np.arange(n)
    distances = {pair: 1 - result.agreement for pair, result in verified.items()}
    chains = _Chains(verified, prints, threshold, gallery)
    group, kept, distance = groups_of_copies(picture, distances, rank, chains.distance)
    rows_of = range(n)
    pairs = [(int(first[r]), r, "exact", 0.0) for r in rows_of if first[r] not in (r, -1)]
    pairs += [(int(picture[r]), r, "rotated", 0.0) for r in rows_of if first[r] == r != picture[r]]
    pairs += [(*pair, "rotated" if verified[pair].turn else "near", d) for pair, d in distances.items()]
    return Copies(sorted(pairs), first, picture, group, kept, distance.astype(np.float32), rank, threshold)


def _verified(
    prints: Fingerprints, neighbours: Neighbours, gallery: Gallery
) -> tuple[float, dict[tuple[int, int], Alignment]]:
    """The agreement that a pair of rows a < b had to reach, and how each that did is aligned."""
    rows, workers = neighbours.rows, gallery.workers
    thresholds = _copy_thresholds(neighbours, prints, workers)
    verified: dict[tuple[int, int], Alignment] = {}

    def verify(pairs: np.ndarray, align: Align, orientations: np.ndarray | None = None) -> None:
        for (a, b), result in zip(pairs.tolist(), aligned(pairs, prints, align, workers, orientations), strict=True):
            if result.agreement >= thresholds.agreement:
                verified[a, b] = result

    hashed = rows[close_hashes(prints.hashes[rows], hash_radius(len(rows)), at_most=30 * len(rows))]
    candidates = _distinct_pairs(np.concatenate([hashed, _neighbour_pairs(neighbours, 8)]))
    spectral = spectral_agreement(candidates, prints)
    likely = spectral.max(axis=1) >= thresholds.spectrum
    # An orientation in which not even the spectra agree need not be tried.
    verify(candidates[likely], by_shift, spectral[likely] >= thresholds.spectrum)
    small = ~gallery.large_enough[candidates].all(axis=1)
    warped = candidates[small & (spectral[:, 0] >= thresholds.warped_spectrum)]
    verify(_pairs_without(_distinct_pairs(np.concatenate([_mutual_pairs(neighbours), warped])), verified), by_warp)
    verified = _standing_out(verified, neighbours, prints, workers)
    alike = np.array(list(verified), np.int64).reshape(-1, 2)
    return thresholds.agreement, {(a, b): verified[a, b] for a, b in alike[gallery.confirmed(alike)].tolist()}


class _Chains:
    """Rows that are linked through others: whether they are copies of each other as well.

    A map from one to the other leads along the links between them; made to fit, it must make them agree. So copies of
    one picture that are warped against each other belong together, and a chain of lookalikes does not.
    """

    def __init__(
        self,
        verified: Mapping[tuple[int, int], Alignment],
        prints: Fingerprints,
        threshold: float,
        gallery: Gallery,
    ) -> None:
        self._prints, self._threshold, self._gallery = prints, threshold, gallery
        self._maps: dict[int, list[tuple[int, np.ndarray]]] = {}
        for (a, b), result in sorted(verified.items(), key=lambda item: (-item[1].agreement, item[0])):
            self._maps.setdefault(a, []).append((b, np.vstack([result.affine, [0, 0, 1]])))
            self._maps.setdefault(b, []).append((a, np.linalg.inv(self._maps[a][-1][1])))
        self._start = -1
        self._reached: dict[int, np.ndarray] = {}

    def distance(self, a: int, b: int) -> float | None:
        """Distance of two rows that are linked through others only; None where they are no copies of each other."""
        thumbnails = self._prints.thumbnails[a], self._prints.thumbnails[b]
        results = [by_shift(*thumbnails, EVERY), by_warp(*thumbnails)]
        if max(result.agreement for result in results) < self._threshold and b in self._from(a):
            results.append(by_warp(*thumbnails, start=self._from(a)[b][:2]))
        best = max(result.agreement for result in results)
        return 1 - best if best >= self._threshold and self._gallery.confirmed(np.array([(a, b)]))[0] else None

    def _from(self, start: int) -> Mapping[int, np.ndarray]:
        """The maps (3, 3) from a row to all that it is linked to, along the fewest links."""
        if start != self._start:
            self._start, self._reached = start, {start: np.eye(3)}
            waiting = deque([start])
            while waiting:
                row = waiting.popleft()
                for other, affine in self._maps.get(row, []):
                    if other not in self._reached:
                        self._reached[other] = affine @ self._reached[row]
                        waiting.append(other)
        return self._reached


@dataclass(frozen=True)
class _Thresholds:
    """From where on pairs of this set count.

    agreement        that copies must reach
    spectrum         cosine of the spectra from which a pair is aligned by a shift
    warped_spectrum  likewise, by a warp, of pictures that are too small for local features
    """

    agreement: float
    spectrum: float
    warped_spectrum: float


def _copy_thresholds(neighbours: Neighbours, prints: Fingerprints, workers: int) -> _Thresholds:
    """From where on a pair counts as copies, by the set itself.

    Rows that are neighbours of tenth rank are alike and yet no copies: where those agree closely already, as
    handwritten digits do, a copy must agree more closely still. Of a picture that has ten copies and more the first
    neighbour beyond them counts.
    """
    rows, k = neighbours.indices.shape
    if rows < 30 or k < 10:
        return _Thresholds(_AGREEMENT, _SPECTRUM, _WARPED_SPECTRUM)
    sample = evenly(rows, 120)
    near = neighbours.indices[sample, 9]

    def compared() -> tuple[np.ndarray, np.ndarray]:
        pairs = neighbours.rows[np.stack([sample, near], axis=1)]
        return agreements(pairs, prints, by_warp, workers), spectral_agreement(pairs, prints).max(axis=1)

    values, spectral = compared()
    doubtful = np.flatnonzero((values >= _AGREEMENT) | (spectral >= _SPECTRUM))
    beyond = _beyond_copies(sample[doubtful], neighbours, prints, workers)
    if (beyond >= 0).any():
        near = near.copy()
        near[doubtful[beyond >= 0]] = beyond[beyond >= 0]
        values, spectral = compared()
    # Where a warp makes any two neighbours agree, as strokes of a pen do, copies are not found by trying it on many.
    warped = float(np.quantile(spectral, 0.9)) if np.median(values) < _LOOSE else np.inf
    return _Thresholds(
        agreement=float(max(_AGREEMENT, (1 + np.quantile(values, 0.99)) / 2)),
        spectrum=float(max(_SPECTRUM, np.quantile(spectral, 0.98))),
        warped_spectrum=max(_WARPED_SPECTRUM, warped),
    )


# Ranks of neighbours at which a picture is compared that may have ten copies or more.
_RANKS = (10, 15, 22, 33, 50, 76, 114, 171, 256, 384)
# Others agree this many times less closely with a picture than the last of its copies; with a digit 3.4 times at most.
_CLIFF = 6.0


def _beyond_copies(positions: np.ndarray, neighbours: Neighbours, prints: Fingerprints, workers: int) -> np.ndarray:
    """int64 (P,): the first neighbour beyond the copies of each picture; -1 where its neighbours show no end of copies.

    positions  int64 (P,), among the neighbours

    What is alike by nature agrees less and less with the rank; copies end at a cliff, and nothing beyond is like them.
    """
    ranks = [rank for rank in _RANKS if rank <= len(neighbours.rows) // 2]
    ranked = np.array([_of_rank(at, ranks, neighbours.features) for at in positions.tolist()], np.int64).reshape(
        -1, len(ranks)
    )
    end, worst = np.full(len(positions), -1), np.full(len(positions), 1 - _CERTAIN)
    going = np.arange(len(positions))
    for i in range(len(ranks)):
        pairs = neighbours.rows[np.stack([positions[going], ranked[going, i]], axis=1)]
        unlike = _unlikeness(pairs, prints, workers)
        inside = end[going] < 0
        copy, far = unlike <= 1 - _AGREEMENT, unlike >= _CLIFF * worst[going]
        worst[going] = np.where(inside & copy, np.maximum(worst[going], unlike), worst[going])
        ends = inside & ~copy & far & (i > 0)
        end[going] = np.where(ends, ranked[going, i], np.where(inside | far, end[going], -1))
        going = going[(inside & copy) | ends | (~inside & far)]
    return end


def _of_rank(at: int, ranks: Sequence[int], points: np.ndarray) -> np.ndarray:
    """int64: positions of the neighbours of some ranks of a point, the nearest being of rank 1."""
    distance = ((points - points[at]) ** 2).sum(axis=1)
    distance[at] = -1.0
    near = np.argpartition(distance, ranks[-1])[: ranks[-1] + 1]
    return near[np.lexsort((near, distance[near]))][list(ranks)]


def _unlikeness(pairs: np.ndarray, prints: Fingerprints, workers: int) -> np.ndarray:
    """(P,): 1 minus the agreement of each pair of rows, however they are aligned."""
    values = agreements(pairs, prints, by_warp, workers)
    turned_or_not = np.flatnonzero(values < _AGREEMENT)
    values[turned_or_not] = np.maximum(
        values[turned_or_not], agreements(pairs[turned_or_not], prints, by_shift, workers)
    )
    return 1 - values


def _standing_out(
    verified: dict[tuple[int, int], Alignment], neighbours: Neighbours, prints: Fingerprints, workers: int
) -> dict[tuple[int, int], Alignment]:
    """Those verified pairs that agree twice as closely as either picture does with others that are like it.

    All strokes of a pen are alike, whatever the rest of the set looks like.
    """
    doubtful = [pair for pair, result in verified.items() if result.agreement < _CERTAIN]
    if not doubtful:
        return verified
    rows = sorted({row for pair in doubtful for row in pair})
    at = np.searchsorted(neighbours.rows, rows)
    component = joined(np.array(list(verified)), int(neighbours.rows.max()) + 1)
    comparisons = []
    for row, near in zip(rows, neighbours.rows[neighbours.indices[at]].tolist(), strict=True):
        comparisons += [(row, neighbour) for neighbour in near if component[neighbour] != component[row]][:3]
    closest: dict[int, float] = {}
    values = agreements(np.array(comparisons, np.int64).reshape(-1, 2), prints, by_warp, workers)
    for (row, _), value in zip(comparisons, values.tolist(), strict=True):
        closest[row] = max(closest.get(row, 0.0), value)
    alike = {
        pair for pair in doubtful if 2 * (1 - verified[pair].agreement) > 1 - max(closest.get(row, 0.0) for row in pair)
    }
    return {pair: result for pair, result in verified.items() if pair not in alike}


def _neighbour_pairs(neighbours: Neighbours, k: int) -> np.ndarray:
    """int64 (P, 2): each row with its k nearest."""
    near = neighbours.indices[:, :k]
    left = np.repeat(neighbours.rows, near.shape[1])
    return np.stack([left, neighbours.rows[near.ravel()]], axis=1)


def _mutual_pairs(neighbours: Neighbours) -> np.ndarray:
    """int64 (P, 2): rows that are each other's nearest but one at most, and stand out among their neighbours."""
    k = min(10, neighbours.indices.shape[1])
    if k == 0:
        return np.zeros((0, 2), np.int64)
    stands_out = neighbours.distances[:, :2] <= 0.9 * neighbours.distances[:, k - 1 : k] if k > 2 else np.True_
    near = _neighbour_pairs(neighbours, 2)
    mask = np.broadcast_to(stands_out, neighbours.indices[:, :2].shape).ravel()
    pairs = np.sort(near[mask], axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    return np.asarray(unique[count == 2])


def _distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    pairs = np.sort(pairs.reshape(-1, 2), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _pairs_without(pairs: np.ndarray, exclusions: Iterable[tuple[int, int]]) -> np.ndarray:
    skipped = set(exclusions)
    return np.array([p for p in pairs.tolist() if tuple(p) not in skipped], np.int64).reshape(-1, 2)
