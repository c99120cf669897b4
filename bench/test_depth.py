"""Throughput against depth: 1 to 1000 square layers, a forward pass and a whole training step with all statistics.

The learning rate is 0, so that the deepest networks stay as they are however often they are timed: every product, norm
and update is computed all the same. `plot_depth.py` draws the results.
"""

import time
from functools import lru_cache

import pytest
from machine import batch, forward_flops, network, step_flops

import fastgrad as fg

DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
WIDTHS = (32, 64, 256)
BATCHES = (32, 256)
ROUND_SECONDS = 2e-3
ROUNDS = (3, 100)

shared_network = lru_cache(maxsize=1)(network)


def run_rounds(benchmark, function, seconds):
    """Time `function` for about so many seconds, in rounds long enough for the clock."""
    function()
    start = time.perf_counter()
    function()
    once = time.perf_counter() - start
    iterations = max(1, round(ROUND_SECONDS / once))
    rounds = min(max(round(seconds / (once * iterations)), ROUNDS[0]), ROUNDS[1])
    benchmark.pedantic(function, rounds=rounds, iterations=iterations)


def record(benchmark, machine, kind, shape, flops):
    """Add the case and its derived figures, from the median round, to the results."""
    width, layers, rows = shape
    benchmark.extra_info.update(machine, kind=kind, width=width, layers=layers, batch=rows)
    if benchmark.stats is None:  # --benchmark-disable
        return
    seconds = benchmark.stats.stats.median
    benchmark.extra_info.update(
        samples_per_second=rows / seconds,
        seconds_per_layer=seconds / layers,
        gflops=flops / seconds / 1e9,
        share_of_peak=flops / seconds / (machine["fma_peak"] * machine["threads"]),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layers", DEPTHS)
@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("kind", ["forward", "step"])
def test_depth(benchmark, machine, case_seconds, kind, rows, layers, width):
    net = shared_network(width, layers)
    x, y = batch(width, rows)
    if kind == "forward":
        run_rounds(benchmark, lambda: net.forward(x), case_seconds)
    else:
        trainer = fg.Trainer(net, loss="mse", optimizer=fg.SGD(lr=0.0))
        run_rounds(benchmark, lambda: trainer.step(x, y), case_seconds)
    flops = forward_flops(net, rows) if kind == "forward" else step_flops(net, rows)
    record(benchmark, machine, kind, (width, layers, rows), flops)
