"""The map, driven as a person drives it: by mouse, wheel, finger and keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import IN_BROWSER, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


pytestmark = IN_BROWSER

REPORTING = files("curate.reporting")
CLASSES = ("basophil", "eosinophil", "monocyte", "<b>bold</b>\u202e")
CHECKS = (("leak", "#8e44ad"), ("label_error", "#d1495b"))
VERDICTS = ("keep", "review", "drop")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A map</title>
<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{policy}">
<style>{style}</style><main class="wide"><h1>A map</h1><div id="map"></div><p style="height: 1500px">below</p></main>
<script>
  window.wrong = [];
  for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"])
    addEventListener(kind, (event) => wrong.push(`${{kind}}: ${{event.message ?? event.blockedURI}}`));
</script>
<script type="application/json" id="data">{data}</script>
<script>(() => {{ "use strict";
{script}
  const {{ info, columns }} = JSON.parse(document.getElementById("data").textContent);
  const kinds = {{ uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array }};
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const source = {{ info, details: async (rows) => rows.map((row) => ({{ row, id: `picture ${{row}}` }})),
    column: async (name) => new kinds[info.columns[name][0]](bytes(columns[name]).buffer) }};
  window.log = [];
  makeMap(document.getElementById("map"), source, {{
    hover: (row) => log.push(["hover", row]), pick: (row) => log.push(["pick", row]),
    select: (rows) => log.push(["select", [...rows]]) }}).then((map) => {{ window.map = map; }});
}})();</script></html>"""


PIXEL = """([row, right]) => {
  const [x, y] = map.place(row), box = map.element.getBoundingClientRect();
  const canvas = map.element.querySelector("canvas"), ratio = canvas.width / box.width;
  const at = [(x - box.left + right) * ratio, (y - box.top) * ratio];
  const one = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const copy = one.getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, ...at.map((place) => -Math.floor(place)));
  return [...copy.getImageData(0, 0, 1, 1).data];
}"""


