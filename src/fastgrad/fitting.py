"""Internal: runs over whole data sets, in steps or in epochs, for `MLP.fit` and `Trainer.run` alike.

A run is done in pieces whose records fit a buffer, and a piece in calls of the engine short enough for signals. What
was done is recorded whatever ends it. Arguments are checked elsewhere.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np

from fastgrad import _core
from fastgrad._passes import Order, Passes
from fastgrad._piece import Buffers, Start
from fastgrad._recorder import Recorder
from fastgrad._rows import commit
from fastgrad.data import Data
from fastgrad.engine import Engine, Task
from fastgrad.errors import DivergenceError
from fastgrad.history import Epoch, History
from fastgrad.sinks import Recording

_FIRST_SHUFFLE_STREAM = 2**63  # beyond the number of any layer


class _Run(NamedTuple):
    """What stays as it is in a run."""

    data: Data
    batch_size: int
    shuffle: bool
    history: History
    recording: Recording


class Runs:
    """The runs of one Trainer: how far they have come in their data, and where their steps are kept.

    Parameters
    ----------
    engine : Engine
    task : Task
        Of the engine's network.

    Attributes
    ----------
    recorder : Recorder
    history : History or None
        What the last run has recorded.
    """

    def __init__(self, engine: Engine, task: Task) -> None:
        layers, telemetry = engine.network.layers, task.options.telemetry
        self._engine, self._task = engine, task
        self.recorder = Recorder(layers, telemetry, task.lock)
        self.history: History | None = None
        self._buffers = Buffers(layers, telemetry is not None)
        self._passes: Passes | None = None  # before the first: what is refused draws no order

    def steps(self, history: History, data: Data, steps: int, batch_size: int, shuffle: bool) -> History:
        """Do so many steps, from where the last run stopped, as `Trainer.run` says."""
        with self._recording(history) as recording:
            run = _Run(data, batch_size, shuffle, history, recording)
            while steps:
                steps -= self._pass_over(run, steps)
        return history

    def epochs(
        self,
        history: History,
        data: Data,
        epochs: int,
        batch_size: int,
        shuffle: bool,
        held_out: Data | None = None,
        tell: bool = False,
    ) -> History:
        """Pass over the data so many times, and print a line for each where `tell`."""
        with self._recording(history) as recording:
            run = _Run(data, batch_size, shuffle, history, recording)
            for epoch in range(len(history.epochs), len(history.epochs) + epochs):
                start = time.perf_counter()
                mean = self._epoch(run)
                validation = None if held_out is None else self._engine.mean_loss(held_out, self._task.options.loss)
                history.epochs.append(Epoch(epoch, mean, validation, time.perf_counter() - start))
                if tell:
                    print(history.epochs[-1].line(epochs, len(data)), flush=True)
        return history

    def divergence(self, loss: float, history: History) -> DivergenceError:
        """Return the error for the step that was just refused."""
        return DivergenceError(self._task.accuse(), loss, history, self.recorder.ring.recent(self._task.steps))

    @contextmanager
    def _recording(self, history: History) -> Iterator[Recording]:
        with self.recorder.recording(history) as recording:
            self.history = history
            yield recording

    def _numbered_passes(self) -> Passes:
        """Return the passes of this Trainer, which takes its number before the first."""
        engine = self._engine
        while self._passes is None:
            with engine.network:
                key = np.array([engine.seed, _FIRST_SHUFFLE_STREAM + engine.trainers], np.uint64)
                commit([(self, "_passes", Passes(key)), (engine, "trainers", engine.trainers + 1)])
        return self._passes

    def _epoch(self, run: _Run) -> float:
        """Pass once over the data; return the mean loss over its samples (their sum for "l2_norm")."""
        samples = len(run.data)
        with self._task.lock:
            self._numbered_passes().begin()
            steps = self._pass_over(run, samples)
        values = run.history.loss[-steps:]
        sizes = np.full(steps, run.batch_size)
        sizes[-1] = samples - run.batch_size * (steps - 1)
        return float(values.sum() if self._task.options.loss == "l2_norm" else values @ sizes / samples)

    def _pass_over(self, run: _Run, most: int) -> int:
        """Do the next steps of the pass, at most so many; return how many."""
        with self._task.lock:
            order = self._numbered_passes().coming(len(run.data), run.batch_size, run.shuffle, most)
            steps = -(-len(order) // run.batch_size)
            piece = self._buffers.make_room(steps) * run.batch_size
            for start in range(0, len(order), piece):
                self._do_piece(run, order[start : start + piece])
            return steps

    def _do_piece(self, run: _Run, order: Order) -> None:
        steps = -(-len(order) // run.batch_size)
        losses, statistics = self._buffers.of(slice(steps))
        done = 0
        while done < steps:
            run.recording.reserve(steps - done)
            start = Start(done, len(run.history), self._task.steps, self._numbered_passes().done)
            keep = partial(self._keep, run.recording, start)
            try:
                done = self._task.advance(run.data, order, run.batch_size, losses, statistics, done, keep)
            except _core.RefusedError as refused:
                raise self.divergence(refused.args[0], run.history) from None
        run.recording.settle()

    def _keep(self, recording: Recording, start: Start) -> None:
        """Record the steps done since `start`; to do it twice is to do it once."""
        done = self._task.steps - start.of_trainer
        if done:
            self._numbered_passes().move_to(start.of_pass + done)
            recording.keep(self._buffers.chunk(start, done))
