from __future__ import annotations

import threading

import pytest
from reviewed import CLASSES, draw, scanned

from curate.deciding import decide
from curate.decisions import Proposal, read_history
from curate.reviewing.journal import Journal
from curate.scans import open_scan
from curate.stage.errors import DataError, UnknownName

ANT, BEE = "ant/0.jpg", "bee/1.jpg"


@pytest.fixture
def journal(artifacts):
    return Journal(open_scan(artifacts / "scan"), CLASSES)


def row_of(artifacts, name: str) -> int:
    return open_scan(artifacts / "scan").table["id"].tolist().index(name)


def test_nothing_was_decided_yet(journal):
    assert journal.after(0) == {"line": 0, "entries": []}


def test_each_line_says_which_rows_it_is_about(artifacts, journal):
    answer = journal.append(
        [
            Proposal("drop", ANT, why="blurred"),
            Proposal("relabel", BEE, label="ant"),
            Proposal("not_copies", ids=(ANT, BEE)),
        ],
        None,
    )
    ant, bee = row_of(artifacts, ANT), row_of(artifacts, BEE)
    assert answer["line"] == 3
    entries = answer["entries"]
    assert [entry["rows"] for entry in entries] == [[ant], [bee], [ant, bee]]
    assert [entry["action"] for entry in entries] == ["drop", "relabel", "not_copies"]
    assert [entry["label"] for entry in entries] == [-1, 0, -1]
    assert entries[0]["why"] == "blurred"
    assert entries[0]["by"] == "person"
    assert entries[0]["when"]
    assert journal.after(0) == answer
    assert journal.after(2)["entries"] == entries[2:]


def test_what_another_process_appends_meanwhile_is_told(artifacts, journal):
    journal.append([Proposal("drop", ANT)], None)
    decide(artifacts, {BEE: "keep"})
    assert [entry["action"] for entry in journal.after(1)["entries"]] == ["keep"]
    answer = journal.append([Proposal("review", ANT)], 1)
    assert [entry["action"] for entry in answer["entries"]] == ["keep", "review"]
    assert [entry["action"] for entry in journal.append([Proposal("drop", ANT)], None)["entries"]] == ["drop"]


def test_decisions_are_taken_back_by_their_lines(artifacts, journal):
    journal.append([Proposal("drop", ANT), Proposal("keep", BEE)], None)
    assert journal.take_back([1], None) == {"line": 3, "entries": [{"line": 3, "undo": 1}]}
    assert [d.action for d in read_history(artifacts / "decisions.jsonl").decisions] == ["keep"]
    assert [entry.get("undo") for entry in journal.take_back([2], 1)["entries"]] == [None, 1, 2]
    with pytest.raises(DataError, match="line 1"):
        journal.take_back([1], None)
    assert journal.after(0)["line"] == 4


def test_what_is_refused_writes_nothing(artifacts, journal):
    with pytest.raises(DataError, match=r"Did you mean 'ant/0\.jpg'"):
        journal.append([Proposal("drop", BEE), Proposal("drop", "ant/00.jpg")], None)
    with pytest.raises(UnknownName, match="cow"):
        journal.append([Proposal("relabel", ANT, label="cow")], None)
    assert not (artifacts / "decisions.jsonl").exists() or not (artifacts / "decisions.jsonl").read_text()


def test_decisions_follow_a_picture_to_another_id(tmp_path, artifacts):
    decide(artifacts, {ANT: "drop", BEE: "keep"})
    (tmp_path / "set/ant/0.jpg").rename(tmp_path / "set/ant/renamed.jpg")
    scanned(tmp_path / "set", artifacts)
    entries = Journal(open_scan(artifacts / "scan"), CLASSES).after(0)["entries"]
    assert [entry["rows"] for entry in entries] == [
        [row_of(artifacts, "ant/renamed.jpg")],
        [row_of(artifacts, BEE)],
    ]


def test_a_decision_on_a_picture_that_is_gone_is_about_no_row(tmp_path, artifacts):
    decide(artifacts, {ANT: "drop"})
    draw(tmp_path / "other", 3)
    (tmp_path / "other/ant/0.jpg").unlink()
    scanned(tmp_path / "other", artifacts)
    assert Journal(open_scan(artifacts / "scan"), CLASSES).after(0)["entries"][0]["rows"] == []


def test_a_review_counts_what_was_decided_in_it(artifacts, journal):
    decide(artifacts, {BEE: "drop"})
    journal.append([Proposal("drop", ANT), Proposal("keep", BEE)], None)
    assert journal.session.counts() == {"drop": 1, "keep": 1}
    journal.take_back([2], None)
    assert journal.session.counts() == {"keep": 1}
    assert journal.session.taken_back == 0
    journal.take_back([1], None)
    assert journal.session.taken_back == 1


def test_many_threads_lose_nothing_and_each_is_told_its_own(artifacts, journal):
    names = open_scan(artifacts / "scan").table["id"].tolist()
    told = []

    def work(name):
        for turn in range(20):
            answer = journal.append([Proposal("drop" if turn % 2 else "keep", name)], None)
            told.extend((entry["line"], entry["rows"], entry["action"]) for entry in answer["entries"])

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = read_history(artifacts / "decisions.jsonl")
    assert history.lines == 20 * len(names)
    written = {(d.line, names.index(d.id), d.action) for d in history.decisions}
    assert {(line, rows[0], action) for line, rows, action in told} == written
