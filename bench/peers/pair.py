"""Times fastgrad against one peer in a process of their own, and prints a line of JSON for each shape.

`run.py` starts it, with the number of threads in the environment. One thread means one core: it is the only limit that
every peer obeys. It refuses to time sides whose first losses differ.
"""

import json
import os
import sys
from importlib import import_module

from machine import fma_peak, network, step_flops

from peers import ours
from peers.turns import quartiles_in_turns

LOSSES_COMPARED = 5
LOSS_TOLERANCE = 1e-5
PEAK_SECONDS = 0.05


def require_same_losses(mine, theirs, what):
    """Do the first steps on both sides; exit unless their losses agree."""
    got, wanted = ([step() for _ in range(LOSSES_COMPARED)] for step in (theirs, mine))
    if any(abs(g - w) > LOSS_TOLERANCE * abs(w) for g, w in zip(got, wanted, strict=True)):
        sys.exit(f"{what}: losses {got} differ from fastgrad's {wanted}")


def timed(peer, shape, seconds):
    """Return what is known of one shape after both sides have been timed."""
    width, layers, rows = shape
    sides = ours.make(*shape), peer.make(*shape)
    require_same_losses(*sides, f"{peer.name()}, {width}x{layers}x{rows}")
    mine, theirs = quartiles_in_turns(sides, seconds)
    return {
        "width": width,
        "layers": layers,
        "batch": rows,
        "flops": step_flops(network(width, layers), rows),
        "fma_peak": fma_peak(PEAK_SECONDS),
        "fastgrad_seconds": mine,
        "peer_seconds": theirs,
    }


def pin(threads):
    """Keep the process on one core where it is to have one thread, on systems that allow it."""
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main(peer, threads, seconds, *shapes):
    """Time one peer at one number of threads; its first line says whether it can run."""
    pin(int(threads))
    peer = import_module(f"peers.{peer}")
    reason = peer.available()
    print(json.dumps({"name": peer.name(), "unavailable": reason}), flush=True)
    for shape in shapes if reason is None else ():
        print(json.dumps(timed(peer, tuple(map(int, shape.split("x"))), float(seconds))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
