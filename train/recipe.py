"""Recipes: how a model is fitted and measured, from TOML files.

    about = "ResNet50, all of it fine-tuned."   # one sentence
    origin = "..."                              # the report or paper
    policy = "light"                            # of `augment build`, for the data that it is meant for
    [build]                                     # the other options of that command
    balance = "weights"
    [model]                                     # fields of ModelConfig
    backbone = "ResNet50"
    [fit]                                       # of FitConfig; lists have a value for each stage
    unfreeze = [0.3, 1.0]
    [evaluate]                                  # of EvaluateConfig
    tta = "flips"
    [run]                                       # of RunConfig; written into a run's config.toml
    seed = 1

What a file leaves out has its default.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from curate.stage.documents import Document, find_document
from curate.stage.errors import DataError, UnknownName, telling
from curate.stage.shortness import short_repr

from .configs import EvaluateConfig, FitConfig, ModelConfig, RunConfig

# Sections of a file that are dataclasses of a run's configuration, under the names of its fields.
SECTIONS: Mapping[str, type[ModelConfig | FitConfig | EvaluateConfig]] = {
    "model": ModelConfig,
    "fit": FitConfig,
    "evaluate": EvaluateConfig,
}
_RUN = "run"  # the fields of RunConfig itself
_WORDS = ("about", "origin", "policy")
_NEEDED = {str: 'text in "quotes"', int: "a whole number", float: "a number", bool: "true or false"}


# A dataclass of the options of a section.
C = TypeVar("C", bound=ModelConfig | FitConfig | EvaluateConfig | RunConfig)


def _recipe_names() -> tuple[str, ...]:
    folder = resources.files(__package__) / "recipes"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


RECIPES = _recipe_names()


@dataclass(frozen=True)
class Recipe:
    """A recipe as its file has it.

    policy  the policy of `augment build` that makes its data, "" where it does not say
    build   that command's other options, by name
    path    of a file of one's own
    """

    name: str
    config: RunConfig
    about: str = ""
    origin: str = ""
    policy: str = ""
    build: Mapping[str, object] = field(default_factory=dict)
    path: Path | None = None

    __repr__ = short_repr

    @property
    def build_command(self) -> str:
        """What to type for its data, "" where it does not say.

        >>> load_recipe("m2g").build_command
        'augment build --policy randaugment --balance weights --allow-overlap'
        """
        if not self.policy:
            return ""
        words = ["augment", "build", "--policy", self.policy]
        for name, value in self.build.items():
            option = name.replace("_", "-")
            words += (
                [f"--{option}" if value else f"--no-{option}"]
                if isinstance(value, bool)
                else [f"--{option}", str(value)]
            )
        return shlex.join(words)


def load_recipe(name_or_path: str) -> Recipe:
    """A built-in recipe, or that of a .toml file, such as a run's config.toml.

    Raises UnknownName for a name that there is not, be it of a recipe, a section, an option or a value; DataError for
    any other mistake. Both tell file and section.

    >>> load_recipe("hendrix").config.model.backbone
    ('ResNet50',)
    """
    document = find_document(name_or_path, "recipe", resources.files(__package__) / "recipes", RECIPES)
    if document:
        return _recipe_of(document)
    raise UnknownName(
        f"{UnknownName.among('recipe', name_or_path, RECIPES)}. A file of your own is taken too: mine.toml."
    )


def with_options(recipe: Recipe, options: Mapping[str, object]) -> RunConfig:
    """The recipe's configuration with what a person gave instead, by the names of the options; None is not given.

    A single value is taken where an option has several, one for each stage. Raises UnknownName for an option that there
    is not, DataError for a value that does not fit.

    >>> with_options(load_recipe("hendrix"), {"backbone": "cnn", "epochs": (1,), "tta": None}).model.backbone
    ('cnn',)
    """
    config, rest = recipe.config, {name: value for name, value in options.items() if value is not None}
    for section in SECTIONS:
        own = {name: rest.pop(name) for name in options_of(section) if name in rest}
        part: dict[str, Any] = {section: _with_values(section, getattr(config, section), own)}
        config = replace(config, **part)
    UnknownName.check("option", rest, [name for section in (*SECTIONS, _RUN) for name in options_of(section)])
    return _with_values(_RUN, config, rest)


def to_toml(config: RunConfig, recipe: Recipe | None = None) -> str:
    """A file of which `load_recipe` makes an equal configuration; every option is in it, as defaults may change.

    recipe  whose own words, policy and options of the build are to be in it too
    Raises DataError for text that TOML cannot hold: a file name that is no UTF-8.
    """
    head = {name: getattr(recipe, name) for name in _WORDS if recipe and getattr(recipe, name)}
    tables = {
        "build": recipe.build if recipe else {},
        **{name: _section_values(name, getattr(config, name)) for name in SECTIONS},
    }
    lines = [f"{key} = {_written(key, value)}" for key, value in head.items()]
    for name, values in {**tables, _RUN: _section_values(_RUN, config)}.items():
        if values:
            lines += ["", f"[{name}]", *(f"{key} = {_written(key, value)}" for key, value in values.items())]
    return "\n".join(lines).lstrip() + "\n"


def _section_values(section: str, config: object) -> dict[str, object]:
    """The options of a section that have a value; TOML knows no None, which is always the default."""
    return {name: value for name in options_of(section) if (value := getattr(config, name)) is not None}


def _written(key: str, value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_written(key, inner) for inner in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{key} has {value!a}, which is no UTF-8, and TOML holds nothing else. Rename it.") from error
    # JSON's escapes are TOML's, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# Reading a file. A reader's error tells of the mistake alone; `telling` puts the place before it.


def _recipe_of(document: Document) -> Recipe:
    name, path = document.name, document.path
    with document.tables() as table:
        UnknownName.check("key of a recipe", table, (*_WORDS, "build", *SECTIONS, _RUN))
        parts: dict[str, Any] = {
            section: _section(section, kind(), table.get(section, {})) for section, kind in SECTIONS.items()
        }
        config = RunConfig(**parts, recipe=str(path) if path else name)
        words = {key: str(_read_value(key, str, table.get(key, ""))) for key in _WORDS}
        return Recipe(name, _section(_RUN, config, table.get(_RUN, {})), **words, build=_build(table), path=path)


def _section(name: str, config: C, options: object) -> C:
    """A part of the configuration with what its section of the file says."""
    with telling(f"[{name}]"):
        if not isinstance(options, dict):
            raise DataError(f"this is {options!r}; needed is a section, in brackets, of lines such as seed = 1.")
        for key in options:
            homes = [other for other in (*SECTIONS, _RUN) if key in options_of(other)]
            if homes and name not in homes:
                raise DataError(f"{key} is an option of [{homes[0]}]. Move it there.")
        UnknownName.check("option", options, options_of(name))
        return _with_values(name, config, options)


def _build(table: Mapping[str, object]) -> dict[str, object]:
    """The options of `augment build`, which are that command's to judge."""
    options = table.get("build", {})
    if not isinstance(options, dict) or not all(isinstance(value, (str, int, float)) for value in options.values()):
        raise DataError('[build]: needed are lines such as balance = "weights" or allow_overlap = true.')
    if options and not table.get("policy"):
        raise DataError("there is a [build] but no policy, which is to be at the top of the file.")
    return options


