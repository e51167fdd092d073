"""The table of what other tools find: truths, scores, lines, and tools that are not installed. No tool runs here."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import peers
from benchmarks.peers import (
    KINDS,
    TOOLS,
    Album,
    Peer,
    Report,
    Score,
    Tool,
    Truth,
    Usage,
    count_planted,
    find_peer,
    joined,
    our_report,
    read_album,
    score,
    strays,
    table,
    truth_of_names,
    truth_of_rows,
)

OF = {kind.name: kind for kind in KINDS}
MISSING = Tool("missing", "Missing", ("no-such-distribution",), "no-such-distribution==1.0")
HERE = Tool("here", "Here", ("numpy",), "numpy")


def report(seconds: float = 1.5, groups: dict | None = None, **flags: list[str]) -> Report:
    return Report.of({"flags": flags, "groups": groups or {}, "seconds": seconds})


def truth() -> Truth:
    """Three copies of one photograph, a pair, a wrong label and two clean rows."""
    return truth_of_names(
        {"flipped": {"a/6": "b"}, "augmented": {"a/1": ["a/2", "a/3"]}, "same_photo": [["a/4", "b/5"]]},
        ["a/1", "a/2", "a/3", "a/4", "b/5", "a/6", "b/7", "b/8"],
    )


def save_set(folder: Path, name: str = "cells", **content: object) -> Path:
    """An array of four pictures of two classes, with its truth."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 12, 10, 3), np.uint8)
    np.savez(folder / f"{name}.npz", images=images, labels=np.array([[0], [1], [1], [0]]), class_names=["x", "y"])
    (folder / f"{name}.truth.json").write_text(json.dumps(content))
    return folder


# Truths and sets


def test_the_truth_of_an_array_names_rows_and_sources():
    entries = [
        {"row": 0, "kind": "intruder", "of": "a"},
        {"row": 1, "kind": "intruder", "of": "a"},
        {"row": 2, "kind": "exact", "of": 3},
        {"row": 4, "kind": "dark"},
    ]
    known = truth_of_rows({"planted": entries, "natural_cast": [5], "label_errors": [6]}, list("abcdefgh"))
    assert known.rows["intruder"] == {"a", "b"}
    assert known.rows["dark"] == {"e"}
    assert (known.rows["natural_cast"], known.rows["label"]) == ({"f"}, {"g"})
    assert known.sources["exact"] == [{"c", "d"}]
    assert known.clean == {"h"}
    assert strays([frozenset("ab")], known) == 0, "copies of one picture from elsewhere are copies of each other"


def test_the_truth_of_a_folder_names_files():
    known = truth()
    assert known.clean == {"b/7", "b/8"}
    assert (count_planted(OF["augmented"], known), count_planted(OF["same_photo"], known)) == (3, 1)
    assert count_planted(OF["label"], known) == 1
    assert count_planted(OF["off_topic"], known) == count_planted(OF["exact"], known) == 0


def test_an_array_is_written_as_files_that_hold_the_same_pixels(tmp_path):
    album = read_album(save_set(tmp_path, natural_cast=[1]), "cells", tmp_path / "images")
    assert album.truth.ids == ["x/00000.png", "y/00001.png", "y/00002.png", "x/00003.png"]
    assert album.truth.rows["natural_cast"] == {"y/00001.png"}
    with np.load(tmp_path / "cells.npz") as arrays:
        for image, name in zip(arrays["images"], album.truth.ids, strict=True):
            assert np.array_equal(np.asarray(Image.open(album.folder / name)), image)


def test_grey_digits_without_names_of_classes_are_written_under_their_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    np.savez(tmp_path / "digits.npz", images=images, labels=np.array([3, 0]))
    (tmp_path / "digits.truth.json").write_text("{}")
    album = read_album(tmp_path, "digits", tmp_path / "images")
    assert album.truth.ids == ["3/00000.png", "0/00001.png"]
    assert np.array_equal(np.asarray(Image.open(album.folder / "3/00000.png")), images[0])


