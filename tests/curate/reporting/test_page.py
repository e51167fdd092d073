from __future__ import annotations

import base64
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from curate.configs import ScanConfig
from curate.findings import CATALOGUE, Story, findings_table
from curate.reporting import page as public_page
from curate.reporting.columns import columns_of
from curate.reporting.overviews import overview_of
from curate.reporting.placing import placed
from curate.scans import Scan
from curate.sets.imageset import ImageSet

JOKES, BROKEN, LONG = range(20), (40, 41), 50
KEPT, COPY, NEAR = 21, 22, 23
MEANT, CONFLICTING = 30, 31

page_module = sys.modules["curate.reporting.page"]


def page(scan: Scan) -> str:
    return public_page(scan, overview_of(scan, "augment build"))


def embedded(html: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


def column(html: str, name: str) -> np.ndarray:
    data = embedded(html, "data")
    kind, length = data["info"]["columns"][name]
    values = np.frombuffer(base64.b64decode(data["columns"][name]), np.dtype(kind).newbyteorder("<"))
    assert len(values) == length
    return values


def jpeg(html: str, thumbnail: int) -> tuple[np.ndarray, list[int]]:
    """The pixels of one thumbnail, and the width and height that are announced for it."""
    pictures = embedded(html, "pictures")
    width, height, beginning = pictures["beginnings"][pictures["kind"][thumbnail]]
    coded = base64.b64decode(beginning + pictures["rests"][thumbnail])
    pixels = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels, [width, height]


def without_map(scan: Scan) -> Scan:
    return replace(scan, table=scan.table.assign(x=np.nan, y=np.nan), config=ScanConfig(map="none"))


def clean(scan: Scan) -> Scan:
    return replace(scan, findings=findings_table([]), table=scan.table.assign(verdict="keep", group=-1), stories=())


def test_it_says_at_once_what_is_wrong_and_what_to_type(scan: Scan) -> None:
    html = page(scan)
    assert "25 images (41.7\N{NO-BREAK SPACE}%) are wrong for certain" in html
    assert "<code>augment build</code>" in html
    for words in ("pets", "<b>60</b> images", "0.861", "0.957", "0.951", "0.962", "31 held-out rows"):
        assert words in html


def test_the_findings_of_every_check_have_a_place_and_silent_ones_are_told_in_one_line(scan: Scan) -> None:
    html = page(scan)
    assert re.findall(r'data-gallery="(\w*)"', html) == [
        "", "label_conflict", "unreadable", "outlier_group", "exact_duplicate",
        "near_duplicate", "label_error", "light", "odd_size", "shortcut",
    ]  # fmt: skip
    silent = re.search(r"Nothing found by: (.*?)\.</p>", html)
    assert silent is not None
    assert "leaks" in silent[1]
    assert "label conflicts" not in silent[1]


def test_checks_are_counted_by_the_verdicts_of_the_rows(scan: Scan) -> None:
    dropped = scan.table.assign(verdict=["drop" if row in (52, 53) else v for row, v in enumerate(scan.table.verdict)])
    html = page(replace(scan, table=dropped))
    line = re.search(r'<tr data-check="label_error">.*?</tr>', html, re.S)
    assert line is not None
    assert re.findall(r"<span class=.(drop|review).>(\d+)", line[0]) == [("drop", "2"), ("review", "6")]


def test_how_many_of_a_check_are_likely_right_is_told_where_it_can_tell(scan: Scan) -> None:
    chance = np.where(scan.findings["check"] == "label_error", 0.6, np.nan).astype(np.float32)
    html = page(replace(scan, findings=scan.findings.assign(chance=chance)))
    lines = {
        check: re.search(rf'<tr data-check="{check}">.*?<td class="number right">(.*?)</td>', html, re.S)
        for check in ("label_error", "odd_size")
    }
    assert {check: line and line[1] for check, line in lines.items()} == {"label_error": "5", "odd_size": ""}


def test_what_awaits_review_is_listed_over_all_checks_the_likeliest_first(scan: Scan) -> None:
    chance = np.where(scan.findings["row"] == 58, 0.9, np.where(scan.findings["row"] == LONG, 0.6, 0.1))
    html = page(replace(scan, findings=scan.findings.assign(chance=chance.astype(np.float32))))
    queue = column(html, "queue")
    assert queue[:2].tolist() == [58, LONG]
    assert len(queue) == 10
    assert "<b>10</b> images, those first in which something is most likely wrong" in html
    assert "No more were asked for" not in html
    assert "No more were asked for than 10." in page(replace(scan, config=replace(scan.config, review_budget=10)))
    assert 'id="reviews"' not in page(clean(scan))


def test_that_a_person_decided_before_is_told(scan: Scan) -> None:
    assert "decided on by a person" not in page(scan)
    assert "2 images were decided on by a person before" in page(replace(scan, decided={30: "keep", 55: "drop"}))


def test_beside_what_awaits_review_stand_its_nearest_others(scan: Scan) -> None:
    embeddings = np.random.default_rng(0).normal(size=(60, 8))
    embeddings[58] = embeddings[24] + 0.01
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float16)
    near = embedded(page(replace(scan, embeddings=embeddings)), "data")["neighbours"]
    assert near["58"][0] == 24
    assert set(near) == {str(row) for row in column(page(scan), "queue").tolist()}