def drawn_rows() -> dict[str, np.ndarray]:
    """400 rows on a jittered grid, so that no point covers another; the last has no place."""
    rng = np.random.default_rng(3)
    n = 400
    at = np.column_stack([np.arange(n) % 20, np.arange(n) // 20]) * 3000 + 2000 + rng.integers(-700, 700, (n, 2))
    at[-1] = 65_535
    flagged = np.sort(rng.choice(n - 1, 60, replace=False))
    verdict = np.zeros(n, np.uint8)
    verdict[flagged] = rng.integers(1, 3, 60)
    score = rng.integers(0, 101, n)
    score[:20] = 255
    return {
        "x": at[:, 0].astype(np.uint16),
        "y": at[:, 1].astype(np.uint16),
        "stands_for": np.where(np.arange(n) == 210, 9, 1).astype(np.uint32),
        "label": (np.arange(n) % 5 - 1).astype(np.int32),
        "split": rng.integers(0, 2, n).astype(np.uint16),
        "verdict": verdict,
        "finding_row": flagged.astype(np.int32),
        "finding_check": rng.integers(0, 2, 60).astype(np.uint8),
        "score_label_error": score.astype(np.uint8),
    }


def page_of(columns: dict[str, np.ndarray]) -> str:
    info = {
        "classes": CLASSES, "splits": ["test", "train"], "verdicts": VERDICTS, "apart": None,
        "checks": [{"name": name, "title": name.replace("_", " "), "colour": colour} for name, colour in CHECKS],
        "columns": {name: [values.dtype.name, len(values)] for name, values in columns.items()},
    }  # fmt: skip
    data = {"info": info, "columns": {name: base64.b64encode(v.tobytes()).decode() for name, v in columns.items()}}
    parts = [REPORTING.joinpath("scripts", f"{name}.js").read_text("utf-8") for name in ("base", "points", "map")]
    style = "".join(REPORTING.joinpath(name).read_text("utf-8") for name in ("base.css", "map.css"))
    text = json.dumps(data).replace("<", "\\u003c")
    return PAGE.format(policy=POLICY, style=style, data=text, script="\n".join(parts))


@dataclass
class Map:
    """A map in a tab, and what it was drawn from."""

    tab: Page
    columns: dict[str, np.ndarray]

    def log(self, kind: str) -> list[Any]:
        return [value for name, value in self.tab.evaluate("log") if name == kind]

    def places(self) -> np.ndarray:
        """(N, 2): where each row lies on the screen, NaN of one without a place."""
        rows = range(len(self.columns["x"]))
        at = self.tab.evaluate("(rows) => rows.map((row) => map.place(row))", list(rows))
        return np.array([place or [np.nan, np.nan] for place in at])

    def drag(self, path: np.ndarray) -> None:
        self.tab.mouse.move(*path[0])
        self.tab.mouse.down()
        for corner in path[1:]:
            self.tab.mouse.move(*corner, steps=3)
        self.tab.mouse.up()

    def press(self, name: str) -> None:
        self.tab.locator(".map-tools").get_by_role("button", name=name, exact=True).click()

    def legend(self) -> dict[str, int]:
        texts = self.tab.eval_on_selector_all(
            ".map-legend button",
            "(all) => all.map((each) => ['bdi', 'small'].map((part) => each.querySelector(part).textContent))",
        )
        return {name: int(number.replace(",", "")) for name, number in texts}

    def pixel(self, row: int) -> str:
        """The colour on the canvas in the middle of a row's point."""
        self.tab.wait_for_timeout(100)
        return f"#{bytes(self.pixels(row)[:3]).hex()}"

    def pixels(self, row: int, right: int = 0) -> list[int]:
        """Red, green, blue and opacity on the canvas, so many pixels right of the middle of a row's point."""
        channels: list[int] = self.tab.evaluate(PIXEL, [row, right])
        return channels


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "map.html"
    path.write_text(page_of(drawn_rows()), encoding="utf-8")
    return path


def opened(browser: Browser, path: Path, **options: Any) -> tuple[Map, list[str]]:
    """The map, and a list that what goes wrong, and every request, is added to."""
    tab = browser.new_context(viewport={"width": 1200, "height": 900}, **options).new_page()
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: wrong.append(request.url) if request.url != path.as_uri() else None)
    tab.goto(path.as_uri())
    tab.locator(".map-legend button").first.wait_for()
    tab.wait_for_timeout(100)
    return Map(tab, drawn_rows()), wrong


@pytest.fixture
def map_(browser: Browser, path: Path) -> Iterator[Map]:
    drawn, wrong = opened(browser, path)
    yield drawn
    wrong += drawn.tab.evaluate("wrong")
    drawn.tab.context.close()
    assert wrong == []


def inside(places: np.ndarray, polygon: np.ndarray) -> list[int]:
    """The rows whose place lies within a polygon, by the winding of its corners around each."""
    ahead = np.roll(polygon, -1, axis=0)
    a, b = polygon[None] - places[:, None], ahead[None] - places[:, None]
    angle = np.arctan2(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], (a * b).sum(axis=2)).sum(axis=1)
    return np.flatnonzero(np.abs(angle) > 1).tolist()


def middle(map_: Map) -> np.ndarray:
    box = map_.tab.locator(".map-stage").bounding_box()
    assert box
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def test_who_hovers_over_a_point_is_told_which(map_):
    for row in (0, 137, 398):
        map_.tab.mouse.move(*map_.places()[row])
        map_.tab.wait_for_timeout(60)
        assert map_.log("hover")[-1] == row
    map_.tab.mouse.move(5, 5)
    assert map_.log("hover")[-1] is None


def test_a_click_picks_and_a_drag_moves(map_):
    place = map_.places()[77]
    map_.tab.mouse.click(*place)
    assert map_.log("pick") == [77]
    map_.drag(np.array([middle(map_), middle(map_) + np.array([80, 40])]))
    assert map_.log("pick") == [77]
    np.testing.assert_allclose(map_.places()[77], place + np.array([80, 40]), atol=1.5)


