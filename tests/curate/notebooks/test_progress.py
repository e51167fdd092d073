import io
import sys
from types import ModuleType, SimpleNamespace

import pytest

import curate.terminal
from curate.notebooks.progress import Notebook, onlooker
from curate.stage.progress import Silent
from curate.terminal import Screen, Terminal


class Cell:
    """The output of a cell: what was drawn last, and how often."""

    def __init__(self):
        self.html, self.words, self.drawn = "", "", 0

    def __call__(self, html, words):
        self.html, self.words = html, words
        self.drawn += 1


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def cell():
    return Cell()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def notebook(cell, clock):
    return Notebook(cell, clock)


def test_where_nobody_looks_nobody_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(onlooker(), Silent)


def test_on_a_terminal_there_are_the_bars_of_the_commands(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(curate.terminal, "err", Screen(stderr=True, file=Tty()))
    reporter = onlooker()
    assert isinstance(reporter, Terminal)
    assert reporter.console is curate.terminal.err


def ipython(monkeypatch, shell):
    """Put an IPython in place that runs in a shell, and return what is displayed."""
    shown = []

    def display(data, raw, display_id):
        shown.append(data)
        return SimpleNamespace(update=lambda data, raw: shown.append(data))

    module, displays = ModuleType("IPython"), ModuleType("IPython.display")
    module.get_ipython, displays.display = lambda: shell, display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    return shown


def test_in_a_notebook_its_cell_shows_how_far_it_is(monkeypatch):
    shown = ipython(monkeypatch, SimpleNamespace(kernel=object()))
    with onlooker().stage("measuring", 10, "images") as advance:
        advance(5)
    assert shown[0] == {"text/plain": ""}
    assert "measuring" in shown[1]["text/html"]
    assert all(set(data) == {"text/html", "text/plain"} for data in shown[1:])


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=None)])
def test_ipython_on_a_terminal_is_no_notebook(monkeypatch, shell):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert ipython(monkeypatch, shell) == []
    assert isinstance(onlooker(), Silent)


def test_a_bar_tells_what_is_done_and_how_fast(notebook, cell, clock):
    with notebook.stage("measuring", 200, "images") as advance:
        clock.now += 2
        advance(50)
        assert 'aria-valuenow="25.0"' in cell.html
        assert "50/200  25 images/s  6 s left" in cell.html
        assert cell.words == "  measuring: 50/200 images, 6 s left"
    assert "progressbar" not in cell.html
    assert "measuring 2.0 s" in cell.html


def test_work_that_nobody_can_count_has_a_bar_without_a_share(notebook, cell):
    with notebook.stage("reading <data>", None, ""):
        assert "unknown" in cell.html
        assert "aria-valuenow" not in cell.html
        assert "reading &lt;data&gt;" in cell.html


def test_a_cell_is_drawn_five_times_a_second_at_most(notebook, cell, clock):
    with notebook.stage("measuring", 1_000, "images") as advance:
        for i in range(1_000):
            clock.now += 0.001
            advance(i)
    assert cell.drawn <= 8


def test_a_stage_within_another_takes_its_bar_for_that_time(notebook, cell):
    with notebook.stage("planting", 3, "steps"):
        with notebook.stage("judging", 17, "checks"):
            assert 'aria-label="judging"' in cell.html
        assert 'aria-label="planting"' in cell.html
    assert "judging" not in cell.html


def test_lines_are_told_at_once_and_the_last_ones_stay(notebook, cell):
    for i in range(40):
        notebook.say(f"  line {i} <b>")
        assert f"<p>line {i} &lt;b&gt;</p>" in cell.html
    assert cell.html.count("<p>") == 12
    assert len(cell.html) < 20_000


def test_work_that_ends_with_an_error_is_told_to_have_stopped(notebook, cell, clock):
    def fail():
        clock.now += 200
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), notebook.stage("measuring", 10, "images"):
        fail()
    assert "stopped measuring 3 min 20 s" in cell.html
