from __future__ import annotations

import codecs
import csv
import io
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sets.sheets import Sheet, text_lines, western
from curate.stage.errors import DataError

CAFE = "file,label\n1.png,café\n2.png,bœuf\n"
MARKS = {",": "utf-8", ";": "cp1252", "\t": "utf-16", "|": "utf-8-sig"}


def sheet_of(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Sheet.read(path)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (CAFE.encode(), ()),
        (codecs.BOM_UTF8 + CAFE.encode(), ()),
        (CAFE.encode("utf-16"), ("t.csv is UTF-16",)),
        (codecs.BOM_UTF16_BE + CAFE.encode("utf-16-be"), ("t.csv is UTF-16",)),
        (CAFE.encode("utf-16-le"), ("t.csv is UTF-16",)),
        (CAFE.encode("utf-16-be"), ("t.csv is UTF-16",)),
        (CAFE.encode("utf-32"), ("t.csv is UTF-32",)),
        (CAFE.replace("\n", "\r\n").encode(), ()),
        (CAFE.replace("\n", "\r").encode(), ()),
        (CAFE.replace("\n", "\n\n\n").encode(), ()),
    ],
)
def test_the_encoding_and_the_line_ends_do_not_matter(tmp_path, content, note):
    sheet = sheet_of(tmp_path, content)
    assert sheet.columns == ("file", "label")
    assert sheet.rows == [["1.png", "café"], ["2.png", "bœuf"]]
    assert sheet.notes == note


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_told_by_its_separators_in_any_script(tmp_path, encoding):
    rows = [[f"{i}.png", "\u4e00\u7a2e\u8c93"] for i in range(20)]
    sheet = sheet_of(tmp_path, "\n".join(["file,label", *map(",".join, rows)]).encode(encoding))
    assert sheet.rows == rows


@pytest.mark.parametrize(("encoding", "word"), [("cp1252", "œuf"), ("latin-1", "cr\x90pe"), ("cp1252", "naïve")])
def test_bytes_that_are_no_utf8_are_kept_and_can_be_read_as_western(tmp_path, encoding, word):
    (cell,) = sheet_of(tmp_path, f"file\n{word}\n".encode(encoding)).rows[0]
    assert cell.encode("utf-8", "surrogateescape") == word.encode(encoding)
    assert western(cell) == word


@pytest.mark.parametrize(
    "content",
    [
        "file;label\na.png;x, y\n",
        "file\tlabel\na.png\tx, y\n",
        "file|label\na.png|x, y\n",
        'file,label\na.png,"x, y"\n',
        "sep=;\nfile;label\na.png;x, y\n",
        '"sep=|"\r\nfile|label\r\na.png|x, y\r\n',
        'file,label,\na.png,"x, y",\n',
        'file,label,,\na.png,"x, y"\n',
        'file,label\na.png,"x, y",\n',
        'file , label \n a.png, "x, y"\n',
    ],
)
def test_the_separator_is_found_and_a_separator_at_the_end_of_a_line_is_nothing(tmp_path, content):
    sheet = sheet_of(tmp_path, content)
    assert sheet.columns == ("file", "label")
    assert sheet.rows == [["a.png", "x, y"]]
    assert sheet.notes == ()


def test_numbers_with_decimal_commas_do_not_mislead(tmp_path):
    sheet = sheet_of(tmp_path, "file;label;dose\n1.png;cat;1,5\n2.png;dog;0,25\n")
    assert sheet.rows == [["1.png", "cat", "1,5"], ["2.png", "dog", "0,25"]]


def test_quoted_text_may_hold_lines_separators_and_quotation_marks(tmp_path):
    sheet = sheet_of(tmp_path, 'file,label,note\n1.png,cat,"two\nlines, and ""quotes"""\n2.png,dog,\n')
    assert sheet.rows == [["1.png", "cat", 'two\nlines, and "quotes"'], ["2.png", "dog", ""]]


def test_short_rows_are_filled_and_long_ones_left_out_and_both_are_told(tmp_path):
    sheet = sheet_of(tmp_path, "file,label\n1.png,cat\n2.png\n3.png,red, cat\n4.png,dog,\n")
    assert sheet.rows == [["1.png", "cat"], ["2.png", ""], ["4.png", "dog"]]
    assert sheet.notes == (
        "short rows of t.csv whose last values are missing: 1 (line 3)",
        "rows of t.csv with more than 2 values were left out: 1 (line 4); "
        "put text that holds the separator into quotes",
    )


def test_a_header_that_lacks_the_name_of_the_row_names_is_completed(tmp_path):
    sheet = sheet_of(tmp_path, '"file","label"\n"1","a.png","cat"\n"2","b.png","dog"\n')
    assert sheet.columns == ("", "file", "label")
    assert "one name short" in sheet.notes[0]


def test_a_header_that_comes_again_is_no_row(tmp_path):
    sheet = sheet_of(tmp_path, "file,label\n1.png,cat\nfile,label\n2.png,dog\n")
    assert sheet.rows == [["1.png", "cat"], ["2.png", "dog"]]
    assert sheet.notes == ("rows of t.csv that repeat the header were left out: 1",)


@pytest.mark.parametrize("above", ["# made by a camera\n", "# by me, with love\n", "My table\n\n", "Title\n# more;\n"])
def test_lines_above_the_header_are_left_out_and_told(tmp_path, above):
    sheet = sheet_of(tmp_path, above + "file;label\n1.png;cat\n2.png;dog\n3.png;cat\n")
    assert sheet.columns == ("file", "label")
    assert len(sheet.rows) == 3
    assert "lines above the header of t.csv were left out" in sheet.notes[0]


