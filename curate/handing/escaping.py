"""Names and sentences as any tool takes them: what steers a screen, or no XML can hold, as escapes that read back."""

from __future__ import annotations

import re

from ..stage.lines import STEERING

# No XML has these two either; a backslash is doubled, so that what is written reads back as it was.
_ESCAPED = re.compile(rf"{STEERING.pattern}|[\\\ufffe\uffff]")
_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-f]{4}))")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = re.compile(r"[=+\-@]")


def escaped(text: str) -> str:
    r"""The text without control characters, marks of direction and halves of characters.

    >>> print(escaped("a\\b \x1b[31m"))
    a\\b \u001b[31m
    """
    return _ESCAPED.sub(lambda found: "\\\\" if found[0] == "\\" else _as_escape(found[0]), text)


def escaped_cell(text: str) -> str:
    r"""The same for a cell of a spreadsheet, in which it is no formula either.

    >>> print(escaped_cell("=1+1"))
    \u003d1+1
    """
    safe = escaped(text)
    return _as_escape(safe[0]) + safe[1:] if _FORMULA.match(safe) else safe


def unescaped(text: str) -> str:
    r"""The text that one of those was made of; what nobody escaped stays as it is.

    >>> unescaped(escaped_cell("=a\\u1b\n")) == "=a\\u1b\n", unescaped(r"C:\cells")
    (True, 'C:\\cells')
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "\\", text)


def _as_escape(character: str) -> str:
    return f"\\u{ord(character):04x}"
