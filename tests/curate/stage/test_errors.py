import inspect
import pickle

import pytest

from curate.stage import errors
from curate.stage.errors import (
    DataError,
    Diverged,
    MissingExtra,
    OutputError,
    ToolkitError,
    UnknownName,
    WorkerLost,
    gist,
)

TWINS = {
    DataError: ValueError,
    UnknownName: KeyError,
    MissingExtra: ImportError,
    OutputError: OSError,
    Diverged: ArithmeticError,
    WorkerLost: RuntimeError,
}
TREE = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, ToolkitError) and e != ToolkitError]


@pytest.mark.parametrize("error", TREE)
def test_every_error_is_also_the_builtin_error_that_callers_know(error):
    assert issubclass(error, TWINS[error])


@pytest.mark.parametrize("error", [ToolkitError, *TREE])
def test_an_error_says_its_message_and_nothing_around_it(error):
    assert str(error("no check named 'drak'.")) == "no check named 'drak'."
    assert str(error("d.npz", "is empty.")) == "d.npz is empty."


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn = [line for line in errors.__doc__.splitlines() if line[:1] in "├└" and line]
    assert len(drawn) == len(TREE)
    for line in drawn:
        name = line.split()[1]
        assert line.endswith(
            f"(also {'an' if TWINS[getattr(errors, name)].__name__[0] in 'AIO' else 'a'} "
            f"{TWINS[getattr(errors, name)].__name__})"
        )


def test_an_unknown_name_names_the_nearest_and_all_that_are_known():
    error = UnknownName.among("check", "drak", ["outlier", "dark", "light"])
    assert str(error) == "no check named 'drak'. Did you mean 'dark'? Known: dark, light, outlier"


def test_of_several_names_the_first_that_is_not_known_is_told():
    UnknownName.check("key", ["about", "steps"], {"about", "steps"})
    with pytest.raises(UnknownName, match=r"no key named 'step'\. Did you mean 'steps'"):
        UnknownName.check("key", ["about", "step", "stop"], ["about", "steps"])


def test_nothing_is_guessed_where_nothing_is_near():
    error = UnknownName.among("check", "zzzz", iter(["dark", "light"]))
    assert str(error) == "no check named 'zzzz'. Known: dark, light"


def test_a_name_among_none_is_unknown_too():
    assert "no map named 'umap'" in str(UnknownName.among("map", "umap", []))


def test_of_very_many_names_those_that_are_nearest_are_told():
    names = [
        f"benchmark/{name}-{s}" for name in ("fog", "frost", "snow", "jpeg", "contrast", *"abcdefg") for s in range(5)
    ]
    told = str(UnknownName.among("set", "benchmark/fgo-3", names))
    assert told.startswith("no set named 'benchmark/fgo-3'. Did you mean 'benchmark/fog-3'? The nearest of 60 known: ")
    shown = told.partition("known: ")[2].split(", ")
    assert len(shown) == len(set(shown)) == 12
    assert set(shown) <= set(names)
    assert {f"benchmark/fog-{s}" for s in range(5)} <= set(shown)


def test_forty_names_are_still_all_told():
    names = [f"name{i:02d}" for i in range(40)]
    assert str(UnknownName.among("thing", "zzz", names)).endswith(f"Known: {', '.join(names)}")


@pytest.mark.parametrize("error", TREE)
def test_an_error_comes_out_of_another_process_as_it_was(error):
    again = pickle.loads(pickle.dumps(error("d.npz", "is empty.")))
    assert type(again) is error
    assert str(again) == "d.npz is empty."


def test_the_gist_of_an_error_is_its_first_line_of_some_length():
    assert gist(ValueError("\n no such layer\nmore")) == "no such layer"
    assert gist(ValueError("x" * 5500)) == "x" * 200 + "..."
    assert gist(BaseException()) == "BaseException"
