from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.configs import ScanConfig
from curate.findings import CATALOGUE, SEVERITY, findings_table
from curate.reporting.overviews import (
    OVERVIEW,
    lead,
    meaning,
    overview_of,
    read_overview,
    untested,
    words_of,
)
from curate.scans import CleaningEffect, Scan
from curate.stage.errors import DataError
from curate.stage.records import write_record

NOTHING_NEXT = "There is nothing to type next."


def clean(scan: Scan) -> Scan:
    return replace(scan, findings=findings_table([]), table=scan.table.assign(verdict="keep", group=-1), stories=())


def test_the_head_says_what_is_wrong_what_awaits_review_and_what_to_type(scan: Scan) -> None:
    certain, doubtful, step = lead(overview_of(scan, "augment build"))
    assert certain.startswith(
        "25 images (41.7\N{NO-BREAK SPACE}%) are wrong for certain and left out of the clean set: "
    )
    assert "foreign groups (20), unreadable (2), " in certain
    assert certain.endswith(" and 2 more kinds.")
    assert doubtful.startswith("10 images await your review, kept until you decide: likely label errors (8), ")
    assert step == "Decide on them below, or with `curate review`; then type `augment build`."


def test_of_a_clean_set_the_head_says_that_nothing_is_wrong(scan: Scan) -> None:
    said = lead(overview_of(clean(scan)))
    assert said == [
        "Nothing is wrong for certain, and nothing is dropped.",
        "Nothing is left for you to review.",
        NOTHING_NEXT,
    ]
    assert lead(overview_of(clean(scan), "augment build"))[2] == "Next, type `augment build`."


def test_of_strict_cleaning_what_awaits_review_is_left_out(scan: Scan) -> None:
    strict = replace(scan, config=ScanConfig(strict=True))
    assert "left out until you decide" in lead(overview_of(strict))[1]


def test_what_was_not_tested_is_told_with_the_reason_and_counts_as_not_silent(scan: Scan) -> None:
    reasons = {"leak": "no splits", "outlier": "too few", "dark": "too few"}
    overview = overview_of(replace(scan, not_checked=reasons, notes=("not checked: leak (no splits)", "x")))
    assert untested(overview) == "Not tested: leaks (no splits); outliers, dark (too few)."
    assert not {"Leaks", "Outliers", "Dark"} & set(overview.silent)
    assert overview.notes == ("x",)
    assert untested(overview_of(scan)) == ""


@pytest.mark.parametrize(
    ("before", "words"), [(0.9, "Cleaning helps."), (0.955, "No clear change"), (0.99, "Cleaning does not help here")]
)
def test_the_effect_of_cleaning_is_not_flattered(before: float, words: str) -> None:
    assert meaning(CleaningEffect(before, 0.957, 0.951, 0.962, 31)).startswith(words)


def test_checks_come_in_the_order_of_severity_counted_by_the_verdicts_of_the_rows(scan: Scan) -> None:
    dropped = scan.table.assign(verdict=["drop" if row in (52, 53) else v for row, v in enumerate(scan.table.verdict)])
    checks = overview_of(replace(scan, table=dropped)).checks
    assert [check.name for check in checks] == [
        "label_conflict", "unreadable", "outlier_group", "exact_duplicate",
        "near_duplicate", "label_error", "light", "odd_size", "shortcut",
    ]  # fmt: skip
    errors = next(check for check in checks if check.name == "label_error")
    assert (errors.rows, errors.drop, errors.review, errors.right) == (8, 2, 6, None)
    whole = checks[-1]
    assert (whole.rows, whole.findings, whole.review) == (0, 1, 1)


def test_how_many_are_likely_right_is_told_where_a_check_can_tell(scan: Scan) -> None:
    chance = np.where(scan.findings["check"] == "label_error", 0.6, np.nan).astype(np.float32)
    overview = overview_of(replace(scan, findings=scan.findings.assign(chance=chance)))
    right = {check.name: check.right for check in overview.checks}
    assert (right["label_error"], right["odd_size"]) == (4.8, None)


def test_beside_the_head_stands_what_the_checks_with_most_to_say_found(scan: Scan) -> None:
    jokes, errors, conflict = overview_of(scan).leading
    assert jokes.sentence == "20 identical images <all> over the place."
    assert all(row < 20 for together in jokes.strip for row in together)
    # Without a story the worst are shown, and of copies the whole group.
    assert (errors.check, errors.sentence) == ("label_error", "Likely label errors: 8")
    assert {row for together in errors.strip for row in together} == set(range(52, 60))
    assert sorted(conflict.strip[0]) == [30, 31]


def test_an_overview_is_read_as_it_was_written(scan: Scan, tmp_path: Path) -> None:
    overview = overview_of(scan, "augment build")
    write_record(overview, tmp_path / OVERVIEW)
    assert read_overview(tmp_path) == overview


def test_a_scan_without_an_overview_is_of_an_earlier_version(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of an earlier version of Trustset"):
        read_overview(tmp_path)


def test_an_overview_of_another_format_is_refused(scan: Scan, tmp_path: Path) -> None:
    write_record(replace(overview_of(scan), format=99), tmp_path / OVERVIEW)
    with pytest.raises(DataError, match="is of format 99"):
        read_overview(tmp_path)


def test_every_check_has_words_and_an_unknown_one_its_name() -> None:
    assert set(CATALOGUE) == set(SEVERITY)
    for name, check in CATALOGUE.items():
        assert words_of(name) == (check.title, check.looks_for)
        assert check.looks_for.endswith(".")
    assert words_of("too_shiny") == ("Too shiny", "")
