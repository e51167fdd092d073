"""The arrays of an .npz or .npy file, mapped into memory or streamed, never unpickled."""

from __future__ import annotations

import lzma
import math
import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from ..stage.errors import DataError, OutputError
from ..stage.shortness import short_repr

HELD_IN_MEMORY = 1 << 30  # bytes of decompressed arrays above which they go to a temporary file
# Times that pictures become smaller when they are packed, at most; all black ones do so a thousand times.
_PACKING = 200
MAPPED_FROM = 1 << 20  # smaller arrays are read, which checks their CRC at no cost
_PIECE = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError,
    OverflowError, NotImplementedError, RuntimeError, SyntaxError, TypeError, tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One array of an archive, known by its header.

    name     of the zip member, "" for a plain .npy
    start    bytes of the .npy header before the data
    at       offset of the data in the file, None where it is compressed
    packed   bytes that it takes in the file
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    start: int
    at: int | None
    packed: int = 0

    __repr__ = short_repr

    @property
    def order(self) -> Literal["C", "F"]:
        return "F" if self.fortran else "C"

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class OpenFile:
    """A file that is open for reading until nobody needs it any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # it was never opened
            os.close(self._descriptor)

    def fill(self, array: np.ndarray, at: int) -> None:
        """Fill a C-contiguous array with the bytes from `at` on. Raises DataError where the file ends before."""
        left = memoryview(array.reshape(-1).view(np.uint8).data) if array.size else memoryview(b"")
        while left:
            count = os.preadv(self._descriptor, [left], at)
            if not count:
                raise DataError(f"{self.path} was cut short while it was read. Save it whole, then begin again.")
            left, at = left[count:], at + count


class FileArray(np.memmap):
    """An array of a file whose entries, along the first axis, are read when they are asked for.

    To read them from the mapping would end the process without a word where the file is cut short meanwhile. Slices and
    rows in C order come from the file, and so do flat views; anything else comes from the mapping.
    """

    _file: OpenFile | None = None
    _origin: tuple[int, int] = (0, 0)  # where the file's first entry is, in memory and in the file

    @classmethod
    def of(cls, path: Path, member: Member, at: int) -> FileArray:
        """The array of a member that is stored in a file from `at` on."""
        array = cls(path, member.dtype, "r", at, member.shape, member.order)
        array._file = OpenFile(path)
        array._origin = (array.__array_interface__["data"][0], at)
        return array

    def __array_finalize__(self, other: object) -> None:
        super().__array_finalize__(other)
        if getattr(self, "_mmap", None) is not None:
            self._file, self._origin = getattr(other, "_file", None), getattr(other, "_origin", (0, 0))

    def __getitem__(self, index: Any) -> Any:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if self._file is None or not self.ndim or not self.flags.c_contiguous:
            return super().__getitem__(index)
        if isinstance(first, int | np.integer):
            row = range(len(self))[first]
            return self._entries(row, row + 1)[0][tuple(rest)]
        if isinstance(first, slice) and first.step in (None, 1):
            start, stop, _ = first.indices(len(self))
            return self._entries(start, stop)[(slice(None), *rest)]
        if isinstance(first, np.ndarray) and first.dtype.kind in "iu" and first.ndim == 1 and not rest:
            runs = np.split(first, np.flatnonzero(np.diff(first) != 1) + 1) if len(first) else []
            pieces = [self._entries(int(run[0]), int(run[-1]) + 1) for run in runs]
            return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *pieces])
        return super().__getitem__(index)

    def _entries(self, start: int, stop: int) -> np.ndarray:
        assert self._file is not None
        memory, at = self._origin
        offset = self.__array_interface__["data"][0] - memory + at
        entries = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        self._file.fill(entries, offset + start * (self.strides[0] if self.size else 0))
        entries.flags.writeable = False  # as those of the mapping
        return entries


def signature_of(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file is saved anew: which file it is, its size and its time."""
    return status.st_ino, status.st_size, status.st_mtime_ns


