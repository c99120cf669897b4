"""Telemetry: names, views without copies, chunks, logarithms of the smallest numbers, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

from fastgrad.telemetry import MEANINGS, RECORD, SCALED, STATISTICS, Epoch, History, LayerStats, Telemetry

LAYERS = 5


def chunk(steps, seed=0):
    return unscaled(np.random.default_rng(seed).random((steps, len(RECORD), LAYERS)))


def unscaled(record):
    record[..., RECORD.index("gradient_exponent"), :] = 0.0
    return record


def test_the_statistics_are_those_of_the_contract_in_order():
    assert STATISTICS == (
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
    )
    assert all(MEANINGS[name] for name in STATISTICS)


def test_layer_stats_are_read_by_item_and_by_attribute():
    values = chunk(1)[0]
    stats = LayerStats(values, step=7)
    for row, name in enumerate(STATISTICS):
        np.testing.assert_array_equal(stats[name], values[row])
        np.testing.assert_array_equal(getattr(stats, name), values[row])
    assert stats.step == 7
    assert set(STATISTICS) <= set(dir(stats))


def test_layer_stats_are_a_live_read_only_view():
    values = chunk(1)[0]
    stats = LayerStats(values, step=0)
    kept = stats.copy()
    values[STATISTICS.index("grad_norm"), 2] = 42.0
    assert stats.grad_norm[2] == 42.0
    assert kept.grad_norm[2] != 42.0
    assert np.shares_memory(stats.values, values)
    for array in (stats.grad_norm, stats.values, stats.log10("grad_norm")):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    assert values.flags.writeable


def test_norms_outside_the_range_of_float64_keep_their_logarithms():
    records = chunk(2)
    records[1, -1] = [0.0, -2000.0, 2000.0, -1100.0, 960.0]
    telemetry = Telemetry(LAYERS)
    telemetry.append_chunk(records)
    for name in STATISTICS:
        row = records[:, RECORD.index(name)]
        exponents = records[:, -1] if name in SCALED else np.zeros((2, LAYERS))
        np.testing.assert_allclose(telemetry.log10(name), np.log10(row) + exponents * np.log10(2.0), rtol=1e-15)
        with np.errstate(over="ignore", under="ignore"):
            np.testing.assert_array_equal(telemetry[name], np.ldexp(row, exponents.astype(int)))
        for got in (telemetry.at(1)[name], telemetry.at(1).values[RECORD.index(name)]):
            np.testing.assert_array_equal(got, telemetry[name][1])
        np.testing.assert_array_equal(telemetry.at(1).log10(name), telemetry.log10(name)[1])
    assert np.isinf(telemetry["grad_norm"][1, 2])
    assert telemetry["grad_norm"][1, 1] == 0.0


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda stats: pickle.loads(pickle.dumps(stats))])
def test_layer_stats_survive_copying_and_pickling(duplicate):
    stats = LayerStats(chunk(1)[0], step=3)
    other = duplicate(stats)
    np.testing.assert_array_equal(other.values, stats.values)
    assert other.step == 3


def test_layer_stats_print_as_a_table_with_a_line_for_each_layer():
    lines = repr(LayerStats(chunk(1)[0], step=7)).splitlines()
    assert lines[0] == "LayerStats of step 7"
    assert lines[1].split() == ["layer", *STATISTICS]
    assert [line.split()[0] for line in lines[2:]] == [str(layer) for layer in range(LAYERS)]
    assert len({len(line) for line in lines[1:]}) == 1
    assert float(lines[4].split()[5]) == pytest.approx(chunk(1)[0, 4, 2], rel=1e-3)


def test_a_thousand_layers_print_as_the_first_and_the_last():
    lines = repr(LayerStats(unscaled(np.ones((len(RECORD), 1000))), step=0)).splitlines()
    assert len(lines) == 19
    assert lines[10].split() == ["...", "(984", "layers", "more)"]
    assert [lines[9].split()[0], lines[11].split()[0], lines[-1].split()[0]] == ["7", "992", "999"]


def test_an_unknown_statistic_is_refused_with_the_list():
    stats, telemetry = LayerStats(chunk(1)[0], 0), Telemetry(LAYERS)
    for read in (stats.__getitem__, stats.log10, telemetry.__getitem__, telemetry.log10):
        with pytest.raises(KeyError, match="'grad' is not a statistic; known are act_mean, act_rms"):
            read("grad")
    with pytest.raises(AttributeError, match="no attribute 'grad'; statistics are act_mean"):
        _ = stats.grad


def test_log10_is_finite_for_every_nonzero_value_and_quiet_about_zero():
    values = unscaled(np.ones((len(RECORD), 6)))
    values[STATISTICS.index("grad_norm")] = [1e-300, 5e-324, 0.0, -1e-20, np.inf, np.nan]
    got = LayerStats(values, 0).log10("grad_norm")
    np.testing.assert_allclose(got, [-300.0, np.log10(5e-324), -np.inf, -20.0, np.inf, np.nan], rtol=1e-14)
    assert got[1] == pytest.approx(-323.306, abs=1e-3)


@pytest.mark.parametrize("sizes", [(), (4,), (3, 1, 5), (2, 0, 3), (0,)])
def test_chunks_read_as_one_run(sizes):
    telemetry = Telemetry(LAYERS)
    chunks = [chunk(size, seed) for seed, size in enumerate(sizes)]
    for part in chunks:
        telemetry.append_chunk(part)
    whole = np.concatenate([np.empty((0, len(RECORD), LAYERS)), *chunks])
    assert len(telemetry) == len(whole)
    steps = [telemetry.at(step).values for step in range(len(whole))]
    for got, expected in zip(steps, whole, strict=True):
        np.testing.assert_array_equal(got, expected[:-1])
    for row, name in enumerate(STATISTICS):
        np.testing.assert_array_equal(telemetry[name], whole[:, row])
    for step, expected in enumerate(whole):
        np.testing.assert_array_equal(telemetry.at(step).values, expected[:-1])


def test_telemetry_grows_after_it_was_read():
    telemetry = Telemetry(LAYERS)
    telemetry.append_chunk(chunk(2, 0))
    early = telemetry["grad_norm"]
    telemetry.append_chunk(chunk(3, 1))
    assert early.shape == (2, LAYERS)
    np.testing.assert_array_equal(telemetry["grad_norm"][2:], chunk(3, 1)[:, STATISTICS.index("grad_norm")])
    np.testing.assert_array_equal(telemetry.at(4).values, chunk(3, 1)[2, :-1])


def test_telemetry_reads_without_copying():
    telemetry, part = Telemetry(LAYERS), chunk(4)
    telemetry.append_chunk(part)
    assert np.shares_memory(telemetry["grad_norm"], part)
    assert np.shares_memory(telemetry.at(1).values, part)
    telemetry.append_chunk(chunk(2, 1))
    assert np.shares_memory(telemetry.at(1).values, part)
    assert np.shares_memory(telemetry["grad_norm"], telemetry["act_mean"].base)
    with pytest.raises(ValueError, match="read-only"):
        telemetry["grad_norm"][0, 0] = 1.0


def test_steps_count_from_either_end():
    telemetry = Telemetry(LAYERS)
    telemetry.append_chunk(chunk(4))
    assert telemetry.at(-1).step == telemetry.at(3).step == 3
    np.testing.assert_array_equal(telemetry.at(-1).values, chunk(4)[3, :-1])
    for step in (4, -5):
        with pytest.raises(IndexError, match=f"step: got {step}, the telemetry holds 4 steps"):
            telemetry.at(step)


def test_telemetry_names_its_statistics_like_a_data_frame():
    telemetry = Telemetry(LAYERS)
    assert tuple(telemetry) == telemetry.names == STATISTICS
    assert "grad_norm" in telemetry
    assert "gradient" not in telemetry


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, len(RECORD), LAYERS + 1)), r"values: got shape \(2, 15, 6\), wants \(steps, 15, 5\)"),
        (np.ones((len(RECORD), LAYERS)), r"values: got shape \(15, 5\), wants \(steps, 15, 5\)"),
        (np.ones((2, len(RECORD), LAYERS), np.float32), "values: got dtype float32, wants a float64 array"),
        ([[1.0]], "values: got list, wants a float64 array"),
    ],
)
def test_chunks_of_another_shape_or_dtype_are_refused(values, message):
    telemetry = Telemetry(LAYERS)
    with pytest.raises(ValueError, match=message):
        telemetry.append_chunk(values)
    assert len(telemetry) == 0


def test_layer_stats_of_another_shape_or_dtype_are_refused():
    with pytest.raises(ValueError, match=r"values: got shape \(3,\), wants \(15, layers\)"):
        LayerStats(np.ones(3), 0)
    with pytest.raises(ValueError, match=r"values: got shape \(8, 4\), wants \(15, layers\)"):
        LayerStats(np.ones((8, 4)), 0)
    with pytest.raises(ValueError, match="values: got dtype int64"):
        LayerStats(np.ones((15, 4), np.int64), 0)


def test_history_keeps_losses_and_statistics_in_step():
    history = History(LAYERS)
    assert history.loss.shape == (0,)
    assert repr(history) == "History(0 steps, 0 epochs, 5 layers)"
    history.append_chunk(np.array([3.0, 2.0]), chunk(2, 0))
    history.append_chunk(np.array([1.5]), chunk(1, 1))
    history.epochs.append(Epoch(epoch=0, loss=2.5, validation_loss=None, seconds=0.1))
    np.testing.assert_array_equal(history.loss, [3.0, 2.0, 1.5])
    assert not history.loss.flags.writeable
    assert len(history) == len(history.telemetry) == 3
    assert repr(history) == "History(3 steps, 1 epochs, 5 layers, loss 3 -> 1.5)"


def test_history_keeps_losses_without_statistics():
    history = History(LAYERS)
    history.append_chunk(np.array([3.0, 2.0]), None)
    history.append_chunk(np.array([1.5]), chunk(1))
    with pytest.raises(ValueError, match="losses: got dtype float32"):
        history.append_chunk(np.ones(2, np.float32), None)
    np.testing.assert_array_equal(history.loss, [3.0, 2.0, 1.5])
    assert len(history) == 3
    np.testing.assert_array_equal(history.telemetry.at(-1).values, chunk(1)[0, :-1])
    assert len(history.telemetry) == 1


@pytest.mark.parametrize(
    ("losses", "statistics", "message"),
    [
        (np.ones(2), chunk(3), "losses: got 2 steps, wants 3 as in statistics"),
        (np.ones((2, 1)), chunk(2), r"losses: got shape \(2, 1\), wants \(steps,\)"),
        (np.ones(2, np.float32), chunk(2), "losses: got dtype float32"),
        (np.ones(2), np.ones((2, 3, LAYERS)), r"statistics: got shape \(2, 3, 5\), wants \(steps, 15, 5\)"),
    ],
)
def test_history_refuses_a_bad_chunk_whole(losses, statistics, message):
    history = History(LAYERS)
    with pytest.raises(ValueError, match=message):
        history.append_chunk(losses, statistics)
    assert len(history) == len(history.telemetry) == 0
