from __future__ import annotations

import base64
import json
import re
import subprocess
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
from curate.findings import CATALOGUE, SEVERITY, Story, findings_table
from curate.reporting import page
from curate.reporting import page as public_page
from curate.scans import CleaningEffect, Scan
from curate.sets.imageset import ImageSet

JOKES, BROKEN, LONG = range(20), (40, 41), 50
KEPT, COPY, NEAR = 21, 22, 23
MEANT, CONFLICTING = 30, 31

page_module = sys.modules["curate.reporting.page"]


def embedded(html: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


def gallery_of(html: str, check: str) -> list[dict[str, Any]]:
    data = embedded(html, "data")
    units: list[dict[str, Any]] = data["galleries"][[name for name, _ in data["checks"]].index(check)]
    return units


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


def test_it_says_at_once_what_cleaning_would_do(scan: Scan) -> None:
    html = page(scan)
    assert "Would drop 25 rows (41.7\N{NO-BREAK SPACE}%), keep 10 for your review." in html
    for words in ("pets", "<b>60</b> images", "0.861", "0.957", "0.951", "0.962", "31 rows of the clean set"):
        assert words in html


@pytest.mark.parametrize(
    ("before", "says"),
    [(0.9, "Cleaning helps."), (0.955, "No clear change."), (0.99, "Cleaning does not help here")],
)
def test_it_does_not_flatter_the_effect_of_cleaning(scan: Scan, before: float, says: str) -> None:
    assert says in page(replace(scan, effect=CleaningEffect(before, 0.957, 0.951, 0.962, 31)))


def test_the_checks_come_in_the_order_of_severity_and_silent_ones_in_one_line(scan: Scan) -> None:
    html = page(scan)
    assert [name for name, _ in embedded(html, "data")["checks"]] == [
        "label_conflict", "unreadable", "outlier_group", "exact_duplicate",
        "near_duplicate", "label_error", "light", "odd_size", "shortcut",
    ]  # fmt: skip
    silent = re.search(r"Nothing found by: (.*?)\.</p>", html)
    assert silent is not None
    assert "leaks" in silent[1]
    assert "label conflicts" not in silent[1]


def test_what_could_not_be_checked_is_not_said_to_have_found_nothing(scan: Scan) -> None:
    html = page(replace(scan, not_checked={"leak": "no splits", "outlier": "too few", "dark": "too few"}))
    silent = re.search(r"Nothing found by: (.*?)\.</p>", html)
    assert silent is not None
    assert not {"leaks", "outliers", "dark"} & set(silent[1].split(", "))
    assert "Not checked: leaks (no splits); outliers, dark (too few).</p>" in html


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
    known = [chance for chance in embedded(html, "data")["findings"]["chance"] if chance is not None]
    assert known == [0.6] * 8


def test_what_awaits_review_is_listed_over_all_checks_the_likeliest_first(scan: Scan) -> None:
    chance = np.where(scan.findings["row"] == 58, 0.9, np.where(scan.findings["row"] == LONG, 0.6, 0.1))
    html = page(replace(scan, findings=scan.findings.assign(chance=chance.astype(np.float32))))
    data = embedded(html, "data")
    listed = data["galleries"][len(data["checks"])]
    place = [data["rows"]["id"].index(scan.table["id"][row]) for row in (58, LONG)]
    assert [data["findings"]["row"][unit["found"][0]] for unit in listed][:2] == place
    assert len(listed) == 10
    assert "<b>10</b> images, those first in which something is most likely wrong" in html
    assert "No more were asked for" not in html
    assert "No more were asked for than 10." in page(replace(scan, config=replace(scan.config, review_budget=10)))
    assert "Awaiting review" not in page(clean(scan))


def test_rows_that_a_person_decided_on_are_told(scan: Scan) -> None:
    assert "decided on by a person" not in page(scan)
    html = page(replace(scan, decided={30: "keep", 55: "drop"}))
    assert "2 rows were decided on by a person before." in html
    rows = embedded(html, "data")["rows"]
    assert [rows["id"][row] for row in rows["decided"]] == [scan.table["id"][row] for row in (30, 55)]
    assert [embedded(html, "data")["verdicts"][verdict] for verdict in rows["decision"]] == ["keep", "drop"]


def test_pairs_stand_together_beside_their_story(scan: Scan) -> None:
    rows = (MEANT, CONFLICTING)
    html = page(replace(scan, stories=(Story("label_conflict", -1, rows, "Two pictures.", 1.0),)))
    ids = embedded(html, "data")["rows"]["id"]
    assert [[ids[row] for row in together] for together in embedded(html, "data")["stories"][0]] == [
        [scan.table["id"][row] for row in rows]
    ]


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
    assert not re.search(r"<(link|iframe|img|source)\b", html)


def test_words_from_the_data_are_text_and_never_markup(scan: Scan) -> None:
    html = page(without_map(scan))
    for raw in ("alert(1)</script>", "<b>bone</b>", "<img src=x>", "<i>most</i>", "<all>"):
        assert raw not in html
    data = embedded(html, "data")
    assert data["classes"][1:] == ["dog & <b>bone</b>", "</script><script>alert(1)</script>"]
    assert "<img src=x>.png" in data["rows"]["id"]


def test_a_file_name_that_is_no_text_does_not_keep_the_page_from_being_written(scan: Scan) -> None:
    bad = "caf\udce9.npz"
    source = replace(scan.images.source, path=Path(bad))
    html = page(replace(scan, images=replace(scan.images, source=source), notes=(f"{bad} was read",)))
    assert r"caf\udce9.npz was read" in html.encode("utf-8").decode("utf-8")


def test_thumbnails_are_whole_jpegs_no_larger_than_asked_for(scan: Scan) -> None:
    html = page(scan)
    data = embedded(html, "data")
    row = data["rows"]["id"].index(scan.table["id"][LONG])
    pixels, announced = jpeg(html, data["rows"]["picture"][row])
    assert announced == [64, 96]
    assert pixels.shape == (96, 64, 3)
    assert abs(int(pixels.mean()) - 90) <= 2

    small, announced = jpeg(html, data["rows"]["picture"][data["rows"]["id"].index(scan.table["id"][0])])
    assert announced == [28, 28]
    assert np.abs(small.reshape(-1, 3).mean(axis=0) - (30, 30, 200)).max() < 6  # BGR


def test_identical_pictures_share_one_thumbnail(scan: Scan) -> None:
    html = page(scan)
    picture = embedded(html, "data")["rows"]["picture"]
    assert len({picture[row] for row in JOKES}) == 1
    assert picture[KEPT] == picture[COPY] != picture[NEAR]
    assert len(embedded(html, "pictures")["rests"]) == 60 - 19 - 2 - len(BROKEN)


def test_a_picture_that_cannot_be_read_is_marked(scan: Scan) -> None:
    data = embedded(page(scan), "data")
    for row in BROKEN:
        assert data["rows"]["picture"][data["rows"]["id"].index(scan.table["id"][row])] == data["unreadable"]


def test_in_a_group_of_copies_the_kept_one_is_shown_too(scan: Scan) -> None:
    html = page(scan)
    for check, copy in (("exact_duplicate", COPY), ("near_duplicate", NEAR)):
        (unit,) = gallery_of(html, check)
        assert unit["mates"] == [KEPT]
        assert [embedded(html, "data")["findings"]["row"][i] for i in unit["found"]] == [copy]
    (unit,) = gallery_of(html, "label_conflict")
    assert unit["mates"] == []
    (unit,) = gallery_of(html, "outlier_group")
    assert unit["mates"] == []
    assert unit["total"] == 20


def test_single_findings_come_worst_first(scan: Scan) -> None:
    html = page(scan)
    score = embedded(html, "data")["findings"]["score"]
    shown = [score[i] for unit in gallery_of(html, "label_error") for i in unit["found"]]
    assert len(shown) == 8
    assert shown == sorted(shown, reverse=True)


def test_a_finding_about_the_whole_set_has_no_picture(scan: Scan) -> None:
    html = page(scan)
    (unit,) = gallery_of(html, "shortcut")
    assert embedded(html, "data")["findings"]["row"][unit["found"][0]] == -1


def test_without_a_map_the_page_says_so_and_carries_no_plotting_library(scan: Scan) -> None:
    html = page(without_map(scan))
    assert "The map was left out" in html
    assert 'id="plotly"' not in html
    assert len(html) < 300_000
    assert embedded(html, "data")["rows"]["x"][0] is None


def test_rows_without_a_place_are_left_off_the_map(scan: Scan) -> None:
    rows = embedded(page(scan), "data")["rows"]
    for i, row_id in enumerate(rows["id"]):
        assert (rows["x"][i] is None) == (row_id in {scan.table["id"][row] for row in BROKEN})


def test_plotly_is_inlined_without_being_imported() -> None:
    code = (
        "import sys, curate.reporting.page as p; s = sys.modules['curate.reporting.page'];"
        "assert len(s._plotly()) > 1e6; assert 'plotly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_large_set_shows_some_of_every_group_and_says_how_many_there_are(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "WITH_PICTURES", 30)
    monkeypatch.setattr(page_module, "PER_CHECK", 5)
    monkeypatch.setattr(page_module, "MAP_POINTS", 40)
    html = page(scan)
    (unit,) = gallery_of(html, "outlier_group")
    assert (unit["total"], len(unit["found"])) == (20, 5)
    assert len(gallery_of(html, "label_error")) == 5
    assert "5 are shown here; all are in" in html
    assert (
        "Drawn are 40 of 58 images: 20 of the 33 that are dropped or await review, and 20 of the 25 others, in even "
        "steps through the set." in html
    )
    data = embedded(html, "data")
    assert len(data["rows"]["id"]) < 60
    assert sum(picture != -1 for picture in data["rows"]["picture"]) <= 30 + len(JOKES)


def test_where_room_runs_out_the_rows_in_galleries_come_first(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "PICTURE_BYTES", 0)
    monkeypatch.setattr("curate.reporting.thumbnails.BATCH", 8)
    picture = embedded(page(scan), "data")["rows"]["picture"]
    assert all(picture[row] >= 0 for row in JOKES)
    assert picture[35] == -1


def test_a_clean_set_has_a_page_too(scan: Scan) -> None:
    html = page(clean(scan))
    assert "Nothing to drop and nothing to review." in html
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
    assert "Probe accuracy" not in html

    nothing = replace(
        unlabelled,
        images=ImageSet(type(scan.images.images)([]), np.zeros(0, int), (), (), scan.images.source),  # type: ignore[call-arg]
        table=unlabelled.table.iloc[:0],
    )
    assert "<b>0</b> images" in page(nothing)


def test_a_check_without_words_of_its_own_is_shown_under_its_name(scan: Scan) -> None:
    html = page(replace(scan, findings=scan.findings.replace({"check": {"light": "too_shiny"}})))
    assert "Too shiny" in html
    assert embedded(html, "data")["checks"][-1] == ["too_shiny", "Too shiny"]


def test_every_check_has_words_and_a_colour(scan: Scan) -> None:
    style = re.search(r"<style>(.*?)</style>", page(scan), re.S).group(1)
    assert page_module.COLOURS_HERE not in style
    assert set(CATALOGUE) == set(SEVERITY)
    for name, check in CATALOGUE.items():
        assert page_module._check_in_words(name) == (check.title, check.looks_for)
        assert check.title
        assert check.looks_for.endswith(".")
        assert f'[data-check="{name}"] {{ --check: {check.colour}; }}' in style


def test_strict_cleaning_is_told_differently(scan: Scan) -> None:
    html = page(replace(scan, config=ScanConfig(strict=True)))
    assert "leave out 10 more that await your review" in html


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
    )
    page(many)
    start = time.perf_counter()
    page(many)
    assert time.perf_counter() - start < 3  # 0.3 s on two idle cores


def test_page_is_the_public_name() -> None:
    assert public_page is page_module.page