class Archive:
    """The arrays of one file by key. A plain .npy is an archive of one array, "images".

    members   key -> Member, in the order of the file
    unread    key -> why that array cannot be read
    notes     sentences on how the arrays read so far are kept
    signature of the file, which changes when it is saved anew
    remedy    what to do where the file is no archive

    Raises DataError where the file is missing, damaged or no archive.
    """

    def __init__(self, path: Path, remedy: str = "Save it with np.savez(path, images=..., labels=...).") -> None:
        self.path, self.remedy = path, remedy
        self.members: dict[str, Member] = {}
        self.unread: dict[str, str] = {}
        self.notes: list[str] = []
        self._held = 0
        with self._guarded(), path.open("rb") as file:
            self.signature = signature_of(os.fstat(file.fileno()))
            magic = file.read(len(npy.MAGIC_PREFIX))
            if magic == npy.MAGIC_PREFIX:
                file.seek(0)
                self._add("images", "", file, 0, path.stat().st_size)
            elif not zipfile.is_zipfile(file):
                raise DataError(f"{path} is {_kind(magic)}. {remedy}")
            else:
                with zipfile.ZipFile(file) as archive:
                    self._list(archive, file)

    def __contains__(self, key: object) -> bool:
        return key in self.members

    def array(self, key: str) -> np.ndarray:
        """The array of that key, read-only: mapped where it is stored, else decompressed; or DataError."""
        if key in self.unread:
            raise DataError(f"{self.path}: {key} {self.unread[key]}")
        member = self.members[key]
        self._check_packing(key, member)
        with self._guarded(key):
            if not member.nbytes:
                array = np.zeros(member.shape, member.dtype)
            elif member.at is not None and member.nbytes >= self._mapped_from(member):
                array = FileArray.of(self.path, member, member.at)
            elif self._held + member.nbytes <= HELD_IN_MEMORY:
                self._held += member.nbytes
                flat = np.empty(member.nbytes, np.uint8)
                filled = memoryview(flat.data)
                at = 0
                for piece in self._member_pieces(member):
                    filled[at : at + len(piece)] = piece
                    at += len(piece)
                array = flat.view(member.dtype).reshape(member.shape, order=member.order)
            else:
                array = self._unpacked(key, member)
        array.flags.writeable = False
        return array

    def _check_packing(self, key: str, member: Member) -> None:
        """Raise DataError where an array is packed as no pictures are, and would fill the disk."""
        if member.at is None and member.nbytes > max(HELD_IN_MEMORY, _PACKING * member.packed):
            raise DataError(
                f"{self.path}: {key} takes {member.packed / 1e6:,.1f} MB and would be {member.nbytes / 1e9:,.1f} GB "
                f"once unpacked, more than {_PACKING} times as much, as no pictures are. If it is what you want, save "
                "it with np.savez."
            )

    def _mapped_from(self, member: Member) -> int:
        """Bytes from which on a stored array is mapped: what is not of pictures is better read at once."""
        return MAPPED_FROM if len(member.shape) >= 3 else max(MAPPED_FROM, HELD_IN_MEMORY - self._held + 1)

    def _unpacked(self, key: str, member: Member) -> np.ndarray:
        """The array, decompressed into a temporary file without a name that goes when the array does."""
        size = f"{member.nbytes / 1e9:.1f} GB"
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if member.nbytes > free:
            raise OutputError(
                f"cannot decompress {key} of {self.path} ({size}) into {tempfile.gettempdir()}: {free / 1e9:.1f} GB "
                "are free. Set TMPDIR to a folder with room, or save it with np.savez."
            )
        with tempfile.TemporaryFile() as file:
            for piece in chain(self._member_pieces(member), [b""]):  # the last one flushes
                try:
                    file.write(piece) if piece else file.flush()
                except OSError as error:
                    raise OutputError(
                        f"cannot decompress {key} of {self.path} ({size}) into {tempfile.gettempdir()}: "
                        f"{error.strerror}. Set TMPDIR to a folder with room, or save it with np.savez."
                    ) from error
            self.notes.append(f"{key} is compressed: {size} were unpacked into a temporary file; np.savez avoids this")
            return np.asarray(np.memmap(file, member.dtype, "r", 0, member.shape, member.order))

    def _member_pieces(self, member: Member) -> Iterator[bytes]:
        """The data of one array in pieces, checked against its CRC on the way."""
        with self._stream(member) as stream:
            stream.read(member.start)
            left = member.nbytes
            while left:
                piece = stream.read(min(_PIECE, left))
                if not piece:
                    raise EOFError("it ends too early")
                left -= len(piece)
                yield piece

    @contextmanager
    def _stream(self, member: Member) -> Iterator[IO[bytes]]:
        if not member.name:
            with self.path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(member.name) as file:
                yield file

    def _list(self, archive: zipfile.ZipFile, file: IO[bytes]) -> None:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            at = _data_offset(file, info) if info.compress_type == zipfile.ZIP_STORED else None
            with archive.open(info) as stream:
                self._add(
                    info.filename.removesuffix(".npy"), info.filename, stream, at, info.file_size, info.compress_size
                )
        if not self.members and not self.unread:
            raise DataError(f"{self.path} holds no arrays. {self.remedy}")

    def _add(self, key: str, name: str, stream: IO[bytes], at: int | None, size: int, packed: int = 0) -> None:
        """Note one array by its header; one of Python objects or of an unknown format is noted as unread."""
        version = npy.read_magic(stream)
        if version > (2, 0):  # written only for field names beyond Latin-1, which no image array has
            self.unread[key] = f"is in .npy format {version[0]}.{version[1]}, which is not read."
            return
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            self.unread[key] = (
                "holds Python objects, which could run code when loaded and are never read. "
                "Save numbers as one array, np.stack(images) if all have one size, and text with "
                "np.array(names, dtype=str); images of several sizes belong into files, one folder per class."
            )
            return
        start = stream.tell()
        member = Member(name, shape, dtype, fortran, start, None if at is None else at + start, packed)
        if min(shape, default=0) < 0 or start + member.nbytes > size:
            raise DataError(f"{self.path} is damaged ({key}: it ends too early). Copy or download it again.")
        self.members[key] = member

    @contextmanager
    def _guarded(self, key: str = "") -> Iterator[None]:
        """Whatever a missing or damaged file makes zipfile, zlib and numpy raise, as one DataError."""
        try:
            yield
        except (DataError, OutputError):
            raise
        except FileNotFoundError as error:
            raise DataError(f"{self.path} does not exist.") from error
        except PermissionError as error:
            raise DataError(f"{self.path} may not be read: no permission. Change its mode or owner.") from error
        except MemoryError as error:
            raise DataError(f"{self.path}: {key or 'the list of arrays'} needs more memory than there is.") from error
        except _DAMAGE as error:
            reason = f"{key + ': ' if key else ''}{error or type(error).__name__}"
            raise DataError(f"{self.path} is damaged ({reason}). Copy or download it again.") from error


def _data_offset(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its local header may be longer than the central directory says."""
    file.seek(info.header_offset)
    header = file.read(30)
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + int(name) + int(extra)


def _kind(magic: bytes) -> str:
    """What a file that is no archive seems to be."""
    if not magic:
        return "empty"
    if magic.startswith(b"PK"):
        return "a truncated .npz archive: its end is missing"
    if magic.startswith(b"\x80"):
        return "a pickle, which could run code when loaded and is never read"
    return "no .npz archive"
