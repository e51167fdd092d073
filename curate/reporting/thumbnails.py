"""Small pictures for a page: base64 JPEGs that store their common beginnings once."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from ..sets.imageset import Pictures, Unreadable
from ..stage.engine import chunks
from ..stage.shortness import short_repr

UNREADABLE = -2
TINY = 48  # pictures of at most so many pixels are line art as often as not: kept crisp
BATCH = 64


@dataclass(frozen=True)
class Thumbnails:
    """JPEGs in base64; thumbnail i is beginnings[kind[i]].text + rests[i].

    Every small JPEG of one size repeats the same tables, a third of its bytes: kept apart in `beginnings`.

    of   row -> thumbnail, or UNREADABLE; rows with identical pictures share one, a row without is absent
    """

    beginnings: tuple[Beginning, ...]
    kind: tuple[int, ...]
    rests: tuple[str, ...]
    of: Mapping[int, int]

    __repr__ = short_repr


@dataclass(frozen=True)
class Beginning:
    """What all thumbnails of one size begin with."""

    width: int
    height: int
    text: str


def thumbnails(images: Pictures, sides: Mapping[int, int], same: Mapping[int, str], budget: int) -> Thumbnails:
    """Thumbnails of the rows in `sides`, the longest side of each at most what is asked for.

    sides    row -> pixels, the most important rows first: what comes after `budget` bytes gets none
    same     row -> digest; rows of one digest share the first one's thumbnail
    """
    carriers: dict[str | int, int] = {}
    carrier = {row: carriers.setdefault(same.get(row) or row, row) for row in sides}
    rows = list(carriers.values())

    def encode_batch(batch: range) -> list[_Encoded | None]:
        return [_encode(images, rows[i], sides[rows[i]]) for i in batch]

    encoded: dict[int, _Encoded | None] = {}
    spent = 0
    pool = ThreadPoolExecutor(2)
    try:
        # Taken in order whatever ends first, so that the same rows fit into the budget each time.
        batches = list(chunks(len(rows), BATCH))
        for batch, encoded_batch in zip(batches, pool.map(encode_batch, batches), strict=True):
            encoded.update(zip([rows[i] for i in batch], encoded_batch, strict=True))
            spent += sum(len(jpeg.text) for jpeg in encoded_batch if jpeg)
            if spent > budget:
                break
    finally:
        pool.shutdown(cancel_futures=True)
    return _packed(carrier, encoded)


@dataclass(frozen=True)
class SmallPicture:
    """A picture as a small JPEG."""

    width: int
    height: int
    channels: int
    jpeg: bytes


@dataclass(frozen=True)
class _Encoded:
    width: int
    height: int
    channels: int
    text: str


def _encode(images: Pictures, row: int, side: int) -> _Encoded | None:
    """One picture no larger than `side`, None if it cannot be read."""
    try:
        small = small_picture(images[row].pixels, side)
    except Unreadable:
        return None
    return _Encoded(small.width, small.height, small.channels, base64.b64encode(small.jpeg).decode("ascii"))


def small_picture(pixels: np.ndarray, side: int) -> SmallPicture:
    """A picture, uint8 (H, W, 3) RGB, as a JPEG whose longest side is at most `side`."""
    height, width = pixels.shape[:2]
    if max(height, width) > side:
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    height, width = pixels.shape[:2]
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
    coded = np.ascontiguousarray(pixels[..., 0] if grey else pixels[..., ::-1])
    options = [cv2.IMWRITE_JPEG_QUALITY, 80]
    if max(height, width) <= TINY:
        options = [cv2.IMWRITE_JPEG_QUALITY, 93]
        if not grey:
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, buffer = cv2.imencode(".jpg", coded, options)
    return SmallPicture(width, height, 1 if grey else 3, buffer.tobytes())


def _packed(carrier: Mapping[int, int], encoded: Mapping[int, _Encoded | None]) -> Thumbnails:
    """The thumbnails with the beginning of each size taken off."""
    by_size: dict[tuple[int, int, int], list[_Encoded]] = {}
    for jpeg in encoded.values():
        if jpeg:
            by_size.setdefault((jpeg.width, jpeg.height, jpeg.channels), []).append(jpeg)
    beginnings = {size: _common_beginning([jpeg.text for jpeg in jpegs]) for size, jpegs in by_size.items()}
    kinds = {size: kind for kind, size in enumerate(by_size)}

    place: dict[int, int] = {}
    kind: list[int] = []
    rests: list[str] = []
    for row, jpeg in encoded.items():
        if jpeg is None:
            place[row] = UNREADABLE
            continue
        size = jpeg.width, jpeg.height, jpeg.channels
        place[row] = len(rests)
        kind.append(kinds[size])
        rests.append(jpeg.text[len(beginnings[size]) :])
    return Thumbnails(
        beginnings=tuple(Beginning(size[0], size[1], text) for size, text in beginnings.items()),
        kind=tuple(kind),
        rests=tuple(rests),
        of={row: place[first] for row, first in carrier.items() if first in place},
    )


def _common_beginning(texts: Sequence[str]) -> str:
    """The longest text that all begin with."""
    first, last = min(texts), max(texts)
    for i, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return first[:i]
    return first
