from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.assigning import assign_splits
from curate.configs import SplitConfig
from curate.stage.errors import DataError

# Pure allocation


@st.composite
def sets(draw, mixed: bool = True, labelled: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(labels, units): up to five classes, groups of up to six, of several classes at times."""
    sizes = draw(st.lists(st.one_of(st.just(1), st.integers(1, 6)), min_size=1, max_size=80))
    classes = draw(st.integers(1, 5))
    low = 0 if labelled else -1
    units = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    of_unit = rng.integers(low, classes, len(sizes))
    labels = of_unit[units]
    if mixed:
        other = rng.random(len(labels)) < draw(st.sampled_from([0, 0.05, 1]))
        labels = np.where(other, rng.integers(low, classes, len(labels)), labels)
    order = rng.permutation(len(units))
    return labels[order], units[order]


shares = st.sampled_from(
    [(0.7, 0.15, 0.15), (0.8, 0, 0.2), (0.5, 0.25, 0.25), (1, 0, 0), (0.34, 0.33, 0.33), (0.1, 0.8, 0.1)]
)


def table(labels: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """(classes, 3): images of each class in each split."""
    return np.array([[((labels == c) & (assigned == s)).sum() for s in range(3)] for c in np.unique(labels)])


def attempt(labels: np.ndarray, units: np.ndarray, config: SplitConfig) -> tuple[np.ndarray | None, int | None, str]:
    """(assigned, per_class, the error or "")."""
    try:
        return *assign_splits(labels, units, config)[:2], ""
    except DataError as error:
        return None, None, str(error)


def crossing(units: np.ndarray, assigned: np.ndarray) -> list[int]:
    return [unit for unit in np.unique(units) if len(set(assigned[units == unit])) > 1]


@given(data=sets(labelled=False), shares=shares, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=80)
def test_no_group_crosses_every_image_is_assigned_and_no_split_is_empty(data, shares, seed):
    labels, units = data
    assigned, per_class, error = attempt(labels, units, SplitConfig(*shares, seed=seed))
    if assigned is None:
        assert "would be empty" in error
        groups = [len(set(units[labels == c])) for c in set(labels[labels >= 0].tolist())]
        assert len(set(units)) < 3 or min(groups, default=0) < 3 or len(groups) > 1
        return
    assert per_class is None
    assert crossing(units, assigned) == []
    assert {s for s in range(3) if shares[s]} == set(assigned.tolist())


@given(data=sets(mixed=False), shares=shares)
@settings(deadline=None, max_examples=80)
def test_a_class_is_shared_as_asked_to_within_its_largest_group(data, shares):
    labels, units = data
    sizes = np.bincount(units)
    assigned, _, error = attempt(labels, units, SplitConfig(*shares))
    if assigned is None:
        assert "would be empty" in error
        return
    for c, got in zip(np.unique(labels), table(labels, assigned), strict=True):
        largest = sizes[units[labels == c]].max()
        # With fewer groups, that each split gets one may count for more than its share.
        if len(set(units[labels == c])) >= 3 * largest:
            asked = np.array(shares) * (labels == c).sum()
            assert (np.abs(got - asked) < largest + 1).all()


@given(n=st.lists(st.integers(10, 400), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_without_groups_every_class_and_the_whole_are_exact_to_an_image_or_two(n):
    labels = np.repeat(np.arange(len(n)), n)
    assigned, _, _ = assign_splits(labels, np.arange(len(labels)))
    got, asked = table(labels, assigned), np.outer(n, [0.7, 0.15, 0.15])
    assert (np.abs(got - asked) < 1).all()
    assert (np.abs(got.sum(axis=0) - asked.sum(axis=0)) <= 1.5).all()


@given(data=sets(), shares=shares, balanced=st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_same_seed_gives_the_same_splits(data, shares, balanced):
    labels, units = data
    config = SplitConfig(*shares, balanced_test=balanced, seed=5)
    one, two = (attempt(labels, units, config) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert one[1:] == two[1:]


def test_another_seed_gives_other_splits_of_the_same_sizes():
    labels, units = np.repeat([0, 1], 50), np.arange(100)
    a, b = (assign_splits(labels, units, SplitConfig(seed=seed))[0] for seed in (0, 1))
    assert not np.array_equal(a, b)
    assert np.array_equal(table(labels, a), table(labels, b))


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assign_splits(np.repeat([0, 1], 50), np.arange(100))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_large_groups_go_to_train_where_they_weigh_least():
    units = np.concatenate([np.zeros(20, int), np.arange(1, 101)])
    assigned, _, _ = assign_splits(np.zeros(120, int), units)
    assert set(assigned[:20]) == {0}
    assert np.bincount(assigned).tolist() == [84, 18, 18]


def test_a_group_of_several_classes_goes_where_it_overfills_least():
    # Ten images of either class, seven of class 0 in a group with one of class 1: only train has room for these.
    labels = np.array([0] * 7 + [1] + [0] * 3 + [1] * 9)
    units = np.concatenate([np.zeros(8, int), np.arange(1, 13)])
    assigned, _, _ = assign_splits(labels, units, SplitConfig(0.6, 0.2, 0.2))
    assert set(assigned[:8]) == {0}
    assert table(labels, assigned).min() >= 1


def test_patients_with_all_classes_are_shared_to_within_one_patient():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), rng.integers(5, 30, 40))
    labels = rng.integers(0, 4, len(units))
    assigned, _, _ = assign_splits(labels, units)
    assert crossing(units, assigned) == []
    assert (np.abs(np.bincount(assigned) - len(units) * np.array([0.7, 0.15, 0.15])) < 30).all()
    spread = table(labels, assigned) / np.bincount(assigned)
    assert np.ptp(spread, axis=1).max() < 0.15


def test_a_class_with_as_many_groups_as_splits_is_in_each():
    labels = np.array([0] * 90 + [1] * 3)
    assigned, _, _ = assign_splits(labels, np.arange(93))
    assert table(labels, assigned)[1].tolist() == [1, 1, 1]
    by_groups, _, _ = assign_splits(labels, np.array([*range(90), 90, 91, 92]), SplitConfig(0.9, 0.05, 0.05))
    assert table(labels, by_groups)[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("images", [1, 2])
def test_a_class_with_fewer_groups_is_in_train_at_least(images):
    for share in (0.7, 0.1):
        labels = np.array([0] * 90 + [1] * images)
        assigned, _, _ = assign_splits(labels, np.arange(len(labels)), SplitConfig(share, 0.9 - share, 0.1))
        assert table(labels, assigned)[1, 0] >= 1


@pytest.mark.parametrize("sizes", [(12, 5, 4, 3, 2, 1), (1, 2, 3, 4, 5, 12), (3, 2, 12, 1, 5, 4)])
def test_all_of_a_class_with_fewer_groups_is_in_train_whatever_others_there_are(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assigned, _, _ = assign_splits(labels, np.arange(len(labels)))
    shares = {size: counts.tolist() for size, counts in zip(sizes, table(labels, assigned), strict=True)}
    assert (shares[1], shares[2], shares[3]) == ([1, 0, 0], [2, 0, 0], [1, 1, 1])


def test_where_most_images_are_of_classes_with_fewer_groups_these_are_in_val_and_test_as_well():
    labels = np.repeat(np.arange(50), 2)
    assigned, _, _ = assign_splits(labels, np.arange(100))
    assert np.abs(np.bincount(assigned) - [70, 15, 15]).max() <= 1


def test_a_split_that_rounding_would_leave_empty_gets_a_group():
    labels = np.full(4, -1)
    assigned, _, notes = assign_splits(labels, np.arange(4), SplitConfig(0.98, 0.01, 0.01))
    assert sorted(assigned.tolist()) == [0, 0, 1, 2]
    assert notes == tuple(f"{name} would have been empty, so it got one group" for name in ("val", "test"))


@pytest.mark.parametrize(
    ("labels", "units"),
    [([0, 0, 0], [0, 0, 0]), ([0, 0], [0, 1]), ([0, 1, 2], [0, 1, 2]), ([-1, -1], [0, 1]), ([0], [0])],
)
def test_where_a_split_must_be_empty_it_is_an_error(labels, units):
    with pytest.raises(
        DataError,
        match=r"(val|test) would be empty: the set has \d groups? .* Ask for fewer splits.*for what `train` cannot fit",
    ):
        assign_splits(np.array(labels), np.array(units))


def test_given_splits_are_kept_and_the_rest_makes_the_whole_as_asked():
    labels = np.repeat([0, 1], 100)
    fixed = np.full(200, -1)
    fixed[:40] = 0
    fixed[100:130] = 2  # as many as class 1 is to have, and twice that
    units = np.arange(200)
    units[[50, 51]] = 0  # copies of a training image
    assigned, _, _ = assign_splits(labels, units, SplitConfig(), fixed)
    assert np.array_equal(assigned[fixed >= 0], fixed[fixed >= 0])
    assert assigned[[50, 51]].tolist() == [0, 0]
    assert table(labels, assigned)[0].tolist() == [70, 15, 15]
    assert table(labels, assigned)[1, 2] == 30
    assert table(labels, assigned)[1, 0] in (57, 58)


def test_other_splits_of_the_set_have_no_share():
    labels, fixed = np.zeros(120, int), np.full(120, -1)
    fixed[:20] = 3
    assigned, _, _ = assign_splits(labels, np.arange(120), SplitConfig(), fixed)
    assert np.bincount(assigned).tolist() == [70, 15, 15, 20]


# A balanced test set


@given(data=sets(labelled=False), shares=st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0, 0.2), (0.4, 0.6, 0)]))
@settings(deadline=None, max_examples=80)
def test_a_balanced_test_set_has_as_many_of_every_class_and_train_no_fewer(data, shares):
    labels, units = data
    assigned, per_class, error = attempt(labels, units, SplitConfig(*shares, balanced_test=True))
    if assigned is None or per_class is None:
        assert "balanced test set" in error
        return
    assert crossing(units, assigned) == []
    known = labels >= 0
    got = table(labels[known], assigned[known])
    assert per_class > 0
    assert (got[:, 2] == per_class).all()
    assert (got[:, 0] >= per_class).all()
    assert not (assigned[~known] == 2).any()


@given(n=st.lists(st.integers(4, 300), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_a_balanced_test_set_has_the_share_of_test_or_the_largest_number_that_fits(n):
    labels = np.repeat(np.arange(len(n)), n)
    _, per_class, _ = assign_splits(labels, np.arange(len(labels)), SplitConfig(balanced_test=True))
    exact = min(n) * 0.7 / (0.85 + 0.7)
    asked = max(1, 0.15 * sum(n) / len(n))
    assert abs(per_class - min(exact, asked)) <= 1


def test_train_and_val_keep_the_natural_imbalance():
    n = np.array([300, 120, 60])
    labels = np.repeat(np.arange(3), n)
    assigned, per_class, _ = assign_splits(labels, np.arange(480), SplitConfig(balanced_test=True, per_class=20))
    got = table(labels, assigned)
    assert per_class == 20
    assert got[:, 2].tolist() == [20, 20, 20]
    assert (np.abs(got[:, 0] - (n - 20) * 0.7 / 0.85) < 1).all()


def test_balance_is_exact_also_where_only_groups_make_it():
    labels = np.repeat([0, 1], [24, 40])
    units = np.concatenate([np.arange(24) // 3, 100 + np.arange(40)])  # class 0 comes in threes
    units = np.unique(units, return_inverse=True)[1]
    half = SplitConfig(train=0.35, val=0.075, test=0.575, balanced_test=True)
    assigned, per_class, _ = assign_splits(labels, units, half)
    assert per_class == 9
    assert table(labels, assigned)[:, 2].tolist() == [9, 9]
    with pytest.raises(DataError, match=r"class 0 cannot have exactly 8 images in test: .* make 6. Set --per-class 6"):
        assign_splits(labels, units, SplitConfig(balanced_test=True, per_class=8))


def test_the_test_set_takes_pictures_without_copies_first():
    labels, units = np.zeros(60, int), np.concatenate([np.repeat(np.arange(10), 3), np.arange(10, 40)])
    assigned, _, _ = assign_splits(labels, units, SplitConfig(balanced_test=True, per_class=12))
    assert not (assigned[:30] == 2).any()


@pytest.mark.parametrize(
    ("labels", "units", "config", "said"),
    [
        ([-1] * 9, range(9), {}, r"a balanced test set needs labels, and the set has none"),
        ([0] * 9 + [1], range(10), {}, r"class B has 1 image, in 1 group .* needed are 2 of every class"),
        ([0, 1] * 5, [i // 2 for i in range(10)], {}, r"no balanced test set can be made: class A has 5 images, in 0"),
        ([0] * 9 + [1] * 9, range(18), {"per_class": 9}, r"9 test images of every class leave none of class A"),
        (
            [0, 1] * 5,
            [i // 2 for i in range(10)],
            {"per_class": 2},
            r"class A has no group of 2 images or fewer of its",
        ),
    ],
)
def test_what_cannot_be_balanced_is_an_error(labels, units, config, said):
    with pytest.raises(DataError, match=said):
        assign_splits(np.array(labels), np.array(units), SplitConfig(balanced_test=True, **config), classes=["A", "B"])


def test_a_set_with_test_images_is_not_balanced_by_halves():
    fixed = np.full(20, -1)
    fixed[0] = 2
    with pytest.raises(DataError, match=r"has 1 test images already. Split it anew with --fresh"):
        assign_splits(np.repeat([0, 1], 10), np.arange(20), SplitConfig(balanced_test=True), fixed)
