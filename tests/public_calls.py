"""A valid call of each public callable, and what introspection says that there is to call.

`CALLS` is complete: `test_hostile_arguments` compares it with `public_callables`. Nothing is called or judged here.
"""

import contextlib
import importlib
import inspect
from types import SimpleNamespace

import numpy as np

import fastgrad as fg
from fastgrad.parameters import Parameters
from fastgrad.telemetry import RECORD

MODULES = ("fastgrad", "clip", "init", "losses", "ops", "optim", "plot", "telemetry")
REACHED = (Parameters,)  # public classes without a public name
SPECIAL = ("__call__", "__getitem__", "__setitem__")

RESULTS = "what fastgrad makes and users read"
INSIDE = "called by fastgrad with what it has checked"
NOT_CALLED = {
    "DivergenceError": RESULTS,
    "Nonfinite": RESULTS,
    "NotFittedError": RESULTS,
    "Gradients": RESULTS,
    "Gains": RESULTS,
    "Forward": RESULTS,
    "BackwardWeights": RESULTS,
    "Update": RESULTS,
    "Parameters": RESULTS,
    **{f"{rule}.__call__": INSIDE for rule in ("VarianceScaling", "Normal", "Uniform", "Constant", "ScaledIdentity")},
    "Orthogonal.__call__": INSIDE,
}

X = np.arange(15.0).reshape(5, 3) / 16
Y = np.arange(10.0).reshape(5, 2) / 8
LABELS = np.array([0, 1, 1, 0, 1])
CLIP = fg.ClipNorm(0.5)
W, B = np.ones((3, 2)), np.ones(2)


def new_world():
    """Return objects of every kind, made and used alike each time."""
    net = fg.MLP([3, 4, 2], activation="tanh", seed=5)
    trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.01))
    history = trainer.run(X, Y, steps=2, batch_size=5)
    _, gradients = net.gradients(X, Y, loss="mse")
    classifier = fg.MLP([3, 2], seed=1)
    classifier.fit(X, LABELS, loss="cross_entropy")
    net.forward(X, training=True)
    return SimpleNamespace(
        net=net,
        trainer=trainer,
        history=history,
        record=history.telemetry,
        stats=trainer.stats,
        gradients=gradients,
        classifier=classifier,
        losses=np.ones(2),
        chunk=np.ones((2, len(RECORD), 2)),
        values=np.ones((len(RECORD), 2)),
    )


def entered(isa):
    with fg.force_isa(isa):
        pass


