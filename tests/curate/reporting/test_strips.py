import numpy as np
import pandas as pd
import pytest

from curate.findings import Story
from curate.reporting.strips import evenly, strip


@pytest.mark.parametrize(("rows", "n", "expected"), [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8])])
def test_rows_are_taken_evenly(rows, n, expected):
    assert evenly(np.arange(rows), n).tolist() == expected


def test_of_many_rows_each_is_taken_once_and_both_ends_are():
    chosen = evenly(np.arange(1000) * 3, 77)
    assert len(set(chosen.tolist())) == 77
    assert (chosen[0], chosen[-1]) == (0, 2997)
    assert np.ptp(np.diff(chosen)) <= 3


def told(check: str, group: int, rows: list[int], labels: str, groups: str, splits: str | None = None):
    """The strip of a story about some rows of a table of these labels, groups ("-" none) and splits, a letter a row."""
    about = pd.DataFrame(
        {
            "label": [ord(letter) for letter in labels],
            "group": [-1 if letter == "-" else int(letter) for letter in groups],
            "split": list(splits or "." * len(labels)),
        }
    )
    return strip(Story(check, group, tuple(rows), "", 1.0), about)


def test_of_label_conflicts_whole_pairs_are_shown_spread_over_the_classes():
    shown = told("label_conflict", -1, list(range(12)), "abacabcbcaab", "001122334455")
    assert shown == [[0, 1], [6, 7], [2, 3], [8, 9]]


def test_of_a_leak_the_copy_in_the_other_split_is_shown_too():
    assert told("leak", -1, [3, 4], "aabbb", "01-01", "tt-nn") == [[0, 3], [1, 4]]


def test_of_many_copies_some_are_shown_of_each_label_one_first():
    assert told("label_conflict", -1, list(range(8)), "aaaaaaab", "00000000") == [[0, 7, 1, 2]]


def test_single_pictures_are_spread_over_the_classes():
    assert told("colour_cast", 3, list(range(10)), "aaaaaaaabc", "----------") == [
        [0],
        [8],
        [9],
        [1],
        [2],
        [3],
        [4],
        [5],
    ]
    assert told("outlier_group", 0, list(range(3)), "aab", "000") == [[0], [2], [1]]
    assert told("shortcut", -1, [], "a", "-") == []
