from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.reviewing.claims import FILE, Claim
from curate.stage.errors import DataError, OutputError

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from curate.reviewing.claims import Claim
Claim(Path(sys.argv[1])).tell("http://127.0.0.1:1/token/")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that reviews the scan."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_review_is_told_where_the_first_is(tmp_path, other):
    with pytest.raises(DataError, match=rf"already, at http://127\.0\.0\.1:1/token/ .*\(process {other.pid}\)\.$"):
        Claim(tmp_path)


def test_what_a_killed_process_has_left_is_no_obstacle(tmp_path, other):
    other.kill()
    other.wait()
    assert (tmp_path / FILE).exists()
    claim = Claim(tmp_path)
    claim.release()
    assert not (tmp_path / FILE).exists()


def test_within_one_process_too_there_is_one_review_and_nothing_stays(tmp_path):
    claim = Claim(tmp_path)
    with pytest.raises(DataError, match="is just starting"):
        Claim(tmp_path)
    claim.tell("http://127.0.0.1:2/token/")
    with pytest.raises(DataError, match=r"127\.0\.0\.1:2/token"):
        Claim(tmp_path)
    claim.release()
    claim.release()
    assert list(tmp_path.iterdir()) == []
    Claim(tmp_path).release()


def test_only_its_owner_reads_the_token(tmp_path):
    claim = Claim(tmp_path)
    claim.tell("http://127.0.0.1:2/a-longer-token/")
    claim.tell("http://127.0.0.1:2/token/")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / FILE).read_text()) == {"address": "http://127.0.0.1:2/token/", "process": os.getpid()}
    claim.release()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        Claim(tmp_path / "none")


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / FILE).symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot write"):
        Claim(tmp_path)
    assert (tmp_path / "precious").read_text() == "x"
