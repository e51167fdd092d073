import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.calibration import (
    Calibrated,
    Specimens,
    calibrate,
    distances_of,
    five_steps,
    generator,
    levels_of,
    some_rows,
)
from augment.corruptions.corruption import CORRUPTIONS, Corruption
from augment.features import Features, distances, load_features
from augment.operations.operation import OPERATIONS
from augment.policies.policy import perform
from augment.statistics import lab_spread
from curate.demo import DemoConfig, clean_cells
from curate.stage.errors import DataError

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)
FEW = ("gaussian_noise", "contrast", "jpeg_compression", "motion_blur", "stain_deposit")
SAMPLE = 10


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return clean_cells(DemoConfig(images=40, classes=4))[0]


@pytest.fixture(scope="module")
def units(cells) -> dict[str, float]:
    return {**lab_spread(cells), "side": 96.0}


@pytest.fixture(scope="module")
def plain() -> Features:
    return load_features("builtin", None, 96, 1)[0]


@pytest.fixture(scope="module")
def found(cells, plain, units) -> dict[str, Calibrated]:
    return calibrate(Specimens(cells, plain, units, 0), {n: CORRUPTIONS[n] for n in FEW}, sample=SAMPLE)


# Five steps of a curve


@pytest.mark.parametrize("curve", [lambda t: t, lambda t: t**3, lambda t: t**0.5, lambda t: np.expm1(9 * t) / 8000])
def test_the_steps_are_the_levels_where_these_are_reached(curve):
    strengths, steps, reached = five_steps(curve, LEVELS)
    assert reached
    np.testing.assert_allclose(steps, LEVELS, rtol=0.05)
    assert [curve(t) for t in strengths] == list(steps)


def test_what_cannot_reach_the_top_takes_equal_steps_to_what_it_can():
    strengths, steps, reached = five_steps(lambda t: 0.25 * t, LEVELS)
    assert not reached
    assert strengths[-1] == 1
    np.testing.assert_allclose(steps, [0.05, 0.1, 0.15, 0.2, 0.25], rtol=0.05)


def test_what_begins_beyond_the_first_level_takes_equal_steps_from_there():
    _, steps, reached = five_steps(lambda t: 0.3 + t, LEVELS)
    assert not reached
    np.testing.assert_allclose(steps, np.linspace(0.3, 0.6, 5), rtol=0.05)


def test_what_grows_by_jumps_still_rises():
    strengths, steps, _ = five_steps(lambda t: round(t * 7) / 7, LEVELS)
    assert (np.diff(steps) > 0).all()
    assert (np.diff(strengths) > 0).all()


def test_where_a_curve_turns_back_only_its_rise_is_taken():
    _, steps, reached = five_steps(lambda t: 0.6 * np.sin(np.pi * t), LEVELS)
    assert reached
    np.testing.assert_allclose(steps, LEVELS, rtol=0.05)


def test_what_does_nothing_or_has_too_few_values_says_so():
    assert five_steps(lambda t: 0.001 * t, LEVELS) == "does next to nothing to these pictures"
    assert "fewer than five strengths" in five_steps(lambda t: round(2 * t) / 2, LEVELS)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=12), st.integers(0, 99))
def test_any_curve_gives_rising_steps_or_a_reason(heights, seed):
    places = np.linspace(0, 1, len(heights))
    noise = np.random.default_rng(seed).normal(0, 0.02, 1000)

    def curve(t: float) -> float:
        return float(np.interp(t, places, heights) + abs(noise[int(t * 999)]))

    steps = five_steps(curve, LEVELS)
    if not isinstance(steps, str):
        assert (np.diff(steps[0]) > 0).all()
        assert (np.diff(steps[1]) > 0).all()


# Levels


def test_levels_are_quantiles_of_the_distances_between_different_pictures():
    clean = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    levels = levels_of(clean)
    assert (np.diff(levels) > 0).all()
    apart = distances(*(clean[i] for i in np.triu_indices(30, 1)))
    assert (apart <= levels[2]).mean() == pytest.approx(0.2, abs=0.01)
    # Only pairs that differ count, so that copies in the set do not make severity 1 nothing.
    copied = np.concatenate([clean, clean[:1].repeat(20, axis=0)])
    assert levels_of(copied)[0] > 0.5 * levels[0]


@pytest.mark.parametrize("clean", [np.ones((1, 4)) / 2, np.ones((9, 4)) / 2, np.eye(4)])
def test_too_few_or_too_equal_pictures_are_an_error(clean):
    with pytest.raises(DataError, match=f"{len(clean)} pictures are too few, or too much alike"):
        levels_of(clean.astype(np.float32))


