"""What this toolkit wrote itself: it is never read as part of the set that it lies among."""

# Paths are plain strings, as in walking.py.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection

# The record that an export leaves in its folder. It begins with _: Arrow, Spark and pandas skip such files.
EXPORT = "_export.json"
# The list of the images that an export to a folder has.
TABLE = "ids.csv"
_MANIFEST, _LOCK, _SHARD, _ROWS = "manifest.json", ".lock", "part-00000.npz", "rows.parquet"
_KEYS = {"format", "stage", "outputs", "versions"}  # of every manifest
_STAGE_FOLDERS = {"scan", "built", "runs", "tuning", "export"}
# What lies in the artifacts beside those folders.
_LOOSE = frozenset(("clean.npz", "clean.csv", "clean.json", "decisions.jsonl", "splits.csv", "selftest.json"))
# What is written beside the artifacts, as long as nobody says where.
_BESIDE = "predictions.csv"
_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNED = b"Software\0Trustset"
_HEAD = len(_PNG) + 25  # the signature of a PNG and its first chunk


def is_output_folder(folder: str, names: Collection[str]) -> bool:
    """Whether a folder, with entries of these names, is one that a stage has made or is making."""
    if EXPORT in names or (_SHARD in names and _ROWS in names):
        return True
    if folder.rstrip("/").endswith(".partial") and _LOCK in names:
        return True
    return _MANIFEST in names and _is_manifest(os.path.join(folder, _MANIFEST))


def is_beside_outputs(name: str, names: Collection[str]) -> bool:
    """Whether a file of that name is the toolkit's own among entries of these names: clean.csv beside scan/."""
    return (name in _LOOSE and not _STAGE_FOLDERS.isdisjoint(names)) or (name == _BESIDE and "artifacts" in names)


def exported_classes(path: str | os.PathLike[str]) -> list[str]:
    """The classes of the set whose export to a folder wrote that list, in their order; [] of any other list."""
    folder, name = os.path.split(path)
    if name != TABLE:
        return []
    try:
        with open(os.path.join(folder, EXPORT), encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):  # no export, or its record is damaged: the list says all but this
        return []
    classes = document.get("classes") if isinstance(document, dict) else None
    return [str(name) for name in classes] if isinstance(classes, list) else []


def sign_png(png: bytes) -> bytes:
    """A PNG that says who drew it; its pixels are the same.

    >>> sign_png(b"not a PNG")
    b'not a PNG'
    """
    if not png.startswith(_PNG):
        return png
    chunk = b"tEXt" + _SIGNED
    signature = len(_SIGNED).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return png[:_HEAD] + signature + png[_HEAD:]


def is_signed(path: str) -> bool:
    """Whether a file is a picture that this toolkit drew: a contact sheet, a sheet of heat maps."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD + 8 + len(_SIGNED))
    except OSError:  # it is told of when it is decoded
        return False
    return head.startswith(_PNG) and head.endswith(_SIGNED)


def _is_manifest(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):  # somebody else's, or damaged: its folder is read like any other
        return False
    return isinstance(document, dict) and document.keys() >= _KEYS
