"""How the code is built keeps what CONTRIBUTING.md promises of it, counted by its own benchmark."""

import ast
from pathlib import Path

import pytest

from benchmarks.house import (
    PACKAGES,
    PRONOUNS,
    Module,
    anys,
    circles,
    floors,
    functions,
    graph,
    length,
    modules,
    names_of_values,
    parameters,
    rooms,
)

ROOT = Path(__file__).parents[1]
MODULES = modules(ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_go_in_circles(package):
    arrows = graph(MODULES, package)
    assert circles(arrows) == []
    assert circles(rooms(arrows)) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_values_are_called_by_nouns(module):
    assert sorted(PRONOUNS.intersection(names_of_values(module))) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_function_is_longer_than_a_screen(module):
    assert [function.name for function in functions(module) if length(function) > 60] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_any_is_written_at_most_five_times_in_a_thousand_lines(package):
    inside = [module for module in MODULES if module.name.split(".")[0] == package]
    assert 1000 * sum(map(anys, inside)) <= 5 * sum(module.lines for module in inside)


# The counting itself


def module_of(text: str, name: str = "curate.pets") -> Module:
    return Module(name, Path(f"{name.replace('.', '/')}.py"), ast.parse(text), text.count("\n"))


def test_names_are_counted_once_in_each_function_and_those_of_inner_ones_there():
    text = "def pet(found, *told, **of):\n    found = cat = 1\n    def purr(one):\n        dog = one\n    return cat\n"
    assert sorted(names_of_values(module_of(text))) == ["cat", "dog", "found", "of", "one", "told"]


def test_any_is_counted_where_it_is_imported_and_where_it_is_written():
    assert anys(module_of("from typing import Any\n\ndef pet(a: Any) -> dict[str, Any]:\n    '''Any'''\n")) == 3


def test_a_function_has_lines_and_parameters():
    (function,) = functions(
        module_of("class Pet:\n    def purr(self, a, /, b, *, c=1):\n        '''Purr.'''\n        return a\n")
    )
    assert length(function) == 3
    assert parameters(function) == ["a", "b", "c"]


def test_circles_are_found_through_others_for_types_and_in_functions():
    pets = [
        module_of("from .dogs import bark\n", "curate.cats"),
        module_of("def bark():\n    from .mice import squeak\n", "curate.dogs"),
        module_of("if TYPE_CHECKING:\n    from .cats import Cat\n", "curate.mice"),
        module_of("from .mice import squeak\n", "curate.owls"),
    ]
    arrows = graph(pets, "curate")
    assert circles(arrows) == [{"curate.cats", "curate.dogs", "curate.mice"}]
    assert floors(arrows) == 2


def test_a_folder_is_one_room():
    pets = [
        module_of("from ..owls import hoot\n", "curate.sets.cats"),
        module_of("from .cats import purr\n", "curate.sets.dogs"),
        module_of("", "curate.owls"),
    ]
    assert rooms(graph(pets, "curate")) == {"curate.sets": {"curate.owls"}, "curate.owls": set()}
    assert floors(graph(pets, "curate")) == 3
    assert floors(rooms(graph(pets, "curate"))) == 2
