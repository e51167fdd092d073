"""Whatever a set is, what stands for it in a console is one short line."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.configs import ApplyConfig
from curate.stage.shortness import in_short, one_line, short_repr

ROOT = Path(__file__).parents[3]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("curate", "augment", "train")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
]
HOSTILE = "<img src=x onerror=alert(1)>\n\x1b[31m\u202e" * 2_000
HUGE: tuple[object, ...] = (
    np.zeros((60_000, 3)),
    pd.DataFrame({HOSTILE: [HOSTILE] * 1_000}),
    (HOSTILE,) * 60_000,
    {f"{HOSTILE}{i}": HOSTILE for i in range(500)},
    [HOSTILE] * 3,
    HOSTILE,
    Path(HOSTILE),
    10**400,
    "\u0301" * 100_000,  # letters that take no room
)
# Those with words of their own, which are tested beside them.
WORDED = {("curate.scans", "Scan"), ("curate.sets.imageset", "ImageSet")}
# What is large.
ENDLESS = ("ndarray", "DataFrame", "Pictures", "ImageSet")


@dataclass(frozen=True)
class Pets:
    names: object
    colour: str = "black"
    mood: object = None

    __repr__ = short_repr


def classes_of(path: Path) -> Iterator[tuple[str, str, bool]]:
    """(name, annotations of its fields, whether it is told in short) of each dataclass that is written in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            own = [ast.unparse(part.annotation) for part in node.body if isinstance(part, ast.AnnAssign)]
            short = any(ast.unparse(part) == "__repr__ = short_repr" for part in node.body)
            yield node.name, " ".join(text for text in own if "ClassVar" not in text), short


def endless_classes() -> list[tuple[str, str]]:
    """(module, class) of the dataclasses that hold arrays, tables or sets, and of all others that are told in short."""
    return [
        (module, name)
        for module in MODULES
        for name, annotations, short in classes_of(ROOT / f"{module.replace('.', '/')}.py")
        if (short or any(word in annotations for word in ENDLESS)) and (module, name) not in WORDED
    ]


@pytest.mark.parametrize(("module", "name"), endless_classes())
def test_whatever_a_dataclass_holds_its_repr_is_short_and_steers_nothing(module, name):
    kind = getattr(import_module(module), name)
    for value in HUGE:
        record = object.__new__(kind)
        for field in fields(kind):
            object.__setattr__(record, field.name, value)
        text = repr(record)
        assert len(text) < 500
        assert text.count("\n") < 8
        assert text.replace("\n", "").isprintable()


def test_there_are_many_such_classes():
    assert len(endless_classes()) > 100


def test_fields_that_have_their_default_are_left_out():
    assert repr(Pets("Tom")) == "Pets(names='Tom')"
    assert repr(Pets("Tom", "white", 0.25)) == "Pets(names='Tom', colour='white', mood=0.25)"
    assert short_repr(ApplyConfig()) == "ApplyConfig()"
    assert short_repr(ApplyConfig(strict=True)) == "ApplyConfig(strict=True)"


def test_a_sentence_is_one_line_and_keeps_both_ends():
    assert one_line("a\nb\x1b") == r"a\nb\x1b"
    assert one_line("a" * 90 + "b" * 90) == "a" * 60 + "…" + "b" * 59
    assert len(one_line("\u202e" * 10_000)) == 120


def test_arrays_and_tables_show_their_shapes():
    assert in_short(np.zeros((3, 2), np.float16)) == "float16 (3, 2)"
    assert in_short(pd.DataFrame({"a": [1, 2]})) == "DataFrame (2, 1)"
    assert in_short(pd.Series([1, 2])) == "Series (2)"
    assert in_short(np.float32(0.5)) == "0.5"
    assert in_short(np.int64(7)) == "7"


def test_a_few_things_are_told_and_of_many_the_number():
    assert in_short((1, "a")) == "(1, 'a')"
    assert in_short(("a",)) == "('a',)"
    assert in_short([None, True]) == "[None, True]"
    assert in_short({"a": 1}) == "{'a': 1}"
    assert in_short(range(3)) == "range of 3"
    assert in_short([0] * 1_234) == "list of 1,234"
    assert in_short(("a" * 50, "b" * 50)) == "tuple of 2"


def test_other_things_show_what_they_are():
    assert in_short(Pets("Tom")) == "Pets(...)"
    assert in_short(len) == "len"
    assert in_short(object()) == "object"
    assert in_short(Path("a/b")) == "'a/b'"
    assert in_short(float("nan")) == "nan"
