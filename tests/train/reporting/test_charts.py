from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.reporting.charts import HEIGHT, WIDTH, Frame, Line, line_chart, reliability_chart, ticks

NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_few_and_within(low: float, span: float, about: int) -> None:
    high = low + span
    found = ticks(low, high, about)
    assert len(found) <= about + 1
    slack = 1e-6 * max(1, abs(low), abs(high))
    assert all(low - slack <= value <= high + slack for value in found)
    assert found == sorted(found)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_every_point_lies_within_the_picture(points: list[tuple[float, float]]) -> None:
    chart = line_chart("any", [Line("a", *zip(*points, strict=True))], across="x")
    drawn = re.search(r'<polyline[^>]*points="([^"]+)"', chart)
    assert drawn is not None
    places = [tuple(map(float, place.split(","))) for place in drawn[1].split()]
    assert len(places) == len(points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_more_is_higher_and_later_is_further_right() -> None:
    frame = Frame((0, 10), (0, 1))
    assert frame.up(1) < frame.up(0.5) < frame.up(0)
    assert frame.across(0) < frame.across(5) < frame.across(10)


def test_what_is_no_number_is_left_out_and_nothing_gives_no_chart() -> None:
    chart = line_chart("any", [Line("a", [0, 1, 2], [math.nan, 1, 2]), Line("b", [0], [math.nan])], across="x")
    assert chart.count("<circle") == 2
    assert "a from 1 to 2" in chart
    assert ">b<" not in chart
    assert line_chart("none", [Line("b", [0], [math.nan])], across="x") == ""


def test_a_line_that_begins_later_leaves_its_room_empty() -> None:
    late, whole = (line_chart("any", [Line("a", [0, 1, 2], [first, 1, 2])], across="x") for first in (math.nan, 0))
    ends = [re.findall(r'<circle[^>]*cx="([^"]+)"', chart)[-2:] for chart in (late, whole)]
    assert ends[0] == ends[1]


def test_names_are_text() -> None:
    chart = line_chart("<b>", [Line("<i>&", [0, 1], [0, 1])], across="<u>", marks=[(1, "<s>")])
    for raw in ("<b>", "<i>", "<u>", "<s>"):
        assert raw not in chart
    assert chart.count("&lt;i&gt;&amp;") == 2  # the key, and what is read aloud


def test_on_the_diagonal_a_model_is_as_sure_as_it_may_be() -> None:
    chart = reliability_chart("any", [0.25, 0.75], [0.25, 0.5], [10, 40])
    off = re.findall(r'<line class="off" x1="[^"]+" y1="([^"]+)" x2="[^"]+" y2="([^"]+)"', chart)
    lengths = [abs(float(a) - float(b)) for a, b in off]
    frame = Frame((0, 1), (0, 1))
    assert lengths == pytest.approx([0, frame.up(0.5) - frame.up(0.75)], abs=0.11)
    small, large = (float(r) for r in re.findall(r'<circle class="bin"[^>]*r="([^"]+)"', chart))
    assert small < large
    assert "10 images: confidence 0.25, accuracy 0.25" in chart
