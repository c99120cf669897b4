"""The engine's gradients against autograd (HIPS, and PyTorch where it is installed) and central differences.

A float32 unit may fall on the other side of a kink than its float64 twin, and both are right: samples that come that
close to a kink are left out of the batch instead of widening the bounds.
"""

import warnings
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad
from autograd.scipy.special import erf
from support import DTYPES, ISAS, LOSS_CASES, away_from_kinks, draw_case, relative

import fastgrad as fg

BOUNDS = {"float32": 1e-5, "float64": 1e-10}
ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: anp.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: anp.where(z > 0, z, 0.01 * z),
    "elu": lambda z: anp.where(z > 0, z, anp.exp(anp.where(z > 0, 0.0, z)) - 1.0),
    "selu": lambda z: (
        1.0507009873554805 * anp.where(z > 0, z, 1.6732632423543772 * (anp.exp(anp.where(z > 0, 0.0, z)) - 1.0))
    ),
    "gelu": lambda z: 0.5 * z * (1.0 + erf(z / anp.sqrt(2.0))),
    "gelu_tanh": lambda z: 0.5 * z * (1.0 + anp.tanh(anp.sqrt(2.0 / anp.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z / (1.0 + anp.exp(-z)),
    "softplus": lambda z: anp.logaddexp(0.0, z),
    "sigmoid": lambda z: 1.0 / (1.0 + anp.exp(-z)),
    "tanh": anp.tanh,
    "mish": lambda z: z * anp.tanh(anp.logaddexp(0.0, z)),
}


def log_softmax(a):
    return a - anp.log(anp.sum(anp.exp(a), axis=1, keepdims=True))


LOSSES = {
    "mse": lambda a, y: anp.mean((a - y) ** 2),
    "l2_norm": lambda a, y: anp.sum(anp.sqrt(anp.sum((y - a) ** 2, axis=1))),
    "mae": lambda a, y: anp.mean(anp.abs(a - y)),
    "huber": lambda a, y: anp.mean(anp.where(anp.abs(a - y) < 1.0, 0.5 * (a - y) ** 2, anp.abs(a - y) - 0.5)),
    "cross_entropy": lambda a, y: -anp.sum((y if y.ndim == 2 else np.eye(a.shape[1])[y]) * log_softmax(a)) / len(a),
    "binary_cross_entropy": lambda a, y: anp.mean(y * anp.logaddexp(0.0, -a) + (1.0 - y) * anp.logaddexp(0.0, a)),
}


def autograd_oracle(case):
    """Return the loss and the gradients of weights, biases and input."""

    def loss(arguments):
        weights, biases, a = arguments
        for W, b, name in zip(weights, biases, case.activations, strict=True):
            a = ACTIVATIONS[name](a @ W + b)
        return LOSSES[case.loss](a, case.y)

    return value_and_grad(loss)((case.weights, case.oracle_biases, case.X))


def is_well_conditioned(case, gradients, rng):
    """Whether changes of the weights in their last float32 bit leave every gradient alive and within 2e-6 of itself."""
    shaken = [W * (1.0 + 2.0**-24 * rng.choice([-1.0, 1.0], W.shape)) for W in case.weights]
    moved = autograd_oracle(replace(case, weights=shaken))[1]
    pairs = [pair for part in (0, 1) for pair in zip(moved[part], gradients[part], strict=True)]
    return all(np.any(exact) and relative(near, exact) < 2e-6 for near, exact in pairs)


def ragged_case(seed, activation, loss, kind, *, depth=None, mixed=False, **options):
    """Return the first well-conditioned case from `seed` on: a narrow layer may be dead, or a sum over it cancel."""
    while True:
        rng = np.random.default_rng([seed, *activation.encode(), *loss.encode()])
        layers = depth or int(rng.integers(1, 21))
        sizes = [int(rng.integers(1, 131)) for _ in range(layers + 1)]
        names = [str(name) for name in rng.choice(list(ACTIVATIONS), layers)] if mixed else [activation] * layers
        names[-1] = str(rng.choice(["identity", activation]))
        case = draw_case(rng, sizes, names, loss, kind, n=int(rng.integers(1, 71)), **options)
        case = away_from_kinks(case, distance=2e-5)
        if len(case.X):
            value, gradients = autograd_oracle(case)
            if is_well_conditioned(case, gradients, rng):
                return case, value, gradients
        seed += 1000


def assert_gradients_agree(case, value, exact):
    weights, biases, inputs = exact
    for isa in ISAS:
        for dtype in DTYPES:
            loss, got = case.build(isa, dtype).gradients(case.X, case.y, loss=case.loss)
            parts = {"dL/dW": (got.weights, weights), "dL/dX": ([got.input], [inputs]), "loss": ([loss], [value])}
            if case.biases:
                parts["dL/db"] = got.biases, biases
            errors = {
                f"{name} {layer}": relative(g, e)
                for name, (found, wanted) in parts.items()
                for layer, (g, e) in enumerate(zip(found, wanted, strict=True))
            }
            worst = max(errors, key=errors.__getitem__)
            where = f"{worst} on {isa} in {dtype}: sizes {case.sizes}, {case.activations}, {len(case.X)} rows"
            assert errors[worst] <= BOUNDS[dtype], f"{where}: off by {errors[worst]:.2e}"


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_of_ragged_networks_agree_with_autograd(activation, loss, kind, seed):
    assert_gradients_agree(*ragged_case(seed, activation, loss, kind))


@pytest.mark.parametrize("seed", range(8))
def test_every_layer_may_have_its_own_activation(seed):
    loss, kind = LOSS_CASES[seed % len(LOSS_CASES)]
    assert_gradients_agree(*ragged_case(seed, "identity", loss, kind, depth=8, mixed=True))


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh"])
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_networks_without_biases(activation, loss, kind):
    case, value, exact = ragged_case(3, activation, loss, kind, bias=False)
    assert case.build(ISAS[-1], "float32").gradients(case.X, case.y, loss=loss)[1].biases == []
    assert_gradients_agree(case, value, exact)


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 13, 255, 256, 257, 600])
def test_batches_of_any_height(rows):
    rng = np.random.default_rng(rows)
    case = draw_case(rng, [33, 65, 17, 3], ["tanh", "silu", "identity"], "mse", "real", n=rows)
    assert_gradients_agree(case, *autograd_oracle(case))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "kind"), LOSS_CASES)
