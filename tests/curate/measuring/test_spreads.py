import numpy as np
import pytest

from curate.measuring.spreads import centre_and_scale, centre_and_upper_scale


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
