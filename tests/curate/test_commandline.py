import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from curate.commandline import Takes, application, command, files, naming_flags
from curate.stage.errors import DataError
from curate.stage.options import check, field_options, option, section
from curate.terminal import Output


@dataclass(frozen=True)
class Oven:
    heat: int = option(180, "Degrees.", "Baking", at_least=50)
    seed: int = option(0, "Of chance.")


@dataclass(frozen=True)
class Cake:
    oven: Oven = section(Oven, only=("heat",))
    kind: str = option("plain", "Which cake.", among=("plain", "marble"), noun="cake")
    fruit: tuple[str, ...] = option((), "Fruit in it.", names=lambda: ("apple", "cherry"))
    recipe: str = option("mine", "By which recipe.", names=lambda: ("mine",), suffixes=(".toml",))
    weights: Mapping[str, float] = option(
        {}, "By fruit.", flag="--weight", metavar="FRUIT=KG", names=lambda: ("apple",)
    )
    seed: int = option(0, "Of chance.", at_least=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Larder:
    key: str | None = option(None, "Of the door.", path=True)


calls: list[object] = []
app = application("bakery", "Bakes.")


@command(app)
def bake(guest: Annotated[str, typer.Argument(help="For whom.")], config: Cake, output: Output) -> None:
    """Bake a cake."""
    if guest == "nobody":
        raise DataError("nobody eats.")
    calls.append((guest, config, output))


@command(app, takes={"config": Takes(Cake, only=("kind", "seed"), defaults={"kind": "marble"})})
def taste(config: Cake, oven: Oven) -> None:
    """Taste it."""
    calls.append((config, oven))


@command(app)
def wait(number: int) -> None:
    """Wait for a signal."""
    os.kill(os.getpid(), number)


@command(app, "again", takes={"options": Takes(Cake, unset=True, without=("seed",))})
def bake_again(options: Mapping[str, object]) -> None:
    """Bake another."""
    calls.append(options)


@command(app, "base", takes={"options": Takes(Cake, base=Cake(Oven(200), kind="marble", fruit=("apple", "cherry")))})
def bake_by_base(options: Mapping[str, object]) -> None:
    """Bake by a recipe."""
    calls.append(options)


def run(*words: str):
    calls.clear()
    return CliRunner().invoke(app, list(words))


def params(name: str) -> dict:
    return {of.name: of for of in get_command(app).commands[name].params if of.name != "help"}


def completed(name: str, option: str, incomplete: str) -> list[str]:
    of = params(name)[option]
    return [item.value for item in of.shell_complete(typer.Context(get_command(app)), incomplete)]


def test_a_command_makes_its_configurations_of_what_is_typed():
    result = run(
        "bake", "Ada", "--heat", "200", "--fruit", "apple,cherry", "--fruit", "fig", "--weight", "apple=2", "-q"
    )
    assert result.exit_code == 0, result.output
    cake = Cake(Oven(heat=200), fruit=("apple", "cherry", "fig"), weights={"apple": 2.0})
    assert calls == [("Ada", cake, Output(quiet=True))]


def test_options_have_the_help_the_group_and_the_range_of_their_fields():
    heat = params("bake")["heat"]
    assert (heat.help, heat.rich_help_panel, heat.default, heat.opts) == ("Degrees.", "Baking", 180, ["--heat"])
    assert heat.metavar == "<int from 50>"


def test_a_command_may_take_a_part_with_defaults_of_its_own_and_what_two_have_is_there_once():
    assert list(params("taste")) == ["kind", "seed", "heat"]
    assert run("taste", "--seed", "3").exit_code == 0
    assert calls == [(Cake(kind="marble", seed=3), Oven(seed=3))]


def test_without_defaults_what_is_not_given_is_none():
    assert run("again", "--kind", "marble").exit_code == 0
    assert calls == [
        {
            "heat": None,
            "kind": "marble",
            "fruit": None,
            "recipe": None,
            "weights": None,
        }
    ]


def test_a_configuration_may_be_where_defaults_come_from():
    assert {name: of.default for name, of in params("base").items()} == {
        "heat": 200, "kind": "marble", "fruit": "apple,cherry", "recipe": "mine", "weights": None, "seed": 0,
    }  # fmt: skip
    assert run("base", "--heat", "90").exit_code == 0
    assert calls[0]["heat"] == 90
    assert calls[0]["fruit"] == ("apple", "cherry")


def test_a_refusal_is_one_line_and_its_traceback_is_for_who_asks():
    result = run("bake", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "DataError: nobody eats.\n")
    result = run("bake", "nobody", "-v")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "DataError: nobody eats."


def test_how_long_it_took_is_for_who_asks():
    assert run("bake", "Ada").stderr == ""
    assert run("bake", "Ada", "--verbose").stderr.startswith("time    0.")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_asked_for_either_way(option):
    assert "Bake a cake." in run("bake", option).stdout
    assert "Bakes." in run(option).stdout


def test_the_version_is_printed():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("bakery (Trustset) ")


@pytest.mark.parametrize(
    ("option", "incomplete", "values"),
    [
        ("kind", "", ["plain", "marble"]),
        ("kind", "m", ["marble"]),
        ("fruit", "apple,ch", ["apple,cherry"]),
        ("weights", "ap", ["apple="]),
        ("recipe", "", ["mine", "own.toml", "sub/"]),
        ("recipe", "sub/", ["sub/deep.toml"]),
        ("recipe", "./o", ["./own.toml"]),
        ("recipe", "nowhere/", []),
        ("recipe", "/no", []),
    ],
)
def test_values_complete(option, incomplete, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("own.toml", "own.txt", ".hidden.toml", "sub/deep.toml"):
        (tmp_path / name).touch()
    assert completed("bake", option, incomplete) == values


def test_without_suffixes_no_file_is_offered():
    assert files("", ()) == []


def test_a_refusal_of_a_value_names_the_option_as_it_was_typed():
    assert run("bake", "Ada", "--heat", "20").stderr == ""  # an Oven does not look
    assert run("bake", "Ada", "--seed", "-1").stderr == "DataError: --seed is -1; needed is a whole number from 0.\n"


def test_only_the_name_of_an_option_becomes_its_flag():
    options = field_options(Cake)
    with pytest.raises(DataError, match=r"^--weight is 3 kg"), naming_flags(options):
        raise DataError("weights is 3 kg.")
    with pytest.raises(DataError, match=r"^the kind is none"), naming_flags(options):
        raise DataError("the kind is none.")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_that_is_told_to_stop_says_so_and_ends_with_the_status_of_the_signal(number, status):
    # As where nothing is ignored: a shell has what runs in the background ignore SIGINT.
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)
    try:
        result = CliRunner().invoke(app, ["wait", str(int(number))])
    finally:
        signal.signal(number, before)
    assert result.exit_code == status
    assert result.stderr == "stopped; nothing was left half-written.\n"


@command(app, "fetch")
def fetch(place: Annotated[Path, typer.Argument(help="Where from.")], larder: Larder) -> None:
    """Fetch something."""
    if larder.key is None:
        raise MemoryError
    if larder.key == "none":
        raise BrokenPipeError
    place.read_bytes()


def test_a_path_that_no_file_can_have_is_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("round").symlink_to("round")
    assert run("fetch", "x" * 300).stderr.startswith(
        "DataError: PLACE 'xxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxx' cannot be"
    )
    refused = run("fetch", "here", "--key", "round")
    assert (refused.exit_code, refused.stderr) == (
        2, "DataError: --key 'round' cannot be opened: Too many levels of symbolic links.\n",
    )  # fmt: skip


def test_what_the_system_says_is_one_line_where_no_command_expected_it(tmp_path):
    refused = run("fetch", str(tmp_path), "--key", "k")
    assert refused.exit_code == 2
    assert refused.stderr == f"IsADirectoryError: {tmp_path}: Is a directory. -v shows where it was met.\n"
    refused = run("fetch", str(tmp_path))
    assert (refused.exit_code, refused.stderr.partition(".")[0]) == (
        2,
        "MemoryError: this needs more memory than there is",
    )


def test_who_reads_no_further_is_told_nothing(tmp_path):
    assert isinstance(run("fetch", str(tmp_path), "--key", "none").exception, BrokenPipeError)


def test_the_cache_of_a_library_goes_into_ours_unless_the_person_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    CliRunner().invoke(app, ["bake", "me"])
    assert os.environ["MPLCONFIGDIR"] == "mine"
    monkeypatch.delenv("MPLCONFIGDIR")
    CliRunner().invoke(app, ["bake", "me"])
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "trustset" / "matplotlib")
    assert not list(tmp_path.iterdir())  # it is made by whom it is for
