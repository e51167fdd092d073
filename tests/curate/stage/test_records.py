from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.stage.errors import DataError
from curate.stage.records import OPTIONAL, document_of, named, read_record, record_of, record_text, write_record


@dataclass(frozen=True)
class Part:
    class_name: str = field(metadata=named("class"))
    share: float
    images: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    size: tuple[int, int]
    intervals: Mapping[str, Mapping[str, float]]
    checked: bool
    score: float | None = None
    values: Mapping[str, float | str] = field(default_factory=dict)


WHOLE = Whole((Part("a", 0.5), Part("b", 0.25, 3)), (96, 64), {"fog": {"1": 0.9}}, True, None, {"p": 0.5, "q": "x"})
DOCUMENT = {
    "parts": [{"class": "a", "share": 0.5}, {"class": "b", "share": 0.25, "images": 3}],
    "size": [96, 64],
    "intervals": {"fog": {"1": 0.9}},
    "checked": True,
    "score": None,
    "values": {"p": 0.5, "q": "x"},
}


def test_fields_are_keys_in_their_order_and_optional_ones_without_a_value_are_left_out():
    assert document_of(WHOLE) == DOCUMENT
    assert list(document_of(WHOLE)) == list(DOCUMENT)


def test_what_is_written_is_read(tmp_path):
    path = write_record(WHOLE, tmp_path / "whole.json")
    assert path.read_text() == record_text(WHOLE)
    assert read_record(Whole, path, "Write it again.") == WHOLE


@given(
    st.builds(
        Whole,
        st.lists(st.builds(Part, st.text(), st.floats(0, 1), st.none() | st.integers())).map(tuple),
        st.tuples(st.integers(), st.integers()),
        st.dictionaries(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False))),
        st.booleans(),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.dictionaries(st.text(), st.text() | st.floats(0, 1)),
    )
)
def test_any_record_comes_back(record):
    assert record_of(Whole, document_of(record), "whole.json", "") == record


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_numbers_that_are_none_are_null_and_come_back_as_nan(number):
    document = document_of(Part("a", number))
    assert document == {"class": "a", "share": None}
    assert isnan(record_of(Part, document, "part.json", "").share)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"extra": 1}, r"whole\.json: it has what is not known: extra\."),
        ({"checked": 1}, r"whole\.json: checked is not true or false\."),
        ({"size": [1]}, r"whole\.json: size is not as it should be\."),
        ({"size": [1.5, 2]}, r"whole\.json: size.* is not a whole number\."),
        ({"parts": [{"class": 3, "share": 0.5}]}, r"whole\.json: parts\[0\]\.class_name is not text\."),
        ({"parts": [{"class": "a", "share": True}]}, r"whole\.json: parts\[0\]\.share is not a number\."),
        ({"intervals": 3}, r"whole\.json: intervals is not as it should be\."),
    ],
)
def test_what_is_not_known_or_of_another_type_is_refused_with_its_place(change, complaint):
    with pytest.raises(DataError, match=rf"(?s){complaint}.* Write it again\.$"):
        record_of(Whole, DOCUMENT | change, "whole.json", "Write it again.")


def test_a_field_that_is_missing_is_named():
    with pytest.raises(DataError, match=r"whole\.json: size is missing"):
        record_of(Whole, {key: value for key, value in DOCUMENT.items() if key != "size"}, "whole.json", "")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_a_file_that_holds_no_object_is_refused(tmp_path, text):
    path = tmp_path / "whole.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"whole\.json .*Write it again\."):
        read_record(Whole, path, "Write it again.")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"whole\.json cannot be read .*Write it again\."):
        read_record(Whole, tmp_path / "whole.json", "Write it again.")


@dataclass(frozen=True)
class Either:
    entry: Part | Whole


@pytest.mark.parametrize("entry", [Part("a", 0.5), Part("a", 0.5, 3), WHOLE])
def test_of_several_kinds_a_document_is_of_the_one_that_it_is_like(entry):
    assert record_of(Either, document_of(Either(entry)), "either.json", "") == Either(entry)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"class": "a"}, r"entry\.share is missing"),
        ({"size": [1, 2], "checked": "yes"}, r"entry\.parts is missing"),
        (3, "entry is not as it should be"),
    ],
)
def test_what_is_like_none_of_them_is_held_against_the_nearest(document, complaint):
    with pytest.raises(DataError, match=rf"either\.json: {complaint}"):
        record_of(Either, {"entry": document}, "either.json", "Again.")


def test_what_is_not_known_is_told_before_what_is_missing():
    document: dict[str, object] = {"sise": [96, 64], **DOCUMENT}
    del document["size"]
    with pytest.raises(DataError, match=r"whole: it has what is not known: sise \(and 1 more\)"):
        record_of(Whole, document, "whole", "Write it again.")
