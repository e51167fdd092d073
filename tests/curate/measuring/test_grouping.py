from dataclasses import replace

import numpy as np
import pytest

from curate.measuring.grouping import Copies, Link, with_photographs

NONE = -1


@pytest.fixture
def copies():
    """Eight rows: 1 and 4 near copies with 4 kept, 2 and 3 equal; the later a row, the better, but for 2 and 3."""
    return Copies(
        pairs=[(1, 4, "near", 0.05), (2, 3, "exact", 0.0)],
        first=np.array([0, 1, 2, 2, 4, 5, 6, 7]),
        picture=np.array([0, 1, 2, 2, 4, 5, 6, 7]),
        group=np.array([NONE, 0, 1, 1, 0, NONE, NONE, NONE]),
        kept=np.array([0, 4, 2, 2, 4, 5, 6, 7]),
        distance=np.array([0, 0.05, 0, 0, 0, 0, 0, 0], np.float32),
        rank=np.array([7, 6, 4, 5, 3, 2, 1, 0]),
        threshold=0.9,
    )


def test_a_link_joins_the_groups_of_its_rows_around_the_best_of_all(copies):
    joined = with_photographs(copies, [Link(2, 4, 0.2), Link(6, 4, 0.1)])
    assert joined.group.tolist() == [NONE, 0, 0, 0, 0, NONE, 0, NONE]
    assert joined.kept.tolist() == [0, 6, 6, 6, 6, 5, 6, 7]
    assert joined.same_source.tolist() == [False, True, True, True, True, False, False, False]
    assert joined.pairs == sorted([*copies.pairs, (2, 4, "same_source", 0.2), (4, 6, "same_source", 0.1)])
    np.testing.assert_allclose(joined.distance, [0, 0.1, 0.2, 0.2, 0.1, 0, 0, 0], atol=1e-6)


def test_groups_are_numbered_by_their_first_rows(copies):
    joined = with_photographs(copies, [Link(0, 7, 0.1)])
    assert joined.group.tolist() == [0, 1, 2, 2, 1, NONE, NONE, 0]


def test_near_and_exact_copies_of_the_kept_one_are_no_mere_photographs(copies):
    joined = with_photographs(copies, [Link(0, 4, 0.1)])
    assert joined.kept[[0, 1, 4]].tolist() == [4, 4, 4]
    assert np.flatnonzero(joined.same_source).tolist() == [0]
    assert joined.distance[1] == pytest.approx(0.05)


def test_copies_that_are_most_of_a_set_are_grouped_only(copies):
    links = [Link(0, 7, 0.1), Link(1, 7, 0.1), Link(2, 7, 0.1), Link(5, 7, 0.1)]
    few = with_photographs(copies, links[:1])
    assert not few.mostly_copies
    assert not few.grouped_only.any()
    many = with_photographs(copies, links)
    assert many.mostly_copies
    # Row 3 has the very pixels of row 2.
    assert np.flatnonzero(many.grouped_only).tolist() == [0, 1, 2, 4, 5]
    assert np.flatnonzero(many.exact).tolist() == [3]


def test_another_row_can_be_kept_of_joined_groups_too(copies):
    joined = with_photographs(copies, [Link(2, 4, 0.2)]).keeping([2])
    assert joined.kept.tolist() == [0, 2, 2, 2, 2, 5, 6, 7]
    assert np.flatnonzero(joined.same_source).tolist() == [1, 4]


def test_without_photographs_nothing_is_of_one_source(copies):
    assert not copies.same_source.any()
    assert not copies.grouped_only.any()
    assert not copies.mostly_copies
    assert not replace(copies, photograph=np.arange(8)).grouped_only.any()
