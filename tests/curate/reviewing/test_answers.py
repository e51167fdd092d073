from __future__ import annotations

import io
import json
import shutil
import struct

import numpy as np
import pytest
from PIL import Image
from reviewed import answers_of, scanned

from curate.decisions import read_history


@pytest.fixture
def answers(artifacts):
    return answers_of(artifacts)


def got(answers, place: str, query: str = ""):
    """(status, what the JSON of the answer says)."""
    answer = answers.get(place, query)
    return answer.status, json.loads(answer.body)


def posted(answers, document, query: str = ""):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = answers.post("decisions", query, body)
    return answer.status, json.loads(answer.body)


def test_the_page_and_its_files(answers):
    page = answers.get("", "")
    assert (page.status, page.kind) == (200, "text/html; charset=utf-8")
    assert b"<title>" in page.body
    assert answers.get("page.js", "").kind == "text/javascript"
    assert not page.lasting


def test_info_and_columns(answers):
    assert got(answers, "info") == (200, {"rows": 6})
    column = answers.get("columns/label", "")
    assert column.body == np.arange(6, dtype="<i4").tobytes()
    assert got(answers, "columns/none")[0] == 404


def test_words_on_rows(answers):
    assert got(answers, "details", "rows=4,1") == (200, [{"row": 4}, {"row": 1}])
    assert got(answers, "details") == (200, [])


@pytest.mark.parametrize("place", ["details", "thumbnails"])
@pytest.mark.parametrize(
    ("rows", "status"), [("6", 404), ("-1", 400), ("x", 400), ("1.0", 400), ("¹", 400), (",".join("0" * 501), 400)]
)
def test_rows_that_do_not_exist_are_refused(answers, place, rows, status):
    code, document = got(answers, place, f"rows={rows}")
    assert code == status
    assert document["error"].endswith(".")


def test_thumbnails_come_in_packs(answers):
    body = answers.get("thumbnails", "rows=2,0&side=20").body
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    assert [entry[:3] for entry in header] == [[2, 20, 15], [0, 20, 15]]
    assert Image.open(io.BytesIO(body[4 + length :])).size == (20, 15)
    assert got(answers, "thumbnails", "rows=0&side=9999")[0] == 400
    assert answers.get("thumbnails", "rows=0").status == 200


def test_originals_are_the_files_themselves(tmp_path, artifacts, answers):
    answer = answers.get("original/0", "")
    assert (answer.status, answer.kind, answer.lasting) == (200, "image/jpeg", True)
    assert answer.body == (tmp_path / "set/ant/0.jpg").read_bytes()
    assert got(answers, "original/99")[0] == 404
    assert got(answers, "original/../../set")[0] == 404


def test_a_missing_file_or_folder_is_told(tmp_path, answers):
    (tmp_path / "set/ant/0.jpg").unlink()
    status, document = got(answers, "original/0")
    assert status == 404
    assert "ant/0.jpg is not where it was scanned" in document["error"]
    shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    assert "set is not where it was scanned" in got(answers, "original/1")[1]["error"]
    assert answers.get("thumbnails", "rows=0,1").status == 200


def test_neighbours_are_near_and_others(artifacts, answers):
    status, document = got(answers, "neighbours/3")
    assert status == 200
    assert sorted(document["rows"]) == [0, 1, 2, 4, 5]
    assert document["distances"] == sorted(document["distances"])
    assert len(got(answers, "neighbours/3", "count=2")[1]["rows"]) == 2


def test_ids_are_searched_whatever_their_case(answers):
    assert got(answers, "search", "q=BEE%2F") == (200, {"rows": [3, 4, 5]})
    assert got(answers, "search", "q=") == (200, {"rows": []})
    assert got(answers, "search", "q=nowhere") == (200, {"rows": []})
    assert got(answers, "search") == (200, {"rows": []})


def test_a_search_gives_a_thousand_rows_at_most(answers):
    answers._lowered *= 400
    assert len(got(answers, "search", "q=jpg")[1]["rows"]) == 1_000


