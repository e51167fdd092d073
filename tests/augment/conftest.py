"""A small drawn set that was scanned, features that are quick to compute, and a set that was built with both."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings
from manifests import finish_scan, images_table

import augment.benchmark
import augment.features
import augment.judging
import augment.preparing
import augment.previewing
from augment.building import Built, build
from augment.configs import BuildConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.features import Features
from augment.making import IDENTITY
from augment.planning import BuildPlan, plan
from augment.preparing import identity, prepare
from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.findings import findings_table
from curate.measuring.hashing import digest
from curate.scanning import scan
from curate.sets.reading import read
from curate.sets.writing import write_clean
from curate.stage.files import write_parquet, write_text
from curate.stage.progress import Silent, Stopwatch

# A machine that is busy with other work is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SIDE = 32
CLASSES = ("lobed", "round", "kidney")
COUNTS = (40, 24, 16)
# Of three families each, so that there are composed tracks of two and of three.
FEW = ("brightness", "jpeg_compression", "stain_deposit", "saturate", "gaussian_blur", "speckle_noise")
# Every second copy is mixed.
MIXED = """
copies = 2
[[pipeline]]
steps = [{op = "dihedral", element = [0, 7]}, {op = "tone_curve", amount = [0.1, 0.4]}]
[[pipeline]]
steps = [{op = "flip_x", p = 0.5}, {op = "mixup", alpha = 0.4}]
"""


def quick_features(
    backbone: str, weights: str | None, side: int, workers: int, say: Callable[[str], None] = lambda line: None
) -> tuple[Features, str]:
    """Colour on a coarse grid and edges on a coarser one: enough to tell drawn cells apart."""

    def embed(batch: np.ndarray) -> np.ndarray:
        found = []
        for picture in batch.astype(np.float32) / 255:
            edges = np.abs(cv2.Laplacian(picture, cv2.CV_32F))
            parts = (cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA) - 0.5, cv2.resize(edges, (4, 4)))
            found.append(np.concatenate([part.ravel() for part in parts]))
        return np.stack(found)

    return Features("quick", "a coarse grid", "quick-1", SIDE, 8 * 8 * 3 + 4 * 4 * 3, embed, workers), ""


def _cells(counts: tuple[int, ...] = COUNTS, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    images, labels = clean_cells(DemoConfig(images=4 * sum(counts), classes=len(counts)))
    rows = np.concatenate([np.flatnonzero(labels == code)[:count] for code, count in enumerate(counts)])
    rows = np.random.default_rng(0).permutation(rows)
    return np.stack([cv2.resize(images[row], (side, side), interpolation=cv2.INTER_AREA) for row in rows]), labels[rows]


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def _scan_by_hand(
    source: Path, artifacts: Path, copies: Sequence[int] | None = None, labels: str | None = None
) -> Path:
    images = read(source, labels=labels)
    n = len(images)
    rows = images_table(
        {
            "row": range(n),
            "id": images.ids,
            "label_name": [images.label_name(row) for row in range(n)],
            "digest": [digest(images.images[row].raw) for row in range(n)],
            "group": np.full(n, -1) if copies is None else np.asarray(copies),
            "verdict": "keep",
        }
    )
    folder = artifacts / "scan"
    write_parquet(rows, folder / "images.parquet")
    write_parquet(findings_table([]), folder / "findings.parquet")
    write_clean(images, np.ones(n, bool), artifacts)
    config = ScanConfig(artifacts=str(artifacts), labels=labels)
    place = str(source.resolve())
    finish_scan(folder, config, source=place)
    return artifacts


def _patched(patch: pytest.MonkeyPatch) -> None:
    for module in (augment.features, augment.preparing, augment.judging, augment.previewing):
        patch.setattr(module, "load_features", quick_features)
    chosen = augment.benchmark.chosen_corruptions

    def few(config: BuildConfig) -> dict:
        return {name: of for name, of in chosen(config).items() if name not in CORRUPTIONS or name in FEW}

    for module in (augment.benchmark, augment.previewing):
        patch.setattr(module, "chosen_corruptions", few)
    for name, number in (("CALIBRATED_ON", 16), ("COMPARED_ON", 8), ("DRAWS", 30)):
        patch.setattr(augment.benchmark, name, number)


@pytest.fixture(scope="module")
def cell() -> np.ndarray:
    """One drawn picture, uint8 (96, 96, 3)."""
    return clean_cells(DemoConfig(images=1))[0][0]


@pytest.fixture(scope="session")
def cells_of() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """(uint8 (N, side, side, 3), int64 (N,)) of so many drawn cells of each class, in an order by chance."""
    return _cells


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """sha256 of every file of a built set but for its manifest, which has times in it."""
    return _digests


@pytest.fixture(scope="session")
def scan_by_hand() -> Callable[..., Path]:
    """Artifacts as a scan of a set leaves them that finds nothing but these groups of copies, in no time."""
    return _scan_by_hand


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few corruptions, few pictures to judge them by, and features that take no time."""
    _patched(monkeypatch)


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.npz, 80 cells of three classes, some of one patient, and the artifacts of its scan."""
    folder = tmp_path_factory.mktemp("scanned")
    images, labels = _cells()
    groups = np.arange(len(labels))
    groups[:12] //= 3
    np.savez(folder / "data.npz", images=images, labels=labels, class_names=np.array(CLASSES), groups=groups)
    scan(folder / "data.npz", ScanConfig(artifacts=str(folder / "artifacts"), backbone="builtin", map="none"))
    return folder


@pytest.fixture
def artifacts(scanned: Path, tmp_path: Path) -> Path:
    """A copy of the artifacts of that scan, to build in."""
    return shutil.copytree(scanned / "artifacts", tmp_path / "artifacts")


@pytest.fixture
def plain(artifacts: Path) -> Callable[..., BuildConfig]:
    """Configurations for these artifacts: no benchmark and no check unless they are asked for."""

    def config(**given: object) -> BuildConfig:
        usual = {"benchmark": (), "check": False, "workers": 1, "policy": "light", "artifacts": str(artifacts)}
        return BuildConfig(**{**usual, **given})

    return config


@pytest.fixture
def prepared(plain: Callable[..., BuildConfig], quick: None, tmp_path: Path) -> Callable[..., tuple[BuildPlan, Path]]:
    """(what is planned, the folder where the job lies in work/) of such a configuration, before the first shard."""

    def made(name: str = "draft", **given: object) -> tuple[BuildPlan, Path]:
        config = plain(**given)
        plans = plan(None, config)
        prepare(plans, config, tmp_path / name, Stopwatch(), Silent())
        write_text(identity(plans, config), tmp_path / name / "work" / IDENTITY)
        return plans, tmp_path / name

    return made


@pytest.fixture(scope="session")
def built(scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A set that was built with everything: mixed copies, checked labels, a benchmark with composed tracks."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(scanned / "artifacts", folder / "artifacts")
    (folder / "mixed.toml").write_text(MIXED)
    config = BuildConfig(
        policy=str(folder / "mixed.toml"), benchmark_images=5, artifacts=str(folder / "artifacts"), workers=1
    )
    with pytest.MonkeyPatch.context() as patch:
        _patched(patch)
        return build(None, config)