# name, and in what way: (what to call with a world, valid arguments, with a world too where they depend on it)
CALLS = {
    "MLP": (
        lambda w: fg.MLP,
        {"sizes": [3, 4, 2], "activation": "relu", "init": "auto", "output_activation": "identity", "bias": True}
        | {"dtype": "float32", "seed": 0},
    ),
    "MLP.backward": (lambda w: w.net.backward, {"dL_doutput": Y}),
    "MLP.evaluate": (lambda w: w.net.evaluate, {"X": X, "y": Y, "loss": "mse"}),
    "MLP.fit": (
        lambda w: w.net.fit,
        {"X": X, "y": Y, "loss": "mse", "optimizer": "sgd", "epochs": 1, "batch_size": 5, "shuffle": True}
        | {"validation_data": (X, Y), "progress": False, "clip": CLIP, "telemetry": True, "check_finite": True},
    ),
    "MLP.forward": (lambda w: w.net.forward, {"X": X, "training": True}),
    "MLP.gradients": (lambda w: w.net.gradients, {"X": X, "y": Y, "loss": "mse"}),
    "MLP.predict": (lambda w: w.net.predict, {"X": X}),
    "MLP.predict_proba": (lambda w: w.classifier.predict_proba, {"X": X}),
    "SGD": (
        lambda w: fg.SGD,
        {"lr": 0.5, "momentum": 0.5, "dampening": 0.0, "weight_decay": 0.0, "nesterov": True},
    ),
    "Adam": (lambda w: fg.Adam, {"lr": 0.5, "betas": (0.5, 0.5), "eps": 0.5, "weight_decay": 0.0}),
    "AdamW": (lambda w: fg.AdamW, {"lr": 0.5, "betas": (0.5, 0.5), "eps": 0.5, "weight_decay": 0.0}),
    "RMSprop": (
        lambda w: fg.RMSprop,
        {"lr": 0.5, "alpha": 0.5, "eps": 0.5, "weight_decay": 0.0, "momentum": 0.0, "centered": True},
    ),
    "ClipValue": (lambda w: fg.ClipValue, {"c": 0.5}),
    "ClipNorm": (lambda w: fg.ClipNorm, {"c": 0.5, "per": "layer"}),
    "ClipAdaptive": (lambda w: fg.ClipAdaptive, {"c": 0.5, "eps": 0.5, "output": True}),
    "check_clip": (lambda w: fg.clip.check_clip, {"clip": CLIP}),
    "Gradients.scaled": (lambda w: w.gradients.scaled, {"layer": 1}),
    "History": (lambda w: fg.History, {"layers": 2}),
    "History.append_chunk": (
        lambda w: w.history.append_chunk,
        lambda w: {"losses": w.losses, "statistics": w.chunk, "first": 2},
    ),
    "LayerStats": (lambda w: fg.LayerStats, lambda w: {"values": w.values, "step": 0}),
    "LayerStats.__getitem__": (lambda w: w.stats.__getitem__, {"name": "grad_norm"}),
    "LayerStats.log10": (lambda w: w.stats.log10, {"name": "grad_norm"}),
    "Record": (lambda w: fg.Record, {"layers": 2, "every": 1, "keep": 4}),
    "Record.__getitem__": (lambda w: w.record.__getitem__, {"name": "grad_norm"}),
    "Record.append_chunk": (lambda w: w.record.append_chunk, lambda w: {"first": 2, "values": w.chunk}),
    "Record.at": (lambda w: w.record.at, {"row": 1}),
    "Record.log10": (lambda w: w.record.log10, {"name": "grad_norm"}),
    "Telemetry": (lambda w: fg.Telemetry, {"every": 1, "keep": 4, "file": "new.npz"}),
    "Trainer": (
        lambda w: fg.Trainer,
        lambda w: {
            "net": w.net,
            "loss": "mse",
            "optimizer": "sgd",
            "clip": CLIP,
            "telemetry": True,
            "check_finite": True,
        },
    ),
    "Trainer.evaluate": (lambda w: w.trainer.evaluate, {"X": X, "y": Y}),
    "Trainer.run": (
        lambda w: w.trainer.run,
        lambda w: {"X": X, "y": Y, "steps": 1, "batch_size": 5, "shuffle": True, "history": w.history},
    ),
    "Trainer.run in epochs": (
        lambda w: w.trainer.run,
        lambda w: {"X": X, "y": Y, "epochs": 1, "batch_size": 5, "shuffle": True, "history": w.history},
    ),
    "Trainer.step": (lambda w: w.trainer.step, {"x": X, "y": Y}),
    "Parameters.__getitem__": (lambda w: w.net.weights.__getitem__, {"layer": 1}),
    "Parameters.__setitem__": (lambda w: w.net.weights.__setitem__, {"layer": 1, "value": np.ones((4, 2))}),
    "force_isa": (lambda w: entered, {"isa": "scalar"}),
    "set_num_threads": (lambda w: fg.set_num_threads, {"n": 1}),
    "VarianceScaling": (lambda w: fg.init.VarianceScaling, {"scale": 0.5, "fan": "fan_in", "distribution": "normal"}),
    "Normal": (lambda w: fg.init.Normal, {"std": 0.5}),
    "Uniform": (lambda w: fg.init.Uniform, {"limit": 0.5}),
    "Constant": (lambda w: fg.init.Constant, {"value": 0.5}),
    "ScaledIdentity": (lambda w: fg.init.ScaledIdentity, {"scale": 0.5}),
    "Orthogonal": (lambda w: fg.init.Orthogonal, {"gain": 0.5}),
    "rule_for": (lambda w: fg.init.rule_for, {"init": "auto", "activation": "relu"}),
    "layer_rng": (lambda w: fg.init.layer_rng, {"seed": 0, "layer": 0}),
    "initialise": (
        lambda w: fg.init.initialise,
        {"init": "auto", "fan_in": 3, "fan_out": 2, "activation": "relu", "dtype": "float32"}
        | {"rng": np.random.default_rng(0), "layer": 0},
    ),
    "check_loss": (lambda w: fg.losses.check_loss, {"loss": "mse"}),
    "check_inputs": (
        lambda w: fg.losses.check_inputs,
        {"X": X, "n_features": 3, "dtype": "float32", "name": "X", "check_finite": True},
    ),
    "check_targets": (
        lambda w: fg.losses.check_targets,
        {"loss": "mse", "y": Y, "n_samples": 5, "n_outputs": 2, "dtype": "float32", "check_finite": True},
    ),
    "check_outputs": (
        lambda w: fg.losses.check_outputs,
        {"loss": "mse", "n_outputs": 2, "output_activation": "identity"},
    ),
    "forward": (lambda w: fg.ops.forward, {"x": X, "w": W, "b": B, "activation": "relu"}),
    "backward_data": (lambda w: fg.ops.backward_data, {"delta": Y, "w": W, "slope": X}),
    "backward_weights": (lambda w: fg.ops.backward_weights, {"x": X, "delta": Y}),
    "loss": (lambda w: fg.ops.loss, {"name": "mse", "outputs": Y, "y": Y}),
    "update": (
        lambda w: fg.ops.update,
        {"optimizer": fg.SGD(momentum=0.5), "w": W, "gradient": W, "states": [W], "steps": 1},
    ),
    "unary": (lambda w: fg.ops.unary, {"name": "exp", "x": X}),
    "activation": (lambda w: fg.ops.activation, {"name": "relu", "z": X}),
    "resolve": (lambda w: fg.optim.resolve, {"optimizer": "sgd"}),
    "gradient_flow": (
        lambda w: fg.plot.gradient_flow,
        lambda w: {"histories": w.history, "statistic": "grad_norm", "path": None},
    ),
    "load": (lambda w: fg.telemetry.load, {"path": "whole.npz"}),
}


