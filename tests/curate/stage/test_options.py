from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, dataclass, field

import pytest

from curate.stage.errors import DataError, UnknownName
from curate.stage.options import (
    FieldOption,
    Option,
    check,
    field_options,
    make,
    metadata,
    option,
    read,
    section,
    shortened,
    spelled,
    written,
)

KINDS = ("round", "square")


@dataclass(frozen=True)
class Inner:
    depth: int = option(3, "How deep.", at_least=1)
    width: float = option(0.5, "How wide.", share=True)


@dataclass(frozen=True)
class Outer:
    to: str = field(metadata=metadata(Option("Where to.")))
    inner: Inner = section(Inner)
    kind: str = option("round", "Which kind.", "Looks", among=KINDS)
    names: tuple[str, ...] = option((), "Some names.", among=("a", "b"), noun="letter")
    sets: tuple[str, ...] = option(("a", "b"), "Some sets.", nothing="none")
    ids: tuple[str, ...] = option((), "Some ids.", commas=False)
    steps: tuple[int, ...] = option((1, 2), "Some steps.", at_least=0)
    rates: tuple[float, ...] = option((0.5,), "Some rates.", share=True)
    scores: Mapping[str, float] = option({}, "Scores.", flag="--score", metavar="NAME=SCORE", example="a=0.5")
    size: tuple[int, int] | None = option(None, "The size.")
    count: int | None = option(None, "How many.", at_least=1, at_most=9_999)
    place: str | None = option(None, "Where.", path=True)
    dry: bool = option(False, "Not wet.", switch=True)
    checks: bool = option(True, "Whether it is checked.")
    hidden: dict[str, int] | None = None

    def __post_init__(self) -> None:
        check(self)


OPTIONS = {entry.name: entry for entry in field_options(Outer)}


def test_the_options_are_the_fields_in_order_with_those_of_sections_in_their_place():
    assert list(OPTIONS) == [
        "to", "depth", "width", "kind", "names", "sets", "ids", "steps", "rates", "scores", "size", "count", "place",
        "dry", "checks",
    ]  # fmt: skip
    assert [entry.name for entry in field_options(Outer, only=("size", "depth"))] == ["depth", "size"]


def test_defaults_are_those_of_the_dataclass():
    assert OPTIONS["to"].default is MISSING
    assert OPTIONS["depth"].default == Inner.depth == 3
    assert OPTIONS["scores"].default == {}
    assert Outer("x") == Outer(to="x", inner=Inner(3, 0.5), scores={})
    assert Outer("x").scores is not Outer("x").scores


def test_an_option_of_a_section_may_be_left_out():
    @dataclass(frozen=True)
    class Few:
        inner: Inner = section(Inner, only=("depth",))

    globals()["Few"] = Few  # where its annotations are looked up
    assert [entry.name for entry in field_options(Few)] == ["depth"]
    assert make(Few, {"depth": 5, "width": 0.1}) == Few(Inner(depth=5))


def test_a_configuration_is_made_by_keyword():
    values_read = make(Outer, {"width": 0.25, "to": "there", "count": 4, "unknown": 1})
    assert values_read == Outer(to="there", inner=Inner(width=0.25), count=4)
    with pytest.raises(FrozenInstanceError):
        values_read.count = 5


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("names", ["a,b", " b "], ("a", "b", "b")),
        ("names", None, ()),
        ("ids", ["a,b", "c"], ("a,b", "c")),
        ("sets", "b , a", ("b", "a")),
        ("sets", "none", ()),
        ("steps", "3,4", (3, 4)),
        ("steps", "", ()),
        ("rates", "1e-3, 1", (0.001, 1.0)),
        ("scores", ["a=0.5,b=1", "c = 2"], {"a": 0.5, "b": 1.0, "c": 2.0}),
        ("scores", None, {}),
        ("size", "96", (96, 96)),
        ("size", "64x48", (64, 48)),
        ("size", "", None),
        ("size", None, None),
        ("count", 3, 3),
        ("place", None, None),
        ("dry", True, True),
    ],
)
def test_what_is_typed_is_read(name, typed, value):
    assert read(OPTIONS[name], typed) == value


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("steps", "1,2.5", "--steps '1,2.5'; needed are whole numbers, separated by commas"),
        ("rates", "low", "--rates 'low'; needed are numbers, separated by commas"),
        ("scores", ["a"], "--score 'a' is not NAME=SCORE, as in --score a=0.5"),
        ("size", "9by9", "--size '9by9' is no size; needed is WIDTHxHEIGHT, as in 96x96"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_the_option(name, typed, words):
    with pytest.raises(DataError, match=words):
        read(OPTIONS[name], typed)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"kind": "rund"}, UnknownName, r"no kind named 'rund'\. Did you mean 'round'\?"),
        ({"names": ("a", "c")}, UnknownName, "no letter named 'c'"),
        ({"steps": (1, -1)}, DataError, "steps is -1; needed is a whole number from 0"),
        ({"rates": (0.5, 1.5)}, DataError, "rates is 1.5; needed is a share from 0 to 1"),
        ({"rates": (float("nan"),)}, DataError, "rates is nan; needed is a share"),
        ({"count": 0}, DataError, "count is 0; needed is a whole number from 1 to 9,999"),
        ({"count": 10**9}, DataError, "count is 1000000000; needed is a whole number from 1 to 9,999"),
        ({"count": 10**90}, DataError, r"count is 10000000000000000000\.\.\.0000000000000000"),
        ({"depth": 0}, DataError, "depth is 0; needed is a whole number from 1"),
    ],
)
def test_what_a_field_does_not_allow_is_refused(values, error, words):
    if "depth" in values:
        with pytest.raises(error, match=words):
            check(Inner(**values))
    else:
        with pytest.raises(error, match=words):
            Outer("x", **values)


def test_none_is_not_judged():
    assert Outer("x", count=None).count is None


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "square"},
        {"sets": ("b",)},
        {"sets": ()},
        {"steps": (3,)},
        {"scores": {"a": 0.25}},
        {"size": (64, 48)},
        {"dry": True},
        {"checks": False},
        {"count": 2, "place": "there"},
    ],
)
def test_what_is_spelled_makes_the_configuration_again(values):
    words = iter(spelled(Outer("x", **values), leave=("to",)))
    flags = {entry.flag: entry for entry in OPTIONS.values()} | {"--no-checks": OPTIONS["checks"]}
    values_read = {}
    for word in words:
        entry: FieldOption = flags[word]
        if entry.shape.single is bool:
            values_read[entry.name] = not word.startswith("--no-")
        else:
            typed = next(words)
            values_read[entry.name] = read(
                entry, int(typed) if entry.name == "count" else [typed] if entry.repeats else typed
            )
    assert values_read == values


def test_what_is_the_default_is_not_spelled():
    assert spelled(Outer("x"), leave=("to",)) == []
    assert written(OPTIONS["sets"], ("a", "b")) == "a,b"
    assert written(OPTIONS["size"], None) is None


def test_what_may_hold_commas_is_spelled_once_for_each():
    assert spelled(Outer("x", ids=("a,b", "c")), leave=("to",)) == ["--ids", "a,b", "--ids", "c"]


def test_of_a_long_value_both_ends_are_shown():
    assert shortened(3) == "3"
    assert shortened("x" * 99, 20) == "'xxxxxxxxx...xxxxxx'"
