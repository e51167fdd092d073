"""How large, how soon drawn and how smooth the map is by what draws it: libraries out of Python packages, and our own.

    python benchmarks/maps.py --points 60000 1000000

Each draws the same points, as clusters in eight classes, 1,100 by 640 pixels large, in a headless Chromium that renders
in software. The script is inlined from its package, as a page that opens offline has to. Then the map is dragged about
for some seconds, a step of the mouse in each frame. Frames are counted by requestAnimationFrame; *CPU* is what all
processes of the browser take for one, on all cores together, and hardly depends on what else the machine does. Of
several repetitions the best is printed. *Strict* says whether the library draws under a content policy that forbids
making code of text. One that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from throughput import children

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLASSES = 8
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
WIDTH, HEIGHT = 1100, 640
SOFTWARE = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
STRICT = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
NO_LIMIT = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
)

PAGE = """<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">
<style>body {{ margin: 0 }} #map {{ width: {width}px; height: {height}px }}</style><div id="map"></div>
<script type="application/json" id="data">{data}</script>
<script>
  const column = (text, type) => new type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const raw = JSON.parse(document.getElementById("data").textContent), colours = {colours};
  const x = column(raw.x, Float32Array), y = column(raw.y, Float32Array), label = column(raw.label, Uint8Array);
  const members = colours.map((_, of) => [...label.keys()].filter((i) => label[i] === of));
  const map = document.getElementById("map");
  const shown = () => requestAnimationFrame(() => requestAnimationFrame(() => {{ window.drawn = performance.now(); }}));
  addEventListener("error", (event) => {{ window.wrong ??= String(event.message); }});
  addEventListener("unhandledrejection", (event) => {{ window.wrong ??= String(event.reason); }});
  addEventListener("securitypolicyviolation", (event) => {{ window.wrong ??= "policy: " + event.blockedURI; }});
</script>
{scripts}
<script{kind}>{draw}</script>"""

# The mouse is down; it moves once in each frame, whatever the frames take, so that each has something new to draw.
PAN = """async (seconds) => {
  const frames = [], began = performance.now();
  let place = document.elementFromPoint(550, 320);
  while (place.shadowRoot) place = place.shadowRoot.elementFromPoint(550, 320);
  for (let step = 1; performance.now() - began < 1000 * seconds; step++) {
    frames.push(await new Promise(requestAnimationFrame));
    const at = { bubbles: true, cancelable: true, composed: true, view: window, buttons: 1, pointerId: 1,
      isPrimary: true, pointerType: "mouse",
      clientX: 550 + 200 * Math.sin(step / 20), clientY: 320 + 120 * Math.sin(step / 13) };
    place.dispatchEvent(new PointerEvent("pointermove", { ...at, button: -1 }));
    place.dispatchEvent(new MouseEvent("mousemove", at));
  }
  return frames;
}"""


HEADINGS = ("drawn by", "MB", "drawn, s", "frames a second", "CPU a frame, ms", "worst frame, ms", "strict")


@dataclass(frozen=True)
class Way:
    """What draws a map: the package its scripts come from, their paths in it, and the script that uses them."""

    name: str
    package: str
    scripts: tuple[str, ...]
    draw: Callable[[np.ndarray], str]
    kind: str = ""  # of the last script: as a module it may import


@dataclass(frozen=True)
class Measured:
    """One run: seconds until drawn; while panning frames a second, milliseconds of CPU for one, and of the longest."""

    drawn: float
    frames: float
    cpu: float
    worst: float


def plotly(points: np.ndarray) -> str:
    return """
  const traces = members.map((rows, of) => ({ type: "scattergl", mode: "markers", hoverinfo: "none", showlegend: false,
    x: rows.map((i) => x[i]), y: rows.map((i) => y[i]), marker: { color: colours[of], size: 4, opacity: 0.8 } }));
  const axis = { visible: false };
  Plotly.newPlot(map, traces, { margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: axis, yaxis: { ...axis }, dragmode: "pan" },
    { displayModeBar: false }).then(shown);"""


def bokeh(backend: str, together: bool, level_of_detail: bool) -> Callable[[np.ndarray], str]:
    """Bokeh's own document; together: all points in one glyph with colours of their own, else one for each class."""

    def draw(points: np.ndarray) -> str:
        from bokeh.embed import json_item
        from bokeh.plotting import figure

        plot = figure(
            width=WIDTH, height=HEIGHT, output_backend=backend, tools="pan,wheel_zoom,lasso_select,box_select",
            active_drag="pan", active_scroll="wheel_zoom", toolbar_location=None,
            lod_threshold=2000 if level_of_detail else None,
        )  # fmt: skip
        plot.axis.visible = plot.grid.visible = False
        label = points[:, 2].astype(int)
        style = {"size": 4, "alpha": 0.8, "line_color": None}
        if together:
            plot.scatter(points[:, 0], points[:, 1], fill_color=[COLOURS[of] for of in label], **style)
        else:
            for of, colour in enumerate(COLOURS):
                plot.scatter(*points[label == of, :2].T, fill_color=colour, **style)
        item = json.dumps(json_item(plot, "map")).replace("<", "\\u003c")
        return f"Bokeh.embed.embed_item({item}).then(shown);"

    return draw


