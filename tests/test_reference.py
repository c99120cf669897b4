"""The reference engine against mpmath, PyTorch's autograd and optimizers, and central differences."""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from fastgrad import reference
from fastgrad.clip import ClipNorm
from fastgrad.optim import SGD, Adam, AdamW, RMSprop
from fastgrad.telemetry import STATISTICS

SIZES = (5, 7, 6, 4)
SAMPLES = 9
LOSS_CASES = [
    ("mse", "real"),
    ("l2_norm", "real"),
    ("mae", "real"),
    ("huber", "real"),
    ("cross_entropy", "labels"),
    ("cross_entropy", "probabilities"),
    ("binary_cross_entropy", "unit interval"),
]
OPTIMIZERS = [
    (SGD(lr=0.05), "SGD"),
    (SGD(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01), "SGD"),
    (SGD(lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True), "SGD"),
    (Adam(lr=0.01), "Adam"),
    (Adam(lr=0.01, betas=(0.7, 0.95), eps=1e-4, weight_decay=0.02), "Adam"),
    (AdamW(lr=0.01), "AdamW"),
    (AdamW(lr=0.01, betas=(0.5, 0.9), weight_decay=0.3), "AdamW"),
    (RMSprop(), "RMSprop"),
    (RMSprop(lr=0.01, alpha=0.9, weight_decay=0.02, momentum=0.8), "RMSprop"),
    (RMSprop(lr=0.01, alpha=0.9, momentum=0.5, centered=True), "RMSprop"),
]

# value and slope far left and far right, as factors of z and constants: value = a z + b, slope = a
SELU_FLOOR = -reference.SELU_SCALE * reference.SELU_ALPHA
LIMITS = {
    "identity": ((1, 0), (1, 0)),
    "relu": ((0, 0), (1, 0)),
    "leaky_relu": ((0.01, 0), (1, 0)),
    "elu": ((0, -1), (1, 0)),
    "selu": ((0, SELU_FLOOR), (reference.SELU_SCALE, 0)),
    "gelu": ((0, 0), (1, 0)),
    "gelu_tanh": ((0, 0), (1, 0)),
    "silu": ((0, 0), (1, 0)),
    "softplus": ((0, 0), (1, 0)),
    "sigmoid": ((0, 0), (0, 1)),
    "tanh": ((0, -1), (0, 1)),
    "mish": ((0, 0), (1, 0)),
}

MP_ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else mp.mpf(0.01) * z,
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "selu": lambda z: mp.mpf(reference.SELU_SCALE) * (z if z > 0 else mp.mpf(reference.SELU_ALPHA) * mp.expm1(z)),
    "gelu": lambda z: z * mp.erfc(-z / mp.sqrt(2)) / 2,
    "gelu_tanh": lambda z: z / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf(0.044715) * z**3))),
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": lambda z: mp.tanh(z),
    "mish": lambda z: z * mp.tanh(mp.log1p(mp.exp(z))),
}


def network(activation, seed=0):
    """Return weights, biases, the layers' activations (tanh, then the one given twice) and inputs."""
    rng = np.random.default_rng(seed)
    shapes = list(pairwise(SIZES))
    weights = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes]
    biases = [0.3 * rng.standard_normal(shape[1]) for shape in shapes]
    return weights, biases, ["tanh", activation, activation], rng.standard_normal((SAMPLES, SIZES[0]))


def targets(kind, seed=1):
    rng = np.random.default_rng(seed)
    if kind == "labels":
        return rng.integers(0, SIZES[-1], SAMPLES)
    if kind == "probabilities":
        return rng.dirichlet(np.ones(SIZES[-1]), SAMPLES)
    if kind == "unit interval":
        return rng.random((SAMPLES, SIZES[-1]))
    return 2.0 * rng.standard_normal((SAMPLES, SIZES[-1]))


def torch_activation(torch, name):
    functional = torch.nn.functional
    if name == "identity":
        return lambda z: z
    if name == "gelu_tanh":
        return lambda z: functional.gelu(z, approximate="tanh")
    return torch.sigmoid if name == "sigmoid" else torch.tanh if name == "tanh" else getattr(functional, name)


