from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.calibration import Calibrated, Specimens, calibrate
from augment.corruptions.corruption import CORRUPTIONS, Corruption
from augment.features import Features, load_features
from augment.operations.operation import OPERATIONS, Operation
from augment.overlap import DISJOINT, IDENTICAL, NEAR, Landmarks, Verdict, compared, landmarks, overlap, worst
from augment.policies.functions import load
from augment.policies.policy import Call, Mix, OneOf, Policy, Step, Use
from augment.statistics import lab_spread
from curate.demo import DemoConfig, clean_cells

NAMES = ("gaussian_noise", "contrast", "brightness", "gaussian_blur", "stain_deposit")
NOISE = """
import numpy as np

def fizz(image, rng):
    noisy = image / 255 + rng.normal(0, rng.uniform(0.05, 0.25), image.shape)
    return (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8)
"""


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return clean_cells(DemoConfig(images=24, classes=4))[0]


@pytest.fixture(scope="module")
def units(cells) -> dict[str, float]:
    return {**lab_spread(cells), "side": 96.0}


@pytest.fixture(scope="module")
def plain() -> Features:
    return load_features("builtin", None, 96, 1)[0]


@pytest.fixture(scope="module")
def corruptions() -> dict[str, Corruption]:
    return {name: CORRUPTIONS[name] for name in NAMES}


@pytest.fixture(scope="module")
def calibrated(cells, plain, corruptions, units) -> dict[str, Calibrated]:
    return calibrate(Specimens(cells, plain, units, 0), corruptions, sample=12)


@pytest.fixture(scope="module")
def marks(cells, plain, corruptions, calibrated, units) -> Landmarks:
    return landmarks(Specimens(cells, plain, units, 0), corruptions, calibrated, sample=4)


def use(operation: str, p: float = 1.0, **spans: tuple[float, float]) -> Use:
    return Use(OPERATIONS[operation], spans, p)


def judged(marks: Landmarks, *steps: Step) -> dict[str, Verdict]:
    return compared(Policy("p", (steps,)), marks, seed=0, draws=16)


TURNS = use("dihedral", element=(0, 7))


def test_a_policy_of_turns_alone_is_disjoint_from_all_of_them(marks):
    found = judged(marks, TURNS)
    assert {of.verdict for of in found.values()} == {DISJOINT}
    assert list(found) == list(NAMES)
    for name, of in found.items():
        assert of.corruption == name
        assert 0.5 < of.ratio <= 1
        assert of.distance > 0
        assert of.operation == ""


def test_a_policy_that_draws_the_operation_is_identical_and_says_how_strong(marks, calibrated):
    third = calibrated["gaussian_noise"].settings[2]["sd"]
    found = judged(marks, TURNS, use("gaussian_noise", sd=(0, third)))["gaussian_noise"]
    assert (found.verdict, found.operation) == (IDENTICAL, "gaussian_noise")
    assert found.because == "the policy draws gaussian_noise as strong as its severity 3"


def test_an_operation_is_found_however_deep_and_seldom_it_is(marks):
    noise = use("gaussian_noise", 0.01, sd=(0.05, 0.3))
    steps = (use("perspective", amount=(0.05, 0.1)), OneOf((TURNS, OneOf((noise, TURNS))), 0.1))
    assert judged(marks, *steps)["gaussian_noise"].verdict == IDENTICAL


def test_the_same_operation_but_weaker_than_all_severities_is_near(marks, calibrated):
    first = calibrated["contrast"].settings[0]["factor"]
    found = judged(marks, use("contrast", factor=(1 - (1 - first) / 10, 1)))["contrast"]
    assert (found.verdict, found.operation) == (NEAR, "contrast")
    assert "weaker than its severity 1" in found.because


def test_the_same_operation_to_the_other_side_is_not_the_corruption(marks):
    found = judged(marks, use("brightness", add=(-0.3, -0.1)))["brightness"]
    assert found.verdict == NEAR
    assert found.ratio > 0.9


def test_lengths_are_compared_in_the_same_unit(marks, calibrated):
    # Drawn as shares of the side, recorded in pixels.
    second = calibrated["gaussian_blur"].settings[1]["sigma"] / 96
    reached = judged(marks, use("gaussian_blur", sigma=(0, second * 1.01)))["gaussian_blur"]
    assert reached.because.endswith("severity 2")


def test_a_function_that_adds_noise_under_another_name_is_caught(marks, tmp_path):
    (tmp_path / "mine.py").write_text(NOISE)
    target = f"{tmp_path / 'mine.py'}:fizz"
    found = judged(marks, TURNS, Call(target, load(target, [tmp_path / "mine.py"]), p=0.5))
    assert found["gaussian_noise"].verdict == IDENTICAL
    assert found["gaussian_noise"].operation == ""
    assert "of the way to it" in found["gaussian_noise"].because
    assert found["contrast"].verdict == found["stain_deposit"].verdict == DISJOINT


def test_a_likeness_is_nearer_than_what_is_nothing_like_it(marks):
    found = judged(marks, use("speckle_noise", sd=(0.05, 0.4)))
    assert found["gaussian_noise"].ratio < 0.6
    assert found["gaussian_noise"].ratio < min(found[name].ratio for name in NAMES if name != "gaussian_noise")
    assert found["gaussian_noise"].verdict in (IDENTICAL, NEAR)


def test_a_family_alone_says_nothing(marks):
    # Both are of "light".
    assert OPERATIONS["vignette"].family == OPERATIONS["contrast"].family
    assert judged(marks, use("vignette", amount=(0.05, 0.1)))["contrast"].verdict == DISJOINT


