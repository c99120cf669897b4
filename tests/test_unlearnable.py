"""Networks that could learn nothing from their loss, or would tell lies after it, are refused or warned of."""

import warnings

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import _core

LOGIT_LOSSES = ("cross_entropy", "binary_cross_entropy")
IMPOSSIBLE = [("cross_entropy", "sigmoid"), *(("binary_cross_entropy", f) for f in ("sigmoid", "relu", "softplus"))]
DOUBTFUL = [
    (loss, name)
    for loss in LOGIT_LOSSES
    for name in _core.ACTIVATIONS
    if name != "identity" and (loss, name) not in IMPOSSIBLE
]
X = np.random.default_rng(0).standard_normal((12, 3))
CURE = "which takes outputs as logits, wants 'identity'"


def targets(loss):
    return np.arange(12) % 2 if loss == "cross_entropy" else np.eye(2)[np.arange(12) % 2]


@pytest.mark.parametrize(
    "use",
    [
        lambda net, y: net.fit(X, y, loss="cross_entropy"),
        lambda net, y: fg.Trainer(net, "cross_entropy"),
        lambda net, y: net.gradients(X, y, loss="cross_entropy"),
        lambda net, y: net.evaluate(X, y, loss="cross_entropy"),
    ],
)
@pytest.mark.parametrize("y", [np.zeros(12, int), np.ones((12, 1))], ids=["labels", "probabilities"])
def test_cross_entropy_of_one_output_is_refused(y, use):
    net = fg.MLP([3, 4, 1], seed=0)
    with pytest.raises(
        ValueError, match=r"^loss: got 'cross_entropy' for 1 output, .*'binary_cross_entropy', or 2 outp"
    ):
        use(net, y)
    with pytest.raises(fg.NotFittedError):
        net.predict(X)


def test_the_cures_of_cross_entropy_of_one_output_learn():
    y = (X[:, 0] > 0).astype(int)
    for sizes, loss in (([3, 2], "cross_entropy"), ([3, 1], "binary_cross_entropy")):
        net = fg.MLP(sizes, seed=0)
        net.fit(X, y, loss=loss, optimizer=fg.Adam(lr=0.1), epochs=100)
        np.testing.assert_array_equal(net.predict(X), y)


@pytest.mark.parametrize(("loss", "activation"), IMPOSSIBLE)
def test_outputs_that_cannot_be_logits_are_refused(loss, activation):
    net = fg.MLP([3, 4, 2], output_activation=activation, seed=0)
    for use in (lambda: net.fit(X, targets(loss), loss=loss), lambda: fg.Trainer(net, loss)):
        with pytest.raises(
            ValueError, match=f"^output_activation: got '{activation}' before '{loss}', {CURE}; predict_pr"
        ):
            use()


@pytest.mark.parametrize(("loss", "activation"), DOUBTFUL)
def test_outputs_that_limit_logits_are_warned_of(loss, activation):
    net = fg.MLP([3, 4, 2], output_activation=activation, seed=0)
    for use in (lambda: net.fit(X, targets(loss), loss=loss), lambda: fg.Trainer(net, loss)):
        with pytest.warns(
            fg.DoubtfulNetworkWarning, match=f"^output_activation: got '{activation}' before '{loss}', {CURE}"
        ):
            use()
    assert net.predict_proba(X).shape == (12, 2)


@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
@pytest.mark.parametrize("loss", LOGIT_LOSSES)
def test_gradients_of_any_network_can_be_asked_for(loss, activation):
    net = fg.MLP([3, 4, 2], output_activation=activation, seed=0)
    assert net.gradients(X, targets(loss), loss=loss)[0] == pytest.approx(net.evaluate(X, targets(loss), loss=loss))


@pytest.mark.parametrize("loss", ["mse", "l2_norm", "mae", "huber"])
@pytest.mark.parametrize(
    ("activation", "column", "reach"),
    [
        ("relu", [-1.0, -2.0, 0.5], r"\[0, inf\]"),
        ("softplus", [-1.0, -2.0, 0.5], r"\[0, inf\]"),
        ("sigmoid", [0.5, 3.0, 4.0], r"\[0, 1\]"),
        ("tanh", [1.0, 1.5, 2.0], r"\[-1, 1\]"),
    ],
)
def test_targets_whose_mean_is_out_of_reach_are_warned_of(activation, column, reach, loss):
    y = np.transpose([[0.5] * 12, column * 4])
    net = fg.MLP([3, 4, 2], output_activation=activation, seed=0)
    trainer = fg.Trainer(net, loss)
    wanted = rf"^y: column 1 has a mean of {np.mean(column):g}, wants one in {reach}, .*'{activation}'.*'identity'"
    for use in (lambda: net.fit(X, y, loss=loss), lambda: trainer.run(X, y, steps=2)):
        with pytest.warns(fg.DoubtfulNetworkWarning, match=wanted):
            use()
    assert trainer.steps == 2


def test_ordinary_training_is_not_warned_of():
    rng = np.random.default_rng(0)
    cases = [("identity", loss, targets(loss)) for loss in LOGIT_LOSSES]
    cases += [(activation, "mse", rng.standard_normal((12, 2)) * 5) for activation in ("identity", "leaky_relu", "elu")]
    cases += [("sigmoid", "mse", rng.random((12, 2))), ("tanh", "mae", [[-1.0, 1.0]] * 12)]
    cases += [("relu", "huber", np.abs(rng.standard_normal((12, 2)))), ("relu", "mse", np.zeros((12, 2), int))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for activation, loss, y in cases:
            fg.MLP([3, 4, 2], output_activation=activation, seed=0).fit(X, y, loss=loss)


def test_a_warning_made_an_error_changes_nothing():
    net = fg.MLP([3, 4, 2], output_activation="tanh", seed=0)
    before = [np.array(w) for w in net.weights]
    with pytest.raises(fg.DoubtfulNetworkWarning):
        net.fit(X, np.full((12, 2), 7.0), loss="mse")
    assert all(np.array_equal(w, b) for w, b in zip(net.weights, before, strict=True))
    with pytest.raises(fg.NotFittedError):
        net.predict(X)


def test_a_warning_shows_the_callers_line_once():
    limited, bounded = (fg.MLP([3, 4, 2], output_activation="tanh", seed=0) for _ in range(2))
    trainer = fg.Trainer(bounded, "mse")
    far = np.full((12, 2), 7.0)
    for use in (
        lambda: fg.losses.check_outputs("cross_entropy", 2, "tanh"),
        lambda: fg.Trainer(limited, "cross_entropy"),
        lambda: limited.fit(X, targets("cross_entropy"), loss="cross_entropy", epochs=3, batch_size=4),
        lambda: bounded.fit(X, far, loss="mse", epochs=3, batch_size=4),
        lambda: trainer.run(X, far, steps=9, batch_size=4),
        lambda: trainer.run(X, far, epochs=2, batch_size=4),
    ):
        with pytest.warns(fg.DoubtfulNetworkWarning) as caught:
            use()
        assert [warning.filename for warning in caught] == [__file__]
