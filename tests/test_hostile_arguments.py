"""Every public callable, every argument, every value of one list: what is refused is named, and nothing has changed.

Each argument of the calls in `public_calls` in turn is hostile while the others are valid. A call either does what it
should, or raises one of the errors that its kind of argument may raise, whose message names the argument, and leaves
all as it was.
"""

import contextlib
import io
import os
import re
import signal

import numpy as np
import pytest
from hostile import HOSTILE, dressed
from public_calls import CALLS, NOT_CALLED, X, Y, new_world, public_callables, valid_arguments

import fastgrad as fg
from fastgrad import _isa, cli, config, demo


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
        _isa.active_isa(),
        sorted(os.listdir(".")),
        os.environ.get("FASTGRAD_ISA"),
    )


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
ENDLESS = {("MLP.fit", "epochs", "2**31"), ("Trainer.run", "steps", "2**31")}
ENDLESS |= {("Trainer.run in epochs", "epochs", "2**31")}  # and valid


def test_every_public_callable_and_argument_has_a_valid_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world = new_world()
    expected = {
        name: set(parameters)
        for name, parameters in public_callables().items()
        if parameters and name.split(".__call__")[0] and name not in NOT_CALLED
    }
    known = {}
    for name in CALLS:
        known.setdefault(name.partition(" ")[0], set()).update(valid_arguments(name, world))
    assert known == expected


def test_a_network_too_large_for_the_machine_is_told_in_bytes():
    with pytest.raises(MemoryError, match=r"sizes: got \[2147483647, 2147483647\], which takes 73,786,[\d,]* bytes"):
        fg.MLP([2**31 - 1] * 2)
    with pytest.raises(MemoryError, match=r"sizes: got \[2147483647, .*\.\.\.\], which takes"):
        fg.MLP([2**31 - 1] * 1000, dtype="float64")
    with pytest.raises(MemoryError, match=r"fan_in, fan_out\): got \(2147483647, 2147483647\), which takes"):
        fg.init.initialise("zeros", 2**31 - 1, 2**31 - 1, rng=np.random.default_rng(0))


def test_an_array_too_large_to_be_copied_is_named():
    net, endless = fg.MLP([3, 2]), np.broadcast_to(0.5, (2**44, 3))
    for name, call in (
        ("X", lambda: net.forward(endless)),
        ("X", lambda: net.fit(endless, Y, loss="mse")),
        ("y", lambda: fg.losses.check_targets("mse", endless, 2**44, 3, "float64")),
        ("dL_doutput", lambda: net.backward(endless[:, :2])),
    ):
        with pytest.raises(MemoryError, match=rf"^{name}: got shape \(17592186044416, .\), for a copy of which"):
            call()


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


def test_hostile_environment(monkeypatch):
    threads, best = fg.get_num_threads(), fg.cpu_info()["isas"][-1]
    for label, text in TEXTS.items():
        given = bool(text.strip())
        monkeypatch.setattr(os, "environ", {"FASTGRAD_ISA": text})
        with pytest.warns(RuntimeWarning, match="FASTGRAD_ISA: got '") if given else contextlib.nullcontext():
            assert _isa.from_environment() == best, label
        monkeypatch.setattr(os, "environ", {"FASTGRAD_NUM_THREADS": text})
        with pytest.raises(ValueError, match="FASTGRAD_NUM_THREADS: got '") if given else contextlib.nullcontext():
            config._threads_from_environment()
        assert fg.get_num_threads() == threads, label
        monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": text})
        config._threads_from_environment()
        assert fg.get_num_threads() in (threads, 256), label
        fg.set_num_threads(threads)
