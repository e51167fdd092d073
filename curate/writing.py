"""Files that are whole or not there: cleaned sets, tables, arrays and text, each put in place in one step."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.lib import format as npy

from .archives import Archive
from .arrays import ArrayPictures
from .classes import as_strings, split_of_key
from .decoding import FilePictures
from .engine import cores, threaded
from .errors import DataError, OutputError
from .imageset import ImageSet, Unreadable, chunks
from .reading import CLASS_KEYS

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
    with _refusals(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb+") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


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
    draft, old = _beside(path), _beside(path)
    with _refusals(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            put_in_place(draft, path, old)
        except OutputError as error:  # of a file within
            raise OutputError(str(error).replace(str(draft), str(path))) from error
        finally:
            _remove(draft)


def put_in_place(made: Path, path: Path, aside: Path) -> None:
    """Let a file or a folder take the place of `path`; what was there goes last, a folder by way of `aside`.

    Raises OSError, with everything as it was.
    """
    if path.is_dir():  # a folder takes the place of none that holds something
        path.replace(aside)
    try:
        made.replace(path)
    except BaseException:
        if aside.exists():
            aside.replace(path)
        raise
    _remove(aside)


def _remove(made: Path) -> None:
    """Remove a file or a folder, as far as the system lets it."""
    shutil.rmtree(made, ignore_errors=True)
    with contextlib.suppress(OSError):
        made.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody uses."""
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.tmp")


@contextmanager
def _refusals(path: Path, draft: Path) -> Iterator[None]:
    """What the system says against writing `path`, as an OutputError with what to do."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        named = Path(error.filename) if isinstance(error.filename, str | os.PathLike) else draft
        if named not in (draft, path, *path.parents) and draft not in named.parents:
            raise  # of another file, met while writing this one
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {reason}.") from error


def write_text(text: str, path: Path) -> None:
    """Write text in UTF-8. Raises OutputError."""
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def write_npy(array: np.ndarray, path: Path) -> None:
    """Write an array as .npy, piece by piece. Raises OutputError."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    with replacing(path) as file:
        _write_array(file, array, fortran, np.arange(len(array)) if array.ndim else None)


@dataclass(frozen=True)
class Streamed:
    """An array that is written as it comes: `pieces` are its entries, one by one, in the order of the first axis."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pieces: Iterable[np.ndarray]


def write_npz(arrays: Mapping[str, np.ndarray | Streamed], path: Path) -> None:
    """Write a stored .npz, whose arrays can be mapped: equal arrays give equal bytes. Raises OutputError."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as out:
        for key, array in arrays.items():
            with _member(out, key) as stream:
                if isinstance(array, Streamed):
                    _write_header(stream, array.dtype, False, array.shape)
                    for piece in array.pieces:
                        stream.write(np.ascontiguousarray(piece, array.dtype).tobytes())
                else:
                    _write_array(stream, array, False, None)


def pixels_of(images: ImageSet, row: int) -> np.ndarray:
    """uint8 (H, W, 3): the pixels of an image that is to be written. Raises DataError where it cannot be decoded."""
    try:
        return images.images[row].pixels
    except Unreadable as error:
        raise DataError(
            f"{images.ids[row]} {error}. `curate scan {images.source.path}` makes a clean set without it: use that."
        ) from error


