"""Steps under every usual option by steps under an optimizer's plainest ones: none may need a trial first.

A step in doubt stores its gradients and computes every update twice; what that costs is shown by a weight decay beyond
those that are certain.
"""

from itertools import product

import fastgrad as fg
from limits import medians, overhead_of, training_step

SHAPE = "64x10x64"
WANTED, WANTED_IN_DOUBT = 1.05, 1.2
SMALLEST = 2.0**-126
PLAINEST_AND_GRIDS: tuple[tuple[type[fg.optim.Optimizer], dict, dict[str, tuple]], ...] = (
    (fg.SGD, {"momentum": 0.5}, {"momentum": (0.9, 0.9999), "weight_decay": (0.0, 1e-4)}),
    (fg.Adam, {}, {"betas": ((0.9, 0.999), (0.0, 0.0), (0.9999, 0.9999)), "eps": (1e-10, SMALLEST)}),
    (fg.AdamW, {}, {"eps": (1e-8, SMALLEST), "weight_decay": (0.0, 1.0)}),
    (fg.RMSprop, {}, {"alpha": (0.0, 0.9999), "eps": (1e-10, SMALLEST)}),
    (fg.RMSprop, {"momentum": 0.5}, {"alpha": (0.0, 0.9999), "momentum": (0.9, 0.9999)}),
    (fg.RMSprop, {"centered": True}, {"alpha": (0.5, 0.9999), "eps": (1e-8, 1e-15)}),
)


def options(seconds):
    """Yield the time of a step under each option by that under the plainest."""
    for kind, plainest, grid in PLAINEST_AND_GRIDS:
        base = {"lr": 1e-6, **plainest}
        plain = training_step(SHAPE, optimizer=kind(**base))
        for values in product(*grid.values()):
            chosen = dict(zip(grid, values, strict=True))
            times = medians(seconds, training_step(SHAPE, optimizer=kind(**base | chosen)), plain)
            what = ", ".join(f"{name} {value}" for name, value in {**plainest, **chosen}.items())
            yield overhead_of(f"{kind.__name__} {what}", times, WANTED)
        times = medians(seconds, training_step(SHAPE, optimizer=kind(**base | {"lr": 0.0, "weight_decay": 2.0})), plain)
        yield overhead_of(f"{kind.__name__}{', '.join(['', *plainest])}, tried first", times, WANTED_IN_DOUBT)
