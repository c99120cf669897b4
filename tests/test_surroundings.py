"""What surrounds a step leaves no trace in its results: threads, processes and the caller's floating-point state.

The networks take both schedules (a layer of more than 1 MiB is shared by its columns) to gradients that vanish and
explode past 2**+-900, where statistics carry an exponent. Nor does a call leave a trace in the floating-point state.
"""

import ctypes
import hashlib
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from support import parameters, same_bits
from test_threads import in_another_process

import fastgrad as fg


@dataclass(frozen=True)
class Case:
    """A network whose weights are scaled so that the signal changes by `decades` more from end to end."""

    sizes: tuple
    rows: int
    activation: str
    loss: str
    optimizer: fg.optim.Optimizer
    dtype: str = "float32"
    decades: float = 0.0

    def build(self):
        net = fg.MLP(self.sizes, activation=self.activation, dtype=self.dtype, seed=3)
        for layer in range(len(net.weights)):
            net.weights[layer] = (net.weights[layer] * 10.0 ** (self.decades / len(net.weights))).astype(self.dtype)
        rng = np.random.default_rng(4)
        ends = self.sizes[0], self.sizes[-1]
        return net, *(rng.standard_normal((self.rows, columns)).astype(self.dtype) for columns in ends)


FAR = 900.0 * np.log10(2.0)
VANISHING = {"activation": "sigmoid", "loss": "mse", "optimizer": fg.SGD(lr=1e-2, momentum=0.9)}
ORDINARY = {"activation": "relu", "loss": "mse", "optimizer": fg.Adam(lr=1e-3)}
EXPLODING = {"activation": "relu", "loss": "mae", "optimizer": fg.SGD(lr=1e-300), "dtype": "float64"}
CASES = {
    "vanishing, sliced": Case((37, *[40] * 89, 5), 150, **VANISHING, decades=-250.0),
    "vanishing, wide": Case((37, *[530] * 23, 5), 30, **VANISHING, decades=-300.0),
    "ordinary, sliced": Case((37, *[70] * 9, 5), 150, **ORDINARY),
    "ordinary, wide": Case((37, *[530] * 4, 5), 70, **ORDINARY),
    "exploding, sliced": Case((37, *[40] * 59, 5), 150, **EXPLODING, decades=290.0),
    "exploding, wide": Case((37, *[390] * 19, 5), 30, **EXPLODING, decades=300.0),
}


