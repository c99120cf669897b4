"""What the engine's tests share: networks and data drawn from a seed, and how far two arrays are apart.

Weights, inputs and targets are float32 numbers even where they are kept in float64, so that networks of both dtypes and
a float64 oracle start from the very same values. No oracle lives here.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

import fastgrad as fg
from fastgrad import reference

ISAS = fg.cpu_info()["isas"]
DTYPES = ("float32", "float64")
LOSS_CASES = (
    ("mse", "real"),
    ("l2_norm", "real"),
    ("mae", "real"),
    ("huber", "real"),
    ("cross_entropy", "labels"),
    ("cross_entropy", "probabilities"),
    ("binary_cross_entropy", "unit interval"),
)
KINKED = ("relu", "leaky_relu", "selu")
GAINS = {"identity": 1.0, "selu": 1.0, "tanh": 1.1}  # of weights before an activation, 1.4 before the others


@dataclass(frozen=True)
class Case:
    """A network and a batch for it. `biases` is empty where the network has none."""

    weights: list
    biases: list
    activations: tuple
    loss: str
    X: np.ndarray
    y: np.ndarray

    @property
    def sizes(self):
        return [len(self.weights[0]), *(W.shape[1] for W in self.weights)]

    @property
    def oracle_biases(self):
        """Biases as the reference takes them: zeros where the network has none."""
        return self.biases or [np.zeros(width) for width in self.sizes[1:]]

    def build(self, isa, dtype):
        with fg.force_isa(isa):
            net = fg.MLP(
                self.sizes,
                activation=self.activations[:-1],
                output_activation=self.activations[-1],
                init=self.weights,
                bias=bool(self.biases),
                dtype=dtype,
            )
        for layer, bias in enumerate(self.biases):
            net.biases[layer] = bias
        return net


def single(values):
    """Return `values` rounded to float32, as float64."""
    return np.asarray(values, np.float32).astype(np.float64)


def draw_targets(rng, kind, n, k):
    if kind == "labels":
        return rng.integers(0, k, n)
    if kind == "probabilities":
        return single(rng.dirichlet(np.ones(k), n))
    return single(rng.random((n, k)) if kind == "unit interval" else 2.0 * rng.standard_normal((n, k)))


def draw_case(rng, sizes, activations, loss, kind, *, n, bias=True):
    """Return a case whose forward signal keeps its size at any depth."""
    fans = list(pairwise(sizes))
    return Case(
        weights=[
            single(rng.standard_normal(fan) * GAINS.get(name, 1.4) / np.sqrt(fan[0]))
            for fan, name in zip(fans, activations, strict=True)
        ],
        biases=[single(0.1 * rng.standard_normal(fan[1])) for fan in fans] if bias else [],
        activations=tuple(activations),
        loss=loss,
        X=single(rng.standard_normal((n, sizes[0]))),
        y=draw_targets(rng, kind, n, sizes[-1]),
    )


def away_from_kinks(case, distance):
    """Return the case without the samples that a change of size `distance` could carry over a kink."""
    zs, outputs = reference.forward(case.weights, case.oracle_biases, case.X, case.activations)
    edges = [z for z, name in zip(zs, case.activations, strict=True) if name in KINKED]
    if case.loss in ("mae", "l2_norm", "huber"):
        edges.append(outputs[-1] - case.y)
    if case.loss == "huber":
        edges.append(np.abs(outputs[-1] - case.y) - 1.0)
    keep = np.ones(len(case.X), bool)
    for edge in edges:
        keep &= np.abs(edge).min(axis=1) > distance
    return replace(case, X=case.X[keep], y=case.y[keep])


def relative(got, exact):
    """Return ||got - exact|| / ||exact||, in float64; 0 where both are exactly zero."""
    distance = reference.norm(np.asarray(got, np.float64) - exact)
    return distance and distance / reference.norm(np.asarray(exact, np.float64))


def parameters(net):
    """Return copies of all weights and biases as one list."""
    return [np.array(array) for array in (*net.weights, *net.biases)]


def same_bits(one, other):
    """Whether two lists of arrays agree in every bit, NaNs included."""
    return [array.tobytes() for array in one] == [array.tobytes() for array in other]
