import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from curate import terminal
from curate.stage.progress import Silent
from curate.terminal import Output, Terminal, elsewhere, print_json, print_table, records


def test_lines_are_told_between_bars_on_a_terminal_and_bars_nowhere_else():
    file = io.StringIO()
    terminal = Terminal(Console(file=file, force_terminal=True, highlight=False))
    with terminal.stage("epoch 1/2", 64, "images") as advance:
        advance(32)
        terminal.say("[b]half of it[/b]")
        advance(64)
    terminal.say("epoch 1/2 is done")
    shown = file.getvalue()
    assert "64/64" in shown
    assert "[b]half of it[/b]\n" in shown
    assert "epoch 1/2 is done\n" in shown
    plain = io.StringIO()
    with Terminal(Console(file=plain)).stage("epoch 1/2", 64, "images") as advance:
        advance(64)
    assert plain.getvalue() == ""


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
