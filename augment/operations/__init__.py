"""Importing this registers every operation."""

from __future__ import annotations

from . import blur, colour, digital, geometry, light, marks, noise, texture, weather

__all__ = ["blur", "colour", "digital", "geometry", "light", "marks", "noise", "texture", "weather"]
