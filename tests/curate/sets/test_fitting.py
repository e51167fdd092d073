import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.configs import FITS
from curate.selftesting import WHOLE
from curate.sets.fitting import Fit, fit_to_size
from train.sets import MIDDLE

sides = st.integers(8, 120)


def noise(height, width):
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


def ramp(height, width):
    """Red from left to right, green from top to bottom."""
    red, green = np.linspace(0, 255, width), np.linspace(0, 255, height)
    return np.rint(np.stack(np.broadcast_arrays(red[None], green[:, None], 0), axis=2)).astype(np.uint8)


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_size_is_the_very_picture(fit):
    picture = noise(20, 30)
    assert fit_to_size(picture, (30, 20), Fit(fit)) is picture


@given(height=sides, width=sides, size=st.tuples(sides, sides), fit=st.sampled_from(FITS))
def test_every_picture_comes_out_at_the_size_and_the_given_one_stays_as_it_is(height, width, size, fit):
    picture = noise(height, width)
    before = picture.copy()
    made = fit_to_size(picture, size, Fit(fit))
    assert made.shape == (size[1], size[0], 3)
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (2, 900)])
@pytest.mark.parametrize("fit", FITS)
def test_strips_and_dots_come_out_at_the_size_too(height, width, fit):
    assert fit_to_size(noise(height, width), (32, 24), Fit(fit)).shape == (24, 32, 3)


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_padding_shows_all_of_the_picture_in_its_aspect(height, width, size):
    made = fit_to_size(ramp(height, width), size, Fit("pad")).astype(int)
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
    made = fit_to_size(picture, (20, 20), Fit("pad"))
    assert np.array_equal(made[5:15], picture)
    assert np.array_equal(made[4], picture[0])
    assert np.array_equal(made[15], picture[-1])


def test_cropping_keeps_the_middle_and_cuts_both_ends_alike():
    picture = noise(20, 40)
    assert np.array_equal(fit_to_size(picture, (20, 20), Fit("crop")), picture[:, 10:30])
    upright = picture.transpose(1, 0, 2).copy()
    assert np.array_equal(fit_to_size(upright, (20, 20), Fit("crop")), picture[:, 10:30].swapaxes(0, 1))


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_cropping_keeps_the_aspect(height, width, size):
    made = fit_to_size(ramp(height, width), size, Fit("crop")).astype(float)
    scale = max(size[0] / width, size[1] / height)
    middle = made[size[1] // 4 : size[1] - size[1] // 4, size[0] // 4 : size[0] - size[0] // 4]
    # From the middle of a pixel to the middle of another; where one of many becomes few, to one or two next to it.
    for grey, full in ((middle[0, :, 0], width), (middle[:, 0, 1], height)):
        expected = 255 / (full - 1) / scale * (len(grey) - 1)
        assert np.ptp(grey) == pytest.approx(expected, abs=2 * 255 / (full - 1) * max(1, 1 / scale) + 2)


def test_stretching_fills_the_frame_with_all_of_the_picture():
    made = fit_to_size(ramp(20, 60), (30, 30), Fit("stretch")).astype(int)
    assert made[:, 0, 0].max() <= 8
    assert made[:, -1, 0].min() >= 247


# As images from elsewhere come to the size of a build


def test_the_middle_of_a_picture_is_cut_out():
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 16:48] = np.arange(32, dtype=np.uint8)[:, None, None]
    assert (fit_to_size(picture, (32, 32), MIDDLE) == picture[:, 16:48]).all()
    assert (fit_to_size(picture.transpose(1, 0, 2), (32, 32), MIDDLE) == picture[:, 16:48].transpose(1, 0, 2)).all()


def test_a_picture_of_the_right_size_is_handed_on_as_it_is():
    picture = np.zeros((24, 32, 3), np.uint8)
    assert fit_to_size(picture, (32, 24), MIDDLE) is picture


def test_shrinking_averages_and_growing_interpolates():
    chess = np.indices((32, 32)).sum(axis=0)[..., None] % 2 * np.full(3, 200)
    assert (fit_to_size(chess.astype(np.uint8), (16, 16), MIDDLE) == 100).all()
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    grown = fit_to_size(ramp, (32, 32), MIDDLE)
    assert len(np.unique(grown)) > len(np.unique(ramp))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (33, 32), (7, 5)])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_any_shape_can_be_fitted(shape, size):
    plain = np.full((*shape, 3), 9, np.uint8)
    assert fit_to_size(plain, size[::-1], MIDDLE).tolist() == np.full((*size, 3), 9).tolist()


def resized(pixels, size):
    shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_it_is_cut_before_it_is_resized_pixel_by_pixel(height, width, size):
    picture = noise(height, width)
    wide, high = min(width, round(height * size[0] / size[1])), min(height, round(width * size[1] / size[0]))
    top, left = (height - high) // 2, (width - wide) // 2
    by_hand = resized(picture[top : top + high, left : left + wide], size)
    assert np.array_equal(fit_to_size(picture, size, MIDDLE), by_hand)


# As images of several sizes come to one, to plant faults in


@given(height=sides, width=sides, size=st.tuples(sides, sides))
def test_it_is_shown_in_whole_and_its_edges_go_on(height, width, size):
    picture = noise(height, width)
    scale = min(size[0] / width, size[1] / height)
    inner = round(width * scale), round(height * scale)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    beside = ((top, size[1] - inner[1] - top), (left, size[0] - inner[0] - left), (0, 0))
    by_hand = np.pad(picture if inner == (width, height) else resized(picture, inner), beside, mode="edge")
    assert np.array_equal(fit_to_size(picture, size, WHOLE), by_hand)