@cache
def options_of(section: str) -> Mapping[str, object]:
    """The type of each option of a section, by name, in order."""
    kinds = get_type_hints(SECTIONS.get(section, RunConfig))
    return {
        option.name: kinds[option.name]
        for option in fields(SECTIONS.get(section, RunConfig))
        if option.name not in SECTIONS
    }


def _with_values(section: str, config: C, options: Mapping[str, object]) -> C:
    """The configuration of a section with some options of other values."""
    kinds = options_of(section)
    values: dict[str, Any] = {name: _read_value(name, kinds[name], value) for name, value in options.items()}
    return replace(config, **values)


def _read_value(key: str, kind: object, value: object) -> object:
    """A value of the type that an option has, from what a file or a person gives."""
    several = get_origin(kind) is tuple
    # tuple[int, ...] and int | None both have what is asked for first.
    single = next(iter(get_args(kind)), kind)
    assert isinstance(single, type)
    values = list(value) if several and isinstance(value, (list, tuple)) else [value]
    if not all(_fits(single, element) for element in values):
        raise DataError(f"{key} is {value!r}; needed is {_NEEDED[single]}{', or a list of them' if several else ''}.")
    return tuple(map(single, values)) if several else single(value)


def _fits(kind: type, value: object) -> bool:
    if kind is float:
        # Also of whole numbers that no float holds; not a number is not smaller than anything.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
