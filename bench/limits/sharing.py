"""What a second thread brings to a step, beside what it brings to bare multiply-adds."""

from concurrent.futures import ThreadPoolExecutor

import fastgrad as fg
from fastgrad import _core
from limits import Row, medians, threads, training_step

SHAPES = ("64x10x256", "128x20x128", "256x10x32", "256x10x256", "512x5x256", "1024x5x256")
SPEEDUP_WANTED = 1.8
TWO_CORES = 1.9  # of two threads' multiply-adds: below it the machine gives less than two cores, and nothing is wanted
ONE_CHAIN = 1e-6  # seconds: shorter than a chain of multiply-adds, so one is done
CHAINS = 20


def _peak_speedup(pool, seconds):
    """Return the speedup of twice the work on two threads, by the clock and not by each thread's own account."""
    isa = fg.cpu_info()["isa"]

    def chains(_):
        for _ in range(CHAINS):
            _core.fma_peak(isa, "float32", ONE_CHAIN)

    one, two = medians(seconds, *(lambda count=count: list(pool.map(chains, range(count))) for count in (1, 2)))
    return 2.0 * one / two


def _step_with(count, shape):
    step = training_step(shape)

    def run():
        fg.set_num_threads(count)
        return step()

    return run


def two_threads(seconds):
    """Yield the speedup of two threads over one; of nothing but multiply-adds first."""
    if fg.cpu_info()["default_threads"] < 2:
        return
    with ThreadPoolExecutor(2) as pool:
        peak = _peak_speedup(pool, seconds)
    yield Row("multiply-adds alone", peak, "speedup")
    wanted = SPEEDUP_WANTED if peak >= TWO_CORES else None
    for shape in SHAPES:
        with threads(1):  # which also undoes what the steps set
            one, two = times = medians(seconds, _step_with(1, shape), _step_with(2, shape))
        yield Row(f"step, {shape}", one / two, "speedup", wanted, times)
