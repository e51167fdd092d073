"""The sources of the documentation site: the pages of this folder, and a reference made from the code.

    python docs/reference.py build/docs/source

The reference has a page for every command of the three apps, one for the checks, and one for each package's public
names. It is made anew for each build of the site, so that it cannot lag behind the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

import augment
import cli
import curate
import train
from curate.findings import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
APPS = {"curate": cli.curate_app, "augment": cli.augment_app, "train": cli.train_app}
PACKAGES = {"curate": curate, "augment": augment, "train": train}
# Pages of the root that belong on the site too.
ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md")
# Sections of the start page that have a page of their own on the site.
SECTIONS = {"How to": "how-to/index", "Reference": "reference/index", "Project": "project"}
LINK = re.compile(r"\[([^\]]+)\]\(([\w/-]+)\.md\)")
CHARACTERS = re.compile(r"([\\*_<>\[\]{}#~])")


# Text


def escaped(text: str) -> str:
    """Plain text as Markdown that reads the same; what stands between backticks stays code."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if part.startswith("`") else CHARACTERS.sub(r"\\\1", part) for part in parts)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; line breaks and bars within a cell stay."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", "<br>") for cell in line) + " |" for line in lines
    )


# Docstrings: paragraphs, and columns of names with their meaning

ENTRY = re.compile(r"(?P<names>[\w.]+(?:, [\w.]+)*)(?: {2,}(?P<meaning>\S.*))?")


@dataclasses.dataclass(frozen=True)
class Docstring:
    """A docstring, taken apart.

    paragraphs  blocks of Markdown in their order, columns left out
    columns     name -> its meaning, of the blocks that are columns
    """

    paragraphs: tuple[str, ...]
    columns: dict[str, str]


def docstring(thing: object) -> Docstring:
    """The docstring of a class or function; that of a base class, or what a dataclass makes by itself, is none."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    if isinstance(thing, type) and text.startswith(f"{thing.__name__}("):
        text = ""
    paragraphs: list[str] = []
    columns: dict[str, str] = {}
    for block in filter(None, re.split(r"\n{2,}", text)):
        intro, entries = column_entries(block)
        columns |= entries
        if intro:
            paragraphs.append(paragraph(intro))
    return Docstring(tuple(paragraphs), columns)


def column_entries(block: str) -> tuple[str, dict[str, str]]:
    """What of a block is prose, and the entries of its columns: `name  meaning`, going on on indented lines."""
    prose: list[str] = []
    entries: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        pieces = re.split(r"; {2,}(?=[\w.]+ {2,}\S)", line)
        match = ENTRY.fullmatch(pieces[0])
        if match and match["meaning"] and not line.startswith(">>>"):
            for piece in pieces:
                name, meaning = re.split(r" {2,}", piece, maxsplit=1)
                entries[name] = meaning
        elif name and line.startswith("  "):
            entries[name] += ("\n" if begins_a_line(line.strip()) else " ") + line.strip()
        else:
            prose.append(line)
            name = ""
    return "\n".join(prose), entries


def begins_a_line(text: str) -> bool:
    """Whether a line of a meaning tells of a value of its own: `"none": ...`, or `mean      of the ...`."""
    return bool(re.match(r'"[^"]+": |[\w-]+ {2,}\S', text))


def paragraph(text: str) -> str:
    if text.startswith(">>> "):
        return fenced(text, "pycon")
    if text.startswith(" "):
        return fenced(inspect.cleandoc(text), "python")
    return escaped(text)


# Commands


def pages_of_app(name: str, app: typer.Typer) -> dict[str, str]:
    """The pages of one app: what it is for with a list of its commands, and one page for each of them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    commands = {key: command for key, command in group.commands.items() if isinstance(command, TyperCommand)}
    heads = ("command", "what it does")
    panels: dict[str, list[tuple[str, str]]] = {}
    for key, command in commands.items():
        row = (f"[`{name} {key}`]({key}.md)", escaped(first_line(command.help)))
        panels.setdefault(panel_of(command) or "Commands", []).append(row)
    parts = [f"# {name}", escaped(group.help or ""), "`--help` after any command prints what its page has."]
    for panel, rows in panels.items():
        parts += [f"## {panel}", table(heads, rows)]
    parts += options_by_group(group, f"Options of {name} itself")
    parts.append(toctree(commands))
    pages = {f"reference/{name}/index.md": "\n\n".join(parts)}
    pages |= {f"reference/{name}/{key}.md": page_of_command(name, command) for key, command in commands.items()}
    return pages


def page_of_command(app: str, command: TyperCommand) -> str:
    """What `app command --help` prints: usage, arguments, and options with type, default and meaning, by group."""
    title = f"{app} {command.name}"
    return "\n\n".join(
        [f"# {title}", escaped(command.help or ""), fenced(usage(title, command)), *options_by_group(command)]
    )


def usage(title: str, command: TyperCommand) -> str:
    words = [title]
    for parameter in arguments(command):
        word = str(parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
        words.append(word if parameter.required else f"[{word}]")
    return " ".join([*words, "[OPTIONS]"])


def arguments(command: TyperCommand) -> list[TyperArgument]:
    return [parameter for parameter in visible(command) if isinstance(parameter, TyperArgument)]


def visible(command: TyperCommand | TyperGroup) -> list[TyperArgument | TyperOption]:
    parameters = [item for item in command.params if isinstance(item, TyperArgument | TyperOption)]
    return [parameter for parameter in parameters if not parameter.hidden]


def options_by_group(command: TyperCommand | TyperGroup, title: str = "Options") -> Iterator[str]:
    """A heading and a table for the arguments, and for each group of options."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    context = typer.Context(command, info_name=command.name)
    for parameter in visible(command):
        option = isinstance(parameter, TyperOption)
        panel = panel_of(parameter) or (title if option else "Arguments")
        kind = code((parameter.metavar or parameter.display_type(context)).strip("<>"))
        names = " / ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
        groups.setdefault(panel, []).append((names, kind, default_of(parameter), escaped(parameter.help or "")))
    # Most people need the arguments and the plain options first.
    for panel in sorted(groups, key=lambda name: (name != "Arguments", name != title)):
        yield f"## {panel}"
        yield table(("argument" if panel == "Arguments" else "option", "type", "default", "meaning"), groups[panel])


def default_of(parameter: TyperArgument | TyperOption) -> str:
    """The default as Markdown: "required" where one must be given, "" for none."""
    value = parameter.default
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return escaped(parameter.show_default)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return "" if value is None or callable(value) else code(str(value))


def panel_of(thing: object) -> str:
    """The heading under which a command or an option is listed, "" for none of its own."""
    panel = getattr(thing, "rich_help_panel", None)
    return panel if isinstance(panel, str) else ""


def first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


# Checks


def page_of_checks() -> str:
    """Every check in one table, each with a link to its section on the long page."""
    rows = (
        (
            f"[`{check.name}`](../checks.md#{check.name})",
            escaped(check.looks_for),
            escaped(check.outcome),
            " ".join(map(code, (*check.explained_by, *check.explained_if_recognised))),
            " ".join(map(code, check.planted_by)),
        )
        for check in CATALOGUE.values()
    )
    intro = (
        "Every check, the gravest first. [The long page](../checks.md) tells how each is measured, and where it fails."
    )
    return "\n\n".join(
        [
            "# The checks at a glance",
            intro,
            table(("check", "looks for", "action", "explained by", "tested by planting"), rows),
        ]
    )


# Python


def page_of_package(name: str, package: ModuleType) -> str:
    """Every public name of a package: its signature, what it does, and its fields."""
    documentation = docstring(package)
    parts = [f"# Python: {name}", *documentation.paragraphs]
    for public in package.__all__:
        parts += [f"## {name}.{public}", *description(getattr(package, public), f"{name}.{public}")]
    return "\n\n".join(parts)


def description(thing: object, name: str) -> Iterator[str]:
    documentation = docstring(thing)
    if isinstance(thing, type) and dataclasses.is_dataclass(thing):
        yield from documentation.paragraphs
        inherited = {key: text for base in thing.__mro__[:0:-1] for key, text in docstring(base).columns.items()}
        yield table(("field", "type", "default", "meaning"), field_rows(thing, inherited | documentation.columns))
        names = {field.name for field in dataclasses.fields(thing)}
        yield from meanings(
            {key: text for key, text in documentation.columns.items() if not names.intersection(key.split(", "))}
        )
        for method in methods(thing):
            yield from (f"### {name}.{method.__name__}", *description(method, method.__name__))
    elif isinstance(thing, type):
        bases = ", ".join(base.__name__ for base in thing.__bases__)
        yield fenced(f"class {name}({bases})", "python")
        yield from documentation.paragraphs
        yield from meanings(documentation.columns)
    elif callable(thing):
        yield fenced(signature(thing, name), "python")
        yield from documentation.paragraphs
        yield from meanings(documentation.columns)
    else:
        yield fenced(f"{name} = {thing!r}", "python")


def methods(kind: type) -> list[Callable[..., object]]:
    """What a class can be asked to do: its own functions that are public."""
    return [value for key, value in vars(kind).items() if inspect.isfunction(value) and key[0] != "_"]


def meanings(columns: dict[str, str]) -> Iterator[str]:
    if columns:
        rows = ((" ".join(map(code, key.split(", "))), meaning(text)) for key, text in columns.items())
        yield table(("name", "meaning"), rows)


def field_rows(kind: type, columns: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """One row per field of a dataclass; several that the docstring names together share a meaning."""
    shared = {name: text for key, text in columns.items() for name in key.split(", ")}
    for field in dataclasses.fields(kind):
        text = shared.get(field.name) or help_of_field(field)
        yield code(field.name), code(str(field.type)), default_of_field(field), meaning(text)


def help_of_field(field: dataclasses.Field[object]) -> str:
    """The sentence that the command line shows for an option, "" for a field that is none."""
    helps = (about if isinstance(about, str) else getattr(about, "help", "") for about in field.metadata.values())
    return next(filter(None, helps), "")


def meaning(text: str) -> str:
    """A meaning as Markdown; values that it describes one a line are code."""
    lines = (re.sub(r"^([\w-]+) {2,}", r"`\1`: ", line) for line in text.splitlines())
    return "\n".join(map(escaped, lines))


def default_of_field(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return code(repr(field.default))
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        return code(f"{type(value).__name__}()" if dataclasses.is_dataclass(value) else repr(value))
    return ""


def signature(function: Callable[..., object], name: str) -> str:
    """One parameter a line; a default that is a dataclass is told by its name alone."""
    parameters: list[str] = []
    declaration = inspect.signature(function)
    keyword_only = False
    for parameter in declaration.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parameters.append("*")
            keyword_only = True
        text = f"{parameter.name}: {parameter.annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {brief(parameter.default)}"
        parameters.append(text)
    result = "" if declaration.return_annotation is declaration.empty else f" -> {declaration.return_annotation}"
    lines = "".join(f"\n    {parameter}," for parameter in parameters)
    return f"{name}({lines}\n){result}"


def brief(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__}()" if text.startswith("<") or dataclasses.is_dataclass(value) else text


# The site


def toctree(names: Iterable[str]) -> str:
    """A hidden list of pages below this one, for the site's navigation; "title <page>" gives a shorter title."""
    return "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```"


