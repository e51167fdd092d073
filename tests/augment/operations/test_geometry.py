import cv2
import numpy as np
import pytest

from augment.operations import geometry
from augment.operations.operation import OPERATIONS

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == geometry.__name__]
RESIZING = {"zoom", "affine", "perspective", "barrel"}


def apart(one, other):
    """The largest difference of two pictures, in grey levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_what_changes_the_size_of_things_says_so():
    assert {of.name for of in OURS if of.resizes} == RESIZING


def test_the_eight_symmetries_are_those_of_the_square_and_closed(cell):
    eight = [geometry.dihedral(cell, element) for element in range(8)]
    assert (eight[0] == cell).all()
    assert all((eight[k] == np.rot90(cell, k)).all() for k in range(4))
    assert all((eight[4 + k] == np.rot90(cell[:, ::-1], k)).all() for k in range(4))
    known = {image.tobytes() for image in eight}
    assert len(known) == 8
    assert {geometry.dihedral(image, element).tobytes() for image in eight for element in range(8)} == known


def test_what_is_not_square_has_four_symmetries_each_twice(cell):
    oblong = cell[:60]
    made = [geometry.dihedral(oblong, element).tobytes() for element in range(8)]
    four = [oblong, oblong[::-1, ::-1], oblong[:, ::-1], oblong[::-1]]
    assert sorted(made) == sorted(2 * [np.ascontiguousarray(image).tobytes() for image in four])


def test_flips_swap_the_sides(cell):
    assert (geometry.flip_x(cell) == cell[:, ::-1]).all()
    assert (geometry.flip_y(cell) == cell[::-1]).all()


@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_quarter_turn_is_exact_and_counter_clockwise(quarters, cell):
    assert apart(geometry.rotate(cell, 90 * quarters), np.rot90(cell, quarters)) <= 1


def test_turned_there_and_back_the_middle_is_as_before(cell):
    back = geometry.rotate(geometry.rotate(cell, 33), -33)[30:66, 30:66]
    assert np.abs(back.astype(float) - cell[30:66, 30:66]).mean() < 6  # twice interpolated


def test_moved_by_whole_pixels_what_comes_in_is_the_mirror_image(cell):
    right = geometry.translate_x(cell, 7)
    assert (right[:, 7:] == cell[:, :-7]).all()
    assert (right[:, :7] == cell[:, 7:0:-1]).all()
    up = geometry.translate_y(cell, -5)
    assert (up[:-5] == cell[5:]).all()
    assert (up[-5:] == cell[-2:-7:-1]).all()


def test_moved_by_half_a_pixel_neighbours_are_averaged():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 4] = 200
    assert geometry.translate_x(image, 0.5)[4, 3:7, 0].tolist() == [0, 100, 100, 0]


def test_twice_as_large_is_every_second_pixel_of_the_middle():
    image = np.random.default_rng(0).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    large = geometry.zoom(image, 2)
    assert (large[::2, ::2] == image[8:25, 8:25]).all()
    small = geometry.zoom(image, 0.5)
    assert (small[8:25, 8:25] == image[::2, ::2]).all()


def test_shear_moves_each_row_by_its_distance_from_the_middle(cell):
    image = cell[:95, :95]
    made = geometry.shear_x(image, 1)
    for row in (27, 47, 67):
        assert (made[row] == geometry.translate_x(image, row - 47)[row]).all()
    made = geometry.shear_y(image, -1)
    for column in (27, 67):
        assert (made[:, column] == geometry.translate_y(image, 47 - column)[:, column]).all()


def test_affine_is_each_of_its_parts_where_the_others_are_neutral(cell):
    neutral = {"degrees": 0.0, "zoom": 1.0, "aspect": 1.0, "shear": 0.0, "x": 0.0, "y": 0.0}
    for one, other in (
        ({"degrees": 40.0}, geometry.rotate(cell, 40)),
        ({"zoom": 1.3}, geometry.zoom(cell, 1.3)),
        ({"shear": 0.2}, geometry.shear_x(cell, 0.2)),
        ({"x": 6.5}, geometry.translate_x(cell, 6.5)),
        ({"y": -3.0}, geometry.translate_y(cell, -3)),
    ):
        assert apart(geometry.affine(cell, **{**neutral, **one}), other) <= 1


def test_aspect_widens_at_equal_area():
    image = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(image, (50, 50), 20, (255, 255, 255), -1)
    wide = geometry.affine(image, degrees=0, zoom=1, aspect=1.5, shear=0, x=0, y=0)[..., 0] > 127
    assert wide.any(axis=0).sum() / wide.any(axis=1).sum() == pytest.approx(1.5, rel=0.05)
    assert wide.sum() == pytest.approx((image[..., 0] > 127).sum(), rel=0.03)


def test_perspective_moves_more_by_amount_and_otherwise_by_seed(cell):
    strays = [np.abs(geometry.perspective(cell, amount, 1).astype(float) - cell).mean() for amount in (0.05, 0.1, 0.2)]
    assert strays == sorted(strays)
    assert apart(geometry.perspective(cell, 0.1, 1), geometry.perspective(cell, 0.1, 2)) > 0


def test_barrel_keeps_the_middle_and_draws_the_edges_in():
    image = np.zeros((101, 101, 3), np.uint8)
    image[50, 50] = image[50, 90] = 255
    made = geometry.barrel(image, 0.4)[50, :, 0]
    assert made[50] == 255
    assert made[51:90].max() > 100
    assert geometry.barrel(image, -0.15)[50, 91:, 0].max() > 100


def test_elastic_moves_as_far_as_blurred_noise_does():
    # A ramp shows by its values where each pixel came from.
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    alpha, sigma = 60.0, 3.0
    moved = geometry.elastic(ramp, alpha, sigma, 0, 4)[..., 0].astype(float) - ramp[..., 0]
    expected = alpha / np.sqrt(3) / (2 * np.sqrt(np.pi) * sigma)  # of uniform noise under a Gaussian
    assert moved[20:-20, 20:-20].std() == pytest.approx(expected, rel=0.1)


def test_wide_blurs_are_the_same_at_a_smaller_size():
    noise = 2 * np.random.default_rng(0).random((120, 150, 2), np.float32) - 1
    sigma = 15.0
    full = cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    assert np.abs(geometry._blurred(noise, sigma) - full).max() < 0.15 * np.abs(full).max()


def test_the_map_before_an_elastic_bend_is_affine():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    made = geometry.elastic(ramp, 0, 1, 8, 2)[60:140, 60:140, 0].astype(float)
    assert apart(made, ramp[60:140, 60:140, 0]) > 1
    assert np.abs(np.diff(made, 2, axis=1)).max() <= 2  # a plane, but for rounding
