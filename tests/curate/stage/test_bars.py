import re
from dataclasses import dataclass

import pytest
from rich.cells import cell_len

from curate.stage.bars import BAR, Work, bar_line, in_words


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def after(clock: Clock, seconds: float, done: int, total: int | None = 12_000, unit: str = "images") -> Work:
    work = Work("measuring and embedding", total, unit, clock)
    clock.now += seconds
    work.advance(done)
    return work


def test_the_time_left_follows_from_the_time_taken(clock):
    line = bar_line(after(clock, 10, 3_000), 100)
    assert line.startswith("  measuring and embedding   ━━━━━━━─")
    assert line.endswith("3,000/12,000  300 images/s  30 s left")


def test_nothing_is_told_of_a_rate_before_it_means_anything(clock):
    line = bar_line(after(clock, 0.3, 9_000), 100)
    assert line.endswith("9,000/12,000")


def test_steps_that_were_done_before_do_not_count_as_fast_ones(clock):
    work = Work("training images", 12_000, "images", clock)
    work.advance(6_000)
    clock.now += 10
    assert work.rate is None
    work.advance(7_000)
    assert work.rate == 100
    assert work.time == "50 s left"


def test_of_steps_that_take_unlike_times_the_time_taken_is_told(clock):
    assert bar_line(after(clock, 10, 1, 4, "steps"), 80).endswith("1/4  10 s")


def test_what_nobody_can_count_is_told_of_with_the_time_it_takes(clock):
    work = after(clock, 75, 0, None, "")
    assert re.fullmatch(r"  measuring and embedding .  1 min 15 s", bar_line(work, 80))
    assert bar_line(work, 80, "-").isascii()


def test_at_the_end_the_time_that_it_took_is_told(clock):
    line = bar_line(after(clock, 80, 12_000), 100)
    assert line.endswith("12,000/12,000  150 images/s  1 min 20 s")
    assert "─" not in line


@pytest.mark.parametrize("width", [30, 40, 60, 79, 119])
def test_numbers_are_whole_at_any_width(clock, width):
    for total in (12_000, 1_234_567, None):
        line = bar_line(after(clock, 10, 3_000, total), width)
        assert cell_len(line) <= width
        if total:
            assert f"3,000/{total:,}" in line
            assert "left" in line or width < 60
    assert (BAR in bar_line(after(clock, 10, 3_000), width)) == (width >= 60)


def test_a_log_has_the_same_in_words(clock):
    assert after(clock, 10, 3_000).in_words() == "  measuring and embedding: 3,000/12,000 images, 30 s left"
    assert after(clock, 10, 0, None, "").in_words() == "  measuring and embedding: 10 s"


def test_times_are_told_in_short():
    assert [in_words(seconds) for seconds in (0.2, 59.4, 61, 3_600, 90_000)] == [
        "1 s", "59 s", "1 min 1 s", "1 h 0 min", "25 h 0 min",
    ]  # fmt: skip
