from itertools import pairwise

import cv2
import numpy as np
import pytest

from augment.corruptions import common  # noqa: F401  registered when it is imported
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.corruptions.presets import preset
from curate.demo import DemoConfig, clean_cells

TESTED = [
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
]  # fmt: skip
SELECTED = ["speckle_noise", "gaussian_blur", "spatter", "saturate"]
NAMES = TESTED + SELECTED
SIZES = (28, 64, 96, 224)


@pytest.fixture(scope="module")
def cells():
    return clean_cells(DemoConfig(images=6))[0]


def at(name, strength, image, row=0):
    corruption, units = CORRUPTIONS[name], {"side": min(image.shape[:2])}
    drawn = corruption.draw(corruption.settings(strength, units), np.random.default_rng([7, row]), units)
    return corruption.operation(image, **{key: value for key, value in drawn.items() if key != "op"})


def effect(name, strength, images):
    """The mean difference from the clean pictures, in grey levels."""
    made = [at(name, strength, image, row) for row, image in enumerate(images)]
    return np.mean([cv2.absdiff(one, other).mean() for one, other in zip(made, images, strict=True)])


def sized(cells, side):
    method = cv2.INTER_AREA if side < 96 else cv2.INTER_CUBIC
    return [cv2.resize(cell, (side, side), interpolation=method) for cell in cells]


def test_the_nineteen_are_there_and_four_of_them_are_kept_for_selection():
    found = {name: c for name, c in CORRUPTIONS.items() if "common" in c.sets}
    assert [name for name, c in found.items() if c.role == TEST] == TESTED
    assert [name for name, c in found.items() if c.role == VALIDATION] == SELECTED


def test_those_of_the_blood_set_are_marked():
    found = {name for name in NAMES if "blood" in CORRUPTIONS[name].sets}
    assert found == {
        "pixelate", "jpeg_compression", "defocus_blur", "motion_blur", "brightness", "contrast", "saturate",
    }  # fmt: skip


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_the_effect_grows_along_the_path_at_every_size(name, side, cells):
    images = sized(cells, side)
    effects = [effect(name, strength, images) for strength in (0, 0.1, 0.25, 0.5, 0.75, 1)]
    # Lengths far below a pixel, and colours that cannot become any fuller, leave a picture as it was.
    assert all(later >= earlier - 0.02 for earlier, later in pairwise(effects))
    assert effects[-1] > 1.3 * effects[2] > 2 * effects[0]


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_the_mildest_is_hardly_seen(name, side, cells):
    assert effect(name, 0, sized(cells, side)) < 6


@pytest.mark.parametrize("name", NAMES)
def test_the_severest_is_beyond_the_published_one(name, cells):
    images = sized(cells, 224)
    published, units = preset("imagenet-c")[name], {"side": 224}
    made = []
    for row, image in enumerate(images):
        drawn = published.corruption().draw(published.settings[-1], np.random.default_rng([7, row]), units)
        made.append(published.operation(image, **{key: value for key, value in drawn.items() if key != "op"}))
    theirs = np.mean([cv2.absdiff(one, other).mean() for one, other in zip(made, images, strict=True)])
    assert effect(name, 1, images) >= 0.98 * theirs


@pytest.mark.parametrize("name", NAMES)
def test_severities_of_one_picture_differ_in_strength_alone(name):
    corruption, units = CORRUPTIONS[name], {"side": 96}
    mild, severe = (
        corruption.draw(corruption.settings(strength, units), np.random.default_rng(5), units)
        for strength in (0.2, 0.9)
    )
    differ = {key for key in mild if mild[key] != severe[key]}
    assert differ == set(corruption.strength)


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_gets_chance_of_its_own(name):
    corruption, units = CORRUPTIONS[name], {"side": 96}
    one, other = (
        corruption.draw(corruption.settings(0.5, units), np.random.default_rng(seed), units) for seed in (5, 6)
    )
    chance = set(corruption.free) | ({"seed"} if corruption.operation.seeded else set())
    assert {key for key in one if one[key] != other[key]} <= chance
    assert not chance or one != other