def set_arrays(
    images: ImageSet, rows: np.ndarray, progress: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray | Streamed]:
    """The arrays of an .npz of some rows of a set, as `read` takes them; pictures are decoded while they are written.

    images uint8 (n, H, W, 3), labels (soft ones where the set has them), ids, class_names; splits and groups as known.
    Raises DataError, also while writing, where the pictures are not all of one size.
    """
    shape = pixels_of(images, int(rows[0]) if len(rows) else 0).shape

    def pixels(row: int) -> np.ndarray:
        picture = pixels_of(images, row)
        if picture.shape != shape:
            sizes = " and ".join(f"{width}x{height}" for height, width, _ in (shape, picture.shape))
            raise DataError(
                f"the images are of several sizes, such as {sizes} ({images.ids[row]}); an array holds one size. "
                "Export them to a folder (--to folder), or bring them to one size (augment build --size 96)."
            )
        return picture

    def pieces() -> Iterator[np.ndarray]:
        # Reading an array holds the interpreter's lock, decoding files does not.
        workers = cores() if images.source.kind == "files" else 1
        for done, picture in enumerate(threaded(pixels, rows.tolist(), workers), 1):
            yield picture
            progress(done)

    arrays: dict[str, np.ndarray | Streamed] = {"images": Streamed((len(rows), *shape), np.dtype(np.uint8), pieces())}
    if images.labelled:
        # A column of one class would be read as numbers of classes.
        soft = images.soft if len(images.classes) > 1 else None
        arrays["labels"] = (images.labels if soft is None else soft)[rows]
    arrays["ids"] = np.array([images.ids[row] for row in rows], dtype=np.str_)
    if images.classes:
        arrays["class_names"] = np.array(images.classes, dtype=np.str_)
    if images.splits is not None:
        arrays["splits"] = np.array([images.splits[row] for row in rows], dtype=np.str_)
    if images.groups is not None:
        arrays["groups"] = images.groups[rows]
    return arrays


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, without its index: equal tables give equal bytes. Raises OutputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Without pandas' own metadata, which names the versions in use.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def clean_path(images: ImageSet, artifacts: Path) -> Path:
    """Where the cleaned copy of a set goes: clean.npz, or clean.csv for image files.

    Raises OutputError where that is the very file that the set was read from.
    """
    path = Path(artifacts, "clean.csv" if images.source.kind == "files" else "clean.npz")
    if path.exists() and images.source.path.exists() and path.samefile(images.source.path):
        raise OutputError(f"{path} is what was read, and no input is overwritten. Write elsewhere (--artifacts DIR).")
    return path


def write_clean(images: ImageSet, keep: np.ndarray, artifacts: Path) -> Path:
    """Write the rows that `keep` (bool, (N,)) names, and return the path of what was written.

    Of an archive: clean.npz with its keys, types and layouts; arrays of one entry per image are filtered.
    Added are `ids`, and `rows`, int64: each kept image's row in this set.
    Of a built set: clean.npz with images, labels (soft where they were), ids, class_names, splits, groups and `rows`.
    Of files: clean.csv with columns file, label, split, group (as far as known) and id, which `read` takes.
    What cannot be decoded is not to be kept. Raises OutputError, and DataError where the input has changed.
    """
    keep = np.asarray(keep)
    if keep.dtype != bool or keep.shape != (len(images),):
        raise DataError(f"keep is {keep.dtype} {keep.shape}; needed is one bool for each of {len(images):,} images.")
    path = clean_path(images, artifacts)
    if images.source.kind == "npz":
        _write_kept(images, keep, path)
    elif images.source.kind == "shards":
        rows = np.flatnonzero(keep)
        write_npz({**set_arrays(images, rows), "rows": rows}, path)
    else:
        write_list(images, keep, path)
    stale = path.with_suffix(".csv" if path.suffix == ".npz" else ".npz")
    with contextlib.suppress(OSError):
        stale.unlink(missing_ok=True)
    return path


def _write_kept(images: ImageSet, keep: np.ndarray, path: Path) -> None:
    archive = Archive(images.source.path)
    members = [key for key, _ in images.source.members]
    if not all(key in archive for key in members) or sum(archive.members[key].shape[0] for key in members) != len(
        images
    ):
        raise DataError(f"{images.source.path} has changed since it was read. Read it again.")
    parts = [(key, archive.members[key].shape[0]) for key in members]
    # Decompressed once already: what the set holds is used again.
    held = dict(zip(members, images.images.arrays, strict=True)) if isinstance(images.images, ArrayPictures) else {}
    rows = np.flatnonzero(keep)
    kept_ids = [images.ids[row] for row in rows]
    with replacing(path) as file, zipfile.ZipFile(file, "w") as out:
        for key, member in archive.members.items():
            array = held[key] if key in held else archive.array(key)
            of_set = None if _names_classes(key, array, images) else _rows_of(key, array.shape, parts)
            kept = None if of_set is None else np.flatnonzero(keep[of_set])
            if key == "rows" or (key == "ids" and not _same_ids(array, images.ids)):
                continue
            with _member(out, key) as stream:
                _write_array(stream, array, member.fortran, kept)
        if "ids" not in archive or not _same_ids(archive.array("ids"), images.ids):
            with _member(out, "ids") as stream:
                _write_array(stream, np.array(kept_ids, dtype=np.str_), False, np.arange(len(rows)))
        with _member(out, "rows") as stream:
            _write_array(stream, rows.astype(np.int64), False, np.arange(len(rows)))


def _member(out: zipfile.ZipFile, key: str) -> BinaryIO:
    """A new array of an archive, without the time and the system that would make its bytes differ."""
    info = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return out.open(info, "w", force_zip64=True)  # type: ignore[return-value]


