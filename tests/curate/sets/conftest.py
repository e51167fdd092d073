"""What tests of reading and writing sets begin with: six pictures, ways to save and to look at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.sets.imageset import ImageSet


def _saved(folder: Path, **arrays: object) -> Path:
    path = folder / "d.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _files(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (i, 40, 90)).save(path)
    return folder


@pytest.fixture
def pets() -> np.ndarray:
    """Six 8x10 RGB images, no two alike."""
    return np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def saved() -> Callable[..., Path]:
    """saved(folder, **arrays) -> folder/d.npz with these arrays."""
    return _saved


@pytest.fixture(scope="session")
def files() -> Callable[..., Path]:
    """files(folder, *names) -> folder, with small PNG or JPEG files of those names, each of another grey."""
    return _files


@pytest.fixture(scope="session")
def pixels() -> Callable[[ImageSet], np.ndarray]:
    """The pixels of all pictures of a set, stacked."""
    return lambda images: np.stack([images.images[row].pixels for row in range(len(images))])


@pytest.fixture(scope="session")
def by_id() -> Callable[[ImageSet], dict[str, str]]:
    """The name of each picture's label by its id."""
    return lambda images: {id: images.label_name(row) for row, id in enumerate(images.ids)}
