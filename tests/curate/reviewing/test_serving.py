from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from reviewed import Client, answers_of

from curate.decisions import read_history
from curate.reviewing.serving import LARGEST_BODY, Server
from curate.stage.errors import OutputError

ROOT = Path(__file__).parents[3]
DROP = json.dumps({"entries": [{"id": "ant/0.jpg", "action": "drop"}]}).encode()


def test_the_page_is_at_the_address_for_any_program_that_has_it(client):
    with urllib.request.urlopen(client.server.address) as response:
        assert b"<title>Review" in response.read()
        headers = response.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "curate"


def test_every_answer_tells_browsers_what_not_to_do(client):
    for status, _, headers in (
        client("GET", ""),
        client("GET", "none"),
        client("GET", "", token="x"),
        client("PUT", ""),
    ):
        policy = headers["Content-Security-Policy"]
        assert status in (200, 404, 405)
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_it_listens_on_the_loopback_alone(client):
    assert client.server._http.socket.getsockname()[0] == "127.0.0.1"


def test_a_connection_is_kept_for_many_requests(client):
    client("GET", "info")
    first = client.connection.sock
    for place in ("columns/label", "original/0", "none"):
        client("GET", place)
    assert client.connection.sock is first or client("GET", "info")[0] == 200
    assert client("GET", "original/0")[2]["Cache-Control"] == "private, max-age=3600"


def test_another_host_another_origin_and_no_token_are_refused(artifacts, client):
    assert client("GET", "info", Host="evil.example")[0] == 403
    assert client("GET", "info", Origin="http://evil.example")[0] == 403
    assert client("GET", "info", Sec_Fetch_Site="cross-site")[0] == 403
    assert client("GET", "info", token="x")[0] == 404
    assert client("GET", "info", token="")[0] == 404
    assert client("POST", "decisions", DROP, Origin="http://evil.example")[0] == 403
    assert client("POST", "decisions", DROP, Origin=None)[0] == 403
    assert client("POST", "decisions", DROP, Host="evil.example")[0] == 403
    assert client("POST", "decisions", DROP, token="x")[0] == 404
    assert not (artifacts / "decisions.jsonl").exists()
    assert client("POST", "decisions", DROP)[0] == 200


def test_a_wrong_token_tells_nothing(client):
    there, nowhere = (client("GET", place, token="x") for place in ("info", "none"))
    assert there[:2] == nowhere[:2] == (404, client("GET", "none")[1])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_no_other_method_is_taken(client, method):
    status, body, headers = client(method, "decisions")
    assert status == 405
    assert (body == b"") == (method == "HEAD")
    assert headers["Allow"] in (("GET, POST",) if method != "BREW" else (None,))
    assert client("GET", "info")[0] == 200


def test_nothing_is_posted_elsewhere(client):
    assert client("POST", "info", DROP)[0] == 405
    assert client("POST", "", DROP)[0] == 405
    assert client("POST", "none", DROP)[0] == 404


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_can_send_is_refused(artifacts, client, kind):
    assert client("POST", "decisions", DROP, Content_Type=kind)[0] == 415
    assert not (artifacts / "decisions.jsonl").exists()


def test_a_body_has_a_bound_and_a_length(client):
    status, body, _ = client("POST", "decisions", b" " * (LARGEST_BODY + 1))
    assert status == 413
    assert "send fewer" in json.loads(body)["error"]
    assert client("POST", "decisions", DROP, Content_Length="x")[0] == 411
    assert client("POST", "decisions", DROP, Content_Length="-1")[0] == 411
    assert client("POST", "decisions", DROP, Transfer_Encoding="chunked")[0] == 411
    assert client("POST", "decisions", DROP + b" " * 1_000_000)[0] == 200


