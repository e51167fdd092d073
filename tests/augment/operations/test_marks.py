from itertools import pairwise

import numpy as np
import pytest

from augment.operations import marks
from augment.operations.operation import OPERATIONS


def blank(height, width=None, level=200):
    return np.full((height, width or height, 3), level, np.uint8)


def changed(made, image):
    """bool (H, W): pixels that differ."""
    return (made != image).any(axis=2)


def apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("seed", range(8))
def test_an_erased_box_has_its_share_and_grows_from_the_smaller_one(seed):
    image = blank(100, 140)
    image[::2] = 10
    image[:, ::2] = 90
    sides = []
    for share in (0.1, 0.3):
        box = changed(marks.erase(image, share, seed), image)
        rows, columns = np.flatnonzero(box.any(axis=1)), np.flatnonzero(box.any(axis=0))
        sides.append([rows[0], columns[0], -rows[-1], -columns[-1]])
        assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / box.size == pytest.approx(share, rel=0.1)
        assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.95
    assert (np.array(sides[1]) <= np.array(sides[0]) + 1).all()  # but for rounding


def test_boxes_are_filled_with_the_mean_colour_or_with_noise(cell):
    spreads = []
    for seed in range(12):
        made = marks.erase(cell, 0.2, seed)
        spreads.append(made[changed(made, cell)].std(axis=0).mean())
    assert min(spreads) < 1
    assert max(spreads) > 40


@pytest.mark.parametrize("side", [28, 64, 96, 224])
def test_ink_is_dark_clear_of_the_border_and_of_the_published_size(side):
    image = blank(side, side + side // 2)
    for seed in range(10):
        made = marks.stain_deposit(image, 1, seed)
        ink = changed(made, image)
        assert made[ink].min() < 60
        across = [np.ptp(np.flatnonzero(ink.any(axis=axis))) + 1 for axis in (0, 1)]
        assert all(0.7 * 24 / 224 * side - 1 <= reach <= 1.5 * 32 / 224 * side + 2 for reach in across)
        margin = int(side * 5 / 224)
        assert not ink[: margin or 1].any()
        assert not ink[:, : margin or 1].any()


def test_more_marks_are_the_fewer_and_others(cell):
    for seed in range(6):
        inked = [changed(marks.stain_deposit(cell, count, seed), cell) for count in (0.4, 1, 2.5, 6)]
        assert all(not (few & ~many).any() for few, many in pairwise(inked))
        assert inked[0].any()


def test_bubbles_make_paler_and_no_more_than_published():
    image = blank(112, level=100)
    made = marks.bubbles(image, 8, 12, 3)
    assert (made >= image).all()
    discs, rims = 100 + 155 * 100 / 255, 100 + 155 * 130 / 255
    assert made.max() == pytest.approx(rims, abs=1)
    assert (np.abs(made[..., 0] - discs) <= 1).sum() > (np.abs(made[..., 0] - rims) <= 1).sum() > 0


def test_one_bubble_has_the_area_of_its_disc():
    radius = 10.0
    image = blank(224, level=0)
    sizes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rng.random()
        x, y, size = rng.random(3)
        if min(x, y, 1 - x, 1 - y) * 223 > radius + 1:  # all of it within the picture
            expected = np.pi * (3 + size * (radius - 3)) ** 2
            sizes.append(changed(marks.bubbles(image, radius, 1, seed), image).sum() / expected)
    assert len(sizes) > 20
    assert np.median(sizes) == pytest.approx(1.1, abs=0.15)  # pixels covered in part are counted whole


def test_larger_bubbles_are_paler_everywhere(cell):
    means = [marks.bubbles(cell, radius, 12, 5).mean() for radius in (0.05, 1, 3, 8)]
    assert (np.diff([cell.mean(), *means]) > 0).all()
    assert means[0] - cell.mean() < 0.02


@pytest.mark.parametrize("side", [28, 96, 224])
def test_specks_smaller_than_a_pixel_are_faint(side):
    image = blank(side)
    faint, plain = (marks.dust(image, 8, size, 2).astype(float) for size in (0.1, 0.02 * side + 1))
    assert 0 < np.abs(faint - image).sum() < 0.3 * np.abs(plain - image).sum()
    assert np.abs(faint - image).max() < np.abs(plain - image).max()


def test_dust_is_dark_and_bright_and_more_of_it_is_the_less_and_others():
    image = blank(96, level=150)
    made = marks.dust(image, 30, 2.5, 1)
    assert made.min() < 80
    assert made.max() > 220
    few, many = (changed(marks.dust(image, count, 2.5, 1), image) for count in (5, 20))
    assert not (few & ~many).any()


def test_a_ghost_is_the_weighted_mean_with_the_moved_picture(cell):
    made = marks.ghost(cell, 4, 0.25, 0)[:, 4:].astype(float)
    assert apart(made, np.rint(0.75 * cell[:, 4:] + 0.25 * cell[:, :-4])) <= 1
    down = marks.ghost(cell, 3, 0.5, 90)[3:].astype(float)
    assert apart(down, np.rint(0.5 * cell[3:] + 0.5 * cell[:-3])) <= 1


def test_a_fraction_of_a_scratch_is_a_fainter_one_in_the_same_place():
    image = np.full((64, 64, 3), 128, np.uint8)
    whole, half = (OPERATIONS["scratches"](image, count=count, width=3, seed=5).astype(int) - 128 for count in (1, 0.5))
    assert np.abs(whole).max() > 40
    assert np.abs(half - whole / 2).max() <= 1
