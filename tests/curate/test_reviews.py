import numpy as np
import pytest

from curate.findings import DROP, KEEP, REVIEW, Finding, findings_table
from curate.reviews import UNKNOWN, likeliest_first, likely_right, within_budget

NAN = float("nan")


def table(*found):
    """Findings of (row, check, action, chance)."""
    return findings_table(
        Finding(row, str(row), check, 0.8, -1, action, "", chance) for row, check, action, chance in found
    )


def order(findings):
    return likeliest_first(findings)["row"].tolist()


def reviewed(findings):
    return sorted(findings.loc[(findings["action"] == REVIEW) & (findings["row"] >= 0), "row"])


def test_what_is_most_likely_wrong_is_looked_at_first_whatever_the_check():
    findings = table((1, "label_error", REVIEW, 0.3), (2, "dark", REVIEW, 0.95), (3, "outlier", REVIEW, 0.6))
    assert order(findings) == [2, 3, 1]
    assert likeliest_first(findings)["chance"].tolist() == pytest.approx([0.95, 0.6, 0.3])


def test_two_suspicions_of_one_image_count_together():
    findings = table((1, "dark", REVIEW, 0.7), (2, "outlier", REVIEW, 0.6), (2, "blurred", REVIEW, 0.6))
    assert likeliest_first(findings)["chance"].tolist() == pytest.approx([0.84, 0.7])


def test_that_a_row_is_a_copy_counts_where_nothing_else_is_said_of_it():
    findings = table(
        (1, "label_conflict", REVIEW, 0.5), (1, "near_duplicate", REVIEW, 1), (2, "label_error", REVIEW, 0.9),
        (3, "exact_duplicate", REVIEW, 1),
    )  # fmt: skip
    assert order(findings) == [3, 2, 1]
    assert likeliest_first(findings)["finding"].tolist() == [3, 2, 0]


def test_a_group_that_is_told_as_a_whole_does_not_take_all_looks():
    cast = [Finding(row, str(row), "colour_cast", 0.8, 0, REVIEW, "", 0.99) for row in range(30)]
    other = [Finding(row, str(row), "dark", 0.8, -1, REVIEW, "", 0.7) for row in range(30, 35)]
    findings = findings_table([*cast, *other])
    assert order(findings) == [*range(12), *range(30, 35), *range(12, 30)]
    few, beyond = within_budget(findings, 15)
    assert reviewed(few) == [*range(12), 30, 31, 32]
    assert beyond == 20


def test_of_equal_chance_the_gravest_check_comes_first():
    findings = table((1, "grayscale", REVIEW, 0.5), (2, "label_error", REVIEW, 0.5), (3, "outlier", REVIEW, NAN))
    assert UNKNOWN == 0.5
    assert order(findings) == [2, 3, 1]


def test_what_is_dropped_or_kept_or_told_of_the_set_awaits_no_review():
    findings = table(
        (1, "leak", DROP, 1), (1, "dark", REVIEW, 0.9), (2, "colour_cast", KEEP, 0.9), (-1, "shortcut", REVIEW, NAN)
    )
    assert order(findings) == []


def test_within_a_budget_the_likeliest_await_review_and_the_rest_is_kept():
    findings = table(
        (1, "label_error", REVIEW, 0.3),
        (2, "dark", REVIEW, 0.95),
        (3, "outlier", REVIEW, 0.6),
        (3, "blurred", REVIEW, 0.1),
        (4, "leak", DROP, 1),
        (-1, "shortcut", REVIEW, NAN),
    )
    few, beyond = within_budget(findings, 1)
    assert beyond == 2
    assert reviewed(few) == [2]
    assert few["action"].tolist() == [KEEP, REVIEW, KEEP, KEEP, DROP, REVIEW]
    assert len(few) == len(findings)
    none, beyond = within_budget(findings, 0)
    assert (reviewed(none), beyond) == ([], 3)
    assert within_budget(findings, 3)[1] == within_budget(findings, None)[1] == 0


def test_how_many_are_likely_right_is_the_sum_of_their_chances_where_all_are_known():
    findings = table(
        (1, "dark", REVIEW, 0.9), (2, "dark", REVIEW, 0.8), (3, "outlier", REVIEW, 0.9), (4, "outlier", REVIEW, NAN),
        (5, "near_duplicate", DROP, 1), (-1, "near_duplicate", REVIEW, NAN), (-1, "shortcut", REVIEW, NAN),
    )  # fmt: skip
    assert likely_right(findings) == pytest.approx({"dark": 1.7, "near_duplicate": 1.0})


def test_of_no_findings_none_is_looked_at():
    empty = findings_table([])
    assert order(empty) == []
    assert within_budget(empty, 5)[1] == 0
    assert likely_right(empty) == {}


def test_the_order_is_the_same_however_the_findings_lie():
    rng = np.random.default_rng(0)
    found = [
        (int(row), check, REVIEW, float(rng.random())) for row in range(40) for check in ("dark", "outlier", "light")
    ]
    assert order(table(*found)) == order(table(*reversed(found)))
