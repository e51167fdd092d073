"""Small pictures for a page: base64 JPEGs that store their common beginnings once."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..sets.imageset import Pictures, Unreadable
from ..stage.engine import chunks
from ..stage.miniatures import small_picture
from ..stage.shortness import short_repr

UNREADABLE = -2
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
