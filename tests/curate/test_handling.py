import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import curate
from curate.configs import ApplyConfig, ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.scanning import scan
from curate.stage.errors import DataError, UnknownName
from curate.stage.progress import Silent


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    images, labels = clean_cells(DemoConfig(images=80, classes=2))
    path = tmp_path_factory.mktemp("cells") / "cells.npz"
    np.savez(path, images=np.concatenate([images, images[:2]]), labels=np.concatenate([labels, labels[:2]]))
    return path


@pytest.fixture
def found(source, tmp_path):
    return scan(source, ScanConfig(artifacts=str(tmp_path), backbone="builtin", map="none"), Silent())


@pytest.fixture(scope="module")
def unwritten(source):
    return scan(source, ScanConfig(artifacts=None, backbone="builtin", map="none"), Silent())


def lines(folder):
    return [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]


def test_a_scan_is_at_hand(found):
    assert isinstance(found, curate.Scan)
    assert "<code>exact_duplicate</code>" in found._repr_html_()
    assert found.show().words == repr(found)


def test_more_is_shown_on_request(found):
    assert found.show("exact_duplicate").words.startswith("Exact duplicates: 2 findings\n")
    assert found.show("exact_duplicate", most=1).html.count("<li>") == 1
    assert found.show(rows=[80, np.int64(3)]).words.startswith("2 images\n  exact_duplicate of 80")
    assert found.finding(1).words.startswith("exact_duplicate of 81")


def test_what_cannot_be_shown_is_said(found):
    with pytest.raises(UnknownName, match=r"no check named 'exact_duplicat'. Did you mean 'exact_duplicate'"):
        found.show("exact_duplicat")
    with pytest.raises(DataError, match="there is no row 82: the set has 82"):
        found.show(rows=[82])
    for number in (2, -1):
        with pytest.raises(DataError, match=f"there is no finding {number}: `findings` has 2"):
            found.finding(number)


def test_decisions_of_every_kind_are_written_down_for_a_later_scan_to_follow(found, tmp_path):
    name = found.images.classes[1]
    taken = found.decide(
        {"7": "drop"}, drop=["3"], keep=found.table["id"].iloc[[5, 80]], relabel={"0": name}, not_copies=[["1", "2"]],
        why="looked at",
    )  # fmt: skip
    assert [(line["action"], line.get("id") or line["ids"]) for line in lines(tmp_path)] == [
        ("drop", "7"), ("keep", "5"), ("keep", "80"), ("drop", "3"), ("relabel", "0"), ("not_copies", ["1", "2"]),
    ]  # fmt: skip
    assert all(line["why"] == "looked at" for line in lines(tmp_path))
    assert len(taken.made) == 6
    again = scan(found.images, found.config, Silent())
    assert again.decided[3] == "drop"
    assert again.decided[80] == "keep"


def test_a_single_id_is_taken_as_it_is_and_numbers_as_ids(found, tmp_path):
    found.decide(drop="17", keep=[4])
    assert [line["id"] for line in lines(tmp_path)] == ["4", "17"]


def test_the_clean_set_follows(found, tmp_path):
    before = len(np.load(tmp_path / "clean.npz")["ids"])
    found.decide(drop=["3", "4"])
    assert found.apply().rows == before - 2
    assert len(np.load(tmp_path / "clean.npz")["ids"]) == before - 2
    assert found.apply(ApplyConfig(drop=("exact_duplicate",))).decided == 2


@pytest.mark.parametrize("act", [lambda found: found.decide(drop=["3"]), lambda found: found.apply()])
def test_a_scan_that_was_not_written_is_not_decided_on(unwritten, act):
    with pytest.raises(DataError, match=r"this scan was not written.*artifacts="):
        act(unwritten)


def test_what_is_wrong_with_decisions_is_said_and_nothing_is_written(found, tmp_path):
    with pytest.raises(DataError, match=r"no image of the scan in .* has the id '82'"):
        found.decide(drop=["3", "82"])
    with pytest.raises(UnknownName, match="no class named"):
        found.decide(relabel={"3": "dog"})
    with pytest.raises(UnknownName, match="no action named 'remove'"):
        found.decide({"3": "remove"})
    with pytest.raises(DataError, match="nothing was decided: give ids"):
        found.decide(why="looked at")
    assert not (tmp_path / "decisions.jsonl").exists()


def test_where_another_scan_lies_by_now_nothing_is_decided(found, source, tmp_path):
    other = curate.read(source)
    scan(replace(other, ids=tuple(f"other {name}" for name in other.ids)), found.config, Silent())
    with pytest.raises(DataError, match="holds a scan of another set by now"):
        found.decide(drop=["3"])
