from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from curate.sets.portable import Portability, portability


def picture(mode: str = "RGB") -> Image.Image:
    """Sixteen by twelve pixels, no two columns alike."""
    columns = np.arange(16, dtype=np.uint8) * 15
    pixels = np.stack([np.tile(columns, (12, 1)), np.full((12, 16), 90), np.tile(columns[::-1], (12, 1))], axis=2)
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def file(image: Image.Image, kind: str, **how: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **how)
    return data.getvalue()


def turned(by: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = by
    return exif


@pytest.mark.parametrize(
    ("data", "name", "suffix"),
    [
        (file(picture(), "JPEG"), "a.jpg", ".jpg"),
        (file(picture(), "JPEG"), "a.JPEG", ".JPEG"),
        (file(picture(), "JPEG", progressive=True), "a.jpg", ".jpg"),
        (file(picture("L"), "JPEG"), "a.jpg", ".jpg"),
        (file(picture(), "JPEG"), "a.png", ".jpg"),
        (file(picture(), "JPEG"), "a.jfif", ".jpg"),
        (file(picture(), "JPEG"), "a", ".jpg"),
        (file(picture(), "JPEG", exif=turned(1)), "a.jpg", ".jpg"),
        (file(picture(), "JPEG") + b"\0\0\n", "a.jpg", ".jpg"),
        (file(picture(), "PNG"), "a.PNG", ".PNG"),
        (file(picture("L"), "PNG"), "a.png", ".png"),
        (file(picture(), "PNG"), "a.jpg", ".png"),
    ],
)
def test_plain_files_keep_their_bytes_and_are_called_by_their_kind(data, name, suffix):
    assert portability(data, name) == Portability(suffix)


@pytest.mark.parametrize(
    ("data", "hurdle"),
    [
        (file(picture(), "TIFF"), "TIFF"),
        (file(picture(), "WEBP"), "WEBP"),
        (file(picture(), "BMP"), "BMP"),
        (file(picture(), "GIF"), "GIF"),
        (file(picture("CMYK"), "JPEG"), "CMYK JPEG"),
        (file(picture(), "JPEG", exif=turned()), "JPEG turned by EXIF"),
        (file(picture(), "JPEG", exif=turned(2)), "JPEG turned by EXIF"),
        (file(picture(), "JPEG")[:-2], "JPEG without an end"),
        (file(picture(), "PNG", exif=turned()), "PNG turned by EXIF"),
        (file(picture("RGBA"), "PNG"), "transparent PNG"),
        (file(picture("LA"), "PNG"), "transparent PNG"),
        (file(picture(), "PNG", transparency=(0, 90, 225)), "transparent PNG"),
        (file(picture("P"), "PNG"), "PNG with a palette"),
        (file(picture("1"), "PNG"), "1-bit PNG"),
        (file(picture("L").convert("I;16"), "PNG"), "16-bit PNG"),
        (file(picture(), "PNG", save_all=True, append_images=[picture("L")]), "animated PNG"),
    ],
)
def test_what_others_would_show_differently_is_to_be_converted(data, hurdle):
    assert portability(data, "a.jpg") == Portability("", hurdle)


def test_damaged_exif_data_turns_nothing():
    data = file(picture(), "JPEG", exif=turned()).replace(b"Exif\0\0MM", b"Exif\0\0XX")
    assert portability(data, "a.jpg") == Portability(".jpg")


def test_what_pillow_does_not_open_by_itself_is_to_be_converted():
    assert portability(b"GIF89a, more or less", "a.gif") == Portability("", "file out of the ordinary")
