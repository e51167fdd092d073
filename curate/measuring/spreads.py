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
