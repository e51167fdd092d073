import pytest

from curate.configs import ScanConfig
from curate.sets.directions import LEFT_OPEN, Directions, Reading, column_of
from curate.sets.scaling import Decoding
from curate.stage.errors import DataError


def test_directions_are_those_of_any_configuration_that_has_them():
    config = ScanConfig(labels="l.csv", classes_from="dx", groups_from="1")
    assert Directions.of(config) == Directions("l.csv", "dx", None, "1")
    assert Directions.of(ScanConfig()) == LEFT_OPEN


@pytest.mark.parametrize(
    ("direction", "column"),
    [("dx", "dx"), ("2", None), ("none", None), ("parent", None), ("table", None), (None, None)],
)
def test_a_direction_that_is_no_word_and_no_level_is_a_column(direction, column):
    assert column_of(direction) == column


def test_directions_are_spoken_as_they_are_typed():
    assert Directions(classes_from="2").spoken == "--classes-from 2"
    assert LEFT_OPEN.spoken == ""


@pytest.mark.parametrize("words", [{"splits_from": "table"}, {"groups_from": "folders"}])
def test_words_that_are_for_classes_alone_are_refused_for_others(words):
    with pytest.raises(DataError, match=r"is not understood. Give a level of folders such as 1"):
        Directions(**words)


def test_a_reading_says_of_pixels_what_directions_do_not():
    reading = Reading("l.csv", decoding=Decoding(max_pixels=9))
    assert Directions.of(reading) == Directions("l.csv")
    assert reading.decoding.max_pixels == 9
    assert reading.spoken == "--labels l.csv"
    assert Reading().decoding == Decoding()
