"""What every report has: one page with all of it inside, a head, and how it was made. Imports jinja2 and markupsafe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from ..stage.lines import printable
from ..stage.shortness import short_repr

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BASE = "curate.reporting"
TEMPLATE = "report.html"  # of each package that has a page, beside its report.css

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Report:
    """What the page of any stage has around its own sections.

    kind      "scan", "run": what it is a report of;  name  its headline
    notes     sentences below the head
    files     (name, what it holds) of each file beside the page
    settings  (heading, options) of each part of the configuration, see `settings_of`
    versions  (package, version);  timings  of each part of the work, in words
    """

    kind: str
    name: str
    notes: Sequence[str]
    files: Pairs
    settings: Sequence[tuple[str, Pairs]]
    versions: Pairs
    timings: Pairs

    __repr__ = short_repr


def render(report: Report, package: str, style: str, content: Mapping[str, object], inlined: bool = True) -> str:
    """The page of a report: HTML, to be written as UTF-8.

    package  where its template is, which fills the blocks of the base;  content  what that template shows
    style    CSS after that of the base
    inlined  everything is inside; otherwise the page asks for its style (page.css) and scripts where it came from
    """
    templates = {"base.html": asset(BASE, "base.html"), TEMPLATE: asset(package, TEMPLATE)}
    html = (
        _environment(templates)
        .get_template(TEMPLATE)
        .render(
            content,
            report=report,
            style=Markup(asset(BASE, "base.css") + style),
            inlined=inlined,
        )
    )
    # A name that is no valid text would otherwise keep the page from being written at all.
    return html.encode("utf-8", "replace").decode("utf-8")


def asset(package: str, name: str) -> str:
    """A template, a style or a script of a package, as text."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def settings_of(config: DataclassInstance) -> list[tuple[str, str]]:
    """Every option of a configuration and its value, in words, but for options that are configurations themselves.

    >>> from ..configs import SplitConfig
    >>> settings_of(SplitConfig(fresh=True))[3:6]
    [('balanced test', 'no'), ('per class', 'none'), ('fresh', 'yes')]
    """
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return [
        (name.replace("_", " "), _value_in_words(value)) for name, value in values.items() if not is_dataclass(value)
    ]


def _value_in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _environment(templates: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Of names in it none turns the order of letters about.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["code"] = _with_code
    environment.filters["n"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda number: "" if number is None else f"{number:.3f}"
    return environment


def _with_code(sentence: str) -> Markup:
    """A sentence whose commands stand between backticks, with these as code."""
    parts = [escape(printable(part)) for part in sentence.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))