def test_the_wheel_zooms_to_where_the_mouse_is(map_):
    before = map_.places()
    map_.tab.mouse.move(*before[150])
    map_.tab.mouse.wheel(0, -300)
    map_.tab.wait_for_timeout(100)
    after = map_.places()
    np.testing.assert_allclose(after[150], before[150], atol=1)  # the mouse stands on whole pixels
    np.testing.assert_allclose(np.nanstd(after, axis=0) / np.nanstd(before, axis=0), np.exp(0.6), rtol=1e-6)
    assert map_.tab.evaluate("scrollY") == 0
    map_.press("show all")
    np.testing.assert_allclose(map_.places(), before, atol=1e-3)


def test_who_zooms_out_further_than_all_scrolls_the_page(map_):
    map_.tab.mouse.move(*middle(map_))
    for _ in range(6):
        map_.tab.mouse.wheel(0, 300)
        map_.tab.wait_for_timeout(60)
    assert map_.tab.evaluate("scrollY") > 0


def test_a_lasso_selects_exactly_the_rows_inside(map_):
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    reach = np.where(np.arange(14) % 2, 210, 90)[:, None]  # a star, so that corners point inwards
    star = middle(map_) + reach * np.column_stack([np.cos(angle), np.sin(angle)])
    map_.press("lasso")
    map_.drag(star)
    expected = inside(map_.places(), star)
    assert 20 < len(expected) < 200
    assert map_.log("select") == [expected]


def test_a_box_selects_and_shift_adds_and_alt_takes_away(map_):
    def box(left: int, right: int) -> np.ndarray:
        return middle(map_) + np.array([[left, -120], [right, 120]])

    def within(left: int, right: int) -> set[int]:
        (x0, y0), (x1, y1) = box(left, right)
        return set(inside(map_.places(), np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])))

    map_.press("box")
    map_.drag(box(-200, -50))
    assert set(map_.log("select")[-1]) == within(-200, -50) != set()
    map_.tab.keyboard.down("Shift")
    map_.drag(box(0, 100))
    map_.tab.keyboard.up("Shift")
    assert set(map_.log("select")[-1]) == within(-200, -50) | within(0, 100)
    map_.tab.keyboard.down("Alt")
    map_.drag(box(-100, 50))
    map_.tab.keyboard.up("Alt")
    assert set(map_.log("select")[-1]) == (within(-200, -50) | within(0, 100)) - within(-100, 50)
    map_.press("clear selection")
    assert map_.log("select")[-1] == []


def test_what_is_not_selected_fades(map_):
    map_.tab.evaluate("map.colour('class')")
    before = map_.pixel(1), map_.pixel(2)
    map_.tab.evaluate("map.select([1])")
    assert map_.pixel(1) == before[0]
    assert map_.pixel(2) != before[1]


def test_every_way_of_colouring_counts_each_row_once_and_draws_its_colour(map_):
    placed = np.arange(400) < 399
    columns = {name: values[: len(placed)][placed[: len(values)]] for name, values in map_.columns.items()}
    for by in ("class", "split", "verdict", "finding", "score:label_error"):
        map_.tab.select_option(".map-by", by)
        assert sum(map_.legend().values()) == 399, by
    map_.tab.select_option(".map-by", "class")
    label = columns["label"]
    hostile = "<b>bold</b>\\u202e"
    assert map_.legend() == {
        "basophil": (label == 0).sum(), "eosinophil": (label == 1).sum(), "monocyte": (label == 2).sum(),
        hostile: (label == 3).sum(), "no label": (label == -1).sum(),
    }  # fmt: skip
    assert [map_.pixel(row) for row in (1, 2, 3)] == ["#0072b2", "#e69f00", "#009e73"]
    map_.tab.select_option(".map-by", "verdict")
    counts = np.bincount(columns["verdict"])
    assert map_.legend() == {"kept": counts[0], "to review": counts[1], "dropped": counts[2]}
    map_.tab.select_option(".map-by", "score:label_error")
    score = columns["score_label_error"]
    assert map_.legend()["0.8 and more"] == ((score >= 80) & (score <= 100)).sum()
    assert map_.legend()["no score"] == (score == 255).sum()


