import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from curate.checks.outliers import outlier, outlier_group
from curate.measuring.strangers import distances, foreign_copies
from curate.planting import FAULTS, strange_pictures

SINGLE = 160
COPIES = range(161, 173)
CLUSTER = range(173, 181)


def flagged(judgement) -> list[int]:
    return np.flatnonzero(judgement.score >= 0.5).tolist()


def greens(n: int) -> np.ndarray:
    """Pictures much like each other and like no cell, and yet no copies: green textures."""
    made = []
    for i in range(n):
        coarse = np.random.default_rng([9, i]).uniform((0, 120, 0), (60, 180, 60), (14, 14, 3))
        made.append(np.clip(cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC), 0, 255))
    return np.stack(made).astype(np.uint8)


@pytest.fixture(scope="module")
def intruded(cells, evidence_of):
    """The cells, one strange picture, twelve copies of another under all labels, and eight of a kind."""
    images, labels = cells
    face, landscape, _ = strange_pictures(96, 96)
    images = np.concatenate([images, face[None], np.repeat(landscape[None], len(COPIES), 0), greens(len(CLUSTER))])
    labels = np.concatenate([labels, [0], np.arange(len(COPIES)) % 4, [2, 2, 2, 2, 2, 1, 1, 0]])
    return evidence_of(images, labels)


def test_clean_cells_are_no_group_of_outliers_and_hardly_any_is_one_alone(clean):
    assert outlier_group(clean).note == outlier(clean).note == ""
    assert flagged(outlier_group(clean)) == []
    assert outlier_group(clean).stories == ()
    assert len(flagged(outlier(clean))) <= 1
    assert not clean.foreign.any()


def test_a_single_stranger_is_an_outlier_and_no_group(intruded):
    assert SINGLE in flagged(outlier(intruded))
    assert SINGLE not in flagged(outlier_group(intruded))


def test_many_copies_of_a_stranger_are_one_group_that_is_certain(intruded):
    judgement = outlier_group(intruded)
    assert set(COPIES) <= set(flagged(judgement))
    assert np.flatnonzero(judgement.certain).tolist() == list(COPIES)
    assert len(set(judgement.group[COPIES].tolist())) == 1
    assert judgement.because(COPIES[0]).startswith(
        "12 identical images, spread over all 4 classes, far from every class ("
    )


def test_a_tight_cluster_of_strangers_is_a_group_to_look_at(intruded):
    judgement = outlier_group(intruded)
    assert set(CLUSTER) <= set(flagged(judgement))
    assert len(set(judgement.group[CLUSTER].tolist())) == 1
    assert judgement.because(CLUSTER[0]).startswith("8 images much like each other, 62% of them labelled kidney, far")


def test_no_cell_is_drawn_into_a_group(intruded):
    assert flagged(outlier_group(intruded)) == [*COPIES, *CLUSTER]
    assert len([row for row in flagged(outlier(intruded)) if row < SINGLE]) <= 1


def test_every_group_is_told_as_a_story_of_its_rows(intruded):
    judgement = outlier_group(intruded)
    assert [story.rows for story in judgement.stories] == [tuple(COPIES), tuple(CLUSTER)]
    for story in judgement.stories:
        assert story.sentence == judgement.because(story.rows[0])
        assert set(judgement.group[list(story.rows)].tolist()) == {story.group}
    assert len({story.group for story in judgement.stories}) == 2
    assert (judgement.group[:SINGLE] == -1).all()


def test_a_story_is_made_of_plain_numbers_that_json_takes(intruded):
    for story in outlier_group(intruded).stories:
        assert json.loads(json.dumps(asdict(story))) == asdict(story) | {"rows": list(story.rows)}


def test_only_certain_copies_are_foreign_to_the_set(intruded):
    foreign = foreign_copies(intruded.copies, intruded.position, intruded.images.labels, intruded.neighbours)
    assert np.flatnonzero(foreign).tolist() == list(COPIES)
    assert (intruded.foreign == foreign).all()
    assert intruded.native.sum() == len(intruded.representatives) - 1


def test_an_outlier_names_its_nearest_and_how_far_it_lies(intruded):
    because = outlier(intruded).because(SINGLE)
    z = distances(intruded.neighbours).z[intruded.position[SINGLE]]
    figure = float(because.split()[0])
    assert figure >= round(z, 1) - 0.05
    assert "farther from its 20 nearest than others" in because
    nearest = intruded.representatives[intruded.neighbours.indices[intruded.position[SINGLE], 0]]
    assert f"the nearest is cell {nearest} ({intruded.images.label_name(nearest)})" in because


def test_a_picture_of_no_class_here_says_so_and_how_certainly(clean):
    row, n = 12, len(clean)
    odds = np.full(n, -np.inf)
    odds[row] = np.log(9)
    fits = replace(clean.belonging, odds=odds, fit=np.full(n, -np.inf), apart=True)
    judgement = outlier(replace(clean, belonging=fits))
    assert flagged(judgement) == [row]
    assert judgement.chance[row] == pytest.approx(0.9)
    label = clean.images.label_name(row)
    assert judgement.because(row).startswith(
        f"of no class here: it lies as far from {label} as pictures of other classes do (90% certain), and is none of "
        "these by its looks; the nearest is cell "
    )


