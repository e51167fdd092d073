"""Grain, filters, clouds, bands: what a camera or chance lays over or takes from the fine structure.

Noise that only varies training data is cut from a pool that is drawn once a process and always the same; what a
benchmark measures (`sensor_noise`) is drawn anew for each picture.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from .colour import as_pixels
from .light import lit
from .operation import LOG, Parameter, Pixels, operation

_POOL = 1 << 20
_SKY = 512
# Bands of the spectrum that are amplified each by itself, evenly spaced on a logarithmic scale of frequencies.
_BANDS = 8


@lru_cache(maxsize=1)
def _pool() -> np.ndarray:
    """Standard normal noise, float32 (_POOL,), always the same."""
    noise = np.random.default_rng(0).standard_normal(_POOL, np.float32)
    noise.flags.writeable = False
    return noise


@lru_cache(maxsize=1)
def _sky() -> np.ndarray:
    """Plasma: noise whose amplitudes fall with frequency to the power of 1.7, float32 (_SKY, _SKY), sd 1, periodic."""
    noise = np.fft.rfft2(np.random.default_rng(1).standard_normal((_SKY, _SKY)))
    across, down = np.fft.rfftfreq(_SKY), np.fft.fftfreq(_SKY)
    frequency = np.hypot(across[None], down[:, None])
    frequency[0, 0] = np.inf  # no mean
    clouds = np.fft.irfft2(noise / frequency**1.7).astype(np.float32)
    clouds /= clouds.std()
    clouds.flags.writeable = False
    return clouds


def pooled_noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise, float32 of that shape, from anywhere in the pool; not to be written to."""
    n = math.prod(shape)
    pool = _pool()
    if 2 * n > len(pool):
        pool = np.tile(pool, 1 + math.ceil(2 * n / len(pool)))
    start = int(rng.integers(len(pool) - n))
    return pool[start : start + n].reshape(shape)


@operation("texture", amount=Parameter(0, 0.15), size=Parameter(0.008, 0.06, neutral=0.015, scale=LOG, unit="side"))
def grain(image: Pixels, amount: float, size: float, seed: int) -> Pixels:
    """Grey grain like that of film: normal noise of sd `amount` (in 0..1) in grains of `size` pixels, at least one."""
    height, width = image.shape[:2]
    size = max(1.0, size)
    grains = (math.ceil(height / size), math.ceil(width / size))
    field = pooled_noise(grains, np.random.default_rng(seed)) * np.float32(255 * amount)
    if size > 1:
        field = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(cv2.add(image, cv2.cvtColor(field, cv2.COLOR_GRAY2RGB), dtype=cv2.CV_8U))


_WINDOW = 3


@operation("texture", size=Parameter(0, 0.08, unit="side"))
def median(image: Pixels, size: float) -> Pixels:
    """Each value the median of its neighbours in a square of `size` pixels: specks and fine detail go.

    Of larger squares the median is taken among nine parts of them: OpenCV's own takes 20 times as long.
    """
    height, width = image.shape[:2]
    if size < _WINDOW:
        return np.asarray(cv2.addWeighted(cv2.medianBlur(image, _WINDOW), size / _WINDOW, image, 1 - size / _WINDOW, 0))
    parts = (max(1, round(width * _WINDOW / size)), max(1, round(height * _WINDOW / size)))
    smooth = cv2.medianBlur(cv2.resize(image, parts, interpolation=cv2.INTER_AREA), _WINDOW)
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC))