def _names_classes(key: str, array: np.ndarray, images: ImageSet) -> bool:
    """Whether an array holds the names of the classes, however many they are."""
    named = key.lower() in CLASS_KEYS and array.size == len(images.classes)
    return named and tuple(as_strings(array.reshape(-1))) == images.classes


def _same_ids(array: np.ndarray, ids: Sequence[str]) -> bool:
    """Whether the archive's own ids are those of the set."""
    return array.size == len(ids) and tuple(as_strings(array.reshape(-1))) == tuple(ids)


def _rows_of(key: str, shape: tuple[int, ...], parts: Sequence[tuple[str, int]]) -> slice | None:
    """The rows of the set that an array holds one entry each for, None where it is not of that kind.

    parts   image key and number of images of each split, in row order
    """
    total = sum(size for _, size in parts)
    if shape and shape[0] == total and (len(parts) == 1 or not split_of_key(key)):
        return slice(0, total)
    start = 0
    for images, size in parts:
        if shape and shape[0] == size and split_of_key(key) == split_of_key(images):
            return slice(start, start + size)
        start += size
    return None


def _write_array(stream: BinaryIO, array: np.ndarray, fortran: bool, kept: np.ndarray | None) -> None:
    """An .npy of the kept entries of the first axis, all for None; no copy of the whole is made."""
    fortran = fortran and array.ndim > 1
    _write_header(stream, array.dtype, fortran, array.shape if kept is None else (len(kept), *array.shape[1:]))
    for piece in _pieces(array, fortran, kept):
        whole = np.ascontiguousarray(piece)
        stream.write(whole.data if whole.dtype == np.uint8 else whole.tobytes())  # pixels without another copy


def _write_header(stream: BinaryIO, dtype: np.dtype, fortran: bool, shape: tuple[int, ...]) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": fortran, "shape": shape}
    try:
        npy.write_array_header_1_0(stream, header)
    except ValueError:  # a header of more than 65,535 bytes
        npy.write_array_header_2_0(stream, header)


def _pieces(array: np.ndarray, fortran: bool, kept: np.ndarray | None) -> Iterable[np.ndarray]:
    """The values in the order of the file, some megabytes at a time."""
    if not array.ndim:
        return [array]
    if kept is None and not fortran:
        step = max(1, _PIECE // max(1, array[:1].nbytes))
        return (array[some.start : some.stop] for some in chunks(len(array), step))
    if kept is None:
        kept = np.arange(len(array))
    if fortran:  # the first axis runs fastest: every line along it is filtered
        lines = array.T.reshape(-1, len(array)) if len(array) else array.T.reshape(0, 0)
        step = max(1, _PIECE // max(1, len(array) * array.itemsize))
        return (lines[some.start : some.stop, kept] for some in chunks(len(lines), step))
    step = max(1, _PIECE // max(1, array[:1].nbytes))
    return (array[kept[some.start : some.stop]] for some in chunks(len(kept), step))


def _group_names(groups: np.ndarray) -> Callable[[int], str]:
    """A row's group as text, "" for none."""
    return lambda row: str(groups[row]) if groups[row] >= 0 else ""


def write_list(images: ImageSet, keep: np.ndarray, path: Path) -> None:
    pictures = images.images
    root = images.source.root or images.source.path.parent
    columns = {
        "label": images.label_name if images.labelled else None,
        "split": images.splits.__getitem__ if images.splits is not None else None,
        "group": _group_names(images.groups) if images.groups is not None else None,
        "id": images.ids.__getitem__,
    }
    known = {name: value for name, value in columns.items() if value is not None}
    folders: dict[str, str] = {}
    beside = os.path.realpath(path.parent)

    def place(row: int) -> str:
        """The file of a row as seen from the list: links in the way would lead ".." astray."""
        full = pictures.path(row) if isinstance(pictures, FilePictures) else str(root / images.ids[row])
        folder, name = os.path.split(full)
        if folder not in folders:
            real = os.path.realpath(folder)
            try:
                folders[folder] = os.path.relpath(real, beside)
            except ValueError:  # another drive
                folders[folder] = real
        return os.path.normpath(os.path.join(folders[folder], name)).replace(os.sep, "/")  # noqa: PTH118

    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        try:
            # Everything is quoted, so that leading spaces and a name such as "#1" come back as they were.
            table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
            table.writerow(["file", *known])
            for row in np.flatnonzero(keep).tolist():
                table.writerow([place(row), *(value(row) for value in known.values())])
        finally:
            text.detach()
