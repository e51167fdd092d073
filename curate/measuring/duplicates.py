"""Copies: exact and near, verified pair by pair, grouped around the copy that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.fft import irfft2, rfft2

from ..sets.imageset import NO_GROUP, joined
from ..stage.engine import chunks, threaded
from .hashing import close_hashes, hash_radius, perceptual_hash, turned
from .neighbours import Neighbours
from .properties import square

# Pairs are compared as grey pictures of this side: enough detail to distinguish two cells, small enough for memory.
SIDE = 64
# Shifts of up to an eighth of the side are looked for.
_SHIFT = SIDE // 8
# The spectra of a picture and its shifted or turned copy agree to 0.95 and more, those of others to 0.93 at most.
_SPECTRUM = 0.93
# Copies agree in their detail to at least this after alignment; the set's own neighbours may ask for more.
_AGREEMENT = 0.9
# Beyond any doubt are copies that agree to this.
_CERTAIN = 0.995
# Frequencies that spectra are compared by, in cycles a picture.
_REACH = 10
# A picture whose detail is below this (grey levels) has nothing to be recognised by.
_PLAIN = 1.0


@dataclass(frozen=True, eq=False)
class Copies:
    """Duplicates of a set of N rows.

    pairs      rows (row_a, row_b, kind, distance): kind exact | near | rotated, distance 0 equal .. 1 unlike
    first      int64 (N,): the first row of the same pixels, -1 unreadable
    picture    int64 (N,): the first row of the same pixels in any of the eight orientations, -1 unreadable
    group      int64 (N,), -1 none
    kept       int64 (N,): the row that is kept of each row's group, itself where it is in none
    distance   float32 (N,): from the best copy of the group
    rank       int64 (N,): of all rows by quality, the best 0
    threshold  agreement that a near copy had to reach
    """

    pairs: list[tuple[int, int, str, float]]
    first: np.ndarray
    picture: np.ndarray
    group: np.ndarray
    kept: np.ndarray
    distance: np.ndarray
    rank: np.ndarray
    threshold: float

    def members(self, group: int) -> np.ndarray:
        """Rows of one group."""
        return np.flatnonzero(self.group == group)

    def keeping(self, rows: Iterable[int]) -> Copies:
        """These copies with other rows kept, each of its group."""
        kept, distance = self.kept.copy(), self.distance.copy()
        for best in rows:
            members = self.members(int(self.group[best]))
            # The way from the new kept copy is about that to it; exactly so for its very pixels, turned or not.
            distance[members] = np.where(self.picture[members] == self.picture[best], 0, self.distance[best])
            kept[members] = best
        return replace(self, kept=kept, distance=distance)

    @property
    def extra(self) -> np.ndarray:
        """bool (N,): copies beyond the one kept."""
        return np.asarray(self.kept != np.arange(len(self.group)))

    @property
    def exact(self) -> np.ndarray:
        """bool (N,): of the copies beyond the one kept, those with the very pixels of it or of an earlier row."""
        earlier = self.first != np.arange(len(self.first))
        return np.asarray(self.extra & (earlier | (self.first == self.first[self.kept])))


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What N rows are compared by, made once a picture.

    thumbnails  uint8 (N, SIDE, SIDE), grey
    spectra     float16 (N, 2 _REACH + 1, _REACH + 1): low-frequency magnitudes of the detail, of norm 1 (right half)
    hashes      uint64 (N,), perceptual
    """

    thumbnails: np.ndarray
    spectra: np.ndarray
    hashes: np.ndarray

    @classmethod
    def empty(cls, n: int) -> Fingerprints:
        """Room for n rows."""
        return cls(
            np.zeros((n, SIDE, SIDE), np.uint8),
            np.zeros((n, 2 * _REACH + 1, _REACH + 1), np.float16),
            np.zeros(n, np.uint64),
        )

    def take(self, rows: Sequence[int], pictures: Sequence[np.ndarray]) -> None:
        """Make the fingerprints of uint8 (H, W, 3) pictures of any size."""
        if not len(rows):
            return
        thumbnails = [square(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), SIDE) for picture in pictures]
        spectra = np.abs(rfft2(np.stack([_band_passed(thumbnail) for thumbnail in thumbnails])))
        half = np.concatenate([spectra[:, -_REACH:, : _REACH + 1], spectra[:, : _REACH + 1, : _REACH + 1]], axis=1)
        energy = 2 * (half**2).sum(axis=(1, 2)) - (half[:, :, 0] ** 2).sum(axis=1)
        self.thumbnails[rows] = thumbnails
        self.spectra[rows] = half / (np.sqrt(energy) + 1e-6)[:, None, None]
        self.hashes[rows] = [perceptual_hash(thumbnail) for thumbnail in thumbnails]


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
    workers: int = 1,
) -> Copies:
    """Copies among N rows.

    first       from first_of_each: equal pixels;  picture  likewise: pixels that are equal in some orientation
    prints      what they are compared by
    neighbours  among the different pictures, the first row of each
    quality     (N, any): the better copy, compared column by column, is kept; of equal ones the first

    Candidates come from the hashes (all eight orientations) and from the embedding; each is verified by aligning the
    two pictures before it counts. Pictures that are equal but for a turn need neither. Groups are the connected
    components, but every member must stand verification against the kept one, so that a chain of lookalikes does not
    merge.
    """
    n = len(first)
    rows = neighbours.rows
    threshold, likeness = _copy_thresholds(neighbours, prints, workers)
    verified: dict[tuple[int, int], tuple[str, float]] = {}

    def verify(pairs: np.ndarray, align: Align, orientations: np.ndarray | None = None) -> None:
        values, turns = _aligned(pairs, prints, align, workers, orientations)
        for i in np.flatnonzero(values >= threshold):
            verified[int(pairs[i, 0]), int(pairs[i, 1])] = (
                "rotated" if turns[i] else "near",
                1 - float(values[i]),
            )

    hashed = rows[close_hashes(prints.hashes[rows], hash_radius(len(rows)), at_most=30 * len(rows))]
    candidates = _distinct_pairs(np.concatenate([hashed, _neighbour_pairs(neighbours, 8)]))
    spectral = _spectral_agreement(candidates, prints)
    likely = spectral.max(axis=1) >= likeness
    # An orientation in which not even the spectra agree need not be tried.
    verify(candidates[likely], _by_shift, spectral[likely] >= likeness)
    verify(_pairs_without(_mutual_pairs(neighbours), verified), _by_warp)
    verified = _standing_out(verified, neighbours, prints, workers)

    # Best first: each column of quality from high to low, then the first row.
    rank = np.empty(n, np.int64)
    rank[np.lexsort((np.arange(n), *(-quality[:, c] for c in reversed(range(quality.shape[1])))))] = np.arange(n)
    group, kept, distance = _groups_of_copies(
        picture, verified, rank, partial(_recheck, prints=prints, threshold=threshold)
    )
    rows_of = range(n)
    pairs = [(int(first[r]), r, "exact", 0.0) for r in rows_of if first[r] not in (r, -1)]
    pairs += [(int(picture[r]), r, "rotated", 0.0) for r in rows_of if first[r] == r != picture[r]]
    pairs += [(a, b, kind, float(d)) for (a, b), (kind, d) in verified.items()]
    return Copies(sorted(pairs), first, picture, group, kept, distance.astype(np.float32), rank, threshold)


