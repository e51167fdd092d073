"""Thumbnails in packs, made when they are asked for; the last ones stay in memory."""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from ..sets.imageset import Unreadable
from ..stage.engine import cores
from ..stage.miniatures import SmallPicture, small_picture
from .pictures import Missing, SourcePictures, Unready

HELD = 64 << 20  # bytes of thumbnails that stay in memory
SMALLEST, LARGEST = 16, 512  # pixels a side
MOST_ROWS = 500  # of a pack

_Key = tuple[str, int]


class Packs:
    """Thumbnails of the rows of a scan.

    digests  of the rows, "" of what cannot be read; rows of one digest share a thumbnail
    spare    row -> a thumbnail to fall back on where the picture itself is gone, None where there is none
    """

    def __init__(
        self,
        pictures: SourcePictures,
        digests: Sequence[str],
        spare: Callable[[int], SmallPicture | None],
        held: int = HELD,
    ) -> None:
        self._pictures, self._digests, self._spare, self._held = pictures, digests, spare, held
        self._made: OrderedDict[_Key, SmallPicture] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(min(4, cores()), thread_name_prefix="thumbnails")

    def pack(self, rows: Sequence[int], side: int) -> bytes:
        """The length of a JSON header as uint32, little-endian, the header [[row, width, height, bytes], ...], and the
        JPEGs one after another; of 0 bytes where there is no picture."""
        smalls = list(self._pool.map(lambda row: self._small(row, side), rows))
        sizes = [(0, 0, 0) if small is None else (small.width, small.height, len(small.jpeg)) for small in smalls]
        header = json.dumps([[row, *size] for row, size in zip(rows, sizes, strict=True)], separators=(",", ":"))
        return b"".join(
            [struct.pack("<I", len(header)), header.encode("ascii"), *(small.jpeg for small in smalls if small)]
        )

    def close(self) -> None:
        """Make no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _small(self, row: int, side: int) -> SmallPicture | None:
        digest = self._digests[row]
        if not digest:  # which no scan could decode
            return None
        key = (digest, side)
        with self._lock:
            if (small := self._made.get(key)) is not None:
                self._made.move_to_end(key)
                return small
        try:
            small = small_picture(self._pictures.pixels(row, side), side)
        except (Missing, Unready, Unreadable):
            return self._spare(row)
        self._keep(key, small)
        return small

    def _keep(self, key: _Key, small: SmallPicture) -> None:
        with self._lock:
            if key in self._made:
                return
            self._made[key] = small
            self._bytes += len(small.jpeg)
            while self._bytes > self._held:
                self._bytes -= len(self._made.popitem(last=False)[1].jpeg)
