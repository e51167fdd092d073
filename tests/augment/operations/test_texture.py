import numpy as np
import pytest

from augment.operations import texture
from augment.operations.operation import OPERATIONS

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == texture.__name__]
GREY = np.full((96, 120, 3), 128, np.uint8)


def apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("of", [of for of in OURS if of.seeded], ids=lambda of: of.name)
def test_another_seed_gives_another_picture_and_a_larger_amount_a_farther_one(of, cell, at_magnitude):
    assert apart(at_magnitude(of, cell, 0.7, seed=1), at_magnitude(of, cell, 0.7, seed=2)) > 0
    strays = [np.abs(at_magnitude(of, cell, magnitude, 3).astype(float) - cell).mean() for magnitude in (0.3, 0.6, 0.9)]
    assert strays[0] < strays[1] < strays[2]


def test_pooled_noise_is_normal_the_same_again_and_as_much_as_asked_for():
    noise = texture.pooled_noise((300, 400), np.random.default_rng(1))
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=0.02)
    assert (noise == texture.pooled_noise((300, 400), np.random.default_rng(1))).all()
    assert not np.allclose(noise, texture.pooled_noise((300, 400), np.random.default_rng(2)))
    assert texture.pooled_noise((1100, 1200, 3), np.random.default_rng(0)).shape == (1100, 1200, 3)
    with pytest.raises(ValueError, match="read-only"):
        noise[0, 0] = 1


def test_fine_grain_has_the_spread_that_was_asked_for_and_no_colour():
    made = texture.grain(GREY, 0.1, 1, 0).astype(float)
    assert made.std() == pytest.approx(25.5, rel=0.05)
    assert (made[..., 0] == made[..., 2]).all()


def test_coarse_grain_is_alike_from_pixel_to_pixel():
    def alike(size):
        field = texture.grain(GREY, 0.1, size, 0)[..., 0].astype(float)
        return np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]

    assert abs(alike(1)) < 0.05
    assert alike(1.5) > 0.2
    assert alike(4) > 0.8


def test_a_random_filter_leaves_even_areas_and_changes_edges(cell):
    for seed in range(6):
        assert apart(texture.random_filter(GREY, 1, seed), GREY) <= 1
        assert apart(texture.random_filter(cell, 1, seed), cell) > 20


@pytest.mark.parametrize("seed", range(10))
def test_a_cloud_stays_within_its_amount_and_is_smooth(seed):
    field = texture.cloud(GREY, 0.3, seed).astype(float) - 128
    assert np.abs(field).max() <= 0.3 * 128 + 1
    assert np.abs(field).max() >= 0.4 * 0.3 * 127 - 1
    assert np.abs(np.diff(field, axis=0)).max() < 12


def test_bands_run_along_rows_or_along_columns():
    kinds = set()
    for seed in range(10):
        made = texture.banding(GREY, 0.1, seed).astype(float)
        rows, columns = (np.ptp(made, axis=axis).max() == 0 for axis in (1, 0))
        assert rows != columns
        kinds.add(rows)
        assert made.std() == pytest.approx(12.8, rel=0.3)
    assert kinds == {True, False}


@pytest.mark.parametrize(
    ("photons", "read", "level"), [(400, 0, 64), (400, 0, 160), (1e6, 0.05, 128), (100, 0.03, 100)]
)
def test_a_sensor_has_the_variance_of_light_and_of_reading_out(photons, read, level):
    made = texture.sensor_noise(np.full((200, 200, 3), level, np.uint8), photons, read, 0) / 255
    expected = level / 255 / photons + read**2 + (1 / 255) ** 2 / 12  # and of rounding
    assert made.var() == pytest.approx(expected, rel=0.03)
    assert made.mean() == pytest.approx(level / 255, abs=0.002)


def test_resampled_to_half_what_is_finer_is_gone_and_what_is_coarser_stays():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    fine = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    assert apart(texture.resample(fine, 0.5), np.full_like(fine, 128)) <= 1
    ramp = np.repeat(np.arange(0, 192, 3, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    assert apart(texture.resample(ramp, 0.5)[8:-8, 8:-8], ramp[8:-8, 8:-8]) <= 2
    assert (texture.resample(fine, 1) == fine).all()


def test_the_spectrum_changes_in_size_alone_and_the_mean_colour_stays():
    image = (128 + 12 * np.random.default_rng(0).standard_normal((64, 80, 3))).astype(np.uint8)  # nothing is cut off
    made = texture.spectrum(image, 0.3, 1)
    before, after = (np.fft.rfft2(picture.astype(float), axes=(0, 1)) for picture in (image, made))
    assert after[0, 0].real == pytest.approx(before[0, 0].real, rel=0.002)
    strong = np.abs(before) > np.median(np.abs(before))
    turned = np.angle(after / before)[strong]
    assert np.abs(turned).mean() < 0.05
    assert np.abs(np.log(np.abs(after / before)[strong])).mean() > 0.05


def test_a_median_takes_specks_away_and_leaves_areas_as_they_are():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    specked = image.copy()
    specked[10, 5] = 255
    assert (OPERATIONS["median"](specked, size=3) == image).all()
    assert (OPERATIONS["median"](specked, size=5.3)[:, [0, 5, 10, 30, 39]] == image[:, [0, 5, 10, 30, 39]]).all(
        axis=2
    ).mean() > 0.9
