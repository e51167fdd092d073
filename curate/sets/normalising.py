"""Floats that were brought to a mean and a deviation, as PyTorch's transforms do: told by their levels, and undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..stage.engine import chunks
from ..stage.shortness import short_repr
from .imageset import evenly
from .scaling import Scale

_LOOKED_AT = 64  # pictures whose values are held against levels
_PIXELS = 4096  # of each
_PIECE = 256  # pictures whose extremes are taken at once
# Of the values that must lie on levels. A few may be of pictures that were resized afterwards, or of padding.
_ON_LEVELS = 0.98
# Of a level, that a value may lie beside it; by chance 4 in 100 lie so near.
_BESIDE = 0.02
_FEWEST_LEVELS = 16  # that occur: of fewer, anything lies on some levels by chance
# Share of a known range that a set must fill, at the mean of its channels, to be taken for one of it where its values
# lie on no levels, as after resizing floats: photographs fill 0.96 and more, stained cells 0.75.
_FILLED = 0.6
_BEYOND = 0.02  # of a range, by which values may overshoot it
_TAIL = 0.001  # of the values at each end, which may lie anywhere
_FARTHEST = 32  # deviations from the mean: beyond, values are of a unit of their own


@dataclass(frozen=True)
class Normalisation:
    """(value / 255 - mean) / deviation, a mean and a deviation for each channel.

    name  of the set whose they are
    """

    name: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    __repr__ = short_repr

    @property
    def scale(self) -> Scale:
        """What undoes it."""
        lows = [-mean / deviation for mean, deviation in zip(self.mean, self.deviation, strict=True)]
        highs = [(1 - mean) / deviation for mean, deviation in zip(self.mean, self.deviation, strict=True)]
        return Scale.of_channels(lows, highs, self.name)


# What transforms of PyTorch, timm and CLIP are written with.
KNOWN = (
    Normalisation("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Normalisation("CLIP", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    Normalisation("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    Normalisation("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201)),
    Normalisation("CIFAR-100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    Normalisation("CIFAR-100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    Normalisation("SVHN", (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)),
    Normalisation("MNIST", (0.1307,), (0.3081,)),
    Normalisation("Fashion-MNIST", (0.286,), (0.353,)),
)
_HALF = Scale(-1, 1)  # a mean and a deviation of 0.5, which is a range by itself


def undoing(arrays: Sequence[np.ndarray], axes: Sequence[int | None]) -> Scale | None:
    """The scale that undoes how all of some arrays of floats were normalised; None where that cannot be told.

    axes  of the channels within one picture of each array, None for (H, W)

    Values of 8 bits lie on 256 even levels, however they were shifted and stretched: which mean and deviation it was
    is told by those. Where the known ones do not fit, each channel is read by levels of its own; where these are
    fewer than 256, the lightest of a light set is taken for white, the darkest of a dark one for black. Where there are
    no levels at all, because pictures were resized or augmented as floats, a known range that the set fills and keeps
    to is taken.
    """
    parts = [(array, axis) for array, axis in zip(arrays, axes, strict=True) if len(array)]
    counts = {1 if axis is None else array.shape[1 + axis] for array, axis in parts}
    if len(counts) != 1 or not counts <= {1, 3}:
        return None
    sample = np.concatenate([_some_pixels(array, axis) for array, axis in parts])
    precision = max(float(np.finfo(array.dtype).eps) for array, _ in parts)
    if not len(sample) or sample.min() >= 0 or np.quantile(np.abs(sample), 1 - _TAIL) > _FARTHEST:
        return None
    if _lie_on_levels(sample, _HALF, precision):
        return None
    scales = [entry.scale for entry in KNOWN if len(entry.mean) == sample.shape[1]]
    for scale in scales:
        if _lie_on_levels(sample, scale, precision):
            return scale
    lows, highs = _extremes(parts)
    within = lows.min() >= -0.5 and highs.max() <= 1.5  # 0 to 1, and a little beyond it
    own = None if within else _own_levels(sample, lows, highs)
    if own is not None and _lie_on_levels(sample, own, precision):
        return own
    filled = [(_filled(sample, scale), at) for at, scale in enumerate(scales)]
    share, at = max(filled, default=(0.0, 0), key=lambda entry: entry[0])
    several = all(len(np.unique(values)) >= _FEWEST_LEVELS for values in sample.T)
    return scales[at] if several and share >= _FILLED else None


def _some_pixels(array: np.ndarray, axis: int | None) -> np.ndarray:
    """float64 (M, C): finite pixels of some pictures, spread evenly."""
    pieces = []
    for row in evenly(len(array), _LOOKED_AT).tolist():
        values = _channels(array[row : row + 1], axis)
        pieces.append(values[evenly(len(values), _PIXELS)])
    pixels = np.concatenate(pieces)
    return np.asarray(pixels[np.isfinite(pixels).all(axis=1)])


def _channels(pictures: np.ndarray, axis: int | None) -> np.ndarray:
    """float64 (M, C): the values of the pixels of some pictures."""
    last = pictures[..., None] if axis is None else np.moveaxis(pictures, 1 + axis, -1)
    return np.asarray(last.reshape(-1, last.shape[-1]), np.float64)


def _lie_on_levels(sample: np.ndarray, scale: Scale, precision: float) -> bool:
    """Whether values (M, C) lie where a scale has the 256 levels of 8 bits.

    precision  of the numbers that they were kept as: half ones near 2 are 0.06 of a level apart
    """
    lows, highs = np.array(scale.lows or scale.low), np.array(scale.highs or scale.high)
    levels = (sample - lows) * 255 / (highs - lows)
    nearest = np.rint(levels)
    rounding = 255 / (highs - lows) * np.abs(sample) * precision
    near = (np.abs(levels - nearest) <= np.maximum(_BESIDE, rounding)) & (nearest >= 0) & (nearest <= 255)
    several = min(len(np.unique(nearest[:, c])) for c in range(sample.shape[1])) >= _FEWEST_LEVELS
    return bool(several and near.mean(axis=0).min() >= _ON_LEVELS)


def _own_levels(sample: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> Scale | None:
    """The scale by the distance of neighbouring levels in values (M, C) that run from `lows` to `highs`, (C,)."""
    spans = highs - lows
    gaps = [np.diff(np.unique(values)) for values in sample.T]
    # Below a thousandth of what there is, two roundings of one level.
    gaps = [gap[gap > span / 1000] for gap, span in zip(gaps, spans, strict=True)]
    if not all(map(len, gaps)):
        return None
    steps = np.array([np.median(gap) for gap in gaps])
    if steps.max() < 1.01 * steps.min():  # one mean and deviation for all channels
        steps, lows, highs = (
            np.full_like(steps, steps.mean()),
            np.full_like(lows, lows.min()),
            np.full_like(highs, highs.max()),
        )
    levels = np.minimum(np.rint((highs - lows) / steps), 255)
    missing = (255 - levels) * (highs - lows) / levels
    light = sample.mean(axis=0) > (lows + highs) / 2
    return Scale.of_channels(lows - missing * light, highs + missing * ~light, "")


def _extremes(parts: Sequence[tuple[np.ndarray, int | None]]) -> tuple[np.ndarray, np.ndarray]:
    """(the least, the greatest) finite value of each channel, float64 (C,)."""
    lows, highs = [], []
    for array, axis in parts:
        for rows in chunks(len(array), _PIECE):
            values = _channels(array[rows.start : rows.stop], axis)
            finite = np.isfinite(values)
            lows.append(np.where(finite, values, np.inf).min(axis=0))
            highs.append(np.where(finite, values, -np.inf).max(axis=0))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _filled(sample: np.ndarray, scale: Scale) -> float:
    """The share of a range that values (M, C) fill, at the mean of the channels; 0 where they leave it."""
    lows, highs = np.array(scale.lows), np.array(scale.highs)
    low, high = np.quantile(sample, [_TAIL, 1 - _TAIL], axis=0)
    slack = _BEYOND * (highs - lows)
    if (low < lows - slack).any() or (high > highs + slack).any():
        return 0.0
    return float(((high - low) / (highs - lows)).mean())
