"""The record of a run: names, views without copies, thinning, logarithms of the smallest numbers, what is refused."""

import copy
import pickle

import numpy as np
import pytest

from fastgrad.history import Epoch, History
from fastgrad.telemetry import MEANINGS, RECORD, SCALED, STATISTICS, LayerStats, Record

LAYERS, ROWS = 5, len(RECORD)


def chunk(steps, seed=0):
    return unscaled(np.random.default_rng(seed).random((steps, len(RECORD), LAYERS)))


def filled(*chunks):
    record, first = Record(LAYERS), 0
    for values in chunks:
        record.append_chunk(first, values)
        first += len(values)
    return record


def unscaled(record):
    record[..., len(STATISTICS) :, :] = 0.0
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
        "clip_factor",
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
    for shift, row in enumerate(range(len(STATISTICS), len(RECORD))):
        records[1, row] = np.roll([0.0, -2000.0, 2000.0, -1100.0, 960.0], shift)
    record = filled(records)
    for name in STATISTICS:
        row = records[:, RECORD.index(name)]
        exponents = records[:, RECORD.index(SCALED[name])] if name in SCALED else np.zeros((2, LAYERS))
        np.testing.assert_allclose(record.log10(name), np.log10(row) + exponents * np.log10(2.0), rtol=1e-15)
        with np.errstate(over="ignore", under="ignore"):
            np.testing.assert_array_equal(record[name], np.ldexp(row, exponents.astype(int)))
        for got in (record.at(1)[name], record.at(1).values[RECORD.index(name)]):
            np.testing.assert_array_equal(got, record[name][1])
        np.testing.assert_array_equal(record.at(1).log10(name), record.log10(name)[1])
    for name in SCALED:
        assert np.isinf(record[name][1]).any()
        assert (record[name][1] == 0.0).any()


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
    stats, record = LayerStats(chunk(1)[0], 0), Record(LAYERS)
    for read in (stats.__getitem__, stats.log10, record.__getitem__, record.log10):
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


@pytest.mark.parametrize("sizes", [(), (4,), (3, 1, 5), (2, 0, 3), (0,), (1,) * 40])
def test_chunks_read_as_one_run(sizes):
    chunks = [chunk(size, seed) for seed, size in enumerate(sizes)]
    record = filled(*chunks)
    whole = np.concatenate([np.empty((0, len(RECORD), LAYERS)), *chunks])
    assert len(record) == len(whole)
    np.testing.assert_array_equal(record.steps, np.arange(len(whole)))
    for row, name in enumerate(STATISTICS):
        np.testing.assert_array_equal(record[name], whole[:, row])
    for row, expected in enumerate(whole):
        np.testing.assert_array_equal(record.at(row).values, expected[: len(STATISTICS)])


@pytest.mark.parametrize("every", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("keep", [2, 3, 8, 4096])
@pytest.mark.parametrize("size", [1, 4, 5, 64])
def test_rows_are_dropped_evenly_where_they_would_be_too_many(size, keep, every):
    whole = chunk(320)
    record = Record(LAYERS, every, keep)
    stride = every
    for first in range(0, len(whole), size):
        record.append_chunk(first, whole[first : first + size])
        for step in range(first, first + size):  # the rule, step by step
            while step % stride == 0 and step // stride >= keep:
                stride *= 2
        expected = np.arange(0, first + size, stride)
        np.testing.assert_array_equal(record.steps, expected)
        assert record.steps.dtype == np.int64
        assert (record.every, record.keep, record.stride) == (every, keep, stride)
        np.testing.assert_array_equal(record["weight_norm"], whole[expected, RECORD.index("weight_norm")])
    assert [record.at(row).step for row in range(len(record))] == record.steps.tolist()


@pytest.mark.parametrize("keep", [4, 1000])
def test_what_was_read_stays_as_it_was(keep):
    record = Record(LAYERS, keep=keep)
    read = []
    for first in range(100):
        record.append_chunk(first, chunk(1, first))
        read += [(view, view.copy()) for view in (record["grad_norm"], record.steps, record.at(-1).values)]
    for view, copy_of_then in read:
        np.testing.assert_array_equal(view, copy_of_then)


def test_a_record_is_read_without_copying():
    record = filled(chunk(40), chunk(1))
    storage = record["act_mean"].base
    for array in (record["grad_norm"], record["update_ratio"], record.at(1).values, record.at(-1).grad_norm):
        assert array.base is storage
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        record.steps[0] = 1
    record.append_chunk(41, chunk(2, 1))
    assert record["grad_norm"].base is storage  # there was room


def test_a_long_record_is_copied_a_few_times_only():
    record, storages = Record(LAYERS, keep=2**20), set()
    for first in range(5000):
        record.append_chunk(first, chunk(1))
        storages.add(id(record["act_mean"].base))
    assert len(storages) <= 10


def test_rows_count_from_either_end_and_know_their_step():
    record = Record(LAYERS, every=5)
    record.append_chunk(0, chunk(18))
    assert record.at(-1).step == record.at(3).step == 15
    np.testing.assert_array_equal(record.at(-1).values, chunk(18)[15, : len(STATISTICS)])
    for row in (4, -5):
        with pytest.raises(IndexError, match=f"row: got {row}, the record holds 4 rows"):
            record.at(row)


def test_a_record_names_its_statistics_like_a_data_frame():
    record = Record(LAYERS)
    assert tuple(record) == record.names == STATISTICS
    assert "grad_norm" in record
    assert "gradient" not in record
    assert repr(record).startswith("Record(0 rows, 5 layers: act_mean, act_rms")
    assert repr(Record(LAYERS, every=3)).startswith("Record(0 rows of every 3 steps, 5 layers")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))])