def regl_scatterplot(points: np.ndarray) -> str:
    """jupyter-scatter's widget without Jupyter: its state, and a model that hands it out."""
    import jscatter
    import pandas as pd

    frame = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "label": points[:, 2].astype(int).astype("str")})
    scatter = jscatter.Scatter(data=frame, x="x", y="y", color_by="label", color_map=list(COLOURS), size=4)
    scatter.height(HEIGHT)
    state = {name: value for name, value in scatter.widget.get_state().items() if not name.startswith("_")}

    def plain(value: object) -> object:
        if isinstance(value, memoryview):
            return {"bytes": base64.b64encode(value).decode()}
        return value.item() if isinstance(value, np.generic) else str(value)

    # Of what is not a number JavaScript's JSON knows nothing; base64 has no such word after a blank.
    text = json.dumps(state, default=plain).replace("<", "\\u003c").replace(" NaN", " null")
    return f"""
  const state = JSON.parse({json.dumps(text)}, (name, value) => value?.bytes === undefined ? value
    : new DataView(column(value.bytes, Uint8Array).buffer));
  const model = {{ get: (name) => state[name], set: (name, value) => {{ state[name] = value; }}, save_changes() {{}},
    on() {{}}, off() {{}}, send() {{}} }};
  await index_default.render({{ model, el: document.getElementById("map") }});
  shown();"""


def deck(points: np.ndarray) -> str:
    return """
  window.createDeck = window.createDeck ?? window.__exports__?.createDeck;
  const rgb = colours.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const data = [...x.keys()].map((i) => ({ p: [x[i] * 100, y[i] * 100], c: rgb[label[i]] }));
  createDeck({ container: map, jsonInput: {
    views: [{ "@@type": "OrthographicView", controller: true }], mapProvider: null,
    initialViewState: { target: [0, 0, 0], zoom: 0 },
    layers: [{ "@@type": "ScatterplotLayer", id: "points", data, getPosition: "@@=p", getFillColor: "@@=c",
      getRadius: 2, radiusUnits: "pixels" }] } });
  shown();"""


