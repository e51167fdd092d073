from math import comb

import numpy as np
import pytest

from train.intervals import (
    Resampling,
    bootstrap,
    holm,
    interval,
    intervals,
    mcnemar,
    paired,
    permuted_p,
    share_interval,
)
from train.measures import accuracy, balanced_accuracy, macro_f1, tally


def clustered(rng: np.random.Generator, groups: int, size: int, mean: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """(right, group) of images whose group has a chance of its own to be right, `mean` on average."""
    chance = rng.beta(2 * mean, 2 * (1 - mean), groups)
    return rng.random(groups * size) < np.repeat(chance, size), np.repeat(np.arange(groups), size)


def covered(seeds: range, alone: bool) -> float:
    """How often the interval of an accuracy holds the true one, where images of a group are alike."""
    hits = 0
    for seed in seeds:
        right, groups = clustered(np.random.default_rng([seed, 1]), 60, 4)
        units = np.arange(len(groups)) if alone else groups
        draws = bootstrap(units, 300, seed).shares(units, np.zeros_like(units), right, 1)
        low, high = interval(draws[:, 0])
        hits += low <= 0.7 <= high
    return hits / len(seeds)


def test_an_interval_over_groups_covers_the_truth_19_times_in_20_and_one_over_images_does_not():
    assert 0.91 <= covered(range(200), alone=False) <= 0.98
    assert covered(range(200), alone=True) < 0.85


def test_each_draw_has_as_many_groups_as_there_are():
    weights = np.concatenate(list(bootstrap(np.array([3, 3, 8, 5]), 50, 0).weights()))
    assert weights.shape == (50, 3)
    assert (weights.sum(axis=1) == 3).all()
    assert weights.std(axis=0).min() > 0


def test_draws_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    groups, right = np.arange(40) // 2, np.arange(40) % 3 == 0
    once = bootstrap(groups, 30, 7).shares(groups, np.zeros(40, np.int64), right, 1)
    monkeypatch.setattr("train.intervals._AT_ONCE", 20 * 4)
    assert np.array_equal(bootstrap(groups, 30, 7).shares(groups, np.zeros(40, np.int64), right, 1), once)


def test_the_same_seed_gives_the_same_draws_and_another_others():
    groups = np.arange(10)
    first, again, other = (next(iter(bootstrap(groups, 20, seed).weights())) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sets_of_the_same_sources_are_drawn_together():
    rng = np.random.default_rng(0)
    right, groups = clustered(rng, 50, 1)
    both = np.concatenate([groups, groups])
    columns = np.repeat([0, 1], 50)
    draws = bootstrap(groups, 200, 0).shares(both, columns, np.concatenate([right, right]), 2)
    # The same answers on both sets: their mean is as unsure as each of them, not by a factor of 1.4 surer.
    assert np.array_equal(draws[:, 0], draws[:, 1])
    assert interval(draws.mean(axis=1)) == interval(draws[:, 0])


def test_draws_are_counted_with_all_images_of_a_group():
    groups = np.array([0, 0, 0, 1])
    one = Resampling(np.array([0, 1]), 500, 0)
    shares = one.shares(groups, np.zeros(4, np.int64), np.array([True, True, True, False]), 1)[:, 0]
    # Group 0 twice, both, or group 1 twice: 3 of 3, 3 of 4 or 0 of 1 ... and nothing else.
    assert set(shares) == {0.0, 0.75, 1.0}


def test_a_draw_without_an_image_of_a_set_leaves_it_out():
    groups = np.arange(2)
    shares = bootstrap(groups, 200, 0).shares(groups, np.array([0, 1]), np.array([True, True]), 2)
    assert np.isnan(shares).any()
    assert interval(shares[:, 0]) == (1, 1)
    assert np.isnan(interval(np.full(5, np.nan))).all()


def test_the_intervals_of_a_set_hold_its_measures():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 3, 300))
    groups = np.arange(300) // 2
    found = intervals(labels, predicted, groups, 3, 400, 0)
    counts = tally(labels, predicted, 3)
    for name, measure in (("accuracy", accuracy), ("balanced_accuracy", balanced_accuracy), ("macro_f1", macro_f1)):
        low, high = found[name]
        assert low < float(measure(counts)) < high
        assert 0.05 < high - low < 0.2


def test_the_draws_of_macro_measures_are_those_of_images_drawn_by_hand():
    rng = np.random.default_rng(0)
    labels, predicted, groups = rng.integers(0, 3, 40), rng.integers(0, 3, 40), np.arange(40) // 2
    by_hand = []
    for weights in np.concatenate(list(bootstrap(groups, 100, 5).weights())):
        rows = np.repeat(np.arange(40), weights[groups].astype(int))
        by_hand.append(float(macro_f1(tally(labels[rows], predicted[rows], 3))))
    assert intervals(labels, predicted, groups, 3, 100, 5)["macro_f1"] == pytest.approx(interval(np.array(by_hand)))


