"""Networks without any extra, whose weights, losses and statistics are kept as hashes in plain_networks.json.

What is kept must not move by a bit unless a change says so and why; `python tests/plain_networks.py` takes the hashes
anew, for the instruction sets of the machine that it runs on. First weights and data are small integers times powers of
two, so that nothing but the engine is judged. Nothing here knows what is right: the other tests do.

AVX2 and AVX-512 give the same weights and losses; statistics are compared on the instruction set where they were taken,
and the plain kernels, which round a multiply-add twice, have hashes of their own.
"""

import contextlib
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from support import DTYPES, ISAS, LOSS_CASES, draw_targets

import fastgrad as fg
from fastgrad import reference

KEPT = Path(__file__).with_suffix(".json")
NETWORKS = 56
STEPS = 6
ACTIVATIONS = tuple(reference.ACTIVATIONS)
OPTIMIZERS = (
    fg.SGD(lr=0.02),
    fg.SGD(lr=0.02, momentum=0.9, weight_decay=1e-3),
    fg.SGD(lr=0.02, momentum=0.8, nesterov=True),
    fg.SGD(lr=0.02, momentum=0.5, dampening=0.25),
    fg.Adam(lr=1e-2),
    fg.Adam(lr=1e-2, weight_decay=1e-2),
    fg.AdamW(lr=1e-2),
    fg.RMSprop(lr=1e-3),
    fg.RMSprop(lr=1e-3, momentum=0.9),
    fg.RMSprop(lr=1e-3, centered=True),
    fg.RMSprop(lr=1e-3, centered=True, momentum=0.5),
)
STATISTICS = (  # those that were there when the first hashes were taken
    "act_mean", "act_rms", "preact_rms", "deriv_mean", "saturated", "dead", "delta_norm", "act_grad_norm", "grad_norm",
    "grad_max", "bias_grad_norm", "weight_norm", "update_norm", "update_ratio",
)  # fmt: skip
GAINS = (1.0, 1.0, 1.0, 2.0**-12, 2.0**6)  # of the weights: most keep the signal, some let it vanish, some explode


def shuffled(options, seed, networks=NETWORKS):
    """Return an option for each network: each option as often as any other, in an order that owes nothing to others."""
    return [options[i % len(options)] for i in np.random.default_rng(seed).permutation(networks)]


CHOICES = list(
    zip(
        shuffled(ACTIVATIONS, 1),
        shuffled(LOSS_CASES, 2),
        shuffled(OPTIMIZERS, 3),
        shuffled(DTYPES, 4),
        shuffled(GAINS, 5),
        shuffled((1, 3, 5, 9, 40), 6),  # layers
        shuffled((30, 200, 1400), 7),  # rows at most
        shuffled((True, True, False), 8),  # biases
        strict=True,
    )
)


def trainer_and_batches(choice, number, isa, clip=None):
    """Return the trainer of a network drawn from its number, inputs, targets and the size of a batch."""
    activation, (loss, kind), optimizer, dtype, gain, layers, most_rows, bias = choice
    rng = np.random.default_rng(1000 + number)
    sizes = [int(width) for width in rng.integers(2, 70, layers + 1)]
    first = [
        rng.integers(-64, 65, fans) * gain * 2.0 ** -np.ceil(5 + 0.5 * np.log2(fans[0])) for fans in pairwise(sizes)
    ]
    with fg.force_isa(isa):
        net = fg.MLP(sizes, activation=activation, init=first, bias=bias, dtype=dtype, seed=number)
    rows = int(rng.integers(1, most_rows))
    X = rng.integers(-32, 33, (rows, sizes[0])) / 16
    y = draw_targets(rng, kind, rows, sizes[-1])
    return fg.Trainer(net, loss, optimizer, clip=clip), X, y, int(rng.integers(1, rows + 1))


def train(number, isa):
    """Train network `number` for a few steps; return it and its history."""
    trainer, X, y, batch_size = trainer_and_batches(CHOICES[number], number, isa)
    history = fg.History(len(trainer.net.activations))
    with contextlib.suppress(fg.DivergenceError):  # that a step was refused is part of what is kept
        trainer.run(X, y, steps=STEPS, batch_size=batch_size, history=history)
    return trainer.net, history


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:32]


def hashes(number, isa):
    """Return the hash of a network's weights and losses, and that of its statistics."""
    net, history = train(number, isa)
    learnt = digest([history.loss, *net.weights, *net.biases])
    return learnt, digest(history.telemetry[name] for name in STATISTICS)


def kind_of_rounding(isa):
    return "twice" if isa == "scalar" else "once"


def take_hashes(path, hashes, networks):
    """Write to a file the hashes of so many networks, for the instruction sets of this machine."""
    kept = json.loads(path.read_text()) if path.exists() else {"weights": {}, "statistics": {}}
    for isa in ISAS:
        weights, statistics = zip(*(hashes(number, isa) for number in range(networks)), strict=True)
        kept["weights"][kind_of_rounding(isa)], kept["statistics"][isa] = weights, statistics
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    take_hashes(KEPT, hashes, NETWORKS)
