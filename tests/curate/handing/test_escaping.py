from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.handing.escaping import escaped, escaped_cell, unescaped


@given(st.text(st.characters(codec=None)))
def test_what_is_escaped_reads_back_whatever_it_is(text):
    assert unescaped(escaped(text)) == text
    assert unescaped(escaped_cell(text)) == text


@given(st.text(st.characters(codec=None)))
def test_nothing_of_it_steers_or_is_a_formula_and_all_of_it_is_unicode(text):
    cell = escaped_cell(text)
    assert all(char >= " " and not "\x7f" <= char <= "\x9f" for char in cell)
    assert not set("\u2028\u202e\u2067\u200f\ufffe\uffff") & set(cell)
    assert cell[:1] not in ("=", "+", "-", "@")
    cell.encode()


@pytest.mark.parametrize("text", ["plain.png", 'say "hi", it\'s <b>', "日本 ü", "a=b-c"])
def test_usual_names_stay_as_they_are(text):
    assert escaped(text) == escaped_cell(text) == text


@pytest.mark.parametrize("text", [r"C:\cells\a.png", r"\u00zz", "\\"])
def test_what_nobody_escaped_stays_as_it_is(text):
    assert unescaped(text) == text