def public_callables():
    """Return {name: parameters} of every public function, class, method and settable property, by introspection."""
    found = {}

    def add(name, function, skip=0):
        found[name] = list(inspect.signature(function).parameters)[skip:]

    def add_class(kind):
        with contextlib.suppress(ValueError):  # an exception without a constructor of its own
            add(kind.__name__, kind)
        found.setdefault(kind.__name__, [])
        for name in dir(kind):
            member = inspect.getattr_static(kind, name)
            public = not name.startswith("_") or name in SPECIAL
            if isinstance(member, property) and member.fset:
                found[f"{kind.__name__}.{name}="] = ["value"]
            elif public and inspect.isfunction(member) and member.__module__.startswith("fastgrad"):
                add(f"{kind.__name__}.{name}", member, skip=1)

    for kind in REACHED:
        add_class(kind)
    for module_name in MODULES:
        module = importlib.import_module(module_name if module_name == "fastgrad" else f"fastgrad.{module_name}")
        for name in getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]:
            member = getattr(module, name)
            if inspect.isclass(member) and member.__module__.startswith("fastgrad."):
                add_class(member)
            elif inspect.isfunction(member) and (module is fg or member.__module__ == module.__name__):
                add(name, member)
    return {name: parameters for name, parameters in found.items() if parameters or name not in NOT_CALLED}


def valid_arguments(name, world):
    arguments = CALLS[name][1]
    return dict(arguments(world) if callable(arguments) else arguments)
