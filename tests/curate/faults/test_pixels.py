import cv2
import numpy as np

from curate.faults.pixels import affine, either, relit, to_uint8


def test_numbers_are_rounded_and_cut_off():
    assert to_uint8(np.array([-3.0, 0.6, 254.4, 300.0])).tolist() == [0, 1, 254, 255]


def test_a_number_of_either_sign_lies_between_its_ends():
    rng = np.random.default_rng(0)
    drawn = np.array([either(rng, 2, 3) for _ in range(200)])
    assert ((np.abs(drawn) >= 2) & (np.abs(drawn) <= 3)).all()
    assert 0.3 < (drawn > 0).mean() < 0.7


def test_what_an_affine_map_leaves_is_the_border_that_is_asked_for():
    image = np.full((8, 8, 3), 90, np.uint8)
    moved = affine(image, np.array([[1, 0, 4], [0, 1, 0]]), border=cv2.BORDER_CONSTANT, value=255)
    assert (moved[:, :4] == 255).all()
    assert (moved[:, 4:] == 90).all()
    assert (affine(image, np.array([[1, 0, 4], [0, 1, 0]])) == 90).all()


def test_light_is_multiplied_in_each_channel_and_stray_light_added():
    image = np.full((2, 2, 3), 100, np.uint8)
    assert (relit(image, np.ones(3)) == image).all()
    lit = relit(image, np.array([2, 1, 0]), veil=0.1)
    assert lit[0, 0, 0] > lit[0, 0, 1] > 100
    assert lit[0, 0, 2] == relit(np.zeros_like(image), np.ones(3), veil=0.1)[0, 0, 2]
