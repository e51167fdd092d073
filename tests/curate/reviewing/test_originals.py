from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from curate.reviewing.originals import as_png, original
from curate.reviewing.pictures import Missing
from curate.sets.decoding import decode
from curate.sets.scaling import BYTES, Decoding, Scale

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


class Shelf:
    """One file, at any row."""

    def __init__(self, path, own=True):
        self.path, self.own = path, own

    def file(self, row):
        return str(self.path) if self.own else None

    def pixels(self, row, side=None):
        return decode(self.path).pixels


def saved(path, image, **options):
    image.save(path, **options)
    return path


def answer(path, decoding=Decoding(), readable=True):
    return original(Shelf(path), 0, decoding, readable)


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [("a.jpg", "image/jpeg", "RGB"), ("a.jpg", "image/jpeg", "L"), ("a.png", "image/png", "RGB"),
     ("a.png", "image/png", "L"), ("a.png", "image/png", "P"), ("a.png", "image/png", "1"), ("a.gif", "image/gif", "P"),
     ("a.webp", "image/webp", "RGB"), ("a.bin", "image/jpeg", "RGB")],
)  # fmt: skip
def test_a_file_that_browsers_show_is_handed_on_as_it_is(tmp_path, name, kind, mode):
    path = saved(
        tmp_path / name, Image.fromarray(PIXELS).convert(mode), **({"format": "JPEG"} if "bin" in name else {})
    )
    assert answer(path) == (kind, path.read_bytes())


def turned(image):
    image.getexif()[274] = 6
    return image


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("a.tif", Image.fromarray(PIXELS), {}),
        ("a.bmp", Image.fromarray(PIXELS), {}),
        ("a.jpg", Image.fromarray(PIXELS).convert("CMYK"), {}),
        ("a.png", Image.fromarray(PIXELS).convert("RGBA"), {}),
        ("a.png", Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200), {}),
        ("a.png", turned(Image.fromarray(PIXELS)), {"exif": turned(Image.new("L", (1, 1))).getexif()}),
        ("a.gif", Image.fromarray(PIXELS), {"save_all": True, "append_images": [Image.new("RGB", (30, 20))]}),
    ],
    ids=["tiff", "bmp", "cmyk", "transparent", "deep", "turned png", "moving"],
)
def test_any_other_is_shown_as_the_scan_reads_it(tmp_path, name, image, options):
    path = saved(tmp_path / name, image, **options)
    kind, data = answer(path)
    assert kind == "image/png"
    assert (np.asarray(Image.open(io.BytesIO(data))) == decode(path).pixels).all()


def test_colours_of_sixteen_bits_are_shown_by_their_scale(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS.astype(np.uint16) * 16)
    data = answer(tmp_path / "a.png")[1]
    assert (np.asarray(Image.open(io.BytesIO(data))) == decode(tmp_path / "a.png").pixels).all()


def test_a_turned_jpeg_is_left_to_the_browser_which_turns_it(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(PIXELS), exif=turned(Image.new("L", (1, 1))).getexif())
    assert answer(path) == ("image/jpeg", path.read_bytes())


def test_with_a_range_that_was_asked_for_it_is_shown_in_that_range(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(PIXELS))
    assert answer(path, Decoding({BYTES: Scale()})) == ("image/png", path.read_bytes())
    assert answer(path, Decoding({BYTES: Scale(0, 100)}))[1] != path.read_bytes()


def test_a_row_of_an_array_is_a_png(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(PIXELS))
    kind, data = original(Shelf(path, own=False), 0, Decoding(), True)
    assert (np.asarray(Image.open(io.BytesIO(data))) == PIXELS).all()
    assert kind == "image/png"


def test_what_the_scan_could_not_decode_is_not_handed_on_but_told(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(PIXELS))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(Missing, match=r"^the image is cut short"):
        answer(path, readable=False)


def test_a_page_that_calls_itself_an_image_is_never_handed_on(tmp_path):
    (tmp_path / "a.jpg").write_text("<html><script>alert(1)</script>")
    with pytest.raises(Missing, match="is no image but a web page"):
        answer(tmp_path / "a.jpg")


def test_pngs_hold_the_pixels():
    assert (np.asarray(Image.open(io.BytesIO(as_png(PIXELS)))) == PIXELS).all()