def train(case, net, X, y):
    """Return the arrays that four steps leave behind, the statistics of the last and the telemetry of the others."""
    trainer = fg.Trainer(net, case.loss, case.optimizer)
    history = trainer.run(X, y, steps=3, batch_size=case.rows // 2 - 3)
    losses = [*history.loss, trainer.step(X[:19], y[:19])]
    loss, gradients = net.gradients(X, y, loss=case.loss)
    scaled, exponents = zip(*map(gradients.scaled, range(len(net.weights))), strict=True)
    arrays = [np.array([*losses, loss]), np.array(exponents), *scaled, net.forward(X), *parameters(net)]
    return arrays, trainer.stats.copy(), history.telemetry


def statistics(stats, telemetry):
    names = tuple(telemetry)
    logarithms = [each.log10(name) for each in (stats, telemetry) for name in names]
    return [stats.values, *(telemetry[name] for name in names), *logarithms]


def everything(name, threads):
    fg.set_num_threads(threads)
    arrays, stats, telemetry = train(CASES[name], *CASES[name].build())
    return arrays + statistics(stats, telemetry)


def digest(name, threads):
    return hashlib.sha256(b"".join(array.tobytes() for array in everything(name, threads))).hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_the_number_of_threads_does_not_change_a_bit_of_any_statistic(name):
    alone = everything(name, 1)
    for threads in (2, 3, 8):
        assert same_bits(everything(name, threads), alone), f"{threads} threads"


@pytest.mark.parametrize("name", CASES)
def test_another_process_finds_the_same_statistics(name):
    found = in_another_process(f"import test_surroundings as s; print(s.digest({name!r}, 3))")
    assert found == [digest(name, 2)]


@pytest.mark.parametrize("name", CASES)
def test_the_cases_are_what_they_are_called(name):
    _, stats, telemetry = train(CASES[name], *CASES[name].build())
    for sizes in (stats.log10("delta_norm"), *telemetry.log10("delta_norm")):
        farthest = sizes[np.argmax(np.abs(sizes))]
        assert {"vanishing": farthest < -FAR, "ordinary": abs(farthest) < 10.0, "exploding": farthest > FAR}[
            name.split(",")[0]
        ]


KNOWS_MXCSR = sys.platform == "linux" and os.uname().machine == "x86_64"
MASKS, FLUSHING = 0x1F80, 0x8040
STATES = {
    "upward": MASKS | 0x4000,
    "toward zero, flushing": MASKS | 0x6000 | FLUSHING,
    "downward, subnormal numbers read as zero": MASKS | 0x2000 | 0x0040,
    "overflow and division by zero trapped": MASKS & ~0x0600,
}
STATUS = 0x3F  # what has happened so far, which any arithmetic of the interpreter changes


def mxcsr(value=None):
    """Return the control bits of MXCSR; set them first where a value is given."""
    libm, environment = ctypes.CDLL("libm.so.6"), (ctypes.c_uint32 * 8)()  # fenv_t ends with MXCSR
    libm.fegetenv(environment)
    if value is not None:
        environment[7] = value
        libm.fesetenv(environment)
    return environment[7] & ~STATUS


@contextmanager
def floating_point_state(value):
    before = mxcsr()
    mxcsr(value)
    try:
        yield
    finally:
        mxcsr(before)


def every_public_call(net, trainer, X, y):
    """Yield after each call into the engine, those that fail included."""
    trainer.step(X, y)
    yield "step"
    trainer.run(X, y, steps=5, batch_size=17)
    yield "run"
    trainer.evaluate(X, y)
    yield "evaluate of a trainer"
    net.fit(X, y, loss="mse", validation_data=(X, y))
    yield "fit"
    for call in (net.forward, net.predict):
        call(X)
        yield call.__name__
    net.forward(X, training=True)
    net.backward(y)
    yield "backward"
    net.gradients(X, y, loss="mse")
    yield "gradients"
    net.evaluate(X, y, loss="mse")
    yield "evaluate"
    net.weights[0] = np.array(net.weights[0])
    net.biases[0] = np.array(net.biases[0])
    yield "weights"
    w, delta = net.weights[0], np.ones((len(X), net.sizes[1]), np.float32)
    fg.ops.forward(X, w, activation="gelu")
    fg.ops.backward_data(delta, w, X)
    fg.ops.backward_weights(X, delta)
    fg.ops.loss("mse", delta, delta)
    fg.ops.update("adam", w, w)
    fg.ops.unary("exp", X)
    fg.ops.activation("tanh", X)
    yield "ops"
    for refused in (lambda: trainer.step(X[:, 1:], y), lambda: net.gradients(X * np.float32(np.nan), y, loss="mse")):
        with pytest.raises(ValueError, match="X: "):
            refused()
    yield "a refusal"
    with pytest.raises(fg.DivergenceError):
        fg.Trainer(net, "mse", fg.SGD(lr=1e38)).run(X, y, steps=50)
    yield "a divergence"


def call_everything(state, threads):
    fg.set_num_threads(threads)
    rng = np.random.default_rng(1)
    X, y = (rng.standard_normal((256, columns)).astype(np.float32) for columns in (40, 6))
    net = fg.MLP([40, 200, 200, 6], activation="silu", seed=2)
    trainer = fg.Trainer(net, "mse", "adam")
    with floating_point_state(STATES[state]):
        for call in every_public_call(net, trainer, X, y):
            assert mxcsr() == STATES[state], call


def compare(state):
    """Train in a state and in that of the process; the statistics are read in the latter."""
    fg.set_num_threads(2)
    for name, case in CASES.items():
        arrays, *measured = train(case, *case.build())
        built = case.build()
        with floating_point_state(STATES[state]):
            found, *others = train(case, *built)
        assert same_bits(found, arrays), name
        assert same_bits(statistics(*others), statistics(*measured)), name


@pytest.mark.skipif(not KNOWS_MXCSR, reason="knows x86-64 Linux only")
@pytest.mark.parametrize("state", STATES)
class TestFloatingPointState:
    """In processes of their own: a trap that goes off ends the process."""

    @pytest.mark.parametrize("threads", [1, 2])
    def test_it_is_the_callers_after_every_call(self, state, threads):
        assert in_another_process(f"import test_surroundings as s; s.call_everything({state!r}, {threads})") == []

    def test_it_does_not_reach_the_results(self, state):
        assert in_another_process(f"import test_surroundings as s; s.compare({state!r})") == []
