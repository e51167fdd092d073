from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measuring.grouping import Copies
from curate.measuring.parting import parted, without_apart

NONE = -1


def groups(group, links, apart, pixels=None):
    """The groups of rows whose links are (a, b, distance)."""
    table = np.array(links, np.float64).reshape(-1, 3)
    numbers = np.arange(len(group)) if pixels is None else np.array(pixels)
    return parted(np.array(group), table[:, :2].astype(np.int64), table[:, 2], numbers, apart).tolist()


def test_the_strongest_links_are_followed_first():
    links = [(0, 2, 0.3), (0, 1, 0.1), (1, 2, 0.2), (2, 3, 0.05)]
    assert groups([0, 0, 0, 0], links, [(0, 3)]) == [0, 0, 1, 1]
    assert groups([0, 0, 0, 0], [(0, 2, 0.02), *links[1:]], [(0, 3)]) == [0, 0, 0, NONE]


def test_what_is_alone_is_in_no_group_and_other_groups_are_as_they_were():
    assert groups([0, 0, 1, 1, NONE], [(0, 1, 0.1), (2, 3, 0.1)], [(0, 1)]) == [NONE, NONE, 1, 1, NONE]
    assert groups([0, 0, 1, 1], [(0, 1, 0.1)], [(0, 2), (1, 3)]) == [0, 0, 1, 1]


def test_equal_pixels_stay_together():
    assert groups([0, 0, 0, 0], [(0, 1, 0.0), (0, 2, 0.1), (2, 3, 0.0)], [(0, 2)], [0, 0, 2, 2]) == [0, 0, 1, 1]


def test_members_that_nothing_links_within_the_group_stay_with_the_first():
    assert groups([0, 0, 0], [(0, 1, 0.1)], [(0, 1)]) == [0, NONE, 0]


@given(
    n=st.integers(2, 8),
    links=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(0, 1)), max_size=14),
    apart=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=3), max_size=3),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_no_two_that_are_apart_are_ever_together_and_nothing_else_is_joined(n, links, apart, order):
    group = np.array([row // 4 for row in range(n)])
    links = [(a, b, d) for a, b, d in links if a < n and b < n and a != b]
    apart = [[row for row in rows if row < n] for rows in apart]
    result = groups(group, links, apart)
    for rows in apart:
        for a, b in combinations(set(rows), 2):
            assert result[a] != result[b] or result[a] == NONE
    for a, b in combinations(range(n), 2):
        if result[a] == result[b] != NONE:
            assert group[a] == group[b]
    shuffled = list(links)
    order.shuffle(shuffled)
    assert groups(group, shuffled, apart) == result


@pytest.fixture
def copies():
    """Six rows: 0 to 3 a group around 2, with 3 the pixels of 2; 4 and 5 another."""
    return Copies(
        pairs=[
            (0, 1, "near", 0.05),
            (0, 2, "near", 0.1),
            (1, 2, "near", 0.2),
            (2, 3, "exact", 0.0),
            (4, 5, "near", 0.1),
        ],
        first=np.array([0, 1, 2, 2, 4, 5]),
        picture=np.array([0, 1, 2, 2, 4, 5]),
        group=np.array([0, 0, 0, 0, 1, 1]),
        kept=np.array([2, 2, 2, 2, 4, 4]),
        distance=np.array([0.1, 0.2, 0, 0, 0, 0.1], np.float32),
        rank=np.array([3, 2, 0, 1, 4, 5]),
        threshold=0.9,
        photograph=np.array([0, 0, 0, 0, 1, 1]),
    )


def test_of_each_part_the_best_is_kept(copies):
    apart = without_apart(copies, [(0, 2)])
    assert apart.group.tolist() == [0, 0, 1, 1, 2, 2]
    assert apart.kept.tolist() == [1, 1, 2, 2, 4, 4]
    np.testing.assert_allclose(apart.distance, [0.05, 0, 0, 0, 0, 0.1], atol=1e-6)
    assert apart.extra.tolist() == [True, False, False, True, False, True]
    assert not apart.same_source.any()
    assert apart.pairs == copies.pairs


def test_what_leaves_its_group_alone_is_its_own(copies):
    apart = without_apart(copies, [(0, 1, 2)])
    assert apart.group.tolist() == [NONE, NONE, 0, 0, 1, 1]
    assert apart.kept.tolist() == [0, 1, 2, 2, 4, 4]
    assert not apart.extra[:2].any()


def test_where_nothing_is_apart_the_copies_are_the_same(copies):
    assert without_apart(copies, []) is copies
    assert without_apart(copies, [(0, 4)]) is copies
