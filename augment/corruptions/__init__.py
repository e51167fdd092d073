"""Importing this registers every corruption of the benchmark."""

from __future__ import annotations

from . import common, microscopy

__all__ = ["common", "microscopy"]
