"""A review in a real browser: its own page may read and decide, a page of another origin may do neither."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator

import pytest
from reviewed import scanned_for_real

from curate.configs import ReviewConfig
from curate.decisions import read_history
from curate.reviewing.opening import review

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

DROP = json.dumps({"entries": [{"id": "ant/0.jpg", "action": "drop"}]})
DECIDE = """async (body) => (await fetch("decisions", {
    method: "POST", headers: {"Content-Type": "application/json"}, body })).json()"""


@pytest.fixture
def page() -> Iterator[object]:
    """A page of a browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.fixture
def other_origin(tmp_path) -> Iterator[str]:
    """The address of an empty page at another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<!doctype html><title>other</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_its_own_page_reads_and_decides(artifacts, client, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(client.server.address)
    assert page.evaluate("async () => (await fetch('info')).json()") == {"rows": 6}
    answer = page.evaluate(DECIDE, DROP)
    assert [entry["rows"] for entry in answer["entries"]] == [[0]]
    assert page.evaluate(DECIDE, json.dumps({"undo": [1]}))["line"] == 2
    size = page.evaluate(
        """() => new Promise((done) => {
            const image = new Image();
            image.onload = () => done([image.width, image.height]);
            image.src = "original/0";
        })"""
    )
    assert size == [40, 30]
    assert errors == []


def test_its_page_runs_no_script_but_its_own(client, page):
    page.goto(client.server.address)
    page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\">')")
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))"
    )
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.bad") is None


@pytest.mark.parametrize("gone", [False, True])
def test_the_page_of_a_scan_asks_its_own_server_alone_and_has_nothing_to_complain_of(tmp_path, page, gone):
    artifacts = scanned_for_real(tmp_path)
    if gone:
        shutil.rmtree(tmp_path / "set")
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    with review(artifacts, ReviewConfig(browser=False)) as opened:
        page.goto(opened.address)
        page.wait_for_selector("html[data-ready=yes]")
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(500)
        shown = page.evaluate("() => [...document.images].filter((image) => image.naturalWidth > 0).length")
        assert shown > 0
        assert complaints == []
        assert all(url.startswith((opened.address, "blob:", "data:")) for url in requests)
        page.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_nothing_though_it_knew_the_address(artifacts, client, page, other_origin, host):
    page.goto(other_origin)
    address = client.server.address.replace("127.0.0.1", host)
    for place in ("", "info", "decisions", "columns/label", "original/0", "thumbnails?rows=0"):
        fetched = page.evaluate(
            """async (address) => {
                try { return (await fetch(address)).status; } catch (error) { return "refused"; }
            }""",
            address + place,
        )
        assert fetched == "refused"
    embedded = page.evaluate(
        """async (address) => {
            const loads = (node, from) => new Promise((done) => {
                node.onload = () => done("loaded");
                node.onerror = () => done("refused");
                node.src = from;
                document.body.append(node);
            });
            return [
                await loads(document.createElement("img"), address + "original/0"),
                await loads(document.createElement("script"), address + "page.js"),
            ];
        }""",
        address,
    )
    assert embedded == ["refused", "refused"]


def test_a_page_of_another_origin_shows_it_in_no_frame(client, page, other_origin):
    page.goto(other_origin)
    page.evaluate(
        """(address) => document.body.append(Object.assign(document.createElement("iframe"), {src: address}))""",
        client.server.address,
    )
    page.wait_for_timeout(500)
    shown = [frame for frame in page.frames if frame != page.main_frame]
    assert not any("Review" in frame.content() for frame in shown)


def test_a_page_of_another_origin_decides_nothing(artifacts, client, page, other_origin):
    page.goto(other_origin)
    address = f"{client.server.address}decisions"
    for kind in ("application/json", "text/plain"):
        for mode in ("cors", "no-cors"):
            page.evaluate(
                """async ([address, body, kind, mode]) => {
                    const headers = {"Content-Type": kind};
                    try { await fetch(address, {method: "POST", body, mode, headers}); } catch (error) { }
                    navigator.sendBeacon(address, new Blob([body], {type: kind}));
                }""",
                [address, DROP, kind, mode],
            )
    page.evaluate(
        """([address, body]) => {
            const form = Object.assign(document.createElement("form"), {
                method: "POST", action: address, enctype: "text/plain"});
            const field = {name: body.slice(0, -1) + ', "x": "', value: '"}'};
            form.append(Object.assign(document.createElement("input"), field));
            document.body.append(form);
            form.submit();
        }""",
        [address, DROP],
    )
    page.wait_for_url(address)
    page.wait_for_load_state()
    assert "own page only" in page.content()
    assert read_history(artifacts / "decisions.jsonl").lines == 0


def test_a_link_that_is_clicked_opens_the_page(client, page, other_origin):
    page.goto(other_origin)
    page.evaluate(
        "(href) => document.body.append(Object.assign(document.createElement('a'), {href, text: 'go'}))",
        client.server.address,
    )
    page.click("a")
    page.wait_for_url(client.server.address)
    assert page.title() == "Review"
