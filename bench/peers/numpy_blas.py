"""NumPy, and SciPy's BLAS for the products, as fast as they go together.

Biases and updates of weights are folded into the products (gemm computes alpha a b + beta c), all in place: a step
allocates nothing but masks and sums. BLAS thinks in columns, so every matrix is handed over transposed, without a copy.
"""

import numpy as np
from machine import batch, network
from scipy.linalg.blas import sgemm

from peers import LEARNING_RATE


def name():
    """Return the name shown in tables."""
    return "NumPy + BLAS"


def available():
    """Return None: fastgrad itself needs both."""
    return None


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    x, y = batch(width, rows)
    weights = [each.copy() for each in network(width, layers).weights]
    biases = [np.zeros(width, np.float32) for _ in weights]
    outputs = [np.empty((rows, width), np.float32) for _ in weights]
    delta, spare = np.empty_like(y), np.empty_like(y)

    def forward():
        below = x
        for w, b, out in zip(weights, biases, outputs, strict=True):
            out[:] = b
            sgemm(1.0, w.T, below.T, 1.0, out.T, overwrite_c=1)
            if out is not outputs[-1]:
                np.maximum(out, 0.0, out=out)
            below = out

    def step():
        nonlocal delta, spare
        forward()
        np.subtract(outputs[-1], y, out=delta)
        loss = np.vdot(delta, delta) / delta.size
        delta *= 2.0 / delta.size
        for layer in reversed(range(layers)):
            below = outputs[layer - 1] if layer else x
            w = weights[layer]
            if layer:
                sgemm(1.0, w.T, delta.T, 0.0, spare.T, trans_a=1, overwrite_c=1)
                spare *= below > 0.0
            sgemm(-LEARNING_RATE, delta.T, below.T, 1.0, w.T, trans_b=1, overwrite_c=1)
            biases[layer] -= LEARNING_RATE * delta.sum(axis=0)
            delta, spare = spare, delta
        return float(loss)

    return step