def _band_passed(thumbnail: np.ndarray) -> np.ndarray:
    """float32 (SIDE, SIDE): a picture without what changes slowly (light, shading) and without noise."""
    picture = thumbnail.astype(np.float32)
    return cv2.GaussianBlur(picture, (0, 0), 1.0) - cv2.GaussianBlur(picture, (0, 0), 4.0)


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised cross-correlation of two details of one shape, -1 .. 1; 0 where either has none."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return min(1.0, float((a * b).sum()) / scale) if scale > _PLAIN**2 * a.size else 0.0


# Orientations whose spectra differ; each stands for itself and for that turned by half a circle (the two last bits).
_ORIENTATIONS = (0, 1, 4, 5)
_EVERY = np.ones(len(_ORIENTATIONS), bool)
# Two thumbnails, bool (4,) orientations to try -> agreement of their details once aligned, and in which orientation.
Align = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, int]]


def _aligned(
    pairs: np.ndarray,
    prints: Fingerprints,
    align: Align,
    workers: int,
    orientations: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Agreement and orientation, each (P,), that `align` finds for each pair of rows.

    orientations  bool (P, 4): those to try, by default all
    """

    def compare(i: int) -> tuple[float, int]:
        a, b = prints.thumbnails[pairs[i]]
        return align(a, b, _EVERY if orientations is None else orientations[i])

    def compare_all(piece: range) -> list[tuple[float, int]]:
        return [compare(i) for i in piece]

    results = [result for results in threaded(compare_all, chunks(len(pairs), 64), workers) for result in results]
    return np.array([value for value, _ in results]), np.array([turn for _, turn in results], np.int64)


def _by_shift(a: np.ndarray, b: np.ndarray, orientations: np.ndarray) -> tuple[float, int]:
    """Agreement of two thumbnails in the best orientation and shift of up to an eighth of the side."""
    a, b = _band_passed(a), _band_passed(b)
    spectrum = np.conj(rfft2(a))
    best, turn, shift = -np.inf, 0, (0, 0)
    for v in sorted(turn for o in np.array(_ORIENTATIONS)[orientations].tolist() for turn in (o, o ^ 3)):
        match = irfft2(spectrum * rfft2(turned(b, v)), s=(SIDE, SIDE))[_WITHIN]
        peak = int(match.argmax())
        # Of equal orientations the first: a symmetric picture is not "rotated".
        if match.flat[peak] > best * (1 + 1e-6):
            best, turn, shift = float(match.flat[peak]), v, divmod(peak, len(_SHIFTS))
    y, x = int(_SHIFTS[shift[0]]), int(_SHIFTS[shift[1]])
    window_a = (slice(max(0, -y), SIDE - max(0, y)), slice(max(0, -x), SIDE - max(0, x)))
    window_b = (slice(max(0, y), SIDE + min(0, y)), slice(max(0, x), SIDE + min(0, x)))
    return agreement(a[window_a], turned(b, turn)[window_b]), turn


def _spectral_agreement(pairs: np.ndarray, prints: Fingerprints) -> np.ndarray:
    """(P, 4): cosine of the low-frequency magnitudes of each pair of rows, in each of _ORIENTATIONS.

    A magnitude does not change with a shift and turns with the picture, so that this rules out nearly all pairs at
    the price of a product, before any is aligned.
    """
    out = np.empty((len(pairs), len(_ORIENTATIONS)), np.float32)
    for piece in chunks(len(pairs), 4096):
        first, second = (_full_spectrum(prints.spectra[rows]) for rows in pairs[piece].T)
        for i, v in enumerate(_ORIENTATIONS):
            out[piece, i] = np.einsum("pij,pij->p", first, turned(second, v))
    return out


def _full_spectrum(half: np.ndarray) -> np.ndarray:
    """Both halves of a magnitude spectrum, which is the same on either side of the origin."""
    right = half.astype(np.float32)
    return np.concatenate([right[:, ::-1, :0:-1], right], axis=2)


def _by_warp(a: np.ndarray, b: np.ndarray, orientations: np.ndarray = _EVERY) -> tuple[float, int]:
    """Agreement of two thumbnails after the affine map that aligns them: a crop, a small rotation, another aspect.

    Enhanced correlation coefficient maximisation, Evangelidis and Psarakis, PAMI 2008. The pictures themselves are
    aligned and their details compared: those alone would lead astray from farther than a crop of a twentieth.
    """
    try:
        _, warp = cv2.findTransformECC(a, b, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STOP, _ALL, 5)
    except cv2.error:  # raised where the iteration leaves the picture, or the picture is of one colour: no copies
        return 0.0, 0
    a, b = _band_passed(a), _band_passed(b)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inside = cv2.warpAffine(_ONES, warp, (SIDE, SIDE), flags=flags) > 0.99
    if inside.mean() < 0.5:
        return 0.0, 0
    return agreement(a[inside], cv2.warpAffine(b, warp, (SIDE, SIDE), flags=flags)[inside]), 0


_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 3e-3)
_ALL = np.ones((SIDE, SIDE), np.uint8)
_ONES = np.ones((SIDE, SIDE), np.float32)
_SHIFTS = np.r_[0 : _SHIFT + 1, -_SHIFT:0]
_WITHIN = np.ix_(_SHIFTS, _SHIFTS)


def _copy_thresholds(neighbours: Neighbours, prints: Fingerprints, workers: int) -> tuple[float, float]:
    """The agreement, and the spectral one, from which a pair counts as copies, from the set itself.

    Rows that are neighbours of tenth rank are alike and yet no copies: where those agree closely already, as
    handwritten digits do, a copy must agree more closely still. Of a picture that has ten copies and more the first
    neighbour beyond them counts.
    """
    rows, k = neighbours.indices.shape
    if rows < 30 or k < 10:
        return _AGREEMENT, _SPECTRUM
    sample = np.linspace(0, rows - 1, min(rows, 120)).astype(np.int64)
    near = neighbours.indices[sample, 9]

    def compared() -> tuple[np.ndarray, np.ndarray]:
        pairs = neighbours.rows[np.stack([sample, near], axis=1)]
        return _aligned(pairs, prints, _by_warp, workers)[0], _spectral_agreement(pairs, prints).max(axis=1)

    values, spectral = compared()
    doubtful = np.flatnonzero((values >= _AGREEMENT) | (spectral >= _SPECTRUM))
    beyond = _beyond_copies(sample[doubtful], neighbours, prints, workers)
    if (beyond >= 0).any():
        near = near.copy()
        near[doubtful[beyond >= 0]] = beyond[beyond >= 0]
        values, spectral = compared()
    return float(max(_AGREEMENT, (1 + np.quantile(values, 0.99)) / 2)), float(
        max(_SPECTRUM, np.quantile(spectral, 0.98))
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
    values, _ = _aligned(pairs, prints, _by_warp, workers)
    turned_or_not = np.flatnonzero(values < _AGREEMENT)
    values[turned_or_not] = np.maximum(
        values[turned_or_not], _aligned(pairs[turned_or_not], prints, _by_shift, workers)[0]
    )
    return 1 - values


def _standing_out(
    verified: dict[tuple[int, int], tuple[str, float]], neighbours: Neighbours, prints: Fingerprints, workers: int
) -> dict[tuple[int, int], tuple[str, float]]:
    """Those verified pairs that agree twice as closely as either picture does with others that are like it.

    All strokes of a pen are alike, whatever the rest of the set looks like.
    """
    doubtful = [pair for pair, (_, distance) in verified.items() if distance > 1 - _CERTAIN]
    if not doubtful:
        return verified
    rows = sorted({row for pair in doubtful for row in pair})
    at = np.searchsorted(neighbours.rows, rows)
    component = joined(np.array(list(verified)), int(neighbours.rows.max()) + 1)
    comparisons = []
    for row, near in zip(rows, neighbours.rows[neighbours.indices[at]].tolist(), strict=True):
        comparisons += [(row, neighbour) for neighbour in near if component[neighbour] != component[row]][:3]
    closest: dict[int, float] = {}
    values, _ = _aligned(np.array(comparisons, np.int64).reshape(-1, 2), prints, _by_warp, workers)
    for (row, _), value in zip(comparisons, values.tolist(), strict=True):
        closest[row] = max(closest.get(row, 0.0), value)
    alike = {pair for pair in doubtful if 2 * verified[pair][1] > 1 - max(closest.get(row, 0.0) for row in pair)}
    return {pair: match for pair, match in verified.items() if pair not in alike}


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


def _recheck(a: int, b: int, prints: Fingerprints, threshold: float) -> float | None:
    """Distance of two rows that are linked through others only; None where they are no copies of each other."""
    thumbnails = prints.thumbnails[a], prints.thumbnails[b]
    best = max(_by_shift(*thumbnails, _EVERY)[0], _by_warp(*thumbnails)[0])
    return 1 - best if best >= threshold else None


def _groups_of_copies(
    picture: np.ndarray,
    verified: dict[tuple[int, int], tuple[str, float]],
    rank: np.ndarray,
    recheck: Callable[[int, int], float | None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(group, kept, distance from the kept), each (N,), from rows of equal pictures and verified pairs."""
    n = len(picture)
    row_numbers = np.arange(n)
    group, kept, distance = np.full(n, NO_GROUP), row_numbers.copy(), np.zeros(n)
    links = [(int(picture[r]), r) for r in range(n) if picture[r] not in (r, -1)] + list(verified)
    if not links:
        return group, kept, distance
    component = joined(np.array(links), n)
    order = np.lexsort((row_numbers, component))
    number = 0
    for members in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(members) < 2:
            continue
        # Rows of one picture stand or fall together.
        distinct = {p: members[picture[members] == p] for p in np.unique(picture[members]).tolist()}
        left = sorted(distinct, key=lambda p: rank[distinct[p]].min())
        while left:
            head, *candidates = left
            best = int(min(distinct[head], key=lambda r: rank[r]))
            near = {head: 0.0}
            for candidate in candidates:
                match = verified.get((min(head, candidate), max(head, candidate)))
                d = match[1] if match else recheck(head, candidate)
                if d is not None:
                    near[candidate] = d
            rows = np.concatenate([distinct[p] for p in near])
            left = [p for p in left if p not in near]
            if len(rows) > 1:
                group[rows], kept[rows] = number, best
                for p, d in near.items():
                    distance[distinct[p]] = d
                number += 1
    # Groups are numbered by their first row, so that their numbers do not depend on how they were found.
    first_rows = np.unique(group[group != NO_GROUP], return_index=True)[1]
    grouped = np.flatnonzero(group != NO_GROUP)
    renumber = np.empty(number, np.int64)
    renumber[group[grouped[np.sort(first_rows)]]] = np.arange(number)
    group[grouped] = renumber[group[grouped]]
    return group, kept, distance
