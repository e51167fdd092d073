"""From distances to scores: how far a value lies outside of its kind, 0 fine .. 1 certainly bad."""

from __future__ import annotations

import numpy as np


def exceedance(values: np.ndarray, threshold: float) -> np.ndarray:
    """float32: 1 - 2^-(v / threshold): 0 at 0, 0.5 at the threshold, towards 1 beyond. NaN and negatives give 0."""
    ratio = np.nan_to_num(np.maximum(values, 0) / threshold, nan=0.0)
    return np.asarray((1 - np.exp2(-ratio)).astype(np.float32))
