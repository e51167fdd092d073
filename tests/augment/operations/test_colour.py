import colorsys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from augment.operations import colour
from augment.operations.operation import OPERATIONS

UNITS = {"sd_l": 4.0, "sd_a": 3.0, "sd_b": 5.0}


def solid(*rgb):
    return np.full((12, 16, 3), rgb, np.uint8)


def apart(one, other):
    """The largest difference of two pictures, in grey levels."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


def mean_lab(image):
    return np.array(cv2.mean(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))[:3])


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.9, 1.1, 2, 5])
@pytest.mark.parametrize(
    ("ours", "pillows"), [(colour.colourfulness, ImageEnhance.Color), (colour.sharpness, ImageEnhance.Sharpness)]
)
def test_colourfulness_and_sharpness_are_those_of_pillow(ours, pillows, factor, cell):
    # Pillow rounds the grey, or smooth, picture before it takes the difference `factor` times.
    assert apart(ours(cell, factor), np.asarray(pillows(Image.fromarray(cell)).enhance(factor))) <= 1 + factor


@pytest.mark.parametrize(("degrees", "turned"), [(120, (10, 200, 60)), (-120, (60, 10, 200)), (360, (200, 60, 10))])
def test_hue_turns_red_to_green_to_blue(degrees, turned):
    assert apart(colour.hue(solid(200, 60, 10), degrees)[0, 0], turned) <= 2


def test_a_full_turn_of_hue_changes_nothing_and_grey_has_none(cell):
    assert apart(colour.hue(cell, 360), cell) <= 2
    assert apart(colour.hue(colour.hue(cell, 77), -77), cell) <= 2
    assert (colour.hue(solid(90, 90, 90), 50) == 90).all()


@pytest.mark.parametrize(("factor", "add"), [(0.3, 0), (2, 0), (1.5, 0.1), (20, 0.2)])
def test_saturation_is_that_of_hsv(factor, add):
    hue, saturation, value = colorsys.rgb_to_hsv(180 / 255, 120 / 255, 150 / 255)
    expected = np.array(colorsys.hsv_to_rgb(hue, min(1, saturation * factor + add), value)) * 255
    assert apart(colour.saturate(solid(180, 120, 150), factor, add)[0, 0], expected) <= 1


def test_white_balance_lifts_the_channel_that_the_angle_names_and_keeps_the_sum():
    for channel, angle in enumerate((0, 120, 240)):
        made = colour.white_balance(solid(100, 100, 100), 0.2, angle)[0, 0].tolist()
        assert made[channel] == 120
        assert sorted(made) == [90, 90, 120]


def test_mixed_channels_leave_grey_grey_and_change_all_else(cell):
    for seed in range(5):
        assert apart(colour.colour_matrix(solid(77, 77, 77), 0.5, seed), 77) <= 1
        assert apart(colour.colour_matrix(cell, 0.3, seed), cell) > 10


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, -7, 0), (0, 0, 9), (-5, 4, -6)])
def test_a_stain_shift_moves_the_mean_in_cielab_by_as_much(shift, cell):
    mid = (60 + cell * 0.5).astype(np.uint8)  # far from black and white, where colours are cut off
    moved = mean_lab(colour.stain_shift(mid, *shift, spread=1, amount=1)) - mean_lab(mid)
    assert moved == pytest.approx(shift, abs=0.4)
    twice = mean_lab(colour.stain_shift(mid, *shift, spread=1, amount=2)) - mean_lab(mid)
    assert twice == pytest.approx(np.multiply(2, shift), abs=0.8)


def test_a_wider_stain_keeps_the_mean_and_spreads_about_it(cell):
    mid = (60 + cell * 0.4).astype(np.uint8)
    wide = colour.stain_shift(mid, 0, 0, 0, spread=1.3, amount=1)
    assert mean_lab(wide) == pytest.approx(mean_lab(mid), abs=0.5)
    assert wide.std() == pytest.approx(1.3 * mid.std(), rel=0.05)


def test_stain_shifts_are_drawn_in_spreads_of_the_set():
    drawn = OPERATIONS["stain_shift"].draw({"l": (1, 1), "b": (-2, -2)}, np.random.default_rng(0), UNITS)
    assert (drawn["l"], drawn["a"], drawn["b"]) == (4, 0, -10)


def test_each_dye_of_hed_is_scaled_and_added_to_by_itself():
    dyes = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
    amount, seed, densities = 0.4, 3, np.array([0.5, 0.3, 0.1])
    scale, more = np.random.default_rng(seed).uniform(-1, 1, (2, 3))
    expected = densities * (1 + amount * scale) + amount / 4 * more
    image = np.rint(255.5 * np.exp(-densities @ dyes) - 0.5)
    made = colour.hed_shift(solid(*image), amount, seed)[0, 0]
    found = np.linalg.solve(dyes.T, -np.log((made + 0.5) / 255.5))
    assert found == pytest.approx(expected, abs=0.03)


def test_fringes_are_red_one_way_and_blue_the_other(cell):
    made = colour.chromatic_shift(cell, 3, 0)
    assert (made[:, 3:, 0] == cell[:, :-3, 0]).all()
    assert (made[..., 1] == cell[..., 1]).all()
    assert (made[:, :-3, 2] == cell[:, 3:, 2]).all()
    down = colour.chromatic_shift(cell, 2, 90)
    assert (down[2:, :, 0] == cell[:-2, :, 0]).all()


def test_values_are_rounded_and_cut_off_and_never_wrap():
    made = colour.as_pixels(np.array([[-300.0, -0.4, 0.6, 254.6, 999.0]], np.float32))
    assert made.tolist() == [[0, 0, 1, 255, 255]]
