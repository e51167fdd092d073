from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from curate.sets.imageset import Unreadable
from curate.sets.jpegs import Handed, damage, layout_of
from curate.sets.reading import read


def picture(kind="noise", height=80, width=96):
    """uint8 (height, width, 3): noise, one colour, or noise above a flat lower half of mid-grey, white or black."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind != "noise":
        pixels[height // 2 if kind != "flat" else 0 :] = {"grey": 128, "white": 255, "black": 0, "flat": 128}[kind]
    return pixels


def smooth(height=80, width=96):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(pixels, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def told(data):
    """What is told of a file, "" for a whole one."""
    handed = Handed(data)
    with Image.open(handed) as image:
        image.load()
        return damage(handed, image)


OPTIONS = [
    {},
    {"quality": 5},
    {"quality": 98, "subsampling": 0},
    {"optimize": True},
    {"progressive": True},
    {"restart_marker_blocks": 3},
    {"mode": "L"},
    {"mode": "CMYK"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["noise", "grey", "white", "black", "flat"])
def test_whole_files_are_whole_also_where_they_are_flat_at_their_end(kind, options):
    assert told(encoded(picture(kind), **options)) == ""
    assert told(encoded(picture(kind, 3, 5), **options)) == ""


@pytest.mark.parametrize("tail", [b"\0" * 99, b"\xff\xd8\xff\xe0 another picture", b"\xff" * 40])
def test_what_stands_behind_the_end_of_a_file_is_no_damage(tail):
    assert told(encoded(smooth()) + tail) == ""


def test_fill_bytes_before_the_end_marker_are_no_damage():
    data = encoded(smooth())
    assert told(data[:-2] + b"\xff" * 40 + data[-2:]) == ""


@pytest.mark.parametrize("options", [{}, {"quality": 95, "subsampling": 0}, {"mode": "L"}], ids=str)
@pytest.mark.parametrize("filling", [b"", b"\0" * 20])
def test_a_file_that_lost_its_lower_half_and_kept_its_end_is_damaged(options, filling):
    data = encoded(smooth(), **options)
    start = layout_of(data).scans[0].start
    cut = start + (len(data) - start) * 55 // 100
    assert told(data[:cut] + filling + b"\xff\xd9").startswith("is damaged: bytes of it are lost, its lower ")


def test_a_file_whose_bytes_changed_is_damaged_where_their_number_of_bits_did():
    damaged = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data = bytearray(encoded(smooth(120, 120), quality=95))
        start = layout_of(bytes(data)).scans[0].start
        for place in rng.integers(start, len(data) - 40, 30):
            data[place] ^= 0x55
        try:
            damaged += told(bytes(data)) != ""
        except OSError:
            damaged += 1
    assert damaged >= 18


def test_a_progressive_file_without_its_last_scans_is_damaged():
    data = encoded(smooth(), progressive=True)
    scans = layout_of(data).scans
    cut = scans[len(scans) // 2].start + 10
    assert told(data[:cut] + b"\xff\xd9") == "is damaged: the last of its scans are lost, and all is coarse"


def test_a_set_tells_of_damaged_files_as_unreadable_and_reads_the_others_as_pillow_does(tmp_path):
    whole = encoded(smooth())
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) * 3 // 5] + b"\xff\xd9")
    (tmp_path / "b.jpg").write_bytes(whole)
    images = read(tmp_path)
    with pytest.raises(Unreadable, match="is damaged: bytes of it are lost"):
        images.images[0]
    np.testing.assert_array_equal(images.images[1].pixels, np.asarray(Image.open(tmp_path / "b.jpg")))
