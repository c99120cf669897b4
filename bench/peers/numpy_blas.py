"""NumPy and its BLAS: the formulas as one writes them down, in place; a step allocates nothing but masks and sums."""

import numpy as np
from machine import batch, network

from peers import LEARNING_RATE


def name():
    """Return the name shown in tables."""
    return "NumPy"


def available():
    """Return None: fastgrad itself needs NumPy."""
    return None


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    x, y = batch(width, rows)
    weights = [each.copy() for each in network(width, layers).weights]
    biases = [np.zeros(width, np.float32) for _ in weights]
    outputs = [np.empty((rows, width), np.float32) for _ in weights]
    delta, spare = np.empty_like(y), np.empty_like(y)
    gradient = np.empty_like(weights[0])

    def forward():
        below = x
        for w, b, out in zip(weights, biases, outputs, strict=True):
            np.matmul(below, w, out=out)
            out += b
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
            np.matmul(below.T, delta, out=gradient)
            biases[layer] -= LEARNING_RATE * delta.sum(axis=0)
            if layer:
                np.matmul(delta, weights[layer].T, out=spare)
                spare *= below > 0.0
                delta, spare = spare, delta
            np.multiply(gradient, LEARNING_RATE, out=gradient)
            weights[layer] -= gradient
        return float(loss)

    return step
