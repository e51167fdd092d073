import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.resizing import bands, by_bands, matrix

sides = st.integers(1, 70)
SIZES = [(32, 40), (17, 33), (7, 5), (24, 24), (9, 50), (48, 11)]


def drawn(height: int = 24, width: int = 20, count: int = 3) -> np.ndarray:
    return np.random.default_rng([height, width]).uniform(0, 255, (count, height, width, 3)).astype(np.float32)


def test_two_pixels_become_four_with_the_edges_as_they_were():
    np.testing.assert_allclose(matrix(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])


def test_four_pixels_become_two_by_averaging_under_a_triangle():
    # Centres at 0.5 and 2.5, triangles that end 2 away: 3/4, 3/4, 1/4 and what lies outside is left out.
    np.testing.assert_allclose(matrix(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7, rtol=1e-6)


@given(sides, sides)
def test_each_pixel_is_made_of_shares_that_sum_to_one_the_same_from_both_ends(before, after):
    whole = matrix(before, after)
    assert whole.shape == (after, before)
    assert (whole >= 0).all()
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(whole, whole[::-1, ::-1], atol=1e-6)


@given(sides)
def test_a_line_of_the_same_length_stays_as_it_is(side):
    np.testing.assert_array_equal(matrix(side, side), np.eye(side))


@given(sides, sides, st.integers(1, 3))
def test_the_bands_are_the_whole_matrix_for_each_channel(before, after, channels):
    whole = np.kron(matrix(before, after), np.eye(channels))
    row = 0
    for start, stop, weights in bands(before, after, channels):
        held = whole[row : row + len(weights)]
        np.testing.assert_array_equal(held[:, start:stop], weights)
        assert not held[:, :start].any()
        assert not held[:, stop:].any()
        row += len(weights)
    assert row == after * channels


@pytest.mark.parametrize("size", SIZES)
def test_bands_make_what_the_whole_matrices_make(size):
    expected = np.einsum("ih,nhwc,jw->nijc", matrix(24, size[0]), drawn(), matrix(20, size[1]))
    found = by_bands(drawn(), size, np)
    assert found.dtype == np.float32
    assert found.shape == (3, *size, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_enlarged_it_is_what_opencv_interpolates():
    found = by_bands(drawn(), (40, 33), np)
    for picture, made in zip(drawn(), found, strict=True):
        expected = cv2.resize(picture, (33, 40), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=2e-3)


def test_shrunk_it_keeps_the_mean_of_fine_grain():
    stripes = np.zeros((1, 64, 64, 3), np.float32)
    stripes[:, :, ::2] = 255
    found = by_bands(stripes, (16, 16), np)
    np.testing.assert_allclose(found[:, :, 1:-1], 127.5, rtol=1e-5)


def test_no_pictures_are_resized_to_none():
    assert by_bands(drawn(count=0), (40, 33), np).shape == (0, 40, 33, 3)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_not_changed(size):
    pictures = drawn()
    pictures.flags.writeable = False
    by_bands(pictures, size, np)
    np.testing.assert_array_equal(pictures, drawn())