def torch_loss(torch, name, a, y):
    functional = torch.nn.functional
    if name == "l2_norm":
        return torch.linalg.vector_norm(a - y, dim=1).sum()
    names = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss", "cross_entropy": "cross_entropy"}
    return getattr(functional, names.get(name, "binary_cross_entropy_with_logits"))(a, y)


def assert_close(got, exact, context):
    assert abs(got - exact) <= mp.mpf("4e-13") * abs(exact) + mp.mpf("1e-307"), (context, got, exact)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_activation_keeps_relative_accuracy_in_both_tails(name):
    points = [0.0, 1e-300, 1e-8, 1e-3, 0.1, 0.9, 1.7, 3.0, 8.3, 12.0, 18.5, 25.0, 36.5, 60.0, 300.0, 700.0]
    z = np.array([sign * x for x in points for sign in (-1.0, 1.0)])
    with np.errstate(all="raise", under="ignore"):
        value, slope = reference.ACTIVATIONS[name].value(z), reference.ACTIVATIONS[name].slope(z)
    function = MP_ACTIVATIONS[name]
    for i, x in enumerate(z):
        with mp.workdps(320 + int(abs(x))):
            assert_close(value[i], function(mp.mpf(x)), x)
            if x != 0.0:
                assert_close(slope[i], mp.diff(function, mp.mpf(x)), x)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize("z", [1e4, 1e160, 1e308])
def test_activation_reaches_its_limits_without_overflow(name, z):
    for x, (factor, constant) in zip((-z, z), LIMITS[name], strict=True):
        with np.errstate(all="raise", under="ignore"):
            value = reference.ACTIVATIONS[name].value(np.array([x]))[0]
            slope = reference.ACTIVATIONS[name].slope(np.array([x]))[0]
        assert value == factor * x + constant
        assert slope == factor


def test_slopes_at_zero_follow_pytorch():
    slopes = {name: float(f.slope(np.zeros(1))[0]) for name, f in reference.ACTIVATIONS.items()}
    assert slopes["relu"] == 0.0
    assert slopes["leaky_relu"] == 0.01
    assert slopes["elu"] == 1.0
    assert slopes["selu"] == reference.SELU_SCALE * reference.SELU_ALPHA


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_gradients_agree_with_autograd(name, loss, kind):
    torch = pytest.importorskip("torch")
    weights, biases, activations, X = network(name)
    y = targets(kind)
    got = reference.gradients(weights, biases, X, y, activations, loss)

    leaves = [[torch.tensor(array, requires_grad=True) for array in arrays] for arrays in (weights, biases, [X])]
    a = leaves[2][0]
    for W, b, activation in zip(leaves[0], leaves[1], activations, strict=True):
        a = torch_activation(torch, activation)(a @ W + b)
    value = torch_loss(torch, loss, a, torch.tensor(y))
    value.backward()

    assert got.loss == pytest.approx(value.item(), rel=1e-13)
    for ours, theirs in zip([*got.weights, *got.biases, got.input], [x for xs in leaves for x in xs], strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_gradients_agree_with_central_differences(name, loss, kind):
    weights, biases, activations, X = network(name, seed=2)
    y = targets(kind, seed=3)
    got = reference.gradients(weights, biases, X, y, activations, loss)
    rng = np.random.default_rng(4)
    h = 1e-6
    for arrays, grads in ((weights, got.weights), (biases, got.biases), ([X], [got.input])):
        for array, grad in zip(arrays, grads, strict=True):
            direction = rng.standard_normal(array.shape)
            start = array.copy()
            array[...] = start + h * direction
            above = reference.gradients(weights, biases, X, y, activations, loss).loss
            array[...] = start - h * direction
            below = reference.gradients(weights, biases, X, y, activations, loss).loss
            array[...] = start
            assert np.sum(grad * direction) == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8)


