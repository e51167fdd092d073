from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from train.reporting import RunReport, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

# The page runs no script of its own, and allows none: its frame measures it instead, at the width of a telephone.
FRAME = """<!doctype html><iframe style="width:WIDTHpx;height:900px;border:0"></iframe>
<script type="application/json">PAGE</script>
<script>
  const frame = document.querySelector("iframe"), told = {};
  frame.srcdoc = JSON.parse(document.querySelector("script").textContent);
  frame.addEventListener("load", async () => {
    const inner = frame.contentWindow, root = frame.contentDocument;
    const all = (selector) => [...root.querySelectorAll(selector)];
    const wide = root.documentElement.clientWidth;
    all("details").forEach((one) => { one.open = true; });
    all("img").forEach((one) => { one.loading = "eager"; });
    for (let i = 0; i < 200 && !all("img").every((one) => one.complete); i++) {
      await new Promise((done) => setTimeout(done, 50));
    }
    const inside = (one) => one.closest(".wider, svg") === null;
    told.sideways = root.documentElement.scrollWidth - wide;
    told.beyond = all("body *").filter((one) => inside(one) && one.getBoundingClientRect().right > wide + 1)
      .map((one) => one.outerHTML.slice(0, 80));
    told.images = all("img").length;
    told.undecoded = all("img").filter((one) => !one.naturalWidth).length;
    told.small = all("svg text").filter((one) => one.getBoundingClientRect().height < 8).length;
    told.drawn = all("svg[role=img]").filter((one) => one.getBoundingClientRect().height > 100).length;
    told.heat = new Set(all(".shift td[class^=bad]").map((one) => inner.getComputedStyle(one).backgroundColor)).size;
    told.requests = inner.performance.getEntriesByType("resource").map((one) => one.name)
      .filter((name) => !name.startsWith("data:"));
    told.injected = all("#classes b b, th b, script").length;
    document.documentElement.dataset.told = JSON.stringify(told);
  });
</script>"""


def seen(run: RunReport, folder: Path, width: int, *flags: str) -> dict[str, Any]:
    """What is to be seen of a run's page at that width."""
    given = json.dumps(page(run)).replace("<", "\\u003c")
    path = folder / "frame.html"
    path.write_text(FRAME.replace("WIDTH", str(width)).replace("PAGE", given), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={max(width, 500)},900",
        "--virtual-time-budget=20000", *flags, "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<html[^>]* data-told="([^"]*)"', dom)
    assert found, "the page was not measured to its end"
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize("width", [1200, 700, 400])
def test_the_page_fits_its_window_and_shows_every_picture_and_chart(run: RunReport, tmp_path: Path, width: int) -> None:
    told = seen(run, tmp_path, width)
    assert told["requests"] == []
    assert (told["sideways"], told["beyond"]) == (0, [])
    assert (told["images"] > 30, told["undecoded"]) == (True, 0)
    assert (told["drawn"], told["small"]) == (5, 0)
    assert told["heat"] > 5
    assert told["injected"] == 0


def test_on_a_dark_screen_the_heat_is_dark_too(run: RunReport, tmp_path: Path) -> None:
    told = seen(run, tmp_path, 1200, "--blink-settings=preferredColorScheme=0")
    assert told["heat"] > 5
