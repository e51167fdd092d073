"""Grain of the sensor and of the light: each picture gets the pattern of its seed, whatever the strength.

Standard deviations are shares of the full range, as in Hendrycks and Dietterich, "Benchmarking neural network
robustness to common corruptions and perturbations", 2019, which the four noises are from.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .colour import as_pixels
from .operation import LOG, Parameter, Pixels, operation

_LEVELS = 1 << 16


@lru_cache
def _quantiles() -> np.ndarray:
    """float32 (65536,): the normal distribution at the middle of each of as many equal shares."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS), np.float32)


def _chances(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(_LEVELS, size=shape, dtype=np.uint16)


def normals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, float32, to 16 bits.

    Looked up by uniform whole numbers: four times as fast as `standard_normal`.
    """
    return _quantiles().take(_chances(rng, shape))


@operation("noise", sd=Parameter(0, 0.4))
def gaussian_noise(image: Pixels, sd: float, seed: int) -> Pixels:
    """Noise that is the same everywhere, as of a poor sensor: `sd` is its spread."""
    grain = normals(np.random.default_rng(seed), image.shape)
    grain *= 255 * sd
    return np.asarray(cv2.add(image, grain, dtype=cv2.CV_8U))


@operation("noise", photons=Parameter(3, 5000, 5000, LOG))
def shot_noise(image: Pixels, photons: float, seed: int) -> Pixels:
    """Every value counted in photons, of which white has `photons`: the fewer there are, the more chance shows."""
    mean = image * np.float32(photons / 255)
    counted = _poisson(mean, _chances(np.random.default_rng(seed), image.shape))
    return as_pixels(counted, 255 / photons)


@operation("noise", amount=Parameter(0, 0.3))
def impulse_noise(image: Pixels, amount: float, seed: int) -> Pixels:
    """Salt and pepper: this share of the values, each channel for itself, becomes 0 or 255."""
    chance = _chances(np.random.default_rng(seed), image.shape)
    half = round(_LEVELS * amount / 2)
    noisy = image.copy()
    noisy[chance < half] = 0
    noisy[chance >= _LEVELS - half] = 255
    return noisy


@operation("noise", sd=Parameter(0, 0.6))
def speckle_noise(image: Pixels, sd: float, seed: int) -> Pixels:
    """Noise in proportion to the light, as of radar and ultrasound: `sd` is its spread where the picture is white."""
    grain = normals(np.random.default_rng(seed), image.shape)
    grain *= sd
    grain += 1
    return np.asarray(cv2.multiply(image, grain, dtype=cv2.CV_8U))


def _poisson(mean: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Poisson quantiles, float32: as many photons as a chance of `chance` / 65536 stands for.

    Quantiles, and not NumPy's draws: equal chances give patterns of the same shape for any mean. Above 4 they come from
    the expansion of Cornish and Fisher, which is a photon off in one value of a hundred, mean and variance to 0.5 %.
    """
    normal = _quantiles().take(chance)
    counted: np.ndarray = np.sqrt(np.maximum(mean - 5 / 36, 0))  # 5/36: the spread that rounding and the squares add
    counted *= normal
    counted += mean
    normal *= normal
    normal -= 1
    normal /= 6
    counted += normal
    np.rint(counted, out=counted)
    rare = mean < 4
    if rare.any():
        counted[rare] = _few(mean[rare], (chance[rare] + np.float32(0.5)) / _LEVELS)
    return counted


def _few(mean: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The same for small means, by adding up the probabilities."""
    counted = np.zeros_like(mean)
    probability = np.exp(-mean)
    reached = probability.copy()
    for photons in range(1, 25):
        more = share > reached
        if not more.any():
            break
        counted += more
        probability *= mean
        probability /= photons
        reached += probability
    return counted
