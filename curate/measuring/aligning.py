"""Thumbnails of pictures, and how far two of them agree once they are aligned: shifted, turned or slightly warped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.fft import irfft2, rfft2

from ..stage.engine import chunks, threaded
from ..stage.shortness import short_repr
from .hashing import perceptual_hash, turned
from .properties import square

# Pairs are compared as grey pictures of this side: enough detail to distinguish two cells, small enough for memory.
SIDE = 64
# Shifts of up to an eighth of the side are looked for.
_SHIFT = SIDE // 8
# Frequencies that spectra are compared by, in cycles a picture.
_REACH = 10
# A picture whose detail is below this (grey levels) has nothing to be recognised by.
_PLAIN = 1.0


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

    __repr__ = short_repr

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
EVERY = np.ones(len(_ORIENTATIONS), bool)


@dataclass(frozen=True, eq=False)
class Alignment:
    """One thumbnail laid over another.

    agreement  of their details, -1 .. 1;  turn  in which orientation of the second, see hashing.turned
    affine     float64 (2, 3): from pixels of the first to pixels of the second
    """

    agreement: float
    turn: int
    affine: np.ndarray

    __repr__ = short_repr


# Two thumbnails, bool (4,) orientations to try -> how the second lies over the first.
Align = Callable[[np.ndarray, np.ndarray, np.ndarray], Alignment]
_IDENTITY = np.eye(2, 3)


def aligned(
    pairs: np.ndarray,
    prints: Fingerprints,
    align: Align,
    workers: int,
    orientations: np.ndarray | None = None,
) -> list[Alignment]:
    """What `align` finds for each pair of rows (P, 2).

    orientations  bool (P, 4): those to try, by default all
    """

    def compare(i: int) -> Alignment:
        a, b = prints.thumbnails[pairs[i]]
        return align(a, b, EVERY if orientations is None else orientations[i])

    def compare_all(piece: range) -> list[Alignment]:
        return [compare(i) for i in piece]

    return [result for results in threaded(compare_all, chunks(len(pairs), 64), workers) for result in results]


def agreements(pairs: np.ndarray, prints: Fingerprints, align: Align, workers: int) -> np.ndarray:
    """float64 (P,): how far `align` makes each pair of rows agree."""
    return np.array([result.agreement for result in aligned(pairs, prints, align, workers)])


def by_shift(a: np.ndarray, b: np.ndarray, orientations: np.ndarray) -> Alignment:
    """Two thumbnails in the best orientation and shift of up to an eighth of the side."""
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
    return Alignment(agreement(a[window_a], turned(b, turn)[window_b]), turn, _as_affine(turn, x, y))


def _as_affine(turn: int, x: int, y: int) -> np.ndarray:
    """float64 (2, 3): from a pixel to that of a picture which, turned so, is shifted by x and y."""
    affine = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    for row in range(2):
        if turn & (1 << row):
            affine[row] = [0, 0, SIDE - 1] - affine[row]
    return affine[::-1] if turn & 4 else affine


def spectral_agreement(pairs: np.ndarray, prints: Fingerprints) -> np.ndarray:
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


def by_warp(a: np.ndarray, b: np.ndarray, orientations: np.ndarray = EVERY, start: np.ndarray = _IDENTITY) -> Alignment:
    """Two thumbnails after the affine map that aligns them: a crop, a small rotation, another aspect.

    start  float64 (2, 3): the map that is made to fit

    Enhanced correlation coefficient maximisation, Evangelidis and Psarakis, PAMI 2008. The pictures themselves are
    aligned and their details compared: those alone would lead astray from farther than a crop of a twentieth.
    """
    try:
        _, warp = cv2.findTransformECC(a, b, start.astype(np.float32), cv2.MOTION_AFFINE, _STOP, _ALL, 5)
    except cv2.error:  # raised where the iteration leaves the picture, or the picture is of one colour: no copies
        return Alignment(0.0, 0, start)
    a, b = _band_passed(a), _band_passed(b)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inside = cv2.warpAffine(_ONES, warp, (SIDE, SIDE), flags=flags) > 0.99
    if inside.mean() < 0.5:
        return Alignment(0.0, 0, start)
    warped = cv2.warpAffine(b, warp, (SIDE, SIDE), flags=flags)
    return Alignment(agreement(a[inside], warped[inside]), 0, np.asarray(warp, np.float64))


_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 3e-3)
_ALL = np.ones((SIDE, SIDE), np.uint8)
_ONES = np.ones((SIDE, SIDE), np.float32)
_SHIFTS = np.r_[0 : _SHIFT + 1, -_SHIFT:0]
_WITHIN = np.ix_(_SHIFTS, _SHIFTS)
