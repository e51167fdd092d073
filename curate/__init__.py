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
    from .cleaning import apply, undo
    from .comparing import diff
    from .configs import ApplyConfig, ReviewConfig, ScanConfig, SelftestConfig, SplitConfig
    from .deciding import decide
    from .decisions import Proposal
    from .handling import Scan
    from .reviewing.opening import Review, review
    from .scanning import scan
    from .selftesting import selftest
    from .sets.exporting import export
    from .sets.formats import ExportConfig
    from .sets.imageset import ImageSet, Picture, Unreadable
    from .sets.reading import read
    from .splitting import split
    from .stage.errors import DataError, MissingExtra, OutputError, ToolkitError, UnknownName

_HOMES = {
    "ApplyConfig": "configs",
    "DataError": "stage.errors",
    "ExportConfig": "sets.formats",
    "ImageSet": "sets.imageset",
    "MissingExtra": "stage.errors",
    "OutputError": "stage.errors",
    "Picture": "sets.imageset",
    "Proposal": "decisions",
    "Review": "reviewing.opening",
    "ReviewConfig": "configs",
    "Scan": "handling",
    "ScanConfig": "configs",
    "SelftestConfig": "configs",
    "SplitConfig": "configs",
    "ToolkitError": "stage.errors",
    "UnknownName": "stage.errors",
    "Unreadable": "sets.imageset",
    "apply": "cleaning",
    "decide": "deciding",
    "diff": "comparing",
    "export": "handing.delivering",
    "read": "sets.reading",
    "review": "reviewing.opening",
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
    "Proposal",
    "Review",
    "ReviewConfig",
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
    "review",
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
