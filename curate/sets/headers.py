"""What the headers of image files say, before any is decoded: modes, turned pictures, further frames."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH122

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ExifTags

from .decoding import FilePictures, open_header
from .imageset import Topic, evenly

_LOOKED_AT = 100
_STACKS = 1000  # files of formats that may hold several frames which are looked into besides
_STACKING = (".gif", ".tif", ".tiff", ".webp", ".apng", ".mpo")
_MODES = {"L": "grey", "LA": "grey with transparency", "RGBA": "RGB with transparency", "P": "palette", "1": "1 bit"}


@dataclass(frozen=True)
class Survey:
    """What the headers of some files say.

    files   that were looked at, of  total;  modes  "RGB", "grey" ... -> files
    turned  files whose EXIF data says how to turn them
    stacks  files of several frames;  frames  those beyond the first of each
    """

    files: int
    total: int
    modes: Counter[str]
    turned: int
    stacks: int
    frames: int

    def topics(self) -> list[Topic]:
        """What becomes of it, a line for each."""
        among = f"of {self.files:,} files" if self.files == self.total else f"of {self.files:,} files looked at"
        modes = ", ".join(f"{mode} {count:,}" for mode, count in self.modes.most_common())
        converted = f"{modes} {among}; all are read as RGB" if len(self.modes) > 1 else "".join(self.modes) or "unknown"
        verb = "is turned as its" if self.turned == 1 else "are turned as their"
        turned = f"{self.turned:,} {among} {verb} EXIF data says" if self.turned else "as stored"
        frames = f"{self.frames:,} further in {self.stacks:,} {among}; the first of each file is read"
        return [
            Topic("channels", converted, plain=len(self.modes) <= 1),
            Topic("orientation", turned, plain=not self.turned),
            Topic("frames", frames if self.stacks else "one of each file", plain=not self.stacks),
        ]


def survey(pictures: FilePictures) -> Survey:
    """What the headers of a hundred files say, and those of files that may hold several frames."""
    rows = set(evenly(len(pictures), _LOOKED_AT).tolist()) if len(pictures) else set()
    rows |= set(_stacking(pictures.names)[:_STACKS])
    modes: Counter[str] = Counter()
    files = turned = stacks = frames = 0
    for row in sorted(rows):
        try:
            with open_header(pictures.path(row)) as image:
                mode = _MODES.get(image.mode, "16 bit or more" if image.mode[0] in "IF" else image.mode)
                turned += image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
                # What cameras add to an MPO are other views of the picture, and thumbnails.
                further = getattr(image, "n_frames", 1) - 1 if image.format != "MPO" else 0
        except Exception:  # told of when it is decoded
            continue
        files += 1
        modes[mode] += 1
        stacks += further > 0
        frames += further
    return Survey(files, len(pictures), modes, turned, stacks, frames)


def _stacking(names: Sequence[str]) -> list[int]:
    return [row for row, name in enumerate(names) if os.path.splitext(name)[1].lower() in _STACKING]
