import cv2
import numpy as np
import pytest

from augment.statistics import lab, lab_spread, object_size, size_tells_classes
from curate.demo import DemoConfig, clean_cells


def solid(*rgb):
    return np.full((20, 30, 3), rgb, np.uint8)


def disc(radius, side=100, noise=0.0):
    image = np.full((side, side, 3), (240, 220, 200), np.uint8)
    cv2.circle(image, (side // 2, side // 2), radius, (90, 40, 130), -1)
    noisy = image + noise * np.random.default_rng(radius).standard_normal(image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_lab_has_the_known_values_of_white_black_and_red():
    assert lab(solid(255, 255, 255))[0, 0] == pytest.approx((100, 0, 0), abs=0.2)
    assert lab(solid(0, 0, 0))[0, 0] == pytest.approx((0, 0, 0), abs=0.2)
    assert lab(solid(255, 0, 0))[0, 0] == pytest.approx((53.2, 80.1, 67.2), abs=0.5)


def test_the_spread_is_that_between_pictures_and_not_within_them():
    halves = solid(60, 60, 60)
    halves[:10] = 200
    assert lab_spread([halves] * 5) == {"sd_l": 1, "sd_a": 1, "sd_b": 1}
    greys = [solid(level, level, level) for level in (60, 200)]
    expected = (lab(greys[1])[0, 0, 0] - lab(greys[0])[0, 0, 0]) / 2
    assert lab_spread(greys)["sd_l"] == pytest.approx(expected, rel=1e-3)
    assert lab_spread(greys)["sd_a"] == 1


def test_a_shift_of_the_stain_is_seen_in_the_channel_that_it_moves():
    pictures = [cv2.cvtColor(np.full((8, 8, 3), (60, 0, b), np.float32), cv2.COLOR_LAB2RGB) for b in (-10, 0, 10)]
    spread = lab_spread([np.rint(255 * picture).astype(np.uint8) for picture in pictures])
    assert spread["sd_b"] == pytest.approx(np.std([-10, 0, 10]), rel=0.1)
    assert spread["sd_l"] < 1.5


def test_no_more_than_512_pictures_are_looked_at_evenly():
    asked = []

    class Counting(list):
        def __getitem__(self, row):
            asked.append(row)
            return solid(100, 100, 100)

    lab_spread(Counting(range(5000)))
    assert len(asked) == 512
    assert (asked[0], asked[-1]) == (0, 4999)
    assert max(np.diff(asked)) <= 10


def test_a_set_without_pictures_has_the_least_spread():
    assert lab_spread([]) == {"sd_l": 1, "sd_a": 1, "sd_b": 1}


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("radius", [10, 25, 40])
def test_a_disc_has_the_size_of_its_area(radius, noise):
    assert object_size(disc(radius, noise=noise)) == pytest.approx(np.pi * radius**2 / 100**2, rel=0.1)


def test_size_is_a_share_at_any_resolution():
    assert object_size(disc(7, 28)) == pytest.approx(object_size(disc(56, 224)), rel=0.12)


def test_a_picture_of_one_colour_holds_no_object():
    assert object_size(solid(10, 200, 30)) == 0


def test_where_classes_differ_in_size_alone_it_tells_them():
    assert size_tells_classes([0.1, 0.1, 0.4, 0.4], [0, 0, 1, 1]) == pytest.approx(1)
    assert size_tells_classes([0.1, 0.4, 0.1, 0.4], [0, 0, 1, 1]) == pytest.approx(0)
    # Half of the variance between, half within: means of the logarithms 1 apart, members 1 apart within.
    assert size_tells_classes(np.exp([0, 1, 1, 2]), [0, 0, 1, 1]) == pytest.approx(0.5)


def test_images_without_a_label_and_sets_without_variety_tell_nothing():
    assert size_tells_classes([0.1, 0.1, 0.4, 0.4, 0.9], [0, 0, 1, 1, -1]) == pytest.approx(1)
    assert size_tells_classes([0.2, 0.2, 0.2], [0, 1, 2]) == 0
    assert size_tells_classes([], []) == 0
    assert size_tells_classes([0.1, 0.9], [-1, -1]) == 0


def test_drawn_cells_of_different_kinds_differ_in_size():
    images, labels = clean_cells(DemoConfig(images=80))
    sizes = [object_size(image) for image in images]
    told = size_tells_classes(sizes, labels)
    shuffled = size_tells_classes(sizes, np.random.default_rng(0).permutation(labels))
    assert told > 0.4
    assert shuffled < 0.2
