import cv2
import numpy as np
import pytest

from augment.operations import weather
from augment.operations.operation import OPERATIONS
from augment.operations.weather import fog, frost, plasma, snow, spatter

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == weather.__name__]
SNOW = {"sd": 0.3, "flake": 2, "threshold": 0.8, "radius": 6, "sigma": 4, "angle": -90}
SPATTER = {"sd": 0.13, "sigma": 1.7, "threshold": 0.68, "intensity": 0.6}


def even(grey, height=96, width=96):
    return np.full((height, width, 3), grey, np.uint8)


def neutral(of, seed):
    return {name: parameter.neutral for name, parameter in of.parameters.items()} | {"seed": seed}


@pytest.mark.parametrize("size", [(96, 96), (28, 28), (70, 41), (8, 13), (40, 700)])
@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_a_picture_of_the_same_shape_comes_back_and_the_given_one_stays(of, size, cell, at_magnitude, checked_result):
    image = cv2.resize(cell, size)
    checked_result(of, image, 0.9)
    assert np.abs(at_magnitude(of, image, 0).astype(float) - image).mean() < 0.5


@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_another_seed_is_other_weather(of, cell, at_magnitude):
    made = [at_magnitude(of, cell, 0.9, seed) for seed in range(3)]
    assert (made[0] != made[1]).mean() > 0.05
    assert (made[1] != made[2]).mean() > 0.05


def test_without_ice_or_fog_nothing_changes(cell):
    assert (frost(cell, 1, 0, seed=3) == cell).all()
    assert (fog(cell, 0, 2, seed=3) == cell).all()


def test_more_snow_falls_where_there_was_snow_before():
    few, many = (snow(even(60), mean=mean, mix=1, seed=3, **SNOW) for mean in (0.3, 0.5))
    assert (few > 60).any()
    assert (many >= few).all()
    assert (many > 60).mean() > 2 * (few > 60).mean()


def test_snow_falls_along_its_angle():
    def smooth(image, axis):
        return np.abs(np.diff(image[:, :, 0].astype(float), axis=axis)).mean()

    down, aside = (snow(even(60), mean=0.2, mix=1, seed=3, **SNOW | {"angle": angle}) for angle in (-90, 0))
    assert smooth(down, 0) < 0.6 * smooth(down, 1)
    assert smooth(aside, 1) < 0.6 * smooth(aside, 0)


def test_snow_whitens_the_rest_by_what_the_mix_leaves_of_it():
    # Without flakes: mix * x + (1 - mix) * (1.5 x + 0.5).
    without = snow(even(60), mean=-3, mix=0.6, seed=3, **SNOW)
    assert np.abs(without.astype(float) - (0.6 * 60 + 0.4 * (1.5 * 60 + 127.5))).max() <= 1


def test_snow_is_the_same_upside_down():
    made = snow(even(60), mean=0.3, mix=1, seed=3, **SNOW).astype(int)
    assert np.abs(made - made[::-1, ::-1]).max() <= 1


def test_frost_is_a_share_of_the_picture_and_a_share_of_ice(cell):
    # On black, twice the amount is twice the ice.
    once, twice = (frost(even(0), 1, amount, seed=3).astype(float) for amount in (0.3, 0.6))
    assert np.abs(twice - 2 * once).max() <= 1.5
    kept = frost(cell, 0.4, 0.3, seed=3).astype(float) - 0.4 * cell
    assert np.abs(kept - once).max() <= 1.5


def test_every_pane_is_frozen_neither_blank_nor_white():
    for number in range(weather._PANES):
        pane = weather._pane(number)
        grey = cv2.cvtColor(pane, cv2.COLOR_RGB2GRAY)
        assert 120 < grey.mean() < 200
        assert grey.std() > 35
        assert (pane[:, :, 2].astype(int) >= pane[:, :, 0]).all()  # bluish
        # Fine needles: neighbours differ far more than in a cloud of the same spread.
        assert np.abs(np.diff(grey.astype(float), axis=0)).mean() > 4
        # Ferns all over it: no quarter without.
        assert min(quarter.std() for half in np.split(grey, 2) for quarter in np.split(half, 2, axis=1)) > 20


