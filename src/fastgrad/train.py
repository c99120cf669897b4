"""Training: a Trainer couples a network with a loss and an optimizer, and counts the steps.

Loops over steps run inside the engine with the GIL released. Everything a step can get wrong about its data is found
before the engine is entered.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, losses, optim
from fastgrad.batches import checked_inputs, checked_targets
from fastgrad.errors import DivergenceError, Nonfinite
from fastgrad.history import Epoch, History
from fastgrad.telemetry import RECORD, LayerStats, Telemetry, resolve

if TYPE_CHECKING:
    from fastgrad.network import MLP

Array = npt.NDArray[Any]
Data = tuple[Array, Array, bool]  # inputs and targets as the engine reads them; whether the targets came as a vector

RING = 32
_PIECE_BYTES = 1 << 20
WINDOW = 100  # steps that a unit is dead for before `dead` counts it, but in fit, where it is an epoch's
_FIRST_SHUFFLE_STREAM = 2**63  # beyond the number of any layer


class _Start(NamedTuple):
    """Where a piece of a run starts: as a step of the history, of the Trainer, and after what waits for the file."""

    of_history: int
    step: int
    waiting: int


class Trainer:
    """Trains a network step by step.

    Parameters
    ----------
    net : MLP
        Trained in place. Its weights may be replaced between steps.
    loss : str
        One of `fastgrad.losses.LOSSES`.
    optimizer : SGD, Adam, AdamW, RMSprop or str
        Its state lives in the Trainer.
    telemetry : bool or Telemetry
        How to record the statistics of every layer; True is ``Telemetry()``. With False there are no `stats`, the
        telemetry of histories stays empty, and only what certifies an update before it is applied is measured: the
        norms of activations, deltas, weights and update. Weights, losses and the optimizer's state are the same to the
        bit.
    check_finite : bool
        Search X and y for entries that are not finite before anything else is done. With False they are not searched,
        which saves a pass over them; the step that meets such an entry is refused all the same, with a DivergenceError
        that names it. Their shapes and dtypes, labels, and the range of targets are checked either way.

    Raises
    ------
    ValueError, TypeError
        Unknown loss or optimizer, or an argument of the wrong type.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> net = fg.MLP([3, 8, 1], activation="tanh", seed=1)
    >>> trainer = fg.Trainer(net, loss="mse", optimizer=fg.SGD(lr=0.1))
    >>> x = np.ones((4, 3), dtype=np.float32)
    >>> first = trainer.step(x, np.zeros((4, 1)))
    >>> trainer.step(x, np.zeros((4, 1))) < first
    True
    >>> trainer.stats.grad_norm.shape
    (2,)
    """

    def __init__(
        self,
        net: "MLP",
        loss: str,
        optimizer: optim.Optimizer | str = "adam",
        *,
        telemetry: bool | Telemetry = True,
        check_finite: bool = True,
    ) -> None:
        if not hasattr(net, "new_trainer"):
            raise TypeError(f"net: got {type(net).__name__}, wants an MLP")
        self._net = net
        self._loss = losses.check_loss(loss)
        self._optimizer = optim.resolve(optimizer)
        self._telemetry = resolve(telemetry)
        self._check_finite = _checks.boolean("check_finite", check_finite)
        self._network, stream = net.new_trainer()
        self._state = _core.Optimizer(self._network, optim.core_options(self._optimizer))
        self._watch(WINDOW)
        self._lock = threading.RLock()  # one step or pass at a time
        self._plan = _core.Plan(self._network, 1, "training")
        self._nonfinite: Nonfinite | None = None
        self._file = None if self._telemetry is None else self._telemetry.stream(self._network.layers)
        self._ring = np.full((RING if self._telemetry else 0, len(RECORD), self._network.layers), math.nan)
        self._slots: list[Array | None] = list(self._ring[:, np.newaxis]) or [None] * RING
        self._buffers = np.empty(0), self._ring[:0]
        key = np.array([net.seed, _FIRST_SHUFFLE_STREAM + stream], np.uint64)
        self._shuffler = np.random.Generator(np.random.Philox(key=key))

    def _watch(self, window: int) -> None:
        """Count a unit as dead, from the next step on, once it has been so for `window` steps."""
        self._liveness = _core.Liveness(self._network, window) if self._telemetry else None

    @property
    def net(self) -> "MLP":
        """The network that is trained."""
        return self._net

    @property
    def loss(self) -> str:
        """The loss's name."""
        return self._loss

    @property
    def optimizer(self) -> optim.Optimizer:
        """The optimizer's numbers."""
        return self._optimizer

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return self._state.steps

    def step(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Do one forward pass, backward pass and update.

        Parameters
        ----------
        x : (n, n_features) array_like
            Finite. Passed on without a copy where it is C-contiguous and of the network's dtype.
        y : array_like
            Targets as `fastgrad.losses.check_targets` takes them.

        Returns
        -------
        float
            Loss of the batch before the update.

        Raises
        ------
        ValueError, TypeError
            Bad data; nothing has changed.
        DivergenceError
            The loss or the update is not finite; nothing has changed.
        """
        with self._lock:
            flat = False
            try:
                loss = self._plan.step(
                    x,
                    y,
                    self._loss,
                    self._state,
                    self._liveness,
                    self._next_slot(),
                    check_finite=self._check_finite,
                )
                if loss is None:
                    inputs, targets, flat = self._checked(x, y)
                    data = (inputs, targets, self._loss, self._state, self._liveness, self._next_slot())
                    loss = self._plan.step(*data, True)
            except _core.RefusedError as refused:
                raise self._divergence(refused.args[0], History(self._network.layers)) from None
            self._net.remember_training(self._loss, flat)
            return loss

    def _divergence(self, loss: float, history: History) -> DivergenceError:
        recorded = range(max(0, self.steps - RING), self.steps) if self._telemetry else ()
        recent = tuple(LayerStats(self._ring[step % RING].copy(), step) for step in recorded)
        self._nonfinite = Nonfinite(self.steps, *self._plan.culprit)
        return DivergenceError(self._nonfinite, loss, history, recent)

    def _next_slot(self) -> Array | None:
        return self._slots[self._state.steps % RING]

    def run(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        steps: int,
        batch_size: int = 32,
        shuffle: bool = True,
        history: History | None = None,
    ) -> History:
        """Do many steps in one call, passing over the data as often as it takes.

        Parameters
        ----------
        X, y : array_like
            As in `step`; the whole data set.
        steps : int
            >= 1.
        batch_size : int
            >= 1. The last batch of a pass may be shorter.
        shuffle : bool
            Draw a new order for each pass, from the network's seed.
        history : History, optional
            Where to add these steps; a new one unless given. All of its steps are recorded alike, or none is.

        Returns
        -------
        History
            Loss and statistics of the steps; `history` where it was given.

        Raises
        ------
        ValueError, TypeError
            Bad data or arguments; nothing has changed.
        DivergenceError
            A loss or an update is not finite; the weights are those before that step.
        OSError
            The telemetry's file cannot be written; the history has all steps done.
        """
        data = self._checked(X, y)
        shuffle = _checks.boolean("shuffle", shuffle)
        left = _checks.integer("steps", steps, at_least=1, below=2**63)
        batch_size = min(_checks.integer("batch_size", batch_size, at_least=1), len(data[0]))
        history = History(self._network.layers) if history is None else _checks.instance("history", history, History)
        with self._recording(history):
            while left:
                wanted = min(left, -(-len(data[0]) // batch_size))
                self._pass_over(data, batch_size, wanted, shuffle, history)
                left -= wanted
        return history

    def _epochs(
        self, data: Data, epochs: int, batch_size: int, shuffle: bool, held_out: tuple[Array, Array] | None, tell: bool
    ) -> History:
        """Pass over checked data so many times, and print a line for each where `tell`."""
        history = History(self._network.layers)
        with self._recording(history):
            for epoch in range(epochs):
                start = time.perf_counter()
                mean = self._epoch(data, batch_size, shuffle, history)
                validation = None if held_out is None else self.evaluate(*held_out)
                history.epochs.append(Epoch(epoch, mean, validation, time.perf_counter() - start))
                if tell:
                    print(history.epochs[-1].line(epochs, len(data[0])), flush=True)
        return history

    def _epoch(self, data: Data, batch_size: int, shuffle: bool, history: History) -> float:
        """Pass once over checked data; return the mean loss over its samples (their sum for "l2_norm")."""
        samples = len(data[0])
        steps = -(-samples // batch_size)
        self._pass_over(data, batch_size, steps, shuffle, history)
        values = history.loss[-steps:]
        sizes = np.full(steps, batch_size)
        sizes[-1] = samples - batch_size * (steps - 1)
        return float(values.sum() if self._loss == "l2_norm" else values @ sizes / samples)

    @property
    def stats(self) -> LayerStats:
        """Statistics of the last step, without a copy: valid until 32 more steps are done, and not during a `run`.

        Raises
        ------
        ValueError
            No step has been done, or the Trainer was made with ``telemetry=False``.
        """
        if not self._telemetry:
            raise ValueError("stats: got a Trainer with telemetry=False, wants one that records statistics")
        if not self.steps:
            raise ValueError("stats: got a Trainer before its first step, wants one after it")
        last = self.steps - 1
        return LayerStats(self._ring[last % RING], last)

    @property
    def nonfinite(self) -> Nonfinite | None:
        """Where the last step that was refused left the range; None while none has been."""
        return self._nonfinite

    def __reduce__(self) -> NoReturn:
        raise TypeError("Trainer: cannot be copied or pickled; copy its net, and make a new Trainer for that")

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Return the loss of X and y as one batch, changing nothing; see `MLP.evaluate`."""
        return self._net.evaluate(X, y, loss=self._loss)

    def _checked(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Data:
        inputs = checked_inputs(self._network, x, check_finite=self._check_finite)
        targets = checked_targets(self._network, self._loss, y, len(inputs), self._check_finite)
        return inputs, targets, np.ndim(y) == 1

    @contextmanager
    def _recording(self, history: History) -> Iterator[None]:
        """Record steps in `history`; whatever ends them, the file is left with all of them."""
        with history.one_writer():
            history.prepare(self._network.layers, self._telemetry)
            try:
                yield
            except BaseException as error:
                try:
                    self._write_file()
                except OSError as failure:
                    error.add_note(f"The telemetry's file could not be written either: {failure}")
                raise
            self._write_file()

    def _write_file(self) -> None:
        if self._file is not None:
            with self._lock:
                self._file.write()

    def _pass_over(self, data: Data, batch_size: int, steps: int, shuffle: bool, history: History) -> None:
        """Do one pass, in pieces whose statistics fit a buffer."""
        with self._lock:
            samples = len(data[0])
            rows = min(samples, steps * batch_size)
            order = self._shuffler.permutation(samples)[:rows] if shuffle else np.arange(rows)
            piece = self._make_room(steps) * batch_size
            for start in range(0, rows, piece):
                self._do_piece(data, order[start : start + piece], batch_size, history)

    def _make_room(self, steps: int) -> int:
        """Have buffers for the losses and statistics of that many steps, or of so many as a piece may have."""
        most = max(RING, _PIECE_BYTES // (8 + self._ring[0].nbytes if self._telemetry else 8))
        steps = min(steps, most)
        if steps > len(self._buffers[0]):
            shape = (steps if self._telemetry else 0, *self._ring.shape[1:])
            self._buffers = np.empty(steps), np.empty(shape)
        return steps

    def _do_piece(self, data: Data, order: Array, batch_size: int, history: History) -> None:
        """Do steps in calls of the engine short enough for signals; what was done is recorded whatever ends it."""
        X, y, flat = data
        steps = -(-len(order) // batch_size)
        values = self._buffers[0][:steps]
        statistics = self._buffers[1][:steps] if self._telemetry else None
        start = _Start(len(history), self.steps, 0 if self._file is None else len(self._file))
        done, tried = 0, -1
        try:
            try:
                while done < steps and done != tried:
                    tried = done
                    kept = (self._state, self._liveness, values, statistics)
                    done = self._plan.steps(X, y, order, batch_size, self._loss, *kept, done)
                self._keep(history, start, flat)
            except BaseException:  # a signal may have come anywhere, in the midst of this too
                self._keep(history, start, flat)
                raise
        finally:
            if self._file is not None:
                self._file.write_if_enough()
        if done < steps:
            raise self._divergence(float(values[done]), history)

    def _keep(self, history: History, start: _Start, flat: bool) -> None:
        """Record the steps done since `start`; to do it twice is to do it once."""
        done = self.steps - start.step
        losses, statistics = self._buffers[0][:done], self._buffers[1][:done]
        if not done:
            return
        self._net.remember_training(self._loss, flat)
        history.append_chunk(losses, statistics if self._telemetry else None, start.of_history)
        if self._file is not None:
            self._file.put(start.waiting, start.of_history, statistics)
        recent = statistics[-RING:]
        slot = (self.steps - len(recent)) % RING
        self._ring[slot : slot + len(recent)] = recent[: RING - slot]
        self._ring[: max(0, slot + len(recent) - RING)] = recent[RING - slot :]
