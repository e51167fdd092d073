import cv2
import numpy as np
import pytest

from curate.measuring.keypoints import INLIERS, MOST, SIDE, Features, matched


def apart(match, first, second, mapped) -> float:
    """Pixels by which a match misses where points of a picture really went, at the worst of its corners."""
    (height, width), (h, w) = first.shape[:2], second.shape[:2]
    scale = min(1, SIDE / max(height, width)), min(1, SIDE / max(h, w))
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
    by_match = (corners * scale[0]) @ match.affine[:, :2].T + match.affine[:, 2]
    return float(np.abs(by_match - np.array([mapped(*corner) for corner in corners]) * scale[1]).max())


def test_features_are_bounded_and_the_strongest_come_first(scene):
    features = Features.of(scene(0, 600, 400))
    assert max(features.grey.shape) == SIDE
    assert max(features.colour.shape[:2]) <= 32
    assert 50 < len(features.points) <= MOST
    assert features.descriptors.shape == (len(features.points), 128)
    assert features.descriptors.dtype == np.uint8
    assert (features.points >= 0).all()
    assert (features.points <= SIDE).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2), (64, 64)])
def test_a_plain_picture_of_any_shape_has_no_points(shape):
    features = Features.of(np.full((*shape, 3), 120, np.uint8))
    assert len(features.points) == 0
    assert matched(features, features) is None


def test_borders_of_black_or_white_are_outside_and_no_point_lies_at_their_edge(scene, warped):
    for level in (0, 255):
        features = Features.of(warped(scene(1), degrees=25, border=level))
        assert 0.05 < (features.inside == 0).mean() < 0.5
        distance = cv2.distanceTransform(features.inside, cv2.DIST_L2, 5)
        x, y = features.points.round().astype(int).T
        height, width = features.grey.shape
        assert (distance[y.clip(0, height - 1), x.clip(0, width - 1)] >= 2).all()


def test_a_night_sky_is_no_border(scene):
    picture = np.zeros((150, 200, 3), np.uint8)
    picture[60:100, 80:130] = scene(2)[:40, :50]
    assert Features.of(picture).inside.all()


def test_a_turned_picture_is_mapped_to_where_it_went(scene, warped):
    picture = scene(3)
    match = matched(Features.of(picture), Features.of(warped(picture, degrees=20, zoom=1.2)))
    turn = cv2.getRotationMatrix2D((100, 75), 20, 1.2)
    assert match is not None
    assert match.inliers >= 30
    assert match.share > 0.6
    assert apart(match, picture, picture, lambda x, y: turn @ (x, y, 1)) < 3


def test_a_mirrored_crop_is_mapped_to_where_it_was(scene):
    picture = scene(4)
    crop = picture[30:120, 50:160][:, ::-1]
    match = matched(Features.of(picture), Features.of(np.ascontiguousarray(crop)))
    assert match is not None
    assert np.linalg.det(match.affine[:, :2]) < 0
    assert apart(match, picture, crop, lambda x, y: (160 - x, y - 30)) < 3


@pytest.mark.parametrize("seed", range(8))
def test_different_pictures_have_no_map(scene, seed):
    assert matched(Features.of(scene(seed)), Features.of(scene(seed + 100))) is None


def test_a_map_needs_enough_points(scene):
    features = Features.of(scene(5))
    few = Features(features.grey, features.colour, features.points[: INLIERS - 1], features.descriptors[: INLIERS - 1])
    assert matched(features, few) is None
    assert matched(few, features) is None