def test_pairs_stand_together_beside_their_story(scan: Scan) -> None:
    rows = (MEANT, CONFLICTING)
    html = page(replace(scan, stories=(Story("label_conflict", -1, rows, "Two pictures.", 1.0),)))
    assert re.findall(r'data-strip="([^"]*)"', html)[-1] == "[[30, 31]]"


def test_the_same_scan_gives_the_same_bytes_and_times_stand_in_one_place(scan: Scan) -> None:
    assert page(scan) == page(scan)
    other = page(replace(scan, timings={"reading": 9.0}))
    timings = re.compile(r'<dl class="pairs" id="timings">.*?</dl>', re.S)
    assert other != page(scan)
    assert timings.sub("", other) == timings.sub("", page(scan))


def test_nothing_is_fetched_from_anywhere(scan: Scan) -> None:
    html = page(without_map(scan))
    assert "default-src 'none'" in html
    assert not re.search(r"https?://", html)
    assert not re.search(r"<(iframe|img|source)\b", html)
    assert re.findall(r"<link\b[^>]*>", html) == ['<link rel="icon" href="data:,">']


def test_words_from_the_data_are_text_and_never_markup(scan: Scan) -> None:
    html = page(without_map(scan))
    for raw in ("alert(1)</script>", "<b>bone</b>", "<img src=x>", "<i>most</i>", "<all>"):
        assert raw not in html
    data = embedded(html, "data")
    assert data["info"]["classes"][1:] == ["dog & <b>bone</b>", "</script><script>alert(1)</script>"]
    assert "<img src=x>.png" in data["ids"]


def test_a_file_name_that_is_no_text_does_not_keep_the_page_from_being_written(scan: Scan) -> None:
    bad = "caf\udce9.npz"
    source = replace(scan.images.source, path=Path(bad))
    html = page(replace(scan, images=replace(scan.images, source=source), notes=(f"{bad} was read",)))
    assert r"caf\udce9.npz was read" in html.encode("utf-8").decode("utf-8")


def test_thumbnails_are_whole_jpegs_no_larger_than_asked_for(scan: Scan) -> None:
    html = page(scan)
    data = embedded(html, "data")
    pixels, announced = jpeg(html, data["picture"][LONG])
    assert announced == [128, 192]
    assert pixels.shape == (192, 128, 3)
    assert abs(int(pixels.mean()) - 90) <= 2

    small, announced = jpeg(html, data["picture"][0])
    assert announced == [28, 28]
    assert np.abs(small.reshape(-1, 3).mean(axis=0) - (30, 30, 200)).max() < 6  # BGR


def test_identical_pictures_share_one_thumbnail(scan: Scan) -> None:
    html = page(scan)
    picture = embedded(html, "data")["picture"]
    assert len({picture[row] for row in JOKES}) == 1
    assert picture[KEPT] == picture[COPY] != picture[NEAR]
    assert len(embedded(html, "pictures")["rests"]) == 60 - 19 - 2 - len(BROKEN)


def test_a_picture_that_cannot_be_read_is_marked(scan: Scan) -> None:
    data = embedded(page(scan), "data")
    for row in BROKEN:
        assert data["picture"][row] == data["unreadable"]


def test_without_a_map_the_page_says_so(scan: Scan) -> None:
    html = page(without_map(scan))
    assert "The map was left out" in html
    assert len(html) < 350_000


def test_of_a_large_set_it_carries_what_is_flagged_first_and_says_what_it_leaves_out(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "ROWS", 40)
    html = page(scan)
    ids = embedded(html, "data")["ids"]
    flagged = [row for row in range(60) if row in set(scan.findings["row"])]
    assert {scan.table["id"][row] for row in flagged} <= set(ids)
    assert len(ids) == 40
    assert (
        "This file carries 40 of 60 images and leaves out no finding; <code>curate review</code> shows them all."
        in html
    )
    awaiting = scan.table["id"][scan.table["verdict"] == "review"]
    assert sorted(ids[place] for place in column(html, "queue")) == sorted(awaiting)

    monkeypatch.setattr(page_module, "ROWS", 15)
    html = page(scan)
    carried = sum(name in embedded(html, "data")["ids"] for name in scan.findings["id"]) + 1  # that on the whole set
    findings = len(scan.findings)
    assert 10 < carried < findings
    assert f"carries 15 of 60 images and leaves out {findings - carried} of {findings} findings" in html
    assert set(column(html, "queue").tolist()) <= set(range(15))
    assert len(column(html, "queue")) == 10
    assert "of them are not in this file" in html


