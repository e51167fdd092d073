"""One image file to one Picture, and what is wrong with a file that is none."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH116, PTH118, PTH122, PTH123

from __future__ import annotations

import functools
import os
import stat
import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..stage.engine import cores, threaded, wait_for_turn
from ..stage.shortness import short_repr
from .arrays import check_finite, on_white, to_rgb
from .imageset import Picture, Unreadable
from .jpegs import START, Handed, damage
from .scaling import (
    BYTES,
    INTEGERS,
    Decoding,
    Extent,
    Scale,
    decided,
    extent_of,
    kind_of,
    scale_notes,
    scales_of,
    values_in_words,
)

# Pillow only names these, needs an operating system's help or starts another program (EPS) to draw them.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
_LOOKED_AT = 100  # files whose headers describe a set
# Pixels from which on pictures are decoded one at a time, where the caller says so: 50 MB once they are RGB.
_LARGE = 1 << 24
_STARTS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"%!PS": "a PostScript file",
    b"<svg": "an SVG drawing",
    b"<!do": "a web page",
    b"<htm": "a web page",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file with git lfs pull",
}


@functools.cache
def _formats() -> tuple[tuple[str, ...], frozenset[str]]:
    """The formats that are tried, in Pillow's order, and the extensions of image files."""
    formats = {ext: kind for ext, kind in Image.registered_extensions().items() if kind not in _NOT_DECODED}
    kinds = set(formats.values())
    return tuple(kind for kind in Image.ID if kind in kinds), frozenset(formats)


def has_image_extension(name: str) -> bool:
    """Whether a file of that name should be an image that Pillow decodes."""
    return os.path.splitext(name)[1].lower() in _formats()[1]


@contextmanager
def open_header(path: str) -> Iterator[Image.Image]:
    """An image of which nothing but the header is read. Raises whatever Pillow does."""
    with _open_regular(path) as file, Image.open(file, formats=_formats()[0]) as image:
        yield image


def looks_like_image(path: str) -> bool:
    """Whether a file begins as an image does, whatever it is called."""
    try:
        with open_header(path):
            return True
    except Exception:
        return False


