from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.configs import ScanConfig
from curate.reporting import page
from curate.scans import Scan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

WATCH = """<head><script>
  window.wrong = [];
  addEventListener("error", (event) => wrong.push(String(event.message || event.target)), true);
  addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
  addEventListener("securitypolicyviolation", (event) => wrong.push("blocked: " + event.blockedURI));
</script>"""

# What a person would do, one step after another; each tells what is then to be seen.
ACT = """<script>
  const $ = (selector) => document.querySelector(selector);
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (true_of) => { for (let i = 0; i < 200 && !true_of(); i++) await pause(50); };
  const told = {};
  const seen = () => $$(".check:not([hidden]):not(.mixed) .units .state .tag:not(.keep)").length;
  addEventListener("load", async () => {
    try { await steps(); } catch (error) { wrong.push(String(error.stack || error)); }
    told.wrong = wrong;
    told.requests = performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((name) => !name.startsWith("data:") && !name.startsWith("blob:"));
    document.documentElement.dataset.told = JSON.stringify(told);
  });
  async function steps() { STEPS }
</script></body>"""


def after(scan: Scan, steps: str, folder: Path, *flags: str) -> dict[str, Any]:
    """What `steps` wrote into `told` on the page of a scan, together with everything that went wrong."""
    watched = page(scan).replace("<head>", WATCH, 1)
    path = folder / "report.html"
    path.write_text(watched.replace("</body>", ACT.replace("STEPS", steps), 1), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1200,900", "--virtual-time-budget=20000",
        *flags, "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<html[^>]* data-told="([^"]*)"', dom)
    assert found, "the steps did not come to their end"
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


def test_the_page_draws_its_map_and_pictures_and_answers(scan: Scan, tmp_path: Path) -> None:
    told = after(
        scan,
        """
        await until(() => $(".plot").dataset.drawn);
        told.drawn = $(".plot").dataset.drawn;
        told.points = $(".plot").data.reduce((sum, trace) => sum + trace.x.length, 0);
        told.uploads = $$(".modebar-btn").filter((button) => /cloud|share/i.test(button.outerHTML)).length;
        told.byFinding = $$(".legend button").map((button) => button.textContent);
        $("[data-by=class]").click();
        told.byClass = $$(".legend button").map((button) => button.textContent);
        $(".legend button").click();
        told.withoutOne = $(".plot").data.reduce((sum, trace) => sum + trace.x.length, 0);
        $(".plot").emit("plotly_hover", { points: [{ customdata: 22 }] });
        told.tip = [$(".tip").hidden, $(".tip").textContent, $$(".tip img").length];
        $(".plot").emit("plotly_click", { points: [{ customdata: 22 }] });
        told.pinned = [$$(".pinned article").length, $$(".pinned img").length];
        $(".pinned .away").click();
        told.unpinned = $$(".pinned article").length;

        told.all = seen();
        $(".unit.group .rest").click();
        told.unfolded = seen();
        $(".toolbar [data-verdict=review]").click();
        told.review = seen();
        $(".toolbar [data-verdict='']").click();
        $(".toolbar input").value = "Number 55";
        $(".toolbar input").dispatchEvent(new Event("input"));
        await pause(400);
        told.filtered = [seen(), $(".toolbar output").textContent];
        told.hiddenTarget = $("#check-outlier_group").hidden;
        $("#summary a[href='#check-outlier_group']").click();
        told.broughtBack = !$("#check-outlier_group").hidden;

        told.broken = $("#check-unreadable .blank").textContent;
        told.kept = $$("#check-exact_duplicate .mate .tag.keep").length;
        told.whole = $("#check-shortcut .unit").textContent;
        await Promise.all($$("img").map((img) => img.decode()));
        told.images = $$("img").length;
        told.undecoded = $$("img").filter((img) => !img.naturalWidth).length;
        $("#check-label_error .picture").click();
        const first = $(".closer .name b").textContent;
        $$(".closer .tools button")[1].click();
        told.closer = [$(".closer").open, first !== $(".closer .name b").textContent];
        let copied = "";
        Object.defineProperty(navigator, "clipboard", { value: undefined });  // as over plain http
        document.execCommand = () => { copied = document.activeElement.value; return true; };
        const id = $(".closer .name b").textContent;
        [...$$(".closer .tools button")].find((button) => button.textContent === "copy id").click();
        await until(() => $(".closer [role=status]").textContent);
        told.copied = [copied === id, $(".closer [role=status]").textContent, $$(".closer textarea").length];
        document.execCommand = () => false;
        [...$$(".closer .tools button")].find((button) => button.textContent === "copy id").click();
        await until(() => $(".closer [role=status]").textContent !== "copied");
        told.notCopied = $(".closer [role=status]").textContent;
        told.injected = $$("img[src=x], #galleries b b, #galleries i:not(.swatch)").length;
        """,
        tmp_path,
    )
    assert told["wrong"] == []
    assert told["requests"] == []
    assert told["drawn"] in ("scattergl", "scatter")
    assert told["points"] == 58
    assert told["uploads"] == 0
    assert "Foreign groups20" in told["byFinding"]
    assert told["byFinding"][-1].startswith("no finding")
    assert told["byClass"][0] == "cat20"
    assert told["withoutOne"] == 58 - 20
    assert told["tip"][0] is False
    assert "Exact duplicates" in told["tip"][1]
    assert told["tip"][2] == 1
    assert told["pinned"] == [1, 1]
    assert told["unpinned"] == 0

    assert told["all"] == len(scan.findings) - 8  # of the twenty jokes twelve are shown at first
    assert told["unfolded"] == len(scan.findings)
    # The other half of the conflict is shown beside the one that is to be reviewed.
    assert told["review"] == (scan.findings["action"] == "review").sum() + 1  # none is on a row that is dropped
    assert told["filtered"] == [1, "1 finding matches"]
    assert told["hiddenTarget"] is True
    assert told["broughtBack"] is True
    assert told["broken"] == "cannot be read"
    assert told["kept"] == 1
    assert "the whole set" in told["whole"]
    assert told["images"] > 40
    assert told["undecoded"] == 0
    assert told["closer"] == [True, True]
    assert told["copied"] == [True, "copied", 0]
    assert told["notCopied"].startswith("not copied")
    assert told["injected"] == 0


def test_without_webgl_the_map_is_drawn_all_the_same(scan: Scan, tmp_path: Path) -> None:
    told = after(
        scan,
        """
        await until(() => $(".plot").dataset.drawn);
        told.drawn = $(".plot").dataset.drawn;
        told.points = $$(".plot .points path").length;
        """,
        tmp_path,
        "--disable-3d-apis",
    )
    assert told == {"wrong": [], "requests": [], "drawn": "scatter", "points": 58}


def without_map(scan: Scan) -> Scan:
    return replace(scan, table=scan.table.assign(x=np.nan, y=np.nan), config=ScanConfig(map="none"))


def test_without_a_map_the_rest_works(scan: Scan, tmp_path: Path) -> None:
    told = after(
        without_map(scan),
        """
        told.seen = seen();
        $(".picture").click();
        told.tools = $$(".closer .tools button").map((button) => button.textContent);
        told.wide = document.documentElement.scrollWidth <= innerWidth;
        """,
        tmp_path,
        "--window-size=500,900",
    )
    assert told["wrong"] == []
    assert told["seen"] == len(scan.findings) - 8
    assert "show on the map" not in told["tools"]
    assert told["wide"] is True


def test_a_card_bears_the_verdict_of_its_row_and_what_a_person_said_of_it(scan: Scan, tmp_path: Path) -> None:
    verdict = ["drop" if row in (55, 56) else word for row, word in enumerate(scan.table["verdict"])]
    told = after(
        replace(without_map(scan), table=without_map(scan).table.assign(verdict=verdict), decided={57: "keep"}),
        """
        const tags = () => $$("#check-label_error .state .tag:not(.decided)").map((tag) => tag.textContent);
        told.tags = tags().sort();
        told.decided = $$("#check-label_error .decided").map((tag) => tag.closest(".unit").textContent);
        $(".toolbar [data-verdict=drop]").click();
        told.dropped = tags();
        """,
        tmp_path,
    )
    assert told["wrong"] == []
    assert told["tags"] == ["drop"] * 2 + ["review"] * 6
    assert told["dropped"] == ["drop"] * 2
    (card,) = told["decided"]
    assert "number 57" in card
    assert "decided: keep" in card


def test_what_awaits_review_bears_its_check_and_its_chance(scan: Scan, tmp_path: Path) -> None:
    findings = scan.findings.assign(chance=np.where(scan.findings["row"] == 57, 0.97, np.nan).astype(np.float32))
    told = after(
        replace(without_map(scan), findings=findings),
        """
        const cards = $$("#reviews .unit.single");
        told.first = cards[0].innerText;
        told.chances = $$("#reviews .chance").map((node) => node.textContent);
        told.cards = cards.length;
        $(".toolbar [data-verdict=drop]").click();
        told.hidden = $("#reviews").hidden;
        told.output = $(".toolbar output").textContent;
        """,
        tmp_path,
    )
    assert told["wrong"] == []
    assert told["cards"] == 10
    assert "number 57" in told["first"]
    assert "Likely label errors" in told["first"]
    assert told["chances"] == ["96 %"] or told["chances"] == ["97 %"]
    assert told["hidden"] is True
    assert told["output"] == "25 findings match"


def test_names_neither_turn_sentences_about_nor_flood_a_card(scan: Scan, tmp_path: Path) -> None:
    names = ("\u202ecat\x1b[31m", "n" * 300, "\u05d0\u05d1")
    ids = ("\u2067evil\n" + "i" * 300, *scan.images.ids[1:])
    findings = scan.findings.assign(
        because=[f"labelled {name} \u202e" for name in (names * len(scan.findings))[: len(scan.findings)]]
    )
    hostile = replace(
        without_map(scan),
        images=replace(scan.images, classes=names, ids=ids),
        table=without_map(scan).table.assign(id=ids),
        findings=findings,
        stories=(replace(scan.stories[0], sentence=f"20 of {names[0]} and {names[1]}"),),
        notes=(f"of {names[0]}",),
    )
    told = after(
        hostile,
        """
        told.text = document.body.innerText;
        told.tall = Math.max(...$$(".unit.single").map((card) => card.getBoundingClientRect().height));
        told.titles = $$(".name .label").map((label) => label.title);
        const bidi = (node) => getComputedStyle(node).unicodeBidi;
        told.isolated = $$(".name b, .name .label, .because").every((node) => bidi(node).startsWith("isolate"));
        told.wide = document.documentElement.scrollWidth <= innerWidth;
        """,
        tmp_path,
    )
    assert told["wrong"] == []
    assert not set(told["text"]) & set("\u202e\u2067\x1b")
    assert told["isolated"] is True
    assert told["wide"] is True
    assert told["tall"] < 400
    assert "n" * 300 in told["titles"]
