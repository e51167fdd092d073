import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from augment.operations import light
from augment.operations.operation import OPERATIONS

GREY = np.full((40, 60, 3), 128, np.uint8)
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)


def apart(one, other):
    """The largest difference of two pictures, in grey levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.9, 1.1, 1.4, 3])
@pytest.mark.parametrize(
    ("ours", "pillows"),
    [(light.enhance_brightness, ImageEnhance.Brightness), (light.enhance_contrast, ImageEnhance.Contrast)],
)
def test_brightness_and_contrast_are_those_of_pillow(ours, pillows, factor, cell):
    assert apart(ours(cell, factor), np.asarray(pillows(Image.fromarray(cell)).enhance(factor))) <= 1


def test_full_autocontrast_is_that_of_pillow(cell):
    dim = (cell // 2 + 40).astype(np.uint8)
    assert apart(light.autocontrast(dim, 1), np.asarray(ImageOps.autocontrast(Image.fromarray(dim)))) <= 1


def test_full_equalize_is_that_of_pillow(cell):
    for image in (cell, light.contrast(cell, 0.2), RAMP, GREY):
        assert (light.equalize(image, 1) == np.asarray(ImageOps.equalize(Image.fromarray(image)))).all()


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.75])
def test_solarize_is_that_of_pillow(amount, cell):
    theirs = ImageOps.solarize(Image.fromarray(cell), threshold=int(np.floor(255 * (1 - amount))) + 1)
    assert (light.solarize(cell, amount) == np.asarray(theirs)).all()


def test_what_is_added_to_the_value_keeps_hue_and_saturation():
    image = np.full((8, 8, 3), (100, 50, 25), np.uint8)
    assert apart(light.brightness(image, 0.2)[0, 0], np.array([151, 75.5, 37.75])) <= 1
    assert (light.brightness(np.zeros_like(image), 0.2) == 51).all()
    assert light.brightness(image, 1)[0, 0, 0] == 255
    assert not light.brightness(image, -1).any()


def test_contrast_turns_about_the_mean_of_each_channel():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:5], image[5:] = (100, 20, 200), (140, 40, 200)
    weak = light.contrast(image, 0.5)
    assert weak[0, 0].tolist() == [110, 25, 200]
    assert weak[9, 0].tolist() == [130, 35, 200]
    assert light.contrast(image, 2)[0, 0].tolist() == [80, 10, 200]


def test_gamma_is_a_power_of_the_light():
    image = np.full((8, 8, 3), 64, np.uint8)
    assert (light.gamma(image, 2) == round(255 * (64 / 255) ** 2)).all()
    assert (light.gamma(image, 0.5) == round(255 * (64 / 255) ** 0.5)).all()


def test_posterize_leaves_that_many_levels_black_and_white_among_them():
    for levels in (2, 5, 16):
        left = np.unique(light.posterize(RAMP, levels))
        assert len(left) == levels
        assert (left[0], left[-1]) == (0, 255)


def test_a_vignette_has_its_gain_in_the_corners_and_none_in_the_middle():
    made = light.vignette(np.full((41, 61, 3), 200, np.uint8), 0.4)
    assert made[20, 30, 0] == 200
    assert {made[y, x, 0] for y in (0, -1) for x in (0, -1)} == {120}
    assert (np.diff(made[20, 30:, 0].astype(int)) <= 0).all()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("angle", [0, 35, 90, -120, 180])
def test_uneven_light_stays_within_its_amount_and_its_even_slope_reaches_it(angle, seed):
    gain = light.illumination(GREY, 0.3, angle, seed).astype(float) / 128
    assert gain.min() >= 0.7 - 0.005
    assert gain.max() <= 1.3 + 0.005
    if np.random.default_rng(seed).random() < 0.5:  # the slope
        assert gain.mean() == pytest.approx(1, abs=0.01)
        assert (gain.min(), gain.max()) == pytest.approx((0.7, 1.3), abs=0.01)


def test_light_falls_from_where_the_angle_points():
    seeds = range(20)
    right = np.mean([light.illumination(GREY, 0.3, 0, seed) for seed in seeds], axis=0)
    down = np.mean([light.illumination(GREY, 0.3, 90, seed) for seed in seeds], axis=0)
    assert right[:, 40:].mean() > right[:, :20].mean() + 10
    assert down[30:].mean() > down[:10].mean() + 10


@pytest.mark.parametrize("seed", range(10))
def test_a_tone_curve_rises_everywhere_from_black_to_white(seed):
    made = light.tone_curve(RAMP, 1, seed)[0].astype(int)
    assert (np.diff(made, axis=0) >= 0).all()
    assert (made[0] == 0).all()
    assert (made[-1] == 255).all()


def test_tone_curves_differ_by_seed_and_bend_more_by_amount():
    strays = [[apart(light.tone_curve(RAMP, amount, seed), RAMP) for amount in (0.2, 0.5, 1)] for seed in range(5)]
    assert (np.diff(strays, axis=1) > 0).all()
    assert len({light.tone_curve(RAMP, 0.5, seed).tobytes() for seed in range(5)}) == 5


def test_clahe_raises_what_local_contrast_there_is(cell):
    flat = light.contrast(cell, 0.2)
    spread = [light.clahe(flat, amount).std() for amount in (0, 0.5, 1)]
    assert spread[0] < spread[1] < spread[2]


def test_a_picture_of_one_colour_has_no_contrast_to_stretch():
    assert (light.autocontrast(GREY, 1) == GREY).all()
    assert (light.enhance_contrast(GREY, 3) == GREY).all()


def test_a_faded_picture_keeps_its_share_and_takes_one_colour():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    faded = OPERATIONS["fade"](image, amount=1, seed=3)
    assert len(np.unique(faded.reshape(-1, 3), axis=0)) == 1
    half = OPERATIONS["fade"](image, amount=0.5, seed=3)
    assert np.abs(half.astype(int) - (image.astype(int) + faded) / 2).max() <= 1
