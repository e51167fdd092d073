"""Lines of text as a screen can show them: no control characters, broken at spaces alone, numbers always whole.

Widths are in cells of a terminal: most letters take one, those of Chinese, Japanese and Korean two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

# What steers a terminal or turns the order of letters about it: C0, DEL and C1, marks, overrides and isolates of
# direction, separators of lines; and lone surrogates, which no terminal can be sent.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LABEL = re.compile(r" *\S+(?: \S+)? {2,}| *\d+\. | +")  # what the lines below the first one are put under
_WIDE_GAP = re.compile(r" {4,}")
# A word, or several that stay together: a command between backticks, "0.938 -> 0.941", "0.913 .. 0.943".
_WORD = re.compile(r"[^\s`]*(?:`[^`]*`[^\s`]*)+|\S+ (?:->|\.\.) \S+|\S+")

_FEWEST, _USUAL = 8, 16  # cells that a shortened text of a table has at least, and where there is room for more
_GAP = 4


def counted(count: int, noun: str) -> str:
    """ "1 file", "1,200 files", "2 entries"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def printable(text: str) -> str:
    r"""The text with every character that would steer a terminal written as its escape.

    >>> printable("\x1b[31mred") == r"\x1b[31mred"
    True
    """
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def json_printable(text: str) -> str:
    r"""JSON in which those characters are escaped as JSON has it; between its values nothing but line ends is let be.

    >>> json_printable('["\x7f"]') == r'["\u007f"]'
    True
    """
    return STEERING.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def json_text(document: object, indent: int | None = 2, default: Callable[[object], str] | None = None) -> str:
    r"""A document as JSON that steers no screen on which its file is shown, and reads back as it was.

    >>> json_text({"caf\xe9": "\x1b[31m"}, indent=None) == '{"caf\xe9": "\\u001b[31m"}'
    True
    """
    return json_printable(json.dumps(document, ensure_ascii=False, indent=indent, default=default))


def shortened(text: str, width: int) -> str:
    """The text in at most so many cells: a name keeps both ends, a sentence its beginning.

    >>> shortened("immature_granulocyte", 11), shortened("132 identical images", 11)
    ('immat…ocyte', '132 identi…')
    """
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    end = "" if " " in text else _fitting(text[::-1], (width - 1) // 2)[::-1]
    return f"{_fitting(text, width - 1 - cell_len(end))}…{end}"


def _fitting(text: str, width: int) -> str:
    """The first letters of a text that fit into so many cells."""
    used = 0
    for i, letter in enumerate(text):
        used += cell_len(letter)
        if used > width:
            return text[:i]
    return text


def wrapped(text: str, width: int | None, whole: bool = False) -> list[str]:
    """A line as the lines of at most `width` cells that it takes; None is a width without end.

    It is broken where it has a gap of four spaces or more, and then at single spaces; never within a word, nor within
    backticks, so that numbers, paths and commands stay whole even where they are wider than the screen.

    whole  not at single spaces: its parts are commands and paths
    """
    if width is None or cell_len(text) <= width:
        return [text]
    label = _LABEL.match(text)
    first = label[0] if label else ""
    under = " " * min(cell_len(first), max(2, width // 4))
    lines: list[str] = []
    for part in _WIDE_GAP.split(text[len(first) :].strip(" ")):
        lines.append(first if not lines else under)
        empty = True
        for word in [part] if whole else _WORD.findall(part):
            if not empty and cell_len(lines[-1]) + 1 + cell_len(word) > width:
                lines.append(under)
                empty = True
            lines[-1] += word if empty else f" {word}"
            empty = False
    return lines


# Tables


@dataclass(frozen=True)
class Column:
    """A column of a table in words.

    number  its cells stand to the right;  whole  its cells are never shortened, as those of numbers are not
    """

    name: str
    cells: Sequence[str]
    number: bool = False
    whole: bool = False

    @property
    def widest(self) -> int:
        """Cells that its widest value takes."""
        return max(map(cell_len, self.cells), default=0)

    def heads(self, broken: bool) -> list[str]:
        """The lines of its heading: one, or one for each word."""
        return re.findall(r"[^ _]+_?", self.name) or [""] if broken else [self.name]

    def least(self, broken: bool, fewest: int) -> int:
        """The width below which it is not shortened."""
        body = self.widest if self.number or self.whole else min(self.widest, fewest)
        return max(body, *map(cell_len, self.heads(broken)))

    def natural(self, broken: bool) -> int:
        """The width at which all of it is seen."""
        return max(self.widest, *map(cell_len, self.heads(broken)))


def table_lines(columns: Sequence[Column], width: int | None) -> list[tuple[str, bool]]:
    """(line, whether it is of a heading) of a table in at most `width` cells; None is a width without end.

    Where there is no room, gaps and headings become narrower first, then texts, in the middle or at the end; numbers
    and columns never do. What has no room even so goes on below, beside the first column once more.
    """
    if not columns:
        return []
    for broken, gap, fewest in ((False, _GAP, _USUAL), (False, 2, _USUAL), (True, 2, _USUAL), (True, 1, _FEWEST)):
        widths = _widths(columns, width, broken, gap, fewest)
        if widths is not None:
            return _set_out(columns, widths, broken, gap)
    first, *rest = columns
    count = len(rest)
    while count > 1 and _widths([first, *rest[:count]], width, True, 1, _FEWEST) is None:
        count -= 1
    part = [first, *rest[:count]]
    widths = _widths(part, width, True, 1, _FEWEST) or [column.least(True, _FEWEST) for column in part]
    lines = _set_out(part, widths, True, 1)
    return [*lines, ("", False), *table_lines([first, *rest[count:]], width)] if rest[count:] else lines


def _widths(columns: Sequence[Column], width: int | None, broken: bool, gap: int, fewest: int) -> list[int] | None:
    """The width of each column, the widest texts shortened first; None where that leaves a text less than `fewest`."""
    widths = [column.natural(broken) for column in columns]
    least = [column.least(broken, fewest) for column in columns]
    if width is None:
        return widths
    room = width - gap * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((i for i in range(len(columns)) if widths[i] > least[i]), key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _set_out(columns: Sequence[Column], widths: Sequence[int], broken: bool, gap: int) -> list[tuple[str, bool]]:
    heads = [
        column.heads(broken and cell_len(column.name) > width) for column, width in zip(columns, widths, strict=True)
    ]
    height = max(map(len, heads))
    above = [[""] * (height - len(head)) + head for head in heads]
    rows = [(row, True) for row in zip(*above, strict=True)]
    rows += [(row, False) for row in zip(*(column.cells for column in columns), strict=True)]
    return [(_line(columns, row, widths, gap), head) for row, head in rows]


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    parts = []
    for column, cell, width in zip(columns, cells, widths, strict=True):
        text = shortened(cell, width)
        space = " " * (width - cell_len(text))
        parts.append(space + text if column.number else text + space)
    return (" " * gap).join(parts).rstrip()
