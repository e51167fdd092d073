from dataclasses import replace

import numpy as np
import pytest

from curate.measuring.strangers import Distances, distances, far_copies, foreign_copies


def test_distances_are_measured_in_robust_deviations_of_the_set(clean):
    z = distances(clean.neighbours).z
    assert abs(np.median(z)) < 1e-6
    assert 1.4826 * np.median(np.abs(z)) == pytest.approx(1, abs=0.01)
    again = distances(clean.neighbours).standardised(clean.neighbours.distances[:, :20].mean(axis=1))
    np.testing.assert_allclose(again, z, rtol=1e-6)


def test_rows_without_neighbours_lie_nowhere_far(clean):
    empty = replace(clean.neighbours, distances=np.zeros((160, 0), np.float32), indices=np.zeros((160, 0), np.int64))
    assert not distances(empty).z.any()


def copied(clean, rows, z):
    """The copies of a set of which some rows are one group, and distances that put its picture at z."""
    group, kept, position = np.full(160, -1), np.arange(160), np.arange(160)
    group[rows], kept[rows], position[rows] = 0, rows[0], rows[0]
    far = np.zeros(160)
    far[rows[0]] = z
    return replace(clean.copies, group=group, kept=kept), position, Distances(far, 0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "labels", "z", "found", "certain"),
    [
        (2, 2, 9, False, False),  # two are no group
        (3, 1, 3.4, False, False),
        (3, 1, 3.5, True, False),  # a few under one label may be a rare picture
        (3, 2, 3.5, True, True),
        (10, 1, 3.5, True, True),
        (10, 2, 2.0, True, True),  # many under several labels need not lie as far out
        (10, 2, 1.9, False, False),
        (9, 2, 2.0, False, False),
    ],
)
def test_copies_are_strangers_by_their_number_their_labels_and_how_far_they_lie(
    clean, count, labels, z, found, certain
):
    rows = np.arange(20, 20 + count)
    copies, position, far = copied(clean, rows, z)
    given = np.zeros(160, np.int64)
    given[rows] = np.arange(count) % labels
    groups = far_copies(copies, position, given, far)
    assert [group.rows.tolist() for group in groups] == ([rows.tolist()] if found else [])
    assert [(group.group, group.z, group.certain) for group in groups] == ([(0, z, certain)] if found else [])


def test_among_fewer_than_twenty_different_pictures_no_copy_is_foreign(cells, evidence_of):
    images = np.concatenate([cells[0][:15], np.zeros((12, 96, 96, 3), np.uint8)])
    evidence = evidence_of(images, np.arange(27) % 4)
    assert not foreign_copies(evidence.copies, evidence.position, evidence.images.labels, evidence.neighbours).any()
