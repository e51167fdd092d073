"""Pieces of HTML that a cell of a notebook shows: inert whatever names are in them, and in need of nothing else.

Imports markupsafe, and cv2 where pictures are made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from markupsafe import Markup

from ..stage.shortness import one_line, short_repr

SIDE = 96  # pixels of a thumbnail's longest side
_LISTED = 20  # amounts that are told one by one
_NAME = 120  # letters of a name


@dataclass(frozen=True, eq=False)
class View:
    """Something to look at: in a notebook it shows itself as HTML, in a console in words.

    html   a piece of a page, with all of it inside
    words  the same in a few lines
    """

    html: str
    words: str

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True)
class Tile:
    """A picture with what is said of it.

    uri       of its thumbnail, "" where it cannot be read;  width, height  of that
    caption   lines below it;  verdict  keep, drop or review, "" where that is not shown
    tiny      whether its pixels are to be seen, each for itself
    """

    uri: str
    width: int
    height: int
    caption: tuple[str, ...]
    verdict: str = ""
    tiny: bool = False

    __repr__ = short_repr


def clean(text: str, longest: int = 400) -> str:
    """A text of the set, or a name in it, as a page may show it: of bounded length, without control characters."""
    return one_line(text, longest).encode("utf-8", "replace").decode("utf-8")


def html(template: str, /, **values: object) -> Markup:
    """The template with the values in it, escaped but for those that are HTML already.

    >>> html("<b>{name}</b>", name="<i>")
    Markup('<b>&lt;i&gt;</b>')
    """
    return Markup(template).format(
        **{name: clean(value) if type(value) is str else value for name, value in values.items()}
    )


def together(parts: Iterable[Markup]) -> Markup:
    """Pieces one after another."""
    return Markup("").join(parts)


def page_of(*parts: Markup) -> str:
    """Pieces as what a cell shows: with the style that is theirs alone."""
    return f'<div class="trustset"><style>{_style()}</style>{together(parts)}</div>'


@cache
def _style() -> str:
    return files(__package__).joinpath("view.css").read_text(encoding="utf-8")


def tile(pixels: np.ndarray | None, caption: Sequence[str], side: int = SIDE, verdict: str = "") -> Tile:
    """A picture as a tile; None stands for one that cannot be read."""
    if pixels is None:
        return Tile("", 0, 0, (*caption, "cannot be read"), verdict)
    from ..stage.miniatures import small_picture

    small = small_picture(pixels, side)
    uri = f"data:image/jpeg;base64,{base64.b64encode(small.jpeg).decode('ascii')}"
    return Tile(uri, small.width, small.height, tuple(caption), verdict, small.tiny)


def figure(picture: Tile) -> Markup:
    """A tile as HTML."""
    lines = [line for line in picture.caption if line]
    image = Markup("")
    if picture.uri:
        shape = "lying" if picture.width >= picture.height else "standing"
        kind = f"{shape} tiny" if picture.tiny else shape
        image = html(
            '<img class="{kind}" src="{uri}" alt="{alt}">',
            kind=kind, uri=Markup(picture.uri), alt=", ".join(lines),
        )  # fmt: skip
    spans = together(
        html(
            '<span{quiet} title="{text}">{text}</span>',
            quiet=Markup(' class="quiet"') if i else "", text=clean(line, _NAME),
        )
        for i, line in enumerate(lines)
    )  # fmt: skip
    return html(
        '<figure><div class="picture {verdict}">{image}</div><figcaption>{spans}</figcaption></figure>',
        verdict=picture.verdict, image=image, spans=spans,
    )  # fmt: skip


def strip(pictures: Iterable[Tile]) -> Markup:
    """Tiles beside each other."""
    return html('<div class="strip">{figures}</div>', figures=together(map(figure, pictures)))


def amounts(counts: Sequence[tuple[str, int]], unit: str) -> Markup:
    """Names with numbers as bars, as many as a person reads, and a line on the others.

    unit  what is not shown: "classes"
    """
    most = max((number for _, number in counts), default=0) or 1
    rows = together(
        html(
            '<li><span class="name">{name}</span><span class="bar" aria-hidden="true"><i style="width: {share}%"></i>'
            '</span><span class="number">{number}</span></li>',
            name=clean(name, _NAME), share=f"{100 * number / most:.1f}", number=f"{number:,}",
        )
        for name, number in counts[:_LISTED]
    )  # fmt: skip
    left = len(counts) - _LISTED
    rest = html('<p class="quiet">and {left} more {unit}</p>', left=f"{left:,}", unit=unit) if left > 0 else ""
    return html('<ul class="amounts">{rows}</ul>{rest}', rows=rows, rest=rest)


def head(name: str, facts: Iterable[str]) -> Markup:
    """What a view is of, and the facts below it."""
    return html(
        '<h3>{name}</h3><p class="quiet">{facts}</p>',
        name=clean(name, _NAME), facts=" · ".join(clean(fact, _NAME) for fact in facts if fact),
    )  # fmt: skip