def test_the_nearer_a_policy_comes_the_smaller_the_ratio(marks, calibrated):
    sds = [settings["sd"] for settings in calibrated["gaussian_noise"].settings]
    ratios = [
        judged(marks, use("gaussian_noise", sd=(0, sd)))["gaussian_noise"].ratio for sd in (sds[0] / 4, sds[0], sds[2])
    ]
    assert ratios[0] > ratios[1] > ratios[2]


def test_published_settings_have_no_path_and_are_judged_by_their_values(cells, plain, units, calibrated):
    noise = Corruption("noise", OPERATIONS["gaussian_noise"], "test", ("common",), strength={})
    known = {"noise": replace(calibrated["gaussian_noise"], name="noise")}
    held = landmarks(Specimens(cells, plain, units, 0), {"noise": noise}, known, sample=4)
    assert judged(held, use("gaussian_noise", sd=(0, 0.001)))["noise"].verdict == NEAR
    assert judged(held, use("gaussian_noise", sd=(0, 0.3)))["noise"].verdict == IDENTICAL


def test_a_policy_that_mixes_is_judged_too(marks):
    found = judged(marks, TURNS, Mix("mixup", 0.4), Mix("cutmix", 1.0))
    assert all(np.isfinite(of.ratio) for of in found.values())
    assert found["gaussian_noise"].verdict == DISJOINT


def test_a_policy_that_does_nothing_is_as_far_as_the_clean_pictures(marks):
    for of in judged(marks, use("rotate", degrees=(0, 0), p=0.0)).values():
        assert of.verdict == DISJOINT
        assert of.ratio == pytest.approx(1, abs=0.05)


def test_what_is_drawn_at_random_directions_is_not_near_to_everything(cells, plain, units):
    # The mean over all directions of a shift of colour is next to the clean pictures; single draws are not.
    some = {"stain_shift": CORRUPTIONS["stain_shift"]}
    known = calibrate(Specimens(cells, plain, units, 0), some, sample=8)
    held = landmarks(Specimens(cells, plain, units, 0), some, known, sample=4)
    assert judged(held, TURNS)["stain_shift"].verdict == DISJOINT


def test_threads_change_nothing_and_one_call_does_all(cells, plain, corruptions, calibrated, units):
    policy = Policy("p", ((TURNS, use("gaussian_blur", sigma=(0, 0.05))),))
    some = {name: corruptions[name] for name in ("contrast", "gaussian_blur")}
    found, again = (
        overlap(policy, Specimens(cells, of, units, 3), some, calibrated, sample=3, draws=4)
        for of in (plain, replace(plain, workers=3))
    )
    assert found == again
    assert {name: of.verdict for name, of in found.items()} == {"contrast": DISJOINT, "gaussian_blur": IDENTICAL}


def test_a_composed_track_has_the_worst_verdict_of_its_parts():
    parts = [
        Verdict("fog", DISJOINT, 0.8, 1.0, "", "far"),
        Verdict("snow", NEAR, 0.45, 1.0, "", "half of the way"),
        Verdict("frost", NEAR, 0.4, 1.0, "", "more than half"),
    ]
    assert worst(parts, "composed-2") == Verdict("composed-2", NEAR, 0.4, 1.0, "", "frost: more than half")
    same = Verdict("spatter", IDENTICAL, 0.9, 1.0, "spatter", "the same")
    assert worst([*parts, same], "composed-2").verdict == IDENTICAL
    assert worst(parts[:1], "composed-2").verdict == DISJOINT


def test_operations_that_are_meant_here_exist():
    assert all(
        isinstance(OPERATIONS[name], Operation) for name in (*NAMES[:4], "speckle_noise", "vignette", "dihedral")
    )


# Small and thin pictures


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(16, 16), (200, 32), (200, 16), (3, 3), (1, 1), (8, 60)], ids=str)
def test_in_tiny_and_thin_pictures_a_policy_is_judged_by_its_operations_alone(cells, plain, units, calibrated, size):
    pictures = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in cells]
    of_size = {**units, "side": float(min(size))}
    some = {name: CORRUPTIONS[name] for name in ("gaussian_noise", "contrast")}
    marks = landmarks(Specimens(pictures, plain, of_size, 0), some, calibrated, sample=4)
    strong, weak = use("gaussian_noise", sd=(0, 0.5)), use("contrast", factor=(0.999, 1))
    found = judged(marks, TURNS, strong)
    assert found["gaussian_noise"].verdict == IDENTICAL
    assert found["contrast"].verdict == DISJOINT
    width, height = size
    assert found["contrast"].because.startswith(f"nearness cannot be told in pictures of {width}x{height}")
    assert np.isnan(found["contrast"].ratio)
    assert judged(marks, weak)["contrast"].verdict == NEAR
    assert worst([*found.values()], "composed-2").verdict == IDENTICAL
    assert worst([found["contrast"]], "composed-2").verdict == DISJOINT


@pytest.mark.filterwarnings("error")
def test_a_corruption_that_changes_nothing_in_these_pictures_is_held_against_operations(plain, units, calibrated):
    black = [np.zeros((32, 32, 3), np.uint8)] * 4
    some = {"contrast": CORRUPTIONS["contrast"]}
    marks = landmarks(Specimens(black, plain, {**units, "side": 32.0}, 0), some, calibrated, sample=4)
    found = judged(marks, TURNS)["contrast"]
    assert found.verdict == DISJOINT
    assert "cannot be told" in found.because or found.ratio == pytest.approx(1)
