import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.checks.scores import THRESHOLD, centre_and_scale, centre_and_upper_scale, exceedance


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


def test_the_scale_is_the_standard_deviation_of_a_normal_sample_and_blind_to_a_few_outliers(rng):
    values = rng.normal(7, 2, 20_000)
    for scale_of in (centre_and_scale, centre_and_upper_scale):
        assert scale_of(values) == pytest.approx((7, 2), rel=0.05)
        assert scale_of(np.append(values, [1e9] * 200)) == pytest.approx((7, 2), rel=0.05)


def test_the_upper_scale_looks_at_the_values_above_the_median_alone():
    values = np.array([-100, -50, 0, 1, 2.0])
    centre, scale = centre_and_upper_scale(values)
    assert centre == 0
    assert scale == pytest.approx(1.4826 * 1.5)


@pytest.mark.parametrize("scale_of", [centre_and_scale, centre_and_upper_scale])
@pytest.mark.parametrize(("values", "centre"), [([], 0), ([np.nan, np.inf], 0), ([3], 3), ([3, 3, 3, np.nan], 3)])
def test_values_without_any_spread_have_the_least_one(scale_of, values, centre):
    assert scale_of(np.array(values, float), floor=0.25) == (centre, 0.25)
