"""Scales: how values of any depth become the 8 bits that everything works with, decided once for a whole set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..stage.engine import chunks
from ..stage.records import OPTIONAL
from ..stage.shortness import short_repr

# Kinds of values, each with a scale of its own: what is kept as bytes stays as it is, unless a range is asked for.
BYTES, INTEGERS, FLOATS, BOOLEANS = "8 bit", "integers", "floats", "booleans"
_BITS = (8, 10, 12, 14, 16)
# Where values are counted: the depths and their upper halves, and the ranges that floats are kept in.
_DEPTHS = tuple(2.0**bits - 1 for bits in range(7, 17))
_EDGES = {INTEGERS: _DEPTHS, FLOATS: (-64.0, -1.5, -0.5, 0.5, 1.5, 128.0, 319.0, *_DEPTHS)}
# Values beyond a scale that are taken for hot pixels: one in a thousand, or a pixel a picture, which has three of them;
# and what it holds well is ten times as many in its upper half.
_HOT, _HELD = 1000, 10
_PIECE = 1 << 22  # values that are looked at at once
# Grey levels of 255, and share of them, below which a set is next to black, or all of one grey.
FEWEST_LEVELS = 5


@dataclass(frozen=True)
class Scale:
    """The values that become 0 and 255: (value - low) * 255 / (high - low), rounded and cut off.

    bits         where the values are whole numbers of so many bits, None otherwise
    lows, highs  of each channel, where they are normalised one by one; low and high are then the least and the
                 greatest of them, for pictures of other channels
    recipe       whose mean and deviation they were normalised by, "" where that is not known
    """

    low: float = 0.0
    high: float = 255.0
    bits: int | None = field(default=None, metadata=OPTIONAL)
    lows: tuple[float, ...] | None = field(default=None, metadata=OPTIONAL)
    highs: tuple[float, ...] | None = field(default=None, metadata=OPTIONAL)
    recipe: str | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))  # as it comes back from a document
        object.__setattr__(self, "high", float(self.high))

    @classmethod
    def of_channels(cls, lows: Iterable[float], highs: Iterable[float], recipe: str) -> Scale:
        """The scale of values that were normalised channel by channel."""
        low, high = tuple(map(float, lows)), tuple(map(float, highs))
        return cls(min(low), max(high), None, low, high, recipe)

    @property
    def gain(self) -> float:
        """Grey levels for each unit of the values."""
        return 255 / (self.high - self.low) if self.high > self.low else 1.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """uint8, of the same shape."""
        if values.dtype == np.uint8 and self.low == 0 and self.gain == 1:
            return values
        # float32 holds 16 bits exactly.
        narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32
        scaled: np.ndarray = values.astype(np.float32 if narrow else np.float64)
        low, gain = self._for(values.shape)
        np.subtract(scaled, low, out=scaled)
        np.multiply(scaled, gain, out=scaled)
        np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
        return scaled.astype(np.uint8)

    def _for(self, shape: tuple[int, ...]) -> tuple[float | np.ndarray, float | np.ndarray]:
        """(low, gain) for values of a shape, whose last axis is that of channels where there are as many."""
        if not self.lows or not self.highs or len(shape) < 3 or shape[-1] != len(self.lows):
            return self.low, self.gain
        lows, highs = np.array(self.lows), np.array(self.highs)
        return lows, 255 / (highs - lows)

    def __str__(self) -> str:
        if self.lows:
            return f"normalised by {self.whose}"
        return f"{self.bits} bit ({self.span})" if self.bits else self.span

    @property
    def whose(self) -> str:
        """Whose mean and deviation: "ImageNet's mean and deviation"."""
        return f"{self.recipe}'s mean and deviation" if self.recipe else "a mean and deviation"

    @property
    def span(self) -> str:
        """ "0 to 4,095"."""
        return f"{_number(self.low)} to {_number(self.high)}"


Scales = Mapping[str, Scale]


@dataclass(frozen=True)
class Decoding:
    """How the pictures of a set become pixels.

    scale        kind of values -> its scale; kinds that are not there are decided by the set
    max_pixels   of a picture; None takes Pillow's limit, some 90 million
    value_range  (low, high) that become black and white, as a person asked for; () where nothing was asked
    foreign      the scale is that of a model and not of this set: how the set's values lie in it is told
    """

    scale: Scales = field(default_factory=dict)
    max_pixels: int | None = None
    value_range: tuple[float, ...] = ()
    foreign: bool = False

    __repr__ = short_repr

    def settled(self, scale: Scales) -> Decoding:
        """With the scale that was decided, for whoever reads the set again."""
        return replace(self, scale=scale, value_range=(), foreign=False)


@dataclass(frozen=True)
class Extent:
    """The finite values of one kind in a set: the least, the greatest, and how many lie above each of some edges."""

    low: float = np.inf
    high: float = -np.inf
    count: int = 0
    pictures: int = 0
    above: tuple[int, ...] = ()

    __repr__ = short_repr

    def __add__(self, other: Extent) -> Extent:
        pairs = zip(self.above, other.above, strict=True)
        above = tuple(a + b for a, b in pairs) if self.above and other.above else self.above or other.above
        count, pictures = self.count + other.count, self.pictures + other.pictures
        return Extent(min(self.low, other.low), max(self.high, other.high), count, pictures, above)

    @property
    def hot(self) -> int:
        """The most values that are taken for hot pixels."""
        return max(self.count // _HOT, 3 * self.pictures)

    def between(self, kind: str, low: float, high: float) -> int:
        """How many values lie above `low` and up to `high`, edges of the kind; infinity for no end."""
        edges = _EDGES[kind]
        over = self.count if low == -np.inf else self.above[edges.index(low)]
        return over - (0 if high == np.inf else self.above[edges.index(high)])


def kind_of(dtype: np.dtype) -> str:
    """The kind of values that an array of that type holds."""
    if dtype == np.uint8:
        return BYTES
    return {"b": BOOLEANS, "f": FLOATS}.get(dtype.kind, INTEGERS)


def extent_of(array: np.ndarray, pictures: int) -> Extent:
    """The extent of an array of integers or floats, read piece by piece."""
    kind = kind_of(array.dtype)
    total = Extent(pictures=pictures)
    flat = array.reshape(-1, order="A")  # a view for C and for Fortran order
    for rows in chunks(flat.size, _PIECE):
        piece = flat[rows.start : rows.stop]
        if piece.dtype.kind == "f":
            piece = piece[np.isfinite(piece)]
        if piece.size:
            low, high = float(piece.min()), float(piece.max())
            above = tuple(_count_above(piece, edge, low, high) for edge in _EDGES[kind])
            total += Extent(low, high, piece.size, 0, above)
    return total


def _count_above(piece: np.ndarray, edge: float, low: float, high: float) -> int:
    if edge >= high or edge < low:
        return piece.size if edge < low else 0
    return int(np.count_nonzero(piece > piece.dtype.type(edge)))


def decided(kind: str, extent: Extent) -> Scale:
    """The one scale of all values of a kind.

    Floats may overshoot 0..1 and 0..255 a little, as resizing with Lanczos does; and a few values may lie anywhere
    beyond what the others are well held by: hot pixels must not darken a set.
    """
    if kind == BOOLEANS:
        return Scale(0, 1)
    if kind == BYTES or not extent.count:
        return Scale()
    low, high = extent.low, extent.high
    if low >= -0.5 and high <= 1.5:
        return Scale(0, 1)
    if low >= -1.5 and high <= 1.5:
        return Scale(-1, 1)
    if kind == FLOATS and (usual := _usual_range(extent)):
        return usual
    if kind == FLOATS and low >= -64 and 16 < high <= 319:
        return Scale()
    if low >= 0 and high > 16:
        return _bit_scale(kind, extent)
    return Scale(0 if 0 <= low < high / 2 else low, high)


def _usual_range(extent: Extent) -> Scale | None:
    """The range that all floats but a few hot ones are kept in, where there are such."""
    for scale, low, half, high in (
        (Scale(0, 1), -0.5, 0.5, 1.5),
        (Scale(-1, 1), -1.5, 0.5, 1.5),
        (Scale(), -64.0, 128.0, 319.0),
    ):
        outside = extent.count - extent.between(FLOATS, low, high)
        if 0 < outside <= extent.hot and extent.between(FLOATS, half, high) >= _HELD * outside:
            return scale
    return None


def _bit_scale(kind: str, extent: Extent) -> Scale:
    """The scale of values from 0: of 8, 10, 12, 14 or 16 bits, whichever suffice."""
    for bits in _BITS:
        top = 2.0**bits - 1
        if extent.high <= top:
            return Scale(0, top, bits)
        beyond = extent.between(kind, top, np.inf)
        if beyond <= extent.hot and extent.between(kind, 2.0 ** (bits - 1) - 1, top) >= _HELD * beyond:
            return Scale(0, top, bits)
    return Scale(0, extent.high)


def scales_of(extents: Mapping[str, Extent], kinds: Iterable[str], decoding: Decoding) -> dict[str, Scale]:
    """The scale of each kind of values of a set: as asked for, else the one at hand, else decided by its values."""
    kinds = list(dict.fromkeys(kinds))
    deep = [kind for kind in kinds if kind in (INTEGERS, FLOATS)]
    scales = {}
    for kind in kinds:
        if decoding.value_range and (kind in deep or (kind == BYTES and not deep)):
            scales[kind] = _asked(decoding)
        elif kind in decoding.scale:
            scales[kind] = decoding.scale[kind]
        else:
            scales[kind] = decided(kind, extents.get(kind, Extent()))
    return scales


def _asked(decoding: Decoding) -> Scale:
    """The scale that a person asked for."""
    low, high = decoding.value_range
    return Scale(low, high)


def scale_notes(scales: Scales, extents: Mapping[str, Extent], decoding: Decoding, files: bool = False) -> list[str]:
    """Sentences on how values become 8 bits, and on those that a scale cuts off.

    files  the pictures are files, whose values have names of their own
    """
    notes = []
    several = len(scales) > 1
    for kind, scale in scales.items():
        if kind == BOOLEANS:
            notes.append("images are booleans: False is black, True is white")
            continue
        subject = (_FILES if files else _ARRAYS)[kind] if files or several else "values"
        extent = extents.get(kind)
        if kind == BYTES and scale == Scale():
            notes += [f"{subject} stay as they are"] if several else []
            continue
        if decoding.value_range and scale == _asked(decoding):
            note = f"{subject} from {scale.span} are read as 0 to 255, as asked for"
        elif decoding.foreign and kind in decoding.scale:
            note = _foreign(subject, scale, extent)
        else:
            note = _reading(kind, subject, scale, files)
        if files and note and extent and extent.pictures:
            note += f", one scale for all {extent.pictures:,}" if extent.pictures > 1 else ""
        cut = _cut_off(kind, scale, extent)
        if cut and not scale.lows and not (decoding.foreign and kind in decoding.scale):
            cut += " (--value-range settles it)"
        notes += [note + cut] if note else [f"{subject} are read as 0 to 255{cut}"] if cut else []
    return notes


_FILES = {BYTES: "8-bit files", INTEGERS: "16-bit files", FLOATS: "floating-point files"}
_ARRAYS = {BYTES: "8-bit values", INTEGERS: "whole numbers of more than 8 bits", FLOATS: "floating-point values"}


def _reading(kind: str, subject: str, scale: Scale, files: bool) -> str:
    """How values are read by a scale that was decided by them, "" where those of an array stay what they are."""
    if (scale.low, scale.high) == (0, 255):
        return f"{subject} are read as 8 bit, 0 to 255" if files else ""
    if scale.lows:
        evidence = "" if scale.recipe else ", as they lie on even levels"
        return f"{subject} look {scale}{evidence}, which was undone (--value-range settles it)"
    if scale.bits:
        return f"{subject} are read as {scale.bits} bit, {scale.span}"
    if scale in (Scale(0, 1), Scale(-1, 1)):
        return f"{subject} from {scale.span} are read as 0 to 255"
    caffe = kind == FLOATS and -130 <= scale.low < -64 and 100 <= scale.high <= 192
    less = ", perhaps standardised," if scale.low < 0 else ""
    order = (
        "; they look like 0 to 255 less a mean, as Caffe's models take them: channels may be blue, green, red and are "
        "read as red, green, blue"
    )
    return f"{subject} from {scale.span}{less} are stretched to 0 to 255{order if caffe else ''}"


def _foreign(subject: str, scale: Scale, extent: Extent | None) -> str:
    """How values are read by a model's scale."""
    own = f"; they run from {_number(extent.low)} to {_number(extent.high)}" if extent and extent.count else ""
    return f"{subject} are read by the scale of the model, {scale}{own}"


