from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curate.findings import SEVERITY
from curate.tallying import SEES, Counts, average_precision, propose, summary, tally, ways_of, wilson

IN_USE = dict.fromkeys(SEVERITY, 0.5)


def scanned(n: int, scores: dict[str, dict[int, float]], groups=(), silenced=()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """images.parquet and findings.parquet of n rows: score of each check by row, rows of each group."""
    table = pd.DataFrame({f"{name}_score": np.zeros(n, np.float32) for name in SEVERITY})
    table["group"] = -1
    for number, rows in enumerate(groups):
        table.loc[list(rows), "group"] = number
    flags = []
    for name, by_row in scores.items():
        for row, score in by_row.items():
            table.loc[row, f"{name}_score"] = score
            if score >= IN_USE[name] and row not in silenced:
                flags.append((row, name, np.nan))
    return table, pd.DataFrame(flags, columns=["row", "check", "chance"])


def counted(planted, table, findings, ignored=()):
    mask = np.zeros(len(table), bool)
    mask[list(ignored)] = True
    return tally(planted, table, findings, IN_USE, mask)


def told(planted, table, findings, natural=None, **kwargs) -> pd.DataFrame:
    """The table of one planted copy, by check."""
    return summary([counted(planted, table, findings, **kwargs)], IN_USE, 0.95, natural or {}).set_index("check")


def blurred(*rows: int) -> list[dict]:
    return [{"row": row, "kind": "blur"} for row in rows]


# counting


def test_a_planted_fault_counts_as_found_when_its_check_flags_it():
    row = told(blurred(1, 2), *scanned(9, {"blurred": {1: 0.8, 2: 0.3}})).loc["blurred"]
    assert (row["planted"], row["found"], row["flagged"], row["false_alarms"]) == (2, 1, 1, 0)
    assert row["recall"] == 0.5
    assert row["precision"] == 1


def test_the_precision_that_a_check_expects_is_told_beside_that_which_it_has():
    table, findings = scanned(9, {"blurred": {1: 0.8, 2: 0.7, 5: 0.6, 8: 0.9}, "dark": {1: 0.8}})
    findings["chance"] = [0.9, 0.8, 0.4, 0.1, np.nan]
    rows = told(blurred(1, 2), table, findings, ignored=[8])
    assert rows.loc["blurred", "expected"] == pytest.approx(0.7)
    assert rows.loc["blurred", "precision"] == pytest.approx(2 / 3)
    assert np.isnan(rows.loc["dark", "expected"])


def test_a_flag_by_another_check_does_not_find_a_fault():
    rows = told(blurred(1), *scanned(9, {"dark": {1: 0.9}}))
    assert rows.loc["blurred", "found"] == 0
    assert np.isnan(rows.loc["blurred", "precision"])


def test_what_is_flagged_without_anything_planted_in_it_is_a_false_alarm():
    row = told(blurred(1), *scanned(9, {"blurred": {1: 0.8, 5: 0.6, 7: 0.7}})).loc["blurred"]
    assert row["false_alarms"] == 2
    assert row["precision"] == pytest.approx(1 / 3)
    assert row["precision_low"] < 1 / 3 < row["precision_high"]


def test_a_flag_on_a_fault_of_another_kind_counts_neither_way():
    planted = [*blurred(1), {"row": 2, "kind": "solid"}]
    row = told(planted, *scanned(9, {"blurred": {1: 0.8, 2: 0.9}})).loc["blurred"]
    assert (row["flagged"], row["false_alarms"], row["precision"]) == (2, 0, 1)


def test_ignored_rows_count_neither_way():
    table, findings = scanned(9, {"blurred": {1: 0.8, 8: 0.9}})
    row = told(blurred(1), table, findings, ignored=[8]).loc["blurred"]
    assert (row["flagged"], row["false_alarms"], row["precision"]) == (1, 0, 1)


@pytest.mark.parametrize("flagged", [3, 6], ids=["the copy is flagged", "its original is flagged"])
def test_a_copy_is_found_when_either_is_flagged_and_both_are_in_one_group(flagged):
    planted = [{"row": 3, "kind": "near", "how": "flip", "of": 6}]
    together = scanned(9, {"near_duplicate": {flagged: 0.97}}, groups=[(3, 6)])
    apart = scanned(9, {"near_duplicate": {flagged: 0.97}}, groups=[(3, 4), (6, 7)])
    assert told(planted, *together).loc["near_duplicate", "found"] == 1
    assert told(planted, *apart).loc["near_duplicate", "found"] == 0


def test_the_original_of_a_copy_raises_no_false_alarm():
    planted = [{"row": 3, "kind": "exact", "of": 6}]
    table, findings = scanned(9, {"exact_duplicate": {6: 1.0}}, groups=[(3, 6)])
    row = told(planted, table, findings).loc["exact_duplicate"]
    assert (row["found"], row["false_alarms"], row["precision"]) == (1, 0, 1)


def test_a_conflict_that_speaks_finds_a_copy_as_well():
    planted = [{"row": 3, "kind": "near", "how": "flip", "of": 6}]
    table, findings = scanned(9, {"label_conflict": {3: 0.7, 6: 0.7}}, groups=[(3, 6)])
    rows = told(planted, table, findings)
    assert rows.loc["near_duplicate", "found"] == 1
    assert rows.loc["label_conflict", ["planted", "false_alarms"]].tolist() == [0, 0]


@pytest.mark.parametrize("check", SEES["intruder"])
def test_a_strange_picture_is_found_by_any_check_that_may_tell_of_it(check):
    planted = [{"row": 3, "kind": "intruder", "of": "a"}]
    rows = told(planted, *scanned(9, {check: {3: 0.9}}))
    assert rows.loc["outlier_group", "found"] == 1


def test_a_score_that_the_scan_kept_silent_on_counts_as_below_the_threshold():
    table, findings = scanned(9, {"blurred": {1: 0.8, 5: 0.9}}, silenced=[1, 5])
    row = told(blurred(1), table, findings).loc["blurred"]
    assert (row["found"], row["false_alarms"]) == (0, 0)


def test_a_finding_on_the_set_as_a_whole_is_no_row():
    table, findings = scanned(9, {"blurred": {1: 0.8}})
    findings.loc[len(findings)] = (-1, "shortcut", np.nan)
    assert "shortcut" not in told(blurred(1), table, findings).index


def test_only_checks_with_something_planted_or_flagged_have_a_row_in_order_of_severity():
    table, findings = scanned(9, {"blurred": {1: 0.8}, "outlier": {4: 0.6}})
    rows = told(blurred(1), table, findings, natural={"outlier": 7, "dark": 3})
    assert rows.index.tolist() == ["outlier", "blurred"]
    assert rows["natural"].tolist() == [7, 0]
    assert np.isnan(rows.loc["outlier", ["recall", "precision", "ap", "proposed"]].astype(float)).all()
    assert rows.loc["outlier", "false_alarms"] == 1


def test_repeats_are_pooled():
    one = counted(blurred(1), *scanned(9, {"blurred": {1: 0.8}}))
    two = counted(blurred(4, 5), *scanned(9, {"blurred": {4: 0.8, 5: 0.1, 7: 0.6}}))
    row = summary([one, two], IN_USE, 0.95, {}).set_index("check").loc["blurred"]
    assert row[["planted", "found", "flagged", "false_alarms"]].tolist() == [3, 2, 3, 1]


def test_nothing_planted_and_nothing_flagged_is_an_empty_table_of_the_same_columns():
    empty = summary([counted([], *scanned(9, {}))], IN_USE, 0.95, {})
    full = summary([counted(blurred(1), *scanned(9, {"blurred": {1: 0.8}}))], IN_USE, 0.95, {})
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


def test_ways_tell_what_is_missed_of_each_kind():
    planted = [
        {"row": 0, "kind": "cast", "strength": "subtle", "colour": "red"},
        {"row": 1, "kind": "near", "how": "crop", "of": 2},
        {"row": 3, "kind": "near", "how": "crop", "of": 4},
        {"row": 5, "kind": "intruder", "of": "b"},
    ]
    scores = {"near_duplicate": {1: 0.96}, "outlier": {5: 0.6}}
    ways = ways_of([counted(planted, *scanned(9, scores, groups=[(1, 2)]))])
    assert ways.to_numpy().tolist() == [
        ["intruder", "picture b", 1, 1],
        ["near", "crop", 2, 1],
        ["cast", "subtle red", 1, 0],
    ]


def test_rows_name_every_fault_and_every_false_alarm():
    table, findings = scanned(9, {"blurred": {1: 0.8, 5: 0.6}, "dark": {2: 0.7}})
    rows = tally(blurred(1, 2), table, findings, IN_USE, np.zeros(9, bool), [f"id{row}" for row in range(9)]).rows
    assert rows[["id", "kind", "found", "flagged"]].to_numpy().tolist() == [
        ["id1", "blur", True, "blurred"],
        ["id2", "blur", False, "dark"],
        ["id5", "", False, "blurred"],
    ]
    assert rows["score"].tolist() == pytest.approx([0.8, 0, 0.6])


def test_every_kind_that_is_planted_by_default_has_a_check_to_see_it():
    assert {check for checks in SEES.values() for check in checks} <= set(SEVERITY)


# thresholds


def counts(target, clean) -> Counts:
    target = np.array(target, float)
    return Counts(target, np.zeros(len(target), bool), target, np.array(clean, float), 0, np.zeros(0))


def test_a_lower_threshold_is_proposed_where_it_finds_more():
    assert propose(counts([0.9, 0.4, 0.3], [0.1] * 50), 0.5, 0.95) == 0.3


def test_a_higher_threshold_is_proposed_where_the_one_in_use_is_not_precise_enough():
    assert propose(counts([0.9] * 10, [0.55, 0.6, *[0.1] * 50]), 0.5, 0.95) == 0.61


def test_nothing_is_proposed_where_nothing_is_to_be_gained_or_reached():
    assert propose(counts([0.9, 0.8], [0.1] * 50), 0.5, 0.95) is None
    assert propose(counts([0.9, 0.8], [0.95] * 50), 0.5, 0.95) is None
    assert propose(counts([0.0, 0.0], [0.0] * 50), 0.5, 0.95) is None


def test_faults_that_another_check_finds_are_no_reason_to_lower_a_threshold():
    some = replace(counts([0.9, 0.2], [0.1] * 50), otherwise=np.array([False, True]))
    assert propose(some, 0.5, 0.95) is None


def test_a_proposal_and_its_recall_stand_in_the_table():
    scores = {1: 0.8, 2: 0.41, 3: 0.01}
    row = told(blurred(1, 2, 3), *scanned(40, {"blurred": scores})).loc["blurred"]
    assert row["proposed"] == 0.41
    assert row["recall_at_proposed"] == pytest.approx(2 / 3)


# arithmetic


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)]
)
def test_intervals_are_those_of_wilson(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_average_precision_is_that_of_scikit_learn_ties_included():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        bad, clean = rng.integers(0, 6, 7) / 5, rng.integers(0, 5, 30) / 5
        truth = np.repeat([1, 0], [len(bad), len(clean)])
        assert average_precision(bad, clean) == pytest.approx(
            average_precision_score(truth, np.concatenate([bad, clean]))
        )
    assert np.isnan(average_precision(np.array([]), clean))
