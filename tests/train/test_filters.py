import cv2
import numpy as np
import pytest

from train import configs
from train.filters import FILTERS, denoise, high_pass, nucleus

SIZES = [(8, 8), (9, 40), (28, 28), (96, 96), (97, 61)]


def cell(height: int = 96, width: int = 96) -> np.ndarray:
    """A light ground, a pale cell in the middle with a dark nucleus, and a paler one in a corner."""
    image = np.full((height, width, 3), (235, 220, 205), np.uint8)
    side, middle = min(height, width), (width // 2, height // 2)
    cv2.circle(image, (0, 0), side // 4, (200, 150, 160), -1)
    cv2.circle(image, middle, side // 4, (190, 160, 200), -1)
    cv2.circle(image, middle, side // 6, (90, 50, 130), -1)
    return cv2.GaussianBlur(image, (0, 0), max(0.5, side / 120))


def pictures(height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "cell": cell(height, width),
        "noise": rng.integers(0, 256, (height, width, 3), np.uint8),
        "black": np.zeros((height, width, 3), np.uint8),
        "white": np.full((height, width, 3), 255, np.uint8),
    }


def error(image: np.ndarray, of: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image.astype(float) - of) ** 2)))


# What holds for all of them


def test_every_filter_of_the_options_is_there():
    assert set(FILTERS) == set(configs.FILTERS) - {"none"}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_a_filter_takes_any_picture_leaves_it_alone_and_makes_the_same_again(name, size):
    for image in pictures(*size).values():
        before = image.copy()
        made = FILTERS[name](image)
        assert (made.shape, made.dtype) == (image.shape, np.uint8)
        assert (image == before).all()
        assert not np.shares_memory(made, image)
        assert (FILTERS[name](image) == made).all()


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_takes_views_that_cannot_be_written(name):
    image = cell(60, 80)
    turned = np.ascontiguousarray(image[::-1, :, ::-1])[::-1, :, ::-1]
    turned.flags.writeable = False
    assert (FILTERS[name](turned) == FILTERS[name](image)).all()


@pytest.mark.parametrize("name", FILTERS)
def test_a_picture_of_one_colour_stays_as_it_is(name):
    for value in (0, 90, 255):
        image = np.full((32, 40, 3), (value, 70, 200), np.uint8)
        assert (FILTERS[name](image) == image).all()


# High-pass


def test_an_edge_is_boosted_by_as_much_as_a_blur_takes_from_it():
    image = np.full((96, 96, 3), 100, np.uint8)
    image[:, 48:] = 150
    made = high_pass(image).astype(int)
    blurred = cv2.GaussianBlur(image, (0, 0), 2).astype(int)
    assert (made == 2 * image.astype(int) - blurred).all()
    assert made.min() < 100
    assert made.max() > 150


def test_what_is_out_of_focus_comes_back_in_part():
    sharp = cell()
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    assert error(high_pass(blurred), sharp) < 0.8 * error(blurred, sharp)


# Denoise


@pytest.mark.parametrize("sd", [8, 15, 30])
def test_noise_is_taken_out_and_edges_are_left(sd):
    clean = cell()
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, sd, clean.shape), 0, 255).astype(np.uint8)
    assert error(denoise(noisy), clean) < 0.6 * error(noisy, clean)


def test_spikes_are_taken_out():
    clean, rng = cell(), np.random.default_rng(0)
    spiked = clean.copy()
    where = rng.random((96, 96)) < 0.03
    spiked[where] = rng.choice(np.array([0, 255], np.uint8), (where.sum(), 1))
    assert error(denoise(spiked), clean) < 0.3 * error(spiked, clean)


def test_a_clean_picture_stays_nearly_as_it_is():
    assert error(denoise(cell()), cell()) < 1


# Nucleus


def test_the_cell_in_the_middle_stays_and_its_neighbour_becomes_ground():
    image = cell()
    made = nucleus(image)
    y, x = np.mgrid[:96, :96] - 47.5
    inside, ground = np.hypot(x, y) < 20, (235, 220, 205)
    assert np.abs(made[inside].astype(int) - image[inside]).max() <= 3
    assert np.abs(made[:20, :20].astype(int) - ground).max() <= 3
    assert np.abs(image[:20, :20].astype(int) - ground).max() > 30


def test_of_two_dark_pieces_the_one_near_the_middle_is_the_nucleus():
    image = np.full((96, 96, 3), 230, np.uint8)
    cv2.circle(image, (50, 46), 10, (90, 50, 130), -1)
    cv2.circle(image, (86, 86), 10, (90, 50, 130), -1)
    made = nucleus(image)
    assert (made[46, 50] == (90, 50, 130)).all()
    assert (made[86, 86] == 230).all()


def test_where_nothing_can_be_told_apart_the_picture_stays():
    speck = np.full((96, 96, 3), 230, np.uint8)
    speck[48, 48] = 0
    dark = np.full((96, 96, 3), 20, np.uint8)
    dark[:8] = 230
    for image in (speck, dark):
        assert (nucleus(image) == image).all()
