"""Times functions that share a machine, in turns.

A turn is a block of some 30 ms of one function rather than a single call: after a parallel region the threads of
OpenMP, OpenBLAS and XLA spin for a while on the cores that the next is to use. Between blocks all rest until such
threads have gone to sleep, and the first fifth of a block is not timed, while caches and clocks come back.
"""

import argparse
import statistics
import time

BLOCK_SECONDS = 0.03
REST_SECONDS = 0.02
LEAST_CALLS = 3
LEAST_TURNS = 3


def positive_seconds(text):
    """Return text as a number of seconds above 0."""
    if not 0.0 < (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}, wants seconds above 0")
    return number


def block(function):
    """Return the seconds of each call in a block, without its first fifth."""
    seconds = []
    end = time.perf_counter() + BLOCK_SECONDS
    while time.perf_counter() < end or len(seconds) < LEAST_CALLS:
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds[-(-len(seconds) // 5) :]


def quartiles_in_turns(functions, seconds):
    """Return the quartiles of a call's seconds for each function, after so many seconds for all of them."""
    collected = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(collected[0]) < LEAST_TURNS:
        for function, taken in zip(functions, collected, strict=True):
            time.sleep(REST_SECONDS)
            taken += block(function)
    return [statistics.quantiles(taken, n=4) for taken in collected]
