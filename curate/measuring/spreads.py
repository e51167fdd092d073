"""Where the values of a set lie, and how far they spread, whatever a few outliers do."""

from __future__ import annotations

import numpy as np


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