def test_records_and_histories_survive_copying_and_pickling(duplicate):
    history = History(LAYERS)
    history.append_chunk(np.arange(9.0), chunk(9))
    twin = duplicate(history)
    record = duplicate(history.telemetry)
    history.append_chunk(np.arange(3.0), chunk(3, 1))
    for other in (record, twin.telemetry):
        assert (other.layers, other.every, other.keep, len(other)) == (LAYERS, 1, 4096, 9)
        np.testing.assert_array_equal(other["grad_norm"], chunk(9)[:, RECORD.index("grad_norm")])
        other.append_chunk(9, chunk(2, 2))
        np.testing.assert_array_equal(other.steps, np.arange(11))
    np.testing.assert_array_equal(history.telemetry["grad_norm"][9:], chunk(3, 1)[:, RECORD.index("grad_norm")])


def test_a_pickle_holds_no_more_than_the_rows():
    assert len(pickle.dumps(filled(chunk(1)))) < 8 * len(RECORD) * LAYERS + 1500


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, ROWS, LAYERS + 1)), rf"values: got shape \(2, {ROWS}, 6\), wants \(steps, {ROWS}, 5\)"),
        (np.ones((ROWS, LAYERS)), rf"values: got shape \({ROWS}, 5\), wants \(steps, {ROWS}, 5\)"),
        (np.ones((2, ROWS, LAYERS), np.float32), "values: got dtype float32, wants a float64 array"),
        ([[1.0]], "values: got list, wants a float64 array"),
    ],
)
def test_chunks_of_another_shape_or_dtype_are_refused(values, message):
    record = Record(LAYERS)
    with pytest.raises(ValueError, match=message):
        record.append_chunk(0, values)
    assert len(record) == 0


def test_layer_stats_of_another_shape_or_dtype_are_refused():
    with pytest.raises(ValueError, match=rf"values: got shape \(3,\), wants \({ROWS}, layers\)"):
        LayerStats(np.ones(3), 0)
    with pytest.raises(ValueError, match=rf"values: got shape \(8, 4\), wants \({ROWS}, layers\)"):
        LayerStats(np.ones((8, 4)), 0)
    with pytest.raises(ValueError, match="values: got dtype int64"):
        LayerStats(np.ones((ROWS, 4), np.int64), 0)


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
    np.testing.assert_array_equal(history.telemetry.at(-1).values, chunk(1)[0, : len(STATISTICS)])
    assert len(history.telemetry) == 1


@pytest.mark.parametrize(
    ("losses", "statistics", "message"),
    [
        (np.ones(2), chunk(3), "losses: got 2 steps, wants 3 as in statistics"),
        (np.ones((2, 1)), chunk(2), r"losses: got shape \(2, 1\), wants \(steps,\)"),
        (np.ones(2, np.float32), chunk(2), "losses: got dtype float32"),
        (np.ones(2), np.ones((2, 3, LAYERS)), rf"statistics: got shape \(2, 3, 5\), wants \(steps, {ROWS}, 5\)"),
    ],
)
def test_history_refuses_a_bad_chunk_whole(losses, statistics, message):
    history = History(LAYERS)
    with pytest.raises(ValueError, match=message):
        history.append_chunk(losses, statistics)
    assert len(history) == len(history.telemetry) == 0