def raw(server: Server, text: bytes) -> bytes:
    """All that comes back for bytes that no library would send."""
    with socket.create_connection(("127.0.0.1", server.guard.port), timeout=20) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        pieces = b""
        while piece := connection.recv(1 << 16):
            pieces += piece
    return pieces


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("{t}/../../etc/passwd", 404), ("{t}/original/../../../etc/passwd", 404), ("{t}/page.js/../../x", 404),
        ("{t}/%2e%2e/%2e%2e/etc/passwd", 404), ("{t}/original/%2e%2e", 400), ("{t}/original/0%00", 400),
        ("../{t}/", 404), ("{t}\\..\\..\\x", 404), ("{t}/info#x", 404), ("{t}/columns//label", 404),
    ],
)  # fmt: skip
def test_no_path_leads_out(client, path, status):
    target = path.format(t=client.server.guard.token)
    host = f"127.0.0.1:{client.server.guard.port}"
    answer = raw(client.server, f"GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "text",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"\x16\x03\x01\x02", b"x" * 70_000,
     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", b""],
    ids=["empty", "short", "version", "0.9", "tls", "long", "headers", "folded", "nothing"],
)  # fmt: skip
def test_what_is_no_request_does_no_harm(client, capfd, text):
    answer = raw(client.server, text)
    assert b"Traceback" not in answer
    assert b"200 OK" not in answer
    assert client("GET", "info")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_an_error_of_ours_is_told_as_such_and_shown_in_the_terminal(client, monkeypatch, capfd):
    def fail(place, query):
        raise RuntimeError("oh")

    monkeypatch.setattr(client.server._http.answers, "get", fail)
    status, body, _ = client("GET", "info")
    assert status == 500
    assert "its terminal shows it" in json.loads(body)["error"]
    assert "RuntimeError: oh" in capfd.readouterr().err


def test_a_port_that_is_in_use_is_told(artifacts, client):
    with pytest.raises(OutputError, match=r"^port \d+ is in use by another program. Give another one \(--port N\)"):
        Server(answers_of(artifacts), client.server.guard.port)


def test_a_port_may_be_asked_for_and_is_free_again_after_the_end(artifacts):
    server = Server(answers_of(artifacts))
    port = server.guard.port
    with Client(server) as client:
        assert client("GET", "info")[0] == 200
    server.close()
    with pytest.raises(ConnectionRefusedError), Client(server) as client:
        client("GET", "info")
    again = Server(answers_of(artifacts), port)
    assert again.guard.port == port
    assert again.guard.token != server.guard.token
    again.close()


def test_two_tabs_that_decide_at_once_lose_nothing(artifacts, client):
    lines: list[int] = []

    def work(name: str) -> None:
        with Client(client.server) as tab:
            for turn in range(15):
                entry = {"id": name, "action": "drop" if turn % 2 else "keep"}
                status, answer = tab.json("POST", "decisions", {"entries": [entry]})
                assert status == 200
                lines.extend(entry["line"] for entry in answer["entries"])

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ant/0.jpg", "ant/2.jpg", "bee/1.jpg")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lines) == list(range(1, 46))
    assert len(read_history(artifacts / "decisions.jsonl").decisions) == 45


def test_what_another_process_decides_is_seen(artifacts, client):
    script = (
        "import sys\nfrom pathlib import Path\nfrom curate.deciding import decide\n"
        "decide(Path(sys.argv[1]), {'bee/1.jpg': 'drop'})"
    )
    client("POST", "decisions", DROP)
    subprocess.run([sys.executable, "-c", script, str(artifacts)], cwd=ROOT, check=True)
    status, answer = client.json("GET", "decisions?after=1")
    assert status == 200
    assert [(entry["line"], entry["rows"]) for entry in answer["entries"]] == [(2, [3])]


SERVE = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/support")
from reviewed import answers_of
from curate.reviewing.serving import Server
print(Server(answers_of(Path(sys.argv[1]))).address, flush=True)
sys.stdin.read()
"""


def test_what_was_answered_is_written_also_when_the_server_is_killed(artifacts):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(artifacts)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline().strip()
    answered = []

    def work() -> None:
        host, token = address.removeprefix("http://").rstrip("/").split("/")
        connection = http.client.HTTPConnection(host, timeout=20)
        headers = {"Content-Type": "application/json", "Origin": f"http://{host}"}
        try:
            for turn in range(10_000):
                body = json.dumps({"entries": [{"id": "ant/0.jpg", "action": "drop", "why": f"turn {turn}"}]})
                connection.request("POST", f"/{token}/decisions", body, headers)
                response = connection.getresponse()
                document = json.loads(response.read())
                assert response.status == 200, document
                answered.append(document["entries"][0]["line"])
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    while len(answered) < 25:
        assert worker.is_alive()
    process.kill()
    worker.join()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    history = read_history(artifacts / "decisions.jsonl")
    assert set(answered) <= {decision.line for decision in history.decisions}
    assert len(answered) <= history.lines <= len(answered) + 1


def test_urls_of_other_programs_get_words(client):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{client.server.address}original/99")
    with caught.value as response:
        assert "there is no row 99" in json.loads(response.read())["error"]
