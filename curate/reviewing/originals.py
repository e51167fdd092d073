"""A picture at its full size, as a browser can show it and the scan has read it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..sets.decoding import open_header
from ..sets.imageset import Unreadable
from ..sets.scaling import BYTES, Decoding, Scale
from .pictures import Missing, SourcePictures

PNG = "image/png"
# What browsers show, by Pillow's name. Of an MPO they show the first picture, as of any JPEG.
_SHOWN = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": PNG, "GIF": "image/gif", "WEBP": "image/webp"}
_MODES = ("1", "L", "P", "RGB")


def original(pictures: SourcePictures, row: int, decoding: Decoding, readable: bool) -> tuple[str, bytes]:
    """(its type, the bytes of an image): the file's own where a browser shows what the scan has read, else a PNG.

    readable  whether the scan could decode it: if not, what keeps it from being decoded is told

    Raises Missing, with a sentence.
    """
    path = pictures.file(row)
    try:
        if path is not None and readable:
            data = Path(path).read_bytes()
            if kind := _shown_kind(path, data, decoding):
                return kind, data
        return PNG, as_png(pictures.pixels(row))
    except Unreadable as error:
        raise Missing(f"the image {error}") from error
    except OSError as error:
        raise Missing(f"{path} cannot be read: {error.strerror or error}.") from error


def as_png(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, 3) RGB, as a PNG that is quickly written rather than small."""
    _, data = cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def _shown_kind(path: str, data: bytes, decoding: Decoding) -> str | None:
    """The type of a file that a browser shows as the scan reads it; None of any other.

    Transparent pictures are laid on white, deep ones scaled, of moving ones the first frame is taken.
    """
    if decoding.scale.get(BYTES, Scale()) != Scale():
        return None
    try:
        with open_header(path) as image:
            kind = _SHOWN.get(image.format or "")
            plain = image.mode in _MODES and not image.has_transparency_data and not _is_deep(image)
            # Browsers turn JPEGs as their EXIF data says, some of them other files, too.
            still = kind == "image/jpeg" or not (getattr(image, "is_animated", False) or _may_be_turned(data))
            return kind if plain and still else None
    except Exception:  # told in words where it is decoded
        return None


def _may_be_turned(data: bytes) -> bool:
    """Whether a file may say how it is to be turned: to ask Pillow would decode it."""
    return any(mark in data for mark in (b"eXIf", b"EXIF", b"Orientation", b"Raw profile type"))


def _is_deep(image: Image.Image) -> bool:
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
