"""The built-in descriptor: colour, texture and gradients, for machines that have no weights."""

from __future__ import annotations

import cv2
import numpy as np

LENGTH = 456
SIDE = 96
GRID = 4
_ORIENTATIONS = 8


def describe(picture: np.ndarray) -> np.ndarray:
    """float32 (456,): statistics of one uint8 (S, S, 3) picture.

    Mean and spread of CIELAB on a 4x4 grid (96), histograms of L*, a*, b* (48), gradient orientations on the grid at
    two scales (256) and over the picture (8), at three scales local binary patterns (30), contrast (9) and quantiles of
    lightness (9). Histograms enter by their square root (Hellinger), so that Euclidean distance compares them fairly.
    """
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / 100
    grey = lab[..., 0]
    cells = lab.reshape(GRID, SIDE // GRID, GRID, SIDE // GRID, 3)
    parts = [cells.mean(axis=(1, 3)).ravel(), 2 * cells.std(axis=(1, 3)).ravel()]
    for channel, (low, high) in enumerate(((0, 1), (-1, 1), (-1, 1))):
        parts.append(np.sqrt(np.histogram(lab[..., channel], bins=16, range=(low, high))[0] / grey.size))
    coarse = cv2.GaussianBlur(grey, (0, 0), 2)
    for level in (grey, coarse):
        parts.append(np.sqrt(_gradients(level)).ravel() / GRID)
    parts.append(np.sqrt(_gradients(coarse).mean(axis=0)))
    for sigma in (0.0, 1.5, 3.0):
        level = cv2.GaussianBlur(grey, (0, 0), sigma) if sigma else grey
        parts.append(np.sqrt(_binary_patterns(level)))
        parts.append(
            np.array([level.std(), np.abs(np.diff(level, axis=0)).mean(), np.abs(np.diff(level, axis=1)).mean()]) * 2
        )
        parts.append(np.quantile(level, (0.05, 0.5, 0.95)))
    return np.concatenate(parts).astype(np.float32)


def _gradients(grey: np.ndarray) -> np.ndarray:
    """(GRID², 8): share of each gradient orientation in each cell, weighted by its strength."""
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength, angle = cv2.cartToPolar(dx, dy)
    sector = np.minimum((angle * (_ORIENTATIONS / (2 * np.pi))).astype(np.int64), _ORIENTATIONS - 1)
    row = np.arange(SIDE) // (SIDE // GRID)
    cell = row[:, None] * GRID + row[None, :]
    counts = np.bincount((cell * _ORIENTATIONS + sector).ravel(), strength.ravel(), GRID * GRID * _ORIENTATIONS)
    by_cell = counts.reshape(GRID * GRID, _ORIENTATIONS)
    return np.asarray(by_cell / (by_cell.sum(axis=1, keepdims=True) + 1e-3))


def _binary_patterns(grey: np.ndarray) -> np.ndarray:
    """(10,): histogram of the uniform rotation-invariant local binary patterns (Ojala et al. 2002) of 8 neighbours."""
    inner = grey[1:-1, 1:-1]
    ring = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    h, w = grey.shape
    bits = np.stack([grey[1 + y : h - 1 + y, 1 + x : w - 1 + x] >= inner for y, x in ring]).astype(np.int8)
    changes = np.abs(np.diff(bits, axis=0, append=bits[:1])).sum(axis=0)
    pattern = np.where(changes <= 2, bits.sum(axis=0), 9)
    return np.bincount(pattern.ravel(), minlength=10) / inner.size
