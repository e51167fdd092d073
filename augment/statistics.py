"""What a set is like, where augmentation depends on it: how its stains vary, and whether size tells its classes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from curate.sets.imageset import evenly

from .operations.operation import Pixels

_LOOKED_AT = 512
# Where all pictures are of one colour, a shift by a spread is still one that can be seen, barely.
_LEAST = 1.0


def lab(image: Pixels) -> np.ndarray:
    """CIELAB, float32 (H, W, 3): L* 0..100, a* and b* about -100..100, of an sRGB picture."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB))


def lab_spread(pictures: Sequence[Pixels] | np.ndarray) -> dict[str, float]:
    """How far pictures differ from each other in colour: the standard deviations of their mean L*, a* and b*.

    {"sd_l", "sd_a", "sd_b"}, each at least 1, over at most 512 pictures (uint8 (H, W, 3)), evenly chosen.
    """
    rows = evenly(len(pictures), _LOOKED_AT).tolist()
    means = np.array([cv2.mean(lab(pictures[row]))[:3] for row in rows]).reshape(-1, 3)
    spread = means.std(axis=0) if len(means) else np.zeros(3)
    return dict(zip(("sd_l", "sd_a", "sd_b"), np.maximum(spread, _LEAST).tolist(), strict=True))


def object_size(image: Pixels) -> float:
    """The share of a picture, 0..1, that is not background: what lies far in colour from its border.

    Distances to the median colour of the border, in CIELAB and slightly blurred, are parted by Otsu's threshold.
    """
    values = lab(cv2.GaussianBlur(image, (0, 0), max(0.5, min(image.shape[:2]) / 64)))
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    away = np.linalg.norm(values - np.median(border, axis=0), axis=2)
    scaled = np.clip(np.rint(away * 2), 0, 255).astype(np.uint8)
    _, mask = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(mask.mean())


def size_tells_classes(sizes: np.ndarray | Sequence[float], labels: np.ndarray | Sequence[int]) -> float:
    """How much of the variance of log size lies between the classes: the correlation ratio eta², 0..1.

    0 where there is nothing to tell: fewer than two classes, or all sizes equal. Labels below 0 do not count.
    """
    codes = np.asarray(labels)
    labelled = codes >= 0
    logs, codes = np.log(np.maximum(np.asarray(sizes, np.float64)[labelled], 1e-6)), codes[labelled]
    total = ((logs - logs.mean()) ** 2).sum() if len(logs) else 0.0
    if total <= 1e-12:
        return 0.0
    groups = [logs[codes == label] for label in np.unique(codes)]
    return float(sum(len(group) * (group.mean() - logs.mean()) ** 2 for group in groups) / total)
