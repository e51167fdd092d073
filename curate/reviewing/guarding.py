"""Who is answered: the page that this server has served, opened by who has its address. Nobody else learns anything.

A browser tells with each request which host it was meant for and which page it comes from: a page of another origin is
refused before its token is looked at, and so is a name that leads here but is not this machine's own.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

HOST = "127.0.0.1"
NOTHING = "there is nothing at this address."

# What browsers are told with every answer: load nothing from elsewhere, run no script but ours, show us in no frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    reason: str


def new_token() -> str:
    """The first part of every address, which nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Guard:
    """What the requests must be like that a server answers.

    port  that it listens at
    """

    port: int
    token: str

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def refusal(self, method: str, target: str, headers: Message) -> Refusal | None:
        """Why this request is refused; None where it may be answered.

        target  as it was asked for: "/TOKEN/info?x=1"
        """
        host = self._host(headers)
        if host is None:
            return Refusal(403, f"this server answers to {HOST}:{self.port} and localhost:{self.port} only.")
        if not _from_own_page(method, target, headers, f"http://{host}"):
            return Refusal(403, "this server answers its own page only.")
        if not self._has_token(target):
            return Refusal(404, NOTHING)
        return None

    def place(self, target: str) -> str:
        """What follows the token in a target, without its query."""
        return target.partition("?")[0].partition(f"/{self.token}/")[2]

    def _host(self, headers: Message) -> str | None:
        hosts: Sequence[str] = headers.get_all("Host", [])
        own = (f"{HOST}:{self.port}", f"localhost:{self.port}")
        return hosts[0].lower() if len(hosts) == 1 and hosts[0].lower() in own else None

    def _has_token(self, target: str) -> bool:
        first, slash, _ = target.partition("?")[0].removeprefix("/").partition("/")
        same = hmac.compare_digest(first.encode("utf-8", "replace"), self.token.encode("ascii"))
        return same and bool(slash) and target.startswith("/")


def _from_own_page(method: str, target: str, headers: Message, own: str) -> bool:
    """Whether a request comes from the page itself, from an address that was typed, or from no browser.

    What would write has to say that it comes from the page. A link to the page that a person clicks on may be
    anywhere, such as in a notebook: it opens a window that its own page has no hold of.
    """
    origins, site = headers.get_all("Origin", []), headers.get("Sec-Fetch-Site")
    if method == "POST":
        return origins == [own] and site in (None, "same-origin")
    if origins and origins != [own]:
        return False
    if site in (None, "same-origin", "none"):
        return True
    clicked = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    return method == "GET" and all(headers.get(name) == value for name, value in clicked.items()) and _is_page(target)


def _is_page(target: str) -> bool:
    path = target.partition("?")[0]
    return path.count("/") == 2 and path.endswith("/")
