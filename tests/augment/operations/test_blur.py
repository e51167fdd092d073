import cv2
import numpy as np
import pytest

from augment.operations import blur
from augment.operations.blur import defocus_blur, disc, gaussian_blur, glass_blur, motion_blur, trail, zoom_blur
from augment.operations.operation import OPERATIONS

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == blur.__name__]
STRONG = {
    "gaussian_blur": {"sigma": 3},
    "defocus_blur": {"radius": 5.5, "alias": 0.5},
    "glass_blur": {"sigma": 1, "reach": 3, "rounds": 2, "seed": 5},
    "motion_blur": {"radius": 10, "sigma": 6, "angle": 35},
    "zoom_blur": {"zoom": 1.3, "step": 0.02},
}


def point(side=41):
    image = np.zeros((side, side, 3), np.uint8)
    image[side // 2, side // 2] = 255
    return image


@pytest.mark.parametrize("size", [(96, 96), (28, 28), (70, 41), (8, 13)])
@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_a_picture_of_the_same_shape_comes_back_and_the_given_one_stays(of, size, cell, checked_result):
    image = cv2.resize(cell, size)
    checked_result(of, image, 0.7)
    neutral = {name: parameter.neutral for name, parameter in of.parameters.items()} | (
        {"seed": 4} if of.seeded else {}
    )
    assert (of(image, **neutral) == image).all()


@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
@pytest.mark.parametrize("grey", [0, 77, 255])
def test_what_is_even_stays_even(of, grey):
    image = np.full((60, 40, 3), grey, np.uint8)
    assert (of(image, **STRONG[of.name]) == image).all()


@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_less_fine_detail_is_left(of, cell):
    def detail(image):
        return cv2.Laplacian(image.astype(np.float32), cv2.CV_32F).std()

    # Glass scatters pixels, and is softer only after it has scattered them.
    assert detail(of(cell, **STRONG[of.name])) < 0.5 * detail(cell)


@pytest.mark.parametrize("sigma", [0.7, 2, 4])
def test_a_gaussian_blur_makes_of_a_line_a_bell_of_its_spread(sigma):
    image = np.zeros((41, 41, 3), np.uint8)
    image[:, 20] = 255
    bell = gaussian_blur(image, sigma)[20, :, 0].astype(float)
    spread = np.sqrt((bell * (np.arange(41) - 20) ** 2).sum() / bell.sum())
    assert spread == pytest.approx(sigma, rel=0.05)
    assert (gaussian_blur(image.transpose(1, 0, 2).copy(), sigma)[:, 20, 0] == bell).all()


@pytest.mark.parametrize("radius", [1, 1.5, 2, 3, 4, 6, 8, 10])
def test_a_disc_is_the_published_one_where_its_radius_is(radius):
    reach = len(disc(radius)) // 2
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    inside = x**2 + y**2 <= radius**2
    assert (disc(radius)[inside] == 1).all()
    # At 1.5 the four next pixels have begun to join.
    assert (disc(radius)[~inside] <= (0 if radius == int(radius) else 0.2)).all()
    assert not disc(radius)[0].any()


def test_a_disc_grows_with_every_fraction_of_a_pixel():
    areas = [disc(radius).sum() for radius in np.linspace(0.05, 6, 200)]
    assert (np.diff(areas) > 0).all()
    assert areas[-1] == 113


@pytest.mark.parametrize(("radius", "alias"), [(0.5, 0.6), (3, 0.1), (10, 0.5)])
def test_out_of_focus_a_point_is_a_disc(radius, alias):
    spot = defocus_blur(point() // 255 * 250, radius, alias)[:, :, 0].astype(float)
    kernel = disc(radius)
    assert spot[20, 20] == pytest.approx(250 / kernel.sum(), rel=0.6 if radius < 1 else 0.05, abs=0.6)
    reach = int(np.ceil(radius)) + 1
    outside = spot.copy()
    outside[20 - reach : 21 + reach, 20 - reach : 21 + reach] = 0
    assert not outside.any()


def test_a_constant_is_kept_because_kernels_add_up_to_one():
    for angle in (-135, -45, 0, 17, 90, 180):
        kernel, (x, y) = trail(7, 4, angle)
        assert kernel.sum() == pytest.approx(1)
        assert kernel[y, x] == kernel.max()


def test_a_trail_runs_to_where_its_angle_points_and_fades_on_the_way():
    for angle, ahead in ((0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (-90, (-1, 0))):
        kernel, (x, y) = trail(6, 3, angle)
        along = [kernel[y + step * ahead[0], x + step * ahead[1]] for step in range(12)]
        assert sum(along) == pytest.approx(1, abs=1e-5)
        assert np.allclose(np.array(along) / along[0], np.exp(-0.5 * (np.arange(12) / 3) ** 2), atol=1e-4)


def test_motion_looks_up_what_lies_ahead():
    # What moves to the left leaves its trail on the left: the pixel there sees the point to its right.
    moved = motion_blur(point(), 6, 3, 0)[20, :, 0]
    assert moved[20] > moved[17] > moved[14] > 0
    assert not moved[21:].any()
    assert not motion_blur(point(), 6, 3, 0)[:20].any()


def test_each_angle_blurs_as_much_as_the_others(cell):
    effects = [np.abs(motion_blur(cell, 8, 4, a).astype(float) - cell).mean() for a in range(-180, 180, 15)]
    assert max(effects) < 1.6 * min(effects)


def test_glass_moves_pixels_no_further_than_its_reach_and_makes_no_new_ones():
    columns = np.broadcast_to(np.arange(120, dtype=np.uint8)[None, :, None], (120, 120, 3))
    moved = glass_blur(np.ascontiguousarray(columns), 0, 4, 1, seed=3).astype(int) - columns
    steps, counts = np.unique(moved[:, 10:-10, 0], return_counts=True)
    assert steps.tolist() == list(range(-4, 5))
    assert counts.min() > 0.9 * counts.mean()


def test_glass_moves_all_channels_of_a_pixel_together(cell):
    given = {tuple(pixel) for pixel in cell.reshape(-1, 3).tolist()}
    assert {tuple(pixel) for pixel in glass_blur(cell, 0, 3, 2, seed=3).reshape(-1, 3).tolist()} <= given


def test_another_pane_of_glass_is_another_pattern(cell):
    assert (glass_blur(cell, 0.5, 2, 1, seed=3) != glass_blur(cell, 0.5, 2, 1, seed=4)).mean() > 0.1


@pytest.mark.parametrize(("zoom", "layers"), [(1.06, 7), (1.11, 12), (1.16, 16), (1.21, 21), (1.26, 26)])
def test_a_zoom_has_as_many_layers_as_the_published_one(zoom, layers):
    # A dot at the middle of black is all of each layer's middle; a dot out there is under the picture itself alone.
    image = np.zeros((201, 201, 3), np.uint8)
    image[100, 200] = 255
    made = zoom_blur(image, zoom, 0.01)
    assert made[100, 200, 0] == round(255 * 2 / (layers + 1))


def test_a_zoom_leaves_the_middle_and_smears_the_border_outwards():
    image = np.zeros((101, 101, 3), np.uint8)
    image[50, 50] = 255
    image[48:53, 80:83] = 200
    made = zoom_blur(image, 1.21, 0.01)[:, :, 0]
    assert made[50, 50] > 200
    assert made[50, 84] > 0
    assert not made[50, 70:79].any()


@pytest.mark.parametrize("size", [(64, 64), (60, 90), (91, 33)])
def test_a_mirrored_picture_is_blurred_to_the_mirror_image(cell, size):
    image = cv2.resize(cell, size)
    for made in (lambda i: zoom_blur(i, 1.2, 0.02), lambda i: defocus_blur(i, 3.3, 0.3), lambda i: gaussian_blur(i, 2)):
        assert np.abs(made(image[:, ::-1].copy()).astype(int) - made(image)[:, ::-1]).max() <= 1