@operation("texture", amount=Parameter(0, 1))
def random_filter(image: Pixels, amount: float, seed: int) -> Pixels:
    """Under a random filter of 3x3 or 5x5, one for all channels, blended in by `amount`; even areas stay as they are.

    Source: RandConv, Xu et al., 2021.
    """
    rng = np.random.default_rng(seed)
    side = 3 if rng.random() < 0.5 else 5
    weights = rng.standard_normal((side, side)) / side
    kernel = amount * (weights - weights.mean() + 1 / side**2)
    kernel[side // 2, side // 2] += 1 - amount
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


@operation("texture", amount=Parameter(0, 0.5))
def cloud(image: Pixels, amount: float, seed: int) -> Pixels:
    """Smooth clouds of chance, coloured: times 1 ± `amount`, or plus ± `amount` / 2 (in 0..1)."""
    height, width = image.shape[:2]
    size, x, y, *colours, sign, added = np.random.default_rng(seed).random(8).tolist()
    side = int(_SKY / 8 * 4**size)
    left, top = int(x * (_SKY - side)), int(y * (_SKY - side))
    sky = _sky()[top : top + side, left : left + side]
    field = cv2.resize(sky, (width, height), interpolation=cv2.INTER_LINEAR)
    low, high, _, _ = cv2.minMaxLoc(field)
    # The field from -1 to 1, in each channel as much of it as chance will have.
    reach = (1 if sign < 0.5 else -1) * amount * (127.5 if added < 0.5 else 1) * 2 / ((high - low) or 1)  # of one pixel
    gains = [reach * (0.4 + 0.6 * colour) for colour in colours]
    neutral, lay = (0, cv2.add) if added < 0.5 else (1, cv2.multiply)
    coloured = np.column_stack([np.diag(gains), neutral - np.array(gains) * (high + low) / 2])
    laid = cv2.transform(cv2.cvtColor(field, cv2.COLOR_GRAY2RGB), coloured)
    return np.asarray(lay(image, laid, dtype=cv2.CV_8U))


@operation("texture", amount=Parameter(0, 0.12))
def banding(image: Pixels, amount: float, seed: int) -> Pixels:
    """The stripes of a bad sensor: each row, or each column, times a gain of its own, of sd `amount`."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        gain = np.repeat(rng.standard_normal((height, 1), np.float32), width, axis=1)
    else:
        gain = np.repeat(rng.standard_normal((1, width), np.float32), height, axis=0)
    return lit(image, 1 + np.float32(amount) * gain)


@operation("noise", photons=Parameter(15, 1e6, neutral=1e6, scale=LOG), read=Parameter(0, 0.06))
def sensor_noise(image: Pixels, photons: float, read: float, seed: int) -> Pixels:
    """A camera's noise: that of the light, white being `photons` of it, and of reading it out, sd `read` (in 0..1)."""
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    levels = np.arange(256, dtype=np.float32)
    spread = np.sqrt(255 / photons * levels + (255 * read) ** 2)
    return np.asarray(cv2.add(image, noise * cv2.LUT(image, spread), dtype=cv2.CV_8U))


@operation("digital", scale=Parameter(0.3, 1, neutral=1, scale=LOG))
def resample(image: Pixels, scale: float) -> Pixels:
    """Made smaller, to `scale` of its sides, and as large as before again: fine detail is lost."""
    height, width = image.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    smaller = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(smaller, (width, height), interpolation=cv2.INTER_CUBIC))


@operation("texture", amount=Parameter(0, 0.5))
def spectrum(image: Pixels, amount: float, seed: int) -> Pixels:
    """Amplitudes of the Fourier spectrum times a random smooth function of frequency; phases and mean colour stay.

    amount  sd of the logarithm of that function
    Source: the idea of FACT, Xu et al., 2021: amplitude is style, phase is content.
    """
    height, width = image.shape[:2]
    logs = amount * np.random.default_rng(seed).standard_normal(_BANDS)
    gain = np.exp(np.interp(_octaves(height, width), np.linspace(0, 1, _BANDS), logs)).astype(np.float32)
    gain[0, 0] = 1
    waves = np.fft.rfft2(image.astype(np.float32), axes=(0, 1)) * gain[..., None]
    return as_pixels(np.ascontiguousarray(np.fft.irfft2(waves, s=(height, width), axes=(0, 1)), np.float32))


@lru_cache(maxsize=64)
def _octaves(height: int, width: int) -> np.ndarray:
    """Where each frequency of an rfft2 lies between the lowest and the highest, 0..1, on a logarithmic scale."""
    frequency = np.hypot(np.fft.rfftfreq(width)[None], np.fft.fftfreq(height)[:, None])
    frequency[0, 0] = 1 / max(height, width)
    lowest = 1 / max(height, width)
    return np.asarray(np.log(frequency / lowest) / math.log(0.75 / lowest))