def test_where_room_runs_out_the_rows_in_galleries_come_first(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "PICTURE_BYTES", 0)
    monkeypatch.setattr("curate.reporting.thumbnails.BATCH", 8)
    picture = embedded(page(scan), "data")["picture"]
    assert all(picture[row] >= 0 for row in JOKES)
    assert picture[35] == -1


def test_a_clean_set_has_a_page_too(scan: Scan) -> None:
    html = page(clean(scan))
    assert "Nothing is wrong for certain, and nothing is dropped." in html
    assert "No check found anything." in html
    assert 'id="galleries"' not in html
    assert 'id="stories"' not in html


def test_a_set_without_labels_or_images_has_a_page_too(scan: Scan) -> None:
    labels = np.full(60, -1)
    unlabelled = replace(
        clean(scan),
        images=ImageSet(scan.images.images, labels, scan.images.ids, (), scan.images.source),
        table=clean(scan).table.assign(label=-1, label_name=""),
        balance=scan.balance.iloc[:0],
        effect=None,
    )
    html = page(unlabelled)
    assert "no labels" in html
    assert "Label probe" not in html

    nothing = replace(
        unlabelled,
        images=ImageSet(type(scan.images.images)([]), np.zeros(0, int), (), (), scan.images.source),  # type: ignore[call-arg]
        table=unlabelled.table.iloc[:0],
    )
    assert "<b>0</b> images" in page(nothing)


def test_a_check_without_words_of_its_own_is_shown_under_its_name(scan: Scan) -> None:
    html = page(replace(scan, findings=scan.findings.replace({"check": {"light": "too_shiny"}})))
    assert "Too shiny" in html
    assert embedded(html, "data")["info"]["checks"][-1]["title"] == "Too shiny"


def test_every_check_has_a_colour(scan: Scan) -> None:
    style = re.search(r"<style>(.*?)</style>", page(scan), re.S)
    assert style is not None
    assert page_module.COLOURS_HERE not in style[1]
    for name, check in CATALOGUE.items():
        assert f'[data-check="{name}"] {{ --check: {check.colour}; }}' in style[1]


def test_the_served_page_has_the_same_parts_and_asks_for_all_else(scan: Scan) -> None:
    typical = np.full((len(scan.images.classes), 3), -1)
    columns = columns_of(scan.table, scan.findings, scan.images.classes, typical, placed(scan.table, scan.findings))
    html = page_module.served_page(overview_of(scan), columns, scan.findings)
    ids = re.compile(r'(?:id|data-gallery|data-strip)="([^"]*)"')
    assert set(ids.findall(page(scan))) - set(ids.findall(html)) == {"data", "pictures"}
    assert re.findall(r'(?:href|src)="([^#"]*)"', html) == ["data:,", "page.css", "page.js"]
    # A strict policy forbids what is in the page itself.
    assert not re.search(r"<style|style=|<script>|\son\w+=", html)
    assert "Content-Security-Policy" not in html


def test_the_script_is_put_together_of_all_its_parts() -> None:
    script = page_module.script()
    parts = sorted(path.stem for path in (Path(page_module.__file__).parent / "scripts").glob("*.js"))
    assert sorted(page_module.SCRIPTS) == parts
    assert script.startswith('(() => {\n"use strict";')
    assert page_module.style().startswith("/* What every report has. */")


def test_settings_and_files_are_listed(scan: Scan) -> None:
    html = page(scan)
    assert "dark 0.6" in html
    assert "../clean.csv" in html
    assert "findings.parquet" in html
    assert "../clean.csv" not in page(replace(scan, config=ScanConfig(artifacts=None)))


def test_the_order_of_the_index_of_the_findings_does_not_matter(scan: Scan) -> None:
    shifted = scan.findings.set_index(pd.RangeIndex(100, 100 + len(scan.findings)))
    assert page(replace(scan, findings=shifted)) == page(scan)


def test_pages_of_three_thousand_pictures_are_made_quickly(scan: Scan) -> None:
    copies = 50
    n = 60 * copies
    ids = tuple(f"{row}.png" for row in range(n))
    labels = np.tile(scan.images.labels, copies)
    table = pd.concat([scan.table] * copies, ignore_index=True).assign(
        id=ids, row=range(n), digest=[str(row) for row in range(n)]
    )
    pixels = scan.images.images.pixels * copies  # type: ignore[attr-defined]
    album = type(scan.images.images)(pixels)  # type: ignore[call-arg]
    many = replace(
        scan,
        images=ImageSet(album, labels, ids, scan.images.classes, scan.images.source),
        table=table,
        embeddings=np.zeros((n, 4), np.float16),
    )
    page(many)
    start = time.perf_counter()
    page(many)
    assert time.perf_counter() - start < 3  # 0.3 s on two idle cores


def test_page_is_the_public_name() -> None:
    assert public_page is page_module.page
