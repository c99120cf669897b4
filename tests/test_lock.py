"""The lock of networks and Trainers: reentrant, handed on in the order of asking, and never lost."""

import copy
import pickle
import signal
import threading
import time

import pytest

from fastgrad._core import Claim, Lock

SECONDS = 60.0


class Holder:
    """Another thread that holds a lock until it is told to leave."""

    def __init__(self, lock):
        self.lock, self.has, self.leave = lock, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        with self.lock:
            self.has.set()
            assert self.leave.wait(SECONDS)

    def __enter__(self):
        self.thread.start()
        assert self.has.wait(SECONDS)
        return self

    def __exit__(self, *_):
        self.leave.set()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()


def is_free(lock):
    """Whether another thread can enter."""
    found = []

    def enter():
        found.append(lock.acquire(0.0))
        if found[0]:
            lock.release()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(SECONDS)
    return found[0]


def test_it_is_entered_again_by_its_thread_and_by_no_other():
    lock = Lock()
    with lock, lock:
        assert lock.acquire()
        assert not is_free(lock)
        lock.release()
        assert not is_free(lock)
    assert is_free(lock)
    with pytest.raises(RuntimeError, match="does not hold"):
        lock.release()


def test_a_wait_ends_after_its_seconds():
    lock = Lock()
    with Holder(lock):
        for seconds in (0.0, 0.01):
            assert not lock.acquire(seconds)
        with pytest.raises(RuntimeError, match="does not hold"):
            lock.release()
    assert lock.acquire(SECONDS)
    lock.release()
    assert is_free(lock)


def test_a_claim_is_granted_where_nobody_has_entered():
    lock = Lock()
    with Claim(lock) as granted, Claim(lock) as again:
        assert (granted, again) == (True, False)
        assert not is_free(lock)
    with Holder(lock), Claim(lock) as granted:
        assert not granted
    assert is_free(lock)
    with Claim(lock) as granted:
        assert granted


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))])
def test_a_copy_is_free(duplicate):
    lock = Lock()
    with lock:
        assert is_free(duplicate(lock))


def test_a_signal_ends_a_wait_and_the_lock_is_handed_to_the_next():
    lock = Lock()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Holder(lock):
            timer = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                lock.acquire()
            assert not lock.acquire(0.0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_free(lock)


@pytest.mark.parametrize("others", [1, 3])
def test_one_that_never_rests_keeps_nobody_out(others):
    """Between two entries of this thread each of the others has entered once, give or take who came too late."""
    lock, turns, stop = Lock(), [0], threading.Event()

    def work():
        while not stop.is_set():
            with lock:
                turns[0] += 1
                time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(others)]
    for thread in threads:
        thread.start()
    waited = 0
    for _ in range(50):
        before = turns[0]
        with lock:
            waited += turns[0] - before
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    assert waited <= 50 * (others + 1)


def test_no_entry_is_lost_or_shared_among_many():
    lock, inside, entries = Lock(), [0], [0]

    def work():
        for _ in range(300):
            with lock, lock:
                inside[0] += 1
                entries[0] += inside[0]
                time.sleep(0.0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert entries[0] == 6 * 300


def test_a_handler_of_a_signal_enters_while_its_thread_waits():
    """It stands in line behind what it has interrupted, which cannot leave before the handler is done."""
    lock, entered, before = Lock(), [], signal.getsignal(signal.SIGUSR1)
    handling = threading.Event()

    def handle(*_):
        handling.set()
        with lock:
            entered.append("handler")

    def leave_when_handled(holder):
        assert handling.wait(SECONDS)
        time.sleep(0.05)
        holder.leave.set()

    signal.signal(signal.SIGUSR1, handle)
    main = threading.main_thread().ident
    try:
        with Holder(lock) as holder:
            threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1)).start()
            threading.Thread(target=leave_when_handled, args=(holder,)).start()
            assert lock.acquire(SECONDS)
            entered.append("interrupted")
            lock.release()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert entered == ["handler", "interrupted"]
    assert is_free(lock)
