"""Networks whose gradients are clipped, kept as hashes in clipped_networks.json as plain_networks.py keeps plain ones.

`python tests/clipped_networks.py` takes the hashes anew. They are of weights, losses and, with a norm over the whole
network, `clip_norm` after each step; and of the statistics. Clipping's norms are added in an order that neither threads
nor instruction sets change, so AVX2 and AVX-512 give the same weights here too.
"""

import contextlib
from itertools import product
from pathlib import Path

import numpy as np
from plain_networks import ACTIVATIONS, STATISTICS, digest, shuffled, take_hashes, trainer_and_batches
from support import DTYPES, LOSS_CASES

import fastgrad as fg

KEPT = Path(__file__).with_suffix(".json")
DRAWN = 40
STEPS = 5
CLIPS = (
    fg.ClipValue(2.0**-8),
    fg.ClipNorm(2.0**-4),
    fg.ClipNorm(2.0**-6, per="layer"),
    fg.ClipAdaptive(2.0**-8),
    fg.ClipAdaptive(2.0**-5, 2.0**-7, output=False),
)
OPTIMIZERS = (
    fg.SGD(lr=0.25),
    fg.SGD(lr=0.25, momentum=0.9, weight_decay=1e-3),
    fg.SGD(lr=0.25, momentum=0.8, nesterov=True),
    fg.Adam(lr=1e-2),
    fg.AdamW(lr=1e-2),
    fg.RMSprop(lr=1e-3),
    fg.RMSprop(lr=1e-3, centered=True, momentum=0.5),
)
GAINS = (1.0, 2.0**-12, 2.0**12)
CHOICES: list[tuple] = list(
    zip(
        shuffled((*ACTIVATIONS, "identity", "leaky_relu"), 11, DRAWN),
        shuffled(LOSS_CASES, 12, DRAWN),
        shuffled(OPTIMIZERS, 13, DRAWN),
        shuffled(DTYPES, 14, DRAWN),
        shuffled(GAINS, 15, DRAWN),
        shuffled((1, 3, 5, 9, 40), 16, DRAWN),  # layers
        shuffled((30, 200, 700), 17, DRAWN),  # rows at most
        shuffled((True, True, False), 18, DRAWN),  # biases
        strict=True,
    )
)
CHOICES += [  # whose gradients leave float32
    (activation, ("mse", "real"), optimizer, "float32", 2.0**10, 12, 200, True)
    for activation, optimizer in product(("identity", "leaky_relu"), OPTIMIZERS[1::2])
    for _ in CLIPS
]
NETWORKS = len(CHOICES)


def clip_of(number):
    return CLIPS[number % len(CLIPS)]


def train(number, isa):
    """Train network `number` step by step; return it, its losses and norms, and its statistics."""
    trainer, X, y, batch_size = trainer_and_batches(CHOICES[number], 1000 + number, isa, clip_of(number))
    numbers, statistics = [], []
    with contextlib.suppress(fg.DivergenceError):  # that a step was refused is part of what is kept
        for step in range(STEPS):
            rows = np.arange(step * batch_size, (step + 1) * batch_size) % len(X)
            numbers += [trainer.step(X[rows], y[rows]), trainer.clip_norm]
            statistics.append(trainer.stats.copy())
    found = np.array(numbers)
    return trainer.net, found[~np.isnan(found)], statistics


def hashes(number, isa):
    """Return the hash of a network's weights and losses, and that of its statistics."""
    net, numbers, statistics = train(number, isa)
    learnt = digest([numbers, *net.weights, *net.biases])
    return learnt, digest(stats[name] for name in (*STATISTICS, "clip_factor") for stats in statistics)


if __name__ == "__main__":
    take_hashes(KEPT, hashes, NETWORKS)