def test_by_finding_what_is_dropped_is_filled_and_what_awaits_review_is_a_ring(map_):
    columns = map_.columns
    verdict = columns["verdict"][columns["finding_row"]]
    paper = map_.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--card').trim()")
    dropped = columns["finding_row"][(verdict == 2) & (columns["finding_check"] == 1)][0]
    review = columns["finding_row"][(verdict == 1) & (columns["finding_check"] == 1)][0]
    assert map_.pixel(int(dropped)) == CHECKS[1][1]
    assert map_.pixel(int(review)) == paper


def test_the_legend_hides_and_shows_alone(map_):
    map_.tab.select_option(".map-by", "class")
    basophil = map_.tab.locator(".map-legend button").filter(has_text="basophil")
    places = map_.places()
    basophil.click()
    map_.tab.wait_for_timeout(300)  # so that the next click is not the second of two
    map_.tab.mouse.click(*places[1])
    assert map_.log("pick") == []
    basophil.click()
    map_.tab.wait_for_timeout(600)
    map_.tab.mouse.click(*places[1])
    assert map_.log("pick") == [1]
    basophil.dblclick()
    pressed = map_.tab.eval_on_selector_all(".map-legend button", "(all) => all.map((each) => each.ariaPressed)")
    assert pressed == ["true", "false", "false", "false", "false"]
    map_.tab.mouse.click(*places[2])
    assert map_.log("pick") == [1]
    map_.tab.wait_for_timeout(600)
    basophil.dblclick()
    pressed = map_.tab.eval_on_selector_all(".map-legend button", "(all) => all.map((each) => each.ariaPressed)")
    assert pressed == ["true"] * 5


def test_keys_go_from_point_to_point_name_them_pick_and_select(map_):
    stage, said = map_.tab.locator(".map-stage"), map_.tab.locator(".map-said")
    stage.focus()
    map_.tab.keyboard.press("ArrowRight")
    map_.tab.wait_for_timeout(100)
    places, rows = map_.places(), []
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowDown", 1, 1), ("ArrowLeft", 0, -1), ("ArrowUp", 1, -1)):
        before = map_.log("hover")[-1]
        map_.tab.keyboard.press(key)
        map_.tab.wait_for_timeout(100)
        rows.append(map_.log("hover")[-1])
        step = places[rows[-1]] - places[before]
        assert step[axis] * sign > 0
        assert abs(step[axis]) >= abs(step[1 - axis]) * 0.7  # the axes are drawn on scales of their own
    words = said.text_content()
    label = map_.columns["label"][rows[-1]]
    assert words
    assert words.startswith(f"picture {rows[-1]}: ")
    assert (CLASSES[label][:5] if label >= 0 else "no label") in words
    map_.tab.keyboard.press("Enter")
    assert map_.log("pick") == rows[-1:]
    map_.tab.keyboard.press(" ")
    assert map_.log("select") == [rows[-1:]]
    map_.tab.keyboard.press("Escape")
    assert map_.log("select")[-1] == []
    map_.tab.keyboard.press("+")
    assert np.nanstd(map_.places()[:, 0]) > 1.3 * np.nanstd(places[:, 0])


def test_only_some_rows_may_be_shown(map_):
    map_.tab.evaluate("map.show(Int32Array.from([5, 6, 7]))")
    assert sum(map_.legend().values()) == 3
    map_.press("box")
    map_.drag(np.array([map_.places()[5] - 30, map_.places()[7] + 30]))
    assert map_.log("select")[-1] == [5, 6, 7]
    map_.tab.evaluate("map.show(null)")
    assert sum(map_.legend().values()) == 399


def test_a_ringed_row_comes_into_sight(map_):
    map_.tab.mouse.move(*map_.places()[0])
    for _ in range(4):
        map_.tab.mouse.wheel(0, -300)
        map_.tab.wait_for_timeout(40)
    map_.tab.evaluate("map.ring(390)")
    box = map_.tab.locator(".map-stage").bounding_box()
    assert box
    x, y = map_.places()[390]
    assert box["x"] < x < box["x"] + box["width"]
    assert box["y"] < y < box["y"] + box["height"]


