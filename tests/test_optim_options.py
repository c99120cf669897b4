"""Optimizer options: PyTorch's defaults, immutability, names, and what they refuse."""

import dataclasses
import inspect

import numpy as np
import pytest

from fastgrad import optim
from fastgrad.optim import SGD, Adam, AdamW, RMSprop

KINDS: dict[str, type[SGD | Adam | RMSprop]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "RMSprop": RMSprop}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_defaults_are_those_of_pytorch(name, kind):
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    for field in dataclasses.fields(kind):
        assert field.default == theirs[field.name].default, field.name


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_name_gives_the_defaults(kind):
    assert optim.resolve(kind.name) == kind()
    assert type(optim.resolve(kind.name)) is kind


def test_an_instance_passes_through():
    adam = Adam(lr=0.5)
    assert optim.resolve(adam) is adam


def test_names_are_distinct_and_belong_to_the_class():
    assert {kind.name for kind in KINDS.values()} == {"sgd", "adam", "adamw", "rmsprop"} == set(optim.OPTIMIZERS)
    assert "name" not in {field.name for field in dataclasses.fields(Adam)}


@pytest.mark.parametrize("kind", KINDS.values())
def test_options_are_values(kind):
    assert kind(lr=0.25) == kind(0.25)
    assert kind(lr=0.25) != kind(lr=0.5)
    assert hash(kind(lr=0.25)) == hash(kind(0.25))
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().lr = 1.0


def test_adamw_is_not_adam():
    assert AdamW(weight_decay=0.0) != Adam()


def test_numbers_become_plain_floats():
    adam = Adam(lr=np.float32(0.5), betas=[0, np.float64(0.5)], weight_decay=1)
    assert [type(x) for x in (adam.lr, *adam.betas, adam.weight_decay)] == [float] * 4
    assert adam.betas == (0.0, 0.5)


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field.name) for kind in KINDS.values() for field in dataclasses.fields(kind) if field.type is float],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(kind, field, value):
    with pytest.raises(ValueError, match=f"{field}: got {value}, wants a finite number"):
        kind(**{field: value})


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (SGD, {"lr": -0.1}, ValueError, "lr: got -0.1, wants a finite number >= 0"),
        (SGD, {"lr": "0.1"}, TypeError, r"lr: got '0.1' \(str\), wants a finite number >= 0"),
        (SGD, {"lr": True}, TypeError, r"lr: got True \(bool\)"),
        (SGD, {"lr": 1j}, TypeError, r"lr: got 1j \(complex\)"),
        (SGD, {"momentum": -0.5}, ValueError, "momentum: got -0.5"),
        (SGD, {"weight_decay": -1e-4}, ValueError, "weight_decay: got -0.0001"),
        (SGD, {"nesterov": True}, ValueError, "nesterov: got True with momentum 0 and dampening 0, wants momentum > 0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "wants momentum > 0 and dampening 0"),
        (SGD, {"nesterov": 1}, TypeError, r"nesterov: got 1, wants True or False"),
        (Adam, {"lr": -1.0}, ValueError, "lr: got -1.0"),
        (Adam, {"betas": (1.0, 0.999)}, ValueError, r"betas\[0\]: got 1.0, wants a finite number >= 0 and < 1"),
        (Adam, {"betas": (0.9, -0.1)}, ValueError, r"betas\[1\]: got -0.1"),
        (Adam, {"betas": (0.9,)}, TypeError, r"betas: got \(0.9,\), wants two numbers in \[0, 1\)"),
        (Adam, {"betas": 0.9}, TypeError, "betas: got 0.9, wants two numbers"),
        (Adam, {"eps": 0.0}, ValueError, "eps: got 0.0, wants a finite number > 0"),
        (AdamW, {"weight_decay": -1.0}, ValueError, "weight_decay: got -1.0"),
        (AdamW, {"betas": (0.9, 1.5)}, ValueError, r"betas\[1\]: got 1.5"),
        (RMSprop, {"alpha": 1.0}, ValueError, "alpha: got 1.0, wants a finite number >= 0 and < 1"),
        (RMSprop, {"eps": -1e-8}, ValueError, "eps: got -1e-08"),
        (RMSprop, {"momentum": -0.1}, ValueError, "momentum: got -0.1"),
        (RMSprop, {"centered": None}, TypeError, r"centered: got None, wants"),
    ],
)
def test_bad_options_are_refused_by_name(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(**options)


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        ("lion", ValueError, "optimizer: got 'lion', wants one of sgd, adam, adamw, rmsprop"),
        (Adam, TypeError, "optimizer: got the class Adam, wants an instance"),
        (0.1, TypeError, "optimizer: got float, wants one of sgd"),
        (None, TypeError, "optimizer: got NoneType"),
    ],
)
def test_what_is_not_an_optimizer_is_refused(optimizer, error, message):
    with pytest.raises(error, match=message):
        optim.resolve(optimizer)


def test_a_learning_rate_of_zero_is_allowed():
    assert SGD(lr=0.0).lr == 0.0
