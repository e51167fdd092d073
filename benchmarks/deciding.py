"""How fast what awaits review is decided by keys, in a browser: the figures of docs/numbers.md.

    python benchmarks/deciding.py SOURCE [--artifacts artifacts] [--address URL] [--pause 0.1]

The page is that of a scan of the source, made anew where --artifacts holds none, or what `curate review` serves at an
address. Every picture is decided on: groups of a check as a whole, relabelled where a class is suggested, otherwise
dropped or kept in turn. Told are the milliseconds from a key to the next picture painted, median, 99th percentile and
largest, and the keys a row. --pause is the time in seconds between what is seen and the next key.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import curate

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# From the key until the frame is out that has the picture in it, decoded.
STOPWATCH = """
window.begun = 0;
window.times = [];
addEventListener("keydown", (event) => { begun = event.timeStamp; }, true);
const frame = () => new Promise((done) => requestAnimationFrame(done));
addEventListener("DOMContentLoaded", () => {
  const queue = document.querySelector("dialog.queue");
  new MutationObserver(async () => {
    const start = begun, picture = () => queue.querySelector(".stage img");
    while (!picture() && !queue.classList.contains("ended")) await frame();
    await picture()?.decode().catch(() => {});
    await frame();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => times.push(performance.now() - start);
    port2.postMessage(null);
  }).observe(queue, { childList: true, subtree: true });
});
"""
FIRST = """() => new Promise((done) => {
  const look = () => (times.length ? done(times[0]) : setTimeout(look, 10));
  look();
})"""
STATE = """() => {
  const hidden = (name) => document.querySelector(`.queue .act.${name}`).hidden;
  return {
    ended: document.querySelector("dialog.queue").classList.contains("ended"),
    group: !hidden("group") && !document.querySelector(".queue .compared h3").textContent.startsWith("The same"),
    suggested: document.querySelector(".queue .act.relabel span").textContent.startsWith("relabel:"),
  };
}"""


@dataclass(frozen=True)
class Session:
    """rows decided on, keys pressed for it, and milliseconds from a key to the next picture, float64 (n,)."""

    rows: int
    keys: int
    times: np.ndarray


def keys_for(group: bool, suggested: bool, turn: int) -> list[str]:
    """What a person presses for one picture."""
    if group:
        return ["g", "d"]
    if suggested:
        return ["r", "Enter"]
    return ["d" if turn % 2 else "k"]


def decided(page: Page, pause: float) -> Session:
    """All that awaits review, decided by keys."""
    page.keyboard.press("q")
    page.wait_for_selector(".queue .beside")
    rows = int(page.inner_text(".queue .counter b").split(" of ")[1].replace(",", ""))
    times: list[float] = []
    keys = turn = 0
    while not (state := page.evaluate(STATE))["ended"]:
        *first, last = keys_for(state["group"], state["suggested"], turn)
        for key in first:
            page.keyboard.press(key)
        page.wait_for_timeout(1000 * pause)
        page.evaluate("times.length = 0")
        page.keyboard.press(last)
        times.append(page.evaluate(FIRST))
        keys, turn = keys + len(first) + 1, turn + 1
    return Session(rows, keys, np.array(times))


def address_of(source: Path, artifacts: Path) -> str:
    """Where the page of a scan is, which is made where there is none."""
    report = artifacts / "scan" / "report.html"
    if not report.is_file():
        curate.scan(source, curate.ScanConfig(artifacts=artifacts))
    return report.resolve().as_uri()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--address", help="of what curate review serves")
    parser.add_argument("--pause", type=float, default=0.1)
    options = parser.parse_args()
    address = options.address or address_of(options.source, options.artifacts)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(STOPWATCH)
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        session = decided(page, options.pause)
        browser.close()
    middle, late = np.percentile(session.times, [50, 99])
    print(f"{session.rows} rows, {session.keys} keys: {session.keys / session.rows:.2f} a row")
    print(f"from key to picture: median {middle:.0f} ms, 99 % {late:.0f} ms, largest {session.times.max():.0f} ms")


if __name__ == "__main__":
    main()
