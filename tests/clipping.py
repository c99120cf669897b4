"""What the tests of clipping share: the clips that they meet, and a step of the reference for a `support.Case`.

No engine is run here, and nothing is judged.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import reference
from fastgrad.telemetry import STATISTICS

LOOSE = (
    fg.ClipValue(1e6),
    fg.ClipNorm(1e6),
    fg.ClipNorm(math.inf),
    fg.ClipNorm(1e6, per="layer"),
    fg.ClipNorm(math.inf, per="layer"),
    fg.ClipAdaptive(1e6),
)


def clips(*, value, norm, layer, adaptive, output=False):
    """Return clips of each kind with these bounds, ready to parametrize a test with; `output` is that of the last."""
    chosen = [
        fg.ClipValue(value),
        fg.ClipNorm(norm),
        fg.ClipNorm(layer, per="layer"),
        fg.ClipAdaptive(adaptive),
        fg.ClipAdaptive(0.5 * adaptive, eps=0.5, output=output),
    ]
    return pytest.mark.parametrize("clip", chosen, ids=repr)


@dataclass(frozen=True)
class OracleStep:
    """A step of the reference; `changes` are those of all weights, then of all biases that there are.

    `norm` is that of all gradients before clipping, `statistics` a dict of rows.
    """

    loss: float
    weights: list
    biases: list
    states: list
    changes: list
    norm: float
    statistics: dict


def oracle_step(case, optimizer, clip, X, y, before=None):
    """Return the step after `before`, or the first; a case without biases has none whose gradient could count."""
    weights, biases = (case.weights, case.oracle_biases) if before is None else (before.weights, before.biases)
    states = [reference.State()] * (2 * len(weights)) if before is None else before.states
    grads = reference.gradients(weights, biases, X, y, case.activations, case.loss)
    if not case.biases:
        grads = replace(grads, biases=[np.zeros_like(b) for b in biases])
    applied = reference.clipped(clip, weights, biases, grads)
    arrays, gradients = [*weights, *biases], [*applied.weights, *applied.biases]
    done = [reference.increment(optimizer, *each) for each in zip(arrays, gradients, states, strict=True)]
    changes = [change for change, _ in done]
    after = [array + change for array, change in zip(arrays, changes, strict=True)]
    count = len(weights)
    table = reference.statistics(weights, biases, X, case.activations, grads, applied, changes[:count])
    return OracleStep(
        loss=grads.loss,
        weights=after[:count],
        biases=after[count:],
        states=[state for _, state in done],
        changes=changes if case.biases else changes[:count],
        norm=reference.gradient_norm(grads.weights, grads.biases),
        statistics=dict(zip(STATISTICS, table, strict=True)),
    )


def parameters_of(case, step):
    """Return the weights and biases after a step of the oracle as `support.parameters` gives those of a network."""
    return [*step.weights, *(step.biases if case.biases else [])]
