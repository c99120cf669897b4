"""What the benches share: the machine's description and peak, the network they time, and its operations."""

import re
import subprocess
from pathlib import Path

import numpy as np

import fastgrad as fg
from fastgrad import _core
from fastgrad.demo import flops_per_sample


def describe():
    """Return processor, instruction set, threads, compiler, commit and a thread's float32 multiply-add peak, FLOP/s."""
    cpu = fg.cpu_info()
    return {
        "cpu": cpu["brand"],
        "isa": cpu["isa"],
        "threads": cpu["threads"],
        "compiler": _compiler(),
        "commit": _commit(),
        "fma_peak": fma_peak(0.2),
    }


def fma_peak(seconds):
    """Return the float32 FLOP/s of one thread that does nothing but multiply-adds for so long."""
    return _core.fma_peak(fg.cpu_info()["isa"], "float32", seconds)


def _compiler():
    signed = re.search(rb"GCC: \([^\0]*|clang version [^\0]*", Path(_core.__file__).read_bytes())
    return signed.group().decode() if signed else "unknown"


def _commit():
    described = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(
            described, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def network(width, layers):
    """Return a ReLU network with He's weights, `layers` square layers of `width` units."""
    return fg.MLP([width] * (layers + 1), activation="relu", init="he_normal", seed=1)


def batch(width, rows):
    """Return inputs and targets, (rows, width) float32 each."""
    rng = np.random.default_rng(2)
    return (rng.standard_normal((rows, width)).astype(np.float32) for _ in range(2))


def step_flops(net, rows):
    """Return the operations of a training step's matrix products."""
    return rows * flops_per_sample(net.sizes)


def forward_flops(net, rows):
    """Return the operations of a forward pass's matrix products."""
    return rows * 2 * sum(weights.size for weights in net.weights)
