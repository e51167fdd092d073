"""Files and folders that are whole or not there: each is put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.lib import format as npy

from .engine import chunks
from .errors import OutputError
from .locks import is_at, lock
from .shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd


_PIECE = 8 << 20  # bytes that are gathered before they are written


_ELSEWHERE = "or write elsewhere (--artifacts DIR)"


_REASONS = {
    errno.ENOSPC: f"the disk is full. Free some space, {_ELSEWHERE}",
    errno.EDQUOT: f"your disk quota is used up. Free some space, {_ELSEWHERE}",
    errno.EFBIG: f"the file grew larger than is allowed here. Raise the limit, {_ELSEWHERE}",
    errno.EACCES: f"you have no permission to write there. Change that folder's mode or owner, {_ELSEWHERE}",
    errno.EPERM: f"you have no permission to write there. Change that folder's mode or owner, {_ELSEWHERE}",
    errno.EROFS: "that file system is read-only. Write elsewhere (--artifacts DIR)",
    errno.ENOTDIR: f"part of that path is a file, not a folder. Rename that file, {_ELSEWHERE}",
    errno.EEXIST: f"part of that path is a file, not a folder. Rename that file, {_ELSEWHERE}",
    errno.EISDIR: f"there is a folder of that name. Rename it, {_ELSEWHERE}",
    errno.ELOOP: f"that path is a link, and nothing is written through it. Remove the link, {_ELSEWHERE}",
    errno.ENAMETOOLONG: "that name is too long. Write elsewhere (--artifacts DIR)",
}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write; at the end it takes the place of `path`, at an error it vanishes.

    Readers see the old file or the whole new one, also after a power cut. Missing folders are made.
    Raises OutputError where the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "new", "a.txt")
    >>> with replacing(path) as file:
    ...     _ = file.write(b"whole")
    >>> path.read_bytes()
    b'whole'
    """
    path = Path(path)
    draft = _beside(path)
    with refusals(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        with _new_file(draft) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                draft.replace(path)  # while it is open: its lock tells others that it is no remnant
            except BaseException:
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
                raise


def check_writable(path: Path) -> None:
    """Raise OutputError where a file cannot be written: better now than after minutes of work."""
    draft = _beside(path)
    with refusals(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        try:
            _new_file(draft).close()
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def drafting(path: Path) -> Iterator[Path]:
    """Where to make a folder or a file; at the end it takes the place of `path`, at an error it vanishes.

    Nothing is there yet. What is at `path` is replaced whole, and the caller's to ask for. Missing folders are made.
    Raises OutputError where `path` cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "new")
    >>> with drafting(path) as draft:
    ...     draft.mkdir()
    ...     _ = (draft / "a.txt").write_text("whole")
    >>> [file.name for file in path.iterdir()], [file.name for file in path.parent.iterdir()]
    (['a.txt'], ['new'])
    """
    path = Path(path)
    with room(path) as folder:
        draft = folder / path.name
        try:
            yield draft
            put_in_place(draft, path, folder / "old")
        except OutputError as error:  # of a file within
            raise OutputError(str(error).replace(str(draft), str(path))) from error


@contextmanager
def room(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path`, where what is to take its place is made; it goes at the end.

    Raises OutputError where `path` cannot be written.
    """
    folder = _beside(path)
    with refusals(path, folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        descriptor = _new_folder(folder)
        try:
            yield folder
        finally:
            remove(folder)
            os.close(descriptor)


def python_text(text: object) -> str:
    """A path or other text as Python writes it, whatever is in it: for lines of code that are shown.

    >>> print(python_text(Path("my set")), python_text('a "b"'), python_text("a\\nb"))
    "my set" 'a "b"' "a\\nb"
    """
    literal = repr(str(text))
    return literal if '"' in literal else f'"{literal[1:-1]}"'


def put_in_place(draft: Path, path: Path, aside: Path) -> None:
    """Let a file or a folder take the place of `path` in one step; what was there goes last, by way of `aside`.

    Where the system cannot let two folders change places (Linux can, on most file systems) there are two steps, and
    between them `aside` is what was there. Raises OSError, with everything as it was.
    """
    if not path.is_dir():  # a folder takes the place of none that holds something
        draft.replace(path)
        return
    if _exchange(draft, path):
        draft.replace(aside)
    else:
        path.replace(aside)
        try:
            draft.replace(path)
        except BaseException:
            aside.replace(path)
            raise
    remove(aside)


# What renameat2 is told and answers, in Linux' numbers.
_EXCHANGE, _HERE = 2, -100


def _exchange(draft: Path, path: Path) -> bool:
    """Let two paths change places; whether the system can. Raises OSError where it may not."""
    import ctypes

    sys.audit("os.rename", draft, path, -1, -1)  # as of any other
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if not rename(_HERE, os.fsencode(draft), _HERE, os.fsencode(path), _EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), os.fspath(draft), None, os.fspath(path))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as the system lets it."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


# Drafts


_MARK = r"\.[0-9a-f]{12}\.tmp"


def _beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody uses."""
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.tmp")


def sweep(path: Path) -> None:
    """Remove the drafts of a file or a folder whose makers were killed: nobody holds their locks."""
    draft = re.compile(re.escape(f".{path.name[:32]}") + _MARK)
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            if draft.fullmatch(other.name):
                _remove_remnant(other)


def sweep_below(folder: Path) -> None:
    """Remove such drafts of anything in a folder that is the caller's own."""
    for path in list(folder.rglob(".*.tmp")):
        if re.fullmatch(rf"\..+{_MARK}", path.name):
            _remove_remnant(path)


def _remove_remnant(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if lock(descriptor):
                remove(path)
        finally:
            os.close(descriptor)


def _new_file(path: Path) -> BinaryIO:
    """A new file with its lock. In the moment before it has that, another process may take it for a remnant."""
    while True:
        file = path.open("xb+")
        if lock(file.fileno()) is not False and is_at(path, file.fileno()):
            return file
        file.close()
        remove(path)


def _new_folder(path: Path) -> int:
    """The descriptor of a new folder, with its lock."""
    while True:
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            if lock(descriptor) is not False and is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
        remove(path)


@contextmanager
def refusals(path: Path, draft: Path) -> Iterator[None]:
    """What the system says against writing `path`, by way of `draft`, as an OutputError with what to do.

    An error of any other file, met while this one is written, stays what it is.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        named = Path(error.filename) if isinstance(error.filename, str | os.PathLike) else draft
        if named not in (draft, path, *path.parents) and draft not in named.parents:
            raise
        blocking = next((above for above in path.parents if above.exists() and not above.is_dir()), None)
        if blocking is not None and error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise OutputError(f"{blocking} is a file, not a folder. Rename that file, {_ELSEWHERE}.") from error
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {reason}.") from error


def write_text(text: str, path: Path) -> None:
    """Write text in UTF-8, bytes of file names as they were, halves of characters as escapes. Raises OutputError."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "backslashreplace")
    with replacing(path) as file:
        file.write(data)


def write_npy(array: np.ndarray, path: Path) -> None:
    """Write an array as .npy, piece by piece. Raises OutputError."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    with replacing(path) as file:
        write_array(file, array, fortran, np.arange(len(array)) if array.ndim else None)


@dataclass(frozen=True)
class Streamed:
    """An array that is written as it comes: `pieces` are its entries, one by one, in the order of the first axis."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pieces: Iterable[np.ndarray]

    __repr__ = short_repr


def write_npz(arrays: Mapping[str, np.ndarray | Streamed], path: Path) -> None:
    """Write a stored .npz, whose arrays can be mapped: equal arrays give equal bytes. Raises OutputError."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as out:
        for key, array in arrays.items():
            with archive_member(out, key) as stream:
                if isinstance(array, Streamed):
                    _write_header(stream, array.dtype, False, array.shape)
                    for piece in array.pieces:
                        stream.write(np.ascontiguousarray(piece, array.dtype).tobytes())
                else:
                    write_array(stream, array, False, None)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, without its index: equal tables give equal bytes. Raises OutputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Without pandas' own metadata, which names the versions in use.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def archive_member(out: zipfile.ZipFile, key: str) -> BinaryIO:
    """A new array of an archive, without the time and the system that would make its bytes differ."""
    info = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return out.open(info, "w", force_zip64=True)  # type: ignore[return-value]


def write_array(stream: BinaryIO, array: np.ndarray, fortran: bool, kept: np.ndarray | None) -> None:
    """An .npy of the kept entries of the first axis, all for None; no copy of the whole is made."""
    fortran = fortran and array.ndim > 1
    _write_header(stream, array.dtype, fortran, array.shape if kept is None else (len(kept), *array.shape[1:]))
    for piece in _array_pieces(array, fortran, kept):
        whole = np.ascontiguousarray(piece)
        stream.write(whole.data if whole.dtype == np.uint8 else whole.tobytes())  # pixels without another copy


def _write_header(stream: BinaryIO, dtype: np.dtype, fortran: bool, shape: tuple[int, ...]) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": fortran, "shape": shape}
    try:
        npy.write_array_header_1_0(stream, header)
    except ValueError:  # a header of more than 65,535 bytes
        npy.write_array_header_2_0(stream, header)


def _array_pieces(array: np.ndarray, fortran: bool, kept: np.ndarray | None) -> Iterable[np.ndarray]:
    """The values in the order of the file, some megabytes at a time."""
    if not array.size:  # of which there may be more entries than can be counted
        return []
    if not array.ndim:
        return [array]
    if kept is None and not fortran:
        step = max(1, _PIECE // max(1, array[:1].nbytes))
        return (array[rows.start : rows.stop] for rows in chunks(len(array), step))
    if kept is None:
        kept = np.arange(len(array))
    if fortran:  # the first axis runs fastest: every line along it is filtered
        lines = array.T.reshape(-1, len(array)) if len(array) else array.T.reshape(0, 0)
        step = max(1, _PIECE // max(1, len(array) * array.itemsize))
        return (lines[rows.start : rows.stop, kept] for rows in chunks(len(lines), step))
    step = max(1, _PIECE // max(1, array[:1].nbytes))
    return (array[kept[rows.start : rows.stop]] for rows in chunks(len(kept), step))
