"""Charts as inline SVG: text that stays text, colours of the page's style, nothing fetched and nothing run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from curate.stage.shortness import short_repr

WIDTH, HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 20, 34
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Line:
    """One line of a chart: points in order; what is no number is left out. `style` 0, 1 .. gives colour and dashes."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int = 0

    __repr__ = short_repr

    @property
    def points(self) -> list[tuple[float, float]]:
        pairs = zip(self.x, self.y, strict=True)
        return [(float(x), float(y)) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    across: str,
    bounds: tuple[float, float] | None = None,
    marks: Iterable[tuple[float, str]] = (),
    divisions: Iterable[float] = (),
) -> Markup:
    """A chart of some lines, "" where they have no point.

    across     what runs from left to right;  bounds  of y, else those of the points
    marks      (x, what is there): an upright line with a word;  divisions  x of lines without one

    It is as wide as the x of all lines, also where they have no point, so that charts over the same x can be compared.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return Markup("")
    xs = [float(x) for line in drawn for x in line.x if math.isfinite(x)]
    ys = [y for line in drawn for _, y in line.points]
    frame = Frame((min(xs), max(xs)), bounds or (min(ys), max(ys)))
    parts = [frame.grid(across, whole=True)]
    parts += [_upright(frame, x, "division") for x in divisions]
    for x, word in marks:
        parts.append(_upright(frame, x, "mark"))
        # Above the plot, where no line runs; towards its middle, where there is room for it.
        side = "end" if frame.across(x) > WIDTH / 2 else "start"
        parts.append(
            f'<text class="mark" x="{frame.across(x):.1f}" y="{_TOP - 6}" text-anchor="{side}">{escape(word)}</text>'
        )
    for line in drawn:
        places = [(frame.across(x), frame.up(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line s{line.style}" points="{path}"/>')
        if len(places) <= 30:
            parts += [f'<circle class="dot s{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places]
    description = f"{title}. " + "; ".join(
        f"{line.name} from {_short(line.points[0][1])} to {_short(line.points[-1][1])}" for line in drawn
    )
    return _figure(title, description, parts, _legend((line.name, line.style) for line in drawn))


def reliability_chart(title: str, confidence: Sequence[float], right: Sequence[float], images: Sequence[int]) -> Markup:
    """How often a model is right, against how sure it is: on the diagonal it is as sure as it may be.

    Dots grow with the images of their bin.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    most = max(images, default=1)
    parts = [frame.grid("confidence")]
    parts.append(
        f'<line class="diagonal" x1="{frame.across(0):.1f}" y1="{frame.up(0):.1f}" '
        f'x2="{frame.across(1):.1f}" y2="{frame.up(1):.1f}"/>'
    )
    for x, y, count in zip(confidence, right, images, strict=True):
        parts.append(
            f'<line class="off" x1="{frame.across(x):.1f}" y1="{frame.up(y):.1f}" '
            f'x2="{frame.across(x):.1f}" y2="{frame.up(x):.1f}"/>'
        )
        parts.append(
            f'<circle class="bin" cx="{frame.across(x):.1f}" cy="{frame.up(y):.1f}" '
            f'r="{2.5 + 7 * math.sqrt(count / most):.1f}"><title>{count:,} images: confidence {x:.2f}, accuracy {y:.2f}'
            "</title></circle>"
        )
    description = f"{title}. " + "; ".join(
        f"{count:,} images with confidence {x:.2f} have accuracy {y:.2f}"
        for x, y, count in zip(confidence, right, images, strict=True)
    )
    return _figure(title, description, parts, Markup(""))


@dataclass(frozen=True)
class Frame:
    """Where values lie in the picture: x from `across_of` on the left to the right, y from the bottom to the top."""

    across_of: tuple[float, float]
    up_of: tuple[float, float]

    def across(self, x: float) -> float:
        """Pixels from the left."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * _share(x, self.across_of)

    def up(self, y: float) -> float:
        """Pixels from the top."""
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * _share(y, self.up_of)

    def grid(self, across: str, whole: bool = False) -> str:
        """Lines at round values with their numbers, and what runs across."""
        parts = []
        for value in ticks(*self.up_of, 5):
            y = self.up(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>')
        for value in ticks(*self.across_of, 6):
            if not whole or value == int(value):
                x = self.across(value)
                parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 17}" text-anchor="middle">{_short(value)}</text>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 2}" text-anchor="middle">{escape(across)}</text>')
        return "".join(parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Some `about` round values from low to high, both included where they are round.

    >>> ticks(0, 1, 5), ticks(0.83, 0.97, 5), ticks(2, 2, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.85, 0.9, 0.95], [2.0])
    """
    if high <= low:
        return [float(low)]
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in _STEPS if size * factor >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _share(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return 0.5 if high <= low else (value - low) / (high - low)


def _upright(frame: Frame, x: float, kind: str) -> str:
    at = f"{frame.across(x):.1f}"
    return f'<line class="{kind}" x1="{at}" y1="{_TOP}" x2="{at}" y2="{HEIGHT - _BOTTOM}"/>'


def _short(value: float) -> str:
    """A number in few characters: 0.95, 1.2, 3e-05."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def _legend(names: Iterable[tuple[str, int]]) -> Markup:
    keys = "".join(
        f'<span><svg viewBox="0 0 22 8" aria-hidden="true"><line class="line s{style}" x1="1" y1="4" x2="21" y2="4"/>'
        f"</svg>{escape(name)}</span>"
        for name, style in names
    )
    return Markup(f'<p class="keys">{keys}</p>')


def _figure(title: str, description: str, parts: Sequence[str], legend: Markup) -> Markup:
    return Markup(
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{legend}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">{"".join(parts)}</svg>'
        "</figure>"
    )
