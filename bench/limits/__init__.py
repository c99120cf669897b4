"""Whole training steps of fastgrad beside what the machine can do.

Each section is a generator that takes the seconds for one comparison and yields a `Row` for each. What is compared
takes turns in one process, and a figure comes from medians. Unless a section says otherwise it runs on one thread, with
statistics, through the Python API. A learning rate of 0 keeps networks as they are however often they are timed; every
product, norm and update is computed all the same. `run.py` is the command.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from machine import batch, network
from peers.turns import quartiles_in_turns

import fastgrad as fg

MEDIAN = 1  # of the quartiles


@dataclass(frozen=True)
class Row:
    """A figure beside the one that is wanted: at least it for a "share" or "speedup", at most it otherwise."""

    what: str
    measured: float
    unit: str  # "share", "speedup", "ratio" or "us"
    wanted: float | None = None
    seconds: tuple[float, ...] = ()  # the medians it comes from

    @property
    def met(self):
        """Whether the figure is as wanted; None where nothing is."""
        if self.wanted is None:
            return None
        return self.measured >= self.wanted if self.unit in ("share", "speedup") else self.measured <= self.wanted


def medians(seconds, *functions):
    """Return the median seconds of a call of each function, after so many seconds of turns."""
    return tuple(quartiles[MEDIAN] for quartiles in quartiles_in_turns(functions, seconds))


def overhead_of(what, times, wanted):
    """Return the row of the first time's ratio to the second."""
    return Row(what, times[0] / times[1], "ratio", wanted, times)


def simd_isas():
    """Return this machine's instruction sets but the plain one, the best first."""
    return [isa for isa in reversed(fg.cpu_info()["isas"]) if isa != "scalar"]


@contextmanager
def threads(count):
    """Let steps use so many threads within a `with` block."""
    before = fg.get_num_threads()
    fg.set_num_threads(count)
    try:
        yield
    finally:
        fg.set_num_threads(before)


def sizes(shape):
    """Return the width, layers and batch of WIDTHxLAYERSxBATCH."""
    return map(int, shape.split("x"))


def training_step(shape, isa=None, optimizer=None, **options):
    """Return a function that does one step of a network of that shape under an instruction set."""
    width, layers, rows = sizes(shape)
    with fg.force_isa(isa or fg.cpu_info()["isa"]):
        net = network(width, layers)
    trainer = fg.Trainer(net, loss="mse", optimizer=optimizer or fg.SGD(lr=0.0), **options)
    x, y = batch(width, rows)
    return lambda: trainer.step(x, y)
