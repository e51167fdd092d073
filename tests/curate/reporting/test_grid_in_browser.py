from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from browsing import IN_BROWSER, chromium, faults, violations, visit, written
from playwright.sync_api import expect

from curate.scans import Scan
from curate.sets.imageset import ImageSet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, scan: Scan, tmp_path: Path) -> Iterator[Page]:
    """The grid of the first class, opened."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page = visit(context, written(scan, tmp_path))
    page.locator("[data-through]").first.click()
    page.wait_for_selector(".cell img")
    yield page
    assert faults(page) == []
    context.close()


def cells(page: Page) -> list[int]:
    """Rows in the order in which they stand."""
    rows = page.locator(".cell").evaluate_all(
        "(cells) => cells.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((cell) => +cell.dataset.row)"
    )
    return [int(row) for row in rows]


def cell(page: Page, place: int) -> tuple[float, float]:
    """The middle of a cell."""
    box = page.locator(f".cell[aria-posinset='{place + 1}']").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["width"] / 2


def marked(page: Page) -> list[int]:
    """The places that are marked, from 0."""
    places = page.locator(".cell[aria-selected=true]").evaluate_all(
        "(cells) => cells.map((cell) => cell.ariaPosInSet - 1).sort((a, b) => a - b)"
    )
    return [int(place) for place in places]


def saved(page: Page) -> dict[int, str]:
    """number of an image -> action, of what was decided."""
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#decided [data-save]")
    lines = [json.loads(line) for line in Path(download.value.path()).read_text("utf-8").splitlines()]
    return {int(line["id"][-6:-4]): line["action"] for line in lines}


def test_a_class_is_shown_whole_those_that_await_review_first(page: Page) -> None:
    expect(page.locator(".grid h2")).to_have_text("cat")
    rows = cells(page)
    assert sorted(rows) == list(range(0, 60, 3))
    assert set(rows[:3]) == {30, 54, 57}
    assert rows[-1] in range(20)
    page.select_option(".grid select >> nth=1", "id")
    assert cells(page) == list(range(0, 60, 3))
    page.select_option(".grid select >> nth=0", "review")
    assert cells(page) == [30, 54, 57]


def test_marks_by_click_by_range_by_dragging_and_by_keyboard(page: Page) -> None:
    page.mouse.click(*cell(page, 1))
    assert marked(page) == [1]
    page.keyboard.down("Shift")
    page.mouse.click(*cell(page, 4))
    page.keyboard.up("Shift")
    assert marked(page) == [1, 2, 3, 4]
    page.mouse.click(*cell(page, 3))
    assert marked(page) == [1, 2, 4]
    page.mouse.move(*cell(page, 6))
    page.mouse.down()
    for place in (7, 8):
        page.mouse.move(*cell(page, place), steps=4)
    page.mouse.up()
    assert marked(page) == [1, 2, 4, 6, 7, 8]
    expect(page.locator(".grid header output")).to_have_text("20 pictures, 6 marked")
    page.keyboard.press("Escape")
    assert marked(page) == []
    for key in ("ArrowLeft", "ArrowLeft", " ", "ArrowRight", " "):
        page.keyboard.press(key)
    assert marked(page) == [4, 5]
    assert "2 in all" in page.inner_text(".grid .announcements")
    page.keyboard.press("Shift+ArrowRight")
    assert marked(page) == [4, 5, 6]
    page.keyboard.press("Control+a")
    assert len(marked(page)) == 20
    page.keyboard.press("Escape")
    expect(page.locator("dialog.grid")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.grid")).to_be_hidden()


def test_what_is_marked_is_decided_together_and_the_rest_is_right(page: Page) -> None:
    rows = cells(page)
    for place in (0, 2):
        page.mouse.click(*cell(page, place))
    expect(page.locator(".act.rest-right")).to_contain_text("the other 18 are right: keep")
    page.keyboard.press("d")
    expect(page.locator(".cell .tag.decided")).to_have_count(2)
    assert marked(page) == []
    page.mouse.click(*cell(page, 1))
    page.keyboard.press("r")
    page.keyboard.type("dog")
    page.keyboard.press("Enter")
    expect(page.locator(".cell .tag.decided")).to_have_count(3)
    page.keyboard.press("f")
    expect(page.locator(".cell .tag.decided")).to_have_count(20)
    expected = dict.fromkeys(rows, "keep") | {rows[0]: "drop", rows[2]: "drop", rows[1]: "relabel"}
    page.keyboard.press("u")
    expect(page.locator(".cell .tag.decided")).to_have_count(3)
    page.keyboard.press("f")
    expect(page.locator(".cell .tag.decided")).to_have_count(20)
    assert saved(page) == expected


@pytest.mark.parametrize("same", [True, False])
def test_a_group_is_looked_through_and_told_apart(browser: Browser, scan: Scan, tmp_path: Path, same: bool) -> None:
    context = browser.new_context()
    if not same:
        scan = replace(scan, table=scan.table.assign(digest=[f"{row:032x}" for row in range(1, 61)]))
    else:
        scan = replace(scan, table=scan.table.assign(digest=scan.table["digest"].str[:32]))
    page = visit(context, written(scan, tmp_path))
    page.locator("#check-outlier_group .unit.group button:has-text('look through')").click()
    page.wait_for_selector(".cell img")
    assert cells(page) == list(range(20))
    assert page.locator(".grid .act.apart").is_hidden()
    page.keyboard.press("Control+a")
    page.keyboard.press("n")
    if same:
        expect(page.locator("#complaint")).to_contain_text("have the same pixels")
        context.close()
        return
    expect(page.locator(".cell .tag.decided")).to_have_count(20)
    expect(page.locator(".cell .tag.decided").first).to_have_text("no copy")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser: Browser, scan: Scan, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = visit(context, written(scan, tmp_path))
    page.locator("[data-through]").first.click()
    page.wait_for_selector(".cell img")
    page.keyboard.press(" ")
    assert violations(page) == []
    context.close()


def test_of_a_large_class_only_what_is_in_view_is_drawn(browser: Browser, scan: Scan, tmp_path: Path) -> None:
    n = 20_000
    pick = np.arange(n) % 40
    ids = tuple(f"{row:05}.png" for row in range(n))
    table = scan.table.iloc[pick].reset_index(drop=True)
    large = replace(
        scan,
        images=ImageSet(Many(scan), np.zeros(n, np.int64), ids, scan.images.classes, scan.images.source),
        table=table.assign(row=range(n), id=ids, label=0, label_name="cat", group=-1, verdict="keep"),
        findings=scan.findings.iloc[:0],
        embeddings=np.zeros((n, 4), np.float16),
        stories=(),
        balance=pd.DataFrame([{"name": "cat", "images": n, "kept": n, "dropped": 0, "review": 0}]),
    )
    context = browser.new_context()
    page = visit(context, written(large, tmp_path))
    page.locator("[data-through]").first.click()
    page.wait_for_selector(".cell")
    assert page.locator(".cell").count() < 200
    page.keyboard.press("End")
    page.wait_for_selector(f".cell[aria-posinset='{n}']")
    assert page.locator(".cell").count() < 200
    context.close()


class Many:
    """The pictures of a scan, again and again."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan

    def __len__(self) -> int:
        return 20_000

    def __getitem__(self, row: int):
        return self.scan.images.images[row % 40]