def reference() -> dict[str, str]:
    """Path below the site -> Markdown, of every page that is made from the code."""
    pages = {"reference/checks.md": page_of_checks()}
    for name, app in APPS.items():
        pages |= pages_of_app(name, app)
    for name, package in PACKAGES.items():
        pages[f"reference/python/{name}.md"] = page_of_package(name, package)
    return pages


def navigation(start: str) -> dict[str, str]:
    """The start page and a page for each of its sections that have one, with the lists of pages below them."""
    pages, top = {}, []
    for title, section in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", start, re.M):
        entries = [f"{text} </{path}>" for text, path in LINK.findall(section)]
        if title not in SECTIONS:
            top += entries
            continue
        lines = re.sub(r"^(?!- | ).+\n?", "", LINK.sub(r"[\1](/\2.md)", section), flags=re.M).strip()
        if title == "Reference":
            index_pages = reference_index()
            lines += "\n" + "\n".join(f"- [{text}](/{path}.md)" for path, text in index_pages.items())
            entries += [f"{text} </{path}>" for path, text in index_pages.items()]
        pages[f"{SECTIONS[title]}.md"] = f"# {title}\n\n{lines}\n\n{toctree(entries)}"
        top.append(f"{title} </{SECTIONS[title]}>")
    return {**pages, "index.md": f"{start}\n\n{toctree(top)}"}


