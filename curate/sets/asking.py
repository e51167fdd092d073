"""What a person may say of how pixels are read: what configurations that read a set have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scaling import Decoding


class AskedReading:
    """A configuration with options `value_range` and `max_pixels` (see stage/options.py)."""

    value_range: tuple[float, ...] | None
    max_pixels: int | None

    @property
    def decoding(self) -> Decoding:
        """How the pictures of the set are read."""
        from .scaling import Decoding  # which loads numpy

        return Decoding(max_pixels=self.max_pixels, value_range=self.value_range or ())
