"""What the pictures of a set say together of how it was kept: next to black, of one colour, the first of several,
unreadable."""

from __future__ import annotations

from collections.abc import Sequence

from ..sets.scaling import Scales, pallor
from .evidence import Measured

# Contrast above which there is something to be seen in a picture, and below which it is of one colour.
_SEEN, _FLAT = 0.01, 0.002
_NAMED = 3  # files, and kinds of damage, that are named


def implausible_range(measured: Measured, scales: Scales) -> str:
    """A sentence where all pictures are next to black or of one grey, or most of them of one colour; else ""."""
    readable = measured.digests != ""
    if not readable.any():
        return ""
    dark, bright, contrast = (measured.properties[name][readable] for name in ("dark_end", "bright_end", "contrast"))
    sentence = pallor(255 * float(dark.min()), 255 * float(bright.max()), scales) if contrast.max() < _SEEN else ""
    flat = (bright - dark < _FLAT) & (contrast < _FLAT)
    if sentence or not flat.sum() > len(flat) / 2:
        return sentence
    black = int((flat & (bright < _FLAT)).sum())
    shade = "wholly black" if 2 * black > flat.sum() else "of one colour throughout"
    return (
        f"{flat.sum():,} of {len(flat):,} pictures are {shade}: an export that failed, or values that were cast to "
        "whole numbers. Look at some before you trust the rest."
    )


def frames_note(measured: Measured, ids: Sequence[str]) -> str:
    """How many further pictures files hold of which the first is read, "" where there are none."""
    if not measured.frames:
        return ""
    rows = sorted(measured.frames)
    named = ", ".join(f"{ids[row]} {measured.frames[row]:,}" for row in rows[:_NAMED])
    further = sum(measured.frames.values()) - len(rows)
    files = "1 file holds" if len(rows) == 1 else f"{len(rows):,} files hold"
    left = "1 further one is" if further == 1 else f"{further:,} further ones are"
    return (
        f"{files} several pictures, of which the first is read; {left} left out "
        f"({named}{' ...' if len(rows) > _NAMED else ''}). Save them as files of their own to have them."
    )


def unreadable_note(measured: Measured, ids: Sequence[str]) -> str:
    """How many pictures cannot be read, with an example of each kind of reason, "" where there are none."""
    kinds: dict[str, list[int]] = {}
    for row, reason in sorted(measured.unreadable.items()):
        kinds.setdefault(" ".join(reason.split()[:3]), []).append(row)  # what follows are numbers and places
    if not kinds:
        return ""
    commonest = sorted(kinds.values(), key=len, reverse=True)
    examples = [
        f"{ids[rows[0]]} {measured.unreadable[rows[0]]}{f' ({len(rows) - 1:,} more like it)' if len(rows) > 1 else ''}"
        for rows in commonest[:_NAMED]
    ]
    count = len(measured.unreadable)
    further = " ..." if len(commonest) > _NAMED else ""
    return f"{'1 picture' if count == 1 else f'{count:,} pictures'} cannot be read: {'; '.join(examples)}{further}"
