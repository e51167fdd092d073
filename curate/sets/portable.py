"""Which image files other tools show as they are shown here: upright JPEG and PNG of 8-bit RGB or grey."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

from PIL import ExifTags, Image

# By the kind of a file, the extensions that readers know it by.
_EXTENSIONS = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",)}
_DEPTH, _COLOUR = 24, 25  # bytes of a PNG
_END = b"\xff\xd9"  # of a JPEG


@dataclass(frozen=True)
class Portability:
    """Whether the bytes of an image file may be handed on as they are.

    suffix   the extension that its copy is to have, "" where it is to be converted
    hurdle   what other tools would stumble over: "TIFF", "CMYK JPEG", "PNG turned by EXIF"; "" if nothing
    """

    suffix: str
    hurdle: str = ""


def portability(data: bytes, name: str) -> Portability:
    """Whether any reader of JPEG and PNG shows a file as Pillow does, turned upright and on white.

    data  the file, which is decoded elsewhere;  name  of it, whose extension stays where it is that of its kind
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = "JPEG" if image.format == "MPO" else image.format or ""
            hurdle = _hurdle(image, data, kind) if kind in _EXTENSIONS else kind
    except Exception:  # beyond Pillow's limits, as another reader's may be narrower
        return Portability("", "file out of the ordinary")
    if hurdle:
        return Portability("", hurdle)
    suffix = os.path.splitext(name)[1]  # noqa: PTH122
    return Portability(suffix if suffix.lower() in _EXTENSIONS[kind] else _EXTENSIONS[kind][0])


def _hurdle(image: Image.Image, data: bytes, kind: str) -> str:
    """What is not plain about a JPEG or a PNG."""
    if kind == "PNG" and data[_DEPTH] != 8:
        return f"{data[_DEPTH]}-bit PNG"
    if kind == "PNG" and getattr(image, "is_animated", False):
        return "animated PNG"
    if image.has_transparency_data:
        return "transparent PNG"
    if kind == "PNG" and data[_COLOUR] not in (0, 2):  # grey, RGB
        return "PNG with a palette"
    if image.mode not in ("L", "RGB"):
        return f"{image.mode} {kind}"
    if kind == "JPEG" and not data.rstrip(b"\0\r\n ").endswith(_END):
        return "JPEG without an end"
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # damaged EXIF data turns nothing
        turned = False
    return f"{kind} turned by EXIF" if turned else ""
