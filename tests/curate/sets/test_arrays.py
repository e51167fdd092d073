from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from curate.sets.imageset import Unreadable
from curate.sets.reading import read

LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_the_same_images_in_every_layout_give_the_same_pixels(tmp_path, pets, saved, pixels):
    grey = pets[..., :1]
    opaque = np.concatenate([pets, np.full_like(grey, 255)], axis=3)
    for images, expected, describe in [
        (pets, pets, "10x8 RGB"),
        (pets.transpose(0, 3, 1, 2), pets, "10x8 RGB"),
        (opaque, pets, "10x8 RGBA"),
        (grey, np.repeat(grey, 3, axis=3), "10x8 grey"),
        (grey[..., 0], np.repeat(grey, 3, axis=3), "10x8 grey"),
        (grey.transpose(0, 3, 1, 2), np.repeat(grey, 3, axis=3), "10x8 grey"),
    ]:
        found = read(saved(tmp_path, images=images, labels=LABELS))
        np.testing.assert_array_equal(pixels(found), expected)
        assert found.describe == describe


@pytest.mark.parametrize(
    ("convert", "note"),
    [
        (lambda x: x / 255.0, "values from 0 to 1 are read as 0 to 255"),
        (lambda x: (x / 255.0).astype(np.float16), "values from 0 to 1 are read as 0 to 255"),
        (lambda x: (x / 127.5 - 1).astype(np.float32), "values from -1 to 1 are read as 0 to 255"),
        (lambda x: x.astype(np.float64), None),
        (lambda x: x.astype(np.int64), None),
        (lambda x: x.astype(np.uint16) * 257, "values are read as 16 bit, 0 to 65,535"),
        (lambda x: np.rint(x * (4095 / 255)).astype(">u2"), "values are read as 12 bit, 0 to 4,095"),
        (
            lambda x: x.astype(np.float32) / 50 - 2,
            "values look normalised by a mean and deviation, as they lie on even levels, which was undone "
            "(--value-range settles it)",
        ),
    ],
)
def test_every_range_of_values_comes_back_as_the_same_eight_bits(tmp_path, pets, convert, note, saved, pixels):
    pets[0, 0, 0], pets[1, 0, 0] = 0, 255
    images = read(saved(tmp_path, images=convert(pets), labels=LABELS))
    np.testing.assert_allclose(pixels(images), pets, atol=1 if pets.dtype.itemsize else 0)
    assert images.source.notes == ((note,) if note else ())


def test_the_scale_is_that_of_the_set_and_not_of_each_picture(tmp_path, pets, saved):
    dark = pets.astype(np.float32) / 255
    dark[0] *= 0.001
    assert read(saved(tmp_path, images=dark, labels=LABELS)).images[0].pixels.max() == 0


def test_lanczos_overshoot_is_cut_off(tmp_path, saved, pixels):
    images = read(saved(tmp_path, images=np.linspace(-0.06, 1.05, 64, dtype=np.float32).reshape(1, 8, 8)))
    assert pixels(images).min() == 0
    assert pixels(images).max() == 255


def test_partly_transparent_rows_are_laid_on_white_and_unused_alpha_is_dropped(tmp_path, saved, pixels):
    images = np.full((3, 4, 4, 4), 100, np.uint8)
    images[0, :, :2, 3], images[0, :, 2:, 3] = 0, 255
    images[1, ..., 3] = 0
    images[2, ..., 3] = 51
    first, second, third = pixels(read(saved(tmp_path, images=images)))
    assert first[0, 0, 0] == 255
    assert first[0, 3, 0] == 100
    assert (second == 100).all()
    assert (third == 224).all()


def test_a_picture_with_nan_is_unreadable_and_the_others_are_not(tmp_path, pets, saved):
    images = pets / 255.0
    images[2, :3, 0, 1] = np.nan
    images[2, 0, 0, :] = np.inf
    images[4, 0, 0, 0] = -np.inf
    found = read(saved(tmp_path, images=images, labels=LABELS))
    with pytest.raises(Unreadable, match=r"^contains 3 pixels that are not numbers \(NaN or infinite\)$"):
        found.images[2]
    with pytest.raises(Unreadable, match="contains 1 pixel that is not a number"):
        found.images[4]
    np.testing.assert_array_equal(found.images[1].pixels, pets[1])


def test_nothing_but_nan_still_reads(tmp_path, saved):
    found = read(saved(tmp_path, images=np.full((2, 4, 5), np.nan)))
    with pytest.raises(Unreadable, match="20 pixels"):
        found.images[1]


def test_rows_count_from_the_end_and_end_where_the_set_does(tmp_path, pets, saved):
    images = read(saved(tmp_path, images=pets)).images
    np.testing.assert_array_equal(images[-1].pixels, pets[5])
    with pytest.raises(IndexError):
        images[6]


def test_many_threads_read_what_one_reads(tmp_path, pets):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, images=np.repeat(pets, 50, axis=0) / 255)
    images = read(path).images
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(
            np.stack([p.pixels for p in pool.map(images.__getitem__, range(300))]),
            np.repeat(pets, 50, axis=0),
        )


def test_the_arrays_cannot_be_written_to(tmp_path, pets, saved):
    picture = read(saved(tmp_path, images=pets)).images[0]
    with pytest.raises(ValueError, match="read-only"):
        picture.raw[0] = 0