def test_a_folder_is_read_where_it_stands(tmp_path):
    for name in ("b/2.jpg", "a/1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True)
        (tmp_path / "photos" / name).touch()
    (tmp_path / "photos.truth.json").write_text(json.dumps({"off_topic": ["b/2.jpg"]}))
    album = read_album(tmp_path, "photos", tmp_path / "images")
    assert album.folder == tmp_path / "photos"
    assert album.truth.ids == ["a/1.jpg", "b/2.jpg"]
    assert album.truth.clean == {"a/1.jpg"}


# Scores


def test_groups_that_share_a_member_become_one():
    assert sorted(map(sorted, joined(["ab", "cd", "bc", "xy"]))) == [["a", "b", "c", "d"], ["x", "y"]]


def test_pairs_count_where_one_group_holds_both():
    said = report(groups={"near": [["a/1", "a/2"], ["a/4", "b/5", "b/7"]]})
    assert score(OF["augmented"], truth(), said) == Score(found=1, beside=1)
    assert score(OF["same_photo"], truth(), said) == Score(found=1, beside=1)


def test_rows_that_stand_with_copies_of_another_picture_are_strays():
    assert strays([frozenset(("a/1", "a/2"))], truth()) == 0
    assert strays([frozenset(("a/1", "a/2", "a/4"))], truth()) == 1
    assert strays([frozenset(("b/7", "b/8"))], truth()) == 2


def test_exact_copies_are_found_by_a_check_of_their_own_where_a_tool_has_it():
    known = truth_of_rows({"planted": [{"row": 0, "kind": "exact", "of": 1}]}, list("abcd"))
    near = [["a", "b"], ["c", "d"]]
    assert score(OF["exact"], known, report(groups={"near": near})) == Score(1, 2)
    assert score(OF["exact"], known, report(groups={"exact": near[:1], "near": near})) == Score(1, 0)
    assert score(OF["exact"], known, report(dark=["a"])) is None


def test_rows_count_where_one_of_the_checks_flags_them_and_clean_rows_beside():
    said = report(outlier=["b/8"], label=["a/6", "b/7", "a/1"])
    assert score(OF["label"], truth(), said) == Score(found=1, beside=1)
    off = truth_of_names({"off_topic": ["a/6", "b/8"]}, truth().ids)
    assert score(OF["off_topic"], off, said) == Score(found=2, beside=2)


def test_a_kind_that_a_tool_does_not_look_for_has_no_score():
    assert score(OF["label"], truth(), report(dark=[])) is None
    assert score(OF["label"], truth(), report(label=[])) == Score(0, 0)


# The table


def test_the_table_has_a_line_by_kind_and_set_and_a_dash_where_nothing_is_looked_for():
    album = Album("photos", Path("photos"), truth())
    said = {
        "Ours": {"photos": report(groups={"near": [["a/1", "a/2", "a/3"]]}, label=["a/6"])},
        "Theirs": {"photos": report(12.34, dark=["b/7"])},
    }
    assert list(table([album], said)) == [
        "| fault | set | of | Ours | Theirs |",
        "| --- | --- | ---: | ---: | ---: |",
        "| the same photograph, cropped | photos | 1 | 0 +0 | - |",
        "| augmented copies | photos | 3 | 3 +0 | - |",
        "| wrong labels | photos | 1 | 1 +0 | - |",
        "| *clean images, flagged* | photos | 2 | 0 | 1 |",
        "| *seconds* | photos |  | 1.5 | 12.3 |",
    ]


def test_kinds_stand_together_over_sets():
    albums = [Album(name, Path(name), truth()) for name in ("one", "two")]
    lines = list(table(albums, {"Ours": {album.name: report(label=[]) for album in albums}}))
    assert [line.split(" | ")[:2] for line in lines if "wrong" in line] == [
        ["| wrong labels", "one"],
        ["| wrong labels", "two"],
    ]


# Tools


def test_a_tool_is_looked_for_in_every_interpreter():
    assert find_peer(MISSING, [sys.executable]) is None
    assert find_peer(HERE, [sys.executable]) == Peer(HERE, sys.executable, np.__version__)


def test_an_interpreter_may_be_named_from_where_one_stands(monkeypatch):
    monkeypatch.chdir(Path(sys.executable).parent)
    peer = find_peer(HERE, [f"./{Path(sys.executable).name}"])
    assert peer is not None
    assert Path(peer.python).samefile(sys.executable)
    assert Path(peer.python).is_absolute()


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(SystemExit, match="no interpreter no/such/python"):
        find_peer(HERE, ["no/such/python"])


def write_scan(folder: Path) -> None:
    """A finished scan of the four pictures: one pair of copies, a dark one, a wrong label, and one of no name here."""
    folder.mkdir(parents=True)
    ids = ["x/00000.png", "y/00001.png", "y/00002.png", "x/00003.png"]
    rows = [0, 3, 1, 2]
    images = {"row": rows, "id": [ids[row] for row in rows], "group": [0, 0, -1, -1]}
    flags = [(2, "dark"), (2, "label_error"), (1, "odd_size"), (3, "exact_duplicate")]
    findings = {"row": [row for row, _ in flags], "id": [ids[row] for row, _ in flags], "check": [c for _, c in flags]}
    tables = {"images": images, "findings": findings, "pairs": {"row_a": [0], "row_b": [3], "kind": ["exact"]}}
    for name, columns in tables.items():
        pd.DataFrame(columns).to_parquet(folder / f"{name}.parquet")
    np.save(folder / "embeddings.npy", np.eye(4, dtype=np.float16))


def test_a_scan_says_what_it_finds_in_the_same_words(tmp_path):
    write_scan(tmp_path / "scan")
    said = our_report(tmp_path / "scan", 8.0)
    assert said.groups == {"exact": [{"x/00000.png", "x/00003.png"}], "near": [{"x/00000.png", "x/00003.png"}]}
    assert said.flags["dark"] == said.flags["label"] == {"y/00002.png"}
    assert said.flags["other"] == {"y/00001.png", "x/00003.png"}
    assert (said.flags["cast"], said.seconds) == (frozenset(), 8.0)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> list[str]:
    """A scan and a tool that answer at once; how often each was asked is told."""
    asked: list[str] = []

    def scan(source: Path, artifacts: Path) -> Usage:
        asked.append("Trustset")
        if not artifacts.exists():
            write_scan(artifacts / "scan")
        return Usage(2.0, 400)

    def run_peer(peer: Peer, folder: Path, scan: Path, answer: Path) -> Usage:
        asked.append(peer.tool.title)
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text(json.dumps({"flags": {"dark": ["y/00001.png"]}, "groups": {}}))
        return Usage(4.0, 900)

    monkeypatch.setattr(peers, "scan", scan)
    monkeypatch.setattr(peers, "run_peer", run_peer)
    monkeypatch.setattr(peers, "TOOLS", (HERE, MISSING))
    save_set(tmp_path, planted=[{"row": 2, "kind": "dark"}])
    return asked


def run_main(monkeypatch, folder: Path, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", str(folder), "--cache", str(folder / "cache"), *options])
    peers.main()


def test_a_tool_that_is_not_installed_is_left_out_by_name(tmp_path, monkeypatch, capsys, desk):
    run_main(monkeypatch, tmp_path)
    text = capsys.readouterr().out
    assert f"Missing is left out: {sys.executable} has none (pip install no-such-distribution==1.0)\n" in text
    assert f"| fault | set | of | Trustset | Here {np.__version__} |" in text
    assert "| dark | cells | 1 | 1 +0 | 0 +1 |" in text


def test_the_scan_runs_each_time_and_the_others_when_told(tmp_path, monkeypatch, desk):
    run_main(monkeypatch, tmp_path)
    run_main(monkeypatch, tmp_path)
    assert desk == ["Trustset", "Here", "Trustset"]
    run_main(monkeypatch, tmp_path, "--again", "here")
    assert desk[3:] == ["Trustset", "Here"]


def test_a_tool_that_works_on_embeddings_is_asked_again_when_they_changed(tmp_path, desk):
    (cache := tmp_path / "cache").mkdir()
    album = read_album(tmp_path, "cells", tmp_path / "images")
    write_scan(tmp_path / "scan")
    for embeddings in (False, True):
        peer = Peer(Tool("here", "Here", ("numpy",), "numpy", embeddings), sys.executable, "1")
        for value in (0, 1, 1):
            np.save(tmp_path / "scan" / "embeddings.npy", np.full((4, 2), value, np.float16))
            peers.peer_report(peer, album, tmp_path / "scan", cache, again=False)
    assert len(desk) == 1 + 2


def test_the_first_set_is_timed_in_turns(tmp_path, monkeypatch, capsys, desk):
    run_main(monkeypatch, tmp_path, "--time", "here", "--runs", "2")
    assert desk == ["Trustset", *["Trustset", "Here", "Trustset"] * 2], "once before, then in turns, the array last"
    lines = capsys.readouterr().out.splitlines()
    assert "| Trustset | 2.00 | 2.00 | 2.00 | 0.50 | 400 |" in lines
    assert "| Trustset, cells.npz | 2.00 | 2.00 | 2.00 | 0.50 | 400 |" in lines


def test_a_process_that_fails_ends_with_what_it_wrote():
    with pytest.raises(SystemExit, match="failed:\nno luck today\n"):
        peers.run([sys.executable, "-c", "import sys; sys.exit('no luck today')"])


def test_a_process_takes_time_and_memory():
    usage = peers.run([sys.executable, "-c", "pass"])
    assert usage.seconds > 0
    assert usage.megabytes > 1


def test_every_tool_has_a_way_to_run_it():
    from benchmarks.peer_runs import RUNS

    assert [tool.name for tool in TOOLS] == list(RUNS)
