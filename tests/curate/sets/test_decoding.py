from __future__ import annotations

import io
import os
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from curate.sets.decoding import decode, decode_small
from curate.sets.imageset import Unreadable
from curate.sets.reading import read
from curate.sets.scaling import BYTES, Decoding, Scale


def decoded(folder: Path, image: Image.Image, name: str, **options: object):
    image.save(folder / name, **options)
    return read(folder).images[0]


GRADIENT = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "LA", "RGBA", "YCbCr", "I;16", "I", "F", "PA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(GRADIENT)
    image = Image.fromarray(GRADIENT.astype("f4")) if mode == "F" else image.convert(mode)
    name = {"CMYK": "a.tif", "YCbCr": "a.jpg", "F": "a.tif", "I": "a.tif", "PA": "a.png"}.get(mode, "a.png")
    if mode == "PA":
        image = Image.fromarray(np.dstack([GRADIENT] * 3)).quantize()
        image.info["transparency"] = 0
    picture = decoded(tmp_path, image, name)
    assert picture.pixels.shape == (8, 8, 3)
    assert picture.pixels.dtype == np.uint8
    if mode not in ("1", "PA"):
        np.testing.assert_allclose(picture.pixels[..., 1], GRADIENT, atol=3)


@pytest.mark.parametrize(("high", "shift"), [(65535, 8), (4095, 4), (1023, 2), (16383, 6), (255, 0)])
def test_sixteen_bit_files_are_scaled_by_their_own_bits(tmp_path, high, shift):
    values = np.linspace(0, high, 64).astype(np.uint16).reshape(8, 8)
    picture = decoded(tmp_path, Image.fromarray(values), "a.png")
    np.testing.assert_array_equal(picture.raw, values)
    np.testing.assert_allclose(picture.pixels[..., 0], values >> shift, atol=1)
    assert picture.pixels.max() == 255


def test_the_same_pixels_have_the_same_raw_in_every_format(tmp_path):
    palette = Image.fromarray(np.dstack([GRADIENT] * 3)).quantize(64)
    palette.save(tmp_path / "1.gif")
    palette.save(tmp_path / "2.png")
    palette.convert("RGB").save(tmp_path / "3.bmp")
    palette.convert("RGB").save(tmp_path / "4.webp", lossless=True)
    palette.convert("L").save(tmp_path / "5.tif")
    palette.convert("RGBA").save(tmp_path / "6.png")
    images = read(tmp_path).images
    kinds = [images[row].file_type for row in range(6)]
    assert kinds == ["GIF", "PNG", "BMP", "WEBP", "TIFF", "PNG"]
    for row in range(1, 6):
        np.testing.assert_array_equal(images[row].raw, images[0].raw)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_pictures_are_turned_upright(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.dstack([GRADIENT[:6]] * 3))
    picture = decoded(tmp_path, image, name, exif=exif)
    expected = (
        image.transpose(
            {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]  # type: ignore[arg-type]
        )
        if orientation > 1
        else image
    )
    np.testing.assert_allclose(picture.pixels, np.asarray(expected), atol=12 if name == "a.jpg" else 0)


def test_the_first_frame_stands_for_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), (0, 0, 0)), Image.new("RGB", (4, 4), (255, 255, 255))]
    assert decoded(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:]).pixels.max() == 0


def test_transparent_files_are_laid_on_white(tmp_path):
    assert (decoded(tmp_path, Image.new("RGBA", (1, 1), (0, 0, 0, 0)), "a.png").pixels == 255).all()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"^is empty \(0 bytes\)$"),
        (b"not found\n", "^is no image but text$"),
        (b"<!DOCTYPE html><p>404", "is no image but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"%PDF-1.4", "is no image but a PDF"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (bytes(range(200, 256)), "is no image that Pillow knows"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (png(Image.effect_noise((64, 64), 90))[:2000], "^is cut short"),
        (png(Image.new("L", (9, 9))).replace(b"IDAT", b"IDAX"), "^is "),
    ],
)
def test_broken_files_stay_in_the_set_and_say_what_they_are(tmp_path, content, reason, files):
    (tmp_path / "a.jpg").write_bytes(content)
    files(tmp_path, "b.png")
    images = read(tmp_path)
    assert images.ids == ("a.jpg", "b.png")
    with pytest.raises(Unreadable, match=reason):
        images.images[0]
    assert images.images[1].pixels.shape == (5, 6, 3)


