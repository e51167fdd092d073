"""Small drawn pictures, sets made of them, and what the checks know of such a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.gathering import gather
from curate.measuring.embedding import builtin
from curate.measuring.evidence import Evidence, measure
from curate.measuring.properties import PROPERTIES, properties
from curate.sets.arrays import ArrayPictures
from curate.sets.imageset import UNLABELLED, ImageSet, Source
from curate.stage.engine import small_algebra

# A machine that is busy with other work is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

CLASSES = ("lobed", "round", "kidney", "granular")


def _set_of(
    images: np.ndarray | list[np.ndarray],
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    classes: Sequence[str] = CLASSES,
    splits: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
) -> ImageSet:
    pictures = ArrayPictures(images if isinstance(images, list) else [images])
    n = len(pictures)
    return ImageSet(
        pictures,
        np.full(n, UNLABELLED) if labels is None else np.asarray(labels),
        tuple(f"cell {row}" for row in range(n)),
        tuple(classes),
        Source("npz", Path("cells.npz"), members=(("images", "labels"),)),
        splits=tuple(splits) if splits is not None else None,
        groups=groups,
    )


def _evidence_of(
    images: np.ndarray | list[np.ndarray] | ImageSet,
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    seed: int = 0,
    workers: int = 1,
    **known: object,
) -> Evidence:
    image_set = images if isinstance(images, ImageSet) else _set_of(images, labels, **known)
    with small_algebra(len(image_set)):
        return gather(image_set, measure(image_set, builtin(), workers), ScanConfig(seed=seed), workers)


def _seen_as(evidence: Evidence, pictures: Mapping[int, np.ndarray]) -> Evidence:
    values = {name: column.copy() for name, column in evidence.measured.properties.items()}
    for row, picture in pictures.items():
        for name, value in zip(PROPERTIES, properties([picture])[0], strict=True):
            values[name][row] = value
    return replace(evidence, measured=replace(evidence.measured, properties=values))


@pytest.fixture(scope="session")
def set_of() -> Callable[..., ImageSet]:
    """An ImageSet from one or several arrays and labels; splits, groups and classes where they are given."""
    return _set_of


@pytest.fixture(scope="session")
def evidence_of() -> Callable[..., Evidence]:
    """The Evidence of such a set, embedded with the built-in descriptor."""
    return _evidence_of


@pytest.fixture(scope="session")
def seen_as() -> Callable[[Evidence, Mapping[int, np.ndarray]], Evidence]:
    """An Evidence whose properties, and nothing else, are those of other pictures in some rows."""
    return _seen_as


@pytest.fixture(scope="session")
def cells() -> tuple[np.ndarray, np.ndarray]:
    """160 clean cells of four classes, uint8 (160, 96, 96, 3), and their labels; neither can be written to."""
    images, labels = clean_cells(DemoConfig(images=160, classes=len(CLASSES)))
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


@pytest.fixture(scope="session")
def clean(cells: tuple[np.ndarray, np.ndarray]) -> Evidence:
    """What is known of the clean cells."""
    return _evidence_of(*cells)


@pytest.fixture
def rng() -> np.random.Generator:
    """Draws that are the same for every test."""
    return np.random.default_rng(0)
