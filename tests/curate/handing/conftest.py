"""A finished scan, made by hand: of an archive whose names are hostile, and of a folder of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from manifests import finish_scan, table_of

from curate.configs import ScanConfig
from curate.findings import Finding, findings_table
from curate.sets.reading import read
from curate.stage.files import write_npy, write_parquet
from curate.stage.manifest import outputs_of

# Names that steer a terminal, are markup or a formula, turn the order of letters about, or flood a line.
CLASSES = ("\x1b[31mred\x1b]0;title\x07", "</b>\"'&amp;{{7*7}}$label\\u003d\n\u202eone", "=" + "x" * 300)
IDS = (
    "=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2", "\x1b[2Jgone\x9b", "a\nb\r\nc\td", "\u2067right\u202eleft\u2028",
    "<script>alert(1)</script>", 'say "hi", \\n', "y" * 300, "../../etc/passwd", "plain.png",
)  # fmt: skip
WHY = 'because \x1b[5m<b>\u202e, "it" is\nso; =2'


def scan_of(
    source: Path, artifacts: Path, findings: Sequence[Finding], splits: object = "", mapped: bool = True
) -> Path:
    """Artifacts as a scan of `source` leaves them, with these findings."""
    images = read(source)
    verdict = ["keep"] * len(images)
    for finding in sorted(findings, key=lambda finding: finding.action, reverse=True):
        if finding.row >= 0:
            verdict[finding.row] = finding.action
    rng = np.random.default_rng(0)
    place = rng.normal(size=(len(images), 2)).astype(np.float32) if mapped else np.full((len(images), 2), np.nan)
    table = table_of(
        images,
        {
            "split": splits,
            "verdict": verdict,
            "x": place[:, 0].astype(np.float32),
            "y": place[:, 1].astype(np.float32),
        },
    )
    folder = artifacts / "scan"
    write_parquet(table, folder / "images.parquet")
    write_parquet(findings_table(findings), folder / "findings.parquet")
    write_npy(rng.normal(size=(len(images), 8)).astype(np.float16), folder / "embeddings.npy")
    paths = {"images": folder / "images.parquet", "findings": folder / "findings.parquet"}
    key = hashlib.blake2b(str(images.ids).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    config = ScanConfig(artifacts=str(artifacts))
    finish_scan(folder, config, source=str(source.resolve()), input_digest=key, outputs=outputs_of(paths))
    return artifacts


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 10, 12, 3), dtype=np.uint8)


@pytest.fixture
def hostile(tmp_path) -> Path:
    """The artifacts of an archive of twelve images; something was found in the first ten, and on the set as a whole."""
    source = tmp_path / "cells.npz"
    labels = np.arange(len(IDS)) % 3
    np.savez(source, images=pixels(len(IDS)), labels=labels, ids=np.array(IDS), class_names=np.array(CLASSES))
    found = [Finding(row, IDS[row], "blurred", 0.61, -1, "review", WHY, 0.5) for row in range(10)]
    found += [
        Finding(1, IDS[1], "label_error", 0.9, -1, "review", "the probe says so", 0.8, suggested=CLASSES[2]),
        Finding(4, IDS[4], "exact_duplicate", 1.0, 3, "drop", "the same as another"),
        Finding(-1, "", "shortcut", 0.7, -1, "review", "brightness tells the class"),
    ]
    return scan_of(
        source, tmp_path / "artifacts", found, splits=[["train", "=val"][row % 2] for row in range(len(IDS))]
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    """The artifacts of a folder of files: a plain JPEG and PNG, a transparent PNG, and one that cannot be decoded."""
    source = tmp_path / "cells"
    for number, name in enumerate(("cat/a.jpg", "cat/b.png", "dog/c.png", "dog/broken.png", "dog/d.png")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        picture = pixels(5)[number]
        if name == "dog/c.png":
            picture = np.dstack([picture, np.full(picture.shape[:2], 128, np.uint8)])
        cv2.imwrite(str(source / name), picture)
    (source / "dog/broken.png").write_bytes(b"\x89PNG no more")
    order = read(source).ids
    found = [
        Finding(order.index("cat/a.jpg"), "cat/a.jpg", "label_error", 0.9, -1, "review", "dog", 0.75, suggested="dog"),
        Finding(order.index("dog/c.png"), "dog/c.png", "dark", 0.8, -1, "review", "dark"),
        Finding(order.index("dog/broken.png"), "dog/broken.png", "unreadable", 1.0, -1, "drop", "no PNG"),
    ]
    return scan_of(source, tmp_path / "artifacts", found)


@pytest.fixture
def scan_made() -> Callable[..., Path]:
    """Makes the artifacts of a scan by hand."""
    return scan_of
