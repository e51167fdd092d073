"""Small scans as they lie on disk, of drawn pictures in files, and clients of a server of its review."""

from __future__ import annotations

import http.client
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from manifests import finish_scan, table_of
from PIL import Image

from curate.configs import ScanConfig
from curate.findings import Finding, findings_table
from curate.likeness import Likeness, looks_of
from curate.reviewing.answers import HTML, Answers, Contents
from curate.reviewing.packs import Packs
from curate.reviewing.pictures import Later, pictures_of
from curate.reviewing.serving import Server
from curate.scans import open_scan
from curate.sets.reading import read
from curate.stage.files import write_npy, write_parquet

CLASSES = ("ant", "bee")


def draw(folder: Path, count: int = 6) -> Path:
    """Files of two classes below a folder: JPEGs of 40 x 30 pixels, each of noise of its own."""
    for row in range(count):
        pixels = np.random.default_rng(row).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = folder / CLASSES[row % 2] / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=95)
    return folder


def scanned(source: Path, artifacts: Path, **options: object) -> Path:
    """Artifacts as a scan of a source leaves them, made by hand: the first two rows await review."""
    images = read(source)
    table = table_of(
        images,
        {
            "verdict": ["review", "review", *["keep"] * (len(images) - 2)],
        },
    )
    findings = findings_table(Finding(row, images.ids[row], "label_error", 0.9, -1, "review", "so") for row in (0, 1))
    folder = artifacts / "scan"
    vectors = np.random.default_rng(0).normal(size=(len(images), 8))
    write_parquet(table, folder / "images.parquet")
    write_parquet(findings, folder / "findings.parquet")
    write_npy((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), folder / "embeddings.npy")
    finish_scan(folder, ScanConfig(artifacts=str(artifacts), **options), source=str(source.resolve()))
    return artifacts


def scanned_for_real(folder: Path) -> Path:
    """Artifacts below a folder, of a scan of twelve files in its set; the first row is made to look wrong."""
    from curate.scanning import scan

    draw(folder / "set", 12)
    shutil.copy(folder / "set/ant/0.jpg", folder / "set/bee/0.jpg")
    artifacts = folder / "artifacts"
    scan(folder / "set", ScanConfig(artifacts=str(artifacts), backbone="builtin", map="none", workers=1))
    return artifacts


def contents() -> Contents:
    """A page, a column and words as a review shows them."""
    return Contents(
        files={"": (HTML, b"<!doctype html><title>Review</title>"), "page.js": ("text/javascript", b"1")},
        info={"rows": 6},
        columns={"label": np.arange(6, dtype=">i4")},
        classes=CLASSES,
        details=lambda rows: [{"row": row} for row in rows],
    )


def answers_of(artifacts: Path) -> Answers:
    """What a review of these artifacts answers."""
    scan = open_scan(artifacts / "scan")
    pictures = pictures_of(scan)
    vectors = np.load(artifacts / "scan" / "embeddings.npy")
    looks = looks_of(scan.roster.digests, scan.table["label"].to_numpy())
    likeness = Later(lambda: Likeness(vectors, looks), "comparing pictures")
    return Answers(scan, contents(), pictures, Packs(pictures, scan.roster.digests, lambda row: None), likeness)


@dataclass
class Client:
    """Sends requests to a server, by default such as its own page sends."""

    server: Server
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.guard.port, timeout=20)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *raised: object) -> None:
        self.connection.close()

    def __call__(
        self, method: str, place: str, body: bytes | None = None, token: str | None = None, **headers: str | None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """(status, body, headers) of the answer. Underscores in names of headers are dashes; None leaves one out."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            own = f"http://127.0.0.1:{self.server.guard.port}"
            named = {"Origin": own, "Content-Type": "application/json", **named}
        target = f"/{self.server.guard.token if token is None else token}/{place}"
        self.connection.request(method, target, body, {k: v for k, v in named.items() if v is not None})
        response = self.connection.getresponse()
        return response.status, response.read(), response.headers

    def json(self, method: str, place: str, document: object = None) -> tuple[int, object]:
        """(status, what the answer's JSON says)."""
        body = None if document is None else json.dumps(document).encode()
        status, data, _ = self(method, place, body)
        return status, json.loads(data)
