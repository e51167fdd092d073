import subprocess
import sys
from pathlib import Path

import pytest

from curate.stage.drafts import draft_of, draft_path, final_path
from curate.stage.errors import DataError, OutputError

# Takes the draft of the path that it is given, says so, and holds it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from curate.stage.drafts import draft_of
with draft_of(Path(sys.argv[1]), False) as draft:
    print("held", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "artifacts" / "built"


def build(path, text="new", resume=False):
    with draft_of(path, resume) as draft:
        (draft / "train").mkdir(exist_ok=True)
        (draft / "train" / "part").write_text(text)


def fail(draft):
    (draft / "part").write_text("half")
    raise ZeroDivisionError


def interrupt(path):
    with pytest.raises(ZeroDivisionError), draft_of(path, False) as draft:
        fail(draft)


def test_nothing_is_to_be_seen_until_all_is_done(path):
    with draft_of(path, False) as draft:
        (draft / "part").write_text("new")
        assert not path.exists()
        assert draft.parent == path.parent
    assert (path / "part").read_text() == "new"
    assert [file.name for file in path.iterdir()] == ["part"]
    assert [folder.name for folder in path.parent.iterdir()] == ["built"]


def test_the_draft_lies_beside_its_path_and_knows_what_it_is_to_become(path):
    with draft_of(path, False) as draft:
        assert draft == draft_path(path) == path.with_name("built.partial")
    assert final_path(draft) == path
    assert final_path(path) == path


def test_an_earlier_build_stays_until_the_new_one_takes_its_place(path):
    build(path, "old")
    with draft_of(path, False) as draft:
        (draft / "part").write_text("new")
        assert (path / "train" / "part").read_text() == "old"
    assert [file.name for file in path.iterdir()] == ["part"]
    assert [folder.name for folder in path.parent.iterdir()] == ["built"]


def test_at_an_error_the_draft_is_kept_and_the_earlier_build_as_well(path):
    build(path, "old")
    interrupt(path)
    assert (path / "train" / "part").read_text() == "old"
    assert (path.with_name("built.partial") / "part").read_text() == "half"


def test_what_was_kept_is_there_to_resume(path):
    interrupt(path)
    with draft_of(path, True) as draft:
        assert (draft / "part").read_text() == "half"
    assert (path / "part").read_text() == "half"


def test_without_resume_what_was_kept_is_removed_first(path):
    interrupt(path)
    (path.with_name("built.partial") / "folder" / "in it").mkdir(parents=True)
    with draft_of(path, False) as draft:
        assert [file.name for file in draft.iterdir()] == [".lock"]


def test_of_an_error_before_anything_was_made_nothing_is_left(path):
    with pytest.raises(ZeroDivisionError), draft_of(path, False):
        raise ZeroDivisionError
    assert not path.parent.exists()


def test_a_folder_that_was_there_before_stays_though_nothing_was_made(path):
    path.parent.mkdir()
    with pytest.raises(ZeroDivisionError), draft_of(path, False):
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


def test_a_second_build_at_once_is_refused_and_the_first_goes_on(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=r"another build is writing to .*built\.partial"), draft_of(path, True):
            raise AssertionError("it was not refused")
        other.stdin.close()
        assert other.wait() == 0
    assert path.is_dir()


def test_the_lock_of_a_process_that_was_killed_is_free(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "held\n"
        other.kill()
    build(path)
    assert (path / "train" / "part").read_text() == "new"


@pytest.mark.parametrize("blocked", ["artifacts", "artifacts/built", "artifacts/built.partial"])
def test_a_file_in_the_way_is_told_of_and_stays(tmp_path, blocked):
    file = tmp_path / blocked
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with pytest.raises(OutputError, match=r"cannot write .*\(--artifacts DIR\)"):
        build(tmp_path / "artifacts" / "built")
    assert file.read_text() == "mine"


def test_a_lock_that_cannot_be_opened_is_told_of(path):
    (path.with_name("built.partial") / ".lock").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*built\.partial"):
        build(path)


def test_an_earlier_build_is_put_back_where_the_new_one_cannot_take_its_place(path, monkeypatch):
    build(path, "old")
    replace = Path.replace

    def refused(self, target):
        if self.name == "built.partial":
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(
        OutputError, match=r"cannot move the result to .*built: Permission denied\. The result is in .*partial"
    ):
        build(path, "new")
    assert (path / "train" / "part").read_text() == "old"
    assert (path.with_name("built.partial") / "train" / "part").read_text() == "new"


def test_what_a_crash_between_two_steps_left_aside_goes(path):
    build(path, "old")
    path.rename(path.with_name("built.old"))
    build(path, "new")
    assert [folder.name for folder in path.parent.iterdir()] == ["built"]
