"""How much of the multiply-add peak a step reaches, and what sizes that fill no tile cost."""

from statistics import median

import numpy as np
from machine import network, step_flops

from fastgrad import _core
from limits import Row, medians, simd_isas, sizes, training_step

PEAK_SHAPES = ("64x10x32", "64x10x256", "128x10x256", "256x10x256", "512x5x256", "1024x5x256")
PEAK_WANTED = 0.72
PEAK_WANTED_UP_TO = 512  # units
PEAK_TURN = 1e-3
TILE = 16  # rows of a block, and the columns to which a width is rounded up for comparison
PANEL = 64  # columns
RAGGED_WANTED = 1.25
RAGGED_WIDTHS = (65, 96, 200, 333)
RAGGED_BATCHES = (37, 77)
RANDOM_SIZES = 3
SEED = 3


def peak(seconds):
    """Yield the share of a thread's multiply-add peak, measured in turns with the step."""
    for isa in simd_isas():
        for shape in PEAK_SHAPES:
            yield _share_of_peak(isa, shape, seconds)


def _share_of_peak(isa, shape, seconds):
    width, layers, rows = sizes(shape)
    rates = []

    def chain():
        rates.append(_core.fma_peak(isa, "float32", PEAK_TURN))

    taken, _ = medians(seconds, training_step(shape, isa), chain)
    share = step_flops(network(width, layers), rows) / taken / median(rates)
    return Row(f"{isa}, {shape}", share, "share", PEAK_WANTED if width <= PEAK_WANTED_UP_TO else None, (taken,))


def _up(size, multiple):
    return -(-size // multiple) * multiple


def _with_random(chosen, low, high):
    ragged = [size for size in range(low, high) if size % TILE]
    return *chosen, *map(int, np.random.default_rng(SEED).choice(ragged, RANDOM_SIZES, replace=False))


def _padded_work(width):
    return _up(width, TILE) ** 2


def widths(seconds, layers=5, rows=256):
    """Yield the time of a ragged width by that of the width rounded up to a tile.

    A width that is a multiple of a tile already is compared with one that fills its panels, work for work.
    """
    for isa in simd_isas():
        for width in _with_random(RAGGED_WIDTHS, 48, 400):
            full = _up(width, TILE if width % TILE else PANEL)
            times = medians(seconds, *(training_step(f"{each}x{layers}x{rows}", isa) for each in (width, full)))
            ratio = times[0] / times[1] * _padded_work(full) / _padded_work(width)
            yield Row(f"{isa}, width {width} by {full}, {layers} layers", ratio, "ratio", RAGGED_WANTED, times)


def batches(seconds, width=128, layers=10):
    """Yield the time of a ragged batch by that of the batch rounded up to a tile, sample for sample."""
    for isa in simd_isas():
        for rows in _with_random(RAGGED_BATCHES, 17, 250):
            full = _up(rows, TILE)
            times = medians(seconds, *(training_step(f"{width}x{layers}x{each}", isa) for each in (rows, full)))
            ratio = times[0] / times[1] * full / rows
            yield Row(f"{isa}, batch {rows} by {full}, {width}x{layers}", ratio, "ratio", RAGGED_WANTED, times)
