"""Trustset's core: what a set of images is, how it is read and written, what is wrong with it.

    import curate
    found = curate.scan("data.npz")
    found.findings

Names are loaded when they are first used, so that `import curate` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cleaning import ApplyConfig, apply, decide, undo
    from .comparing import diff
    from .configs import ScanConfig, SplitConfig
    from .errors import DataError, MissingExtra, OutputError, ToolkitError, UnknownName
    from .exporting import ExportConfig, export
    from .imageset import ImageSet, Picture, Unreadable
    from .reading import read
    from .scanning import Scan, scan
    from .selftesting import SelftestConfig, selftest
    from .splitting import split

_HOMES = {
    "ApplyConfig": "cleaning",
    "DataError": "errors",
    "ExportConfig": "exporting",
    "ImageSet": "imageset",
    "MissingExtra": "errors",
    "OutputError": "errors",
    "Picture": "imageset",
    "Scan": "scanning",
    "ScanConfig": "configs",
    "SelftestConfig": "selftesting",
    "SplitConfig": "configs",
    "ToolkitError": "errors",
    "UnknownName": "errors",
    "Unreadable": "imageset",
    "apply": "cleaning",
    "decide": "cleaning",
    "diff": "comparing",
    "export": "exporting",
    "read": "reading",
    "scan": "scanning",
    "selftest": "selftesting",
    "split": "splitting",
    "undo": "cleaning",
}

__all__ = [
    "ApplyConfig",
    "DataError",
    "ExportConfig",
    "ImageSet",
    "MissingExtra",
    "OutputError",
    "Picture",
    "Scan",
    "ScanConfig",
    "SelftestConfig",
    "SplitConfig",
    "ToolkitError",
    "UnknownName",
    "Unreadable",
    "apply",
    "decide",
    "diff",
    "export",
    "read",
    "scan",
    "selftest",
    "split",
    "undo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
