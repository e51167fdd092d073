"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is under way is cleaned up before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Of a service manager, a scheduler or `kill`; of a terminal that is closed.
STOPPING = (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,)


class Stopped(KeyboardInterrupt):
    """A signal has asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopping() -> Iterator[None]:
    """Within it those signals raise Stopped; a second one ends the process at once.

    One that is ignored, as under nohup, or that a program which calls us handles, is left as it is.
    """
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    unhandled = [number for number in STOPPING if signal.getsignal(number) is signal.SIG_DFL]

    def stop(number: int, frame: FrameType | None) -> None:
        for other in unhandled:
            signal.signal(other, signal.SIG_DFL)
        raise Stopped(number)

    for number in unhandled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in unhandled:
            signal.signal(number, signal.SIG_DFL)


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """What a shell calls the end by a signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)
