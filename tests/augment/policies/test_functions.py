from pathlib import Path

import numpy as np
import pytest

from augment.policies.functions import call, digest_of, load, load_recorded, split_target
from curate.stage.errors import DataError

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def write(tmp_path):
    """Write a file and give a target in it."""

    def at(text: str, function: str = "own", name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return f"{tmp_path / name}:{function}"

    return at


def called(target: str, seed: int = 3) -> np.ndarray:
    return call(target, loaded(target), IMAGE, seed)


def loaded(target: str) -> str:
    return load(target, [split_target(target)[0]])


def test_a_target_is_a_file_and_a_name():
    assert split_target("mine.py:fade") == (Path("mine.py"), "fade")
    assert split_target("C:/x/mine.py:fade") == (Path("C:/x/mine.py"), "fade")


@pytest.mark.parametrize("target", ["mine.py", "mine.py:", "mine.txt:fade", ":fade", "mine.py:2d", "fade", ""])
def test_what_is_no_target_is_told_so(target):
    with pytest.raises(DataError, match=r"is no function. Give file.py:name, as in mine.py:fade"):
        split_target(target)


def test_a_function_gets_picture_and_generator(write):
    target = write("def own(image, rng):\n    return image // 2 + rng.integers(9, dtype='uint8')")
    assert (called(target) == IMAGE // 2 + np.random.default_rng(3).integers(9, dtype="uint8")).all()
    assert (called(target) == called(target)).all()


def test_a_function_may_write_into_the_picture_that_it_gets(write):
    given = IMAGE.copy()
    assert (called(write("def own(image, rng):\n    image[:] = 0\n    return image")) == 0).all()
    assert (given == IMAGE).all()


def test_a_view_is_made_whole(write):
    made = called(write("def own(image, rng):\n    return image[:, ::-1]"))
    assert (made == IMAGE[:, ::-1]).all()
    assert made.flags.c_contiguous


def test_a_file_may_have_dataclasses_and_more_functions(write):
    text = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Fade:
    by: float = 0.5
    def __call__(self, image, rng):
        return (image * self.by).astype("uint8")

own, other = Fade(), Fade(0.25)
"""
    assert (called(write(text)) == IMAGE // 2).all()
    assert (called(write(text, "other")) == IMAGE // 4).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def other(image, rng): ...", "mine.py has no function own"),
        ("own = 3", "mine.py has no function own"),
        ("def own(image, rng:", "mine.py cannot be run: SyntaxError"),
        ("import no_such_module", "mine.py cannot be run: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(0)", "mine.py cannot be run: SystemExit: 0"),
        ("raise BaseException", "mine.py cannot be run: BaseException."),
        ("import sys; sys.exit()", "mine.py cannot be run: SystemExit."),
    ],
)
def test_a_file_without_the_function_is_told_so(write, text, message):
    target = write(text)
    with pytest.raises(DataError, match=message):
        loaded(target)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", r"mine.py:own gave NoneType; needed is uint8 \(20, 30, 3\), as it was given"),
        ("return image / 255", r"gave float64 \(20, 30, 3\); needed is uint8"),
        ("return image[..., 0]", r"gave uint8 \(20, 30\); needed is uint8 \(20, 30, 3\)"),
        ("return image[:9]", r"gave uint8 \(9, 30, 3\)"),
        ("return image.size / 0", "mine.py:own failed: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "mine.py:own failed: SystemExit: 0"),
        ("raise BaseException('no')", "mine.py:own failed: BaseException: no"),
    ],
)
def test_a_function_that_gives_something_else_is_told_so(write, body, message):
    with pytest.raises(DataError, match=message):
        called(write(f"def own(image, rng):\n    {body}"))


def test_a_file_that_is_not_there_is_told_so(tmp_path):
    target = f"{tmp_path}/gone.py:own"
    with pytest.raises(DataError, match=r"gone.py cannot be read: No such file or directory. Give file.py:name"):
        digest_of(target)


def test_a_file_that_has_changed_makes_no_other_pixels_under_the_old_record(write):
    target = write("def own(image, rng):\n    return image  # of before")
    record = [{"op": "call", "function": target, "digest": digest_of(target), "seed": 0}]
    write("def own(image, rng):\n    return 255 - image")
    with pytest.raises(DataError, match=r"mine.py has changed since own was drawn"):
        load_recorded(record, [split_target(target)[0]])
    assert (called(target) == 255 - IMAGE).all()


RUNS = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\ndef own(image, rng):\n    return image"


def test_a_file_that_nobody_has_named_is_not_run(write, tmp_path):
    target = write(RUNS)
    record = [{"op": "mixup", "first": [{"op": "call", "function": target, "digest": digest_of(target), "seed": 0}]}]
    with pytest.raises(DataError, match=r"this calls own of .*mine.py, and Python .*, and add --functions .*mine.py\."):
        load(target, [])
    with pytest.raises(DataError, match=r"this was made by own of .*mine.py, and .*, and add --functions .*mine.py\."):
        load_recorded(record, [write("", name="another.py").removesuffix(":own")])
    with pytest.raises(DataError, match=r"mine.py:own was not named in this command, and so does not run"):
        call(target, digest_of(target), IMAGE, 0)
    assert not (tmp_path / "mine.ran").exists()


def test_of_a_record_the_named_file_runs_wherever_it_lies_now(write, tmp_path):
    there = write("def own(image, rng):\n    return image // 4")
    here = write("def own(image, rng):\n    return image // 4", name="moved.py").removesuffix(":own")
    record = [{"op": "call", "function": "/elsewhere/mine.py:own", "digest": digest_of(there), "seed": 0}]
    load_recorded(record, [here])
    assert (call("/elsewhere/mine.py:own", digest_of(there), IMAGE, 0) == IMAGE // 4).all()


def test_the_digest_is_that_of_the_file(write):
    one = digest_of(write("def own(image, rng):\n    return image"))
    assert one == digest_of(write("def own(image, rng):\n    return image", name="copy.py"))
    assert one != digest_of(write("def own(image, rng):\n    return image  # changed"))
