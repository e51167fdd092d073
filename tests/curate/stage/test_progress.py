import time

import pytest

from curate.stage.progress import Silent, Stopwatch


def test_who_is_silent_takes_everything_and_says_nothing(capfd):
    reporter = Silent()
    with reporter.stage("measuring", 3, "images") as advance:
        for done in range(4):
            advance(done)
    reporter.say("a line")
    assert capfd.readouterr() == ("", "")


def test_seconds_are_kept_by_stage_in_their_order():
    watch = Stopwatch()
    with watch.stage("reading"):
        time.sleep(0.02)
    with watch.stage("judging"):
        pass
    assert list(watch.seconds) == ["reading", "judging"]
    assert watch.seconds["reading"] >= 0.02
    assert watch.seconds["judging"] < watch.seconds["reading"]


def test_a_stage_that_comes_again_adds_to_its_seconds(monkeypatch):
    clock = iter([0.0, 1.5, 10.0, 10.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("measuring"):
            pass
    assert watch.seconds == {"measuring": 1.75}


def test_a_stage_that_fails_has_its_seconds_too(monkeypatch):
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()
    with pytest.raises(ValueError, match="no"), watch.stage("measuring"):
        raise ValueError("no")
    assert watch.seconds == {"measuring": 2.0}