@pytest.mark.parametrize(
    "place",
    [*("nothing", "info/", "columns", "original", "original/1/2", "decisions/1", "page.js/"), "INFO", "..", "%2e%2e"],
)
def test_what_is_no_address_is_nothing(answers, place):
    assert got(answers, place) == (404, {"error": "there is nothing at this address."})
    assert answers.takes(place) == ()


def test_decisions_are_written_at_once_and_read_from_any_line(artifacts, answers):
    relabel = {"id": "bee/1.jpg", "action": "relabel", "label": "ant"}
    entries = [{"id": "ant/0.jpg", "action": "drop", "why": "x"}, relabel]
    status, document = posted(answers, {"entries": entries})
    assert status == 200
    assert [(e["line"], e["rows"], e["action"], e["label"]) for e in document["entries"]] == [
        (1, [0], "drop", -1),
        (2, [3], "relabel", 0),
    ]
    assert read_history(artifacts / "decisions.jsonl").lines == 2
    assert got(answers, "decisions") == (200, document)
    assert got(answers, "decisions", "after=1")[1]["entries"] == document["entries"][1:]
    status, document = posted(answers, {"undo": [1]}, "after=0")
    assert (status, document["line"], len(document["entries"])) == (200, 3, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"1", b"{}", b'{"entries": 1}', b'{"entries": [1]}', b'{"entries": [{"id": "ant/0.jpg"}]}',
        b'{"undo": ["1"]}', b'{"undo": [true]}', b'{"undo": [7]}', b'{"undo": 1}', b"[" * 100_000, b"\xff\xfe",
        b'{"entries": [{"id": "ant/0.jpg", "action": "burn"}]}', b'{"entries": [{"id": "no", "action": "drop"}]}',
        b'{"entries": [{"id": "ant/0.jpg", "action": "relabel", "label": "cow"}]}',
        b'{"entries": [{"id": "ant/0.jpg", "action": "drop"}, {"id": "no", "action": "drop"}]}',
        b'{"entries": [], "undo": [1]}',
    ],
    ids=lambda body: body[:60].decode("latin1"),
)  # fmt: skip
def test_what_is_no_decision_is_refused_in_words_and_nothing_is_written(artifacts, answers, body):
    status, document = posted(answers, body)
    assert status == 400
    assert document["error"]
    assert read_history(artifacts / "decisions.jsonl").lines == 0


def test_nothing_but_decisions_is_posted(answers):
    assert answers.post("info", "", b"{}").status == 404
    assert answers.takes("info") == ("GET",)
    assert answers.takes("decisions") == ("GET", "POST")


def test_where_nothing_can_be_written_that_is_told(artifacts, answers):
    (artifacts / "decisions.jsonl").mkdir()
    status, document = posted(answers, {"entries": [{"id": "ant/0.jpg", "action": "drop"}]})
    assert status in (400, 507)
    assert "decisions.jsonl" in document["error"]


def test_a_set_that_was_scanned_again_is_not_shown_any_more(tmp_path, artifacts, answers):
    scanned(tmp_path / "set", artifacts, strict=True)
    for place in ("", "info", "columns/label", "original/0", "decisions", "nothing"):
        status, document = got(answers, place)
        assert status == 409
        assert "start `curate review` anew" in document["error"]
    assert posted(answers, {"entries": [{"id": "ant/0.jpg", "action": "drop"}]})[0] == 409
    assert not (artifacts / "decisions.jsonl").exists()


def test_while_it_is_being_scanned_nothing_is_shown_either(artifacts, answers):
    (artifacts / "scan/manifest.json").unlink()
    assert got(answers, "info")[0] == 409


def test_what_is_not_ready_yet_says_so(artifacts, answers, monkeypatch):
    def take():
        from curate.reviewing.pictures import Unready

        raise Unready("comparing is still under way.")

    monkeypatch.setattr(answers._likeness, "take", take)
    assert got(answers, "neighbours/1") == (503, {"error": "comparing is still under way."})
