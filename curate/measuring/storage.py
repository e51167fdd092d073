"""Where converted models and compiled functions are kept between scans."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


def cache_path() -> Path:
    """XDG_CACHE_HOME/trustset (~/.cache/trustset), which may not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trustset"


@cache
def cache_folder() -> Path:
    """That folder, made where it is missing, or a temporary one where it cannot be written."""
    folder = cache_path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="trustset-"))
