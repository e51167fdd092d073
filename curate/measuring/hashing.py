"""Digests for equality, perceptual hashes for likeness."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log
from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image

from ..sets.imageset import ImageSet, Picture, Pictures, Unreadable, evenly
from ..stage.errors import DataError
from ..stage.shortness import short_repr

DIHEDRAL = 8
# Pictures of less than this cannot be told from their like in another orientation (see `arrangement`): of 10,000 digits
# reduced to 6 to 28 pixels a side and 2 to 256 levels, 566 sets of them are turns of each other by chance, a 6 of a 9
# among them; from 96 bits on at most four, all of ones.
_TELLING = 96.0
_SPOT_CHECKS = 32  # pictures whose pixels are compared with a scan's: enough to tell another set, and quick


def hash_radius(n: int) -> int:
    """Bits within which two of n hashes make a pair worth verifying.

    Unrelated hashes differ in 32 of 64 bits, yet the pairs grow with n squared: by chance alone a radius of 10 gives
    5,000 pairs in a million, so that large sets get a smaller one.
    """
    return 12 if n <= 20_000 else 10 if n <= 100_000 else 3


def digest(raw: np.ndarray) -> str:
    """Hex BLAKE2b-128 of an array's pixels, shape and dtype.

    Shape and dtype count: a black 10x20 and a black 20x10 image have the same bytes, yet are no duplicates.
    """
    h = hashlib.blake2b(digest_size=16)
    h.update(f"{raw.dtype.str}{raw.shape}".encode())
    h.update(np.ascontiguousarray(raw).data)
    return h.hexdigest()


def turnless(raw: np.ndarray) -> int:
    """A number of 64 bits that is the same for a picture, (H, W) or (H, W, C), in all its eight orientations.

    Pictures that share it need a look at their pixels: it is taken of how often each byte occurs.
    """
    content = np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
    counts = cv2.calcHist([content[None]], [0], None, [256], [0, 256]) if content.size else np.zeros(0, np.float32)
    h = hashlib.blake2b(f"{raw.dtype.str}{sorted(raw.shape[:2])}{raw.shape[2:]}".encode(), digest_size=8)
    h.update(counts.data)
    return int.from_bytes(h.digest(), "little")


def canonical_digest(raw: np.ndarray) -> str:
    """The least digest of a picture, (H, W) or (H, W, C), in its eight orientations: equal where one is another turned.

    Its own digest where there is too little in it to tell: a 6 of a few black and white pixels is a 9 turned.
    """
    if arrangement(raw) < _TELLING:
        return digest(raw)
    planes = np.moveaxis(raw, (0, 1), (-2, -1))
    return min(digest(np.moveaxis(turned(planes, v), (-2, -1), (0, 1))) for v in range(DIHEDRAL))


def arrangement(raw: np.ndarray) -> float:
    """Bits that it takes to say where in a picture, (H, W) or (H, W, C), each of its values lies.

    That is the logarithm of the number of pictures of just these values, in the channel in which there are most.
    """
    channels = raw[..., None] if raw.ndim == 2 else raw
    most = 0.0
    for c in range(channels.shape[2]):
        values = channels[..., c].ravel()
        small = values.dtype.kind == "u" and values.dtype.itemsize <= 2  # counting takes a tenth of the time of sorting
        counts = (np.bincount(values) if small else np.unique(values, return_counts=True)[1]).tolist()
        most = max(most, lgamma(len(values) + 1) - sum(lgamma(count + 1) for count in counts))
    return most / log(2)


def changed_pictures(images: ImageSet, digests: Sequence[str]) -> list[int]:
    """Rows, of a few spread over the set, whose pixels have not the digest given for each of N rows."""
    changed = []
    for row in evenly(len(images), _SPOT_CHECKS).tolist():
        try:
            now = digest(images.images[row].raw)
        except Unreadable:
            now = ""
        if now != digests[row]:
            changed.append(row)
    return changed


@dataclass(frozen=True, eq=False)
class VerifiedPictures:
    """Pictures that are those of a scan: each is held against its digest when it is read.

    digests, ids  of every row;  place  where they are from, for the DataError of a picture that has changed
    """

    pictures: Pictures
    digests: Sequence[str]
    ids: Sequence[str]
    place: Path

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> Picture:
        picture = self.pictures[row]
        if digest(picture.raw) != self.digests[row]:
            raise DataError(
                f"{self.ids[row]} of {self.place} has other pixels than when it was scanned. "
                "Scan it again (`curate scan`), then go on."
            )
        return picture


def perceptual_hash(pixels: np.ndarray) -> np.uint64:
    """The 64-bit pHash of one uint8 (H, W, 3) or grey (H, W) picture.

    The 8x8 lowest frequencies of its cosine transform, each above their median or not.
    """
    bits = imagehash.phash(Image.fromarray(pixels)).hash
    return np.uint64(np.packbits(bits).view(np.uint64)[0])


def dihedral_hashes(hashes: np.ndarray) -> np.ndarray:
    """uint64 (N, 8): the hashes of each picture's four rotations and their mirror images.

    Mirroring a picture changes the sign of its odd DCT coefficients, transposing it transposes them. So the hashes of
    the variants follow from the bits; coefficients between zero and the median come out wrong: 2 bits on average,
    never more than 10 in photographs and cells.
    Column v is the hash of `turned(picture, v)`.
    """
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).reshape(-1, 8, 8).astype(bool)
    odd = np.arange(8) % 2 == 1
    variants = []
    for v in range(DIHEDRAL):
        b = bits.transpose(0, 2, 1) if v & 4 else bits
        b = b ^ (odd[:, None] if v & 2 else False) ^ (odd[None, :] if v & 1 else False)
        variants.append(np.packbits(b.reshape(-1, 64), axis=1).view(np.uint64)[:, 0])
    return np.stack(variants, axis=1)


def turned(pictures: np.ndarray, variant: int) -> np.ndarray:
    """(..., H, W) arrays in one of eight orientations: bit 2 transposes, bit 1 flips rows, bit 0 flips columns."""
    if variant & 4:
        pictures = pictures.swapaxes(-1, -2)
    if variant & 2:
        pictures = pictures[..., ::-1, :]
    if variant & 1:
        pictures = pictures[..., ::-1]
    return pictures


def close_hashes(hashes: np.ndarray, radius: int, at_most: int) -> np.ndarray:
    """int64 (P, 2): pairs of rows i < j with hashes within `radius` bits in some orientation of one of them.

    Where that makes more than `at_most` pairs, as line drawings do, the radius shrinks until it does not.

    Rows with one and the same hash are compared as one: a thousand blank pictures do not make a million pairs, they
    make a chain of 999. Exact. A radius below 4 is looked up by bands, in time that grows with N log N.
    """
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # rows of first appearance, in row order
    rows, variants = first[order], dihedral_hashes(hashes[first[order]])
    near, bits = (_by_bands if radius < _BANDS else _by_blocks)(variants, radius)
    if len(bits) > at_most:
        counts = np.cumsum(np.bincount(bits, minlength=65))
        near = near[bits <= int(np.searchsorted(counts, at_most, side="right")) - 1]
    parts = [rows[near]]
    by_hash = np.argsort(inverse, kind="stable")
    same = inverse[by_hash][1:] == inverse[by_hash][:-1]
    parts.append(np.stack([by_hash[:-1][same], by_hash[1:][same]], axis=1))
    pairs = np.sort(np.concatenate(parts), axis=1).astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


_BANDS = 4  # of 16 bits: two hashes within three bits agree in one of them at least


def _by_blocks(variants: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(pairs (P, 2) i < j, bits (P,)) within `radius` of dihedral hashes (N, 8): blocks of rows against all."""
    pairs, bits = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.uint8)]
    for start in range(0, len(variants), 256):
        block, rest = variants[start : start + 256], variants[start:, 0]
        distance = np.full((len(block), len(rest)), 64, np.uint8)
        for v in range(DIHEDRAL):
            np.minimum(distance, np.bitwise_count(block[:, v, None] ^ rest[None, :]), out=distance)
        i, j = np.nonzero(distance <= radius)
        later = j > i
        pairs.append(np.stack([start + i[later], start + j[later]], axis=1))
        bits.append(distance[i[later], j[later]])
    return np.concatenate(pairs), np.concatenate(bits)


