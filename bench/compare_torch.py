"""A whole training step through the Python API, with all statistics measured, against PyTorch's eager mode without any.

Same weights, data, loss (MSE), optimizer (SGD) and order of steps; the first losses must agree or the run stops. Both
sides live in one process and take turns in blocks of some 30 ms rather than step by step: after a parallel region the
threads of PyTorch's OpenMP spin for a while on the cores that the other side is about to use, and a block is long
enough for that to fade into the noise. The first steps of each block are not timed for the same reason. Each side is
shown at the better of one thread and all. It needs PyTorch: pip install 'fastgrad[oracle]'.
"""

import argparse
import statistics
import sys
import time

import numpy as np
from machine import batch, describe, network, step_flops

import fastgrad as fg

try:
    import torch
except ImportError:
    sys.exit("compare_torch.py needs PyTorch, which is not installed: pip install 'fastgrad[oracle]'")

SHAPES = ((64, 2, 32), (64, 10, 32), (64, 10, 256), (128, 20, 128), (256, 10, 256), (512, 5, 256), (1024, 5, 256))
LEARNING_RATE = 1e-4
BLOCK_SECONDS = 0.03
LOSSES_COMPARED = 5
LOSS_TOLERANCE = 1e-4


def fastgrad_step(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    x, y = batch(width, rows)
    trainer = fg.Trainer(network(width, layers), loss="mse", optimizer=fg.SGD(lr=LEARNING_RATE))
    return lambda: trainer.step(x, y)


def torch_step(width, layers, rows):
    """Return a function that does the same step in PyTorch and returns its loss."""
    x, y = (torch.from_numpy(array) for array in batch(width, rows))
    net = network(width, layers)
    modules = []
    for weights in net.weights:
        linear = torch.nn.Linear(*weights.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T.copy()))
            linear.bias.zero_()
        modules += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def require_same_losses(ours, theirs, shape):
    """Do the first steps on both sides; exit unless the losses agree."""
    got, wanted = ([step() for _ in range(LOSSES_COMPARED)] for step in (ours, theirs))
    if not np.allclose(got, wanted, rtol=LOSS_TOLERANCE, atol=0.0):
        sys.exit(f"{shape}: losses differ: fastgrad {got}, PyTorch {wanted}")


def seconds_of_block(step):
    """Return the seconds of each step of a block, without those of its first fifth."""
    seconds = []
    end = time.perf_counter() + BLOCK_SECONDS
    while time.perf_counter() < end or len(seconds) < 5:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds[len(seconds) // 5 :]


def set_threads(threads):
    """Let both sides use that many threads."""
    fg.set_num_threads(threads)
    torch.set_num_threads(threads)


def medians(shape, threads, turns):
    """Return the median seconds of a step on each side."""
    set_threads(threads)
    sides = fastgrad_step(*shape), torch_step(*shape)
    require_same_losses(*sides, shape)
    seconds = [[], []]
    for _ in range(turns):
        for side, collected in zip(sides, seconds, strict=True):
            collected += seconds_of_block(side)
    return [statistics.median(collected) for collected in seconds]


def main():
    """Time all shapes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=20, help="blocks of each side (default: %(default)s)")
    turns = parser.parse_args().turns
    if turns < 1:
        parser.error(f"argument --turns: got {turns}, wants at least 1")
    machine = describe()
    counts = sorted({1, machine["threads"]})
    print(f"{machine['cpu']}, {machine['isa']}, {machine['fma_peak'] / 1e9:.1f} GFLOP/s a thread, {counts[-1]} threads")
    print(f"fastgrad {fg.__version__} ({machine['commit']}), PyTorch {torch.__version__}; median us of a step\n")
    print("width layers batch    fastgrad (threads)     PyTorch (threads)   ratio   GFLOP/s   of peak")
    for width, layers, rows in SHAPES:
        shape = width, layers, rows
        timed = {threads: medians(shape, threads, turns) for threads in counts}
        (ours, our_threads), (theirs, their_threads) = (
            min((times[side], threads) for threads, times in timed.items()) for side in (0, 1)
        )
        flops = step_flops(network(width, layers), rows) / ours
        print(
            f"{width:5} {layers:6} {rows:5} {ours * 1e6:11.1f} ({our_threads}) {theirs * 1e6:19.1f} ({their_threads})"
            f" {theirs / ours:12.2f} {flops / 1e9:9.1f} {flops / our_threads / machine['fma_peak']:9.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
