from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
from reviewed import scanned_for_real

import curate
from curate.configs import ReviewConfig
from curate.decisions import standing
from curate.reviewing import opening
from curate.reviewing.claims import FILE
from curate.reviewing.opening import review
from curate.stage.errors import DataError, OutputError

ROOT = Path(__file__).parents[3]
QUIET = ReviewConfig(browser=False)


@pytest.fixture
def artifacts(tmp_path):
    return scanned_for_real(tmp_path)


def ask(address: str, place: str, document: object = None) -> tuple[int, bytes]:
    """(status, body) of what the page asks for."""
    host, token = address.removeprefix("http://").rstrip("/").split("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        headers = {"Origin": f"http://{host}", "Content-Type": "application/json"}
        body = None if document is None else json.dumps(document)
        connection.request("GET" if body is None else "POST", f"/{token}/{place}", body, headers if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_review_serves_the_page_and_takes_decisions(artifacts):
    with curate.review(artifacts, QUIET) as opened:
        assert b"Trustset scan report" in ask(opened.address, "")[1]
        names = {"": 200, "page.js": 200, "page.css": 200, "info": 200, "columns/queue": 200, "neighbours/0": 200}
        assert {name: ask(opened.address, name)[0] for name in names} == names
        assert opened.decided == {}
        entries = [{"id": "ant/0.jpg", "action": "drop"}, {"id": "bee/1.jpg", "action": "keep"}]
        assert ask(opened.address, "decisions", {"entries": entries})[0] == 200
        assert opened.decided == {"drop": 1, "keep": 1}
        assert ask(opened.address, "decisions", {"undo": [2]})[0] == 200
        assert opened.decided == {"drop": 1}
    assert {name: decision.action for name, decision in standing(artifacts).items()} == {"ant/0.jpg": "drop"}
    assert not (artifacts / FILE).exists()
    with pytest.raises(ConnectionRefusedError):
        ask(opened.address, "info")
    opened.close()
    opened.wait()


def test_thumbnails_of_images_that_are_gone_are_those_of_the_report(tmp_path, artifacts):
    shutil.rmtree(tmp_path / "set")
    with review(artifacts, QUIET) as opened:
        status, body = ask(opened.address, "thumbnails?rows=0")
        assert status == 200
        assert b"\xff\xd8" in body
        status, body = ask(opened.address, "original/0")
        assert status == 404
        assert "is not where it was scanned" in json.loads(body)["error"]


def test_a_second_review_of_a_scan_is_refused_and_the_first_goes_on(artifacts):
    with review(artifacts, QUIET) as opened:
        with pytest.raises(DataError, match="this scan is being reviewed already, at http") as refused:
            review(artifacts, QUIET)
        assert opened.address in str(refused.value)
        assert ask(opened.address, "info")[0] == 200
    review(artifacts, QUIET).close()


def test_what_is_no_finished_scan_of_this_version_is_refused_and_nothing_stays(tmp_path, artifacts):
    with pytest.raises(DataError, match="holds no finished scan"):
        review(tmp_path / "none", QUIET)
    (artifacts / "scan/overview.json").unlink()
    with pytest.raises(DataError, match="earlier version"):
        review(artifacts, QUIET)
    assert not (artifacts / FILE).exists()


def test_decisions_that_are_damaged_are_refused_and_those_of_another_set_told(artifacts):
    line = {"id": "gone.jpg", "action": "drop", "digest": "0" * 32}
    (artifacts / "decisions.jsonl").write_text(json.dumps(line) + "\n")
    with review(artifacts, QUIET) as opened:
        assert opened.notes == ("1 decision does not hold: its image is no longer in the set, such as gone.jpg",)
        assert json.loads(ask(opened.address, "decisions")[1])["entries"][0]["rows"] == []
    (artifacts / "decisions.jsonl").write_text("nonsense\n")
    with pytest.raises(DataError, match="line 1 is no decision"):
        review(artifacts, QUIET)
    assert not (artifacts / FILE).exists()


def test_a_port_that_is_taken_is_refused_and_nothing_stays(tmp_path, artifacts):
    with review(artifacts, QUIET) as opened:
        port = int(opened.address.split(":")[2].split("/")[0])
        other = tmp_path / "other"
        shutil.copytree(artifacts, other)
        with pytest.raises(OutputError, match=f"port {port} is in use"):
            review(other, ReviewConfig(port=port, browser=False))
        assert not (other / FILE).exists()


def test_ports_are_numbers_that_there_are():
    with pytest.raises(DataError, match="port is 70000"):
        ReviewConfig(port=70000)


class Window:
    """A browser with windows of its own."""

    def __init__(self):
        self.opened = []

    def open(self, address):
        self.opened.append(address)


def test_the_page_is_opened_where_there_are_windows_and_not_in_the_terminal(monkeypatch):
    window = Window()
    monkeypatch.setattr(webbrowser, "get", lambda: window)
    opening._open("http://127.0.0.1/")
    assert window.opened == ["http://127.0.0.1/"]
    reader = webbrowser.GenericBrowser("lynx")
    monkeypatch.setattr(reader, "open", window.open)
    monkeypatch.setattr(webbrowser, "get", lambda: reader)
    monkeypatch.delenv("BROWSER", raising=False)
    opening._open("http://127.0.0.1/2")
    assert len(window.opened) == 1
    monkeypatch.setenv("BROWSER", "lynx")
    opening._open("http://127.0.0.1/3")
    assert len(window.opened) == 2


def test_without_a_browser_or_a_screen_nothing_is_opened(monkeypatch):
    def fail():
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", fail)
    opening._open("http://127.0.0.1/")
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not opening._has_windows()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert opening._has_windows()


def test_the_command_prints_the_address_and_ends_with_ctrl_c_saying_what_was_decided(artifacts):
    script = "import sys; from cli import curate_app; sys.argv = ['curate', *sys.argv[1:]]; curate_app()"
    command = [sys.executable, "-c", script, "review", "--artifacts", str(artifacts), "--no-browser"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines = iter(process.stdout.readline, "")
    address = next(line.strip() for line in lines if line.startswith("http://127.0.0.1:"))
    assert ask(address, "decisions", {"entries": [{"id": "ant/0.jpg", "action": "drop"}]})[0] == 200
    process.send_signal(2)
    rest = process.stdout.read()
    assert process.wait() == 0
    process.stdout.close()
    assert "decided in this review: 1 drop" in rest
    assert f"next    curate apply --artifacts {artifacts}" in rest
