"""Pictures kept in arrays: which axis is which, and how their values become 8 bits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ..stage.engine import chunks
from ..stage.errors import DataError
from .imageset import Picture, Unreadable

_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
_PIECE = 1 << 22  # values that are looked at at once
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Layout:
    """The axes of one image array.

    channels   1, 3 or 4;   axis   of the channels within one picture, None for (H, W)
    """

    width: int
    height: int
    channels: int
    axis: int | None

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {_KINDS[self.channels]}"


def layout_of(shape: tuple[int, ...], subject: str) -> Layout:
    """The layout of images of that shape: (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1, 3 or 4.

    Where both would do, the channels are last. Raises DataError, begun with `subject`.
    """
    if 0 in shape[1:]:
        raise DataError(f"{subject} of shape {shape} have no pixels.")
    if len(shape) == 3:
        return Layout(shape[2], shape[1], 1, None)
    if len(shape) == 4 and shape[3] in _KINDS:
        return Layout(shape[2], shape[1], shape[3], 2)
    if len(shape) == 4 and shape[1] in _KINDS:
        return Layout(shape[3], shape[2], shape[1], 0)
    if len(shape) == 4:
        few = min(shape[1], shape[3])
        raise DataError(
            f"{subject} of shape {shape} have {few} channels. Needed are (N, H, W) of grey, or 1 (grey), "
            "3 (RGB) or 4 (RGBA) channels, last or first. Keep the channels that make a picture."
        )
    raise DataError(
        f"{subject} of shape {shape} are no images. Needed is (N, H, W), (N, H, W, C) or (N, C, H, W); "
        "reshape flat rows, for example with images.reshape(-1, 28, 28)."
    )


@dataclass(frozen=True)
class Scale:
    """How values become 8 bits: (value - low) * gain, rounded and cut off at 0 and 255."""

    low: float = 0.0
    gain: float = 1.0
    note: str = ""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """uint8, of the same shape."""
        if values.dtype == np.uint8 and self.gain == 1:
            return values
        # float32 holds 16 bits exactly.
        narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32
        scaled: np.ndarray = values.astype(np.float32 if narrow else np.float64)
        np.subtract(scaled, self.low, out=scaled)
        np.multiply(scaled, self.gain, out=scaled)
        np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
        return scaled.astype(np.uint8)


def span(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """The least and greatest finite value of all arrays, read piece by piece; (0, 0) where there is none."""
    low, high = np.inf, -np.inf
    for array in arrays:
        flat = array.reshape(-1, order="A")  # a view for C and for Fortran order
        for rows in chunks(flat.size, _PIECE):
            piece = flat[rows.start : rows.stop]
            if piece.dtype.kind == "f":
                piece = piece[np.isfinite(piece)]
            if piece.size:
                low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def bit_scale(high: float) -> Scale:
    """The scale of unsigned integers up to `high`: of 8, 10, 12, 14 or 16 bits, whichever suffice."""
    bits = next((bits for bits in _BITS if high < 2**bits), 0)
    if bits == 8:
        return Scale()
    if bits:
        return Scale(0, 255 / (2**bits - 1), f"values are read as {bits} bit, 0 to {2**bits - 1:,}")
    return Scale(0, 255 / high, f"values from 0 to {high:,.0f} are stretched to 0 to 255")


def scale_of(arrays: Sequence[np.ndarray]) -> Scale:
    """The one scale of a set of arrays of one type, from the range of all their finite values.

    Floats may overshoot 0..1 and 0..255 a little, as resizing with Lanczos does.
    """
    dtype = arrays[0].dtype
    if dtype == np.uint8:
        return Scale()
    if dtype.kind == "b":
        return Scale(0, 255, "images are booleans: False is black, True is white")
    low, high = span(arrays)
    if low >= -0.5 and high <= 1.5:
        return Scale(0, 255, "values from 0 to 1 are read as 0 to 255")
    if low >= -1.5 and high <= 1.5:
        return Scale(-1, 127.5, "values from -1 to 1 are read as 0 to 255")
    if low >= -64 and 16 < high <= 319 and dtype.kind == "f":
        return Scale()
    if low >= 0 and high > 16:
        return bit_scale(high)
    gain = 255 / (high - low) if high > low else 1.0
    return Scale(low, gain, f"values from {low:g} to {high:g}, perhaps standardised, are stretched to 0 to 255")


def on_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4) laid on white: uint8 (H, W, 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def check_finite(values: np.ndarray, axis: int | None) -> None:
    """Raise Unreadable where a picture holds NaN or infinity; a pixel with several counts once."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    wrong = ~np.isfinite(values)
    count = int((wrong if axis is None else wrong.any(axis=axis)).sum())
    pixels = "1 pixel that is not a number" if count == 1 else f"{count:,} pixels that are not numbers"
    raise Unreadable(f"contains {pixels} (NaN or infinite)")


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) as contiguous uint8 (H, W, 3).

    Alpha is dropped where it is opaque or zero throughout: rather an unused channel than an empty picture.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        pixels = pixels[..., :3] if alpha.min() == 255 or alpha.max() == 0 else on_white(pixels)
    return np.ascontiguousarray(pixels)


class ArrayPictures:
    """Pictures that are the rows of one or more arrays, one after the other; converted when they are read.

    arrays     unconverted: any of the layouts of `layout_of`, of booleans, integers or floats
    describe   "96x96 RGB"
    notes      sentences on how values and channels are read

    `subject` begins errors. Raises DataError.
    """

    def __init__(self, arrays: Sequence[np.ndarray], subject: str = "images") -> None:
        self.arrays = tuple(arrays)
        wrong = [array.dtype for array in self.arrays if array.dtype.kind not in "buif"]
        if wrong:
            raise DataError(f"{subject} of type {wrong[0]} are no images. Needed are integers, floats or booleans.")
        self._layouts = [layout_of(array.shape, subject) for array in self.arrays]
        self._ends = list(accumulate(len(array) for array in self.arrays))
        scales = {
            dtype: scale_of([a for a in self.arrays if a.dtype == dtype]) for dtype in {a.dtype for a in self.arrays}
        }
        self._scales = [scales[array.dtype] for array in self.arrays]
        self.describe = " and ".join(dict.fromkeys(map(str, self._layouts)))
        notes = [scale.note for scale in self._scales]
        notes += ["channels are first" for layout in self._layouts if layout.axis == 0]
        self.notes = tuple(dict.fromkeys(note for note in notes if note))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> Picture:
        row = range(len(self))[row]  # counts from the end and checks the bounds as a list does
        part = bisect_right(self._ends, row)
        array, layout, scale = self.arrays[part], self._layouts[part], self._scales[part]
        raw = np.ascontiguousarray(array[row - self._ends[part] + len(array)])
        check_finite(raw, layout.axis)
        return Picture(to_rgb(scale(raw if layout.axis != 0 else raw.transpose(1, 2, 0))), raw)
