"""The files below a folder: the images, the tables beside them, and what was left out and why."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH118, PTH122

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..stage.errors import DataError
from ..stage.lines import counted
from ..stage.shortness import short_repr
from .decoding import has_image_extension, looks_like_image
from .outputs import is_beside_outputs, is_output_folder, is_signed
from .paths import printable
from .sheets import SHEET_SUFFIXES, SPREADSHEETS

_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}
_TEXTS = (".txt", ".json", ".md", ".xml")
_SNIFFED = 100  # files without an image's extension that are looked into
_SHEETS = 1000  # more drawings in a folder than this are not looked into
_CLASS_SHEETS = 100  # the same in a folder of images alone, of which a set may have thousands


@dataclass
class FoundFiles:
    """What lies below a folder, by paths with "/".

    images, tables   those that are read, sorted
    hidden, disguised, outputs, dangling, special   files and folders that are left out
    veiled   folder hidden by a leading dot -> images below it
    strange  extension -> files that have none of an image;  closed  folder -> why it cannot be read
    """

    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    disguised: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    strange: Counter[str] = field(default_factory=Counter)
    veiled: Counter[str] = field(default_factory=Counter)
    closed: dict[str, str] = field(default_factory=dict)

    __repr__ = short_repr

    def left_out(self) -> list[str]:
        """A sentence for each kind of what was left out."""
        notes = []
        if self.outputs:
            places = sorted({name.rpartition("/")[0] or name for name in self.outputs})
            notes.append(f"what Trustset wrote itself skipped ({examples(places)})")
        if self.hidden:
            notes.append(f"{file_count(len(self.hidden))} hidden by a leading dot skipped ({examples(self.hidden)})")
        if self.veiled:
            notes.append(
                f"{file_count(self.veiled.total())} in {counted(len(self.veiled), 'folder')} hidden by a leading dot "
                f"skipped ({examples(sorted(self.veiled))})"
            )
        if self.disguised:
            notes.append(
                f"{file_count(len(self.disguised))} with an image inside but no image's extension skipped "
                f"({examples(self.disguised)})"
            )
        if self.strange.total() > len(self.disguised):
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.strange.items()))
            notes.append(f"{file_count(self.strange.total())} without an image's extension skipped ({kinds})")
        if self.closed:
            first, reason = min(self.closed.items())
            shown = f"{printable(first)}: {reason}" + (" ..." if len(self.closed) > 1 else "")
            notes.append(f"{counted(len(self.closed), 'folder')} that cannot be read left out ({shown})")
        if self.special:
            lead = "leads" if len(self.special) == 1 else "lead"
            notes.append(
                f"{counted(len(self.special), 'entry')} that {lead} to no file or folder left out "
                f"({examples(sorted(self.special))})"
            )
        return notes


def find_files(root: str | os.PathLike[str]) -> FoundFiles:
    """What lies below a folder, through links, but never around in a circle. Raises DataError where it cannot be read.

    Hidden folders, whose images are counted, and what this toolkit wrote below it, are not entered.
    """
    listing = FoundFiles()
    for below, names, whole in _folders(os.fspath(root), listing):
        for name in names:
            if is_beside_outputs(name, whole):
                listing.outputs.append(below + name)
            else:
                _sort_in(os.fspath(root), below, name, listing)
        listing.images = _without_sheets(os.fspath(root), below, names, whole, listing)
    listing.images.sort()
    listing.tables.sort()
    return listing


def file_count(count: int) -> str:
    return counted(count, "file")


def examples(names: Sequence[str]) -> str:
    return ", ".join(printable(name) for name in names[:3]) + (" ..." if len(names) > 3 else "")


def _sort_in(root: str, below: str, name: str, listing: FoundFiles) -> None:
    """Put one file where it belongs."""
    small = name.lower()
    if name.startswith("."):
        if has_image_extension(name) and not name.startswith("._"):
            listing.hidden.append(below + name)
    elif has_image_extension(name):
        listing.images.append(below + name)
    elif small.endswith((*SHEET_SUFFIXES, *SPREADSHEETS)):
        listing.tables.append(below + name)
    elif small not in _CLUTTER:
        listing.strange[os.path.splitext(small)[1] or "none"] += 1
        sniffed = not small.endswith(_TEXTS) and listing.strange.total() <= _SNIFFED
        if sniffed and looks_like_image(os.path.join(root, below, name)):
            listing.disguised.append(below + name)


def _without_sheets(
    root: str, below: str, names: Sequence[str], whole: frozenset[str], listing: FoundFiles
) -> list[str]:
    """The images but for contact sheets drawn into this folder; they are not looked for among too many drawings."""
    drawings = {name for name in names if name.lower().endswith(".png") and not name.startswith(".")}
    innermost = below and len(whole) == len(set(names))
    if not drawings or len(drawings) > (_CLASS_SHEETS if innermost else _SHEETS):
        return listing.images
    sheets = {below + name for name in drawings if is_signed(os.path.join(root, below, name))}
    listing.outputs += sheets
    return [name for name in listing.images if name not in sheets] if sheets else listing.images


def _folders(root: str, listing: FoundFiles) -> Iterator[tuple[str, list[str], frozenset[str]]]:
    """(path below the root with "/" at its end, names of its files, names of all its entries) of each folder."""
    waiting: list[tuple[str, str, frozenset[str]]] = [(root, "", frozenset())]
    while waiting:
        folder, below, above = waiting.pop()
        real = os.path.realpath(folder)
        if real in above:
            continue
        try:
            with os.scandir(folder) as iterator:
                entries = list(iterator)
        except OSError as error:
            if not below:
                raise DataError(
                    f"the folder {folder} cannot be read: {error.strerror}. Change its mode or owner."
                ) from error
            listing.closed[below.rstrip("/")] = error.strerror or "unknown"
            continue
        whole = frozenset(entry.name for entry in entries)
        if below and is_output_folder(folder, whole):
            listing.outputs.append(below.rstrip("/"))
            continue
        files = []
        for entry in entries:
            if _is_folder(entry):
                if entry.name.startswith("."):
                    _count_hidden(entry.path, below + entry.name, listing)
                elif entry.name.lower() not in _CLUTTER:
                    waiting.append((entry.path, f"{below}{entry.name}/", above | {real}))
            elif _is_file(entry):
                files.append(entry.name)
            else:
                listing.special.append(below + entry.name)
        yield below, files, whole


def _count_hidden(folder: str, name: str, listing: FoundFiles) -> None:
    """Count the images below a hidden folder; of what cannot be read there nothing is known."""
    count = sum(has_image_extension(file) for _, _, files in os.walk(folder) for file in files)
    if count:
        listing.veiled[name] = count


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or behind a folder that may not be entered
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to none that is called like an image: that is told when it is decoded."""
    try:
        return entry.is_file() or (entry.is_symlink() and has_image_extension(entry.name))
    except OSError:
        return has_image_extension(entry.name)