def test_forward_and_deltas_are_what_their_names_say():
    weights, biases, activations, X = network("tanh")
    zs, outputs = reference.forward(weights, biases, X, activations)
    assert len(outputs) == len(zs) + 1 == len(weights) + 1
    np.testing.assert_array_equal(outputs[0], X)
    np.testing.assert_allclose(zs[1], np.tanh(X @ weights[0] + biases[0]) @ weights[1] + biases[1], rtol=1e-14)
    grads = reference.gradients(weights, biases, X, targets("real"), activations, "mse")
    expected = 2.0 * (outputs[-1] - targets("real")) / outputs[-1].size * (1.0 - outputs[-1] ** 2)
    np.testing.assert_allclose(grads.deltas[-1], expected, rtol=1e-12)


@pytest.mark.parametrize("gap", [0.5, 10.0, 40.0, 300.0])
def test_cross_entropy_of_a_sure_answer_is_small_not_zero(gap):
    value, gradient = reference.LOSSES["cross_entropy"](np.array([[gap, 0.0, -1.0]]), np.array([0]))
    with mp.workdps(400):
        others = [mp.exp(-mp.mpf(gap)), mp.exp(-1 - mp.mpf(gap))]
        total = 1 + sum(others)
        assert_close(value, mp.log1p(sum(others)), gap)
        for got, exact in zip(gradient[0], [-sum(others) / total, *(q / total for q in others)], strict=True):
            assert_close(got, exact, gap)


@pytest.mark.parametrize("logit", [-700.0, -40.0, 0.3, 40.0, 700.0])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_keeps_relative_accuracy(logit, y):
    value, gradient = reference.LOSSES["binary_cross_entropy"](np.array([[logit]]), np.array([[y]]))
    with mp.workdps(400):
        s, other = 1 / (1 + mp.exp(-mp.mpf(logit))), 1 / (1 + mp.exp(mp.mpf(logit)))
        assert_close(value, -y * mp.log(s) - (1 - y) * mp.log(other), logit)
        assert_close(gradient[0, 0], (1 - y) * s - y * other, logit)


def test_l2_norm_has_gradient_zero_where_the_target_is_met():
    a, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [0.0, 0.0]])
    value, gradient = reference.LOSSES["l2_norm"](a, y)
    assert value == 5.0
    np.testing.assert_allclose(gradient, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e307])
def test_norm_survives_squares_that_do_not(scale):
    values = np.array([[3.0, 0.0], [0.0, -4.0]]) * scale
    assert reference.norm(values) == pytest.approx(5.0 * scale, rel=1e-15)
    np.testing.assert_allclose(reference.norm(values, axis=1), [3.0 * scale, 4.0 * scale], rtol=1e-15)
    assert reference.norm(np.zeros((2, 3))) == 0.0


