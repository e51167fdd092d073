"""Every check: importing this module registers them all."""

from __future__ import annotations

from ..findings import CHECKS
from . import colour, labels, outliers, quality, redundancy, shortcuts

__all__ = ["CHECKS", "colour", "labels", "outliers", "quality", "redundancy", "shortcuts"]
