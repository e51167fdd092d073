"""From distances to scores: how far a value lies outside of its kind, 0 fine .. 1 certainly bad."""

from __future__ import annotations

import numpy as np


def exceedance(values: np.ndarray, threshold: float) -> np.ndarray:
    """float32: 1 - 2^-(v / threshold): 0 at 0, 0.5 at the threshold, towards 1 beyond. NaN and negatives give 0."""
    ratio = np.nan_to_num(np.maximum(values, 0) / threshold, nan=0.0)
    return np.asarray((1 - np.exp2(-ratio)).astype(np.float32))


def score_of_odds(odds: np.ndarray) -> np.ndarray:
    """float32: of log odds, 0.5 where both are as likely; 0.75 at odds of 150 to 1. It grows for as long as they do.

    Minus infinity and NaN give 0.
    """
    limited = np.nan_to_num(odds, nan=0.0, neginf=0.0, posinf=1e9)
    score = 0.5 + 0.5 * limited / (np.abs(limited) + 5)
    return np.where(np.isnan(odds) | np.isneginf(odds), 0, score).astype(np.float32)


def chance_of_odds(odds: np.ndarray) -> np.ndarray:
    """float32: the probability that log odds mean."""
    return np.asarray((1 / (1 + np.exp(-np.clip(odds, -80, 80)))).astype(np.float32))
