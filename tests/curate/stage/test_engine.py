import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stage.engine import cores, in_processes, in_turn, small_algebra, threaded, wait_for_turn
from curate.stage.errors import OutputError, WorkerLost

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


# Processes. What is given to them is defined within a test, so that it goes there by value.


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_processes_gives_the_results_of_map(workers):
    assert list(in_processes(abs, range(-5, 20), workers)) == list(map(abs, range(-5, 20)))
    assert list(in_processes(abs, [], workers)) == []


def test_one_worker_is_this_process_and_several_are_others():
    assert set(in_processes(lambda _: os.getpid(), range(3), 1)) == {os.getpid()}
    assert os.getpid() not in set(in_processes(lambda _: os.getpid(), range(3), 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_opencv_has_one_thread_in_every_worker_and_as_many_as_before_afterwards(workers):
    before = cv2.getNumThreads()
    assert set(in_processes(lambda _: cv2.getNumThreads(), range(4), workers)) == {1}
    assert cv2.getNumThreads() == before


# The thread of loky may look for a task in the moment in which the pool is ended: its own race, seen once in many runs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("workers", [1, 2])
def test_not_all_results_need_be_taken(workers):
    results = in_processes(abs, itertools.count(), workers)
    assert [next(results) for _ in range(10)] == list(range(10))
    results.close()
    assert list(in_processes(abs, range(3), workers)) == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_ours_comes_back_from_a_process_as_it_was(workers):
    def fails_at_two(task: int) -> int:
        if task == 2:
            raise OutputError("cannot write part-00002.npz: the disk is full.")
        return task

    with pytest.raises(OutputError, match=r"^cannot write part-00002\.npz: the disk is full\.$"):
        list(in_processes(fails_at_two, range(6), workers))


def test_an_interrupt_from_the_keyboard_is_left_to_the_process_that_started_them():
    # A shell's background jobs ignore interrupts from their start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert set(in_processes(lambda _: signal.getsignal(signal.SIGINT), range(4), 2)) == {signal.SIG_IGN}
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_that_is_killed_is_told_of_and_the_results_before_are_kept():
    def dies_at_three(task: int) -> int:
        if task == 3:
            time.sleep(0.5)  # until the results before are on their way
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    results, found = in_processes(dies_at_three, range(30), 2), []
    with pytest.raises(WorkerLost, match="a worker process was killed, most likely because memory ran out"):
        found.extend(iter(results.__next__, None))
    assert found == list(range(len(found)))
    assert list(in_processes(abs, range(5), 2)) == list(range(5))  # the next ones find workers again


# Says which processes work for it, and is killed.
PARENT = """
import os, signal, sys, time
from curate.stage.engine import in_processes

def tell(task):
    sys.stdout.write(f"{os.getpid()}\\n")
    sys.stdout.flush()
    time.sleep(60 if task > 1 else 0.2)

results = in_processes(tell, range(8), 2)
next(results), next(results)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they end when they next look for work")
def test_processes_end_with_the_one_that_started_them_also_when_it_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        told = parent.stdout.read()  # which ends when the last of them has
    assert parent.returncode == -signal.SIGKILL
    workers = set(map(int, told.split()))
    assert workers
    assert parent.pid not in workers
    for worker in workers:
        deadline = time.monotonic() + WAIT
        while Path(f"/proc/{worker}").exists() and not _is_over(worker):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _is_over(process: int) -> bool:
    """Whether a process has ended, though nobody has asked for its status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_of_several_threads_one_has_something_large_at_a_time():
    at_once, most = 0, []

    def work(large: bool) -> None:
        nonlocal at_once
        with in_turn():
            wait_for_turn(large)
            if large:
                at_once += 1
                most.append(at_once)
                time.sleep(0.002)
                at_once -= 1

    list(threaded(work, [True, False] * 12, 4))
    assert most == [1] * 12


def test_who_takes_no_turns_does_not_wait():
    with in_turn():
        wait_for_turn(large=True)
        wait_for_turn(large=True)
        alone = threading.Thread(target=wait_for_turn, args=(True,))
        alone.start()
        alone.join()


def test_a_turn_ends_where_the_work_fails():
    def fail() -> None:
        with in_turn():
            wait_for_turn(large=True)
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()
