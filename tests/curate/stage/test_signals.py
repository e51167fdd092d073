import os
import signal
import threading

import pytest

from curate.stage.signals import STOPPING, Stopped, exit_status, stopping


@pytest.fixture(params=STOPPING, ids=lambda number: number.name)
def number(request):
    """A signal that nobody handles, and that is left so."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_to_stop_is_raised_as_an_interrupt_that_knows_it(number):
    with pytest.raises(KeyboardInterrupt) as caught, stopping():
        os.kill(os.getpid(), number)
    assert isinstance(caught.value, Stopped)
    assert exit_status(caught.value) == 128 + number
    assert str(caught.value) == number.name


def test_a_second_signal_ends_the_process_at_once(number):
    with stopping():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), number)
        assert [signal.getsignal(other) for other in STOPPING if other == number] == [signal.SIG_DFL]


def test_afterwards_signals_are_as_before(number):
    with stopping():
        assert signal.getsignal(number) is not signal.SIG_DFL
    assert signal.getsignal(number) is signal.SIG_DFL


def test_what_is_ignored_stays_so(number):
    signal.signal(number, signal.SIG_IGN)
    with stopping():
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_IGN


def test_in_another_thread_nothing_is_changed(number):
    handlers = []

    def work():
        with stopping():
            handlers.append(signal.getsignal(number))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


def test_control_c_has_its_own_status():
    assert exit_status(KeyboardInterrupt()) == 130
