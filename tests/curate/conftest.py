"""Small drawn pictures, sets made of them, and what the checks know of such a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from curate.configs import ScanConfig
from curate.demo import DemoConfig, clean_cells
from curate.gathering import gather
from curate.measuring.embedding import builtin
from curate.measuring.evidence import Evidence, measure
from curate.measuring.properties import PROPERTIES, properties
from curate.planting import Cast, PlantConfig, Planted, plant
from curate.sets.arrays import ArrayPictures
from curate.sets.imageset import UNLABELLED, ImageSet, Source
from curate.stage.engine import small_algebra

# A machine that is busy with other work is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

FAULTS = PlantConfig(
    intruder=(0.08,), exact=0.02, near=0.05, conflict=0.03, label=0.03,
    blur=0.02, dark=0.02, light=0.02, grey=0.02, solid=0.02, casts=(Cast("blue", "strong", 0.03),),
)  # fmt: skip
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


@pytest.fixture(scope="session")
def planted(cells: tuple[np.ndarray, np.ndarray]) -> Planted:
    """The cells with every kind of fault among them, and the truth."""
    return plant(cells[0][:120], cells[1][:120], FAULTS)


def _scene(seed: int, height: int = 150, width: int = 200) -> np.ndarray:
    rng = np.random.default_rng([seed, 7])
    picture = np.full((height, width, 3), rng.integers(90, 170, 3), np.uint8)
    for _ in range(70):
        centre = rng.integers(0, (width, height)).tolist()
        axes = rng.integers(3, 22, 2).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def _warped(picture: np.ndarray, degrees: float = 0, zoom: float = 1, shear: float = 0, border: int = 0) -> np.ndarray:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    turn[0, 1] += shear
    turn[0, 2] -= shear * height / 2
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3)


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """A picture rich in detail, uint8 (150, 200, 3) or of another size, different for every seed."""
    return _scene


@pytest.fixture(scope="session")
def warped() -> Callable[..., np.ndarray]:
    """A picture turned, enlarged and sheared about its centre, what is missing filled with one grey level."""
    return _warped


@pytest.fixture
def rng() -> np.random.Generator:
    """Draws that are the same for every test."""
    return np.random.default_rng(0)
