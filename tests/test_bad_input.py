"""What every public entry refuses, and that a refusal leaves the network and the Trainer as they were, to the bit.

Options of optimizers and of telemetry, its chunks, and rules of `fastgrad.init` are refused in their modules' tests.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from support import parameters, same_bits

import fastgrad as fg

ROWS, FEATURES, OUTPUTS = 5, 3, 2
X = np.random.default_rng(0).standard_normal((ROWS, FEATURES)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((ROWS, OUTPUTS)).astype(np.float32)
LABELS = np.array([0, 1, 1, 0, 1])
HUGE = 10**30


def replaced(array, row, column, value):
    copy = np.array(array, np.float64)
    copy[row, column] = value
    return copy


def make(**options):
    """Return a network whose Trainer has done two steps."""
    net = fg.MLP([FEATURES, 4, OUTPUTS], activation="tanh", seed=5, **options)
    trainer = fg.Trainer(net, loss="mse", optimizer=fg.Adam(lr=0.01))
    for _ in range(2):
        trainer.step(X, Y)
    return SimpleNamespace(net=net, trainer=trainer)


@pytest.fixture
def world():
    """Give a network and its Trainer, and compare them at the end with a twin that nothing happened to."""
    threads = fg.get_num_threads()
    one, twin = make(), make()
    yield one
    assert one.trainer.steps == twin.trainer.steps == 2
    assert same_bits(parameters(one.net), parameters(twin.net))
    assert one.trainer.step(X, Y) == twin.trainer.step(X, Y)
    assert same_bits(
        [*parameters(one.net), one.trainer.stats.values], [*parameters(twin.net), twin.trainer.stats.values]
    )
    assert fg.get_num_threads() == threads


def assert_refused(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error


TAKES_X = {
    "forward": lambda w, x: w.net.forward(x),
    "forward in training": lambda w, x: w.net.forward(x, training=True),
    "predict": lambda w, x: w.net.predict(x),
    "gradients": lambda w, x: w.net.gradients(x, Y, loss="mse"),
    "evaluate": lambda w, x: w.net.evaluate(x, Y, loss="mse"),
    "fit": lambda w, x: w.net.fit(x, Y, loss="mse"),
    "step": lambda w, x: w.trainer.step(x, Y),
    "run": lambda w, x: w.trainer.run(x, Y, steps=3),
    "Trainer.evaluate": lambda w, x: w.trainer.evaluate(x, Y),
    "validation": lambda w, x: w.net.fit(X, Y, loss="mse", validation_data=(x, Y)),
}
BAD_X = {
    "one column short": (X[:, :2], ValueError, r"X: got shape \(5, 2\), wants \(n, 3\)"),
    "transposed": (X.T, ValueError, r"X: got shape \(3, 5\)"),
    "one dimension": (X[0], ValueError, r"X: got shape \(3,\)"),
    "three dimensions": (X[:, :, None], ValueError, r"X: got shape \(5, 3, 1\)"),
    "no dimension": (np.float32(1.0), ValueError, r"X: got shape \(\)"),
    "no rows": (X[:0], ValueError, r"X: got shape \(0, 3\), wants \(n, 3\) with n >= 1"),
    "complex": (X.astype(np.complex64), TypeError, "X: got ndarray of dtype complex64"),
    "object": (X.astype(object), TypeError, "X: .*object"),
    "text": ([["1", "2", "3"]], TypeError, "X: .*<U1"),
    "dates": (np.ones((5, 3), "M8[s]"), TypeError, "X: .*datetime64"),
    "None": (None, TypeError, "X: got NoneType"),
    "a generator": (iter(X), TypeError, "X: got .*iterator"),
    "a dict": ({"X": X}, TypeError, "X: got dict"),
    "ragged rows": ([[1.0, 2.0, 3.0], [1.0]], ValueError, "X: got rows of different lengths"),
    "an integer beyond any float": ([[10**400, 0, 0]], TypeError, "X: .*object"),
    "beyond float32": (replaced(X, 1, 2, 1e39), ValueError, r"X: row 1, column 2 is 1e\+39, wants .*float32"),
    "nan": (replaced(X, 4, 2, np.nan), ValueError, "X: row 4, column 2 is nan"),
    "nan, ready for the engine": (
        replaced(X, 4, 2, np.nan).astype(np.float32),
        ValueError,
        "X: row 4, column 2 is nan",
    ),
    "inf": (replaced(X, 0, 0, np.inf), ValueError, "X: row 0, column 0 is inf"),
    "-inf": (replaced(X, 2, 1, -np.inf).astype(np.float32), ValueError, "X: row 2, column 1 is -inf"),
}


@pytest.mark.parametrize("entry", TAKES_X)
@pytest.mark.parametrize("bad", BAD_X)
def test_bad_inputs(world, entry, bad):
    value, error, message = BAD_X[bad]
    prefix = "validation_data: " if entry == "validation" else "^"
    assert_refused(lambda: TAKES_X[entry](world, value), error, prefix + message)


TAKES_Y = {
    "gradients": lambda w, y, loss: w.net.gradients(X, y, loss=loss),
    "evaluate": lambda w, y, loss: w.net.evaluate(X, y, loss=loss),
    "fit": lambda w, y, loss: w.net.fit(X, y, loss=loss),
    "step": lambda w, y, loss: fg.Trainer(w.net, loss).step(X, y),
    "run": lambda w, y, loss: fg.Trainer(w.net, loss).run(X, y, steps=2),
    "ops.loss": lambda w, y, loss: fg.ops.loss(loss, Y, y),
    "validation": lambda w, y, loss: w.net.fit(
        X, LABELS if loss == "cross_entropy" else np.abs(np.tanh(Y)), loss=loss, validation_data=(X, y)
    ),
}
BAD_Y = {
    "one row short": ("mse", Y[:4], ValueError, r"y: got shape \(4, 2\), wants \(5, 2\)"),
    "one column short": ("huber", Y[:, :1], ValueError, r"y: got shape \(5, 1\)"),
    "a vector": ("mae", Y[:, 0], ValueError, r"y: got shape \(5,\)"),
    "no dimension": ("l2_norm", 1.0, ValueError, r"y: got shape \(\)"),
    "None": ("mse", None, TypeError, "y: got NoneType"),
    "complex": ("mse", Y * 1j, TypeError, "y: .*complex"),
    "nan": ("mse", replaced(Y, 3, 1, np.nan), ValueError, "y: row 3, column 1 is nan"),
    "nan, ready for the engine": (
        "mse",
        replaced(Y, 3, 1, np.nan).astype(np.float32),
        ValueError,
        "y: row 3, column 1",
    ),
    "labels for a regression": ("mse", LABELS, ValueError, r"y: got shape \(5,\)"),
    "labels for logits": ("binary_cross_entropy", LABELS, ValueError, r"y: got shape \(5,\)"),
    "beyond 1": (
        "binary_cross_entropy",
        replaced(np.zeros((5, 2)), 2, 0, 1.5),
        ValueError,
        "y: row 2, column 0 is 1.5",
    ),
    "below 0": (
        "binary_cross_entropy",
        replaced(np.zeros((5, 2)), 2, 0, -0.5),
        ValueError,
        "y: row 2, column 0 is -0.5",
    ),
    "a negative probability": (
        "cross_entropy",
        replaced(np.ones((5, 2)), 4, 1, -0.1),
        ValueError,
        "y: row 4, column 1",
    ),
    "a label too large": ("cross_entropy", [0, 1, 2, 0, 0], ValueError, "y: row 2 is 2, wants a label in .0, 2"),
    "a label below 0": ("cross_entropy", LABELS - 1, ValueError, "y: row 0 is -1"),
    "a huge label": (
        "cross_entropy",
        np.array([0, 0, 0, 0, 2**63], np.uint64),
        ValueError,
        "y: row 4 is 9223372036854775808",
    ),
    "a label beyond any integer": ("cross_entropy", [HUGE] * 5, TypeError, "y: .*object"),
    "one label short": ("cross_entropy", LABELS[:4], ValueError, "y: got 4 labels, wants 5"),
    "labels that are floats": ("cross_entropy", LABELS.astype(float), TypeError, "y: got labels of dtype float64"),
    "a column of labels": ("cross_entropy", LABELS[:, None], ValueError, r"y: got shape \(5, 1\)"),
}


@pytest.mark.parametrize("entry", TAKES_Y)
@pytest.mark.parametrize("bad", BAD_Y)
def test_bad_targets(world, entry, bad):
    loss, value, error, message = BAD_Y[bad]
    prefix = "validation_data: " if entry == "validation" else "^"
    assert_refused(lambda: TAKES_Y[entry](world, value, loss), error, prefix + message)


BAD_NETWORKS = [
    ({"sizes": [3]}, ValueError, "sizes: got 1 entries, wants at least 2"),
    ({"sizes": []}, ValueError, "sizes: got 0 entries"),
    ({"sizes": [3, 0, 2]}, ValueError, r"sizes\[1\]: got 0, wants an integer >= 1"),
    ({"sizes": [-3, 2]}, ValueError, r"sizes\[0\]: got -3"),
    ({"sizes": [3, 2.0]}, TypeError, r"sizes\[1\]: got 2.0"),
    ({"sizes": [True, 2]}, TypeError, r"sizes\[0\]: got True"),
    ({"sizes": [3, HUGE]}, ValueError, r"sizes\[1\]: got 1000"),
    ({"sizes": [3, None]}, TypeError, r"sizes\[1\]: got None"),
    ({"sizes": 3}, TypeError, "sizes: got int"),
    ({"sizes": "32"}, TypeError, "sizes: got str"),
    ({"sizes": b"32"}, TypeError, "sizes: got bytes"),
    ({"sizes": np.array(3)}, (TypeError, ValueError), "sizes: got"),
    ({"sizes": iter([3, 2])}, TypeError, "sizes: got list_iterator"),
    ({"sizes": np.ones((2, 2), int)}, TypeError, r"sizes\[0\]: got array"),
    ({"activation": "relu6"}, ValueError, "activation: got 'relu6', wants one of identity, relu"),
    ({"activation": None}, TypeError, "activation: got NoneType"),
    ({"activation": ["relu", "relu"]}, ValueError, "activation: got 2 entries, wants 1"),
    ({"activation": ["relu6"]}, ValueError, r"activation\[0\]: got 'relu6'"),
    ({"activation": [len]}, TypeError, r"activation\[0\]: got builtin_function"),
    ({"output_activation": "softmax"}, ValueError, "output_activation: got 'softmax'"),
    ({"output_activation": ["relu"]}, TypeError, "output_activation: got list"),
    ({"init": "he"}, ValueError, "init: got 'he', wants one of auto, he_normal"),
    ({"init": ["zeros"]}, ValueError, "init: got 1 entries, wants 2"),
    ({"init": None}, TypeError, "init of layer 0: got NoneType"),
    ({"init": np.ones((3, 3))}, ValueError, r"init of layer 0: got shape \(3, 3\), wants .* \(3, 4\)"),
    ({"init": ["zeros", np.full((4, 2), np.nan)]}, ValueError, "init of layer 1: row 0, column 0 is nan"),
    ({"init": ["zeros", lambda rng, shape: np.ones(3)]}, ValueError, r"init of layer 1: got shape \(3,\)"),
    ({"bias": 1}, TypeError, "bias: got 1, wants True or False"),
    ({"dtype": "float16"}, ValueError, "dtype: got 'float16', wants float32 or float64"),
    ({"dtype": None}, ValueError, "dtype: got None"),
    ({"dtype": ">f4"}, ValueError, "dtype: got '>f4'"),
    ({"dtype": "single precision"}, ValueError, "dtype: got 'single precision'"),
    ({"seed": -1}, ValueError, "seed: got -1"),
    ({"seed": 2**63}, ValueError, "seed: got 9223372036854775808"),
    ({"seed": None}, TypeError, "seed: got None"),
    ({"seed": True}, TypeError, "seed: got True"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"), BAD_NETWORKS, ids=[str(case[0])[:40] for case in BAD_NETWORKS]
)
def test_bad_networks(options, error, message):
    with pytest.raises(error, match=message):
        fg.MLP(**{"sizes": [3, 4, 2], **options})


def fit(**options):
    return lambda w: w.net.fit(**{"X": X, "y": Y, "loss": "mse", **options})


def run(**options):
    return lambda w: w.trainer.run(X, Y, **{"steps": 2, **options})


BAD_CALLS = {
    "fit: unknown loss": (fit(loss="rmse"), ValueError, "loss: got 'rmse', wants one of mse"),
    "fit: loss None": (fit(loss=None), TypeError, "loss: got NoneType"),
    "fit: the engine's own loss": (fit(loss="inner_product"), ValueError, "loss: got 'inner_product'"),
    "fit: unknown optimizer": (fit(optimizer="sgdm"), ValueError, "optimizer: got 'sgdm', wants one of sgd"),
    "fit: optimizer 3": (fit(optimizer=3), TypeError, "optimizer: got int"),
    "fit: optimizer class": (fit(optimizer=fg.Adam), TypeError, "optimizer: got the class Adam"),
    "fit: negative rate": (lambda w: fit(optimizer=fg.SGD(lr=-0.1))(w), ValueError, "lr: got -0.1"),
    "fit: epochs 0": (fit(epochs=0), ValueError, "epochs: got 0, wants an integer >= 1"),
    "fit: epochs True": (fit(epochs=True), TypeError, "epochs: got True"),
    "fit: epochs 1.5": (fit(epochs=1.5), TypeError, "epochs: got 1.5"),
    "fit: batch_size 0": (fit(batch_size=0), ValueError, "batch_size: got 0"),
    "fit: batch_size None": (fit(batch_size=None), TypeError, "batch_size: got None"),
    "fit: batch_size True": (fit(batch_size=True), TypeError, "batch_size: got True"),
    "fit: shuffle 'no'": (fit(shuffle="no"), TypeError, "shuffle: got 'no'"),
    "fit: progress 'no'": (fit(progress="no"), TypeError, "progress: got 'no'"),
    "fit: telemetry 1": (fit(telemetry=1), TypeError, "telemetry: got 1, wants True or False or a fastgrad.Telemetry"),
    "fit: telemetry, the class": (
        fit(telemetry=fg.Telemetry),
        TypeError,
        "telemetry: got <class .*a fastgrad.Telemetry",
    ),
    "fit: check_finite": (fit(check_finite=None), TypeError, "check_finite: got None, wants True or False"),
    "fit: validation of nan": (
        fit(check_finite=False, validation_data=(np.full_like(X, np.nan), Y)),
        ValueError,
        "validation_data: X: row 0, column 0 is nan",
    ),
    "fit: validation 3": (fit(validation_data=3), TypeError, "validation_data: got int, wants a pair"),
    "fit: validation of X alone": (fit(validation_data=(X,)), TypeError, "validation_data: got tuple"),
    "run: steps 0": (run(steps=0), ValueError, "steps: got 0"),
    "run: steps -1": (run(steps=-1), ValueError, "steps: got -1"),
    "run: steps True": (run(steps=True), TypeError, "steps: got True"),
    "run: steps 2.0": (run(steps=2.0), TypeError, "steps: got 2.0"),
    "run: batch_size 0": (run(batch_size=0), ValueError, "batch_size: got 0"),
    "run: batch_size '3'": (run(batch_size="3"), TypeError, "batch_size: got '3'"),
    "run: shuffle 'no'": (run(shuffle="no"), TypeError, "shuffle: got 'no'"),
    "Trainer: net": (lambda w: fg.Trainer("net", "mse"), TypeError, "net: got str"),
    "Trainer: loss": (lambda w: fg.Trainer(w.net, "l2"), ValueError, "loss: got 'l2'"),
    "Trainer: optimizer": (lambda w: fg.Trainer(w.net, "mse", "lion"), ValueError, "optimizer: got 'lion'"),
    "Trainer: check_finite": (
        lambda w: fg.Trainer(w.net, "mse", check_finite=1),
        TypeError,
        "check_finite: got 1, wants True or False",
    ),
    "run: history of other layers": (
        run(history=fg.History(3)),
        ValueError,
        "history: got one of 3 layers, wants 2",
    ),
    "run: history 3": (run(history=3), TypeError, "history: got int, wants a History"),
    "Trainer: telemetry": (
        lambda w: fg.Trainer(w.net, "mse", telemetry="grad_norm"),
        TypeError,
        "telemetry: got 'grad_norm', wants True or False",
    ),
    "stats before a step": (
        lambda w: fg.Trainer(w.net, "mse").stats,
        ValueError,
        "stats: got a Trainer before its first",
    ),
    "stats: unknown": (lambda w: w.trainer.stats["grad"], KeyError, "'grad' is not a statistic; known are act_mean"),
    "gradients: loss": (lambda w: w.net.gradients(X, Y, loss="inner_product"), ValueError, "loss: got 'inner_product'"),
    "evaluate: loss": (lambda w: w.net.evaluate(X, Y, loss=0), TypeError, "loss: got int"),
    "forward: training": (lambda w: w.net.forward(X, training="yes"), TypeError, "training: got 'yes'"),
    "predict before fit": (
        lambda w: fg.MLP([3, 2]).predict(X),
        fg.NotFittedError,
        "predict: got a network that has not",
    ),
    "predict_proba before fit": (lambda w: fg.MLP([3, 2]).predict_proba(X), fg.NotFittedError, "predict_proba: got"),
    "predict_proba after mse": (lambda w: w.net.predict_proba(X), ValueError, "predict_proba: got .*'mse'"),
    "weights: shape": (
        lambda w: w.net.weights.__setitem__(0, X),
        ValueError,
        r"weights\[0\]: got shape \(5, 3\), wants",
    ),
    "weights: transposed": (lambda w: w.net.weights.__setitem__(0, np.ones((4, 3))), ValueError, r"weights\[0\]: got"),
    "weights: a number": (lambda w: w.net.weights.__setitem__(0, 1.0), ValueError, r"weights\[0\]: got shape \(\)"),
    "weights: nan": (
        lambda w: w.net.weights.__setitem__(1, np.full((4, 2), np.nan)),
        ValueError,
        r"weights\[1\]: row 0",
    ),
    "weights: text": (lambda w: w.net.weights.__setitem__(0, "abc"), TypeError, r"weights\[0\]: got str"),
    "weights: no such layer": (lambda w: w.net.weights.__setitem__(2, X), IndexError, "weights: got layer 2"),
    "weights: below": (lambda w: w.net.weights[-3], IndexError, "weights: got layer -3"),
    "weights: index 1.0": (lambda w: w.net.weights[1.0], TypeError, "weights: got index 1.0"),
    "weights: index True": (lambda w: w.net.weights[True], TypeError, "weights: got index True"),
    "weights: a part": (lambda w: w.net.weights[0].__setitem__((0, 0), 1.0), ValueError, "read-only"),
    "weights: two indices": (lambda w: w.net.weights.__setitem__((0, 0), 1.0), TypeError, "weights: got index"),
    "weights: all": (lambda w: setattr(w.net, "weights", [X]), AttributeError, "weights"),
    "biases: all": (lambda w: setattr(w.net, "biases", [X]), AttributeError, "biases"),
    "biases: a row": (lambda w: w.net.biases.__setitem__(0, np.ones((1, 4))), ValueError, r"biases\[0\]: got shape"),
    "biases: none": (lambda w: make(bias=False).net.biases[0], IndexError, "biases: got layer 0, the network has no"),
    "isa: unknown": (lambda w: fg.force_isa("sse2").__enter__(), ValueError, "isa: got 'sse2', wants one of scalar"),
    "isa: None": (lambda w: fg.force_isa(None).__enter__(), TypeError, "isa: got NoneType"),
    "threads 0": (lambda w: fg.set_num_threads(0), ValueError, "n: got 0"),
    "threads 257": (lambda w: fg.set_num_threads(257), ValueError, "n: got 257"),
    "threads True": (lambda w: fg.set_num_threads(True), TypeError, "n: got True"),
    "threads 2.0": (lambda w: fg.set_num_threads(2.0), TypeError, "n: got 2.0"),
}


@pytest.mark.parametrize("bad", BAD_CALLS)
def test_bad_calls(world, bad):
    call, error, message = BAD_CALLS[bad]
    with pytest.raises(error, match=message):
        call(world)


def test_backward_wants_a_forward_pass_in_training_mode(world):
    message = re.escape("backward: got no forward pass, wants forward(X, training=True) before it")
    assert_refused(lambda: world.net.backward(Y), ValueError, message)
    world.net.forward(X)
    assert_refused(lambda: world.net.backward(Y), ValueError, message)
    world.net.forward(X, training=True)
    world.net.backward(Y)
    assert_refused(lambda: world.net.backward(Y), ValueError, message)
    world.net.forward(X, training=True)
    world.net.gradients(X, Y, loss="mse")  # works in the same place
    assert_refused(lambda: world.net.backward(Y), ValueError, message)


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (Y[:3], ValueError, "dL_doutput: got 3 rows, wants 5"),
        (X, ValueError, r"dL_doutput: got shape \(5, 3\), wants \(n, 2\)"),
        (replaced(Y, 1, 1, np.nan), ValueError, "dL_doutput: row 1, column 1 is nan"),
        (None, TypeError, "dL_doutput: got NoneType"),
    ],
)
def test_a_bad_gradient_of_the_output_leaves_the_forward_pass(world, gradient, error, message):
    world.net.forward(X, training=True)
    assert_refused(lambda: world.net.backward(gradient), error, message)
    assert np.any(world.net.backward(Y).weights[0])


def test_statistics_are_read_only(world):
    with pytest.raises(ValueError, match="read-only"):
        world.trainer.stats.grad_norm[0] = 0.0
