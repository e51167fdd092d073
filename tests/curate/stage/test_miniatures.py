import cv2
import numpy as np
import pytest

from curate.stage.miniatures import TINY, small_picture


@pytest.mark.parametrize(
    ("shape", "side", "size"), [((40, 60), 96, (60, 40)), ((300, 100), 96, (32, 96)), ((1, 500), 96, (96, 1))]
)
def test_a_small_picture_is_a_jpeg_of_the_size_it_tells_and_no_larger_than_asked_for(shape, side, size):
    small = small_picture(np.full((*shape, 3), (200, 30, 90), np.uint8), side)
    assert (small.width, small.height, small.channels) == (*size, 3)
    coded = cv2.imdecode(np.frombuffer(small.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert coded.shape == (small.height, small.width, 3)
    assert np.abs(coded.astype(int) - (200, 30, 90)).max() < 12


def test_a_grey_picture_has_one_channel():
    grey = np.repeat(np.arange(200, dtype=np.uint8).reshape(10, 20, 1), 3, axis=2)
    assert small_picture(grey, 50).channels == 1


def test_of_a_tiny_picture_the_pixels_are_to_be_seen():
    assert small_picture(np.zeros((TINY, 9, 3), np.uint8), 96).tiny
    assert not small_picture(np.zeros((TINY + 1, 9, 3), np.uint8), 96).tiny
