import cv2
import numpy as np
import pytest

from augment.operations import noise
from augment.operations.noise import gaussian_noise, impulse_noise, normals, shot_noise, speckle_noise
from augment.operations.operation import OPERATIONS

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == noise.__name__]


def even(grey, side=160):
    return np.full((side, side, 3), grey, np.uint8)


@pytest.mark.parametrize("size", [(96, 96), (28, 28), (70, 41), (8, 13)])
@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_a_picture_of_the_same_shape_comes_back_and_the_given_one_stays(of, size, cell, at_magnitude, checked_result):
    image = cv2.resize(cell, size)
    made = checked_result(of, image, 0.7)
    assert (at_magnitude(of, image, 0.7, seed=1) != made).any()
    # The most that 5000 photons leave to chance.
    assert np.abs(at_magnitude(of, image, 0).astype(float) - image).max() <= 16


@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_a_grey_picture_of_any_size_can_be_given(of, at_magnitude):
    grey = np.repeat(np.arange(0, 250, 5, np.uint8)[:, None, None], 3, 2).repeat(9, 1)
    assert at_magnitude(of, grey, 1).shape == (50, 9, 3)


def test_normal_numbers_are_normal_and_as_many_as_asked_for():
    drawn = normals(np.random.default_rng(0), (300, 400))
    assert drawn.dtype == np.float32
    assert drawn.shape == (300, 400)
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    assert (drawn < -1.959964).mean() == pytest.approx(0.025, abs=0.002)


@pytest.mark.parametrize("sd", [0.04, 0.08, 0.15])
def test_gaussian_noise_on_grey_has_the_spread_that_was_asked_for(sd):
    made = gaussian_noise(even(128), sd, seed=3).astype(float)
    assert made.std() == pytest.approx(255 * sd, rel=0.01)
    assert made.mean() == pytest.approx(128, abs=0.5)


def test_gaussian_noise_differs_from_channel_to_channel_and_pixel_to_pixel():
    made = gaussian_noise(even(128), 0.1, seed=3).astype(float)
    assert abs(np.corrcoef(made.reshape(-1, 3).T)[0, 1]) < 0.05
    assert abs(np.corrcoef(made[:, 1:].ravel(), made[:, :-1].ravel())[0, 1]) < 0.05


def test_more_gaussian_noise_is_the_same_pattern_and_stronger():
    weak, strong = (gaussian_noise(even(128), sd, seed=3).astype(float) - 128 for sd in (0.05, 0.1))
    assert np.abs(strong - 2 * weak).max() <= 1.5


@pytest.mark.parametrize("photons", [3, 12, 60, 500])
@pytest.mark.parametrize("grey", [20, 90, 128])
def test_shot_noise_keeps_the_mean_and_has_the_variance_of_light(photons, grey):
    made = shot_noise(even(grey), photons, seed=3).astype(float)
    beyond = made == 255  # where more was counted than there is room for
    assert beyond.mean() < 0.2
    if not beyond.any():
        assert made.mean() == pytest.approx(grey, rel=0.02, abs=0.3)
        assert made.var() == pytest.approx(grey * 255 / photons, rel=0.04, abs=0.3)


def test_shot_noise_counts_whole_photons():
    # Zero is a photon less than one, and a third of white is one of three.
    assert set(np.unique(shot_noise(even(85), 3, seed=3))) == {0, 85, 170, 255}


@pytest.mark.parametrize("mean", [0.02, 0.5, 1, 3.9, 4, 6, 20, 200])
def test_photons_are_counted_as_poisson_has_it(mean):
    from scipy.stats import poisson

    chance = np.arange(9, 65536, 3).astype(np.uint16)
    counted = noise._poisson(np.full(chance.shape, mean, np.float32), chance)
    expected = poisson.ppf((chance + 0.5) / 65536, mean)
    assert np.abs(counted - expected).max() <= 1
    assert (counted != expected).mean() < (0.02 if mean >= 4 else 0.001)


def test_black_has_no_shot_noise():
    assert not shot_noise(even(0), 5, seed=3).any()


@pytest.mark.parametrize("amount", [0, 0.03, 0.27])
def test_impulse_noise_strikes_its_share_of_the_values_half_of_them_white(amount):
    made = impulse_noise(even(128), amount, seed=3)
    assert set(np.unique(made)) <= {0, 128, 255}
    assert (made == 0).mean() == pytest.approx(amount / 2, abs=0.005)
    assert (made == 255).mean() == pytest.approx(amount / 2, abs=0.005)


def test_more_impulse_noise_strikes_the_same_values_and_more():
    few, many = (impulse_noise(even(128), amount, seed=3) for amount in (0.05, 0.2))
    assert (many[few != 128] == few[few != 128]).all()


@pytest.mark.parametrize("grey", [40, 120])
def test_speckle_noise_is_in_proportion_to_the_light(grey):
    made = speckle_noise(even(grey), 0.2, seed=3).astype(float)
    assert made.mean() == pytest.approx(grey, abs=0.5)
    assert made.std() == pytest.approx(0.2 * grey, rel=0.02)
