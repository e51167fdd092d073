"""The review server: HTTP on this machine's loopback alone, a thread for each connection that a browser keeps."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import sys
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from ..stage.errors import OutputError
from .answers import JSON, Answer, Answers, refused
from .guarding import HEADERS, HOST, NOTHING, Guard, new_token

LARGEST_BODY = 32 << 20  # bytes of a POST: some 300,000 decisions
_DRAINED = 64 << 20  # of a larger one are read all the same, so that its sender gets to read why it is refused
_PATIENCE = 120  # seconds after which a connection that says nothing is closed


class Server:
    """A server that answers one review, from now on until it is closed. Raises OutputError where the port is taken.

    port  0 takes any that is free
    """

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self._http = _bound(port)
        self.guard = Guard(self._http.server_address[1], new_token())
        self._http.answers, self._http.guard = answers, self.guard
        self._thread = Thread(target=self._http.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Of the page, with the token in it."""
        return self.guard.address

    def close(self) -> None:
        """Answer no more; what is being answered is answered to its end."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _bound(port: int) -> _Http:
    try:
        return _Http((HOST, port), _Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OutputError(
                f"port {port} is in use by another program. Give another one (--port N), or leave it out: any that is "
                "free is taken then."
            ) from error
        raise OutputError(f"cannot listen at port {port}: {error.strerror}. Give another one (--port N).") from error


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    # Elsewhere it lets a port be taken again at once; on Windows it lets it be taken from another program.
    allow_reuse_address = os.name != "nt"
    answers: Answers
    guard: Guard

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer asks for the name of the host, which may take seconds
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # else the browser has gone, or said nothing for a long time
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        answer = self._refusal() or self._answer()
        self._send(answer)
        if self.close_connection:
            self._drain()

    do_GET = do_POST = do_HEAD = do_OPTIONS = do_PUT = do_DELETE = do_PATCH = do_TRACE = do_CONNECT = _handle

    def _refusal(self) -> Answer | None:
        """Why a request is not answered at all, before any of its body is read."""
        refusal = self.server.guard.refusal(self.command, self.path, self.headers)
        if refusal is not None:
            self.close_connection = True
            return refused(refusal.status, refusal.reason)
        methods = self.server.answers.takes(self._place)
        if self.command in methods:
            return None
        self.close_connection = True
        if not methods:
            return refused(404, NOTHING)
        return replace(refused(405, f"this address takes {' and '.join(methods)}."), allow=methods)

    def _answer(self) -> Answer:
        query = self.path.partition("?")[2]
        try:
            if self.command == "GET":
                return self.server.answers.get(self._place, query)
            refusal = self._body_refusal()
            if refusal is not None:
                self.close_connection = True
                return refusal
            body = self.rfile.read(int(self.headers["Content-Length"]))
            return self.server.answers.post(self._place, query, body)
        except OSError:  # of the connection
            raise
        except Exception:
            traceback.print_exc()
            self.close_connection = True
            return refused(500, "this is an error in `curate review` itself; its terminal shows it.")

    def _body_refusal(self) -> Answer | None:
        """Why the body of a POST is not read: pages of other origins can send any text, but no JSON."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        length = self.headers.get("Content-Length", "")
        if kind != JSON:
            return refused(415, f"needed is a body of type {JSON}.")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            return refused(411, "needed is the length of the body (Content-Length).")
        if int(length[:20]) > LARGEST_BODY:
            return refused(413, f"a body has at most {LARGEST_BODY:,} bytes; send fewer decisions at once.")
        return None

    @property
    def _place(self) -> str:
        return self.server.guard.place(self.path)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "private, max-age=3600" if answer.lasting else "no-store")
        if answer.allow:
            self.send_header("Allow", ", ".join(answer.allow))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _drain(self) -> None:
        """Read what is left of a body, within bounds: a connection that is closed before loses the answer."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        left = _DRAINED
        while left > 0 and (piece := self.connection.recv(min(left, 1 << 20))):
            left -= len(piece)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request is refused in our own words, with our own headers."""
        self.close_connection = True
        self.requestline = self.requestline if hasattr(self, "requestline") else ""
        self.request_version, self.command = self.protocol_version, getattr(self, "command", None) or "GET"
        self._send(refused(405 if code == 501 else code, "this is not understood."))

    def version_string(self) -> str:
        """What the server is called, without versions."""
        return "curate"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the token is in every line."""
