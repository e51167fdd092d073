import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.configs import SCHEDULES
from train.schedules import Plateau, learning_rate


def rates(*given):
    schedule = learning_rate(*given)
    return [float(schedule(step)) for step in range(given[2] + 1)]


def test_cosine_rises_in_its_first_part_and_falls_as_half_a_wave():
    found = rates("cosine", 0.4, 100, 0.2)
    assert found[0] == 0
    assert found[10] == pytest.approx(0.2)
    assert found[20] == pytest.approx(0.4)
    assert found[40] == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))
    assert found[60] == pytest.approx(0.2)
    assert found[100] == pytest.approx(0, abs=1e-8)
    assert max(found) == found[20]


def test_cosine_without_warm_up_begins_at_the_top():
    found = rates("cosine", 0.4, 100)
    assert found[0] == pytest.approx(0.4)
    assert found[50] == pytest.approx(0.2)
    assert found[100] == pytest.approx(0, abs=1e-8)
    assert found == sorted(found, reverse=True)


def test_step_falls_to_a_tenth_at_half_and_again_at_three_quarters():
    found = rates("step", 0.4, 100)
    assert found[0] == found[49] == pytest.approx(0.4)
    assert found[50] == found[74] == pytest.approx(0.04)
    assert found[75] == found[100] == pytest.approx(0.004)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_what_does_not_change_by_itself_is_a_number_that_can_be_set(schedule):
    assert learning_rate(schedule, 1, 100, 0.1) == 1.0
    assert isinstance(learning_rate(schedule, 1, 100), float)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7])
def test_a_stage_may_be_as_short_as_it_likes(schedule, warmup, steps):
    rate = learning_rate(schedule, 0.3, steps, warmup)
    for step in range(steps + 2):
        found = rate if isinstance(rate, float) else float(rate(step))
        assert 0 <= found <= 0.3 + 1e-6


def test_a_plateau_falls_after_so_many_scores_that_are_no_better():
    plateau = Plateau(factor=0.5, patience=2)
    scores = [0.5, 0.6, 0.6, 0.55, 0.6, 0.3, 0.7, 0.7, math.nan, 0.8]
    assert [plateau.after(score) for score in scores] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]


def test_the_first_score_is_always_better_than_none():
    plateau = Plateau(patience=1)
    assert plateau.after(-5.0) == 1
    assert plateau.after(-5.0) == pytest.approx(0.3)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_multiplier_never_rises_and_better_scores_never_lower_it(scores):
    plateau = Plateau(0.3, 2)
    told = [plateau.after(score) for score in scores]
    assert told == sorted(told, reverse=True)
    rising = Plateau(0.3, 2)
    assert all(rising.after(float(score)) == 1 for score in range(20))