def _by_bands(variants: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """As _by_blocks, by a join on each band of 16 bits in turn (Manku, Jain and Das Sarma, WWW 2007)."""
    upright = variants[:, 0]
    matches, bits = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.uint8)]
    for band in range(_BANDS):
        shift = np.uint64(16 * band)
        keys = (upright >> shift).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for v in range(DIHEDRAL):
            variant = (variants[:, v] >> shift).astype(np.uint16)
            low, high = np.searchsorted(ordered, variant, "left"), np.searchsorted(ordered, variant, "right")
            for piece in range(0, len(variant), 16_384):  # a bounded number of candidates at a time
                counts = (high - low)[piece : piece + 16_384]
                i = np.repeat(np.arange(piece, piece + len(counts)), counts)
                offset = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
                j = order[np.repeat(low[piece : piece + 16_384], counts) + offset]
                distance = np.bitwise_count(variants[i, v] ^ upright[j])
                good = (distance <= radius) & (i != j)
                matches.append(np.sort(np.stack([i[good], j[good]], axis=1), axis=1))
                bits.append(distance[good])
    pairs, distance = np.concatenate(matches), np.concatenate(bits)
    order = np.lexsort((distance, pairs[:, 1], pairs[:, 0]))
    pairs, distance = pairs[order], distance[order]
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)  # of a pair met in several bands, the closest meeting
    return pairs[fresh], distance[fresh]
