import json
import re

import pytest
from rich.cells import cell_len

from curate.stage.lines import Column, json_printable, printable, shortened, table_lines, wrapped

# One of each kind of character that steers a terminal or turns the order of letters about.
STEERING = "\x00\x07\t\r\n\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\udcff\ud800"
LONG = [f"{'leukocyte_' * 12}{end}" for end in ("left", "right")]
COUNTS = {"train": ["12,345", "7"], "val": ["1,234", "0"], "test": ["1,234", "12"], "total": ["14,813", "19"]}
WIDTHS = (40, 60, 80, 120)


def table(names=LONG, counts=COUNTS):
    return [Column("class", names), *(Column(name, cells, number=True) for name, cells in counts.items())]


def test_every_character_that_steers_is_written_as_its_escape():
    for letter in STEERING:
        assert printable(f"a{letter}b") == f"a{letter.encode('unicode_escape').decode()}b"
    assert printable("\x1b[31m\u202e") == r"\x1b[31m\u202e"


def test_letters_of_any_script_and_signs_are_left_as_they_are():
    text = "Möhre 細胞 תא 🐱 [red]<b> :cat: ± → …"
    assert printable(text) == text


def test_json_stays_json_and_says_the_same():
    given = {STEERING: [STEERING, 1], "Möhre": "細胞"}
    text = json_printable(json.dumps(given, ensure_ascii=False, indent=2))
    assert json.loads(text) == given
    assert set(text) & set(STEERING) == {"\n"}
    assert "細胞" in text
    text.encode("utf-8")


@pytest.mark.parametrize("width", range(14))
def test_a_shortened_text_fits(width):
    for text in ("immature_granulocyte", "132 identical images", "細胞細胞細胞細胞"):
        assert cell_len(shortened(text, width)) <= width


def test_a_name_keeps_both_ends_and_what_fits_is_whole():
    assert shortened("immature_granulocyte", 20) == "immature_granulocyte"
    assert shortened("immature_granulocyte", 9) == "imma…cyte"
    assert shortened("two words here", 9) == "two word…"


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_are_broken_at_spaces_and_numbers_paths_and_commands_stay_whole(width):
    path = "/a/path/that/is/wider/than/any/of/the/screens/" + "x" * 100
    line = (
        f"note    accuracy 0.938 -> 0.941 (0.932 .. 0.950); `curate apply --artifacts demo` writes {path} with 12,345"
    )
    lines = wrapped(line, width)
    assert " ".join(part.strip() for part in lines).split() == line.split()
    for words in ("0.938 -> 0.941", "(0.932 .. 0.950);", "`curate apply --artifacts demo`", path, "12,345"):
        assert sum(words in part for part in lines) == 1
    assert all(cell_len(part) <= width for part in lines if path not in part)
    assert all(part.startswith(" ") for part in lines[1:])


def test_commands_side_by_side_come_below_each_other_where_there_is_no_room():
    line = "next    augment build --policy heavy    or look first: open the report"
    assert wrapped(line, 80, whole=True) == [line]
    assert wrapped(line, 40, whole=True) == [
        "next    augment build --policy heavy",
        "        or look first: open the report",
    ]
    assert wrapped(line, 20, whole=True)[0] == "next augment build --policy heavy".replace("next ", "next    ")
    assert wrapped(line * 9, None) == [line * 9]


def test_where_nobody_looks_nothing_of_a_table_is_cut():
    lines = [line for line, _ in table_lines(table(), None)]
    assert all(name in line for name, line in zip(LONG, lines[1:], strict=True))
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_of_long_names_all_numbers_and_columns_are_seen_at_any_width(width):
    lines = [line for line, _ in table_lines(table(), width)]
    assert all(cell_len(line) <= width for line in lines)
    words = " ".join(lines).split()
    assert {*COUNTS, "class"} <= set(words)
    assert {number for cells in COUNTS.values() for number in cells} <= set(words)
    assert "…" in lines[1]
    assert lines[1].split()[0] != lines[2].split()[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_of_many_numbers_goes_on_below(width):
    names = ["planted", "found", "recall", "false_alarms", "precision", "ap", "threshold", "proposed"]
    counts = {name: [f"0.{i}23", "1.000", "12,345"] for i, name in enumerate(names)}
    lines = table_lines(table(["exact_duplicate", "label_error", "dark"], counts), width)
    assert all(cell_len(line) <= width for line, _ in lines)
    text = " ".join(line for line, _ in lines)
    for i, name in enumerate(names):
        assert f"0.{i}23" in text
        assert {name} <= set(text.split()) or set(re.findall(r"[^_]+_?", name)) <= set(text.split())
    assert text.count("12,345") == len(names)
    assert sum("dark" in line for line, _ in lines) == (1 if width >= 80 else 2 if width == 60 else 3)


def test_cells_that_are_to_stay_whole_do():
    columns = [Column("check", ["exact_duplicate"]), Column("verdict", ["1,204 drop, 19 review"], whole=True)]
    assert any("1,204 drop, 19 review" in line for line, _ in table_lines(columns, 34))


def test_headings_are_told_from_rows():
    assert [heading for _, heading in table_lines(table(), 120)] == [True, False, False]
    assert table_lines([], 80) == []
