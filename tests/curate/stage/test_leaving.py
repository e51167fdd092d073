import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BEGIN = """
import curate.stage.leaving
import atexit, sys, tempfile, threading, time
from curate.stage.leaving import leaving

class Late:
    def __del__(self):
        sys.stderr.write("taken down")

late = Late()
late.itself = late  # so that only the end of the interpreter takes it down
"""


def ended(script: str, **streams) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", BEGIN + script]
    return subprocess.run(command, cwd=ROOT, text=True, check=False, **({"capture_output": True} | streams))


@pytest.mark.parametrize(("end", "status"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("pass", 0), ("sys.exit(-1)", 255)])
def test_the_status_is_that_of_the_program_and_nothing_is_taken_down(end, status):
    done = ended(f"with leaving():\n    print('said', end='')\n    {end}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "said", "")


def test_what_has_something_to_do_at_the_end_does_it_before(tmp_path):
    done = ended(
        f"""
folder = tempfile.TemporaryDirectory(dir={str(tmp_path)!r})
atexit.register(print, "farewell")
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
with leaving():
    sys.exit(2)
"""
    )
    assert (done.returncode, done.stdout.split()) == (2, ["thread", "farewell"])
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_is_shown_and_its_end_is_that_of_python():
    done = ended("with leaving():\n    1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_reason_to_exit_is_told():
    done = ended("with leaving():\n    sys.exit('a reason')")
    assert done.returncode == 1
    assert "a reason" in done.stderr


def test_a_program_that_calls_us_goes_on():
    done = ended("print('still here')")
    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_output_that_nobody_reads_ends_as_in_python():
    script = "with leaving():\n    print('x' * 100)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        streams = {"capture_output": False, "stdout": gone.stdin, "stderr": subprocess.PIPE, "env": environment}
        assert ended(script, **streams).returncode == 120
