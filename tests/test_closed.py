"""An attribute that a public class does not have cannot be set: the error tells what there is and what to do."""

import copy
import inspect
import pickle
import types
import weakref
from typing import Any

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.parameters import Parameters


def examples():
    """Return an instance of each public class."""
    X, y = np.ones((40, 3)), np.ones((40, 2))
    net = fg.MLP([3, 4, 2], seed=0)
    trainer = fg.Trainer(net, "mse", "adam", check_finite=False)
    history = trainer.run(X, y, epochs=2)
    with pytest.raises(fg.DivergenceError):
        trainer.step(np.full((2, 3), np.nan), y[:2])
    _, gradients = net.gradients(X, y, loss="mse")
    x, w = (np.ones((2, 2), np.float32) for _ in range(2))
    found = [
        net,
        net.weights,
        trainer,
        history,
        history.epochs[0],
        history.telemetry,
        history.telemetry.gains(),
        trainer.stats,
        trainer.nonfinite,
        gradients,
        fg.Telemetry(),
        *(kind() for kind in (fg.SGD, fg.Adam, fg.AdamW, fg.RMSprop)),
        fg.ClipValue(1.0),
        fg.ClipNorm(1.0),
        fg.ClipAdaptive(),
        fg.init.VarianceScaling(1.0, "fan_in", "normal"),
        fg.init.Normal(0.1),
        fg.init.Uniform(0.1),
        fg.init.Constant(0.1),
        fg.init.ScaledIdentity(0.1),
        fg.init.Orthogonal(),
        fg.ops.forward(x, w),
        fg.ops.backward_weights(x, x),
        fg.ops.update("sgd", w, w),
    ]
    return {type(thing): thing for thing in found}


EXAMPLES = examples()
SET = sorted(EXAMPLES, key=lambda kind: kind.__name__)
BY_NAME = pytest.mark.parametrize("kind", SET, ids=lambda kind: kind.__name__)


def public_classes():
    """Return all that public names reach, but exceptions, which are open as Python's are, and the reference."""
    things = [getattr(fg, name) for name in fg.__all__]
    modules = [thing for thing in things if isinstance(thing, types.ModuleType) and thing is not fg.reference]
    things += [thing for module in modules for name, thing in vars(module).items() if not name.startswith("_")]
    classes = {thing for thing in things if inspect.isclass(thing) and not issubclass(thing, BaseException)}
    paths = {kind: kind.__module__.split(".") for kind in classes}
    return {kind for kind, path in paths.items() if path[0] == "fastgrad" and not path[-1].startswith("_")}


def test_every_public_class_has_an_example():
    assert public_classes() <= set(EXAMPLES)


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


@BY_NAME
@pytest.mark.parametrize("name", ["lr", "activation", "nonsense", "weight", "loss_", "stat"])
def test_an_unknown_attribute_is_neither_set_nor_deleted(kind, name):
    thing = EXAMPLES[kind]
    if name in public(thing):
        pytest.skip("is there")
    for change in (lambda: setattr(thing, name, 0.1), lambda: delattr(thing, name)):
        with pytest.raises(AttributeError) as caught:
            change()
        assert str(caught.value).startswith(f"{kind.__name__}.{name}: cannot be ")
        assert all(known in str(caught.value) for known in public(thing))
    assert not hasattr(thing, name)


@BY_NAME
def test_what_is_there_is_set_where_that_does_something_and_never_deleted(kind):
    thing = copy.copy(EXAMPLES[kind]) if kind not in (fg.Trainer, Parameters) else EXAMPLES[kind]
    settable = {fg.History: ["epochs", "telemetry"], fg.Record: ["layers"], fg.LayerStats: ["step"]}.get(kind, [])
    for name in public(thing):
        if name in settable:
            setattr(thing, name, getattr(thing, name))
        else:
            with pytest.raises(AttributeError, match=f"^{kind.__name__}.{name}: cannot be set"):
                setattr(thing, name, None)
        with pytest.raises(AttributeError, match=f"^{kind.__name__}.{name}: cannot be deleted"):
            delattr(thing, name)


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (fg.Trainer, "lr", "make a new Trainer"),
        (fg.Trainer, "losss", "did you mean 'loss'"),
        (fg.MLP, "activation", "did you mean 'activations'"),
        (fg.MLP, "weights", "set one layer at a time"),
        (fg.Adam, "lr", "make another one"),
        (fg.Adam, "beta", "did you mean 'betas'"),
        (fg.Telemetry, "evry", "did you mean 'every'"),
        (fg.History, "epoch", "did you mean 'epochs'"),
        (fg.LayerStats, "grad_nrm", "did you mean 'grad_norm'"),
    ],
)
def test_the_error_tells_what_to_do(kind, name, told):
    with pytest.raises(AttributeError, match=told):
        setattr(EXAMPLES[kind], name, 0.1)


class OwnNetwork(fg.MLP):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.label = "mine"

    @property
    def activation(self):
        return self.activations[0]


class OwnAdam(fg.Adam):
    pass


def test_a_subclass_may_have_attributes_of_its_own():
    net: Any = OwnNetwork([3, 4, 2])
    optimizer: Any = OwnAdam(lr=0.1)
    net.more = optimizer.more = 1
    assert (net.label, net.more, optimizer.more) == ("mine", 1, 1)
    del net.more, optimizer.more
    assert not hasattr(net, "more")
    for name, thing in (("weights", net), ("activation", net), ("lr", optimizer), ("never", net)):
        with pytest.raises(AttributeError, match=f"{type(thing).__name__}.{name}: cannot be deleted"):
            delattr(thing, name)
    for name, thing in (("weights", net), ("activation", net), ("lr", optimizer)):
        with pytest.raises(AttributeError, match=f"{type(thing).__name__}.{name}: cannot be set"):
            setattr(thing, name, 1)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_of_a_subclass_has_its_attributes(duplicate):
    net: Any = OwnNetwork([3, 4, 2], seed=5)
    net.label, net.notes = "other", ["a"]
    twin = duplicate(net)
    assert (type(twin), twin.label, twin.notes, twin.seed) == (OwnNetwork, "other", ["a"], 5)
    np.testing.assert_array_equal(twin.weights[0], net.weights[0])


@BY_NAME
def test_copies_and_weak_references_as_before(kind):
    thing = EXAMPLES[kind]
    if not isinstance(thing, tuple | fg.LayerStats):
        assert weakref.ref(thing)() is thing
    if kind not in (fg.Trainer, Parameters):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            twin = pickle.loads(pickle.dumps(thing, protocol))
            assert type(twin) is kind
            assert repr(twin) == repr(thing)
            with pytest.raises(AttributeError):
                twin.nonsense = 1
