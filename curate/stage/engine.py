"""Ways to spread work over cores: each shaped like the built-in `map`, results in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import TypeVar

from .errors import WorkerLost
from .signals import STOPPING

A = TypeVar("A")
B = TypeVar("B")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threaded(function: Callable[[A], B], tasks: Iterable[A], workers: int) -> Iterator[B]:
    """The results of `function` over `tasks`, in order, on `workers` threads.

    At most twice as many tasks as workers are under way, so that a million of them hold no memory. Threads and not
    processes: decoding, hashing and resizing all release the interpreter's lock.
    """
    with _one_thread_each():
        yield from _spread(function, tasks, workers)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenCV without threads of its own: on pictures this small they cost more than they bring, the more so in ours."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _spread(function: Callable[[A], B], tasks: Iterable[A], workers: int) -> Iterator[B]:
    if workers <= 1:
        yield from map(function, tasks)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_processes(function: Callable[[A], B], tasks: Iterable[A], workers: int) -> Iterator[B]:
    """The results of `function` over `tasks`, in order, on `workers` processes; in this one where that is 1.

    For work that holds the interpreter's lock. Function, tasks and results are pickled; at most twice as many tasks as
    workers are under way, and results wait until they are taken, so let them be small. The processes are started anew,
    never forked (TensorFlow hangs in a fork), and end when this one does, also when it is killed. Raises WorkerLost
    where one of them is.
    """
    if workers <= 1:
        with _one_thread_each():
            yield from map(function, tasks)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = Parallel(
        workers, backend="loky", return_as="generator", pre_dispatch="2*n_jobs", batch_size=1, max_nbytes=None
    )
    results = pool(delayed(_alone)(function, task, os.getpid()) for task in tasks)
    try:
        for result in results:  # noqa: UP028  which would close it before the warning is silenced
            yield result
    except BrokenProcessPool as error:
        raise WorkerLost("a worker process was killed, most likely because memory ran out.") from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of joblib: that not all results were taken
            results.close()


def _alone(function: Callable[[A], B], task: A, parent: int) -> B:
    """`function(task)` in a worker process: OpenCV without threads of its own, and no life without its parent."""
    _stay_with(parent)
    with _one_thread_each():
        return function(task)


@lru_cache
def _stay_with(parent: int) -> None:
    """Leave all signals to stop to the parent, and let Linux end this process when that ends."""
    for number in (signal.SIGINT, *STOPPING):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before that
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread. Decompositions of matrices differ in their last bits with the number of threads,
    and so with the number of cores; products do not."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


@contextmanager
def small_algebra(rows: int) -> Iterator[None]:
    """Linear algebra on one thread where the matrices are small: waking a second one costs more than it brings.

    Eigenvectors of 1280 x 1280 on two virtual cores: 0.15 s on one thread, 0.5 s on two. From some 20,000 rows on the
    products are large enough to gain.
    """
    with one_thread() if rows <= 20_000 else nullcontext():
        yield


_LARGE = threading.Lock()
_turn = threading.local()


@contextmanager
def in_turn() -> Iterator[None]:
    """Within it, a thread that comes to something large has it alone, to the end (see wait_for_turn)."""
    _turn.asked = True
    try:
        yield
    finally:
        _turn.asked = False
        if getattr(_turn, "has", False):
            _turn.has = False
            _LARGE.release()


def wait_for_turn(large: bool) -> None:
    """Wait until no other thread has something large in hand; of threads that take turns, and where this is large.

    >>> with in_turn():
    ...     wait_for_turn(large=True)
    """
    if large and getattr(_turn, "asked", False) and not getattr(_turn, "has", False):
        _LARGE.acquire()
        _turn.has = True


def chunks(n: int, size: int) -> Iterator[range]:
    """range(n) in pieces of at most `size` rows, in order."""
    return (range(start, min(start + size, n)) for start in range(0, n, size))
