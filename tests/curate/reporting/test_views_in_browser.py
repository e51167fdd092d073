"""Views of a scan as they stand in a page of a notebook, light and dark, between cells of other people's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import IN_BROWSER, chromium

from curate.reporting.notebooks import Gallery, findings_view, rows_view, scan_view
from curate.scans import Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# What JupyterLab says of tables and texts, and its colours.
HOST = """<!doctype html><html lang="en"><title>notebook</title><style>
body {{ background: {paper}; --jp-content-font-color1: {ink}; color: {ink}; }}
.jp-RenderedHTMLCommon table {{ margin-left: auto; font-size: 8px; border: 2px solid red; }}
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) {{ background: pink; }}
.jp-RenderedHTMLCommon th {{ text-align: right; }}
</style><main class="jp-RenderedHTMLCommon"><h3>Mine</h3><table><tr><td>mine</td></tr></table>{view}</main>"""
COLOURS = {"light": ("#ffffff", "rgba(0,0,0,.87)"), "dark": ("#111111", "rgba(255,255,255,.87)")}
OF_MINE = "[...document.querySelectorAll('main > h3, main > table, main > table td')].map(e => JSON.stringify(Object.fromEntries([...getComputedStyle(e)].map(k => [k, getComputedStyle(e)[k]]))))"  # noqa: E501

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["light", "dark"])
def notebook(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(color_scheme=request.param, viewport={"width": 1000, "height": 700})
    page.trouble = []  # type: ignore[attr-defined]
    for event in ("console", "pageerror", "dialog", "request"):
        page.on(event, lambda thing: page.trouble.append(thing))  # type: ignore[call-overload, attr-defined]
    paper, ink = COLOURS[request.param]
    page.shown = lambda view: page.set_content(HOST.format(paper=paper, ink=ink, view=view))  # type: ignore[attr-defined]
    yield page
    page.close()


def views(scan: Scan) -> list[str]:
    gallery = Gallery(scan)
    shown = [scan_view(gallery, "augment build"), findings_view(gallery, "label_error", 4), rows_view(gallery, [50], 1)]
    return [view.html for view in shown]


def test_everybody_can_read_a_view(notebook: Page, scan: Scan) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for view in views(scan):
        notebook.shown(view)
        result = Axe().run(notebook, context=".trustset")
        assert result.violations_count == 0, result.generate_report()


def test_a_view_asks_for_nothing_and_does_nothing(notebook: Page, scan: Scan) -> None:
    for view in views(scan):
        notebook.shown(view)
        notebook.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    assert [thing for thing in notebook.trouble if not getattr(thing, "url", "").startswith("data:")] == []


def test_a_view_and_the_notebook_leave_each_other_as_they_are(notebook: Page, scan: Scan) -> None:
    notebook.shown("")
    before = notebook.evaluate(OF_MINE)
    notebook.shown(views(scan)[0])
    assert notebook.evaluate(OF_MINE) == before
    row = notebook.locator(".trustset tbody tr").first
    assert row.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert row.locator("th").evaluate("e => getComputedStyle(e).textAlign") == "left"


@pytest.mark.parametrize("width", [390, 1000])
def test_a_view_is_no_wider_than_its_cell(notebook: Page, scan: Scan, width: int) -> None:
    notebook.set_viewport_size({"width": width, "height": 700})
    for view in views(scan):
        notebook.shown(view)
        assert notebook.evaluate("document.documentElement.scrollWidth") <= width
