from __future__ import annotations

import json
import math

import pandas as pd

from curate.decisions import decisions_path
from curate.handing.cases import cases_of, entries_of, rounded
from curate.scans import open_scan


def test_each_image_has_what_was_found_in_it_the_gravest_first(hostile):
    cases = cases_of(open_scan(hostile / "scan"))
    assert [case.row for case in cases] == list(range(12))
    assert cases[4].checks == ["exact_duplicate", "blurred"]
    assert cases[4].verdict == "drop"
    assert cases[4].score == 1
    assert cases[1].checks == ["label_error", "blurred"]
    assert cases[1].because.startswith("label_error: the probe says so; blurred: ")
    assert (cases[1].suggested, cases[1].suggestion.chance) == (cases[2].label, cases[1].chance)
    assert round(cases[1].chance, 4) == 0.8
    assert cases[11].findings == ()
    assert cases[11].suggestion is None
    assert (cases[11].suggested, cases[11].because, cases[11].score) == ("", "", 0)
    assert math.isnan(cases[11].chance)


def test_scans_of_before_there_were_suggestions_suggest_nothing(folder):
    path = folder / "scan" / "findings.parquet"
    scan = open_scan(path.parent)
    table = scan.findings.drop(columns="suggested", errors="ignore")
    assert [case.suggested for case in cases_of(type(scan)(scan.folder, scan.manifest, scan.table, table))] == [""] * 5


def test_what_a_person_decided_stands_beside_it(folder):
    scan = open_scan(folder / "scan")
    lines = [
        {"id": "cat/a.jpg", "action": "relabel", "label": "dog"},
        {"id": "cat/b.png", "action": "drop"},
        {"id": "dog/c.png", "action": "drop", "digest": "of other pixels"},
    ]
    decisions_path(folder).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    cases = {case.id: case for case in cases_of(scan)}
    assert cases["cat/a.jpg"].decided == "relabel dog"
    assert (cases["cat/a.jpg"].label, cases["cat/a.jpg"].label_now) == ("cat", "dog")
    assert cases["cat/b.png"].decided == "drop"
    assert cases["dog/c.png"].decided == ""
    assert cases["dog/c.png"].label_now == "dog"


def test_findings_are_json_as_they_are_handed_on(hostile):
    cases = cases_of(open_scan(hostile / "scan"))
    entry = entries_of(cases[4].findings)[0]
    assert entry == {
        "check": "exact_duplicate", "score": 1.0, "chance": None, "group": 3, "action": "drop",
        "because": "the same as another", "suggested": "",
    }  # fmt: skip
    assert json.loads(json.dumps(entry)) == entry


def test_numbers_that_are_none_are_none():
    assert rounded(math.nan) is None
    assert rounded(0.123456, 2) == 0.12
    assert rounded(float(pd.Series([0.5], dtype="float32")[0])) == 0.5
