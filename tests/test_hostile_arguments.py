"""Every public callable, every argument, every value of one list: what is refused is named, and nothing has changed.

`CALLS` has a valid call of each public callable; a callable or an argument without an entry fails the first test. Then
each argument in turn is hostile while the others are valid. A call either does what it should, or raises one of the
errors that its kind of argument may raise, whose message names the argument, and leaves all as it was.
"""

import contextlib
import importlib
import inspect
import io
import os
import re
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from hostile import HOSTILE, dressed

import fastgrad as fg
from fastgrad import cli, config, demo
from fastgrad.parameters import Parameters
from fastgrad.telemetry import RECORD

MODULES = ("fastgrad", "init", "losses", "ops", "optim", "plot", "telemetry")
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
    "History.prepare": INSIDE,
    "Telemetry.stream": INSIDE,
    "core_options": INSIDE,
    **{f"{rule}.__call__": INSIDE for rule in ("VarianceScaling", "Normal", "Uniform", "Constant", "ScaledIdentity")},
    "Orthogonal.__call__": INSIDE,
}

X = np.arange(15.0).reshape(5, 3) / 16
Y = np.arange(10.0).reshape(5, 2) / 8
LABELS = np.array([0, 1, 1, 0, 1])
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


def state(world):
    """Return all that a refused call must leave as it was."""
    return (
        [array.tobytes() for net in (world.net, world.classifier) for array in (*net.weights, *net.biases)],
        world.trainer.steps,
        world.history.loss.tobytes(),
        len(world.history.epochs),
        world.record.steps.tobytes(),
        world.record["grad_norm"].tobytes(),
        world.net.predict(X).tobytes(),
        fg.get_num_threads(),
        config.active_isa(),
        sorted(os.listdir(".")),
        os.environ.get("FASTGRAD_ISA"),
    )


def entered(isa):
    with fg.force_isa(isa):
        pass


