import numpy as np
import pytest

from curate.measuring.gaps import APART, certainty, isolation


def apart(values, least=1.0):
    """How many of the values stand apart, all of them usual."""
    return int((isolation(values, values, least) >= APART).sum())


@pytest.mark.parametrize("n", [100, 3000, 60_000])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(0, 3, n),
        lambda rng, n: rng.exponential(2, n),
        lambda rng, n: rng.lognormal(0, 0.7, n),
        lambda rng, n: rng.uniform(-4, 4, n),
        lambda rng, n: np.round(rng.normal(0, 3, n), 1),
    ],
    ids=["normal", "exponential", "lognormal", "uniform", "rounded"],
)
def test_of_a_tail_nothing_stands_apart_however_far_it_reaches(draw, n):
    alarms = sum(apart(draw(np.random.default_rng(seed), n)) > 0 for seed in range(20))
    assert alarms <= 1


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.1, 0.4])
def test_a_mode_of_its_own_stands_apart_whatever_its_share(rng, share):
    n = 3000
    odd = int(share * n)
    values = rng.normal(0, 1, n)
    values[:odd] = rng.normal(16, 1, odd)
    assert np.flatnonzero(isolation(values, values, 8) >= APART).tolist() == list(range(odd))


def test_a_mode_that_the_tail_reaches_is_parted_from_it_where_fewest_lie(rng):
    values = np.concatenate([rng.normal(0, 1, 20_000), rng.normal(8, 1, 600), [3.9, 4.2, 4.6]])
    found = isolation(values, values, 4) >= APART
    assert found[20_000:20_600].mean() > 0.99
    assert not found[:20_000].any()


def test_what_lies_beyond_a_gap_has_no_less_than_what_it_parts(rng):
    values = np.append(rng.normal(0, 1, 500), [30, 31, 60])
    near, far, farthest = isolation(values, values, 5)[-3:]
    assert near <= far <= farthest
    assert near >= APART


def test_a_gap_below_what_is_plain_says_nothing(rng):
    values = np.append(rng.normal(0, 0.1, 500), [5, 5.1])
    assert apart(values, least=4) == 2
    assert apart(values, least=5.05) == 0


def test_a_value_that_is_no_usual_one_is_held_against_those_that_are(rng):
    usual = np.append(rng.normal(0, 1, 300), 40)
    found = isolation(np.array([0, 3, 25, 80, np.nan]), usual, 8)
    assert (found >= APART).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("usual", [[], [1.0], [1.0, 50.0], [np.nan, np.nan, 3.0]])
def test_among_hardly_any_values_none_stands_apart(usual):
    assert not isolation(np.array([0.0, 50.0, np.nan]), np.array(usual), 2).any()


def test_where_all_values_are_one_another_stands_apart():
    values = np.append(np.zeros(50), 3.0)
    assert np.flatnonzero(isolation(values, values, 1) >= APART).tolist() == [50]


def test_the_chance_is_one_less_the_share_that_the_tail_explains():
    assert certainty(np.array([0, 1, 2, 10, 1e9])).tolist() == pytest.approx([0, 0, 0.5, 0.9, 1])
