"""Which values stand apart: beyond a gap that the tail of the others does not explain.

A wide set has far values that belong to it: its tail thins out, and each is followed by another. Whether values stand
apart is told by normalised spacings: of an exponential tail, the i-th largest value lies above the next by s / i on
average, so that i times that spacing is much the same throughout the tail (Sukhatme 1937; Pyke 1965). A gap far above
the spacings below it is where the tail ends and something else begins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# So many times fewer values than lie beyond a gap are to be expected there of a tail: one tail in four hundred has such
# a gap by itself, as its ratio is exponential.
APART = 6.0
_TAIL = 30  # values below a gap that tell how fast the tail thins out; beside a large group more
_TAIL_PER_MEMBER = 4
# A gap is as wide as a good part of what lies beyond it: of thousands of values, the widest spacing is no valley.
_WIDTH = 0.25
_CAP = 5.0  # times what is usual below: of an exponential tail one spacing in 150 is more
_NOTHING = 1e-9  # a spread of none, where all values are one
_STRAYS = 0.05  # a valley may hold this share of what lies beyond it


def isolation(values: np.ndarray, usual: np.ndarray, least: float) -> np.ndarray:
    """float64 (N,): how many times fewer values than there are the tail would have where each value stands.

    values  float (N,): the larger, the farther out; NaN gives 0
    usual   float (M,): the values that say what is usual
    least   of a gap's upper end: what lies beyond is far out, all of it

    0 where no gap parts a value from the rest. It counts from the gap outwards, so that farther values have no less.
    """
    ordered = np.sort(usual[np.isfinite(usual)])[::-1]
    ends, ratios = _gaps(ordered, least)
    order = np.argsort(ends, kind="stable")
    highest = np.append(0.0, np.maximum.accumulate(ratios[order]))
    passed = np.searchsorted(ends[order], np.nan_to_num(values, nan=-np.inf), side="right")
    return np.asarray(np.maximum(highest[passed], _alone(values, ordered, least)))


def certainty(isolation: np.ndarray) -> np.ndarray:
    """float32 (N,): the chance that a value which stands apart so far is no part of the tail, 0 .. 1.

    One less the values that are expected there for each that there is: a tail-area false discovery rate.
    """
    return np.asarray(1 - 1 / np.maximum(isolation, 1)).astype(np.float32)


def _alone(values: np.ndarray, ordered: np.ndarray, least: float) -> np.ndarray:
    """(N,): of values that are no usual ones, such as those of a spoilt copy, what each would have among these."""
    beyond = np.searchsorted(-ordered, -np.nan_to_num(values, nan=-np.inf), side="left")
    tail = np.minimum(np.maximum(_TAIL, _TAIL_PER_MEMBER * beyond), len(ordered) - 1 - beyond)
    alone = np.flatnonzero((values >= least) & (tail >= 1))
    alone = alone[ordered[beyond[alone]] < values[alone]]
    if not len(alone):
        return np.zeros(len(values))
    above, tail = beyond[alone], tail[alone]
    capped = np.append(0.0, np.cumsum(_capped(np.arange(2, len(ordered) + 1) * (ordered[:-1] - ordered[1:]))))
    scale = (capped[above + tail] - capped[above]) / tail
    width = values[alone] - ordered[above]
    spread = np.append(0.0, np.cumsum(ordered))[above] / np.maximum(above, 1) - values[alone]
    ratio = _as_sure((above + 1) * width / np.maximum(scale, _NOTHING), tail)
    out = np.zeros(len(values))
    out[alone] = np.where(width >= _WIDTH * spread, ratio, 0)
    return out


def _capped(spacings: np.ndarray) -> np.ndarray:
    """Normalised spacings of which none is far above those below: a gap farther in hides none that is farther out."""
    total, place = np.append(0.0, np.cumsum(spacings)), np.arange(1, len(spacings))
    tail = np.minimum(np.maximum(_TAIL, _TAIL_PER_MEMBER * place), len(spacings) - place)
    below = (total[place + tail] - total[place]) / tail
    return np.asarray(np.minimum(spacings, np.append(_CAP * below, np.inf)))


def _as_sure(ratio: np.ndarray, tail: np.ndarray | int) -> np.ndarray:
    """The ratio to a tail that is known which is as improbable as one to a tail of so many values, which is not.

    The first is exponential, the second has the F distribution of 2 and 2 `tail` degrees of freedom.
    """
    return np.asarray(tail * np.log1p(ratio / tail))


def _gaps(ordered: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """(upper end of each gap, how many times fewer are expected beyond), of values in falling order."""
    n = len(ordered)
    far = min(int(np.searchsorted(-ordered, -least, side="right")), n - 2)
    if far < 1:
        return np.zeros(0), np.zeros(0)
    spacings = np.arange(1, n) * (ordered[:-1] - ordered[1:])  # normalised: the i-th below the i-th largest
    total, capped = np.append(0.0, np.cumsum(spacings)), np.append(0.0, np.cumsum(_capped(spacings)))
    above = np.arange(1, far + 1)  # how many lie beyond
    spread = np.cumsum(ordered)[:far] / above - ordered[:far]  # of what lies beyond, above its nearest
    ends, ratios = [], []
    for strays in _strays(far):
        inside = above[(above * _STRAYS >= strays) & (above + strays + 2 <= n)]
        below = inside + strays + 1  # the rank below which the tail begins again
        tail = np.minimum(np.maximum(_TAIL, _TAIL_PER_MEMBER * inside), n - below)
        scale = (capped[below + tail - 1] - capped[below - 1]) / tail
        width = ordered[inside - 1] - ordered[below - 1]
        valley = (total[below - 1] - total[inside - 1]) / (strays + 1)
        ratio = _as_sure(valley / np.maximum(scale, _NOTHING), tail)
        # Of all gaps out there the widest counts, and the more there are the wider it is by itself.
        ratio = np.where(width >= _WIDTH * spread[inside - 1], ratio - np.log(far), 0)
        ends.append(ordered[inside - 1])
        ratios.append(ratio)
    return np.concatenate(ends), np.concatenate(ratios)


def _strays(far: int) -> Iterator[int]:
    """How many values a valley may hold, from none, in steps of twice as many."""
    yield 0
    strays = 1
    while strays <= _STRAYS * far:
        yield strays
        strays *= 2
