"""Pictures on their way to other tools: as the files that they are, or as PNG, under names that any system takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..stage.errors import DataError
from ..stage.progress import Advance
from .decoding import FilePictures
from .imageset import ImageSet
from .portable import Portability, portability
from .scaling import BYTES, Scale
from .writing import pixels_of

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One image, encoded. key: its row as eight digits, a name that every tool accepts."""

    row: int
    png: bytes
    size: tuple[int, int]

    @property
    def key(self) -> str:
        return f"{self.row:08d}"


def encoded(images: ImageSet, row: int) -> Sample:
    """The PNG of one image."""
    return png_of(row, pixels_of(images, row))


def png_of(row: int, pixels: np.ndarray) -> Sample:
    """The PNG of pixels, uint8 (H, W, 3)."""
    import cv2

    # Of 96-px cells: 4 % smaller than by zlib's slowest way, in a seventh of its time.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return Sample(row, png.tobytes(), (pixels.shape[1], pixels.shape[0]))


def with_progress(items: Iterable[T], advance: Advance) -> Iterator[T]:
    """The items, whose number is told when each has been dealt with."""
    for finished, item in enumerate(items, 1):
        yield item
        advance(finished)


# Files as they are


@dataclass(frozen=True)
class Copy:
    """One image as a file: its own bytes, or the PNG of its pixels.

    size    (width, height);  hurdle  why a file was converted (see Portability), "" where it was not
    path    the file whose own bytes these are, "" of any other
    """

    row: int
    data: bytes
    suffix: str
    size: tuple[int, int]
    hurdle: str = ""
    path: str = ""


def copy_of(images: ImageSet, row: int) -> Copy:
    """One image as a file that any tool shows as it is seen here. Raises DataError where it cannot be decoded."""
    pictures = images.images
    path = pictures.path(row) if isinstance(pictures, FilePictures) else ""
    data = file_bytes(path) if path else b""
    pixels = pixels_of(images, row)  # in any case: what is damaged is no picture anywhere
    portable = portability(data, path) if path else Portability("")
    if portable.suffix and images.source.decoding.scale.get(BYTES, Scale()) != Scale():
        portable = Portability("", "file read by a range of its own")
    if portable.suffix:
        return Copy(row, data, portable.suffix, (pixels.shape[1], pixels.shape[0]), path=path)
    sample = png_of(row, pixels)
    return Copy(row, sample.png, ".png", sample.size, portable.hurdle)


def file_bytes(path: str) -> bytes:
    """A file of the set as it is."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


# Names of files


class Names:
    """Paths handed out once each; paths that differ in case only count as one."""

    def __init__(self, reserved_paths: Iterable[str] = ()) -> None:
        self._taken = {path.casefold() for path in reserved_paths}

    def take(self, folder: str, wishes: Iterable[str]) -> str:
        """The first path of a folder and one of the wishes that is free."""
        path = next(folder + wish for wish in wishes if (folder + wish).casefold() not in self._taken)
        self._taken.add(path.casefold())
        return path


def distinct_names(wishes: Iterable[str], reserved_paths: Iterable[str] = ()) -> list[str]:
    """The names wished for, a number added where one is taken."""
    names = Names(reserved_paths)
    return [names.take("", chain([wish], (f"{wish}_{number}" for number in count(2)))) for wish in wishes]


def safe_name(name: str) -> str:
    """A name for a file or folder: letters and digits of any script, spaces and .+- within, 60 letters at most.

    Also 200 bytes at most, as file systems count, and none that Windows keeps for its devices.
    """
    kept = re.sub(r"[^\w .+-]", "_", unicodedata.normalize("NFC", name)).strip(" .")
    short = kept[:60].encode("utf-8", "replace")[:200].decode("utf-8", "ignore").rstrip(" .") or "_"
    return f"{short}_" if short.partition(".")[0].rstrip().lower() in _DEVICES else short


_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
