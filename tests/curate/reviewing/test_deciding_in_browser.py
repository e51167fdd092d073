"""What is decided in a review and on the page of a scan comes to the clean set, and holds after a rescan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from browsing import IN_BROWSER, chromium, ready, visit
from PIL import Image
from playwright.sync_api import expect

from curate.cleaning import apply
from curate.configs import ReviewConfig, ScanConfig
from curate.deciding import record
from curate.decisions import read_history
from curate.receiving import proposals_from
from curate.reviewing.opening import review
from curate.scanning import scan
from curate.scans import open_scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = IN_BROWSER

ODD = 4  # pictures of another size than the others, which await review


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """Of a scan of forty drawn files of two classes, some of which are of another size."""
    for row in range(40):
        side = 90 if row < ODD else 30
        pixels = np.random.default_rng(row).integers(0, 256, (side, 40, 3), dtype=np.uint8)
        path = tmp_path / "set" / ("ant", "bee")[row % 2] / f"{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    scanned(tmp_path)
    return tmp_path / "artifacts"


def scanned(folder: Path) -> None:
    options = ScanConfig(
        artifacts=str(folder / "artifacts"),
        backbone="builtin",
        map="none",
        workers=1,
        review=("odd_aspect", "odd_size"),
    )
    scan(folder / "set", options)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def awaiting(artifacts: Path) -> list[str]:
    table = pd.read_parquet(artifacts / "scan" / "images.parquet")
    return sorted(table.loc[table["verdict"] == "review", "id"])


def test_a_review_by_keys_is_written_at_once_seen_in_another_tab_and_holds(
    browser: Browser, artifacts: Path, tmp_path: Path
) -> None:
    before = awaiting(artifacts)
    assert len(before) >= 3
    context = browser.new_context()
    with review(artifacts, ReviewConfig(browser=False)) as opened:
        page = visit(context, opened.address)
        press(page, "q")
        page.wait_for_selector(".queue .large img.original")
        press(page, "d", "r", "1" if "bee" in page.inner_text(".queue .words .label") else "2", "k", "u")
        expect(page.locator(".queue .tally")).to_have_text("1 dropped, 1 relabelled")
        other = visit(context, opened.address)
        expect(other.locator("#decided output")).to_have_text("1 dropped, 1 relabelled")
        press(other, "q", "k")
        expect(page.locator(".queue .tally")).to_have_text("1 dropped, 1 kept, 1 relabelled")
        page.reload()
        ready(page)
        expect(page.locator("#decided output")).to_have_text("1 dropped, 1 kept, 1 relabelled")
        context.close()
    standing = read_history(artifacts / "decisions.jsonl").standing
    assert sorted(decision.action for decision in standing.values()) == ["drop", "keep", "relabel"]
    scanned(tmp_path)
    applied = apply(artifacts)
    assert (applied.review, applied.decided, applied.relabelled) == (len(before) - 3, 3, 1)


def test_the_file_that_the_page_saves_is_taken(browser: Browser, artifacts: Path, tmp_path: Path) -> None:
    context = browser.new_context(accept_downloads=True)
    page = visit(context, (artifacts / "scan" / "report.html").as_uri())
    press(page, "q", "d", "k", "r")
    page.keyboard.type("ant" if "bee" in page.inner_text(".queue .words .label") else "bee")
    press(page, "Enter", "Escape")
    with page.expect_download() as download:
        page.click("#decided [data-save]")
    path = tmp_path / "decisions.jsonl"
    download.value.save_as(path)
    context.close()
    opened = open_scan(artifacts / "scan")
    received = proposals_from(path, opened)
    assert [proposal.action for proposal in received.proposals] == ["drop", "keep", "relabel"]
    assert received.notes == ()
    record(opened, received.proposals)
    assert apply(artifacts).review == len(awaiting(artifacts)) - 3


def test_what_the_server_refuses_is_said_and_the_picture_comes_back(browser: Browser, artifacts: Path) -> None:
    context = browser.new_context()
    with review(artifacts, ReviewConfig(browser=False)) as opened:
        page = visit(context, opened.address)
        press(page, "q")
        page.wait_for_selector(".queue .beside")
        first = page.inner_text(".queue .words .name")
        page.route("**/decisions*", lambda route: route.fulfill(status=400, json={"error": "the disk is full"}))
        press(page, "d")
        expect(page.locator("dialog.queue #complaint")).to_have_text("the disk is full")
        expect(page.locator(".queue .words .name")).to_have_text(first)
        page.unroute("**/decisions*")
        press(page, "d")
        expect(page.locator("#complaint")).to_be_hidden()
        expect(page.locator(".queue .tally")).to_have_text("1 dropped")
        context.close()
    assert read_history(artifacts / "decisions.jsonl").lines == 1
