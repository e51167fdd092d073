import numpy as np
import pandas as pd
import pytest

from curate.findings import Finding, Story, findings_table
from curate.reporting.galleries import MATES, ROUND, evenly, first_of_each, gallery, review_list, strip


def findings_of(*findings: tuple[int, str, float, int]) -> pd.DataFrame:
    """Findings of (row, check, score, group)."""
    rows = [Finding(row, f"cell {row}", check, score, group, "review", "") for row, check, score, group in findings]
    return findings_table(rows).reset_index(drop=True)


def table(n: int, groups: dict[int, int] | None = None, dropped: tuple[int, ...] = ()) -> pd.DataFrame:
    group = np.array([(groups or {}).get(row, -1) for row in range(n)])
    verdict = ["drop" if row in dropped else "keep" for row in range(n)]
    return pd.DataFrame({"row": range(n), "group": group, "verdict": verdict})


def rows_of(result, findings: pd.DataFrame) -> list[list[int]]:
    return [findings["row"].iloc[list(unit.found)].tolist() for unit in result.units]


def test_single_findings_come_worst_first_and_those_of_another_check_not_at_all():
    findings = findings_of((0, "dark", 0.6, -1), (1, "light", 0.99, -1), (2, "dark", 0.9, -1), (3, "dark", 0.75, -1))
    result = gallery("dark", findings, table(4), 10)
    assert rows_of(result, findings) == [[2], [3], [0]]
    assert (result.check, result.total, result.shown) == ("dark", 3, 3)
    assert all((unit.group, unit.total, unit.mates) == (-1, 1, ()) for unit in result.units)


def test_what_is_likeliest_comes_first_whatever_its_score():
    findings = findings_of((0, "dark", 0.9, -1), (1, "dark", 0.6, -1), (2, "dark", 0.8, -1))
    findings["chance"] = np.array([0.7, 0.95, np.nan], np.float32)
    assert rows_of(gallery("dark", findings, table(3), 10), findings) == [[1], [0], [2]]


def test_what_awaits_review_is_listed_over_all_checks_by_the_likeliest_finding_of_each_image():
    findings = findings_of(
        (0, "dark", 0.9, -1), (1, "label_error", 0.6, 3), (1, "blurred", 0.8, -1), (2, "light", 0.7, -1)
    )
    findings["chance"] = np.array([0.9, 0.3, 0.96, 0.99], np.float32)
    findings.loc[3, "action"] = "keep"
    listed = review_list(findings, 10)
    assert rows_of(listed, findings) == [[1], [0]]
    assert [unit.found for unit in listed.units] == [(2,), (0,)]
    assert (listed.total, listed.shown) == (2, 2)
    assert review_list(findings, 1).total == 2
    assert review_list(findings, 1).shown == 1


def test_groups_stay_together_the_worst_first_and_of_those_as_bad_the_larger():
    findings = findings_of(
        (0, "outlier_group", 0.901, 7), (1, "outlier_group", 0.7, 7),
        (2, "outlier_group", 0.899, 3), (3, "outlier_group", 0.6, 3), (4, "outlier_group", 0.8, 3),
        (5, "outlier_group", 0.95, 9),
    )  # fmt: skip
    result = gallery("outlier_group", findings, table(6), 10)
    assert [unit.group for unit in result.units] == [9, 3, 7]
    assert rows_of(result, findings) == [[5], [2, 4, 3], [0, 1]]
    assert [unit.total for unit in result.units] == [1, 3, 2]


def test_with_more_than_may_be_shown_there_are_some_of_every_group():
    many = [(row, "outlier_group", 0.9, 0) for row in range(3 * ROUND)]
    few = [(100 + row, "outlier_group", 0.6, 1) for row in range(3)]
    result = gallery("outlier_group", findings_of(*many, *few), table(200), ROUND + 2)
    assert result.total == 3 * ROUND + 3
    assert result.shown == ROUND + 2
    assert [len(unit.found) for unit in result.units] == [ROUND, 2]
    assert [unit.total for unit in result.units] == [3 * ROUND, 3]


def test_beside_copies_stands_what_they_are_copies_of_and_beside_other_groups_nothing():
    groups = {0: 5, 1: 5, 2: 5, 3: 6}
    findings = findings_of((1, "exact_duplicate", 1, 5), (3, "outlier_group", 1, 5))
    everything = table(4, groups, dropped=(1, 2))
    assert gallery("exact_duplicate", findings, everything, 9).units[0].mates == (0,)
    assert gallery("outlier_group", findings, everything, 9).units[0].mates == ()


def test_no_more_mates_are_shown_than_there_is_room_for():
    findings = findings_of((0, "near_duplicate", 1, 2))
    (unit,) = gallery("near_duplicate", findings, table(30, dict.fromkeys(range(30), 2), dropped=(0,)), 9).units
    assert unit.mates == tuple(range(1, 1 + MATES))


def test_an_accused_row_is_nobody_s_mate():
    findings = findings_of((0, "label_conflict", 1, 2), (1, "label_conflict", 0.6, 2))
    (unit,) = gallery("label_conflict", findings, table(3, {0: 2, 1: 2, 2: 2}, dropped=(0,)), 9).units
    assert unit.mates == (2,)


def test_of_a_check_that_found_nothing_there_is_nothing():
    result = gallery("dark", findings_of((0, "light", 0.9, -1)), table(1), 9)
    assert (result.total, result.units) == (0, ())


def test_the_rows_of_all_galleries_come_once_in_the_order_they_appear():
    findings = findings_of(
        (3, "exact_duplicate", 1, 0), (5, "dark", 0.9, -1), (3, "dark", 0.8, -1), (-1, "shortcut", 0.7, -1)
    )  # fmt: skip
    everything = table(6, {3: 0, 1: 0}, dropped=(3,))
    galleries = [gallery(check, findings, everything, 9) for check in ("exact_duplicate", "shortcut", "dark")]
    assert first_of_each(galleries, findings) == [3, 1, 5]


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