def test_no_bytes_crash_the_decoder(tmp_path):
    rng = random.Random(0)
    for i, (name, options) in enumerate(
        [
            ("PNG", {}),
            ("JPEG", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("GIF", {}),
            ("WEBP", {}),
            ("BMP", {}),
        ]
        * 12
    ):
        buffer = io.BytesIO()
        Image.effect_noise((20, 20), 80).convert("RGB").save(buffer, name, **options)
        content = bytearray(buffer.getvalue())
        for _ in range(rng.randrange(1, 8)):
            content[rng.randrange(min(len(content), 400))] = rng.randrange(256)
        (tmp_path / f"{i:03}.jpg").write_bytes(content[: rng.randrange(30, len(content)) if i % 2 else None])
    images = read(tmp_path).images
    outcomes = []
    for row in range(len(images)):
        try:
            outcomes.append(images[row].pixels.shape[2] == 3)
        except Unreadable:
            outcomes.append(False)
    assert 0 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize("limit", [20, 12])
def test_decompression_bombs_are_unreadable(tmp_path, monkeypatch, limit, files):
    files(tmp_path, "a.png")
    images = read(tmp_path).images
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(Unreadable, match=f"more than the {limit} pixels that are decoded; scale it down"):
        images[0]


def test_a_pipe_and_a_folder_of_an_images_name_do_not_hang(tmp_path, files):
    files(tmp_path, "a.png", "folder.png/b.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert read(tmp_path).ids == ("a.png", "folder.png/b.png")
    (tmp_path / "l.txt").write_text("a.png\npipe.png\n")
    with pytest.raises(Unreadable, match="is not a file"):
        read(tmp_path / "l.txt").images[1]


def test_threads_decode_what_one_decodes(tmp_path, files):
    images = read(files(tmp_path, *[f"{i:02}.png" for i in range(40)])).images
    with ThreadPoolExecutor(4) as pool:
        assert [p.pixels[0, 0, 0] for p in pool.map(images.__getitem__, range(40))] == list(range(40))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.gif", {}),
        ("a.tif", {}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.jpg", {"format": "MPO"}),
        ("a.avif", {}),
    ],
)
def test_further_frames_of_a_file_are_counted(tmp_path, name, options):
    frames = [Image.fromarray(np.roll(np.dstack([GRADIENT] * 3), shift, axis=1)) for shift in range(4)]
    try:
        picture = decoded(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    except (OSError, KeyError):
        pytest.skip(f"Pillow writes no {name} here")
    assert picture.frames == 4
    (tmp_path / "single").mkdir()
    assert decoded(tmp_path / "single", frames[0], name).frames == 1


def deep_colours(values: np.ndarray, path: Path) -> None:
    """A PNG or TIFF of uint16 (H, W, 3) RGB."""
    assert cv2.imwrite(str(path), values[..., ::-1])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_of_sixteen_bits_are_read_whole_and_not_by_their_upper_half(tmp_path, name):
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    deep_colours(values, tmp_path / name)
    images = read(tmp_path)
    np.testing.assert_array_equal(images.images[0].raw, values)
    np.testing.assert_allclose(images.images[0].pixels, values / 4095 * 255, atol=0.51)
    assert images.images.values == "16-bit files read as 12 bit (0 to 4,095)"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colours_of_sixteen_bits_are_turned_upright(tmp_path, orientation):
    shallow, deep = np.dstack([GRADIENT[:6]] * 3), np.dstack([GRADIENT[:6].astype(np.uint16) * 257] * 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(shallow).save(tmp_path / "a.png", exif=exif)
    deep_colours(deep, tmp_path / "b.png")
    plain = (tmp_path / "b.png").read_bytes()
    chunk = b"eXIf" + exif.tobytes()[6:]
    inserted = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "b.png").write_bytes(plain[:33] + inserted + plain[33:])
    images = read(tmp_path).images
    np.testing.assert_array_equal(images[1].pixels, images[0].pixels)


def test_the_most_pixels_of_a_picture_may_be_raised_and_lowered(tmp_path, monkeypatch, files):
    files(tmp_path, "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow itself raises at twice as much
    with pytest.raises(Unreadable, match=r"more than the 10 pixels .*--max-pixels"):
        read(tmp_path).images[0]
    assert read(tmp_path, decoding=Decoding(max_pixels=30)).images[0].pixels.shape == (5, 6, 3)
    with pytest.raises(Unreadable, match="has 30 pixels, more than the 29 pixels that are decoded"):
        read(tmp_path, decoding=Decoding(max_pixels=29)).images[0]


def test_a_range_that_is_asked_for_counts_for_files_of_eight_bits_and_leaves_their_digests(tmp_path):
    mask = (GRADIENT > 100).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "a.png")
    picture = read(tmp_path, decoding=Decoding(value_range=(0, 1))).images[0]
    np.testing.assert_array_equal(picture.pixels[..., 0], mask * 255)
    np.testing.assert_array_equal(picture.raw[..., 0], mask)


def test_a_damaged_deep_file_does_not_keep_the_others_from_their_scale(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
    for name in ("a.png", "b.png"):
        Image.fromarray(values).save(tmp_path / name)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    images = read(tmp_path).images
    assert "12 bit" in images.values
    with pytest.raises(Unreadable, match="is cut short"):
        images[0]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "I;16", "I;16B", "I", "F"])
def test_of_what_depth_a_tiff_is_stands_in_its_directory(tmp_path, mode):
    image = Image.fromarray(GRADIENT)
    if mode == "F":
        image = Image.fromarray(GRADIENT.astype("f4"))
    elif mode.startswith("I;16"):
        image = Image.fromarray(GRADIENT.astype(">u2" if mode == "I;16B" else "<u2"))
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif")
    assert read(tmp_path).images.values.startswith("8 bit") == (mode in ("1", "L", "RGB", "CMYK"))


def test_alpha_of_sixteen_bits_does_not_decide_the_depth_of_colours(tmp_path):
    colours = np.random.default_rng(0).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    alpha = np.full((20, 30, 1), 65535, np.uint16)
    alpha[0, 0] = 0
    assert cv2.imwrite(str(tmp_path / "a.png"), np.dstack([colours[..., ::-1], alpha]))
    images = read(tmp_path).images
    assert images.values == "16-bit files read as 12 bit (0 to 4,095)"
    np.testing.assert_allclose(images[0].pixels[1:], colours[1:] / 4095 * 255, atol=0.51)
    assert (images[0].pixels[0, 0] == 255).all()
    np.savez(tmp_path / "d.npz", images=np.dstack([colours, alpha])[None])
    np.testing.assert_array_equal(read(tmp_path / "d.npz").images[0].pixels, images[0].pixels)


def test_a_large_jpeg_is_decoded_small_and_upright_and_any_other_file_whole(tmp_path):
    ramp = np.repeat(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], 400, axis=0).repeat(3, axis=2)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(ramp).save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    small = decode_small(tmp_path / "a.jpg", 90)
    assert small.shape == (200, 100, 3)
    whole = cv2.resize(decode(tmp_path / "a.jpg").pixels, (100, 200), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - whole).max() <= 3
    assert decode_small(tmp_path / "a.png", 90).shape == (400, 800, 3)
    assert decode_small(tmp_path / "a.jpg", 300).shape == (800, 400, 3)
    lighter = decode_small(tmp_path / "a.jpg", 90, Decoding({BYTES: Scale(0, 510)}))
    assert np.abs(lighter * 2.0 - small).max() <= 2


def test_what_cannot_be_decoded_cannot_be_decoded_small(tmp_path):
    Image.new("RGB", (400, 400)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(Unreadable, match="cut short"):
        decode_small(tmp_path / "a.jpg", 50)
    Image.new("RGB", (400, 400)).save(tmp_path / "b.jpg")
    with pytest.raises(Unreadable, match="more than the 100 pixels"):
        decode_small(tmp_path / "b.jpg", 50, Decoding(max_pixels=100))
