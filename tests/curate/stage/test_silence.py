import os

import pytest

from curate.stage.silence import silence


def test_what_is_written_below_python_is_not_seen_and_what_comes_after_is(capfd):
    os.write(2, b"before ")
    with silence():
        os.write(2, b"within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_what_goes_wrong_within_is_raised_and_ends_the_silence(capfd):
    with pytest.raises(ZeroDivisionError), silence():
        raise ZeroDivisionError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list open files")  # noqa: PTH112
def test_no_file_is_left_open():
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with silence():
            pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
