"""How far each severity of each corruption is from the clean pictures, at four sizes: the figures of docs/numbers.md.

    python benchmarks/severities.py data.npz

Severities are calibrated on 48 pictures of the set, then measured on 48 others with other noise: strictly rising there
as well is what counts. The published presets follow, at the size that they were published for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cv2
import numpy as np

import curate
from augment.calibration import calibrate, distances_of
from augment.corruptions.corruption import CORRUPTIONS
from augment.corruptions.presets import PRESETS, preset
from augment.features import Features, input_size, load_features
from augment.statistics import lab_spread
from curate.sets.imageset import ImageSet, evenly
from curate.stage.engine import cores

SIDES = (28, 64, 96, 224)
PUBLISHED_FOR = {"imagenet-c": 224, "tiny-imagenet-c": 64, "cifar-c": 32, "medmnist-c-blood": 224}
# Calibrated on the first half, measured on the second.
PICTURES = 96


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    images = curate.read(sys.argv[1])
    for side in SIDES:
        report(images, side)
    for name in PRESETS:
        report_published(images, name, PUBLISHED_FOR[name])


def report(images: ImageSet, side: int) -> None:
    """Print the calibrated severities at one size."""
    pictures, features, units = _pictures_at(images, side)
    notes: list[str] = []
    calibrated = calibrate(pictures[::2], features, seed=0, units=units, say=notes.append)
    levels = next(iter(calibrated.values())).levels
    print(f"\n## {side} px: levels {_decimals(levels)} ({features.describe})\n")
    print("| corruption | settings at 1 and 5 | distances | on other pictures | rising | reached |")
    print("|---|---|---|---|---|---|")
    for name, corruption in calibrated.items():
        mildest, strongest = corruption.settings[0], corruption.settings[-1]
        varying = [key for key in mildest if mildest[key] != strongest[key]]
        ends = ", ".join(f"{key} {mildest[key]:.3g} .. {strongest[key]:.3g}" for key in varying)
        distances = distances_of(pictures[1::2], features, CORRUPTIONS[name], corruption.settings, seed=1, units=units)
        print(
            f"| {name} | {ends} | {_decimals(corruption.distances)} | {_decimals(distances)} "
            f"| {_rising_cell(distances)} | {'yes' if corruption.reached else 'no'} |"
        )
    for note in notes:
        print(f"\n{note}")


def report_published(images: ImageSet, name: str, side: int) -> None:
    """Print the distances of a published preset at the size that it was made for."""
    pictures, features, units = _pictures_at(images, side)
    print(f"\n## {name} as published, {side} px ({features.describe})\n")
    print("| corruption | distances | rising |\n|---|---|---|")
    for corruption, severities in preset(name).items():
        steps = distances_of(pictures, features, severities.corruption(), severities.settings, seed=0, units=units)
        print(f"| {corruption} | {_decimals(steps)} | {_rising_cell(steps)} |")


def _pictures_at(images: ImageSet, side: int) -> tuple[list[np.ndarray], Features, dict[str, float]]:
    """Some pictures, spread over the set, as squares of `side` pixels; the features and the statistics of these."""
    rows = evenly(len(images), PICTURES).tolist()
    pictures = [_square(images.images[row].pixels, side) for row in rows]
    features, note = load_features("auto", None, input_size(side), cores())
    if note:
        print(note, file=sys.stderr)
    return pictures, features, {**lab_spread(pictures), "side": float(side)}


def _square(pixels: np.ndarray, side: int) -> np.ndarray:
    if pixels.shape[:2] == (side, side):
        return pixels
    shrinks = min(pixels.shape[:2]) > side
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _decimals(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _rising_cell(values: Sequence[float]) -> str:
    return "yes" if (np.diff(values) > 0).all() else "**no**"


if __name__ == "__main__":
    main()