def test_panes_differ_and_all_are_taken():
    pieces = [frost(even(0, 48, 48), 1, 1, seed=seed) for seed in range(40)]
    assert len({piece.tobytes() for piece in pieces}) == 40
    drawn = {int(np.random.default_rng(seed).integers(weather._PANES)) for seed in range(40)}
    assert drawn == set(range(weather._PANES))


def test_the_same_piece_of_ice_lies_on_a_smaller_picture():
    large, small = frost(even(0, 192, 192), 1, 0.8, seed=3), frost(even(0, 48, 48), 1, 0.8, seed=3)
    shrunk = cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shrunk - small).mean() < 2


@pytest.mark.parametrize("side", [8, 64, 96, 224])
def test_a_plasma_runs_from_nought_to_one_and_has_the_next_power_of_two(side):
    clouds = plasma(side, 2.0, np.random.default_rng(3))
    assert clouds.shape == (1 << (side - 1).bit_length(),) * 2
    assert clouds.min() == 0
    assert clouds.max() == 1


def test_a_plasma_is_periodic_and_finer_the_less_it_decays():
    def rough(clouds, axis=0):
        return np.abs(np.diff(clouds, axis=axis)).mean()

    fields = [plasma(128, decay, np.random.default_rng(3)) for decay in (3, 2, 1.4)]
    assert rough(fields[0]) < rough(fields[1]) < rough(fields[2])
    for axis in (0, 1):
        seam = np.abs(fields[1].take(0, axis) - fields[1].take(-1, axis)).mean()
        assert seam < 2 * rough(fields[1], axis)


def test_fog_takes_contrast_away_and_keeps_the_lightest_value(cell):
    spreads = [fog(cell, amount, 3, seed=3).std() for amount in (0, 0.5, 1, 2)]
    assert spreads[1] < spreads[0]
    image = even(0)
    image[::2] = 200
    # x * max / (max + amount) where the plasma is nought, max where it is one.
    share = (200 / 255) / (200 / 255 + 1.5)
    made = fog(image, 1.5, 2, seed=3)
    assert made.max() <= 200
    assert made[::2].min() >= 200 * share - 1
    assert np.abs((made[::2].astype(float) - made[1::2]).mean() - 200 * share) < 3


@pytest.mark.parametrize("mud", [0, 1])
def test_more_of_a_splash_covers_what_less_of_it_covered(mud):
    few, many = (spatter(even(120), loc=loc, mud=mud, seed=3, **SPATTER) != 120 for loc in (0.64, 0.67))
    assert few.any()
    assert few.mean() < many.mean() < 0.9
    assert many[few].mean() > 0.97


def test_mud_is_brown_and_dark_and_water_is_light_and_pale():
    dry = even(120)
    mud, water = (spatter(dry, loc=0.67, mud=mud, seed=3, **SPATTER).astype(int) - 120 for mud in (1, 0))
    struck = mud.any(axis=2)
    assert (mud[struck] < 0).all()
    assert np.abs(mud.reshape(-1, 3).min(axis=0) + 120 - (63, 42, 20)).max() <= 1
    assert water.min() == 0
    lit = water[water[:, :, 1] > 30]
    assert (lit[:, 0] < lit[:, 1]).all()
    assert np.abs(lit[:, 1] - lit[:, 2]).max() <= 1


@pytest.mark.parametrize("mud", [0, 1])
def test_a_splash_covers_about_the_same_share_at_every_size(mud):
    of = OPERATIONS["spatter"]
    covered = []
    for side in (64, 128, 256):
        values = neutral(of, seed=3) | {"loc": 0.67, "mud": mud}
        values |= {name: values[name] * side for name, each in of.parameters.items() if each.unit == "side"}
        dry = even(120, side, side)
        covered.append((of(dry, **values) != dry).any(axis=2).mean())
    assert max(covered) < 1.5 * min(covered)


def test_where_nothing_passes_the_threshold_nothing_is_wet(cell):
    for mud in (0, 1):
        assert (spatter(cell, loc=0.1, mud=mud, seed=3, **SPATTER) == cell).all()