def test_what_lies_beyond_a_gap_is_likelier_an_outlier_than_the_tail_of_the_set(intruded):
    judgement = outlier(intruded)
    assert ((judgement.chance >= 0) & (judgement.chance <= 1)).all()
    farthest = int(np.argmax(judgement.score))
    assert judgement.chance[farthest] == judgement.chance.max() > 0.5
    assert judgement.chance[np.argsort(judgement.score)[: len(intruded) // 2]].max() == 0


@pytest.mark.parametrize(("doubt", "stranger"), [(-5.0, False), (-1.5, True), (3.0, False)])
def test_what_fits_another_class_is_an_outlier_where_the_probe_cannot_decide(clean, doubt, stranger):
    n, row = len(clean), int(clean.probe.rows[0])
    odds, fit = np.full(n, -5.0), np.full(n, -np.inf)
    odds[row], fit[row] = 3.0, 1.0
    rival = np.where(fit > 0, (clean.images.labels + 1) % len(clean.images.classes), -1)
    fits = replace(clean.belonging, odds=odds, fit=fit, rival=rival, apart=True)
    doubts = np.append(doubt, np.full(len(clean.probe.rows) - 1, -5.0))
    judgement = outlier(replace(clean, belonging=fits, probe=replace(clean.probe, odds=doubts)))
    assert (row in flagged(judgement)) == stranger
    if stranger:
        assert f"hardly fits {clean.images.classes[rival[row]]} by its looks" in judgement.because(row)


def test_where_classes_do_not_lie_apart_distance_from_the_own_one_says_nothing(clean):
    fits = replace(clean.belonging, odds=np.full(len(clean), 5.0), apart=False)
    assert flagged(outlier(replace(clean, belonging=fits))) == flagged(outlier(replace(clean, belonging=None)))


def test_a_class_of_its_own_is_not_a_group_of_outliers(cells, set_of, evidence_of):
    images, labels = np.concatenate([cells[0], greens(12)]), np.concatenate([cells[1], np.full(12, 4)])
    known = set_of(images, labels, classes=(*"abcd", "texture"))
    assert flagged(outlier_group(evidence_of(known))) == []


def test_a_good_part_of_a_class_is_not_a_group_of_outliers(cells, set_of, evidence_of):
    # A quarter of the class lies together and far from the others: another kind of the same thing.
    assert (cells[1] == 3).sum() == 22
    images, labels = np.concatenate([cells[0], greens(8)]), np.concatenate([cells[1], np.full(8, 3)])
    assert flagged(outlier_group(evidence_of(images, labels))) == []


def test_pictures_blurred_alike_are_no_strangers_that_could_be_dropped(cells, evidence_of):
    images = cells[0].copy()
    for row in range(0, 160, 20):
        images[row] = FAULTS["blur"](images[row], np.random.default_rng([4, row]))
    assert not outlier_group(evidence_of(images, cells[1])).certain.any()


def test_copies_of_an_ordinary_cell_are_no_group_of_outliers(clean, cells, evidence_of):
    ordinary = int(np.argsort(distances(clean.neighbours).z)[80])
    images = np.concatenate([cells[0], np.repeat(cells[0][ordinary : ordinary + 1], 10, 0)])
    labels = np.concatenate([cells[1], np.arange(10) % 4])
    evidence = evidence_of(images, labels)
    assert flagged(outlier_group(evidence)) == []
    assert not evidence.foreign.any()


def test_three_copies_of_a_cell_somewhat_unlike_the_others_are_not_all_dropped(clean, cells, evidence_of):
    z = distances(clean.neighbours).z
    unusual = int(np.argmax(z))
    assert 2 <= z[unusual] < 3  # one picture in fifty lies as far out
    images = np.concatenate([cells[0], cells[0][[unusual, unusual]]])
    labels = np.concatenate([cells[1], cells[1][[unusual, unusual]]])
    evidence = evidence_of(images, labels)
    assert evidence.copies.members(0).tolist() == [unusual, 160, 161]
    assert not outlier_group(evidence).certain[[unusual, 160, 161]].all()


@pytest.mark.parametrize("check", [outlier, outlier_group])
def test_among_fewer_than_twenty_different_pictures_none_is_far(cells, evidence_of, check):
    few = evidence_of(np.concatenate([cells[0][:19]] * 2))
    assert "too few" in check(few).note
    assert not check(few).score.any()
    assert not few.foreign.any()
    assert check(evidence_of(cells[0][:20])).note == ""


def test_a_set_in_which_all_lie_alike_far_apart_has_no_outliers(rng, evidence_of):
    noise = rng.integers(0, 256, (60, 32, 32, 3), np.uint8)
    evidence = evidence_of(noise)
    assert flagged(outlier(evidence)) == flagged(outlier_group(evidence)) == []


def test_a_copy_lies_as_far_out_as_it_does_itself(cells, evidence_of):
    images = np.concatenate([cells[0][:100], cells[0][[5, 6], :, ::-1], cells[0][5:6]])
    evidence = evidence_of(images)
    assert evidence.variants.rows.tolist() == [100, 101]
    score = outlier(evidence).score
    assert score[102] == score[5]
    alone = np.linalg.norm(evidence.features[evidence.representatives] - evidence.features[100], axis=1)
    alone = np.sort(np.delete(alone, 5))[:20].mean()  # without the picture that it is a copy of
    z = float(distances(evidence.neighbours).standardised(np.array([alone]))[0])
    assert score[100] == pytest.approx(1 - 2 ** (-max(z, 0) / 3.5), abs=2e-3)
