"""One image file to one Picture, and what is wrong with a file that is none."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH116, PTH118, PTH122, PTH123

from __future__ import annotations

import functools
import os
import stat
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .arrays import bit_scale, check_finite, on_white, scale_of, to_rgb
from .imageset import Picture, Unreadable

# Pillow only names these, needs an operating system's help or starts another program (EPS) to draw them.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
_LOOKED_AT = 100  # files whose headers describe a set
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


def looks_like_image(path: str) -> bool:
    """Whether a file begins as an image does, whatever it is called."""
    try:
        with _open_regular(path) as file, Image.open(file, formats=_formats()[0]):
            return True
    except Exception:
        return False


class FilePictures:
    """Pictures in files below `root`, decoded when they are read.

    names   N paths, relative to `root` or absolute
    """

    def __init__(self, root: str | os.PathLike[str], names: Sequence[str]) -> None:
        self.root = os.fspath(root)
        self.names = tuple(names)
        # Of each file, when it was first read: time and size, -1 where it was missing; zeros where it was not read.
        self._seen = np.zeros((len(self.names), 2), np.int64)
        # What matters in Pillow's warnings is checked in `decode`. Set once and for good, because
        # warnings.catch_warnings around each picture is not safe among threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Picture:
        if not self._seen[row].any():
            self._seen[row] = _time_and_size(self.path(row))
        return decode(self.path(row))

    def changed(self) -> list[int]:
        """Rows whose files are others by now than when they were first read, or have gone, or come."""
        rows = np.flatnonzero(self._seen.any(axis=1)).tolist()
        return [row for row in rows if _time_and_size(self.path(row)) != tuple(self._seen[row].tolist())]

    def path(self, row: int) -> str:
        """The file of one row."""
        return os.path.join(self.root, self.names[row])

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


def decode(path: str | os.PathLike[str]) -> Picture:
    """The picture in a file: upright, its first frame, on white where it is transparent.

    `raw` is the same RGB array for every file of 8 bits, so that one picture in two formats has one digest;
    of 16-bit and float files it is the array as decoded. Raises Unreadable.
    """
    path = os.fspath(path)
    try:
        with _open_regular(path) as file:
            return _decode(file)
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable("does not exist") from None
    except PermissionError:
        raise Unreadable("may not be read: no permission") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


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


def _decode(file: BinaryIO) -> Picture:
    try:
        with Image.open(file, formats=_formats()[0]) as image:
            _check_size(image)
            image.load()
            upright = _upright(image)
            pixels, raw = _to_pixels(upright)
            return Picture(pixels, raw, _file_type(image))
    except Unreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable(_TOO_LARGE.format(limit=Image.MAX_IMAGE_PIXELS or 0)) from None
    except UnidentifiedImageError:
        file.seek(0)
        raise Unreadable(_not_an_image(file.read(64))) from None
    except MemoryError:
        raise Unreadable("needs more memory than there is; scale it down") from None
    # Pillow's decoders raise whatever the damaged bytes lead them to: SyntaxError, struct.error, KeyError ...
    except Exception as error:
        reason = str(error) or type(error).__name__
        damage = "is cut short" if "truncated" in reason.lower() else "is damaged"
        raise Unreadable(f"{damage} ({reason})") from error


_TOO_LARGE = (
    "has more than the {limit:,} pixels that are decoded; scale it down, "
    "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust its source"
)


def _check_size(image: Image.Image) -> None:
    """Pillow raises only at twice its limit and warns below; here the limit holds."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Unreadable(_TOO_LARGE.format(limit=limit))


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; damaged EXIF data says nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image
    except Exception:
        return image


def _to_pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, raw) of a loaded image of any mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.dtype.kind in "iu":
            low, high = int(values.min()), int(values.max())
            if low >= 0 and high < 2**16:
                values = values.astype(np.uint16)  # in native byte order, whatever mode the file is in
                return to_rgb(bit_scale(high)(values)), values
        check_finite(values, None)
        return to_rgb(scale_of([values])(values)), values
    try:
        if image.has_transparency_data:
            pixels = on_white(np.asarray(image.convert("RGBA")))
        else:
            pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise Unreadable(f"is in colour mode {image.mode}, which is not converted; save it as RGB") from error
    return pixels, pixels


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
