import numpy as np
import pandas as pd
import pytest
from metrics import metrics_with

from curate.stage.errors import DataError
from train.answers import Answers, Track, answers_of, facts_of, track_of, tracks_of
from train.sets import read_built

TRACKS = (Track("val", "val"), Track("test", "test"), Track("fog-2", "test", "fog", 2, "weather", "near"))


def some(tracks: tuple[Track, ...] = TRACKS) -> Answers:
    """Three images of each set; the last of each has no label."""
    n = 3 * len(tracks)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(2), n).astype(np.float32)
    ids = np.array([f"cell {row}" for row in range(n)], dtype=object)
    labels = np.tile([0, 1, -1], len(tracks))
    return Answers(tracks, np.repeat(np.arange(len(tracks)), 3), ids, ids, np.arange(n), labels, probabilities)


def test_a_table_of_answers_is_read_back_as_it_was():
    answers = some()
    table = answers.table()
    assert list(table) == ["set", "id", "source", "group", "label", "p0", "p1"]
    assert table["p1"].dtype == np.float32
    back = answers_of(table, tracks_of(metrics_with(sets=facts_of(TRACKS))))
    assert back.tracks == TRACKS
    for name in ("sets", "ids", "sources", "groups", "labels", "probabilities"):
        assert np.array_equal(getattr(back, name), getattr(answers, name))


def test_of_some_sets_the_labelled_images_are_taken_in_the_order_of_those_sets():
    answers = some()
    taken = answers.of(TRACKS[:0:-1])
    assert [track.name for track in taken.tracks] == ["fog-2", "test"]
    assert taken.ids.tolist() == ["cell 3", "cell 4", "cell 6", "cell 7"]
    assert taken.sets.tolist() == [1, 1, 0, 0]
    assert answers.of(TRACKS, answers.groups > 4).ids.tolist() == ["cell 6", "cell 7"]


def test_clean_sets_of_a_role_are_not_those_of_the_benchmark():
    assert some().named("test") == TRACKS[1:2]
    assert some().named("external") == ()


def test_what_is_right_is_the_likeliest_class():
    answers = some()
    assert answers.right.tolist() == (answers.probabilities.argmax(axis=1) == answers.labels).tolist()


def test_a_set_of_the_build_tells_what_it_is_of(built):
    tracks = {one.name: track_of(one) for one in read_built(built).benchmark}
    assert tracks["fog-3"] == Track("fog-3", "test", "fog", 3, "weather", "near")
    assert tracks["composed-2-validation"].composed
    assert tracks["composed-2-validation"].role == "validation"
    assert not tracks["fog-3"].composed


def test_predictions_of_a_set_that_nothing_is_told_of_are_refused():
    table = some().table()
    with pytest.raises(DataError, match=r"does not tell of the sets \['fog-2'\]"):
        answers_of(table, TRACKS[:2])
    with pytest.raises(DataError, match=r"but not \['group', 'p0'\]"):
        answers_of(table.drop(columns=["p0", "group"]), TRACKS)
    with pytest.raises(DataError, match="Run it again"):
        answers_of(pd.DataFrame(), TRACKS)
