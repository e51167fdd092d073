import cv2
import numpy as np
import pytest

import augment.corruptions  # noqa: F401
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from curate.demo import DemoConfig, clean_cells
from curate.measuring.embedding import builtin

VALIDATING = {"hed_shift", "gamma", "ghost"}
BLOOD = {"brightness_down", "contrast_up", "stain_deposit", "bubbles"}
OURS = (
    *("stain_shift", "illumination", "vignette", "dust", "white_balance", "chromatic_shift", "resample"),
    *("sensor_noise", "brightness_down", "stain_deposit", "bubbles", *sorted(VALIDATING)),
)
NAMES = (*OURS, "contrast_up")
SIDES = (28, 64, 96, 224)
STEPS = np.linspace(0, 1, 6)


@pytest.fixture(scope="module")
def cells():
    """For each side eight cells."""
    images, _ = clean_cells(DemoConfig(images=8))

    def at(side):
        way = cv2.INTER_AREA if side <= 96 else cv2.INTER_CUBIC
        return [cv2.resize(image, (side, side), interpolation=way) for image in images]

    return {side: at(side) for side in SIDES}


def corrupted(name, images, strength):
    of = CORRUPTIONS[name]
    units = {"side": float(len(images[0])), "sd_l": 4.0, "sd_a": 3.0, "sd_b": 5.0}
    settings = of.settings(float(strength), units)
    drawn = [of.draw(settings, np.random.default_rng([7, row]), units) for row in range(len(images))]
    values = [{key: value for key, value in one.items() if key != "op"} for one in drawn]
    return [of.operation(image, **one) for image, one in zip(images, values, strict=True)]


def pixels_away(made, images):
    """The mean over pictures of the root mean square difference, in grey levels."""
    return np.mean([np.sqrt(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(made, images, strict=True)])


def features_away(made, images):
    """The mean distance in the built-in descriptor."""
    embedder = builtin()
    one, other = (
        embedder.embed(np.stack([cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA) for image in pictures]))
        for pictures in (made, images)
    )
    one, other = (found / np.linalg.norm(found, axis=1, keepdims=True) for found in (one, other))
    return float(np.mean(1 - (one * other).sum(axis=1)))


def test_each_is_there_in_its_set_and_role():
    assert {name for name in NAMES if CORRUPTIONS[name].role == VALIDATION} == VALIDATING
    assert {name for name in NAMES if "blood" in CORRUPTIONS[name].sets} == BLOOD
    assert all("microscopy" in CORRUPTIONS[name].sets for name in OURS)
    assert CORRUPTIONS["stain_shift"].role == TEST


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_strength_leads_ever_farther_away_in_pixels_and_in_features(name, side, cells):
    images = cells[side]
    made = [corrupted(name, images, strength) for strength in STEPS]
    assert (np.diff([pixels_away(one, images) for one in made]) > 0).all()
    assert features_away(made[-1], images) > features_away(made[2], images) > features_away(made[0], images)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_the_path_is_even_enough_to_place_five_severities_on(name, side, cells):
    images = cells[side]
    climbed = np.array([pixels_away(corrupted(name, images, strength), images) for strength in STEPS])
    assert np.diff(climbed).max() < 0.6 * climbed[-1]


@pytest.mark.parametrize("side", [64, 96, 224])
@pytest.mark.parametrize("name", NAMES)
def test_the_mild_end_is_barely_visible_and_the_severe_end_plain_to_see(name, side, cells):
    images = cells[side]
    assert pixels_away(corrupted(name, images, 0), images) < 6
    assert pixels_away(corrupted(name, images, 1), images) > 12


@pytest.mark.parametrize("name", NAMES)
def test_severities_of_one_picture_differ_in_strength_alone(name):
    of = CORRUPTIONS[name]
    units = {"side": 96.0, "sd_l": 4.0, "sd_a": 3.0, "sd_b": 5.0}
    mild, severe = (of.draw(of.settings(strength, units), np.random.default_rng(5), units) for strength in (0.2, 0.9))
    assert {key for key in mild if mild[key] != severe[key]} == set(of.strength)
