"""Ways to break inputs, each drawn by a generator: bytes, documents, tables, arrays, archives, pictures, folders."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

T = TypeVar("T")
Rng = np.random.Generator


def one_of(rng: Rng, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]


# Of any file


def break_bytes(path: Path, rng: Rng) -> str:
    """Break a file whatever it holds, and say how."""
    data = path.read_bytes()
    how = one_of(rng, ["gone", "empty", "cut", "flipped", "noise", "zeros", "folder", "loop", "twice"])
    if how in ("gone", "folder", "loop"):
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "loop":
        path.symlink_to(path.name)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(data[: int(rng.integers(len(data) or 1))])
    elif how == "flipped":
        path.write_bytes(flipped(data, rng))
    elif how == "noise":
        path.write_bytes(rng.bytes(len(data)))
    elif how == "zeros":
        start = int(rng.integers(len(data) or 1))
        path.write_bytes(data[:start] + bytes(64) + data[start + 64 :])
    elif how == "twice":
        path.write_bytes(data + data)
    return how


def flipped(data: bytes, rng: Rng, most: int = 20) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, most + 1)) if changed else 0):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


# Documents

WORDS: tuple[object, ...] = (
    None, True, "", "x", -1, 0, 2**80, 1e308, float("nan"), float("inf"), [], {}, [None], {"a": {"b": []}}, "\ud800",
    "../../x", "a" * 10_000, [[1, 2], [3]],
)  # fmt: skip


def break_json(path: Path, rng: Rng) -> str:
    """Break a JSON object, and say how."""
    text = one_of(rng, ["{}", "[]", "null", "{", "3", '"x"', "[" * 50_000, "", "{}{}", "\x00", '{"format": 1}'])
    if rng.random() < 0.3:
        path.write_text(text)
        return f"is {text[:20]}"
    document = json.loads(path.read_text("utf-8"))
    place, key = _some_place(document, rng)
    how = one_of(rng, ["less", "more", "other", "renamed"])
    if how == "less":
        del place[key]
    elif how == "more" and isinstance(place, dict):
        place["new"] = one_of(rng, WORDS)
    elif how == "renamed" and isinstance(place, dict):
        place[f"{key}x"] = place.pop(key)
    else:
        place[key] = copy.deepcopy(one_of(rng, WORDS))
    path.write_text(json.dumps(document), "utf-8")
    return f"{key}: {how}"


def _some_place(document: Any, rng: Rng) -> tuple[Any, Any]:
    """A dictionary or a list within a document, and a key of it."""
    place = document
    while True:
        key = one_of(rng, list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.4:
            return place, key
        place = inner


# Tables


def break_parquet(path: Path, rng: Rng) -> str:
    """Break a table, and say how."""
    table = pd.read_parquet(path)
    column = one_of(rng, list(table.columns))
    how = one_of(rng, ["less", "text", "number", "nulls", "shorter", "twice", "wild", "shuffled", "none", "nested"])
    if how == "less":
        table = table.drop(columns=column)
    elif how == "text":
        table[column] = table[column].astype(str)
    elif how == "number":
        table[column] = np.arange(len(table), dtype=np.float64)
    elif how == "nulls":
        table[column] = table[column].astype(object)
        table.loc[table.index[::2], column] = None
    elif how == "shorter":
        table = table.iloc[: len(table) // 2]
    elif how == "twice":
        table = pd.concat([table, table])
    elif how == "wild":
        kind = table[column].dtype.kind
        value: object = {"i": one_of(rng, [-5, 10**12]), "f": one_of(rng, [np.nan, np.inf, -1e30]), "b": True}.get(
            kind, "\0?"
        )
        table.loc[table.index[:3], column] = value
    elif how == "shuffled":
        table[column] = rng.permutation(table[column].to_numpy())
    elif how == "none":
        table = table.iloc[:0]
    else:
        table[column] = [[1, 2]] * len(table)
    table.to_parquet(path, index=False)
    return f"{column}: {how}"


def break_text(path: Path, rng: Rng) -> str:
    """Break a text file of lines, and say how."""
    lines = path.read_bytes().splitlines(keepends=True) or [b""]
    at = int(rng.integers(len(lines)))
    how = one_of(
        rng, ["quote", "less", "swapped", "headless", "nul", "utf-16", "long", "comma", "doubled", "bytes", "blank"]
    )
    if how == "quote":
        lines[at] = b'"' + lines[at]
    elif how == "less":
        lines[at] = lines[at].partition(b",")[0] + b"\n"
    elif how == "swapped":
        lines[at] = b",".join(reversed(lines[at].strip().split(b","))) + b"\n"
    elif how == "headless":
        lines = lines[1:]
    elif how == "nul":
        lines[at] = lines[at][:4] + b"\0" + lines[at][4:]
    elif how == "utf-16":
        lines = [b"".join(lines).decode("utf-8", "replace").encode("utf-16")]
    elif how == "long":
        lines[at] = b"x" * 300_000 + lines[at]
    elif how == "comma":
        lines[at] = b"," * 30 + lines[at]
    elif how == "doubled":
        lines += lines
    elif how == "blank":
        lines[at] = b"\n\n"
    else:
        lines[at] = rng.bytes(30) + b"\n"
    path.write_bytes(b"".join(lines))
    return how


# Arrays and archives


def odd_array(array: np.ndarray, rng: Rng) -> np.ndarray:
    """An array in the place of another: of another type, shape or length, or with other values."""
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: array[:-1],
        lambda: np.concatenate([array, array[:1]]),
        lambda: array[:0],
        lambda: array[None],
        lambda: array.reshape(-1),
        lambda: array.astype(object),
        lambda: np.array(3),
        lambda: np.array("x"),
        lambda: np.zeros((len(array), 0)),
        lambda: np.zeros((2**40, 0)),
        lambda: np.full(array.shape, np.nan),
        lambda: np.full(array.shape, np.inf, np.float32),
        lambda: np.full(array.shape, 2**62),
        lambda: np.full(array.shape, -(2**40)),
        lambda: np.zeros(array.shape, complex),
        lambda: np.zeros(array.shape, "datetime64[s]"),
        lambda: np.zeros(array.shape, "V8"),
        lambda: np.zeros(array.shape, [("a", "i4"), ("b", "f8")]),
        lambda: np.full(array.shape, "\ud800"),
        lambda: np.full(array.shape, "a\0b\x1b[31m"),
        lambda: np.full(array.shape, b"\xff\xfe"),
        lambda: np.asfortranarray(np.zeros(array.shape[::-1])),
        lambda: np.zeros(array.shape, bool),
        lambda: rng.normal(size=array.shape),
        lambda: rng.integers(0, 2**16, array.shape).astype(">u2"),
        lambda: np.zeros((*array.shape, 5), np.uint8),
        lambda: np.zeros(array.shape[:2], np.float16),
    ]
    return one_of(rng, kinds)()


def _header(shape: object, dtype: str = "|u1", fortran: object = False) -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


HEADERS = (
    _header((12, 24, 24, 3)),
    _header((2**62, 2**62)),
    _header((-1, 24)),
    _header("(12"),
    _header((12,), "O"),
    _header((12,), "<f99"),
    _header((12,), "__import__('os').system('touch ran')"),
    _header("__import__('os').system('touch ran')"),
    _header((12, 24, 24, 3), "|u1", "open('ran', 'w')"),
    b"\x93NUMPY\x09\x00" + bytes(80),
    b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
    b"\x80\x04\x95cposix\nsystem\n",
)


def break_archive(path: Path, arrays: Mapping[str, np.ndarray], rng: Rng) -> str:
    """Write an archive of some arrays that is broken in one way, and say how."""
    how = one_of(
        rng, ["array", "array", "array", "less", "header", "twice", "name", "method", "bytes", "bomb", "npy", "inner"]
    )
    key = one_of(rng, list(arrays))
    if how == "array":
        np.savez(path, **{**arrays, key: odd_array(arrays[key], rng)})  # type: ignore[arg-type]
        return f"{key}: {np.load(path, allow_pickle=True)[key].dtype}"
    if how == "less":
        np.savez(path, **{name: array for name, array in arrays.items() if name != key})  # type: ignore[arg-type]
    elif how == "npy":
        np.save(path.with_suffix(""), odd_array(arrays[key], rng), allow_pickle=True)
        path.with_suffix(".npy").rename(path)
    elif how == "bomb":
        _write_members(path, arrays, {f"{key}.npy": _header((4, 2**30)) + bytes(1 << 22)}, zipfile.ZIP_DEFLATED)
    elif how == "header":
        _write_members(path, arrays, {f"{key}.npy": one_of(rng, HEADERS)})
    elif how == "twice":
        _write_members(path, arrays, {f"{key}.npy": _npy(odd_array(arrays[key], rng))}, first=True)
    elif how == "name":
        name = one_of(rng, ["../x", "/x", "a\\b", "", ".", "\n", "x" * 5000, "images ", "IMAGES", "labels.npy"])
        _write_members(path, arrays, {f"{name}.npy": _npy(np.zeros(12))}, first=True)
    elif how == "method":
        method = one_of(rng, [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
        _write_members(path, arrays, {}, method)
        path.write_bytes(flipped(path.read_bytes(), rng, 3))
    elif how == "inner":
        np.savez(path, **arrays)  # type: ignore[arg-type]
        _write_members(path, arrays, {f"{key}.npy": path.read_bytes()})
    else:
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return break_bytes(path, rng)
    return f"{key}: {how}"


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _write_members(
    path: Path, arrays: Mapping[str, np.ndarray], other: Mapping[str, bytes], method: int = 0, *, first: bool = False
) -> None:
    """An archive of arrays, some members other ones; `first`: beside those of the same name."""
    members = [(f"{key}.npy", _npy(array)) for key, array in arrays.items() if first or f"{key}.npy" not in other]
    import warnings

    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of two members of one name
        for name, data in [*members, *other.items()]:
            archive.writestr(name, data)


# Pictures

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def break_picture(path: Path, picture: np.ndarray, rng: Rng) -> str:
    """Write a picture that is broken in one way, and say how: "cut", "empty", "text" ... of which format."""
    kind = one_of(rng, FORMATS)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind)
    data = stream.getvalue()
    how = one_of(rng, ["cut", "flipped", "empty", "text", "header", "ending", "appended", "large"])
    if how == "cut":
        data = data[: int(len(data) * rng.uniform(0, 0.5))]
    elif how == "flipped":
        data = flipped(data, rng)
    elif how == "empty":
        data = b""
    elif how == "text":
        data = one_of(rng, [b"no image", b"<html>", b"%PDF-1.4", b"PK\x03\x04", b"GIF89a", b"\xff\xd8\xff", b"II*\0"])
    elif how == "header":
        data = flipped(data[:32], rng, 4) + data[32:]
    elif how == "appended":
        data += rng.bytes(1000)
    elif how == "large":
        stream = io.BytesIO()
        Image.new("1", one_of(rng, [(30_000, 30_000), (65_000, 2), (1, 60_000)])).save(stream, "PNG")
        data = stream.getvalue()
    path.unlink(missing_ok=True)
    path.with_suffix(".jpg" if how == "ending" else f".{kind.lower()}").write_bytes(data)
    return f"{how} {kind}"


# Folders


def break_folder(folder: Path, rng: Rng) -> str:
    """Put something that is no picture of a class into a folder of them, and say what."""
    how = one_of(
        rng,
        ["fifo", "socket", "device", "self", "around", "dangling", "name", "closed", "deep", "hidden", "table", "empty",
         "nested", "case"],
    )  # fmt: skip
    inside = one_of(rng, [folder, *sorted(path for path in folder.iterdir() if path.is_dir())])
    if how == "fifo":
        os.mkfifo(inside / "pipe.png")
    elif how == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(inside)  # a socket's path is short
            server.bind("socket.png")
            os.chdir(here)
    elif how == "device":
        (inside / "device.png").symlink_to(one_of(rng, ["/dev/zero", "/dev/null", "/dev/tty"]))
    elif how == "self":
        (inside / one_of(rng, ["self.png", "self", "labels.csv"])).symlink_to("self.png")
        (inside / "self.png").symlink_to("self.png") if not (inside / "self.png").is_symlink() else None
    elif how == "around":
        (inside / "around").symlink_to("..")
    elif how == "dangling":
        (inside / "gone.png").symlink_to("nowhere.png")
    elif how == "name":
        name = one_of(
            rng, [b"\xff\xfe.png", b"a\nb.png", b"\x1b[31m.png", b"-rf.png", "\u202e.png".encode(), b"x" * 250]
        )
        shutil.copy(next(folder.rglob("*.png")), os.fsencode(inside) + b"/" + name)
    elif how == "closed":
        (inside / "closed").mkdir()
        (inside / "closed").chmod(0)
    elif how == "deep":
        deep = inside
        for _ in range(100):
            deep /= "d"
        deep.mkdir(parents=True)
        shutil.copy(next(folder.rglob("*.png")), deep / "x.png")
    elif how == "table":
        (inside / "labels.csv").write_bytes(rng.bytes(300))
    elif how == "empty":
        shutil.rmtree(inside)
        inside.mkdir()
    elif how == "nested":
        shutil.copytree(folder, folder.parent / "copy")
        (folder.parent / "copy").rename(inside / "copy")
    else:
        (inside / ("Thumbs.db" if how == "hidden" else "A.PNG")).write_bytes(rng.bytes(50))
    return how
