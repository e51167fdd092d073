import numpy as np
import pytest

from curate.measuring.spreads import centre_and_scale


def test_the_scale_is_the_standard_deviation_of_a_normal_sample_and_blind_to_a_few_outliers(rng):
    values = rng.normal(7, 2, 20_000)
    assert centre_and_scale(values) == pytest.approx((7, 2), rel=0.05)
    assert centre_and_scale(np.append(values, [1e9] * 200)) == pytest.approx((7, 2), rel=0.05)


@pytest.mark.parametrize(("values", "centre"), [([], 0), ([np.nan, np.inf], 0), ([3], 3), ([3, 3, 3, np.nan], 3)])
def test_values_without_any_spread_have_the_least_one(values, centre):
    assert centre_and_scale(np.array(values, float), floor=0.25) == (centre, 0.25)
