import socket
import time
import urllib.request
from pathlib import Path
from threading import Thread

import pytest

from curate.measuring import choosing
from curate.measuring.choosing import (
    PACKED_BACKBONE,
    SMALL_BACKBONE,
    STRONG_BACKBONE,
    automatic,
    cache_state,
    on_gpu,
    second,
)

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A machine without weights, without GPU and without a network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(urllib.request, "_opener", None)  # which remembers the proxies that it met first


def cached(home: Path) -> None:
    (home / "models").mkdir()
    (home / "models" / WEIGHTS).write_bytes(b"weights")


def test_a_gpu_can_be_hidden_as_usual(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert not on_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not on_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert on_gpu()


def test_without_a_network_it_is_the_backbone_that_was_installed_with_us():
    assert automatic() == (PACKED_BACKBONE,)


def test_where_its_weights_are_it_is_the_small_one_and_nobody_is_asked(tmp_path, monkeypatch):
    cached(tmp_path)
    monkeypatch.setattr(choosing, "_hub_answers", lambda: pytest.fail("the hub was asked"))
    assert automatic() == (SMALL_BACKBONE, PACKED_BACKBONE)


def test_weights_that_are_given_are_those_of_the_small_one(monkeypatch):
    monkeypatch.setattr(choosing, "_hub_answers", lambda: pytest.fail("the hub was asked"))
    assert automatic("mine.weights.h5") == (SMALL_BACKBONE, PACKED_BACKBONE)


def test_where_the_hub_answers_the_small_one_is_fetched(monkeypatch):
    monkeypatch.setattr(choosing, "_hub_answers", lambda: True)
    assert automatic() == (SMALL_BACKBONE, PACKED_BACKBONE)


def test_on_a_gpu_it_is_the_strong_one(monkeypatch):
    monkeypatch.setattr(choosing, "on_gpu", lambda: True)
    assert automatic() == (STRONG_BACKBONE, PACKED_BACKBONE)


def test_beside_the_small_one_a_second_may_look(monkeypatch):
    assert second(SMALL_BACKBONE, None) == PACKED_BACKBONE
    assert second(SMALL_BACKBONE, "mine.weights.h5") == second(PACKED_BACKBONE, None) == second("builtin", None) == ""
    monkeypatch.setattr(choosing, "has_weights", lambda name: False)
    assert second(SMALL_BACKBONE, None) == ""


def test_a_hub_that_says_nothing_counts_as_none(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the call and never answers
        monkeypatch.setattr(choosing, "_HUB", f"http://127.0.0.1:{server.getsockname()[1]}/")
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.delenv(name)
        begin = time.monotonic()
        assert not choosing._hub_answers(0.2)
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize("answer", [b"HTTP/1.0 404 Not Found\r\n\r\n", b"nothing of the kind\r\n\r\n", b""])
def test_an_answer_that_is_not_the_file_counts_as_none(monkeypatch, answer):
    assert not answered(monkeypatch, answer)


def test_an_answer_that_has_the_file_counts(monkeypatch):
    assert answered(monkeypatch, b"HTTP/1.0 200 OK\r\n\r\n")


def answered(monkeypatch, answer: bytes) -> bool:
    """Whether a hub that gives this answer is taken to have the file."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        monkeypatch.setattr(choosing, "_HUB", f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread = Thread(target=serve)
        thread.start()
        found = choosing._hub_answers(20)
        thread.join()
    return found


def test_the_state_of_the_cache_is_that_of_its_files(tmp_path):
    before = cache_state()
    assert cache_state() == before
    cached(tmp_path)
    assert cache_state() != before
