"""What a notebook shows of a scan: the whole of it, what a check found, some of its images, one finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from ..findings import BOTH, CATALOGUE, COPIES, DROP, KEEP, REVIEW
from ..likeness import Likeness, looks_of
from ..notebooks.fragments import Tile, View, clean, figure, head, html, page_of, strip, tile, together
from ..sets.imageset import NO_GROUP, Unreadable
from ..stage.lines import counted
from ..stage.options import elsewhere
from ..stage.shortness import short_repr
from .overviews import CheckSummary, Overview, StorySummary, lead, meaning, overview_of, untested, words_of

if TYPE_CHECKING:
    from ..scans import Scan

_STORIES, _IN_STRIP = 6, 8
_LARGE, _SMALL, _ALONE = 168, 72, 320  # pixels of pictures: of a finding, beside it, and of one that is shown alone
_MATES = 6  # pictures beside a finding
_NOTES = 12
_ROOM = 400_000  # letters of a view, after which no further finding comes
_OF_COPIES = (COPIES, BOTH)


@dataclass(frozen=True, eq=False)
class Gallery:
    """A scan and what its pictures look like, for as many views as are asked for."""

    scan: Scan

    __repr__ = short_repr

    @cached_property
    def likeness(self) -> Likeness:
        """The nearest pictures of any."""
        table = self.scan.table
        return Likeness(self.scan.embeddings, looks_of(table["digest"].tolist(), table["label"].to_numpy()))

    def pixels(self, row: int) -> np.ndarray | None:
        """uint8 (H, W, 3), None where the picture cannot be read."""
        try:
            return self.scan.images.images[row].pixels
        except Unreadable:
            return None

    def caption(self, row: int) -> tuple[str, str]:
        """The class of a row, and its id."""
        return self.scan.images.label_name(row) or "no label", str(self.scan.images.ids[row])

    def tiles(self, rows: Iterable[int], side: int = _SMALL) -> list[Tile]:
        """Small pictures; those that are dropped are framed."""
        verdict = self.scan.table["verdict"]
        return [
            tile(self.pixels(row), self.caption(row), side, verdict.iloc[row] if verdict.iloc[row] == DROP else "")
            for row in rows
        ]

    # One finding

    def mates(self, number: int) -> tuple[str, list[int]]:
        """(how they are called, rows) of the pictures that stand beside a finding: its group, else its neighbours."""
        finding = self.scan.findings.iloc[number]
        row, group = int(finding["row"]), int(finding["group"])
        rows: np.ndarray = np.zeros(0, np.int64)
        if group != NO_GROUP:
            check = CATALOGUE.get(finding["check"])
            if check is None or check.groups in _OF_COPIES:
                rows = np.flatnonzero(self.scan.table["group"].to_numpy() == group)
            if not np.isin(row, rows):
                own = self.scan.findings
                rows = own.loc[(own["check"] == finding["check"]) & (own["group"] == group), "row"].to_numpy()
        rows = rows[rows != row]
        if len(rows):
            return f"with it in group {group}: {counted(len(rows), 'image')}", rows[:_MATES].tolist()
        if row < 0:
            return "", []
        return "nearest to it", self.likeness.nearest(row, _MATES)[0].tolist()

    def facts(self, number: int) -> list[str]:
        """The title of a finding, its score and what else is known of it, in words."""
        finding = self.scan.findings.iloc[number]
        facts = [words_of(finding["check"])[0], f"score {finding['score']:.2f}"]
        if finding["chance"] == finding["chance"]:
            facts.append(f"likely right with a chance of {finding['chance']:.0%}")
        if finding.get("suggested"):
            facts.append(f"suggested: {finding['suggested']}")
        return facts

    def card(self, number: int, side: int = _LARGE) -> Markup:
        """A finding: its picture, what was found in words, and the pictures that it is to be compared with."""
        finding = self.scan.findings.iloc[number]
        row = int(finding["row"])
        name, rows = self.mates(number)
        return html(
            '<li>{picture}<div><p class="sentence">{because}</p><p class="quiet">{verdict}{facts}</p>{beside}</div>'
            "</li>",
            picture=self._picture(row, side),
            because=finding["because"],
            verdict=_label(self.scan.table["verdict"].iloc[row] if row >= 0 else REVIEW),
            facts=" · ".join(self.facts(number)),
            beside=html('<p class="quiet">{name}</p>{tiles}', name=name, tiles=strip(self.tiles(rows))) if rows else "",
        )

    def plain_card(self, row: int) -> Markup:
        """An image that nothing was found in."""
        return html(
            '<li>{picture}<div><p class="sentence">Nothing was found in it.</p><p class="quiet">{verdict}</p></div>'
            "</li>",
            picture=self._picture(row, _LARGE),
            verdict=_label(self.scan.table["verdict"].iloc[row]),
        )

    def _picture(self, row: int, side: int) -> Markup:
        return figure(tile(self.pixels(row), self.caption(row), side)) if row >= 0 else Markup("<div></div>")

    def sentence(self, number: int) -> str:
        """ "label_error of 63 (review): ...": a finding in one line."""
        finding = self.scan.findings.iloc[number]
        row = int(finding["row"])
        place = f" of {finding['id']} ({self.scan.table['verdict'].iloc[row]})" if row >= 0 else ""
        return clean(f"{finding['check']}{place}: {finding['because']}", 300)


def _label(verdict: str) -> Markup:
    words = {KEEP: "kept", REVIEW: "for review", DROP: "dropped"}
    return html('<span class="label {verdict}">{words}</span>', verdict=verdict, words=words.get(verdict, verdict))


# Views

Card = tuple[Callable[[int], Markup], int]


def findings_view(gallery: Gallery, check: str, most: int) -> View:
    """What a check found, the likeliest first: `most` at most, and as many as a cell should hold."""
    findings = gallery.scan.findings.reset_index(drop=True)
    own = findings[findings["check"] == check]
    numbers = own.sort_values(["chance", "score"], ascending=False, kind="stable").index.tolist()
    title = f"{words_of(check)[0]}: {counted(len(numbers), 'finding')}"
    if not numbers and check in gallery.scan.not_checked:
        title = f"{words_of(check)[0]} were not looked for: {gallery.scan.not_checked[check]}"
    shown = numbers[:most]
    cards: list[Card] = [(gallery.card, number) for number in shown]
    return _cards(title, cards, len(numbers), list(map(gallery.sentence, shown)))


def rows_view(gallery: Gallery, rows: Sequence[int], most: int) -> View:
    """Images by their rows: each with what was found in it, the gravest alone."""
    first: dict[int, int] = {}
    for number, row in enumerate(gallery.scan.findings["row"].tolist()):
        first.setdefault(int(row), number)
    cards: list[Card] = [
        (gallery.card, first[row]) if row in first else (gallery.plain_card, row) for row in rows[:most]
    ]
    words = [
        gallery.sentence(first[row]) if row in first else clean(f"{gallery.scan.images.ids[row]}: nothing was found")
        for row in rows[:most]
    ]
    return _cards(counted(len(rows), "image"), cards, len(rows), words)


def _cards(title: str, cards: Sequence[Card], total: int, words: Sequence[str]) -> View:
    parts: list[Markup] = []
    for draw, number in cards:
        part = draw(number)
        if parts and sum(map(len, parts)) + len(part) > _ROOM:
            break
        parts.append(part)
    left = total - len(parts)
    rest = html('<p class="quiet">and {left} more</p>', left=f"{left:,}") if left else Markup("")
    page = page_of(
        html('<h4>{title}</h4><ul class="findings">{cards}</ul>{rest}', title=title, cards=together(parts), rest=rest)
    )
    lines = [title, *(f"  {line}" for line in words[:_SHOWN])]
    if total > _SHOWN:
        lines.append(f"  and {total - _SHOWN:,} more")
    return View(page, "\n".join(lines))


_SHOWN = 5  # findings that a console is told of


def finding_view(gallery: Gallery, number: int) -> View:
    """One finding, with a large picture."""
    card = html('<ul class="findings alone">{card}</ul>', card=gallery.card(number, _ALONE))
    return View(page_of(card), gallery.sentence(number))


def scan_view(gallery: Gallery, following: str) -> View:
    """A scan as a whole: what is wrong, how much of it, by which checks, the most telling stories, and what to do next.

    following  the command that follows it
    """
    scan = gallery.scan
    overview = overview_of(scan, following)
    parts = [
        head(overview.name, _facts(overview)),
        html('<p class="alarm">{alarm}</p>', alarm=overview.alarm) if overview.alarm else Markup(""),
        together(html('<p class="lead">{line}</p>', line=line) for line in lead(overview)[:2]),
        _bar(overview),
        _checks(overview),
        *(html('<p class="quiet">{line}</p>', line=line) for line in (untested(overview), _effect(overview)) if line),
        _stories(gallery, overview),
        _next(scan, overview),
    ]
    return View(page_of(*parts), repr(scan))


def _facts(overview: Overview) -> list[str]:
    classes = len([entry for entry in overview.classes if entry.name])
    return [
        counted(overview.images, "image"),
        overview.describe,
        f"{classes} classes" if classes > 1 else "no labels" if not overview.labelled else "1 class",
        overview.embedder,
    ]


def _bar(overview: Overview) -> Markup:
    words = {KEEP: "kept", REVIEW: "for review", DROP: "dropped"}
    counts = [(name, number) for name, number in overview.verdicts.items() if number]
    parts = together(
        html('<i class="{name}" style="width: {share}%"></i>', name=name, share=f"{100 * n / overview.images:.2f}")
        for name, n in counts
    )
    legend = together(
        html('<span><i class="{name}"></i><b>{n}</b> {words}</span>', name=name, n=f"{n:,}", words=words[name])
        for name, n in counts
    )
    return html(
        '<div class="bar" aria-hidden="true">{parts}</div><div class="counts">{legend}</div>',
        parts=parts, legend=legend,
    )  # fmt: skip


def _checks(overview: Overview) -> Markup:
    """The table of what each check found, and a line on those that found nothing."""
    columns = {
        name: numbers
        for name, numbers in {
            "images": [check.rows for check in overview.checks],
            "likely right": [0 if check.right is None else round(check.right) for check in overview.checks],
            "groups": [check.groups for check in overview.checks],
            "dropped": [check.drop for check in overview.checks],
            "for review": [check.review for check in overview.checks],
            "kept": [check.keep for check in overview.checks],
        }.items()
        if any(numbers)
    }
    heads = together(html('<th scope="col" class="number">{name}</th>', name=name) for name in columns)
    rows = together(map(_check_row, overview.checks, zip(*columns.values(), strict=True)))
    table = html(
        '<h4>Findings</h4><div class="wide" role="region" aria-label="findings of each check" tabindex="0">'
        '<table><thead><tr><th scope="col">check</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>',
        heads=heads,
        rows=rows,
    )
    silent = ", ".join(overview.silent).lower()
    rest = html('<p class="quiet">Nothing found by: {silent}.</p>', silent=silent) if silent else Markup("")
    return together([table if overview.checks else html("<h4>No check found anything</h4>"), rest])


def _check_row(check: CheckSummary, numbers: Sequence[int]) -> Markup:
    return html(
        '<tr><th scope="row" title="{looks_for}"><span class="dot" style="background: {colour}"></span>{title} '
        "<code>{name}</code></th>{cells}</tr>",
        looks_for=check.looks_for,
        colour=check.colour,
        title=check.title,
        name=check.name,
        cells=together(
            html('<td class="number">{number}</td>', number=f"{number:,}" if number else "") for number in numbers
        ),
    )


def _effect(overview: Overview) -> str:
    effect = overview.effect
    if effect is None:
        return ""
    return (
        f"A probe on the same held-out images: {effect.before:.3f} before, {effect.after:.3f} after "
        f"({effect.low:.3f} .. {effect.high:.3f}). {meaning(effect)}"
    )


def _stories(gallery: Gallery, overview: Overview) -> Markup:
    if not overview.stories:
        return Markup("")
    stories = together(_story(gallery, story) for story in overview.stories[:_STORIES])
    left = len(overview.stories) + overview.untold - _STORIES
    rest = html('<p class="quiet">and {left} more in the report</p>', left=f"{left:,}") if left > 0 else ""
    return html(
        '<h4>The most telling</h4><ol class="stories">{stories}</ol>{rest}<p class="quiet">Framed: dropped.</p>',
        stories=stories, rest=rest,
    )  # fmt: skip


def _story(gallery: Gallery, story: StorySummary) -> Markup:
    return html(
        "<li><p>{sentence}</p>{pictures}</li>",
        sentence=story.sentence, pictures=_together(gallery, story.strip) if story.strip else "",
    )  # fmt: skip


def _together(gallery: Gallery, units: Sequence[Sequence[int]]) -> Markup:
    """Pictures beside each other, those of one picture or group in a frame of their own."""
    parts: list[Markup] = []
    room = _IN_STRIP
    for unit in units:
        if room <= 0 or (parts and len(unit) > room):
            break
        pictures = together(map(figure, gallery.tiles(unit[:room])))
        parts.append(html('<div class="together">{pictures}</div>', pictures=pictures) if len(unit) > 1 else pictures)
        room -= len(unit)
    return html('<div class="strip">{parts}</div>', parts=together(parts))


def _next(scan: Scan, overview: Overview) -> Markup:
    """What to type next, here and in a terminal, and where everything was written."""
    check = max(overview.checks, key=lambda check: check.review, default=None)
    calls = [f'.show("{check.name}")'] if check and check.review else []
    if scan.folder is None:
        place = html('<p class="quiet">Nothing was written, as artifacts is None.</p>')
        commands = []
    else:
        calls += ['.decide(drop=["id"], relabel={"id": "class"})', ".apply()"]
        place = html('<p class="quiet">The report is <code>{path}</code></p>', path=str(scan.folder / "report.html"))
        commands = [f"curate review{elsewhere(scan.folder.parent)}", overview.following]
    lines = [
        html('<p class="quiet">{name} {words}</p>', name=name, words=_typed(words))
        for name, words in (("Here:", calls), ("In a terminal:", list(filter(None, commands))))
        if words
    ]
    notes = together(html("<li>{note}</li>", note=note) for note in overview.notes[:_NOTES])
    folded = html(
        '<details><summary class="quiet">Notes</summary><ul class="quiet">{notes}</ul></details>', notes=notes
    )
    return html(
        "<h4>Next</h4>{lines}{place}{folded}", lines=together(lines), place=place, folded=folded if notes else ""
    )


def _typed(words: Sequence[str]) -> Markup:
    return Markup(" ").join(html("<code>{word}</code>", word=word) for word in words)
