from importlib import resources

import pytest

from curate.stage.documents import Document, find_document, own_document, packaged_document
from curate.stage.errors import DataError, UnknownName

POLICIES = resources.files("augment.policies")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('about = "mine"\n', encoding="utf-8")
    return path


def found(name_or_path):
    return find_document(name_or_path, "policy", POLICIES, ("light", "heavy"))


def test_one_of_a_package_is_found_by_its_name():
    document = found("light")
    assert document == packaged_document(POLICIES, "light")
    assert (document.name, document.path) == ("light", None)
    with document.tables() as tables:
        assert isinstance(tables["about"], str)


def test_a_file_of_ones_own_is_found_by_its_path_and_named_for_it(path):
    document = found(str(path))
    assert document == own_document(path, "")
    assert (document.name, document.path) == ("mine", path)
    with document.tables() as tables:
        assert tables == {"about": "mine"}


@pytest.mark.parametrize("name", ["moderate", "lihgt", "mine.py:fade", ""])
def test_any_other_name_is_for_others_to_judge(name):
    assert found(name) is None


def test_a_name_comes_before_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "light").write_text("no TOML")
    assert found("light").path is None


def test_a_file_that_cannot_be_read_is_told_with_what_is_needed(tmp_path):
    with pytest.raises(DataError, match=r"gone\.toml cannot be read: No such file.*\. Give a policy's name or its"):
        found(str(tmp_path / "gone.toml"))
    with pytest.raises(DataError, match=r"cannot be read: .*\. Needed is a \[space\]\."):
        own_document(tmp_path, "Needed is a [space].")


@pytest.mark.parametrize("content", [b"a = ", b"a = 1\na = 2", b"\xff = 1"])
def test_what_is_no_toml_is_told_with_its_place(content, path):
    with pytest.raises(DataError, match=r"^mine\.toml: this is no TOML: .+\.$"), Document("mine", content).tables():
        raise AssertionError("it was read")
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path}: this is no TOML"), own_document(path, "").tables():
        raise AssertionError("it was read")


def test_errors_within_tell_the_place_first():
    document = Document("mine", b"c = 1")
    with pytest.raises(UnknownName, match=r"^mine\.toml: no key named 'c'"), document.tables() as tables:
        UnknownName.check("key", tables, ("a", "b"))
