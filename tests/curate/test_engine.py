import itertools
import threading

import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.engine import cores, small_algebra, threaded

WAIT = 10  # seconds until a test gives up on another thread


@settings(deadline=None, max_examples=30)
@given(tasks=st.lists(st.integers(-100, 100), max_size=40), workers=st.sampled_from([0, 1, 2, 4]))
def test_any_number_of_workers_gives_the_results_of_map(tasks, workers):
    assert list(threaded(abs, tasks, workers)) == list(map(abs, tasks))


def test_results_come_in_order_even_where_the_first_is_the_last_to_be_ready():
    others = threading.Semaphore(0)

    def wait_for_the_others(task: int) -> int:
        if task == 0:
            for _ in range(3):
                assert others.acquire(timeout=WAIT)
        else:
            others.release()
        return task

    assert list(threaded(wait_for_the_others, range(4), 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [2, 4])
def test_as_many_tasks_as_workers_are_done_at_once(workers):
    together = threading.Barrier(workers, timeout=WAIT)
    assert len(list(threaded(lambda _: together.wait(), range(3 * workers), workers))) == 3 * workers


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_of_endless_tasks_no_more_than_two_a_worker_are_taken_ahead(workers):
    taken = 0

    def endless():
        nonlocal taken
        for task in itertools.count():
            taken += 1
            yield task

    results = threaded(lambda task: task, endless(), workers)
    for done in range(1, 40):
        assert next(results) == done - 1
        assert taken - done < 2 * workers
    results.close()
    assert taken <= 39 + 2 * workers


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_error_reaches_the_caller_after_the_results_before_it_and_ends_the_work(workers):
    started = []

    def fails_at_three(task: int) -> int:
        started.append(task)
        if task == 3:
            raise ZeroDivisionError("three")
        return task

    results = threaded(fails_at_three, itertools.count(), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="three"):
        next(results)
    assert max(started) <= 3 + 2 * workers
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_among_the_tasks_reaches_the_caller(workers):
    def broken():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(threaded(abs, broken(), workers))


def test_there_is_at_least_one_core():
    assert cores() >= 1


def _blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


def test_small_matrices_are_worked_on_by_one_thread_and_large_ones_as_before():
    before = _blas_threads()
    assert before
    with small_algebra(100):
        assert _blas_threads() == {1}
    assert _blas_threads() == before
    with small_algebra(1_000_000):
        assert _blas_threads() == before
