from __future__ import annotations

import pytest

from curate.sets.spellings import mended_labels, without_missing
from curate.stage.errors import DataError


def mended(*cells):
    return mended_labels(cells, "t.csv")


def test_plain_labels_stay_and_nothing_is_told():
    assert mended("cat", "", "dog", "cat") == (["cat", "", "dog", "cat"], [])


def test_spaces_around_are_taken_off_and_counted():
    labels, notes = mended(" cat", "cat\u00a0", "dog", "\u200bdog ")
    assert labels == ["cat", "cat", "dog", "dog"]
    assert notes == ["spaces around labels of t.csv were taken off: 3"]


def test_names_that_differ_in_capitals_and_spaces_alone_are_the_most_frequent_of_them():
    labels, notes = mended("Cat", "cat", "CAT ", "cat", "red  cell", "Red cell")
    assert labels == ["cat", "cat", "cat", "cat", "red  cell", "red  cell"]
    assert notes == [
        "spaces around labels of t.csv were taken off: 1",
        "labels of t.csv that differ in capitals or spaces alone are one class: cat (with Cat 1 time, CAT 1 time), "
        "red  cell (with Red cell 1 time)",
    ]


def test_an_accent_is_one_however_it_is_encoded():
    labels, notes = mended("caf\u00e9", "cafe\u0301")
    assert labels == ["caf\u00e9", "caf\u00e9"]
    assert len(notes) == 1


def test_letters_and_other_short_names_stay_apart():
    labels, notes = mended("a", "A", "Bb", "BB")
    assert labels == ["a", "A", "Bb", "BB"]
    assert notes == ["labels a and A, Bb and BB of t.csv are kept as different classes: write them alike if not"]


@pytest.mark.parametrize("word", ["NA", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "<NA>", " NA "])
def test_what_programs_write_for_missing_is_no_label_and_is_told(word):
    labels, notes = mended("cat", word, word)
    assert labels == ["cat", "", ""]
    assert any(f"{word.strip()} 2 times are read as no label" in note for note in notes)
    assert without_missing([word, "cat"]) == ["", "cat"]


def test_none_in_small_letters_is_a_class_and_is_told():
    labels, notes = mended("none", "cat")
    assert labels == ["none", "cat"]
    assert notes == ["none 1 time of t.csv is read as a class: leave a cell empty where there is no label"]


@pytest.mark.parametrize("cells", [("0.0", "1.0", "0"), ("0,0", "1,0", "0"), ("0.", "1", "0.000")])
def test_whole_numbers_lose_their_point(cells):
    labels, notes = mended(*cells, "")
    assert labels == ["0", "1", "0", ""]
    assert len(notes) == 1
    assert "read as whole numbers" in notes[0]


def test_a_thousand_with_a_comma_is_not_one():
    labels, notes = mended("1,000", "1", "1.0", "12,000", "10,0")
    assert labels == ["1,000", "1", "1", "12,000", "10"]
    assert "labels of t.csv such as 1,000 are kept as they are written: write 1000 or 1 instead" in notes
    assert mended("0,000", "1")[0] == ["0", "1"]


def test_numbers_with_zeros_before_stay_text():
    assert mended("01", "02", "10")[0] == ["01", "02", "10"]
    labels, notes = mended("01", "1")
    assert labels == ["01", "1"]
    assert notes == ["labels 01 and 1 of t.csv are kept as different classes: write them alike if not"]


def test_numbers_of_any_length_are_text():
    assert mended("9" * 5000, "09", "+9", "9", "0", "00")[0] == ["9" * 5000, "09", "+9", "9", "0", "00"]
    assert "labels +9 and 09 and 9 of t.csv" in mended("+9", "09", "9")[1][0]


def test_versions_are_no_whole_numbers():
    assert mended("1.0", "v2")[0] == ["1.0", "v2"]
    assert mended("2.5", "5.0", "2.5")[0] == ["2.5", "5.0", "2.5"]
    assert "each number is a class" in mended("2.5", "5.0")[1][0]


def test_minus_one_among_numbers_is_told():
    assert mended("-1.0", "0.0")[1][1] == "labels of -1 in t.csv are read as no label: 1"


def test_measurements_are_no_classes():
    with pytest.raises(DataError, match="not measurements"):
        mended(*(f"{i / 7:.3f}" for i in range(1, 60)))


def test_several_names_in_a_cell_are_told():
    assert "each combination is one" in mended("Mass|Nodule", "Mass")[1][0]
