import subprocess
import sys
from pathlib import Path

import pytest

from curate.stage import files
from curate.stage.drafts import draft_of, draft_path, final_path, interrupted_draft, scratch_of
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
    with pytest.raises(OutputError, match=r"(cannot write .*|is a file, .*)\(--artifacts DIR\)"):
        build(tmp_path / "artifacts" / "built")
    assert file.read_text() == "mine"


def test_a_lock_that_cannot_be_opened_is_told_of(path):
    (path.with_name("built.partial") / ".lock").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*built\.partial"):
        build(path)


@pytest.fixture(params=["one step", "two steps"])
def swaps(request, monkeypatch):
    """Folders that change places at once, as on Linux, and by way of a third name, as elsewhere."""
    if request.param == "two steps":
        monkeypatch.setattr(files, "_exchange", lambda draft, path: False)


def test_an_earlier_build_is_replaced_whole(path, swaps):
    build(path, "old")
    build(path, "new")
    assert (path / "train" / "part").read_text() == "new"
    assert [folder.name for folder in path.parent.iterdir()] == ["built"]


def test_an_earlier_build_is_put_back_where_the_new_one_cannot_take_its_place(path, monkeypatch):
    build(path, "old")
    monkeypatch.setattr(files, "_exchange", lambda draft, path: False)
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


def test_what_a_crash_between_two_steps_left_aside_is_put_back_by_the_next_build(path):
    build(path, "old")
    path.rename(path.with_name(".built.old"))
    with draft_of(path, False) as draft:
        assert (path / "train" / "part").read_text() == "old"
        (draft / "part").write_text("new")
    assert [folder.name for folder in path.parent.iterdir()] == ["built"]


def test_what_a_crash_left_of_the_build_that_was_replaced_goes_and_a_folder_of_the_persons_own_stays(path):
    build(path, "old")
    path.rename(path.with_name(".built.old"))
    build(path, "newer")
    build(path.with_name("built.old"), "my copy")
    path.rename(path.with_name(".built.old"))
    build(path, "newest")
    assert sorted(folder.name for folder in path.parent.iterdir()) == ["built", "built.old"]
    assert (path / "train" / "part").read_text() == "newest"


def test_what_lies_where_the_draft_was_after_the_swap_is_no_interrupted_one(path):
    """A crash right after the two have changed places leaves there what was replaced."""
    build(path, "old")
    path.rename(draft_path(path))
    assert interrupted_draft(path) is None
    with draft_of(path, True) as draft:
        assert [file.name for file in draft.iterdir()] == [".lock"]


def test_an_interrupted_draft_is_known_as_such(path):
    assert interrupted_draft(path) is None
    interrupt(path)
    assert interrupted_draft(path) == draft_path(path)


# Links and remnants


@pytest.mark.parametrize("name", ["built.partial", "built"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_link_is_refused_and_what_it_leads_to_stays(path, tmp_path, name, resume):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    path.parent.mkdir()
    (path.parent / name).symlink_to(precious)
    with pytest.raises(OutputError, match=rf"{name} is a link to .*precious.* Remove it, or write elsewhere"):
        build(path, resume=resume)
    assert [file.read_text() for file in precious.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", [".lock", "train", "part"])
def test_a_link_within_a_draft_is_not_written_through(path, tmp_path, name):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    interrupt(path)
    (draft_path(path) / name).unlink(missing_ok=True)
    (draft_path(path) / name).symlink_to(precious if name == "train" else precious / "file")
    with pytest.raises(OutputError, match="link"):
        build(path, resume=True)
    assert [file.read_text() for file in precious.iterdir()] == ["mine"]


def test_a_link_within_a_draft_goes_as_a_link_without_resume(path, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    interrupt(path)
    (draft_path(path) / "train").symlink_to(tmp_path / "precious")
    build(path)
    assert (path / "train" / "part").read_text() == "new"
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_drafts_of_files_whose_makers_were_killed_do_not_come_into_the_finished_folder(path):
    interrupt(path)
    for place in (draft_path(path), draft_path(path) / "train"):
        place.mkdir(exist_ok=True)
        (place / ".part-00003.npz.0123456789ab.tmp").write_text("half of it")
    build(path, resume=True)
    assert {file.name for file in path.rglob("*")} == {"part", "train"}


# Folders that go at the end


def test_a_scratch_folder_goes_at_the_end_and_at_an_error(path):
    with scratch_of(path, "scan") as draft:
        (draft / "part").write_text("new")
    assert list(path.parent.iterdir()) == []
    with pytest.raises(ZeroDivisionError), scratch_of(path, "scan") as draft:
        fail(draft)
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_process_left_in_a_scratch_folder_goes_first(path):
    draft_path(path).mkdir(parents=True)
    (draft_path(path) / "part").write_text("half")
    with scratch_of(path, "scan") as draft:
        assert [file.name for file in draft.iterdir()] == [".lock"]


def test_a_second_scratch_folder_at_once_is_refused(path):
    with (
        scratch_of(path, "scan"),
        pytest.raises(DataError, match="another scan is writing to"),
        scratch_of(path, "scan"),
    ):
        raise AssertionError("it was not refused")


def test_a_scratch_folder_that_is_a_link_is_refused(path, tmp_path):
    (tmp_path / "precious").mkdir()
    path.parent.mkdir()
    draft_path(path).symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="is a link to"), scratch_of(path, "scan"):
        raise AssertionError("it was not refused")
