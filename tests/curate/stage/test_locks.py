import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from curate.stage.locks import holding, is_at, lock

# Holds the folder that it is given, alone or not, until its input ends.
HOLDER = """
import sys
from pathlib import Path
from curate.stage.locks import holding
with holding(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder, how):
    command = [sys.executable, "-c", HOLDER, str(folder), how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as other:
        assert other.stdout.readline() == "held\n"
        yield other
        other.kill()


def test_a_lock_is_free_busy_and_free_again(tmp_path):
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert lock(first) is True
    assert lock(second) is False
    os.close(first)
    assert lock(second) is True
    os.close(second)


def test_where_the_system_has_no_locks_nobody_knows(tmp_path):
    assert lock(10_000) is None


def test_a_file_that_was_replaced_is_no_longer_at_its_path(tmp_path):
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    assert is_at(path, descriptor)
    (tmp_path / "b").touch()
    (tmp_path / "b").replace(path)
    assert not is_at(path, descriptor)
    path.unlink()
    assert not is_at(path, descriptor)
    os.close(descriptor)


def test_readers_share_a_folder_and_say_nothing(tmp_path):
    lines = []
    with held_elsewhere(tmp_path, "shared"), holding(tmp_path, shared=True, say=lines.append):
        pass
    assert lines == []


@pytest.mark.parametrize(("theirs", "shared"), [("alone", True), ("shared", False), ("alone", False)])
def test_whoever_has_to_wait_says_so_and_goes_on_when_the_other_ends(tmp_path, theirs, shared):
    lines = []
    with held_elsewhere(tmp_path, theirs) as other:
        timer = threading.Timer(0.2, other.kill)
        timer.start()
        with holding(tmp_path, shared=shared, say=lines.append):
            assert other.wait() is not None
        timer.join()
    assert lines == [f"waiting for another command, which is at work in {tmp_path}"]


def test_a_folder_that_is_not_there_is_nobodys(tmp_path):
    with holding(tmp_path / "gone"), holding(tmp_path / "gone"):
        assert not list(tmp_path.iterdir())