# name: (what to call with a world, valid arguments, with a world too where they depend on it)
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
        | {"validation_data": (X, Y), "progress": False, "telemetry": True, "check_finite": True},
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
        lambda w: {"net": w.net, "loss": "mse", "optimizer": "sgd", "telemetry": True, "check_finite": True},
    ),
    "Trainer.evaluate": (lambda w: w.trainer.evaluate, {"X": X, "y": Y}),
    "Trainer.run": (
        lambda w: w.trainer.run,
        lambda w: {"X": X, "y": Y, "steps": 1, "batch_size": 5, "shuffle": True, "history": w.history},
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

# arguments that may raise other errors than ValueError and TypeError
FILES = {("Telemetry", "file"), ("gradient_flow", "path"), ("load", "path")}
ITEMS = {"name", "layer", "row", "statistic"}
SIZES = {("MLP", "sizes"), ("initialise", "fan_in"), ("initialise", "fan_out")}
ALIASES = {  # what messages call an argument, where it is not its own name
    "name": "name|statistic|loss",
    "value": "value|weights",
    "layer": "layer|weights",
    "x": "x|X",
    "n_features": "n_features|X",
    "n_samples": "n_samples|y",
    "n_outputs": "n_outputs|y",
    "outputs": "outputs|y",
}
RULES = {("MLP", "init"), ("initialise", "init")}
ENDLESS = {("MLP.fit", "epochs", "2**31"), ("Trainer.run", "steps", "2**31")}  # and valid


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
    for module in MODULES:
        module = importlib.import_module(module if module == "fastgrad" else f"fastgrad.{module}")
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


def test_every_public_callable_and_argument_has_a_valid_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world = new_world()
    expected = {
        name: set(parameters)
        for name, parameters in public_callables().items()
        if parameters and name.split(".__call__")[0] and name not in NOT_CALLED
    }
    assert {name: set(valid_arguments(name, world)) for name in CALLS} == expected


def test_a_network_too_large_for_the_machine_is_told_in_bytes():
    with pytest.raises(MemoryError, match=r"sizes: got \[2147483647, 2147483647\], which takes 73,786,[\d,]* bytes"):
        fg.MLP([2**31 - 1] * 2)
    with pytest.raises(MemoryError, match=r"sizes: got \[2147483647, .*\.\.\.\], which takes"):
        fg.MLP([2**31 - 1] * 1000, dtype="float64")
    with pytest.raises(MemoryError, match=r"fan_in, fan_out\): got \(2147483647, 2147483647\), which takes"):
        fg.init.initialise("zeros", 2**31 - 1, 2**31 - 1, rng=np.random.default_rng(0))


@pytest.mark.parametrize("value", [np.True_, np.False_, True, False])
def test_numpys_booleans_are_booleans(value):
    rmsprop = fg.RMSprop(centered=value)
    assert type(rmsprop.centered) is bool
    assert rmsprop == fg.RMSprop(centered=bool(value))
    net, plain = fg.MLP([3, 2]), fg.MLP([3, 2])
    fg.Trainer(net, "mse", rmsprop).run(X, Y, steps=3, shuffle=value)
    fg.Trainer(plain, "mse", fg.RMSprop(centered=bool(value))).run(X, Y, steps=3, shuffle=bool(value))
    np.testing.assert_array_equal(net.weights[0], plain.weights[0])


def test_there_are_thousands_of_cases():
    world = new_world()
    cases = len(HOSTILE) * sum(len(valid_arguments(name, world)) for name in CALLS)
    print(f"{cases} hostile calls of {len(CALLS)} callables")
    assert len(HOSTILE) >= 110
    assert cases > 13_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Be in a folder of its own that holds a file of telemetry, with an alarm for what hangs."""
    monkeypatch.chdir(tmp_path)
    net = fg.MLP([3, 2], seed=0)
    fg.Trainer(net, "mse", telemetry=fg.Telemetry(file="whole.npz")).run(X, Y, steps=2)

    def hang(*_):
        raise AssertionError("it takes too long")

    before = signal.signal(signal.SIGALRM, hang)
    yield tmp_path
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def allowed(name, parameter, label):
    errors = (ValueError, TypeError)
    if label == "__array__: MemoryError":
        errors += (MemoryError,)
    if parameter in ITEMS:
        errors += (IndexError, KeyError)
    if (name, parameter) in FILES:
        errors += (OSError,)
    if (name, parameter) in SIZES:
        errors += (MemoryError,)
    return errors


def complaint(name, parameter, error, label):
    """Return what is wrong with an error, or None."""
    if (name, parameter) in RULES and label == "raises: everything":
        return None  # the error is that of the caller's own rule
    if not isinstance(error, allowed(name, parameter, label)) or isinstance(error, Warning):
        wrong = "wrong kind"
    else:
        wrong = None
    named = re.search(rf"\b({ALIASES.get(parameter, parameter)})\b", str(error))
    if wrong is None and not named and not isinstance(error, OSError):  # which tells the file
        wrong = "argument not named"
    if wrong is None and len(str(error)) > 1000:
        wrong = "too long"
    return wrong and f"{name}({parameter}={label}): {wrong}: {type(error).__name__}: {str(error)[:200]}"


@pytest.mark.parametrize("name", CALLS)
def test_hostile_arguments(name, folder):
    world, wrong = new_world(), []
    before = state(world)
    for parameter in valid_arguments(name, world):
        for label, make in HOSTILE.items():
            if (name, parameter, label) in ENDLESS:
                continue
            arguments = valid_arguments(name, world) | {parameter: make()}
            signal.setitimer(signal.ITIMER_REAL, 30)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    call(name, world, arguments)
            except Exception as error:
                wrong.append(complaint(name, parameter, error, label))
                if state(world) != before:
                    wrong.append(f"{name}({parameter}={label}): changed something")
                    world = new_world()
            else:
                assert np.isfinite(world.net.predict(X)).all(), (name, parameter, label)
                world = new_world()
            leave_only(folder, "whole.npz")
    assert not list(filter(None, wrong)), "\n".join(filter(None, wrong))


def call(name, world, arguments):
    """Call by position where a method takes no keywords."""
    function = CALLS[name][0](world)
    return function(*arguments.values()) if name.endswith("__") else function(**arguments)


def leave_only(folder, kept):
    for path in folder.iterdir():
        if path.name != kept:
            path.unlink()
    fg.set_num_threads(2)


@pytest.mark.parametrize("name", CALLS)
def test_good_arguments_in_disguise_do_what_they_do_plainly(name, folder):
    world = new_world()
    call(name, world, valid_arguments(name, world))
    plain = state(world)
    for parameter, value in valid_arguments(name, world).items():
        for label, disguised in dressed(value):
            if parameter == "values" and label == "an array-like":
                continue  # the engine's own array
            world = new_world()
            fg.set_num_threads(1 if name == "set_num_threads" else 2)
            call(name, world, valid_arguments(name, world) | {parameter: disguised})
            assert state(world)[:8] == plain[:8] or name == "set_num_threads", (parameter, label)


TEXTS = {label: make() for label, make in HOSTILE.items() if isinstance(make(), str) and label != "str subclass"}
TEXTS |= {str(number): str(number) for number in (-1, 0, 2**63, 2**64)} | {
    "5,000 digits": "9" * 5000,
    "digit": "\u00b2",
}


@pytest.mark.parametrize("option", ["--epochs", "--seed", "--output"])
@pytest.mark.skipif(bool(demo.missing_packages()), reason="needs the extra `demo`")
def test_hostile_options(option, folder, monkeypatch, capsys):
    monkeypatch.setattr(demo, "run", lambda *_: None)
    for label, text in TEXTS.items():
        try:
            status = cli.main(["demo", f"{option}={text}"])
        except SystemExit as exit_:
            status = exit_.code
            assert f"argument {option}: got" in capsys.readouterr().err, label
        assert status in (0, 2), label
        assert os.listdir(".") == ["whole.npz"], label


@pytest.mark.parametrize("variable", ["FASTGRAD_ISA", "FASTGRAD_NUM_THREADS", "OMP_NUM_THREADS"])
def test_hostile_environment(variable, monkeypatch):
    threads = fg.get_num_threads()
    for label, text in TEXTS.items():
        monkeypatch.setattr(os, "environ", {variable: text})
        with contextlib.nullcontext() if not text else pytest.warns(RuntimeWarning, match=f"{variable}: got '"):
            assert config._isa_from_environment() == fg.cpu_info()["isas"][-1], label
            config._threads_from_environment()
        assert fg.get_num_threads() == threads, label
