from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.configs import FITS
from augment.sizing import LARGEST, FittedPictures, common_size, fitted
from curate.sets.arrays import ArrayPictures
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable
from curate.stage.errors import DataError

sides = st.integers(8, 120)


def noise(height, width):
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


def ramp(height, width):
    """Red from left to right, green from top to bottom."""
    red, green = np.linspace(0, 255, width), np.linspace(0, 255, height)
    return np.rint(np.stack(np.broadcast_arrays(red[None], green[:, None], 0), axis=2)).astype(np.uint8)


class Album:
    """Pictures of a folder; None cannot be read."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        if self.pictures[row] is None:
            raise Unreadable(f"{row}.png is empty (0 bytes)")
        return Picture(self.pictures[row], self.pictures[row], "PNG")


def set_of(pictures):
    n = len(pictures)
    return ImageSet(pictures, np.zeros(n, int), tuple(map(str, range(n))), ("a",), Source("files", Path("set")))


# One picture


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_size_is_the_very_picture(fit):
    picture = noise(20, 30)
    assert fitted(picture, (30, 20), fit) is picture


@given(height=sides, width=sides, size=st.tuples(sides, sides), fit=st.sampled_from(FITS))
def test_every_picture_comes_out_at_the_size_and_the_given_one_stays_as_it_is(height, width, size, fit):
    picture = noise(height, width)
    before = picture.copy()
    made = fitted(picture, size, fit)
    assert made.shape == (size[1], size[0], 3)
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (2, 900)])
@pytest.mark.parametrize("fit", FITS)
def test_strips_and_dots_come_out_at_the_size_too(height, width, fit):
    assert fitted(noise(height, width), (32, 24), fit).shape == (24, 32, 3)


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_padding_shows_all_of_the_picture_in_its_aspect(height, width, size):
    made = fitted(ramp(height, width), size, "pad").astype(int)
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    shown = made[top : top + inner[1], left : left + inner[0]]
    # The ends of both ramps are there, but for what a pixel of the smaller picture covers.
    for channel, (full, now) in enumerate(((width, inner[0]), (height, inner[1]))):
        step = 255 / max(1, min(full, now) - 1) + 2
        assert shown[..., channel].min() <= step
        assert shown[..., channel].max() >= 255 - step


def test_padding_continues_the_picture_as_in_a_mirror():
    picture = noise(10, 20)
    made = fitted(picture, (20, 20), "pad")
    assert np.array_equal(made[5:15], picture)
    assert np.array_equal(made[4], picture[0])
    assert np.array_equal(made[15], picture[-1])


def test_cropping_keeps_the_middle_and_cuts_both_ends_alike():
    picture = noise(20, 40)
    assert np.array_equal(fitted(picture, (20, 20), "crop"), picture[:, 10:30])
    assert np.array_equal(fitted(picture.transpose(1, 0, 2).copy(), (20, 20), "crop"), picture[:, 10:30].swapaxes(0, 1))


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_cropping_keeps_the_aspect(height, width, size):
    made = fitted(ramp(height, width), size, "crop").astype(float)
    scale = max(size[0] / width, size[1] / height)
    middle = made[size[1] // 4 : size[1] - size[1] // 4, size[0] // 4 : size[0] - size[0] // 4]
    # From the middle of a pixel to the middle of another; where one of many becomes few, to one or two next to it.
    for grey, full in ((middle[0, :, 0], width), (middle[:, 0, 1], height)):
        expected = 255 / (full - 1) / scale * (len(grey) - 1)
        assert np.ptp(grey) == pytest.approx(expected, abs=2 * 255 / (full - 1) * max(1, 1 / scale) + 2)


def test_stretching_fills_the_frame_with_all_of_the_picture():
    made = fitted(ramp(20, 60), (30, 30), "stretch").astype(int)
    assert made[:, 0, 0].max() <= 8
    assert made[:, -1, 0].min() >= 247


# A set


def test_pictures_of_one_size_keep_it():
    pictures = ArrayPictures([np.zeros((3, 20, 30, 3), np.uint8), np.zeros((2, 20, 30, 3), np.uint8)])
    assert common_size(set_of(pictures)) == ((30, 20), "")


def test_large_pictures_are_built_smaller_and_that_is_told():
    pictures = ArrayPictures([np.zeros((1, 2 * LARGEST, 3 * LARGEST, 3), np.uint8)])
    size, note = common_size(set_of(pictures))
    assert size == (3 * LARGEST // 2, LARGEST)
    assert note == "pictures of 768x512 are built at 384x256; --size sets another"


def test_pictures_of_several_sizes_are_brought_to_their_median_and_that_is_told():
    pictures = Album([noise(20, 30), noise(40, 50), noise(24, 90), None])
    size, note = common_size(set_of(pictures))
    assert size == (50, 24)
    assert note == "pictures differ in size and are brought to 50x24, their median; --size sets another"


def test_tiny_pictures_are_built_as_small_as_operations_take():
    assert common_size(set_of(Album([noise(4, 30)])))[0] == (30, 8)


def test_fitted_pictures_are_those_of_some_rows_or_of_all():
    images = set_of(Album([noise(20, 30), noise(40, 50), noise(24, 90)]))
    every = FittedPictures(images, (16, 12), "crop")
    assert len(every) == 3
    assert [picture.shape for picture in every] == [(12, 16, 3)] * 3
    some = FittedPictures(images, (16, 12), "pad", np.array([2, 0]))
    assert len(some) == 2
    assert np.array_equal(some[1], fitted(noise(20, 30), (16, 12), "pad"))
    assert len(list(some)) == 2


def test_a_picture_that_cannot_be_read_says_so_when_it_is_asked_for():
    images = set_of(Album([noise(20, 30), None]))
    with pytest.raises(DataError, match=r"^1 of set 1\.png is empty .* take the clean set"):
        FittedPictures(images, (16, 12), "crop")[1]
