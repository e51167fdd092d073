import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.checks.scores import chance_of_odds, exceedance, is_common, is_of_class, score_of_odds, stood
from curate.findings import THRESHOLD


@pytest.mark.parametrize("threshold", [0.5, 3.5, 40])
def test_a_score_is_nothing_at_nothing_one_half_at_the_threshold_and_three_quarters_at_twice_it(threshold):
    values = np.array([0, 1, 2, 1000]) * threshold
    assert exceedance(values, threshold).tolist() == [0, THRESHOLD, 0.75, 1]


VALUES = st.floats(-1e9, 1e9) | st.sampled_from([np.nan, np.inf, -np.inf])


@given(st.lists(VALUES, min_size=1, max_size=20), st.floats(0.01, 100))
def test_every_score_is_from_nought_to_one_and_grows_with_the_value(values, threshold):
    score = exceedance(np.array(values), threshold)
    assert score.dtype == np.float32
    assert ((score >= 0) & (score <= 1)).all()
    known = np.array([v for v in values if v == v])
    ranked = exceedance(np.sort(known), threshold)
    assert (np.diff(ranked) >= 0).all()


def test_what_is_unknown_or_negative_scores_nothing():
    assert exceedance(np.array([np.nan, -1, -np.inf]), 2).tolist() == [0, 0, 0]


ODDS = st.floats(-1e4, 1e4) | st.sampled_from([np.inf, -np.inf])


@given(st.lists(ODDS, min_size=1, max_size=20))
def test_scores_of_odds_grow_with_them_and_are_one_half_where_both_are_as_likely(odds):
    odds = np.sort(np.array(odds))
    for function in (score_of_odds, chance_of_odds):
        values = function(odds)
        assert values.dtype == np.float32
        assert ((values >= 0) & (values <= 1)).all()
        assert (np.diff(values) >= 0).all()
        assert ((values >= THRESHOLD) == (odds >= 0)).all() or (np.abs(odds) < 1e-5).any()


def test_odds_of_ten_nines_are_told_from_longer_ones_and_unknown_ones_are_nothing():
    score = score_of_odds(np.array([23.0, 30.0, 60.0, np.nan, -np.inf]))
    assert (np.diff(score[:3]) > 0.01).all()
    assert score[3:].tolist() == [0, 0]
    assert score_of_odds(np.log(np.array([150.0])))[0] == pytest.approx(0.75, abs=1e-3)
    assert chance_of_odds(np.log(np.array([3.0])))[0] == pytest.approx(0.75)


def test_what_is_far_and_stands_apart_is_flagged_and_what_is_of_a_tail_is_not():
    far = np.array([0, 0.9, 1, 4, 1, 4])
    stand = stood(far, np.array([0, 50, 50, 50, 5, 5]))
    assert (stand.score >= THRESHOLD).tolist() == [False, True, True, True, False, False]
    assert stand.score[5] > stand.score[4] > stand.score[0] == 0  # the rank within a tail stays
    assert stand.chance == pytest.approx([0, 0.98, 0.98, 0.98, 0.8, 0.8])


def test_a_twentieth_of_a_set_and_half_a_class_are_no_exceptions_but_a_handful_is():
    assert [is_common(count, 1000) for count in (49, 50, 999)] == [False, True, True]
    assert not is_common(19, 100)
    assert [is_of_class(count, 20) for count in (9, 10)] == [False, True]
    assert not is_of_class(3, 4)
