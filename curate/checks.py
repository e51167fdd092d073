"""Every check: importing this module registers them all."""

from __future__ import annotations

from . import colour, labels, outliers, quality, redundancy, shortcuts
from .registry import CHECKS

__all__ = ["CHECKS", "colour", "labels", "outliers", "quality", "redundancy", "shortcuts"]
