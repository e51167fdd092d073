from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import IN_BROWSER, chromium, ready
from playwright.sync_api import expect

from curate.configs import ScanConfig
from curate.reporting import page as page_of
from curate.reporting.overviews import overview_of
from curate.scans import Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = 50

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, scan: Scan, tmp_path: Path) -> Iterator[Page]:
    """The page of the scan, opened from a file; in the end nothing went wrong and nothing was asked for."""
    path = tmp_path / "report.html"
    path.write_text(page_of(scan, overview_of(scan, "augment build")), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    ready(page)
    yield page
    context.close()
    assert complaints == []


def shown(page: Page) -> int:
    """How many findings are shown, check by check."""
    return page.locator(".check:not([hidden]):not(.mixed) .units .state .score").count()


def test_the_galleries_show_every_finding_and_answer_to_filters(opened: Page) -> None:
    everything = shown(opened)
    assert everything == 37 - 8  # of twenty jokes twelve, until asked
    opened.locator("#check-outlier_group .rest").click()
    expect(opened.locator("#check-outlier_group .picture")).to_have_count(20)
    opened.select_option("[data-by=verdict]", "review")
    expect(opened.locator("#check-outlier_group")).to_be_hidden()
    expect(opened.locator(".toolbar output")).to_have_text("12 findings match")
    opened.select_option("[data-by=verdict]", "")
    opened.fill(".toolbar input", "Number 55")
    expect(opened.locator(".toolbar output")).to_have_text("1 finding matches")
    assert opened.locator("#check-outlier_group").is_hidden()
    opened.click("#summary a[href='#check-outlier_group']")
    opened.wait_for_selector("#check-outlier_group:not([hidden])")
    assert opened.input_value(".toolbar input") == ""


def test_findings_are_put_in_another_order(opened: Page) -> None:
    def scores() -> list[str]:
        return opened.locator("#check-label_error .score").all_text_contents()

    assert scores() == sorted(scores(), reverse=True)
    opened.select_option("[data-by=sort]", "least")
    opened.wait_for_timeout(200)
    assert scores() == sorted(scores())


def test_every_picture_is_drawn_and_what_cannot_be_read_says_so(opened: Page) -> None:
    assert set(opened.locator("#check-unreadable .blank").all_text_contents()) == {"cannot be read"}
    assert opened.locator("#check-exact_duplicate .mate .tag.keep").count() == 1
    assert "the background tells the class" in (opened.text_content("#check-shortcut .unit") or "")
    assert opened.evaluate("Promise.all([...document.images].map((image) => image.decode())).then(() => true)")
    assert opened.locator(".strip img").count() >= 6


def test_one_picture_is_shown_larger_with_all_that_is_said_of_it(opened: Page) -> None:
    opened.locator("#check-odd_size .picture").click()
    about = opened.text_content("dialog.closer") or ""
    assert "300x200 among 28x28" in about
    assert "lighter than <i>most</i> & the rest" in about
    opened.keyboard.press("Escape")
    opened.locator("#check-label_error .picture").first.click()
    first = opened.text_content(".closer .name b")
    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".closer .name b")).not_to_have_text(first or "")


def test_a_link_to_one_image_shows_it(opened: Page, scan: Scan) -> None:
    from urllib.parse import quote

    opened.goto(opened.url.partition("#")[0] + "#image=" + quote(scan.table["id"][LONG], safe=""))
    expect(opened.locator(".closer .name b")).to_have_text(scan.table["id"][LONG])
    opened.goto(opened.url.partition("#")[0] + "#image=nothing")
    expect(opened.locator("#complaint")).to_have_text("no image of this page has the id nothing")


def test_what_is_decided_stays_after_a_reload_and_is_saved_as_a_file(opened: Page) -> None:
    opened.locator("#check-label_error .picture").first.click()
    opened.get_by_role("button", name="drop", exact=True).click()
    opened.wait_for_selector(".closer .tag.decided.drop")
    opened.keyboard.press("Escape")
    opened.locator("#check-label_error .suggestion").nth(2).click()
    expect(opened.locator("#decided output")).to_have_text("1 dropped, 1 relabelled")
    opened.reload()
    ready(opened)
    assert opened.text_content("#decided output") == "1 dropped, 1 relabelled"
    opened.click("#decided [data-undo]")
    expect(opened.locator("#decided output")).to_have_text("1 dropped")


def test_the_threshold_shows_what_it_takes_and_the_option_that_makes_it_so(opened: Page) -> None:
    # This scan has no columns of scores: nothing can be moved, and nothing is offered.
    assert opened.locator("#check-label_error .threshold").is_hidden()