def test_where_all_are_right_one_is_not_sure_that_all_will_be():
    right = np.arange(20) % 2
    found = intervals(right, right, np.arange(20), 2, 100, 0)
    # Clopper and Pearson's table: 20 of 20 is 0.832 at least.
    assert found["accuracy"] == found["macro_f1"] == (pytest.approx(0.8316, abs=1e-4), 1)
    assert share_interval(0.0, np.zeros(3), 20) == (0, pytest.approx(0.1684, abs=1e-4))
    # Two images of each of ten sources say less.
    assert intervals(right, right, np.arange(20) // 2, 2, 100, 0)["accuracy"][0] < 0.7


def test_mcnemar_is_the_binomial_test_of_the_pairs_that_differ():
    # A textbook table: 59 and 80 alike, 6 and 16 not; p = 0.0525, exact.
    first = np.repeat([True, True, False, False], [59, 6, 16, 80])
    second = np.repeat([True, False, True, False], [59, 6, 16, 80])
    by_hand = 2 * sum(comb(22, k) for k in range(7)) / 2**22
    assert mcnemar(first, second) == (6, 16, pytest.approx(by_hand))
    assert mcnemar(second, first) == (16, 6, pytest.approx(by_hand))
    assert mcnemar(first, first) == (0, 0, 1.0)


def test_the_difference_of_equal_models_is_none():
    right = np.arange(40) % 3 == 0
    same = paired(right, right, np.ones(40), np.arange(40), 100, 0)
    assert (same.value, same.interval, same.p) == (0, (0, 0), 1)


def test_of_single_images_the_paired_test_is_that_of_mcnemar():
    for only_first, only_second in ((0, 5), (3, 12), (6, 16)):
        both = 100 - only_first - only_second
        first = np.repeat([True, True, False], [both, only_first, only_second])
        second = np.repeat([True, False, True], [both, only_first, only_second])
        found = paired(first, second, np.ones(100), np.arange(100), 100, 0)
        assert found.p == pytest.approx(mcnemar(first, second)[2], abs=0.015)
        assert found.value == pytest.approx((only_second - only_first) / 100)


def test_copies_of_an_image_do_not_make_a_difference_surer():
    first, second = np.repeat([True, False], [100, 6]), np.repeat([True, True], [100, 6])
    once = paired(first, second, np.ones(106), np.arange(106), 200, 0)
    copies = [np.repeat(of_one, 5) for of_one in (first, second, np.ones(106), np.arange(106))]
    assert paired(*copies, 200, 0) == once
    assert mcnemar(copies[0], copies[1])[2] < once.p / 100  # which takes them for so many images


def test_a_difference_is_told_with_its_sign():
    rng = np.random.default_rng(0)
    worse = rng.random(200) < 0.6
    better = worse | (rng.random(200) < 0.5)
    found = paired(worse, better, np.ones(200), np.arange(200), 300, 0)
    assert found.value == pytest.approx(better.mean() - worse.mean())
    assert 0.1 < found.interval[0] < found.value < found.interval[1]
    assert found.p == pytest.approx(1 / 10_001)
    back = paired(better, worse, np.ones(200), np.arange(200), 300, 0)
    assert (back.value, back.p) == (-found.value, found.p)


def test_images_count_by_their_weights():
    first, second = np.array([True, False, False]), np.array([False, True, True])
    found = paired(first, second, np.array([2.0, 1.0, 1.0]), np.arange(3), 50, 0)
    assert found.value == 0


def test_p_of_a_paired_difference_errs_once_in_twenty(monkeypatch):
    monkeypatch.setattr("train.intervals._EXCHANGES", 300)
    errs = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 2])
        (first, groups), (second, _) = (clustered(rng, 60, 3) for _ in range(2))
        errs += paired(first, second, np.ones(180), groups, 20, seed).p < 0.05
    assert 0.01 <= errs / 200 <= 0.09


def test_units_dealt_out_anew_give_fishers_exact_test():
    # 3 of 3 inside are right, 5 of 17 outside: of all ways to choose 3 of 20, those with 3 of the 8 right ones, and
    # (being as far away on the other side) none.
    values = np.repeat([1.0, 1.0, 0.0], [3, 5, 12])
    inside = np.arange(20) < 3
    by_hand = comb(8, 3) / comb(20, 3)
    assert permuted_p(values, np.ones(20), inside, 20_000, 0) == pytest.approx(by_hand, abs=0.005)
    assert permuted_p(np.ones(20), np.ones(20), inside, 100, 0) == 1


def test_dealing_out_anew_does_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    given = rng.random(30), rng.random(30) + 0.5, np.arange(30) < 8
    once = permuted_p(*given, 200, 3)
    monkeypatch.setattr("train.intervals._AT_ONCE", 30 * 7)
    assert permuted_p(*given, 200, 3) == once


def test_several_tests_are_corrected_step_by_step():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own way, by hand
    assert holm([0.6, 0.7]) == [1, 1]
