from __future__ import annotations

from email.message import Message

import pytest

from curate.reviewing.guarding import Guard, new_token

GUARD = Guard(8123, "token-of-the-review")
OWN = "http://127.0.0.1:8123"


def refusal(method: str = "GET", target: str = f"/{GUARD.token}/info", **named: str) -> int | None:
    """The status that a request is refused with, None of one that is let in."""
    headers = Message()
    for name, value in {"Host": "127.0.0.1:8123", **named}.items():
        headers[name.replace("_", "-")] = value
    refused = GUARD.refusal(method, target, headers)
    return refused and refused.status


def test_the_page_itself_is_let_in_and_who_has_its_address():
    assert refusal() is None
    assert refusal(Host="localhost:8123") is None
    assert refusal(Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate") is None
    assert refusal(Sec_Fetch_Site="same-origin", Origin=OWN) is None
    assert refusal("POST", Origin=OWN, Sec_Fetch_Site="same-origin") is None
    assert refusal("POST", Host="localhost:8123", Origin="http://localhost:8123") is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8123.evil.example", "", "[::1]:8123"]
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_refused(host):
    assert refusal(Host=host) == 403


def test_no_host_and_two_hosts_are_refused():
    headers = Message()
    assert GUARD.refusal("GET", f"/{GUARD.token}/", headers).status == 403
    headers["Host"] = "127.0.0.1:8123"
    headers["Host"] = "127.0.0.1:8123"
    assert GUARD.refusal("GET", f"/{GUARD.token}/", headers).status == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8123", "http://localhost:8123"],
)
def test_a_page_of_another_origin_is_refused(origin):
    assert refusal(Origin=origin) == 403
    assert refusal("POST", Origin=origin) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_another_site_is_refused(site):
    assert refusal(Sec_Fetch_Site=site) == 403
    assert refusal("POST", Origin=OWN, Sec_Fetch_Site=site) == 403
    assert refusal(Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image") == 403
    assert refusal(Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe", Sec_Fetch_User="?1") == 403


def test_a_link_to_the_page_may_be_clicked_anywhere_but_to_nothing_else():
    click = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    page = f"/{GUARD.token}/"
    assert refusal("GET", page, **click, Sec_Fetch_User="?1") is None
    assert refusal("GET", page, **click) == 403
    assert refusal("GET", f"{page}original/1", **click, Sec_Fetch_User="?1") == 403
    assert refusal("POST", page, **click, Sec_Fetch_User="?1") == 403


def test_what_would_write_has_to_say_where_it_comes_from():
    assert refusal("POST") == 403
    assert refusal("POST", Sec_Fetch_Site="none") == 403


@pytest.mark.parametrize(
    "target",
    [
        "/", "/info", "/token/info", f"/{GUARD.token[:-1]}/info", f"/{GUARD.token}x/info", f"/{GUARD.token}",
        f"//{GUARD.token}/info", f"/x/../{GUARD.token}/info", f"http://127.0.0.1:8123/{GUARD.token}/info", "*",
        f"/%74{GUARD.token[1:]}/info", f"/?/{GUARD.token}/info", "/tökén/", "",
    ],
)  # fmt: skip
def test_without_the_token_there_is_nothing(target):
    assert refusal(target=target) == 404


def test_the_place_is_what_follows_the_token():
    assert GUARD.place(f"/{GUARD.token}/columns/label?x=/{GUARD.token}/y") == "columns/label"
    assert GUARD.place(f"/{GUARD.token}/") == ""
    assert GUARD.address == f"http://127.0.0.1:8123/{GUARD.token}/"


def test_tokens_are_long_and_differ():
    assert len({new_token() for _ in range(9)}) == 9
    assert len(new_token()) >= 32
