"""The registry of tools that findings are handed to; each module beside it adds one."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..sets.exporting import Loading
from ..stage.options import elsewhere
from ..stage.progress import Advance
from ..stage.registry import Registry
from .cases import Handover


@dataclass(frozen=True)
class Tool:
    """Another program, or a kind of file, that findings are handed to.

    write     writes them into a new folder or file, reports the number written so far, and says what to do next
    suffix    of the file that is written, "" where it is a folder
    pictures  whether it shows the images: what cannot be decoded is left out then
    whole     whether it gets every image, in the order of the set; else those with findings alone, unless all are asked
              for, the likeliest suspicions first
    """

    write: Callable[[Handover, Path, Advance], Loading]
    suffix: str = ""
    pictures: bool = True
    whole: bool = False


def apply_line(handover: Handover, path: object) -> str:
    """What takes decisions back from a file: the line as it is typed where the scan was handed on."""
    return f"curate apply --from {shlex.quote(str(path))}{elsewhere(handover.artifacts)}"


TOOLS: Registry[Tool] = Registry("export format")
