"""From distances to scores: how far a value lies outside of its kind, 0 fine .. 1 certainly bad."""

from __future__ import annotations

import numpy as np

THRESHOLD = 0.5


def centre_and_scale(values: np.ndarray, floor: float = 1e-6) -> tuple[float, float]:
    """Median and robust standard deviation (1.4826 MAD) of finite values; at least `floor`."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, floor
    centre = float(np.median(finite))
    return centre, max(float(1.4826 * np.median(np.abs(finite - centre))), floor)


def centre_and_upper_scale(values: np.ndarray, floor: float = 1e-6) -> tuple[float, float]:
    """As centre_and_scale, the spread taken of the values above the median alone: the side that is in question."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, floor
    centre = float(np.median(finite))
    above = finite[finite > centre] - centre
    return centre, max(1.4826 * float(np.median(above)) if len(above) else 0.0, floor)


def exceedance(values: np.ndarray, threshold: float) -> np.ndarray:
    """float32: 1 - 2^-(v / threshold): 0 at 0, 0.5 at the threshold, towards 1 beyond. NaN and negatives give 0."""
    ratio = np.nan_to_num(np.maximum(values, 0) / threshold, nan=0.0)
    return (1 - np.exp2(-ratio)).astype(np.float32)
