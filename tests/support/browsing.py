"""Pages of scans in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from curate.reporting import page as page_of
from curate.reporting.overviews import overview_of
from curate.scans import Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def written(scan: Scan, folder: Path) -> str:
    """The address of the page of a scan."""
    path = folder / "report.html"
    path.write_text(page_of(scan, overview_of(scan)), encoding="utf-8")
    return path.as_uri()


def visit(context: BrowserContext, address: str) -> Page:
    """A page that is ready, which notes what goes wrong on it, and what it asks for, in its `wrong`."""
    page = context.new_page()
    page.add_init_script("""
      window.wrong = [];
      addEventListener("error", (event) => wrong.push(String(event.message || event.target)), true);
      addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
      addEventListener("securitypolicyviolation", (event) => wrong.push("blocked: " + event.blockedURI));
    """)
    page.goto(address)
    ready(page)
    return page


def ready(page: Page) -> None:
    page.wait_for_selector("html[data-ready=yes]", state="attached")


def faults(page: Page) -> list[str]:
    """What went wrong on a page, and every address that it asked for."""
    asked = """performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((name) => !name.startsWith("data:") && !name.startsWith("blob:"))"""
    found: list[str] = page.evaluate(f"[...wrong, ...{asked}]")
    return found


def violations(page: Page) -> list[str]:
    """What axe finds."""
    from axe_playwright_python.sync_playwright import Axe

    result = Axe().run(page)
    return [f"{entry['id']}: {entry['nodes'][0]['html']}" for entry in result.response["violations"]]
