"""Steps that memory limits: single samples, whose work is to read the weights, and networks deeper than the caches.

The bandwidth is that of `np.max` over an array as large as all weights: one thread, no BLAS, nothing written.
"""

import numpy as np
from machine import batch, network

import fastgrad as fg
from limits import Row, medians, overhead_of, threads, training_step

SINGLE_SHAPES = ((64, 10), (256, 10), (1024, 5))
DEPTHS = (1000, 10)
DEPTH_WANTED = 1.3


def bandwidth(seconds):
    """Yield the bytes that a batch of 1 must move in its time, as a share of the bandwidth of reading them.

    A step reads the weights in forward and, but for the first layer's, in backward-data, and reads and writes them in
    the update; a forward pass reads them once.
    """
    for width, layers in SINGLE_SHAPES:
        net = network(width, layers)
        x, _ = batch(width, 1)
        stored = np.ones(layers * width * (width + 1), np.float32)
        step, forward, read = times = medians(
            seconds, training_step(f"{width}x{layers}x1"), lambda net=net, x=x: net.forward(x), stored.max
        )
        moved = 4.0 - 1.0 / layers
        shape = f"{width}x{layers}x1, {stored.nbytes / 2**20:.2g} MiB at {stored.nbytes / read / 1e9:.0f} GB/s"
        yield Row(f"step, {shape}", moved * read / step, "share", None, (step, read))
        yield Row(f"forward, {shape}", read / forward, "share", None, times[1:])


def depth(seconds, width=64, rows=32):
    """Yield the time of a layer in a network of 1000 by that in a network of 10, on one thread and on all."""
    deep, shallow = DEPTHS
    for count in sorted({1, fg.cpu_info()["default_threads"]}):
        with threads(count):
            taken = medians(seconds, *(training_step(f"{width}x{layers}x{rows}") for layers in DEPTHS))
        each = taken[0] / deep, taken[1] / shallow
        yield overhead_of(f"threads={count}, a layer of {deep} by one of {shallow}, {width} units", each, DEPTH_WANTED)