def _cut_off(kind: str, scale: Scale, extent: Extent | None) -> str:
    """Of how many values nothing but black or white is left, where they lie beyond the scale."""
    if extent is None or not extent.count:
        return ""
    if scale.bits and extent.high > scale.high:
        beyond = extent.between(kind, scale.high, np.inf)
        values = "1 value" if beyond == 1 else f"{beyond:,} values"
        share = f", {beyond / extent.count:.1%} of all," if beyond > extent.hot else ""
        return f"; {values} above{share or ','} up to {_number(extent.high)}, {'is' if beyond == 1 else 'are'} cut off"
    slack = 0.25 * (scale.high - scale.low)
    if extent.high > scale.high + slack or extent.low < scale.low - slack:
        return f"; they run from {_number(extent.low)} to {_number(extent.high)}, and what lies beyond is cut off"
    return ""


def values_in_words(scales: Scales, extents: Mapping[str, Extent], files: bool = False) -> str:
    """A short sentence on the depth of a set: "8 bit", or with that of deeper files and what they are read as."""
    parts = ["8 bit"] if BYTES in scales or not scales else []
    for kind, scale in scales.items():
        if kind == BYTES and scale != Scale():
            parts[0] = f"8 bit read as {scale}"
        elif kind == BOOLEANS:
            parts.append("booleans")
        elif kind != BYTES:
            extent = extents.get(kind)
            names = {INTEGERS: "16-bit files" if files else "integers", FLOATS: "float files" if files else "floats"}
            shared = f", one scale for all {extent.pictures:,}" if extent and extent.pictures > 1 else ""
            parts.append(f"{names[kind]} read as {scale}{shared}")
    return "; ".join(parts)


