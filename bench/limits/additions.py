"""What comes on top of a step's products: Adam's state, the statistics, and Python."""

import numpy as np

import fastgrad as fg
from limits import Row, medians, overhead_of, training_step

ADAM_SHAPE = "512x5x256"
ADAM_WANTED = 1.15
STATISTICS_WANTED = {
    "64x10x32": 1.15,
    "64x10x256": 1.08,
    "128x20x128": 1.08,
    "256x10x256": 1.03,
    "512x5x256": 1.03,
}
CALLS = 1000
STEP_WANTED = 2.0
LATENCY_WANTED = 3.0


def adam(seconds):
    """Yield the time of a step with Adam by that with SGD."""
    times = medians(seconds, *(training_step(ADAM_SHAPE, optimizer=each(lr=0.0)) for each in (fg.Adam, fg.SGD)))
    yield overhead_of(f"Adam by SGD, {ADAM_SHAPE}", times, ADAM_WANTED)


def statistics(seconds):
    """Yield the time of a step with statistics by that of one without."""
    for shape, wanted in STATISTICS_WANTED.items():
        times = medians(seconds, *(training_step(shape, telemetry=each) for each in (True, False)))
        yield overhead_of(f"with by without, {shape}", times, wanted)


def python(seconds):
    """Yield the microseconds that a call of `step` adds to a step of `run`, and those of a single row's `forward`."""
    x, y = np.ones((CALLS, 4), np.float32), np.ones((CALLS, 1), np.float32)
    stepped, run = (fg.Trainer(fg.MLP([4, 1, 1], seed=1), loss="mse", optimizer=fg.SGD(lr=0.0)) for _ in range(2))
    row, target = x[:1], y[:1]

    def step_by_step():
        for _ in range(CALLS):
            stepped.step(row, target)

    def in_one_call():
        run.run(x, y, steps=CALLS, batch_size=1, shuffle=False)

    each = tuple(taken / CALLS for taken in medians(seconds, step_by_step, in_one_call))
    yield Row("step beyond run, 4-1-1, batch 1", (each[0] - each[1]) * 1e6, "us", STEP_WANTED, each)

    net = fg.MLP([64] * 5, seed=1)
    single = np.ones((1, 64), np.float32)

    def forwards():
        for _ in range(CALLS):
            net.forward(single)

    (latency,) = medians(seconds / 2, forwards)
    yield Row("forward, 4 layers of 64, batch 1", latency / CALLS * 1e6, "us", LATENCY_WANTED, (latency / CALLS,))
