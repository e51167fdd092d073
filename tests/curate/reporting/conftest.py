"""A scan made by hand: sixty small pictures, two of them unreadable, and findings of every shape."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.configs import ScanConfig
from curate.findings import Finding, Story, findings_table
from curate.scans import CleaningEffect, Scan
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable

CLASSES = ("cat", "dog & <b>bone</b>", "</script><script>alert(1)</script>")
JOKES, BROKEN, LONG = range(20), (40, 41), 50
KEPT, COPY, NEAR = 21, 22, 23
MEANT, CONFLICTING = 30, 31


class Album:
    """Pictures held in a list; None cannot be read."""

    def __init__(self, pixels: list[np.ndarray | None]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> Picture:
        pixels = self.pixels[row]
        if pixels is None:
            raise Unreadable(f"row {row} is no picture.")
        return Picture(pixels, pixels)


def _pixels() -> list[np.ndarray | None]:
    rng = np.random.default_rng(0)
    pixels: list[np.ndarray | None] = [rng.integers(0, 256, (28, 28, 3), dtype=np.uint8) for _ in range(60)]
    for row in JOKES:
        pixels[row] = np.full((28, 28, 3), (200, 30, 30), np.uint8)
    pixels[COPY], pixels[CONFLICTING] = pixels[KEPT], pixels[MEANT]
    pixels[BROKEN[0]] = pixels[BROKEN[1]] = None
    pixels[LONG] = np.full((300, 200, 3), 90, np.uint8)
    return pixels


def _findings(ids: tuple[str, ...]) -> list[Finding]:
    found = [
        Finding(CONFLICTING, ids[CONFLICTING], "label_conflict", 0.97, 2, "drop", f"the same as row {MEANT}"),
        Finding(MEANT, ids[MEANT], "label_conflict", 0.6, 2, "review", f"the same as row {CONFLICTING}"),
        Finding(COPY, ids[COPY], "exact_duplicate", 1, 1, "drop", f"the same as row {KEPT}"),
        Finding(NEAR, ids[NEAR], "near_duplicate", 0.9, 1, "drop", f"row {KEPT}, turned"),
        Finding(LONG, ids[LONG], "odd_size", 0.8, -1, "review", "300x200 among 28x28"),
        Finding(LONG, ids[LONG], "light", 0.6, -1, "review", "lighter than <i>most</i> & the rest"),
        Finding(-1, "", "shortcut", 0.7, -1, "review", "the background tells the class"),
    ]
    found += [Finding(r, ids[r], "unreadable", 1, -1, "drop", f"row {r} is no picture") for r in BROKEN]
    found += [Finding(r, ids[r], "outlier_group", 1, 0, "drop", "one of 20 identical pictures") for r in JOKES]
    found += [
        Finding(r, ids[r], "label_error", 0.5 + r / 200, -1, "review", f"looks like a dog, {r} %", suggested=CLASSES[1])
        for r in range(52, 60)
    ]
    return found


@pytest.fixture
def scan() -> Scan:
    pixels = _pixels()
    n = len(pixels)
    ids = (*(f"folder/of/pictures/number {row:02}.png" for row in range(n - 1)), "<img src=x>.png")
    labels = np.arange(n) % len(CLASSES)
    found = _findings(ids)
    verdict = ["keep"] * n
    for action in ("review", "drop"):
        for one in found:
            if one.row >= 0 and one.action == action:
                verdict[one.row] = action
    group = np.full(n, -1)
    group[list(JOKES)], group[[KEPT, COPY, NEAR]], group[[MEANT, CONFLICTING]] = 0, 1, 2
    places = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    places[list(BROKEN)] = np.nan
    table = pd.DataFrame(
        {
            "row": range(n),
            "id": ids,
            "label": labels,
            "label_name": [CLASSES[label] for label in labels],
            "split": ["train" if row % 2 else "" for row in range(n)],
            "digest": ["" if p is None else hashlib.sha256(p.tobytes()).hexdigest() for p in pixels],
            "group": group,
            "verdict": verdict,
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )
    balance = pd.DataFrame(
        {
            "name": CLASSES,
            "images": [20, 20, 20],
            "kept": [8, 10, 12],
            "dropped": [9, 8, 7],
            "review": [3, 2, 1],
        }
    )
    return Scan(
        images=ImageSet(Album(pixels), labels, ids, CLASSES, Source("files", Path("/somewhere/pets"))),
        config=ScanConfig(thresholds={"dark": 0.6}),
        table=table,
        findings=findings_table(found),
        pairs=pd.DataFrame(),
        embeddings=np.zeros((n, 4), np.float16),
        stories=(
            Story("outlier_group", 0, tuple(JOKES), "20 identical images <all> over the place.", 2.0),
            Story("shortcut", -1, (-1,), "The background tells the class.", 1.0),
        ),
        balance=balance,
        effect=CleaningEffect(0.861, 0.957, 0.951, 0.962, 31),
        notes=("no split: leaks were not looked for",),
        embedder="builtin",
        embedder_digest="builtin-1",
        timings={"reading": 0.25, "judging": 1.5},
    )
