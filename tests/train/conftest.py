"""A small built set of coloured blobs, in the layout of a real one, that a small model learns in seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from manifests import finish_build, finish_scan

from augment.configs import BuildConfig
from curate.configs import ScanConfig
from curate.findings import SEVERITY, Finding, findings_table
from curate.measuring.hashing import digest
from curate.sets.shards import shard_digest, shard_path, write_shard
from curate.stage.files import write_parquet, write_text
from curate.stage.manifest import file_digest

# A machine that is busy with other work is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SIDE = 32
CLASSES = ("crimson", "jade", "violet")
COLOURS = np.array([[200, 40, 60], [50, 160, 90], [110, 60, 190]], np.float64)
# Sources of each class in each split.
SOURCES = {"train": 12, "val": 6, "test": 8}
COPIES = 2
COMPOSED_COPIES = 3
# Images of a shard, so few that the training set has several.
SHARD = 40
ROLES = {"test": "test", "val": "validation"}
CORRUPTIONS = {"fog": ("weather", "near", "test"), "gaussian_noise": ("noise", "disjoint", "test")}
CORRUPTIONS["speckle_noise"] = ("noise", "disjoint", "val")
SEVERITIES = (1, 3)


def _blob(code: int, rng: np.random.Generator) -> np.ndarray:
    """A round spot in the colour of its class on a light ground, with some grain."""
    y, x = np.mgrid[:SIDE, :SIDE]
    at, radius = rng.uniform(12, 20, 2), rng.uniform(5, 10)
    inside = 1 / (1 + np.exp(np.hypot(y - at[0], x - at[1]) - radius))[..., None]
    picture = rng.uniform(200, 235, 3) * (1 - inside) + (COLOURS[code] + rng.normal(0, 12, 3)) * inside
    return _pixels(picture + rng.normal(0, 4, picture.shape))


def _pixels(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 255).astype(np.uint8)


def _augmented(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turned = np.rot90(picture, int(rng.integers(4)))
    return _pixels(turned * rng.uniform(0.8, 1.15) + rng.normal(0, 8, 3))


def _corrupted(picture: np.ndarray, name: str, severity: int, rng: np.random.Generator) -> np.ndarray:
    if name == "fog":
        return _pixels(picture + (255.0 - picture) * 0.2 * severity)
    noise = rng.normal(0, 12 * severity, picture.shape)
    return _pixels(picture + noise * (picture / 128 if name == "speckle_noise" else 1))


class Blobs:
    """Sources of all splits, and the sets made of them.

    table  one row per source: id, label, split, group;  pictures  uint8 (N, SIDE, SIDE, 3)
    """

    def __init__(self, sources: Mapping[str, Sequence[int]], seed: int) -> None:
        rows = [
            (split, code, k) for split, of in sources.items() for code, count in enumerate(of) for k in range(count)
        ]
        rows = [rows[i] for i in np.random.default_rng([seed, 1]).permutation(len(rows))]
        self.seed = seed
        self.table = pd.DataFrame(
            {
                "id": [f"blob-{row:03d}" for row in range(len(rows))],
                "label": [code for _, code, _ in rows],
                "split": [split for split, _, _ in rows],
                # The first two of each class in each split are pictures of one thing.
                "group": [list(SOURCES).index(split) * 100 + code if k < 2 else -1 for split, code, k in rows],
            }
        )
        self.pictures = np.stack(
            [_blob(code, np.random.default_rng([seed, 2, i])) for i, (_, code, _) in enumerate(rows)]
        )

    def sources(self, split: str) -> list[int]:
        return np.flatnonzero(self.table["split"] == split).tolist()

    def write(
        self,
        folder: Path,
        made: Sequence[tuple[int, int]],
        picture: Callable[[int, int], np.ndarray],
        ops: str = "[]",
        soft: bool = False,
    ) -> int:
        """Write one set of (source, copy) pairs; returns how many images it has."""
        table = self.table.iloc[[row for row, _ in made]]
        copies = [copy for _, copy in made]
        ids = [name + (f"+{copy}" if copy else "") for name, copy in zip(table["id"], copies, strict=True)]
        images = np.stack([picture(row, copy) for row, copy in made])
        labels = table["label"].to_numpy(np.int64)
        if soft:  # every copy as if 0.3 of the next class had been mixed in
            shares = np.eye(len(CLASSES), dtype=np.float32)
            mixed = np.array(copies)[:, None] > 0
            labels = shares[labels] * np.where(mixed, 0.7, 1) + shares[(labels + 1) % len(CLASSES)] * np.where(
                mixed, 0.3, 0
            )
        for number, start in enumerate(range(0, len(made), SHARD)):
            part = slice(start, start + SHARD)
            write_shard(folder, number, images[part], labels[part], ids[part], CLASSES)
        rows = {
            "id": ids,
            "source_id": table["id"].tolist(),
            "source_row": [row for row, _ in made],
            "group": table["group"].tolist(),
            "copy": copies,
            "label": table["label"].tolist(),
            "label_name": [CLASSES[code] for code in table["label"]],
            "ops": [ops if ops != "[]" or not copy else '[{"op":"dihedral","element":1}]' for copy in copies],
            "seed": self.seed,
            "attempt": 0,
            "doubted": False,
        }
        write_parquet(pd.DataFrame(rows), folder / "rows.parquet")
        return len(made)


def _write_scan(artifacts: Path, blobs: Blobs) -> None:
    """artifacts/scan: what a scan says of the sources; every ninth has a blue cast, and every eleventh is blurred."""
    n = len(blobs.table)
    flagged = {"colour_cast": range(0, n, 9), "blurred": range(0, n, 11)}
    table = pd.DataFrame(
        {
            "row": range(n),
            "id": blobs.table["id"],
            "label": blobs.table["label"],
            "label_name": [CLASSES[code] for code in blobs.table["label"]],
            "split": "",
            "digest": [digest(picture) for picture in blobs.pictures],
            "group": blobs.table["group"],
            "verdict": ["review" if row % 9 == 0 or row % 11 == 0 else "keep" for row in range(n)],
            "x": np.zeros(n, np.float32),
            "y": np.zeros(n, np.float32),
        }
        | {f"{name}_score": np.isin(np.arange(n), flagged.get(name, ())).astype(np.float32) * 0.8 for name in SEVERITY}
    )
    findings = [
        Finding(row, blobs.table["id"][row], check, 0.8, -1, "review", f"{check} by 8 of 10")
        for check, rows in flagged.items()
        for row in rows
    ]
    folder = artifacts / "scan"
    write_parquet(table, folder / "images.parquet")
    write_parquet(findings_table(findings), folder / "findings.parquet")
    config = ScanConfig(artifacts=str(artifacts), seed=blobs.seed)
    counts = {"images": n}
    finish_scan(folder, config, source="blobs.npz", input_digest="0", counts=counts)


def _write_benchmark(built: Path, blobs: Blobs) -> list[dict[str, Any]]:
    """built/benchmark; returns the entries of benchmark.json."""
    entries: list[dict[str, Any]] = []
    for number, (name, (family, verdict, split)) in enumerate(CORRUPTIONS.items()):
        for severity in SEVERITIES if blobs.sources(split) else ():

            def picture(
                row: int, copy: int, name: str = name, severity: int = severity, number: int = number
            ) -> np.ndarray:
                return _corrupted(
                    blobs.pictures[row], name, severity, np.random.default_rng([blobs.seed, 4, number, row])
                )

            folder = f"{name}-{severity}"
            made = [(row, 0) for row in blobs.sources(split)]
            count = blobs.write(built / "benchmark" / folder, made, picture, f'[{{"op":"{name}","amount":{severity}}}]')
            entries.append(
                {
                    "name": folder, "role": ROLES[split], "corruption": name, "severity": severity, "family": family,
                    "sets": ["common"], "values": {"amount": severity}, "distance": 0.1 * severity,
                    "verdict": verdict, "because": "the nearest draws of the policy go 48% of the way to it",
                    "images": count,
                }
            )  # fmt: skip
    for split in ("test", "val"):
        if not blobs.sources(split):
            continue
        name = "composed-2" if split == "test" else "composed-2-validation"

        def composed(row: int, copy: int) -> np.ndarray:
            rng = np.random.default_rng([blobs.seed, 5, row, copy])
            foggy = _corrupted(blobs.pictures[row], "fog", int(rng.integers(1, 4)), rng)
            return _corrupted(foggy, "gaussian_noise", int(rng.integers(1, 4)), rng)

        made = [(row, copy) for row in blobs.sources(split) for copy in range(1, 1 + COMPOSED_COPIES)]
        ops = '[{"op":"fog","amount":2},{"op":"gaussian_noise","sd":0.1,"seed":1}]'
        count = blobs.write(built / "benchmark" / name, made, composed, ops)
        entries.append(
            {
                "name": name, "role": ROLES[split], "corruption": name, "composed": 2, "verdict": "near",
                "because": "fog: the nearest draws of the policy go 63% of the way to it", "images": count,
            }
        )  # fmt: skip
    return entries


def _plan(blobs: Blobs, copies: int) -> dict[str, Any]:
    sources = np.bincount(blobs.table.loc[blobs.table["split"] == "train", "label"], minlength=len(CLASSES))
    with np.errstate(divide="ignore"):
        weights = np.where(sources > 0, sources.sum() / (len(CLASSES) * sources), 0.0)
    return {
        "format": 1,
        "policy": {"name": "fake", "about": "Turned and a little lighter or darker.", "digest": "0", "operations": {}},
        "balance": "none",
        "source": "blobs.npz",
        "source_digest": "0",
        "labels": None,
        "size": [SIDE, SIDE],
        "fit": "crop",
        "classes": [
            {"class": name, "sources": int(count), "used": int(count), "copies": int(count * copies),
             "most of one": copies, "images": int(count * (1 + copies)), "effective": int(count),
             "weight": float(weight)}
            for name, count, weight in zip(CLASSES, sources, weights, strict=True)
        ],
        "class_weights": dict(zip(CLASSES, map(float, weights), strict=True)),
        "units": {"sd_l": 4.0, "sd_a": 3.0, "sd_b": 5.0, "side": float(SIDE)},
        "labels_lost": None,
        "notes": [],
    }  # fmt: skip


def _write_built(
    artifacts: Path,
    *,
    sources: Mapping[str, Sequence[int]] | None = None,
    copies: int = COPIES,
    benchmark: bool = True,
    soft: bool = False,
    seed: int = 0,
) -> Path:
    counts = sources or {split: (count,) * len(CLASSES) for split, count in SOURCES.items()}
    blobs = Blobs(counts, seed)
    built = artifacts / "built"
    _write_scan(artifacts, blobs)
    images = {}
    for split in SOURCES:
        of = range(1 + (copies if split == "train" else 0))
        made = [(row, copy) for row in blobs.sources(split) for copy in of]

        def picture(row: int, copy: int) -> np.ndarray:
            rng = np.random.default_rng([seed, 3, row, copy])
            return _augmented(blobs.pictures[row], rng) if copy else blobs.pictures[row]

        images[split] = blobs.write(built / split, made, picture, soft=soft and split == "train") if made else 0
    document = {
        "format": 1,
        "severities": "calibrated",
        "distance": "made up",
        "composed": {"severities": [1, 2, 3], "copies": COMPOSED_COPIES},
        "sets": _write_benchmark(built, blobs) if benchmark else [],
    }
    outputs = {"plan.json": built / "plan.json"}
    write_text(json.dumps(_plan(blobs, copies), indent=2), outputs["plan.json"])
    if benchmark:
        outputs["benchmark.json"] = built / "benchmark.json"
        write_text(json.dumps(document, indent=2), outputs["benchmark.json"])
    finish_build(
        built, BuildConfig(artifacts=str(artifacts), seed=seed), outputs, source="blobs.npz", input_digest="0",
        counts=images, scan_digest=file_digest(artifacts / "scan" / "manifest.json"), sets=_digests(built),
    )  # fmt: skip
    return artifacts


def _digests(built: Path) -> dict[str, dict[str, str]]:
    folders = [path.parent for path in sorted(built.rglob("rows.parquet"))]
    return {
        folder.relative_to(built).as_posix(): {
            path.name: shard_digest(path) for path in sorted(folder.glob("part-*.npz"))
        }
        for folder in folders
    }


@pytest.fixture(scope="session")
def write_built() -> Callable[..., Path]:
    """write_built(artifacts, sources={split: counts per class}, copies=2, benchmark=True, soft=False) -> artifacts."""
    return _write_built


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with scan/ and built/, not to be changed: 3 classes of 32x32 blobs; 36 training pictures of which there
    are two copies each (108 images in 3 shards), 18 of val, 24 of test, and a benchmark of both."""
    return _write_built(tmp_path_factory.mktemp("built") / "artifacts")


@pytest.fixture
def own_built(built: Path, tmp_path: Path) -> Path:
    """A copy of those artifacts, to be tampered with."""
    return shutil.copytree(built, tmp_path / "artifacts")


@pytest.fixture(scope="session")
def blob_classes() -> tuple[str, ...]:
    """Names of the classes of `built`."""
    return CLASSES


@pytest.fixture(scope="session")
def first_shard() -> Callable[[Path], Path]:
    """The first shard of a folder."""
    return lambda folder: shard_path(folder, 0)


@pytest.fixture
def rng() -> np.random.Generator:
    """Draws that are the same for every test."""
    return np.random.default_rng(0)
