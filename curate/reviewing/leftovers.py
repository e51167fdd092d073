"""Thumbnails that the page of a scan carries: what is left to show of images that are gone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ..stage.miniatures import SmallPicture

_DATA = re.compile(r'<script type="application/json" id="(data|pictures)">(.*?)</script>', re.DOTALL)


class Leftovers:
    """The thumbnails in a report, by id; it is read when the first is asked for.

    A report that is missing, or of another version, has none.
    """

    def __init__(self, report: Path) -> None:
        self._report = report
        self._lock = Lock()
        self._of_ids: Mapping[str, SmallPicture] | None = None

    def get(self, name: str) -> SmallPicture | None:
        """The thumbnail of the image of that id, None where there is none."""
        with self._lock:
            if self._of_ids is None:
                self._of_ids = self._read()
        return self._of_ids.get(name)

    def _read(self) -> Mapping[str, SmallPicture]:
        try:
            parts = {name: json.loads(text) for name, text in _DATA.findall(self._report.read_text(encoding="utf-8"))}
            pictures = _Pictures(**parts["pictures"])
            smalls = [pictures.small(number) for number in range(len(pictures.rests))]
            of_rows = zip(parts["data"]["ids"], parts["data"]["picture"], strict=True)
            return {name: smalls[number] for name, number in of_rows if number >= 0}
        except (OSError, ValueError, LookupError, TypeError):
            return {}


@dataclass(frozen=True)
class _Pictures:
    """The thumbnails of a page, as thumbnails.Thumbnails has them."""

    beginnings: list[tuple[int, int, str]]
    kind: list[int]
    rests: list[str]

    def small(self, number: int) -> SmallPicture:
        width, height, beginning = self.beginnings[self.kind[number]]
        return SmallPicture(width, height, 3, base64.b64decode(beginning + self.rests[number]))
