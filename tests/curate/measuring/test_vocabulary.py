import numpy as np
import pytest

from curate.measuring.keypoints import Features
from curate.measuring.vocabulary import likely_pairs


@pytest.fixture(scope="module")
def descriptors(scene, warped):
    """Those of forty scenes, and after them of eight of these, cropped, turned or mirrored."""
    scenes = [scene(seed) for seed in range(40)]
    copies = [scenes[row][20:120, 30:170] for row in range(3)]
    copies += [warped(scenes[row], degrees=15 * row - 50) for row in range(3, 6)]
    copies += [np.ascontiguousarray(scenes[row][:, ::-1]) for row in (6, 7)]
    return [Features.of(picture).descriptors for picture in scenes + copies]


def test_pictures_that_show_the_same_are_the_likest(descriptors):
    pairs, likeness, ranks = likely_pairs(descriptors, 3)
    assert {tuple(pair) for pair in pairs[:8].tolist()} == {(row, 40 + row) for row in range(8)}
    assert likeness[7] > 1.5 * likeness[8]
    assert not ranks[:8].any()


def test_pairs_are_told_once_the_likest_first(descriptors):
    pairs, likeness, ranks = likely_pairs(descriptors, 5)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs) <= 5 * len(descriptors)
    assert (np.diff(likeness) <= 0).all()
    assert likeness.min() > 0
    assert (np.unique(pairs[ranks == 0]) == np.arange(len(descriptors))).all()
    assert ranks.max() < 5
    assert likeness.max() <= 1 + 1e-5


def test_the_same_descriptors_give_the_same_pairs(descriptors):
    first, second = likely_pairs(descriptors, 3), likely_pairs(descriptors, 3)
    for values, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_pictures_is_enough(descriptors, n):
    pairs, *_ = likely_pairs([*descriptors[: n - 1], descriptors[40]], 8)
    assert [0, n - 1] in pairs.tolist()


def test_pictures_without_points_are_like_nothing(descriptors):
    pairs, *_ = likely_pairs([np.zeros((0, 128), np.uint8), *descriptors[:3]], 3)
    assert not (pairs == 0).any()
