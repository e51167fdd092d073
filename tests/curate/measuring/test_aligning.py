import cv2
import numpy as np
import pytest

from curate.measuring.aligning import (
    EVERY,
    Fingerprints,
    agreement,
    agreements,
    aligned,
    by_shift,
    by_warp,
    spectral_agreement,
)
from curate.measuring.hashing import turned


@pytest.fixture(scope="module")
def prints(cells):
    """Twenty cells, then the first of them shifted, turned and slightly enlarged."""
    cell = cells[0][0]
    pictures = [*cells[0][:20], np.roll(cell, 6, axis=1), np.rot90(cell), np.ascontiguousarray(cell[3:-3, 3:-3])]
    made = Fingerprints.empty(len(pictures))
    made.take(range(len(pictures)), pictures)
    return made


def test_a_shifted_and_a_turned_copy_agree_once_aligned(prints):
    shifted, quarter, other = aligned(np.array([(0, 20), (0, 21), (0, 1)]), prints, by_shift, 1)
    assert shifted.agreement > 0.9
    assert shifted.turn == 0
    assert quarter.agreement > 0.9
    assert quarter.turn != 0
    assert other.agreement < 0.8


def test_an_enlarged_copy_agrees_once_warped(prints):
    assert by_warp(prints.thumbnails[0], prints.thumbnails[22]).agreement > 0.9
    assert by_warp(prints.thumbnails[0], prints.thumbnails[5], EVERY).agreement < 0.8
    np.testing.assert_array_equal(
        agreements(np.array([(0, 22)]), prints, by_warp, 1),
        [by_warp(prints.thumbnails[0], prints.thumbnails[22]).agreement],
    )


@pytest.mark.parametrize("turn", range(8))
def test_the_map_of_a_shift_leads_to_the_same_pixel_in_any_orientation(scene, turn):
    picture = cv2.cvtColor(scene(0, 80, 80), cv2.COLOR_RGB2GRAY)
    first, second = picture[8:72, 8:72], turned(picture[5:69, 12:76], turn)
    result = by_shift(first, second, EVERY)
    assert result.agreement > 0.97
    for x, y in ((20, 30), (40, 15)):
        column, row = result.affine @ (x, y, 1)
        assert second[round(row), round(column)] == first[y, x]
    # Begun with that map, a warp has nothing left to do.
    assert by_warp(first, np.ascontiguousarray(second), start=result.affine).agreement > 0.97


def test_magnitudes_of_spectra_do_not_change_with_a_shift(prints):
    likeness = spectral_agreement(np.array([(0, 20), (0, 7)]), prints)
    assert likeness[0, 0] > 0.95 > likeness[1].max()


def test_agreement_is_a_correlation(rng):
    picture = rng.normal(0, 20, (64, 64))
    assert agreement(picture, picture) == pytest.approx(1)
    assert agreement(picture, 3 * picture + 40) == pytest.approx(1)
    assert agreement(picture, -picture) == pytest.approx(-1)
    assert abs(agreement(picture, rng.normal(0, 20, (64, 64)))) < 0.1


@pytest.mark.parametrize("scale", [0, 1e-3, 0.5])
def test_what_has_next_to_no_detail_agrees_with_nothing(rng, scale):
    plain = rng.normal(0, scale, (64, 64))
    assert agreement(plain, plain) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (64, 64), (300, 200)])
def test_any_picture_has_a_finite_fingerprint(shape, rng):
    prints = Fingerprints.empty(2)
    prints.take([1], [rng.integers(0, 256, (*shape, 3), np.uint8)])
    assert np.isfinite(prints.spectra).all()
    assert not prints.thumbnails[0].any()
    whole = np.concatenate([prints.spectra[1][:, :0:-1], prints.spectra[1]], axis=1).astype(float)
    assert np.linalg.norm(whole) == pytest.approx(1 if min(shape) > 1 else np.linalg.norm(whole), abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 33, 64])
def test_a_fingerprint_is_the_same_to_the_bit_in_whatever_company(cells, n):
    together, alone = Fingerprints.empty(64), Fingerprints.empty(64)
    rows = list(range(n))[::-1]
    together.take(rows, [cells[0][row] for row in rows])
    for row in rows:
        alone.take([row], [cells[0][row]])
    np.testing.assert_array_equal(together.thumbnails, alone.thumbnails)
    np.testing.assert_array_equal(together.spectra, alone.spectra)
    np.testing.assert_array_equal(together.hashes, alone.hashes)