def test_the_nearest_on_the_map_are_told(map_):
    at = np.column_stack([map_.columns["x"], map_.columns["y"]]).astype(float)
    distance = np.linalg.norm(at - at[210], axis=1)
    assert len(map_.tab.evaluate("map.near(210, 4)")) == 4
    assert set(map_.tab.evaluate("map.near(210, 4)")) <= set(np.argsort(distance)[1:13].tolist())


def test_verdicts_that_change_are_drawn_anew(map_):
    map_.tab.select_option(".map-by", "verdict")
    map_.tab.evaluate("map.update({ verdict: new Uint8Array(400).fill(2) })")
    assert map_.legend() == {"dropped": 399}


def test_a_point_is_as_large_as_what_it_stands_for(map_):
    map_.tab.select_option(".map-by", "verdict")
    map_.tab.wait_for_timeout(100)
    row = 210
    assert map_.columns["stands_for"][row] == 9
    paper = map_.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--card').trim()")
    blank = [*bytes.fromhex(paper[1:]), 255]
    assert map_.pixels(row, right=8) != blank
    assert map_.pixels(row + 1, right=8) == blank


def test_one_finger_scrolls_the_page_until_a_tool_is_on(browser, path):
    map_, wrong = opened(browser, path, has_touch=True, is_mobile=True)
    touch_action = "getComputedStyle(map.element).touchAction"
    assert map_.tab.evaluate(touch_action) == "pan-x pan-y"
    assert map_.tab.locator(".map-tools [aria-pressed=true]").count() == 0
    map_.tab.touchscreen.tap(*map_.places()[42])
    assert map_.log("pick") == [42]
    map_.press("lasso")
    assert map_.tab.evaluate(touch_action) == "none"
    map_.press("lasso")
    assert map_.tab.evaluate(touch_action) == "pan-x pan-y"
    map_.tab.context.close()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_is_open_to_everyone(browser, path, scheme):
    from axe_playwright_python.sync_playwright import Axe

    map_, _ = opened(browser, path, color_scheme=scheme, bypass_csp=True)
    assert Axe().run(map_.tab).response["violations"] == []
    map_.tab.context.close()


def test_forced_colours_tell_points_apart_by_shape(browser, path):
    map_, wrong = opened(browser, path, forced_colors="active")
    map_.tab.evaluate("map.colour('class')")
    system = map_.tab.evaluate(
        """() => { const probe = document.createElement("canvas").getContext("2d"); probe.fillStyle = "CanvasText";
        probe.fillRect(0, 0, 1, 1); return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3); }"""
    )
    assert [map_.pixel(row) for row in (1, 2, 3)] == [f"#{bytes(system).hex()}"] * 3
    map_.tab.context.close()
    assert wrong == []


def test_a_map_that_is_taken_away_leaves_nothing(map_):
    map_.tab.evaluate("map.destroy()")
    assert map_.tab.locator("#map > *").count() == 0
    map_.tab.mouse.wheel(0, 100)


def test_a_hundred_thousand_points_are_drawn_within_a_frame_or_two(browser, tmp_path):
    rng = np.random.default_rng(0)
    n = 100_000
    columns = {name: np.resize(values, n) for name, values in drawn_rows().items() if not name.startswith("finding")}
    columns |= {name: values for name, values in drawn_rows().items() if name.startswith("finding")}
    columns["x"], columns["y"] = (rng.normal(32_000, 9_000, (2, n)).clip(0, 65_534)).astype(np.uint16)
    path = tmp_path / "many.html"
    path.write_text(page_of(columns), encoding="utf-8")
    map_, wrong = opened(browser, path)
    milliseconds = map_.tab.evaluate(
        """async () => { const took = [];
        for (let i = 0; i < 8; i++) {
          await new Promise((done) => requestAnimationFrame(done));
          const began = performance.now();
          map.reset();
          await new Promise((done) => requestAnimationFrame(() => { setTimeout(done); }));
          took.push(performance.now() - began);
        }
        return took.sort((a, b) => a - b)[0]; }"""
    )
    assert milliseconds < 100
    map_.tab.context.close()
    assert wrong == []
