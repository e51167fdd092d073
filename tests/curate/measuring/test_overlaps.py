import cv2
import numpy as np
import pytest

from curate.measuring.keypoints import Features, matched
from curate.measuring.overlaps import as_soft, overlap


def between(first: np.ndarray, second: np.ndarray):
    """The overlap of two pictures as their points align them."""
    a, b = Features.of(np.ascontiguousarray(first)), Features.of(np.ascontiguousarray(second))
    match = matched(a, b)
    assert match is not None
    return overlap(a, b, match.affine)


def recoded(picture: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("border", [0, 255])
def test_a_turned_and_sheared_copy_agrees_wherever_both_are(scene, warped, border):
    common = between(scene(0), warped(scene(0), degrees=18, zoom=0.9, shear=0.15, border=border))
    assert common.agreement > 0.97
    assert common.share > 0.9
    assert common.colour > 0.9


def test_shares_tell_how_much_of_each_picture_lies_in_the_other(scene):
    picture = scene(1)
    for first, second in ((picture, picture[:, 60:180]), (picture[:, 60:180], picture)):
        common = between(first, second)
        assert common.agreement > 0.97
        assert common.share > 0.95
        assert common.rest == pytest.approx(0.6, abs=0.05)


def test_light_and_recoding_change_little(scene):
    picture = scene(2)
    brighter = np.clip(picture * 1.25 + 10, 0, 255).astype(np.uint8)
    bluish = np.clip(picture * [0.8, 0.95, 1.1], 0, 255).astype(np.uint8)
    for copy in (brighter, bluish, recoded(picture, 60)):
        common = between(picture, copy)
        assert common.agreement > 0.96
        assert common.colour > 0.9


def test_what_is_new_within_the_frame_counts_against_a_pair(scene):
    picture = scene(3)
    changed = picture.copy()
    changed[40:120, 60:150] = scene(4)[40:120, 60:150]
    assert between(picture, changed).agreement < 0.9


def test_other_colours_are_told(scene):
    picture = scene(5)
    common = between(picture, picture[..., [1, 2, 0]])
    assert common.colour < 0.5
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert between(picture, grey).colour == 1


def test_a_corner_in_common_is_nothing(scene):
    features = Features.of(scene(6))
    far = np.array([[1.0, 0, 120], [0, 1.0, 90]])
    assert overlap(features, features, far).agreement == 0


def test_plain_pictures_agree_with_nothing():
    plain = Features.of(np.full((100, 100, 3), 120, np.uint8))
    assert overlap(plain, plain, np.eye(2, 3)).agreement == 0


@pytest.mark.parametrize("sigma", [2.5, 3.2])
def test_a_copy_out_of_focus_agrees_once_both_are_as_soft(scene, sigma):
    sharp, soft = Features.of(scene(6)), Features.of(cv2.GaussianBlur(scene(6), (0, 0), sigma))
    identity = np.eye(2, 3)
    for first, second in ((sharp, soft), (soft, sharp)):
        pair = as_soft(first, second)
        assert pair is not None
        assert overlap(*pair, identity).agreement > max(0.98, overlap(first, second, identity).agreement)


def test_pictures_that_are_about_as_sharp_stay_as_they_are(scene):
    assert as_soft(Features.of(scene(6)), Features.of(scene(6))) is None