_UNLIKE = 8  # times as far as another array of the set, from which on they are hardly of one range


def unlike_ranges(arrays: Mapping[str, tuple[str, Extent]]) -> list[str]:
    """A note where arrays of one kind, name -> (kind, extent), hardly hold one range: from 0 to 1 beside 0 to 255."""
    notes = []
    for kind in dict.fromkeys(kind for kind, _ in arrays.values()):
        extents = {name: extent for name, (own, extent) in arrays.items() if own == kind and extent.count}
        reaches = [max(abs(extent.low), abs(extent.high)) for extent in extents.values()]
        signed = [extent.low < -0.05 * reach for extent, reach in zip(extents.values(), reaches, strict=True)]
        if len(extents) > 1 and (max(reaches) >= _UNLIKE * min(reaches) or (any(signed) and not all(signed))):
            ranges = " and ".join(f"{name} from {_number(e.low)} to {_number(e.high)}" for name, e in extents.items())
            notes.append(f"{ranges} are read by one scale; if they were saved in different ways, save them alike")
    return notes


def pallor(low: float, high: float, scales: Scales) -> str:
    """What is wrong with a set whose grey levels run from `low` to `high` alone, "" where they are enough.

    low, high  0 to 255, over all pictures
    """
    if high - low >= FEWEST_LEVELS:
        return ""
    scale = next((scales[kind] for kind in (FLOATS, INTEGERS, BYTES) if kind in scales), Scale())
    if high == 0:
        return (
            "every picture is wholly black. Values from 0 to 1 that were cast to whole numbers become 0: save them "
            "before the cast, or times 255."
        )
    top = scale.low + high / scale.gain
    if low > FEWEST_LEVELS:
        return f"every picture is of one grey, {low:.0f} to {high:.0f} of 255: nothing is to be seen in them."
    return (
        f"every picture is black or nearly so: grey levels run from {low:.0f} to {high:.0f} of 255. Values were "
        "divided twice, or cast to whole numbers, or they are numbers of classes, as in masks. Save them as 0 to 255, "
        f"or name the values that are black and white: --value-range {_number(scale.low, '')},{_number(top, '')}."
    )


def _number(value: float, comma: str = ",") -> str:
    return f"{value:{comma}.0f}" if float(value).is_integer() else f"{value:.4g}"
