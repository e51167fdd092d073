from pathlib import Path

import numpy as np
import pytest

from augment.sizing import LARGEST, FittedPictures, common_size
from curate.sets.arrays import ArrayPictures
from curate.sets.fitting import Fit, fit_to_size
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable
from curate.stage.errors import DataError


def noise(height, width):
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


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
    assert np.array_equal(some[1], fit_to_size(noise(20, 30), (16, 12), Fit("pad")))
    assert len(list(some)) == 2


def test_a_picture_that_cannot_be_read_says_so_when_it_is_asked_for():
    images = set_of(Album([noise(20, 30), None]))
    with pytest.raises(DataError, match=r"^1 of set 1\.png is empty .* take the clean set"):
        FittedPictures(images, (16, 12), "crop")[1]
