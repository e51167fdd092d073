from __future__ import annotations

import json

import numpy as np
import pytest
from handmade import scanned

from curate.decisions import Proposal
from curate.proposals import READERS
from curate.scans import Scanned, open_scan
from curate.stage.errors import DataError


@pytest.fixture
def scan(tmp_path) -> Scanned:
    """Of six small images of two classes, one with a comma in its id."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    ids = ["0", "1", "2", "3", "a,b", "5"]
    np.savez(tmp_path / "d.npz", images=pixels, labels=np.arange(6) % 2, class_names=["cat", "big dog"], ids=ids)
    return open_scan(scanned(tmp_path / "d.npz", tmp_path / "a", []) / "scan")


def said(proposals) -> list[tuple[object, ...]]:
    return [(p.action, p.ids or p.id, p.label, p.why) for p in proposals]


def test_a_table_is_read_as_people_leave_it(tmp_path, scan):
    path = tmp_path / "c.csv"
    path.write_text(
        " ID ,Action, label ,Why,ids,more\n1,Drop,cat,no cell,,x\n2,,cat,,,\n 3 ,RELABEL,big dog ,,,\n"
        '"a,b",keep,,,,\n1,not copies,,,"2,""a,b""",\n,not-copies,,,"a,b,5",\n'.replace('""a,b""', "a,b")
    )
    received = READERS["table"].read(path, scan)
    assert said(received.proposals) == [
        ("drop", "1", "cat", "no cell"),
        ("relabel", "3", "big dog", ""),
        ("keep", "a,b", "", ""),
        ("not_copies", ("1", "2", "a,b"), "", ""),
        ("not_copies", ("a,b", "5"), "", ""),
    ]
    assert received.notes == ("1 of 6 rows of c.csv have no action, and were skipped",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,verdict\n1,drop\n", r"holds no decisions: its columns are id, verdict. Needed are id and action"),
        ("id,action\n1,drop\n2,dorp\n", r"c.csv, row 3: no action named 'dorp'. Did you mean 'drop'"),
        ("id,action\n,drop\n", r"c.csv, row 2: entry 1 is no decision: it has no \"id\""),
        ("id,action\n1,relabel\n", r"it names no class to relabel to"),
    ],
)
def test_a_table_that_holds_none_is_refused_with_the_row(tmp_path, scan, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        READERS["table"].read(tmp_path / "c.csv", scan)


def test_of_a_file_of_decisions_what_stands_is_read(tmp_path, scan):
    lines = [
        {"id": "1", "action": "drop", "digest": "d", "given": "cat", "by": "ann"},
        {"id": "2", "action": "keep"},
        {"undo": 2, "when": ""},
        {"id": "1", "action": "relabel", "label": "cat", "digest": "d", "given": "cat", "by": "ann"},
        {"action": "not_copies", "ids": ["1", "2"], "digests": ["d", "e"]},
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(READERS["json"].read(path, scan).proposals) == [
        Proposal("relabel", "1", label="cat", digest="d", given="cat", by="ann"),
        Proposal("not_copies", ids=("1", "2"), digests=("d", "e")),
    ]


@pytest.mark.parametrize(
    "document",
    [
        [{"id": 1, "action": "drop"}],
        {"entries": [{"id": "1", "action": "Drop", "label": None}]},
        {"id": "1", "action": "drop"},
    ],
)
def test_a_list_of_objects_is_read_too(tmp_path, scan, document):
    (tmp_path / "d.json").write_text(json.dumps(document))
    assert said(READERS["json"].read(tmp_path / "d.json", scan).proposals) == [("drop", "1", "", "")]


def test_a_line_that_is_none_is_named(tmp_path, scan):
    (tmp_path / "d.jsonl").write_text('{"id": "1", "action": "drop"}\n{"id": "1", "action": "burn"}\n')
    with pytest.raises(DataError, match=r"d.jsonl, line 2 is no decision: its action is 'burn'"):
        READERS["json"].read(tmp_path / "d.jsonl", scan)
