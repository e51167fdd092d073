"""What can be measured of one picture on its own: size, light, sharpness, information, colour."""

from __future__ import annotations

import cv2
import numpy as np

# Pictures are measured at no more than this many pixels a side: enough for each property, and a bound on the time.
LONGEST_SIDE = 256

PROPERTIES = (
    "width",
    "height",
    "brightness",  # mean grey value, 0..1
    "dark_end",  # 1st percentile of grey, 0..1
    "bright_end",  # 99th percentile of grey, 0..1
    "contrast",  # standard deviation of grey, 0..1
    "entropy",  # of the grey histogram, bits, 0..8
    "detail",  # energy of the finest band over that of the next coarser ones, log2
    "chroma",  # mean CIELAB chroma
    "saturation",  # mean difference between the channels over mean brightness, 0 in a grey picture
    "light_a",  # colour of the brightest part, CIELAB a* and b* at a fixed lightness
    "light_b",
    "mean_a",  # colour of the picture as a whole, likewise
    "mean_b",
    "border_l",  # mean colour of the border, CIELAB
    "border_a",
    "border_b",
)


def properties(pixels: np.ndarray) -> np.ndarray:
    """float32 (len(PROPERTIES),) of one uint8 (H, W, 3) picture, in the order of PROPERTIES."""
    height, width = pixels.shape[:2]
    view = bounded(pixels, LONGEST_SIDE)
    grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    share = histogram / grey.size
    levels = np.arange(256)
    mean = float(share @ levels)
    cumulative = np.cumsum(share)
    seen = share[share > 0]

    small = cv2.resize(view, (32, 32), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    red, green, blue = cv2.split(small)
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    border = np.concatenate([lab[0], lab[-1], lab[1:-1, 0], lab[1:-1, -1]]).mean(axis=0)
    light = np.median(small[_brightest(lab[..., 0])], axis=0)
    return np.array(
        [
            width,
            height,
            mean / 255,
            np.searchsorted(cumulative, 0.01) / 255,
            np.searchsorted(cumulative, 0.99) / 255,
            np.sqrt(max(float(share @ (levels - mean) ** 2), 0.0)) / 255,
            -float(seen @ np.log2(seen)),
            _detail(grey),
            np.hypot(lab[..., 1], lab[..., 2]).mean(),
            float(spread.mean()) / (mean + 1),
            *_tint(light),
            *_tint(small.reshape(-1, 3).mean(axis=0)),
            *border,
        ],
        dtype=np.float32,
    )


def bounded(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture itself, or shrunk so that its longer side is `side` pixels."""
    longest = max(pixels.shape[:2])
    if longest <= side:
        return pixels
    height, width = (max(1, round(s * side / longest)) for s in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture as `side` x `side`: averaged when it shrinks, interpolated when it grows."""
    shrinks = max(pixels.shape[:2]) > side
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _brightest(lightness: np.ndarray, share: float = 0.08) -> np.ndarray:
    """Mask of the brightest part of a picture: the background of a slide, the lamp in a photograph."""
    rank = int((1 - share) * lightness.size)
    return lightness >= np.partition(lightness, rank, axis=None)[rank]


def _tint(rgb: np.ndarray) -> tuple[float, float]:
    """CIELAB a* and b* of a colour brought to a luminance of 50 %, so that a dark copy has the tint of its original.

    NaN below a luminance of 1 %, where the quantisation to 8 bits is all there is.
    """
    linear = (np.asarray(rgb, np.float64) / 255) ** 2.2
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    if luminance < 0.01:
        return np.nan, np.nan
    # Straight from linear light to XYZ to L*a*b*: the scaled colour may lie outside of what RGB can show.
    xyz = _XYZ @ (linear * 0.5 / luminance) / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return float(500 * (f[0] - f[1])), float(200 * (f[1] - f[2]))


_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)  # D65, the white of sRGB


_ROUNDING = 0.08


def _detail(grey: np.ndarray) -> float:
    """log2 of the energy in the finest band over that in the next two octaves: low when out of focus.

    A ratio of bands does not change with brightness or contrast, so that a pale picture is not called blurred.
    """
    base = grey.astype(np.float32)
    fine = cv2.GaussianBlur(base, (0, 0), 1.0)
    coarse = cv2.GaussianBlur(fine, (0, 0), 3.0)
    # Rounding to 8 bits puts a twelfth of a squared grey level into a picture, most of it into the finest band. Left
    # in, it makes a picture look the sharper the more it is blurred.
    finest = max(float(((base - fine) ** 2).mean()) - _ROUNDING, 0.0)
    middle = float(((fine - coarse) ** 2).mean())
    return float(np.log2((finest + 0.02) / (middle + 0.5)))