def test_paths_and_labels_with_spaces_between_are_a_table(tmp_path):
    sheet = sheet_of(tmp_path, "# of mine\nmy cat/1.png 0\nmy cat/2.png   1\n", "l.txt")
    assert sheet.columns == ("my cat/1.png", "0")
    assert sheet.headless().rows == [["my cat/1.png", "0"], ["my cat/2.png", "1"]]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ('file,label\n1.png,"cat\n2.png,dog\n', "t.csv", r"a quotation mark is never closed \(line 2\)"),
        (b"file,label\n1.png,\0\0\0", "t.csv", "UTF-16|bytes of 0"),
        (codecs.BOM_UTF16_LE + b"a", "t.csv", "cannot be read as UTF-16"),
        (b"PK\x03\x04....", "t.csv", "a spreadsheet or an archive"),
        (b"\x1f\x8b\x08....", "t.csv", "a spreadsheet or an archive"),
        (bytes(range(256)), "t.csv", "bytes of 0"),
        ("", "t.xlsx", "is a spreadsheet. Save it as CSV"),
        ("", "t.ods", "is a spreadsheet. Save it as CSV"),
        (f"file,label\n1.png,{'x' * 200_000}\n", "t.csv", "is no table"),
        ('{"file": "a.png"}\n[1]\n', "t.jsonl", "line 2 is no object"),
        ('{"file": "a.png"}\n{"file"\n', "t.jsonl", "line 2 is no JSON"),
        ("file", "t.parquet", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(tmp_path, content, name, message):
    with pytest.raises(DataError, match=message):
        sheet_of(tmp_path, content, name)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.xlsx"])
def test_a_table_that_is_not_there_is_an_error(tmp_path, name):
    with pytest.raises(DataError, match=r"does not exist|spreadsheet"):
        Sheet.read(tmp_path / name)


def test_json_lines_have_a_column_for_each_key(tmp_path):
    lines = [
        {"file_name": "a.png", "label": 1.0},
        {"file_name": "b.png", "tag": ["x"]},
        {"file_name": "c.png", "label": None},
    ]
    sheet = sheet_of(tmp_path, "\n".join(map(json.dumps, lines)), "metadata.jsonl")
    assert sheet.columns == ("file_name", "label", "tag")
    assert sheet.rows == [["a.png", "1.0", ""], ["b.png", "", "x"], ["c.png", "", ""]]


@pytest.mark.parametrize(
    "document", [[{"file": "a.png", "label": "x"}, {"file": "b.png", "label": 1}], {"a.png": "x", "b.png": 1}]
)
def test_a_json_document_lists_objects_or_labels_by_name(tmp_path, document):
    sheet = sheet_of(tmp_path, json.dumps(document, indent=1), "t.json")
    assert sheet.columns == ("file", "label")
    assert sheet.rows == [["a.png", "x"], ["b.png", "1"]]


@pytest.mark.parametrize("document", [{"images": [], "annotations": []}, 3, {}, {"a.png": ["x", "y"]}])
def test_other_json_is_refused(tmp_path, document):
    with pytest.raises(DataError, match=r"lists no images. Needed is \[\{"):
        sheet_of(tmp_path, json.dumps(document), "t.json")


def test_of_parquet_text_and_numbers_are_read(tmp_path):
    frame = pd.DataFrame(
        {"file": ["a.png", "b.png"], "label": pd.Series([0, None], dtype="float64"), "raw": [b"1", b"2"]}
    )
    frame["kind"] = pd.Categorical(["x", "y"])
    frame.to_parquet(tmp_path / "t.parquet")
    sheet = Sheet.read(tmp_path / "t.parquet")
    assert sheet.columns == ("file", "label", "kind")
    assert [row[0] for row in sheet.rows] == ["a.png", "b.png"]
    assert sheet.notes == ("columns of t.parquet that hold neither text nor numbers were left out: raw",)


def test_a_list_of_this_toolkit_is_taken_at_its_word(tmp_path):
    assert sheet_of(tmp_path, '"file","label","id"\n"a.png"," NA ","a"\n').verbatim
    assert not sheet_of(tmp_path, "file,label,id\na.png,NA,a\n").verbatim


def test_lines_of_a_text_are_without_comments(tmp_path):
    (tmp_path / "l.txt").write_bytes(codecs.BOM_UTF16_LE + "# mine\r\n a.png \r\n\r\nb.png".encode("utf-16-le"))
    assert text_lines(tmp_path / "l.txt") == ["a.png", "b.png"]


# Letters that both Western encodings have, and what must be quoted; no quotation mark or space begins or ends a cell.
words = st.text(st.sampled_from("abcXYZ019éüßñ_.-, ;|'\n\t\""), min_size=1, max_size=8).filter(
    lambda text: text.strip() == text and '"' not in (text[0], text[-1])
)


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(words, words), min_size=1, max_size=12),
    mark=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_writer_writes_is_read_back(tmp_path_factory, rows, mark, encoding, line_end, quoting):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=mark, lineterminator=line_end, quoting=quoting)
    writer.writerows([("file", "label"), *rows])
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    sheet = Sheet.read(path)
    assert sheet.columns == ("file", "label")
    assert [tuple(map(western, row)) for row in sheet.rows] == rows


@pytest.mark.parametrize("mark", MARKS)
def test_what_pandas_writes_is_read_back(tmp_path, mark):
    frame = pd.DataFrame({"file": ["a.png", "b c.png"], "label": ["é, x", 'say "y"; | \t']})
    frame.to_csv(tmp_path / "t.csv", sep=mark, encoding=MARKS[mark], index=False)
    sheet = Sheet.read(tmp_path / "t.csv")
    assert [list(map(western, row)) for row in sheet.rows] == frame.to_numpy().tolist()
