import numpy as np

from curate.findings import COLUMNS, SEVERITY, Finding, Judgement, findings_table

# The check names that docs/ and every table promise.
PUBLIC = [
    "unreadable",
    "exact_duplicate",
    "near_duplicate",
    "label_conflict",
    "leak",
    "outlier",
    "outlier_group",
    "colour_cast",
    "dark",
    "light",
    "blurred",
    "low_information",
    "odd_size",
    "odd_aspect",
    "grayscale",
    "label_error",
    "shortcut",
]
TYPES = {
    "row": "int64",
    "id": "str",
    "check": "str",
    "score": "float32",
    "group": "int64",
    "action": "str",
    "because": "str",
}


def test_the_checks_are_those_with_public_names_each_once():
    assert sorted(SEVERITY) == sorted(PUBLIC)


def test_label_conflicts_are_told_first():
    assert SEVERITY[0] == "label_conflict"


def test_a_table_of_findings_has_one_row_each_in_the_order_given():
    found = [
        Finding(7, "b.png", "dark", 0.75, -1, "review", "mean brightness 0.02"),
        Finding(2, "a.png", "leak", 1, 4, "drop", "a copy of b.png"),
    ]
    table = findings_table(found)
    assert tuple(table.columns) == COLUMNS
    assert table.dtypes.astype(str).to_dict() == TYPES
    assert [Finding(**row) for row in table.to_dict("records")] == found


def test_a_table_of_no_findings_has_the_same_columns_and_types():
    table = findings_table([])
    assert not len(table)
    assert table.dtypes.astype(str).to_dict() == TYPES


def test_a_check_that_cannot_judge_says_why_and_accuses_nobody():
    silent = Judgement.silent(5, "no labels")
    assert silent.note == "no labels"
    assert silent.score.dtype == np.float32
    assert silent.score.tolist() == [0] * 5
