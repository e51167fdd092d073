"""Every check: importing this package registers whatever its modules hold."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..findings import CHECKS

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["CHECKS"]
