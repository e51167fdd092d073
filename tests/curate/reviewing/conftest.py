"""A small scan, and a client of the server that reviews it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reviewed import Client, answers_of, draw, scanned

from curate.reviewing.serving import Server


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A scan of six files."""
    return scanned(draw(tmp_path / "set"), tmp_path / "artifacts")


@pytest.fixture
def client(artifacts: Path) -> Iterator[Client]:
    """A client of the review of the small scan."""
    server = Server(answers_of(artifacts))
    with Client(server) as client:
        yield client
    server.close()
