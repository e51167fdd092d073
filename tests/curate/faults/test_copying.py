import cv2
import numpy as np
import pytest

from curate.faults.copying import AFFINE, BORDERS, CROPS, NEAR
from curate.faults.pixels import affine


def photograph(height=96, width=96, seed=0):
    """uint8 (height, width, 3): soft blobs of all kinds of grey and colour, neither dark nor light."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 200, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


EVERY = [(table, name) for table in (NEAR, AFFINE, CROPS) for name in table]


@pytest.mark.parametrize(("table", "name"), EVERY, ids=[name for _, name in EVERY])
@pytest.mark.parametrize("shape", [(96, 96), (9, 9), (20, 31)], ids=str)
def test_a_copy_has_the_size_of_its_original_and_is_another_picture(table, name, shape):
    image = photograph(*shape)
    image.flags.writeable = False
    copy = table[name](image, np.random.default_rng(0))
    assert copy.shape == image.shape
    assert copy.dtype == np.uint8
    assert copy.flags.c_contiguous
    assert not np.array_equal(copy, image)
    assert np.array_equal(copy, table[name](image, np.random.default_rng(0)))


@pytest.mark.parametrize("name", AFFINE)
def test_an_affine_copy_leaves_corners_of_the_border_that_it_is_named_for(name):
    image = np.full((64, 64, 3), 120, np.uint8)
    way, border = name.split("_")
    assert border in BORDERS
    copy = AFFINE[name](image, np.random.default_rng(3))
    value = {"black": 0, "white": 235}.get(border)
    if value is None:
        assert np.ptp(copy) <= 1
    else:
        corners = copy[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
        assert (np.abs(corners - value) <= 20).all(axis=1).any(), way


def test_an_affine_copy_is_mirrored_where_it_says_so_and_nowhere_else():
    image = photograph()
    for name in AFFINE:
        copy = AFFINE[name](image, np.random.default_rng(1))
        likeness = [best_likeness(copy, picture) for picture in (image, image[:, ::-1])]
        assert (likeness[1] > likeness[0]) == name.startswith("mirrored"), name


def best_likeness(a, b):
    """The best correlation of a with b turned by any angle, in the middle of both."""
    best = -1.0
    for degrees in range(-40, 41, 2):
        turned = affine(b, np.asarray(cv2.getRotationMatrix2D((47.5, 47.5), degrees, 1)))
        best = max(best, float(np.corrcoef(a[24:72, 24:72].ravel(), turned[24:72, 24:72].ravel())[0, 1]))
    return best


@pytest.mark.parametrize(("name", "low", "high"), [("half", 0.5, 0.75), ("third", 1 / 3, 0.5)])
def test_a_crop_shows_so_much_of_the_area(name, low, high):
    across = np.repeat(np.arange(201, dtype=np.uint8)[None, :, None], 201, axis=0).repeat(3, axis=2)
    for seed in range(8):
        copy = CROPS[name](across, np.random.default_rng(seed)).astype(float)
        side = np.ptp(copy[100, :, 0]) / 200
        assert low - 0.02 <= side**2 <= high + 0.02
