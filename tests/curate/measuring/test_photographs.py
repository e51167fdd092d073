import cv2
import numpy as np
import pytest

from curate.measuring.grouping import Link, with_photographs
from curate.measuring.photographs import LEAST_SIDE, Gallery, agreed, find_photographs


@pytest.fixture(scope="module")
def made_of(set_of, evidence_of):
    """The evidence of some pictures of several sizes."""

    def of(pictures, workers=1, **known):
        return evidence_of(set_of([picture[None] for picture in pictures], **known), workers=workers)

    return of


@pytest.fixture(scope="module")
def pictures(scene, warped):
    """Forty scenes; after them three of these cropped, three warped, one warped and mirrored, one a part of another."""
    scenes = [scene(seed) for seed in range(40)]
    return [
        *scenes,
        scenes[0][20:120, 30:180],
        scenes[1][:, 60:],
        scenes[2][30:, :150],
        warped(scenes[3], degrees=25, zoom=0.9),
        warped(scenes[4], degrees=-15, shear=0.2, border=255),
        warped(scenes[5], degrees=10, zoom=1.4),
        np.ascontiguousarray(warped(scenes[6], degrees=12)[:, ::-1]),
    ]


def groups_of(evidence) -> list[list[int]]:
    return [evidence.copies.members(g).tolist() for g in range(evidence.copies.group.max(initial=-1) + 1)]


def test_one_photograph_is_one_group_however_it_was_cropped_or_warped(made_of, pictures):
    evidence = made_of(pictures)
    assert groups_of(evidence) == [[row, 40 + row] for row in range(7)]
    kinds = {kind for *_, kind, _ in evidence.copies.pairs}
    assert "same_source" in kinds <= {"same_source", "near", "rotated"}
    assert all(0 <= distance < 1 for *_, distance in evidence.copies.pairs)


def test_the_number_of_workers_changes_nothing(made_of, pictures):
    serial, parallel = made_of(pictures).copies, made_of(pictures, workers=3).copies
    assert serial.pairs == parallel.pairs
    np.testing.assert_array_equal(serial.group, parallel.group)
    np.testing.assert_array_equal(serial.kept, parallel.kept)


def test_many_copies_of_a_few_photographs_are_as_many_groups(made_of, scene, warped):
    rng = np.random.default_rng(0)
    copies = [
        warped(scene(seed), degrees=rng.uniform(-30, 30), zoom=rng.uniform(0.9, 1.2), shear=rng.uniform(-0.2, 0.2))
        for seed in range(5)
        for _ in range(14)
    ]
    evidence = made_of(copies)
    assert groups_of(evidence) == [list(range(14 * i, 14 * i + 14)) for i in range(5)]
    assert evidence.copies.mostly_copies
    assert evidence.copies.grouped_only.sum() == 5 * 13


def test_pictures_that_are_alike_as_thumbnails_are_looked_at_closer_by(set_of, scene):
    picture = scene(0)
    other = picture.copy()
    other[50:100, 70:130] = scene(1)[50:100, 70:130]
    recoded = np.clip(picture * 1.1 + 5, 0, 255).astype(np.uint8)
    plain = np.full_like(picture, 128)
    images = set_of([x[None] for x in (picture, other, recoded, picture[..., [1, 2, 0]], plain)])
    gallery = Gallery(images, np.full(5, 150.0), 1)
    pairs = np.array([(0, 1), (0, 2), (0, 3), (0, 4)])
    # Of a plain picture there is nothing to be seen closer by, and what its thumbnail says stands.
    assert gallery.confirmed(pairs).tolist() == [False, True, False, True]


def test_a_copy_that_is_out_of_focus_stands_closer_by(set_of, scene):
    soft = cv2.GaussianBlur(scene(0), (0, 0), 2.5)
    gallery = Gallery(set_of([np.stack([scene(0), soft])]), np.full(2, min(soft.shape[:2])), workers=1)
    assert gallery.confirmed(np.array([(0, 1), (1, 0)])).all()


def test_two_scenes_with_one_backdrop_are_two_photographs(made_of, scene):
    backdrop = scene(50)
    series = []
    for seed in range(6):
        picture = backdrop.copy()
        picture[30:130, 50:150] = scene(60 + seed)[:100, :100]
        series.append(picture)
    assert groups_of(made_of([*series, *(scene(seed) for seed in range(20))])) == []


def test_another_colour_is_another_picture(made_of, scene):
    pictures = [scene(seed) for seed in range(20)]
    turned = np.ascontiguousarray(pictures[0][10:140, 20:180][..., [1, 2, 0]])
    assert not any(kind == "same_source" for *_, kind, _ in made_of([*pictures, turned]).copies.pairs)


def test_pictures_that_are_too_small_are_left_to_their_thumbnails(made_of, scene, cells):
    small = [scene(seed, LEAST_SIDE - 1, LEAST_SIDE - 1) for seed in range(20)]
    evidence = made_of([*small, small[0][10:50, 10:50]])
    sides = np.full(21, LEAST_SIDE - 1.0)
    gallery = Gallery(evidence.images, sides, 1)
    assert not gallery.large_enough.any()
    assert find_photographs(gallery, evidence.copies, evidence.neighbours) == []
    assert gallery.confirmed(np.array([(0, 1), (2, 3)])).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_pictures_is_compared_as_well(made_of, scene, n):
    pictures = [scene(0), scene(0)[10:130, 20:170], scene(1)][:n]
    assert groups_of(made_of(pictures)) == ([[0, 1]] if n > 1 else [])


def test_without_links_copies_stay_as_they_are(made_of, pictures):
    copies = made_of(pictures[:10]).copies
    assert with_photographs(copies, []) is copies


def test_one_link_by_mistake_joins_no_groups_whose_pictures_disagree(set_of, scene, warped):
    backdrop = scene(70)
    scenes = []
    for seed in (71, 72):
        picture = backdrop.copy()
        picture[20:130, 40:110] = scene(seed)[:110, :70]
        scenes.append(picture)
    pictures = [warped(picture, degrees=degrees) for picture in scenes for degrees in (0, 4, 8, 12)]
    gallery = Gallery(set_of([picture[None] for picture in pictures]), np.full(8, 150.0), 1)
    gallery.read(np.arange(8))
    right = gallery.links(np.array([(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7)]))
    assert len(right) == 6
    assert (gallery.votes(np.array([(0, 4), (1, 6)])) == -1).all()
    mistake = Link(3, 4, 0.4)
    assert agreed([*right, mistake], np.arange(8), gallery) == right
    # Halves of one photograph's copies are joined by one link as well.
    assert agreed(right, np.arange(8), gallery) == right
    alone = np.array([0, 1, 1, 1, 4, 4, 4, 4])
    assert agreed([Link(0, 2, 0.1)], alone, gallery) == [Link(0, 2, 0.1)]