def webgl(points: np.ndarray) -> str:
    """A program of a dozen lines: what any library could come to at most that draws its points by WebGL."""
    return """
  const canvas = Object.assign(document.createElement("canvas"), { width: map.clientWidth, height: map.clientHeight });
  map.append(canvas);
  const gl = canvas.getContext("webgl2", { antialias: false }), program = gl.createProgram(), at = [0, 0];
  for (const [kind, text] of [[gl.VERTEX_SHADER, `#version 300 es
      in float x, y, label; uniform vec2 at; uniform vec3 colours[8]; flat out vec3 colour;
      void main() { gl_Position = vec4(vec2(x, y) / 4. + at, 0, 1); gl_PointSize = 4.; colour = colours[int(label)];
      }`],
    [gl.FRAGMENT_SHADER, `#version 300 es
      precision mediump float; flat in vec3 colour; out vec4 drawn;
      void main() { if (length(gl_PointCoord - .5) > .5) discard; drawn = vec4(colour, 1); }`]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  for (const [name, values] of Object.entries({ x, y, label: Float32Array.from(label) })) {
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 1, gl.FLOAT, false, 0, 0);
  }
  const rgb = colours.flatMap((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255));
  gl.uniform3fv(gl.getUniformLocation(program, "colours"), rgb);
  let waiting = 0;
  const draw = () => {
    waiting = 0;
    gl.uniform2f(gl.getUniformLocation(program, "at"), ...at);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawArrays(gl.POINTS, 0, x.length);
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    at[0] = (2 * event.clientX) / canvas.width - 1;
    at[1] = 1 - (2 * event.clientY) / canvas.height;
    waiting ||= requestAnimationFrame(draw);
  });
  draw();
  shown();"""


def ours(points: np.ndarray) -> str:
    return """
  const whole = (values) => Uint16Array.from(values, (value) => (value + 4.5) * 7000), n = x.length;
  const columns = { x: whole(x), y: whole(y), stands_for: new Uint32Array(n).fill(1), label: Int32Array.from(label),
    split: new Uint16Array(n), verdict: new Uint8Array(n),
    finding_row: new Int32Array(0), finding_check: new Uint8Array(0) };
  const info = { classes: colours, splits: [""], verdicts: ["keep", "review", "drop"], checks: [], columns: {} };
  document.body.style = `--card: white; --ink: black; --link: blue; --muted: gray`;
  document.head.append(make("style", {}, `.map-bar, .map-legend { display: none }
    .map-stage { position: relative; height: 640px }
    .map-stage canvas { position: absolute; width: 100%; height: 100% }`));
  const source = { info, column: async (name) => columns[name] };
  makeMap(map, source).then((made) => made.colour("class")).then(shown);"""


WAYS = (
    Way("plotly, scattergl", "plotly", ("package_data/plotly.min.js",), plotly),
    *(
        Way(
            f"bokeh, {backend}, {'one glyph' if together else 'a glyph a class'}"
            + (", level of detail" if level_of_detail else ""),
            "bokeh",
            ("server/static/js/bokeh.min.js",) + (("server/static/js/bokeh-gl.min.js",) if backend == "webgl" else ()),
            bokeh(backend, together, level_of_detail),
        )
        for backend, together, level_of_detail in (
            ("webgl", False, False),
            ("webgl", True, False),
            ("canvas", True, False),
            ("canvas", False, True),
        )
    ),
    Way("jupyter-scatter (regl-scatterplot)", "jscatter", ("bundle.js",), regl_scatterplot, ' type="module"'),
    Way("pydeck (deck.gl)", "pydeck", ("nbextension/static/index.js",), deck),
    Way("WebGL without a library", "curate", (), webgl),
    Way("ours, pixels", "curate", tuple(f"reporting/scripts/{name}.js" for name in ("base", "points", "map")), ours),
)


def clusters(n: int) -> np.ndarray:
    """(n, 3) float32: x, y and class of points that lie as a map of a set lies."""
    rng = np.random.default_rng(0)
    label = rng.integers(CLASSES, size=n)
    centres = rng.uniform(-2.5, 2.5, (CLASSES, 3, 2))
    at = centres[label, rng.integers(3, size=n)] + rng.normal(0, 0.35, (n, 2))
    return np.column_stack([at, label]).astype(np.float32)