def reference_index() -> dict[str, str]:
    """Page -> its title in the navigation, of the pages that lead to all that is made from the code."""
    return {
        "reference/checks": "The checks at a glance",
        **{f"reference/{name}/index": f"The command {name}" for name in APPS},
        **{f"reference/python/{name}": f"Python: {name}" for name in PACKAGES},
    }


def on_site(text: str, page: Path) -> str:
    """A page with its links as they are on the site, where what lies beside this folder lies within it."""
    if page.parent == ROOT:
        return text.replace("](docs/", "](")
    place = page.parent.relative_to(ROOT / "docs")
    outside = "../" * (len(place.parts) + 1)
    return text.replace(f"]({outside}", f"]({outside.removeprefix('../')}")


def attachments() -> set[str]:
    """Paths below the root of files that pages of this folder link to, and that are no pages themselves."""
    texts = [page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md")]
    return {
        link for text in texts for link in re.findall(r"\]\((?:\.\./)+([\w/.-]+)\)", text) if (ROOT / link).is_file()
    } - {*ROOT_PAGES}


def sources() -> dict[str, str]:
    """Path below the site -> Markdown, of every page."""
    pages = {}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        pages[page.relative_to(ROOT / "docs").as_posix()] = on_site(page.read_text("utf-8"), page)
    for name in ROOT_PAGES:
        pages[name] = on_site((ROOT / name).read_text("utf-8"), ROOT / name)
    return pages | reference() | navigation(pages["index.md"])


def main(target: Path) -> None:
    """Write the sources of the site to a folder, which is emptied before."""
    shutil.rmtree(target, ignore_errors=True)
    for path, text in sources().items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text.rstrip() + "\n", "utf-8")
    shutil.copytree(ROOT / "docs" / "images", target / "images")
    for path in attachments():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target / path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