class FilePictures:
    """Pictures in files below `root`, decoded when they are read.

    names   N paths, relative to `root` or absolute
    scale   kind of values -> the scale that they are read by, decided here from all files that are deeper than 8 bits
    values  in a short sentence;  notes  sentences on how values are read
    """

    def __init__(
        self, root: str | os.PathLike[str], names: Sequence[str], decoding: Decoding = Decoding(), workers: int = 0
    ) -> None:
        self.root = os.fspath(root)
        self.names = tuple(names)
        # Of each file, when it was first read: time and size, -1 where it was missing; zeros where it was not read.
        self._seen = np.zeros((len(self.names), 2), np.int64)
        # What matters in Pillow's warnings is checked in `decode`. Set once and for good, because
        # warnings.catch_warnings around each picture is not safe among threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        if decoding.max_pixels is not None and Image.MAX_IMAGE_PIXELS is not None:
            # Pillow knows no limit but that of the process, and raises at twice as much.
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, decoding.max_pixels)
        kinds, extents = self._deep_values(decoding, workers or cores())
        self.scale = scales_of(extents, kinds, decoding)
        self.decoding = decoding.settled(self.scale)
        self.values = values_in_words(self.scale, extents, files=True)
        self.notes = tuple(scale_notes(self.scale, extents, decoding, files=True))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Picture:
        if not self._seen[row].any():
            self._seen[row] = _time_and_size(self.path(row))
        return decode(self.path(row), self.decoding)

    def changed(self) -> list[int]:
        """Rows whose files are others by now than when they were first read, or have gone, or come."""
        rows = np.flatnonzero(self._seen.any(axis=1)).tolist()
        return [row for row in rows if _time_and_size(self.path(row)) != tuple(self._seen[row].tolist())]

    def path(self, row: int) -> str:
        """The file of one row."""
        return os.path.join(self.root, self.names[row])

    def _deep_values(self, decoding: Decoding, workers: int) -> tuple[list[str], dict[str, Extent]]:
        """(the kinds of values that the files hold, the extent of each that is deeper than 8 bits).

        Only files whose header says so are looked into, and none where the scale is known.
        """
        deep = [row for row in range(len(self)) if _is_deep(self.path(row))]
        kinds = [BYTES] if len(deep) < len(self) else []
        if not deep:
            return kinds, {}
        if decoding.scale and not decoding.foreign:
            return [*kinds, *decoding.scale], {}
        extents: dict[str, Extent] = {}
        for kind, extent in threaded(lambda row: _extent_of_file(self.path(row), decoding), deep, workers):
            if kind:
                extents[kind] = extents.get(kind, Extent()) + extent
        return [*kinds, *sorted(extents, reverse=True)], extents

    def describe(self) -> str:
        """ "360x363 JPEG" or "JPEG and PNG, many sizes", from the headers of a hundred files."""
        kinds: Counter[str] = Counter()
        sizes: set[str] = set()
        for row in range(0, len(self), -(-len(self) // _LOOKED_AT) or 1):
            try:
                with _open_regular(self.path(row)) as file, Image.open(file, formats=_formats()[0]) as image:
                    kinds[_file_type(image)] += 1
                    sizes.add(f"{image.width}x{image.height}")
            except Exception:  # reported when it is decoded
                continue
        if not kinds:
            return "image files"
        names = " and ".join(kind for kind, _ in kinds.most_common(3))
        if len(sizes) == 1:
            return f"{sizes.pop()} {names}"
        return f"{names}, {' and '.join(sorted(sizes)) if len(sizes) == 2 else 'many sizes'}"


def decode(path: str | os.PathLike[str], decoding: Decoding = Decoding()) -> Picture:
    """The picture in a file: upright, its first frame, on white where it is transparent.

    decoding  the scale of files that are deeper than 8 bits; where it has none, they are scaled by their own values

    `raw` is the same RGB array for every file of 8 bits, so that one picture in two formats has one digest;
    of deeper files it is the array as decoded. Raises Unreadable.
    """
    path = os.fspath(path)
    try:
        with _open_regular(path) as file:
            return _decode(file, decoding)
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable("does not exist") from None
    except PermissionError:
        raise Unreadable("may not be read: no permission") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


def decode_small(path: str | os.PathLike[str], side: int, decoding: Decoding = Decoding()) -> np.ndarray:
    """uint8 (H, W, 3): the pixels of the picture in a file, of a JPEG perhaps fewer, but not fewer than `side` a side.

    A JPEG can be decoded at an eighth of its size in a tenth of the time. Raises Unreadable.
    """
    try:
        with open_header(os.fspath(path)) as image:
            if image.format == "JPEG" and min(image.size) >= 2 * side:
                _check_size(image, decoding)
                image.draft(None, (side, side))
                image.load()
                return decoding.scale.get(BYTES, Scale())(_values(_upright(image)))
    except Exception:  # told in words where it is decoded as a whole
        pass
    return decode(path, decoding).pixels


def _time_and_size(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_mtime_ns, status.st_size


def _open_regular(path: str) -> BinaryIO:
    """A file for reading; a named pipe would be waited for without end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Unreadable("is not a file")
    return open(path, "rb")


def _decode(file: BinaryIO, decoding: Decoding) -> Picture:
    loaded = _load(file, decoding)
    scales = decoding.scale
    if loaded.kind == BYTES:
        scale = scales.get(BYTES, Scale())
        return Picture(scale(loaded.values), loaded.values, loaded.file_type, loaded.frames)
    check_finite(loaded.values, None if loaded.values.ndim == 2 else 2)
    colours = loaded.values[..., :3] if loaded.values.ndim == 3 else loaded.values
    scale = scales[loaded.kind] if loaded.kind in scales else decided(loaded.kind, loaded.extent)
    pixels = scale(colours)
    if colours.shape != loaded.values.shape:  # alpha, which has all 16 bits whatever colours have
        pixels = np.concatenate([pixels, (loaded.values[..., 3:] >> 8).astype(np.uint8)], axis=2)
    return Picture(to_rgb(pixels), loaded.values, loaded.file_type, loaded.frames)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """What a file holds: values upright, (H, W, 3) RGB of 8 bits or as they are where they are deeper; their kind."""

    values: np.ndarray
    kind: str
    file_type: str
    frames: int

    __repr__ = short_repr

    @property
    def extent(self) -> Extent:
        """Of the values, but for alpha."""
        colours = self.values[..., :3] if self.values.ndim == 3 else self.values
        return extent_of(np.ascontiguousarray(colours), 1)


def _load(file: BinaryIO, decoding: Decoding) -> _Loaded:
    content = _content(file)
    try:
        with Image.open(content, formats=_formats()[0]) as image:
            _check_size(image, decoding)
            frames = _frame_count(image)
            deep_colours = _has_deep_colours(image)  # before loading, after which nobody knows
            wait_for_turn(image.width * image.height > _LARGE)
            image.load()
            lost = damage(content, image) if isinstance(content, Handed) else ""
            if lost:
                raise Unreadable(lost)
            if deep_colours and (values := _deep_colours(file, image)) is not None:
                return _Loaded(values, INTEGERS, _file_type(image), frames)
            values = _values(_upright(image))
            return _Loaded(values, kind_of(values.dtype), _file_type(image), frames)
    except Unreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable(_TOO_LARGE.format(limit=_limit(decoding) or 0, size="far")) from None
    except UnidentifiedImageError:
        file.seek(0)
        raise Unreadable(_not_an_image(file.read(64))) from None
    except MemoryError:
        raise Unreadable("needs more memory than there is; scale it down") from None
    # Pillow's decoders raise whatever the damaged bytes lead them to: SyntaxError, struct.error, KeyError ...
    except Exception as error:
        reason = str(error) or type(error).__name__
        damage_kind = "is cut short" if "truncated" in reason.lower() else "is damaged"
        raise Unreadable(f"{damage_kind} ({reason})") from error


def _content(file: BinaryIO) -> BinaryIO:
    """The file, from its beginning; a JPEG so that what it lost can be told."""
    is_jpeg = file.read(len(START)) == START
    file.seek(0)
    if not is_jpeg:
        return file
    return Handed(file.read())


_TOO_LARGE = (
    "has {size} more than the {limit:,} pixels that are decoded; scale it down, or raise the limit if you trust its "
    "source (--max-pixels, max_pixels in Python)"
)


def _limit(decoding: Decoding) -> int | None:
    return Image.MAX_IMAGE_PIXELS if decoding.max_pixels is None else decoding.max_pixels


def _check_size(image: Image.Image, decoding: Decoding) -> None:
    """Pillow raises only at twice its limit and warns below; here the limit holds."""
    limit = _limit(decoding)
    if limit is not None and image.width * image.height > limit:
        raise Unreadable(_TOO_LARGE.format(limit=limit, size=f"{image.width * image.height:,} pixels,"))


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; damaged EXIF data says nothing."""
    try:
        return ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
    except Exception:
        return image


def _orientation(image: Image.Image) -> int:
    """1 to 8, as in EXIF; 1 where nothing is said."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(orientation) if orientation in range(2, 9) else 1
    except Exception:
        return 1


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """An array (H, W, ...) upright: mirrored, turned upside down or transposed as an EXIF orientation asks for."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    mirrored, upside_down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return values[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _values(image: Image.Image) -> np.ndarray:
    """The values of a loaded image of any mode: uint8 (H, W, 3) RGB, or, where they are deeper, (H, W) as they are."""
    if _is_deep_mode(image.mode):
        values = np.asarray(image)
        # In native byte order, whatever mode the file is in.
        small = values.dtype.kind in "iu" and values.min() >= 0 and values.max() < 2**16
        return values.astype(np.uint16) if small else values.astype(values.dtype.newbyteorder("="), copy=False)
    try:
        if image.has_transparency_data:
            return on_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise Unreadable(f"is in colour mode {image.mode}, which is not converted; save it as RGB") from error


# Depth


def _is_deep_mode(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;16")


def _is_deep(path: str) -> bool:
    """Whether a file says in its header that its values are deeper than 8 bits; False where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            head = os.read(file, _HEAD)
            if head.startswith(_SHALLOW):
                return False
            if head.startswith(_PNG):
                return head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10"
            if head.startswith(tuple(_TIFF)):
                return _tiff_depth(file, head) > 8
        finally:
            os.close(file)
        with _open_regular(path) as opened, Image.open(opened, formats=_formats()[0]) as image:
            return _is_deep_mode(image.mode) or _has_deep_colours(image)
    except Exception:  # told when it is decoded
        return False


def _tiff_depth(file: int, head: bytes) -> int:
    """The bits of a sample in the first picture of a TIFF, by its directory: ten times as quick as Pillow's opening."""
    order = _TIFF[head[:4]]
    os.lseek(file, struct.unpack_from(f"{order}I", head, 4)[0], os.SEEK_SET)
    entries = os.read(file, 2 + 12 * 64)
    for number in range(struct.unpack_from(f"{order}H", entries)[0]):
        tag, _, samples, place = struct.unpack_from(f"{order}HHI4s", entries, 2 + 12 * number)
        if tag == _BITS_PER_SAMPLE:
            if samples > 2:  # then the numbers lie elsewhere
                os.lseek(file, struct.unpack(f"{order}I", place)[0], os.SEEK_SET)
                place = os.read(file, 2)
            return int(struct.unpack_from(f"{order}H", place)[0])
    return 1  # which is what it is by default


_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_BITS_PER_SAMPLE = 258

# How files begin that never are deeper: JPEG, GIF, BMP, WebP.
_SHALLOW = (START, b"GIF8", b"BM", b"RIFF")
_PNG, _PNG_DEPTH, _HEAD = b"\x89PNG\r\n\x1a\n", 24, 32


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether a file holds colours of 16 bits, of which Pillow gives the upper 8."""
    tiles = getattr(image, "tile", ())
    return not _is_deep_mode(image.mode) and any(";16" in str(tile[3]) for tile in tiles)


def _deep_colours(file: BinaryIO, image: Image.Image) -> np.ndarray | None:
    """uint16 (H, W, 3 or 4), upright: all bits of such a file; None of a format that OpenCV does not read."""
    import cv2

    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != (image.height, image.width):
        return None
    if values.ndim == 3:
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    return np.ascontiguousarray(_turned(values, _orientation(image)))


def _extent_of_file(path: str, decoding: Decoding) -> tuple[str, Extent]:
    """(kind, extent) of the values in a file; "" where they cannot be read, which is told when it is decoded."""
    try:
        with _open_regular(path) as file:
            loaded = _load(file, decoding)
    except (Unreadable, OSError):
        return "", Extent()
    return ("", Extent()) if loaded.kind == BYTES else (loaded.kind, loaded.extent)


# Frames: of these formats several are pictures of their own, and not layers or sizes of one.
_SEVERAL = {"GIF", "PNG", "TIFF", "WEBP", "MPO", "AVIF", "FLI", "DCX"}


def _frame_count(image: Image.Image) -> int:
    """How many pictures a file holds, 1 where that cannot be told."""
    if image.format not in _SEVERAL:
        return 1
    try:
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # of a damaged file the first frame may be whole
        return 1


def _file_type(image: Image.Image) -> str:
    return "JPEG" if image.format == "MPO" else image.format or ""


def _not_an_image(start: bytes) -> str:
    if not start:
        return "is empty (0 bytes)"
    for magic, kind in _STARTS.items():
        if start.lower().startswith(magic.lower()):
            return f"is no image but {kind}"
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"):
        return "is a HEIC picture, which Pillow does not decode; convert it to JPEG or PNG"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start):
        return "is no image but text"
    return "is no image that Pillow knows"
