"""What a forked child finds of networks with which other threads were computing: those threads are not there.

Before a fork the living networks are entered, so that no thread is in the midst of a change; parent and child leave
them again. A network that could not be had in time is told in the child that its calls were cut off.
"""

import os
import threading
import time

from fastgrad import _core

LONGEST_WAIT = 1.0  # seconds, for all networks together


class _Forks(threading.local):
    """The forks that this thread has begun: the networks entered for each. A handler of a signal may begin another."""

    def __init__(self) -> None:
        self.begun: list[list[_core.Network]] = []


_forks = _Forks()


def _before() -> None:
    end = time.monotonic() + LONGEST_WAIT
    entered: list[_core.Network] = []
    _forks.begun.append(entered)
    for network in _core.living_networks():
        if network.lock.acquire(max(0.0, end - time.monotonic())):
            entered.append(network)


def _after_in_parent() -> None:
    for network in _forks.begun.pop():
        network.lock.release()


def _after_in_child() -> None:
    for lock in _core.living_locks():
        lock.outlive_others()
    entered = {id(network) for network in _forks.begun[-1]}
    for network in _core.living_networks():
        if id(network) not in entered:
            network.outlive_others()
    _after_in_parent()


def prepare_for_forks() -> None:
    """Do all this at each fork from now on."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
