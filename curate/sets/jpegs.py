"""JPEG data that lost bytes and kept its end marker: what decoders make up without a word, told apart from pictures."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image

from ..stage.shortness import short_repr

START = b"\xff\xd8\xff"
_END, _SCAN, _PROGRESSIVE = 0xD9, 0xDA, 0xC2
# The next marker in coded data: no stuffed byte, restart or fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A decoder looks some bytes ahead: the last ones of the data, and some that stand for more, are handed over apart.
_LAST = _MORE = 16
_FILLER = b"\x55" * _MORE
_LARGE = 4096  # bytes that only a decoder asks for: headers are read in smaller pieces


@dataclass(frozen=True)
class Scan:
    """The coded data of one scan of a JPEG: from `start` to the marker at `end`; its spectral band, and the bit it
    ends at."""

    start: int
    end: int
    components: bytes
    band: tuple[int, int]
    low_bit: int


@dataclass(frozen=True)
class Layout:
    """The parts of a JPEG that tell whether it is whole; `progressive` where scans refine one another."""

    scans: tuple[Scan, ...]
    progressive: bool

    __repr__ = short_repr

    @property
    def coded_once(self) -> bool:
        """Whether all of the picture is in one scan, and nothing comes after that."""
        return len(self.scans) == 1 and not self.progressive


def layout_of(data: bytes) -> Layout | None:
    """Where the scans of a JPEG lie; None where its markers are not as they should be."""
    scans: list[Scan] = []
    progressive, at = False, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xFF:
            at += 1
            continue
        if kind == _END:
            break
        progressive |= kind == _PROGRESSIVE
        if kind == _SCAN:
            header = data[at + 4 : at + 2 + length]
            if len(header) < 6:
                return None
            marker = _MARKER.search(data, at + 2 + length)
            end = marker.start() if marker else len(data)
            while data[end - 1] == 0xFF:  # fill bytes, which belong to the marker
                end -= 1
            *_, first, last, bits = header
            scans.append(Scan(at + 2 + length, end, header[1:-3:2], (first, last), bits & 15))
            at = end
        else:
            at += 2 + length
    return Layout(tuple(scans), progressive) if scans else None


class Handed(io.BytesIO):
    """A JPEG that is handed to its decoder in pieces: all but the last of the coded data; these; filler; the rest.

    How far the decoder has read when it has the picture says whether there was as much data as it needed. The pixels
    of a picture that is whole do not depend on the filler, for nothing of it is decoded. Where the picture is in
    several scans there are no pieces.
    """

    def __init__(self, data: bytes) -> None:
        self.content, self.layout = data, layout_of(data)
        self.stops: tuple[int, ...] = ()
        if self.layout is not None and self.layout.coded_once:
            end = self.layout.scans[0].end
            self.stops = (max(0, end - _LAST), end, end + _MORE)
            data = data[:end] + _FILLER + data[end:]
        super().__init__(data)

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file; a large piece ends where the next is to begin."""
        if not self.stops or size is None or size < _LARGE:
            return super().read(size)
        at = self.tell()
        stop = next((stop for stop in self.stops if stop > at), None)
        return super().read(size if stop is None else min(size, stop - at))


def damage(handed: Handed, image: Image.Image) -> str:
    """What a JPEG has lost, "" where it is whole as far as can be told; `image` was loaded from `handed`.

    Bytes that changed without a change of their number of bits leave no trace; nor does a loss within the last scan of
    a progressive file.
    """
    if handed.layout is not None and handed.layout.progressive:
        return _scans_missing(handed.layout)
    if not handed.stops:
        return ""
    data, (last, end, filled) = handed.content, handed.stops
    # Both are tried by decoding again before anything is said: how far a decoder reads is its own affair.
    if handed.tell() <= last and np.array_equal(_decoded(data[:last] + data[end:]), np.asarray(image)):
        return "is damaged: its bytes are not those of the picture any more, and parts of it are shifted or garbled"
    if handed.tell() > filled:
        plain = _decoded(data)
        if not np.array_equal(_decoded(data[:end] + 4 * _FILLER + data[end:]), plain):
            return f"is damaged: bytes of it are lost{_share_lost(plain)}"
    return ""


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _share_lost(pixels: np.ndarray) -> str:
    """Of a picture that ends in what decoders make up, mid-grey: how much of it that is."""
    rows = pixels.reshape(len(pixels), -1)
    grey = (rows == 128).all(axis=1)
    lost = len(grey) if grey.all() else int(grey[::-1].argmin())
    return f", its lower {lost / len(grey):.0%} holds nothing" if lost else ", its end holds nothing"


def _scans_missing(layout: Layout) -> str:
    """Whether a progressive file ends before every coefficient of every component had its last bit."""
    components = set(chain.from_iterable(scan.components for scan in layout.scans))
    for component in components:
        final = [scan.band for scan in layout.scans if component in scan.components and scan.low_bit == 0]
        if len({number for first, last in final for number in range(first, last + 1)}) < 64:
            return "is damaged: the last of its scans are lost, and all is coarse"
    return ""
