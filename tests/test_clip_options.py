"""Options of clipping: defaults, immutability, what they tell the engine, and what they refuse."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import _core_options, clip
from fastgrad.clip import ClipAdaptive, ClipNorm, ClipValue

KINDS = (ClipValue, ClipNorm, ClipAdaptive)
EXAMPLES = [ClipValue(0.5), ClipNorm(0.5), ClipNorm(0.5, per="layer"), ClipAdaptive(), ClipAdaptive(0.5, output=False)]


def test_the_engine_is_told_kind_bound_eps_and_output():
    assert _core_options.clip_options(None) == {"kind": "none", "bound": math.inf, "eps": 0.0, "output": True}
    assert [tuple(_core_options.clip_options(each).values()) for each in EXAMPLES] == [
        ("value", 0.5, 0.0, True),
        ("norm", 0.5, 1e-6, True),
        ("layer_norm", 0.5, 1e-6, True),
        ("adaptive", 0.01, 1e-3, True),
        ("adaptive", 0.5, 1e-3, False),
    ]


def test_the_first_numbers_may_go_without_their_names():
    assert ClipAdaptive(0.25, 0.5) == ClipAdaptive(c=0.25, eps=0.5)
    assert (ClipNorm(2.0), ClipValue(2.0)) == (ClipNorm(c=2.0), ClipValue(c=2.0))
    for make in (lambda: ClipNorm(1.0, "layer"), lambda: ClipAdaptive(0.01, 1e-3, False)):
        with pytest.raises(TypeError, match="positional"):
            make()


@pytest.mark.parametrize("kind", [ClipNorm, ClipValue])
def test_only_the_adaptive_bound_has_a_default(kind):
    with pytest.raises(TypeError, match="'c'"):
        kind()


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_options_are_values(example):
    twin = type(example)(**vars(example))
    assert (twin, hash(twin)) == (example, hash(example))
    assert twin != dataclasses.replace(example, c=0.125)
    assert pickle.loads(pickle.dumps(example)) == example
    assert eval(repr(example), vars(clip)) == example
    with pytest.raises(dataclasses.FrozenInstanceError, match="make another one"):
        example.c = 1.0


def test_kinds_and_modes_are_not_equal():
    assert len({ClipValue(0.5), ClipNorm(0.5), ClipNorm(0.5, per="layer"), ClipAdaptive(0.5)}) == 4
    assert ClipAdaptive(output=False) != ClipAdaptive()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [1, np.float32(1.0), np.float64(1.0), np.int8(1)])
def test_numbers_become_plain_floats(kind, value):
    assert type(kind(value).c) is float
    assert kind(value) == kind(1.0)


def test_names_and_switches_become_plain():
    assert type(ClipNorm(1.0, per=np.str_("layer")).per) is str
    assert type(ClipAdaptive(output=np.False_).output) is bool


@pytest.mark.parametrize("value", [math.inf, np.inf, np.float32(np.inf)])
def test_an_infinite_norm_only_measures(value):
    assert ClipNorm(value).c == ClipNorm(value, per="layer").c == math.inf


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        *((kind, {"c": 0.0}, ValueError, "^c: got 0.0, wants a .*number > 0$") for kind in KINDS),
        *((kind, {"c": -1}, ValueError, "^c: got -1, wants a .*number > 0$") for kind in KINDS),
        *((kind, {"c": math.nan}, ValueError, "^c: got nan") for kind in KINDS),
        *((kind, {"c": -math.inf}, ValueError, "^c: got -inf") for kind in KINDS),
        *((kind, {"c": 10**400}, ValueError, "^c: got an integer of 401 digits") for kind in KINDS),
        *((kind, {"c": True}, TypeError, r"^c: got True \(bool\), wants a .*number > 0") for kind in KINDS),
        *((kind, {"c": "1"}, TypeError, r"^c: got '1' \(str\)") for kind in KINDS),
        *((kind, {"c": None}, TypeError, r"^c: got None \(NoneType\)") for kind in KINDS),
        (ClipValue, {"c": math.inf}, ValueError, "^c: got inf, wants a finite number > 0$"),
        (ClipAdaptive, {"c": math.inf}, ValueError, "^c: got inf, wants a finite number > 0$"),
        (ClipNorm, {"c": 1.0, "per": "unit"}, ValueError, "^per: got 'unit', wants one of layer$"),
        (ClipNorm, {"c": 1.0, "per": 2.0}, TypeError, "^per: got float, wants one of layer$"),
        (ClipAdaptive, {"eps": 0.0}, ValueError, "^eps: got 0.0, wants a finite number > 0$"),
        (ClipAdaptive, {"eps": -1e-3}, ValueError, "^eps: got -0.001"),
        (ClipAdaptive, {"eps": math.inf}, ValueError, "^eps: got inf"),
        (ClipAdaptive, {"eps": math.nan}, ValueError, "^eps: got nan"),
        (ClipAdaptive, {"eps": None}, TypeError, r"^eps: got None \(NoneType\)"),
        (ClipAdaptive, {"output": 0}, TypeError, "^output: got 0, wants True or False$"),
        (ClipAdaptive, {"output": None}, TypeError, "^output: got None"),
    ],
)
def test_bad_options_are_refused_by_name(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(**options)


@pytest.mark.parametrize(
    ("value", "got"),
    [(1.0, "1.0"), ("norm", "'norm'"), (ClipNorm, "the class ClipNorm"), (False, "False"), (fg.SGD(), "SGD")],
)
def test_what_is_no_clipping_is_refused_everywhere(value, got):
    net = fg.MLP([2, 1], seed=0)
    before = np.array(net.weights[0])
    for use in (
        clip.check_clip,
        lambda value: fg.Trainer(net, "mse", clip=value),
        lambda value: net.fit(np.ones((3, 2)), np.ones(3), loss="mse", clip=value),
    ):
        with pytest.raises(TypeError, match=rf"^clip: got {got}.*, wants ClipValue\(c\), ClipNorm\(c\)"):
            use(value)
    np.testing.assert_array_equal(net.weights[0], before)