# Corruptions


def test_every_severity_is_farther_from_the_clean_pictures_than_the_one_before(found):
    assert list(found) == list(FEW)
    for name, of in found.items():
        assert len(of.settings) == 5
        assert (np.diff(of.distances) > 0).all(), name
        assert (np.diff(of.strengths) > 0).all(), name
        assert of.levels == found[FEW[0]].levels
    for name in ("gaussian_noise", "contrast", "motion_blur"):  # the others go by jumps
        assert found[name].reached
        np.testing.assert_allclose(found[name].distances, found[name].levels, rtol=0.05)


def test_the_distances_are_those_of_the_settings(found, cells, plain, units):
    for name, of in found.items():
        again = distances_of(Specimens(cells, plain, units, 0), CORRUPTIONS[name], of.settings, sample=SAMPLE)
        assert again == of.distances


def test_they_rise_on_other_pictures_with_other_noise_too(found, cells, plain, units):
    rows = some_rows(len(cells), SAMPLE, 0)
    others = np.delete(cells, rows, axis=0)
    for name, of in found.items():
        steps = distances_of(Specimens(others, plain, units, 5), CORRUPTIONS[name], of.settings, sample=30)
        assert (np.diff(steps) > 0).all(), name


def test_settings_that_go_back_are_shown_to_go_back(found, cells, plain, units):
    settings = found["contrast"].settings
    mixed = [settings[i] for i in (0, 3, 1, 4, 4)]
    steps = distances_of(Specimens(cells, plain, units, 0), CORRUPTIONS["contrast"], mixed, sample=SAMPLE)
    assert np.sign(np.diff(steps)).tolist() == [1, -1, 1, 0]


def test_all_of_it_can_be_kept_as_json(found):
    for of in found.values():
        kept = json.loads(json.dumps(asdict(of)))
        assert kept["settings"] == list(of.settings)
        assert tuple(kept["distances"]) == of.distances
        assert kept["reached"] is of.reached


def test_the_number_of_threads_and_the_other_corruptions_change_nothing(found, cells, plain, units):
    some = {n: CORRUPTIONS[n] for n in ("contrast", "motion_blur", "gaussian_noise")}
    again = calibrate(Specimens(cells, replace(plain, workers=3), units, 0), some, sample=SAMPLE)
    assert again == {name: found[name] for name in some}


def test_another_seed_takes_other_pictures(found, cells, plain, units):
    some = {"contrast": CORRUPTIONS["contrast"]}
    again = calibrate(Specimens(cells, plain, units, 1), some, sample=SAMPLE)
    assert again["contrast"].levels != found["contrast"].levels


def test_a_corruption_that_does_nothing_to_these_pictures_is_left_out_with_a_note(cells, plain, units):
    grey = np.repeat(cells.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    colourful = Corruption("colourful", OPERATIONS["colourfulness"], "test", ("common",), {"factor": (1.1, 4)})
    some = {"colourful": colourful, "contrast": CORRUPTIONS["contrast"]}
    said = []
    found = calibrate(Specimens(grey, plain, units, 0), some, sample=SAMPLE, say=said.append)
    assert list(found) == ["contrast"]
    assert said == ["colourful does next to nothing to these pictures, and is left out"]


def test_severities_of_one_picture_share_their_noise_and_pictures_do_not(cells, found, units):
    noise = CORRUPTIONS["gaussian_noise"]
    made = []
    for row, severity in ((0, 1), (0, 3), (1, 1)):
        drawn = noise.draw(found["gaussian_noise"].settings[severity], generator(0, row, noise.name), units)
        # On mid-grey, where nothing is cut off.
        made.append(perform(np.full((32, 32, 3), 128, np.uint8), [drawn], cells.__getitem__).astype(float) - 128)
    weak, strong, other = (one.ravel() for one in made)
    assert np.corrcoef(weak, strong)[0, 1] > 0.95
    assert abs(np.corrcoef(weak, other)[0, 1]) < 0.1


def test_corruptions_of_one_row_are_drawn_apart():
    draws = {generator(seed, row, name).random() for seed in (0, 1) for row in (0, 1) for name in ("fog", "snow")}
    assert len(draws) == 8


def test_rows_are_drawn_once_each_and_in_order():
    rows = some_rows(100, 30, 0)
    assert rows == sorted(set(rows))
    assert len(rows) == 30
    assert some_rows(5, 30, 0) == [0, 1, 2, 3, 4]
