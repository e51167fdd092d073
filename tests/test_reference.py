"""The generated reference has a place for every command, option, check and public name, and nothing else."""

from __future__ import annotations

import dataclasses
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import typer

import augment
import cli
import curate
import train
from curate.findings import SEVERITY

ROOT = Path(__file__).parents[1]
APPS = {"curate": cli.curate_app, "augment": cli.augment_app, "train": cli.train_app}
COMMANDS = [(app, name) for app in APPS for name in typer.main.get_command(APPS[app]).commands]


def load_reference() -> ModuleType:
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    # Where a dataclass looks its own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


reference = load_reference()
PAGES: dict[str, str] = reference.sources()


def options_of(page: str) -> list[str]:
    """The names in the first column of the page's tables."""
    cells = re.findall(r"^\| (`[^|]+`) \|", page, re.M)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(("app", "name"), COMMANDS)
def test_a_command_has_a_page_with_each_option_its_type_default_and_help(app: str, name: str) -> None:
    command = typer.main.get_command(APPS[app]).commands[name]
    page = PAGES[f"reference/{app}/{name}.md"]
    visible = [parameter for parameter in command.params if not parameter.hidden]
    assert sorted(options_of(page)) == sorted(
        option for parameter in visible for option in (*parameter.opts, *parameter.secondary_opts)
    )
    for parameter in visible:
        (row,) = re.findall(rf"^\| `{parameter.opts[0]}`.*$", page, re.M)
        assert reference.escaped(parameter.help or "").replace("|", r"\|") in row
        assert reference.default_of(parameter) in row
    panels = {parameter.rich_help_panel for parameter in visible} - {None}
    assert panels <= set(re.findall(r"^## (.+)$", page, re.M))
    assert f"[`{app} {name}`]({name}.md)" in PAGES[f"reference/{app}/index.md"]


def test_only_commands_that_are_there_have_a_page() -> None:
    pages = {tuple(path.split("/")[1:]) for path in PAGES if re.match(r"reference/(curate|augment|train)/", path)}
    assert pages == {(app, f"{name}.md") for app, name in [*COMMANDS, *((app, "index") for app in APPS)]}


def test_every_check_is_in_the_table_with_a_link_to_its_section() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(\.\./checks\.md#(\w+)\) \| \S", PAGES["reference/checks.md"], re.M)
    assert rows == [(name, name) for name in SEVERITY]


@pytest.mark.parametrize("package", [curate, augment, train], ids=lambda package: package.__name__)
def test_every_public_name_has_a_section_with_its_fields(package: ModuleType) -> None:
    page = PAGES[f"reference/python/{package.__name__}.md"]
    sections = dict(re.findall(rf"^## {package.__name__}\.(\w+)\n((?:(?!^## ).*\n?)*)", page, re.M))
    assert list(sections) == list(package.__all__)
    for name, section in sections.items():
        thing = getattr(package, name)
        assert section.strip()
        if isinstance(thing, type) and dataclasses.is_dataclass(thing):
            names = [field.name for field in dataclasses.fields(thing)]
            assert [option for option in options_of(section) if option in names][: len(names)] == names


def test_the_navigation_leads_to_every_page() -> None:
    entries = set()
    for path, text in PAGES.items():
        for tree in re.findall(r"^```\{toctree\}\n:hidden:\n\n(.*?)\n```", text, re.M | re.S):
            for line in tree.splitlines():
                target = re.sub(r"^.* <(.+)>$", r"\1", line)
                entries.add(
                    target.removeprefix("/") if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
                )
    assert entries == {path.removesuffix(".md") for path in PAGES} - {"index"}


# Docstrings


def docstring_of(text: str) -> object:
    class Thing:
        pass

    Thing.__doc__ = text
    return reference.docstring(Thing)


def test_columns_of_a_docstring_become_names_with_their_meaning() -> None:
    text = """What comes back.

    path     the folder;  bytes  of all files
    how      mean  of the probabilities
             vote  the likeliest class, of equals
                   the first
    a, b, c  as of another command
    A sentence after the columns.
    """
    docstring = docstring_of(text)
    assert docstring.columns == {
        "path": "the folder",
        "bytes": "of all files",
        "how": "mean  of the probabilities\nvote  the likeliest class, of equals the first",
        "a, b, c": "as of another command",
    }
    assert reference.meaning(docstring.columns["how"]).startswith("`mean`: of the probabilities\n`vote`: the likeliest")
    assert docstring.paragraphs == ("What comes back.", "A sentence after the columns.")


def test_examples_and_code_of_a_docstring_stay_as_they_are() -> None:
    docstring = docstring_of("First.\n\n    import x\n    x.y\n\n>>> 1 + 1\n2\n")
    assert docstring.paragraphs == ("First.", "```python\nimport x\nx.y\n```", "```pycon\n>>> 1 + 1\n2\n```")


def test_plain_text_reads_the_same_as_markdown() -> None:
    assert reference.escaped("runs/<name>/ of *a_b* | `c_d|`") == r"runs/\<name\>/ of \*a\_b\* | `c_d|`"
    assert reference.table(["a"], [["`x | y`\nz"]]).endswith(r"| `x \| y`<br>z |")