def folder_of(package: str) -> Path | None:
    """The folder of a package, which is not imported; None where it is not installed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def page_of(way: Way, folder: Path, points: np.ndarray, policy: str) -> str:
    encoded = {name: base64.b64encode(np.ascontiguousarray(points[:, i], kind)).decode()
               for i, (name, kind) in enumerate([("x", "<f4"), ("y", "<f4"), ("label", "u1")])}  # fmt: skip
    texts = [(folder / script).read_text(encoding="utf-8").replace("</script", "<\\/script") for script in way.scripts]
    draw = way.draw(points)
    if way.kind:  # what a module exports is seen within it alone
        draw, texts = "\n".join([*texts, draw]), []
    scripts = "\n".join(f"<script>{text}</script>" for text in texts)
    return PAGE.format(
        policy=policy, width=WIDTH, height=HEIGHT, data=json.dumps(encoded), colours=json.dumps(COLOURS),
        scripts=scripts, kind=way.kind, draw=draw,
    )  # fmt: skip


def processor_seconds() -> float:
    """What all processes that this one has started have taken of the processor, the browser's among them."""
    ticks = 0
    for process in children(os.getpid()):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(browser: Browser, path: Path, seconds: float, patience: float, strict: bool = False) -> Measured | str:
    """What a page comes to; a sentence where it does not draw."""
    from playwright.sync_api import TimeoutError as TooLate

    tab = browser.new_page(viewport={"width": WIDTH + 100, "height": HEIGHT + 100})
    try:
        tab.goto(path.as_uri(), timeout=patience * 1000)
        end = time.monotonic() + patience
        while not tab.evaluate("window.drawn || window.wrong || null") and time.monotonic() < end:
            tab.wait_for_timeout(50)  # to wait for a function would make code of text, which the policy forbids
        if wrong := tab.evaluate(
            "window.drawn && !strict ? null : window.wrong".replace("strict", str(strict).lower())
        ):
            return str(wrong)[:120]
        drawn = float(tab.evaluate("window.drawn")) / 1000
        tab.wait_for_timeout(1000)
        tab.mouse.move(WIDTH / 2, HEIGHT / 2)
        before = tab.screenshot()
        tab.mouse.down()
        busy = processor_seconds()
        gaps = np.diff(tab.evaluate(PAN, seconds))
        busy = processor_seconds() - busy
        tab.wait_for_timeout(3000)  # some come after
        if tab.screenshot() == before:
            return "does not follow the mouse"
        return Measured(drawn, 1000 / float(gaps.mean()), 1000 * busy / len(gaps), float(gaps.max()))
    except TooLate:
        return "no answer for half a minute"
    finally:
        tab.close()


def best(runs: list[Measured]) -> Measured:
    columns = {name: [getattr(run, name) for run in runs] for name in ("drawn", "frames", "cpu", "worst")}
    return Measured(**{name: (max if name == "frames" else min)(values) for name, values in columns.items()})


def report(browser: Browser, way: Way, points: np.ndarray, repetitions: int, seconds: float) -> str:
    """One line of the table."""
    folder = folder_of(way.package)
    if folder is None:
        return f"| {way.name} | not installed | | | | | |"
    size = sum((folder / script).stat().st_size for script in way.scripts) / 1e6
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "map.html"
        path.write_text(page_of(way, folder, points, NO_LIMIT), encoding="utf-8")
        runs = []
        for _ in range(repetitions):
            run = measured(browser, path, seconds, 120)
            if isinstance(run, str):
                return f"| {way.name} | {size:.2f} | {run} | | | | |"
            runs.append(run)
        path.write_text(page_of(way, folder, points, STRICT), encoding="utf-8")
        strict = measured(browser, path, 0.2, 120, strict=True)
    found = best(runs)
    return (
        f"| {way.name} | {size:.2f} | {found.drawn:.1f} | {found.frames:.0f} | {found.cpu:.0f} | {found.worst:.0f} "
        f"| {'no' if isinstance(strict, str) else 'yes'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[60_000])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long the map is dragged about")
    parser.add_argument("--only", default="", help="ways whose name contains this")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    for n in options.points:
        points = clusters(n)
        print(f"\n{n:,} points\n\n| {' | '.join(HEADINGS)} |")
        print("|---|---:|---:|---:|---:|---:|---|")
        for way in WAYS:
            if options.only not in way.name:
                continue
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=executable, args=list(SOFTWARE))
                print(report(browser, way, points, options.repetitions, options.seconds), flush=True)
                browser.close()


if __name__ == "__main__":
    main()