def test_gradients_agree_with_central_differences(isa, activation, loss, kind):
    rng = np.random.default_rng([7, *activation.encode(), *loss.encode()])
    names = [activation, activation, "identity"]
    case = away_from_kinks(draw_case(rng, [7, 19, 13, 5], names, loss, kind, n=40), distance=1e-4)
    net = case.build(isa, "float64")
    gradients = net.gradients(case.X, case.y, loss=loss)[1]

    def loss_at(parameter, layer, array):
        before = parameter[layer]
        parameter[layer] = array
        value = net.gradients(case.X, case.y, loss=loss)[0]
        parameter[layer] = before
        return value

    for parameter, found in ((net.weights, gradients.weights), (net.biases, gradients.biases)):
        for layer, gradient in enumerate(found):
            length = np.linalg.norm(gradient)
            noise = rng.standard_normal(gradient.shape)
            direction = gradient / length + noise / np.linalg.norm(noise)
            h = 1e-5
            there, back = (loss_at(parameter, layer, parameter[layer] + sign * h * direction) for sign in (1, -1))
            assert (there - back) / (2.0 * h) == pytest.approx(np.sum(gradient * direction), abs=1e-7 * length)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
def test_backward_takes_a_loss_of_the_callers_own(isa, dtype):
    rng = np.random.default_rng(11)
    case = draw_case(rng, [9, 30, 21, 4], ["gelu", "softplus", "tanh"], "mse", "real", n=37)
    weight = rng.standard_normal((37, 4))
    net = case.build(isa, dtype)
    outputs = net.forward(case.X, training=True)
    got = net.backward(weight * np.cos(outputs))  # L = sum(weight * sin(a))

    def loss(arguments):
        weights, biases, a = arguments
        for W, b, name in zip(weights, biases, case.activations, strict=True):
            a = ACTIVATIONS[name](a @ W + b)
        return anp.sum(weight * anp.sin(a))

    exact = value_and_grad(loss)((case.weights, case.biases, case.X))[1]
    for found, wanted in zip((got.weights, got.biases, [got.input]), (exact[0], exact[1], [exact[2]]), strict=True):
        for g, e in zip(found, wanted, strict=True):
            assert relative(g, e) <= BOUNDS[dtype]
    norms = [np.log10(np.linalg.norm(np.asarray(g, np.float64))) for g in got.weights]
    np.testing.assert_allclose(got.log10_norm, norms, atol=1e-6)


def test_log10_norm_is_that_of_the_weight_gradients():
    case, _, _ = ragged_case(5, "sigmoid", "mse", "real", depth=12)
    gradients = case.build(ISAS[-1], "float64").gradients(case.X, case.y, loss="mse")[1]
    norms = [np.log10(np.linalg.norm(gradient)) for gradient in gradients.weights]
    np.testing.assert_allclose(gradients.log10_norm, norms, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_change_nothing(seed):
    case, _, _ = ragged_case(seed, "elu", "huber", "real")
    net = case.build(ISAS[-1], "float64")
    first = net.gradients(case.X, case.y, loss="huber")
    second = net.gradients(case.X, case.y, loss="huber")
    assert first[0] == second[0]
    for one, other in zip([*first[1].weights, first[1].input], [*second[1].weights, second[1].input], strict=True):
        np.testing.assert_array_equal(one, other)
    for layer, weights in enumerate(case.weights):
        np.testing.assert_array_equal(net.weights[layer], weights)


@pytest.mark.parametrize(("loss", "kind"), [("mse", "real"), ("cross_entropy", "labels")])
@pytest.mark.parametrize("activation", ["gelu", "mish", "elu"])
def test_gradients_agree_with_pytorch(activation, loss, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    case, value, _ = ragged_case(9, activation, loss, kind, depth=6)
    tensors = [torch.tensor(array, requires_grad=True) for array in (*case.weights, *case.biases)]
    a = torch.tensor(case.X)
    depth = len(case.weights)
    for W, b, name in zip(tensors[:depth], tensors[depth:], case.activations, strict=True):
        a = getattr(torch.nn.functional, name)(a @ W + b) if name != "identity" else a @ W + b
    result = getattr(torch.nn.functional, {"mse": "mse_loss"}.get(loss, loss))(a, torch.tensor(case.y))
    result.backward()
    assert result.item() == pytest.approx(value, rel=1e-12)
    got = case.build(ISAS[-1], "float64").gradients(case.X, case.y, loss=loss)[1]
    for found, tensor in zip(got.weights + got.biases, tensors, strict=True):
        assert relative(found, tensor.grad.numpy()) <= BOUNDS["float64"]


def test_the_oracle_knows_every_activation_and_loss():
    assert set(ACTIVATIONS) == set(fg.reference.ACTIVATIONS)
    assert set(LOSSES) == set(fg.losses.LOSSES)
