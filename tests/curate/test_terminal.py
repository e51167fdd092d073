import io
import json
import re
from threading import Event

import numpy as np
import pandas as pd
import pytest

from curate import terminal
from curate.stage.bars import BAR
from curate.stage.progress import Silent
from curate.terminal import Output, Screen, Terminal, elsewhere, print_json, print_table, records


class Tty(io.StringIO):
    """What is written to it is as on a terminal."""

    def isatty(self) -> bool:
        return True


def screen(width: int = 80, file: io.StringIO | None = None) -> Screen:
    return Screen(file=file or Tty(), width=width, force_terminal=True, color_system=None)


def written(console: Screen) -> list[str]:
    """The lines on a terminal once all is done, without the codes that moved them."""
    shown = console.file.getvalue()
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line.rpartition("\r")[2]) for line in shown.splitlines()]


def test_lines_are_told_between_bars_on_a_terminal_and_bars_nowhere_else():
    console = screen()
    terminal = Terminal(console)
    with terminal.stage("epoch 1/2", 64, "images") as advance:
        advance(32)
        terminal.say("[b]half of it[/b]")
        with terminal.stage("scoring", None, ""):
            terminal.say("within")
        advance(64)
    terminal.say("epoch 1/2 is done")
    lines = written(console)
    assert "[b]half of it[/b]" in lines
    assert any("64/64" in line and BAR in line for line in lines)
    assert lines[-1] == "epoch 1/2 is done"
    plain = Screen(file=io.StringIO())
    with Terminal(plain).stage("epoch 1/2", 64, "images") as advance:
        advance(64)
    assert plain.file.getvalue() == ""


def test_what_is_stopped_leaves_no_bar():
    console = screen()
    with pytest.raises(KeyboardInterrupt), Terminal(console).stage("reading", 9, "images"):
        raise KeyboardInterrupt
    assert not any("9/9" in line for line in written(console))
    assert console.file.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in console.file.getvalue()


def test_elsewhere_a_plain_line_is_told_now_and_then_and_beside_json_none():
    told = Event()

    class Log(io.StringIO):
        def write(self, text: str) -> int:
            told.set()
            return super().write(text)

    plain = Screen(file=Log())
    with Terminal(plain, every=0.01).stage("reading \x1b[31m", 9, "images") as advance:
        advance(3)
        assert told.wait(30)
    lines = plain.file.getvalue().splitlines()
    assert re.fullmatch(r"  reading \\x1b\[31m: [03]/9 images", lines[0])
    assert "\x1b" not in plain.file.getvalue()


def test_names_steer_no_terminal_and_are_no_markup():
    console = screen()
    console.print("of \x1b[31m[red]:cat:\n\u202e\udce9", style="dim")
    print_line = r"of \x1b[31m[red]:cat:\n\u202e\udce9"
    assert console.file.getvalue() == print_line + "\n"


def test_lines_are_broken_at_spaces_on_a_terminal_alone():
    line = "note    " + "a line of 12,345 words " * 5
    console, plain = screen(40), Screen(file=io.StringIO(), width=40)
    for each in (console, plain):
        each.print(line.strip())
    assert all(len(part) <= 40 for part in written(console))
    assert len(written(console)) > 3
    assert plain.file.getvalue() == line.strip() + "\n"


def test_colours_asked_for_in_a_pipe_do_not_make_it_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    piped = Screen(file=io.StringIO())
    assert not piped.watched
    assert piped.room is None


def test_on_a_narrow_terminal_sentences_come_below_their_rows(monkeypatch):
    console = screen(60)
    monkeypatch.setattr(terminal, "out", console)
    because = "the nearest draws of the policy go 31% of the way to it"
    print_table(
        pd.DataFrame({"corruption": ["fog", "snow"], "ratio": [0.69, 1.0], "because": because}), "t", (), "because"
    )
    lines = written(console)
    assert lines == [
        "t",
        "corruption    ratio",
        "fog           0.690",
        f"    {because}",
        "snow          1.000",
        f"    {because}",
    ]


def test_numbers_among_which_some_are_missing_stand_to_the_right(capsys):
    print_table(pd.DataFrame({"a": [1, None, 20_000], "b": ["x", "y", "z"]}, dtype=object))
    assert capsys.readouterr().out.splitlines() == ["     a    b", "     1    x", "          y", "20,000    z"]


def test_a_small_number_is_not_printed_as_none(capsys):
    print_table(pd.DataFrame({"p": [0.0, 0.0004, 0.0006, np.nan, 1.0]}))
    assert capsys.readouterr().out.split() == ["p", "0.000", "<0.001", "0.001", "1.000"]


def test_json_is_one_document_of_any_letters(capsys):
    print_json({"name": "Möhre", "rows": [1, None]})
    shown = capsys.readouterr().out
    assert "Möhre" in shown
    assert json.loads(shown) == {"name": "Möhre", "rows": [1, None]}


def test_what_is_no_number_is_null_in_rows():
    assert records(pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]})) == [
        {"a": 1.5, "b": "x"},
        {"a": None, "b": None},
    ]


def test_names_with_brackets_are_cells_as_they_are(capsys):
    print_table(pd.DataFrame({"class": ["[/b] lobed"], "images": [1200]}), "counts")
    shown = capsys.readouterr().out
    assert "[/b] lobed" in shown
    assert "1,200" in shown
    assert shown.splitlines()[0].strip() == "counts"


@pytest.mark.parametrize(("artifacts", "words"), [("artifacts", ""), ("a b", " --artifacts 'a b'")])
def test_only_another_place_is_named(artifacts, words):
    assert elsewhere(artifacts) == words


def test_quiet_is_results_only(capsys):
    assert isinstance(Output(quiet=True).reporter, Silent)
    Output(quiet=True).print_notes(["the sea is near"])
    assert capsys.readouterr().out == ""
    Output().print_notes(["the [b]sea is near"])
    assert capsys.readouterr().out == "note    the [b]sea is near\n"


def test_beside_json_nothing_is_said_on_standard_output(capsys):
    reporter = Output(as_json=True).reporter
    assert isinstance(reporter, Terminal)
    assert reporter.console is terminal.err
    reporter.say("half of it")
    assert capsys.readouterr() == ("", "")


def test_seconds_are_for_who_asks(capsys):
    Output().print_seconds({"reading": 1.25})
    assert capsys.readouterr().out == ""
    Output(verbose=True).print_seconds({"reading": 1.25, "hashing": 0.5})
    assert capsys.readouterr().out == "stages  reading 1.2 s, hashing 0.5 s\n"
