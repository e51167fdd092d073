import numpy as np
import pytest

from curate.stage.errors import DataError
from train.checkpoints import Checkpoint, State


@pytest.fixture
def state() -> State:
    rng = np.random.default_rng(0)
    return State(
        2,
        5,
        [rng.normal(size=(3, 4)).astype(np.float32), np.array([1, 2], np.uint32)],
        [np.array(7, np.int64), np.array(0.5, np.float32)],
        [rng.normal(size=(3, 4)).astype(np.float32)],
        {"history": [{"stage": 2, "epoch": 5, "loss": 0.5}], "best": 0},
    )


def test_what_is_read_is_what_was_written(tmp_path, state):
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.write(state)
    read = checkpoint.read()
    assert (read.stage, read.epoch, dict(read.facts)) == (2, 5, dict(state.facts))
    for kind in ("model", "optimizer", "best"):
        for one, other in zip(getattr(read, kind), getattr(state, kind), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_order_is_kept_beyond_ten_arrays(tmp_path):
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.write(State(1, 1, [np.array(number) for number in range(123)], [], []))
    assert [int(array) for array in checkpoint.read().model] == list(range(123))


def test_without_one_there_is_nothing_to_go_on_from(tmp_path):
    assert Checkpoint(tmp_path, "key").read() is None


def test_that_of_another_fit_is_refused(tmp_path, state):
    Checkpoint(tmp_path, "one").write(state)
    with pytest.raises(DataError, match="other options or on another built set"):
        Checkpoint(tmp_path, "other").read()


def test_a_later_state_takes_the_place_of_an_earlier_one_that_is_being_read(tmp_path, state):
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.write(state)
    read = checkpoint.read()
    checkpoint.write(State(3, 1, [np.zeros((3, 4), np.float32)], [], []))
    np.testing.assert_array_equal(read.model[0], state.model[0])
    assert checkpoint.read().stage == 3
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize(
    "facts", ["{", "[]", "null", "3", '{"key": "key"}', '{"key": "key", "stage": "x", "epoch": 1}', "[" * 50_000]
)
def test_one_that_is_broken_is_told(tmp_path, facts):
    np.savez(tmp_path / "checkpoint.npz", facts=np.array(facts), **{"model-00000": np.zeros(3)})
    with pytest.raises(
        DataError, match=r"checkpoint\.npz is not what a fit leaves \(.*Leave out --resume to begin anew"
    ):
        Checkpoint(tmp_path, "key").read()


def test_one_of_other_arrays_is_told(tmp_path):
    np.savez(
        tmp_path / "checkpoint.npz", facts=np.array('{"key": "key", "stage": 1, "epoch": 1}'), **{"x-1": np.zeros(3)}
    )
    with pytest.raises(DataError, match=r"is not what a fit leaves \(KeyError: 'x'\)"):
        Checkpoint(tmp_path, "key").read()
    with pytest.raises(DataError, match=r"is not what a fit leaves \(ValueError"), Checkpoint(tmp_path, "key").told():
        np.zeros(3)[...] = np.zeros(4)