def test_a_page_with_scores_shows_what_a_threshold_adds_and_takes(browser: Browser, scan: Scan, tmp_path: Path) -> None:
    score = np.linspace(0, 0.49, 60)
    flagged = scan.findings[scan.findings["check"] == "label_error"]
    score[flagged["row"]] = flagged["score"]
    path = tmp_path / "report.html"
    scored = replace(scan, table=scan.table.assign(label_error_score=score))
    path.write_text(page_of(scored, overview_of(scored)), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    ready(page)
    slider = page.locator("#check-label_error input[type=range]")
    slider.fill("40")
    added = sum(bool(0.40 <= value < 0.5) for row, value in enumerate(score) if row not in set(flagged["row"]))
    output = page.locator("#check-label_error .threshold output")
    expect(output).to_have_text(f"0.40: adds {added}, takes 0; --threshold label_error=0.40")
    expect(page.locator("#check-label_error .added")).to_have_count(added)
    slider.fill("78")
    expect(page.locator("#check-label_error .faded")).to_have_count(int((flagged["score"] < 0.78).sum()))
    page.close()


@pytest.mark.parametrize("without", ["map", "findings", "labels"])
def test_pages_with_less_to_show_open_too(browser: Browser, scan: Scan, tmp_path: Path, without: str) -> None:
    if without == "map":
        scan = replace(scan, table=scan.table.assign(x=np.nan, y=np.nan), config=ScanConfig(map="none"))
    if without == "findings":
        empty = scan.findings.iloc[:0]
        scan = replace(scan, findings=empty, table=scan.table.assign(verdict="keep", group=-1), stories=())
    if without == "labels":
        images = replace(scan.images, labels=np.full(60, -1), classes=())
        table = scan.table.assign(label=-1, label_name="")
        findings = scan.findings.assign(suggested="")
        scan = replace(scan, images=images, table=table, findings=findings, balance=scan.balance.iloc[:0], effect=None)
    path = tmp_path / "report.html"
    path.write_text(page_of(scan, overview_of(scan)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    ready(page)
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser: Browser, scan: Scan, tmp_path: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "report.html"
    path.write_text(page_of(scan, overview_of(scan)), encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(path.as_uri())
    ready(page)
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    page.close()


def test_a_point_of_the_map_shows_its_picture_and_its_neighbours(opened: Page) -> None:
    stage = opened.locator("#map .map-stage")
    stage.focus()
    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".tip")).to_be_visible()
    expect(opened.locator(".tip .about")).to_be_visible()
    opened.keyboard.press("Enter")
    expect(opened.locator(".map-picked article .picture")).to_have_count(1)
    expect(opened.locator(".map-picked .neighbours .picture")).not_to_have_count(0)
    opened.locator(".map-picked article .picture").click()
    expect(opened.locator("dialog.closer")).to_be_visible()


def test_a_selection_on_the_map_is_shown_and_decided_as_one(opened: Page) -> None:
    stage = opened.locator("#map .map-stage")
    opened.locator(".map-tools").get_by_role("button", name="box", exact=True).click()
    stage.evaluate("(node) => node.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = stage.bounding_box()
    assert box
    opened.mouse.move(box["x"] + 14, box["y"] + 14)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] - 14, box["y"] + box["height"] - 14, steps=5)
    opened.mouse.up()
    heading = opened.locator(".selection h3")
    expect(heading).to_contain_text("selected")
    number = int((heading.text_content() or "").split()[0])
    assert number > 40
    expect(opened.locator(".selection .picture")).to_have_count(min(60, number))
    opened.locator(".selection").get_by_role("button", name="drop all").click()
    expect(opened.locator("#decided output")).to_have_text(f"{number} dropped")
    opened.select_option(".map-by", "verdict")
    expect(opened.locator(".map-legend button bdi")).to_have_text(["dropped"])
    opened.locator("#decided [data-undo]").click()
    expect(opened.locator(".map-legend button")).to_have_count(3)
    opened.locator(".selection").get_by_role("button", name="clear").click()
    expect(opened.locator(".selection")).to_be_hidden()


def test_a_picture_is_found_on_the_map(opened: Page) -> None:
    opened.locator("#check-label_error .picture").first.click()
    opened.locator("dialog.closer").get_by_role("button", name="show on the map").click()
    expect(opened.locator("dialog.closer")).to_be_hidden()
    expect(opened.locator(".map-stage")).to_be_focused()
    expect(opened.locator(".map-picked article .picture")).to_have_count(1)
