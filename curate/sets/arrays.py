"""Pictures kept in arrays: which axis is which, and how their values become 8 bits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from ..stage.engine import chunks
from ..stage.errors import DataError
from .imageset import Picture, Unreadable, evenly
from .normalising import undoing
from .scaling import (
    BOOLEANS,
    BYTES,
    FLOATS,
    Decoding,
    Extent,
    extent_of,
    kind_of,
    scale_notes,
    scales_of,
    unlike_ranges,
    values_in_words,
)  # fmt: skip

_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
_LOOKED_AT = 64  # pictures with alpha that are looked at, or looked at at once


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
    if len(shape) == 4 and shape[2] in _KINDS:
        raise DataError(
            f"{subject} of shape {shape} look like (H, W, C, N), as .mat files have them. Needed is the picture first: "
            "save images.transpose(3, 0, 1, 2)."
        )
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

    Alpha is dropped where it is opaque or zero throughout: rather an unused channel than an empty picture. One that
    goes no further than 1 is taken to run from 0 to 1.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        if alpha.max() == 1:
            pixels = np.concatenate([pixels[..., :3], alpha[..., None] * np.uint8(255)], axis=2)
            alpha = pixels[..., 3]
        pixels = pixels[..., :3] if alpha.min() == 255 or alpha.max() == 0 else on_white(pixels)
    return np.ascontiguousarray(pixels)


class ArrayPictures:
    """Pictures that are the rows of one or more arrays, one after the other; converted when they are read.

    arrays     unconverted: any of the layouts of `layout_of`, of booleans, integers or floats
    describe   "96x96 RGB"
    scale      kind of values -> the scale that they are read by, one for the set
    values     in a short sentence;  notes  sentences on how values and channels are read

    `subject` begins errors, `names` of the arrays stand in notes. Raises DataError.
    """

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        subject: str = "images",
        decoding: Decoding = Decoding(),
        names: Sequence[str] = (),
    ) -> None:
        self.arrays = tuple(arrays)
        wrong = [array.dtype for array in self.arrays if array.dtype.kind not in "buif"]
        if wrong:
            raise DataError(f"{subject} of type {wrong[0]} are no images. Needed are integers, floats or booleans.")
        self._layouts = [layout_of(array.shape, subject) for array in self.arrays]
        self._ends = list(accumulate(len(array) for array in self.arrays))
        kinds = [kind_of(array.dtype) for array in self.arrays]
        of_arrays = _extents(self.arrays, self._layouts, decoding)
        extents: dict[str, Extent] = {}
        for kind, extent in of_arrays.values():
            extents[kind] = extents.get(kind, Extent()) + extent
        self.scale = scales_of(extents, kinds, self._undone(kinds, extents, decoding))
        self._scales = [self.scale[kind] for kind in kinds]
        self.values = values_in_words(self.scale, extents)
        self.describe = " and ".join(dict.fromkeys(map(str, self._layouts)))
        notes = scale_notes(self.scale, extents, decoding)
        if names and not decoding.value_range:
            notes += unlike_ranges({names[at]: described for at, described in of_arrays.items()})
        notes += ["channels are first" for layout in self._layouts if layout.axis == 0]
        if any(map(self._has_unit_alpha, range(len(self.arrays)))):
            notes.append("alpha goes no further than 1, and is read as 0 to 1")
        self.notes = tuple(dict.fromkeys(notes))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> Picture:
        row = range(len(self))[row]  # counts from the end and checks the bounds as a list does
        part = bisect_right(self._ends, row)
        layout, scale = self._layouts[part], self._scales[part]
        raw = self._raw(part, row - self._ends[part])
        check_finite(raw, layout.axis)
        return Picture(to_rgb(scale(raw if layout.axis != 0 else raw.transpose(1, 2, 0))), raw)

    def _undone(self, kinds: Sequence[str], extents: Mapping[str, Extent], decoding: Decoding) -> Decoding:
        """The decoding with the scale that undoes a normalisation of floats, where the set has one to be told."""
        extent = extents.get(FLOATS, Extent())
        plain = not extent.count or extent.low >= 0
        if plain or decoding.value_range or FLOATS in decoding.scale:
            return decoding
        parts = [at for at, kind in enumerate(kinds) if kind == FLOATS]
        scale = undoing([self.arrays[at] for at in parts], [self._layouts[at].axis for at in parts])
        return decoding if scale is None else replace(decoding, scale={**decoding.scale, FLOATS: scale})

    def _raw(self, part: int, row: int) -> np.ndarray:
        """A picture as it is in an array, rows counted from its end."""
        array = self.arrays[part]
        return np.ascontiguousarray(array[row + len(array)])

    def _has_unit_alpha(self, part: int) -> bool:
        """Whether alpha of some pictures, spread evenly over an array, goes up to 1 of 255 and no further."""
        layout, array = self._layouts[part], self.arrays[part]
        if layout.channels < 4 or not len(array):
            return False
        rows = array[evenly(len(array), _LOOKED_AT)]
        alpha = self._scales[part](rows[:, 3] if layout.axis == 0 else rows[..., 3])
        return int(alpha.max()) == 1


def _extents(
    arrays: Sequence[np.ndarray], layouts: Sequence[Layout], decoding: Decoding
) -> dict[int, tuple[str, Extent]]:
    """Number of an array -> (kind of its values, their extent), but of those whose scale is known: why read all?"""
    extents = {}
    for at, (array, layout) in enumerate(zip(arrays, layouts, strict=True)):
        kind = kind_of(array.dtype)
        if kind in (BYTES, BOOLEANS) or (kind in decoding.scale and not decoding.foreign):
            continue
        extents[at] = (kind, _extent_of_colours(array, layout))
    return extents


def _extent_of_colours(array: np.ndarray, layout: Layout) -> Extent:
    """The extent of an array without alpha, whose values are of a range of their own."""
    if layout.channels < 4:
        return extent_of(array, len(array))
    total = Extent()
    for rows in chunks(len(array), _LOOKED_AT):
        piece = array[rows.start : rows.stop]
        colours = piece[:, :3] if layout.axis == 0 else piece[..., :3]
        total += extent_of(np.ascontiguousarray(colours), len(rows))
    return total
