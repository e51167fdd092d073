"""Ways to spread work over cores: anything shaped like the built-in `map`, results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

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


@contextmanager
def small_algebra(rows: int) -> Iterator[None]:
    """Linear algebra on one thread where the matrices are small: waking a second one costs more than it brings.

    Eigenvectors of 1280 x 1280 on two virtual cores: 0.15 s on one thread, 0.5 s on two. From some 20,000 rows on the
    products are large enough to gain.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if rows <= 20_000 else None, user_api="blas"):
        yield
