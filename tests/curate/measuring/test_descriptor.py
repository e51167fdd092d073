import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.measuring.descriptor import GRID, LENGTH, SIDE, describe
from curate.planting import FAULTS, NEAR


def apart(a: np.ndarray, b: np.ndarray) -> float:
    a, b = describe(a), describe(b)
    return float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))


@settings(deadline=None, max_examples=20)
@given(hnp.arrays(np.uint8, st.sampled_from([(96, 96, 3), (1, 1, 3), (7, 30, 3), (130, 130, 3)])))
def test_any_picture_has_a_finite_description_of_one_length(picture):
    before = picture.copy()
    found = describe(picture)
    assert found.shape == (LENGTH,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (picture == before).all()
    assert (describe(picture) == found).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_solid_picture_has_a_colour_and_nothing_else(level):
    found = describe(np.full((SIDE, SIDE, 3), level, np.uint8))
    cells = GRID * GRID * 3
    mean, spread = found[:cells].reshape(-1, 3), found[cells : 2 * cells]
    assert mean[:, 0] == pytest.approx(mean[0, 0])
    assert mean[:, 1:] == pytest.approx(0, abs=1e-3)
    assert spread == pytest.approx(0, abs=1e-3)


def test_a_copy_is_described_nearer_to_its_original_than_another_cell_is(cells):
    images = cells[0][:30]
    others = np.median([apart(images[0], image) for image in images[1:]])
    for way in ("jpeg", "shift", "resize", "noise"):
        assert apart(images[0], NEAR[way](images[0], np.random.default_rng(1))) < others / 2, way


def test_a_cast_and_a_blur_show_in_the_description(cells):
    images = cells[0][:30]
    nearest = min(apart(images[0], image) for image in images[1:])
    for fault in ("strong_blue_cast", "blur", "dark", "grey"):
        assert apart(images[0], FAULTS[fault](images[0], np.random.default_rng(1))) > nearest, fault


def test_small_and_large_versions_of_one_picture_are_described_alike(cells):
    small, large = cells[0][0], cells[0][0].repeat(3, axis=0).repeat(3, axis=1)
    assert apart(small, large) < 0.05
