"""Telemetry of another version, in files forged by hand and in pickles: it is read by the names of its statistics.

What it lacks is NaN, what it has too much is left out, and the order of its rows is its own.
"""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from fastgrad import _core, telemetry
from fastgrad._rows import Rows
from fastgrad.telemetry import RECORD, SCALED, STATISTICS, LayerStats, Record

FIRST = (  # of the first version that wrote files
    "act_mean",
    "act_rms",
    "preact_rms",
    "deriv_mean",
    "saturated",
    "dead",
    "delta_norm",
    "act_grad_norm",
    "grad_norm",
    "grad_max",
    "bias_grad_norm",
    "weight_norm",
    "update_norm",
    "update_ratio",
    "signal_exponent",
    "preactivation_exponent",
    "delta_exponent",
    "gradient_exponent",
)
LAYERS, STEPS = 3, np.arange(0, 20, 4)


def draw(seed, names):
    """Return what stands in the row of each name, (steps, layers): other numbers for each, whole ones of exponents."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.standard_normal((len(STEPS), LAYERS)) for name in names}
    exponents = [name for name in names if name.endswith("_exponent")]
    return rows | {name: rng.integers(-1500, 1500, rows[name].shape).astype(float) for name in exponents}


def write(path, rows, split=2):
    """Write a file whose rows come in the order of `rows`, in two chunks."""
    content = {"names": np.array(list(rows)), "every": 4, "layers": LAYERS}
    values = np.stack(list(rows.values()), axis=1)
    for number, part in enumerate((slice(split), slice(split, None))):
        content |= {f"steps_00000{number}": STEPS[part], f"statistics_00000{number}": values[part]}
    np.savez(path, **content)


def in_pickle(rows):
    """Return a record as a pickle of a version with these rows has it."""
    state = Record(LAYERS, every=4).__getstate__() | {"names": tuple(rows)}
    state |= {"_steps": Rows.holding(STEPS), "_rows": Rows.holding(np.stack(list(rows.values()), axis=1))}
    record = Record.__new__(Record)
    record.__setstate__(state)
    return record


def expected(rows, name):
    if name not in rows:
        return np.full((len(STEPS), LAYERS), np.nan)
    exponents = rows.get(SCALED.get(name), np.zeros((len(STEPS), LAYERS)))
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(rows[name], exponents.astype(int))


def assert_read(record, rows):
    assert record.steps.tolist() == STEPS.tolist()
    assert (record.every, record.layers, record.names) == (4, LAYERS, STATISTICS)
    for name in STATISTICS:
        np.testing.assert_array_equal(record[name], expected(rows, name))
        exponents = rows.get(SCALED.get(name), 0.0)
        np.testing.assert_allclose(
            record.log10(name), np.log10(np.abs(rows.get(name, np.nan))) + exponents * np.log10(2.0), rtol=1e-14
        )
        for row in range(len(STEPS)):
            np.testing.assert_array_equal(record.at(row)[name], record[name][row])
    np.testing.assert_array_equal(record.at(1).values, [record[name][1] for name in STATISTICS])
    copied = pickle.loads(pickle.dumps(record))
    np.testing.assert_array_equal(copied["grad_norm"], record["grad_norm"])


def assert_read_everywhere(path, rows):
    write(path, rows)
    assert_read(telemetry.load(path), rows)
    assert_read(in_pickle(rows), rows)


def test_a_file_of_the_first_version_loads_as_it_is(tmp_path):
    assert set(FIRST) <= set(RECORD)
    assert_read_everywhere(tmp_path / "run.npz", draw(0, FIRST))


@pytest.mark.parametrize("missing", FIRST)
def test_what_is_missing_is_nan_and_an_exponent_0(tmp_path, missing):
    rows = draw(1, FIRST)
    del rows[missing]
    assert_read_everywhere(tmp_path / "run.npz", rows)


@pytest.mark.parametrize("at", [0, 5, 14, len(FIRST)])
@pytest.mark.parametrize("name", ["sharpness", "update_ratio_", "ACT_MEAN", "another_exponent", ""])
def test_what_is_too_much_is_left_out(tmp_path, name, at):
    rows = draw(2, (*FIRST[:at], name, *FIRST[at:]))
    rows[name] = np.full((len(STEPS), LAYERS), np.nan)
    assert_read_everywhere(tmp_path / "run.npz", rows)


@pytest.mark.parametrize("seed", range(10))
def test_rows_in_any_order_some_missing_and_some_unknown(tmp_path, seed):
    rng = np.random.default_rng(seed)
    names = [*rng.permutation(FIRST)[: rng.integers(2, len(FIRST))], "grad_norm", *(f"new_{n}" for n in range(seed))]
    assert_read_everywhere(tmp_path / "run.npz", draw(seed, rng.permutation(list(dict.fromkeys(names))).tolist()))


def test_a_statistic_of_this_version_alone_is_enough(tmp_path):
    assert_read_everywhere(tmp_path / "run.npz", draw(3, ("grad_norm",)))


@pytest.mark.parametrize("names", [("sharpness",), ("signal_exponent", "delta_exponent"), (*FIRST, "grad_norm"), ()])
def test_what_knows_no_statistic_or_one_twice_is_refused(tmp_path, names):
    values = np.zeros((len(STEPS), len(names), LAYERS))
    content = {"names": np.array(names, str), "every": 4, "layers": LAYERS}
    np.savez(tmp_path / "run.npz", **content, steps_000000=STEPS, statistics_000000=values)
    with pytest.raises(ValueError, match=r"wants a whole file of telemetry \(its statistics are .*; this version has"):
        telemetry.load(tmp_path / "run.npz")
    state = Record(LAYERS).__getstate__() | {"names": names, "_rows": Rows.holding(values)}
    with pytest.raises(ValueError, match=r"record: got one of another version: its statistics are .*; this version"):
        Record.__new__(Record).__setstate__(state)


def test_a_pickle_without_names_is_refused():
    state = Record(LAYERS).__getstate__()
    del state["names"]
    with pytest.raises(ValueError, match="record: got one of another version: its statistics are ;"):
        Record.__new__(Record).__setstate__(state)


def test_an_exponent_that_is_none_is_found_wherever_it_stands(tmp_path):
    for names in (FIRST[::-1], FIRST[10:]):
        rows = draw(4, names)
        rows["delta_exponent"][3, 1] = 0.5
        write(tmp_path / "run.npz", rows)
        with pytest.raises(ValueError, match="an exponent is no whole number"):
            telemetry.load(tmp_path / "run.npz")


@pytest.mark.parametrize("names", [FIRST[3:], FIRST])
def test_a_record_of_another_version_goes_on_in_this_ones(names):
    rows = draw(5, names)
    more = np.ones((4, len(RECORD), LAYERS))
    record = in_pickle(rows)
    record.append_chunk(20, more[:0])
    record.append_chunk(20, more)
    assert record.steps.tolist() == [*STEPS, 20]
    np.testing.assert_array_equal(record["act_mean"], [*expected(rows, "act_mean"), np.ones(LAYERS) * 2.0])


@pytest.mark.parametrize("names", [FIRST[::-1], FIRST[1:], (*FIRST, "sharpness")])
def test_statistics_of_a_step_are_read_by_their_names(names):
    rows = draw(6, names)
    make, (kind, _, _, step) = LayerStats(np.ones((len(RECORD), LAYERS)), 7).__reduce__()
    stats = make(kind, names, np.stack([row[2] for row in rows.values()]), step)
    assert (type(stats), stats.step) == (LayerStats, 7)
    for name in STATISTICS:
        np.testing.assert_array_equal(stats[name], expected(rows, name)[2])


IN_ANOTHER_ENGINE = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("fastgrad._core", sys.argv[1])
spec = importlib.util.spec_from_file_location("fastgrad._core", sys.argv[1], loader=loader)
core = sys.modules["fastgrad._core"] = importlib.util.module_from_spec(spec)
loader.exec_module(core)
core.STATISTICS = {names}

import numpy as np
from fastgrad.telemetry import RECORD, SCALED, STATISTICS, LayerStats, Record
assert RECORD == {names} and set(STATISTICS) == set(RECORD) - set(SCALED.values())
rng = np.random.default_rng(0)
rows = np.array([rng.integers(-9, 9, (2, 3)) + 0.5 * (name in STATISTICS) for name in RECORD], float).swapaxes(0, 1)
record = Record(3)
record.append_chunk(0, rows)
for name in STATISTICS:
    scale = rows[:, RECORD.index(SCALED[name])] if name in SCALED else np.zeros((2, 3))
    np.testing.assert_array_equal(record[name], rows[:, RECORD.index(name)] * 2.0**scale)
    np.testing.assert_array_equal(getattr(record.at(1), name), record[name][1])
    np.testing.assert_allclose(record.log10(name), np.log10(abs(record[name])))
np.testing.assert_array_equal(record.at(0).values, [record[name][0] for name in STATISTICS])
rows[:, [RECORD.index(name) for name in SCALED.values()]] = 0.0
for step in rows:
    np.testing.assert_array_equal(LayerStats(step, 0).values, [step[RECORD.index(name)] for name in STATISTICS])
print("by name")
"""


@pytest.mark.parametrize("names", [FIRST[::-1], FIRST[14:] + FIRST[:14], (*FIRST[:9], "more", *FIRST[9:], "most")])
def test_nothing_depends_on_the_number_or_order_of_what_the_engine_measures(names):
    program = IN_ANOTHER_ENGINE.replace("{names}", repr(names))
    ended = subprocess.run([sys.executable, "-c", program, _core.__file__], capture_output=True, text=True)
    assert ended.stdout == "by name\n", ended.stderr