@pytest.mark.parametrize(("options", "torch_name"), OPTIMIZERS, ids=[str(options) for options, _ in OPTIMIZERS])
def test_optimizer_follows_pytorch_for_fifty_steps(options, torch_name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    curvature, start = rng.standard_normal((6, 6)) / 3.0, rng.standard_normal((6, 4))

    theirs = torch.nn.Parameter(torch.tensor(start))
    their_optimizer = getattr(torch.optim, torch_name)([theirs], **vars(options))
    ours, state = start.copy(), reference.State()
    for step in range(50):
        noise = rng.standard_normal(start.shape)
        theirs.grad = torch.tensor(curvature @ theirs.detach().numpy() + noise)
        their_optimizer.step()
        change, state = reference.increment(options, ours, curvature @ ours + noise, state)
        ours = ours + change
        error = reference.norm(ours - theirs.detach().numpy()) / reference.norm(ours)
        assert error <= 1e-12, (step, error)


def test_the_variance_of_a_constant_gradient_does_not_cancel():
    options, state, w = RMSprop(alpha=0.99, centered=True), reference.State(), np.zeros(100)
    gradient = np.linspace(0.1, 7.3, w.size)
    for _ in range(5000):
        state = reference.increment(options, w, gradient, state)[1]
    kept = 0.99**5000
    np.testing.assert_allclose(state.square, gradient**2 * kept * (1.0 - kept), rtol=1e-11)


@pytest.mark.parametrize("options", [SGD(lr=0.1, momentum=0.9), Adam(lr=0.01), RMSprop()], ids=lambda o: o.name)
def test_train_step_returns_a_new_network_and_carries_state(options):
    weights, biases, activations, X = network("tanh")
    y = targets("real")
    before = [array.copy() for array in (*weights, *biases)]
    first = reference.train_step(weights, biases, X, y, activations, "mse", options)
    for array, copy in zip((*weights, *biases), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert first.loss == reference.gradients(weights, biases, X, y, activations, "mse").loss

    second = reference.train_step(first.weights, first.biases, X, y, activations, "mse", options, first.states)
    grads = reference.gradients(first.weights, first.biases, X, y, activations, "mse")
    for layer, (of_weights, of_biases) in enumerate(first.states):
        change, _ = reference.increment(options, first.weights[layer], grads.weights[layer], of_weights)
        np.testing.assert_array_equal(second.weights[layer], first.weights[layer] + change)
        change, _ = reference.increment(options, first.biases[layer], grads.biases[layer], of_biases)
        np.testing.assert_array_equal(second.biases[layer], first.biases[layer] + change)
    assert second.states[0][0].step == 2
    assert second.loss < first.loss


@pytest.mark.parametrize("clip", [None, ClipNorm(0.25)], ids=repr)
def test_statistics_of_a_step_are_those_of_the_table(clip):
    weights, biases, activations, X = network("silu")
    y, lr, decay = targets("real"), 0.1, 0.05
    step = reference.train_step(weights, biases, X, y, activations, "mse", SGD(lr=lr, weight_decay=decay), clip=clip)
    grads = reference.gradients(weights, biases, X, y, activations, "mse")
    length = np.linalg.norm(np.concatenate([g.ravel() for g in (*grads.weights, *grads.biases)]))
    factor = 1.0 if clip is None else clip.c / (length + 1e-6)
    assert factor < 0.9 or clip is None
    rows = dict(zip(STATISTICS, step.statistics, strict=True))
    assert step.statistics.shape == (len(STATISTICS), len(weights))
    a = X
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = a @ W + b
        sigmoid = 1.0 / (1.0 + np.exp(-z))
        a = z * sigmoid if layer else np.tanh(z)
        slope = sigmoid + z * sigmoid * (1.0 - sigmoid) if layer else 1.0 - a**2
        update = np.linalg.norm(lr * (factor * grads.weights[layer] + decay * W))
        expected = {
            "act_mean": a.mean(),
            "act_rms": np.sqrt(np.mean(a**2)),
            "preact_rms": np.sqrt(np.mean(z**2)),
            "deriv_mean": np.abs(slope).mean(),
            "saturated": np.mean(np.abs(slope) < 0.05 * (1.09983932 if layer else 1.0)),
            "dead": 0.0,
            "delta_norm": np.linalg.norm(grads.deltas[layer]),
            "act_grad_norm": np.linalg.norm(grads.deltas[layer] / slope),
            "grad_norm": np.linalg.norm(grads.weights[layer]),
            "grad_max": np.abs(grads.weights[layer]).max(),
            "bias_grad_norm": np.linalg.norm(grads.biases[layer]),
            "weight_norm": np.linalg.norm(W),
            "update_norm": update,
            "update_ratio": update / np.linalg.norm(W),
            "clip_factor": factor,
        }
        assert set(expected) == set(STATISTICS)
        for name, value in expected.items():
            assert rows[name][layer] == pytest.approx(value, rel=1e-13), name


def test_update_ratio_of_zero_weights_is_infinite_or_undefined():
    weights, biases = [np.zeros((2, 3)), np.zeros((3, 1))], [np.zeros(3), np.zeros(1)]
    X, y = np.ones((4, 2)), np.ones((4, 1))
    step = reference.train_step(weights, biases, X, y, ["sigmoid", "identity"], "mse", SGD(lr=0.1))
    ratio = step.statistics[STATISTICS.index("update_ratio")]
    assert np.isnan(ratio[0])
    assert np.isposinf(ratio[1])
