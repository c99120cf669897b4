"""Training: a Trainer couples a network with a loss and an optimizer, and counts the steps.

Loops over steps run inside the engine with the GIL released. Everything a step can get wrong about its data is found
before the engine is entered.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, losses, optim
from fastgrad._closed import closed
from fastgrad._piece import Buffers, Start
from fastgrad._ring import RING, Ring
from fastgrad._rows import Change, commit
from fastgrad.batches import checked_inputs, checked_targets
from fastgrad.errors import DivergenceError, Nonfinite
from fastgrad.history import Epoch, History
from fastgrad.passes import Passes
from fastgrad.telemetry import LayerStats, Telemetry, resolve

if TYPE_CHECKING:
    from fastgrad.network import MLP

Array = npt.NDArray[Any]
Data = tuple[Array, Array, bool]  # inputs and targets as the engine reads them; whether the targets came as a vector

WINDOW = 100  # steps that a unit is dead for before `dead` counts it, but in fit, where it is an epoch's
_FIRST_SHUFFLE_STREAM = 2**63  # beyond the number of any layer


@closed(cure="Loss, optimizer and learning rate are fixed: make a new Trainer, whose optimizer starts afresh")
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
        Unknown loss or optimizer, an argument of the wrong type, or a network that could learn nothing from this loss:
        see `fastgrad.losses.check_outputs`.

    Warns
    -----
    DoubtfulNetworkWarning
        An activation stands before a loss on logits, and limits them.

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
        from fastgrad.network import MLP

        if not isinstance(net, MLP):
            raise TypeError(f"net: got {type(net).__name__}, wants an MLP")
        self._net = net
        self._loss = losses.check_outputs(losses.check_loss(loss), net.sizes[-1], net.activations[-1])
        self._optimizer = optim.resolve(optimizer)
        self._telemetry = resolve(telemetry)
        self._check_finite = _checks.boolean("check_finite", check_finite)
        self._network = net._network
        self._state = _core.Optimizer(self._network, optim.core_options(self._optimizer))
        self._watch(WINDOW)
        self._lock = _core.Lock()  # one step or pass at a time; entered before the network
        self._plan = _core.Plan(self._network, 1, "training")
        self._nonfinite: Nonfinite | None = None
        self._history: History | None = None
        self._file = None if self._telemetry is None else self._telemetry.stream(self._network.layers)
        self._ring = Ring(self._network.layers, self._telemetry is not None)
        self._buffers = Buffers(self._network.layers, self._telemetry is not None)
        self._passes: Passes | None = None  # before the first: what is refused draws no order

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
                    loss = self._plan.step(*data, True, flat=flat)
            except _core.RefusedError as refused:
                raise self._divergence(refused.args[0], History(self._network.layers)) from None
            return loss

    def _divergence(self, loss: float, history: History) -> DivergenceError:
        recent = self._ring.recent(self.steps) if self._telemetry else ()
        self._nonfinite = Nonfinite(self.steps, *self._plan.culprit)
        return DivergenceError(self._nonfinite, loss, history, recent)

    def _next_slot(self) -> Array | None:
        return self._ring.slots[self._state.steps % RING]

    def run(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        history: History | None = None,
    ) -> History:
        """Do many steps in one call, passing over the data as often as it takes.

        A run counted in steps goes on where the last one stopped in the midst of a pass, be it because its steps were
        done, by an error or by a signal: after the last step done, so that one that was refused is met again. In a loop
        it does what a single call with all the steps does, to the bit. Another number of rows, `batch_size` or
        `shuffle` begins a new pass, and so does a run counted in epochs. `step` leaves the place where it is.

        Parameters
        ----------
        X, y : array_like
            As in `step`; the whole data set.
        steps, epochs : int
            One of the two, >= 1: how many batches are met, or how many whole passes, each of which then is an entry of
            the history's `epochs`.
        batch_size : int
            >= 1. The last batch of a pass may be shorter.
        shuffle : bool
            Draw a new order for each pass, from the network's seed: 8 bytes a row, kept until the pass is over.
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

        Warns
        -----
        DoubtfulNetworkWarning
            The mean of the targets is beyond the reach of the output activation.
        """
        data = self._checked(X, y)
        if (steps is None) == (epochs is None):
            raise TypeError(f"steps, epochs: got {'neither' if steps is None else 'both'}, wants one of the two")
        steps = None if steps is None else _checks.integer("steps", steps, at_least=1, below=2**63)
        epochs = None if epochs is None else _checks.integer("epochs", epochs, at_least=1, below=2**63)
        shuffle = _checks.boolean("shuffle", shuffle)
        batch_size = min(_checks.integer("batch_size", batch_size, at_least=1), len(data[0]))
        history = History(self._network.layers) if history is None else _checks.instance("history", history, History)
        losses.warn_of_reach(data[1], self._net.activations[-1])
        if epochs is not None:
            return self._epochs(history, data, epochs, batch_size, shuffle)
        left = steps or 0
        with self._recording(history):
            while left:
                left -= self._pass_over(data, batch_size, left, shuffle, history)
        return history

    def _epochs(
        self,
        history: History,
        data: Data,
        epochs: int,
        batch_size: int,
        shuffle: bool,
        held_out: tuple[Array, Array] | None = None,
        tell: bool = False,
    ) -> History:
        """Pass over checked data so many times, and print a line for each where `tell`."""
        with self._recording(history):
            for epoch in range(len(history.epochs), len(history.epochs) + epochs):
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
        with self._lock:
            self._numbered_passes().begin()
            steps = self._pass_over(data, batch_size, samples, shuffle, history)
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
        return self._ring.last(self.steps)

    @property
    def history(self) -> History | None:
        """What the last `run` has recorded, be it that an error or Control-C ended it; None before."""
        return self._history

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
        with history.one_writer(), nullcontext() if self._file is None else self._file.owned(self._lock):
            history.prepare(self._network.layers, self._telemetry)
            self._history = history
            with history.noted():
                try:
                    yield
                except BaseException as error:
                    try:
                        self._write_file()
                    except (OSError, MemoryError) as failure:
                        error.add_note(f"The telemetry's file could not be written either: {failure}")
                    raise
                self._write_file()

    def with_number(self, number: int) -> list[Change]:
        """Return what makes this the Trainer of that number, which is that of its stream of random orders."""
        return [(self, "_passes", Passes(np.array([self._net.seed, _FIRST_SHUFFLE_STREAM + number], np.uint64)))]

    def _numbered_passes(self) -> Passes:
        while self._passes is None:
            self._net.number(self)
        return self._passes

    def _write_file(self) -> None:
        if self._file is not None:
            with self._lock:
                self._file.write()

    def _pass_over(self, data: Data, batch_size: int, most: int, shuffle: bool, history: History) -> int:
        """Do the next steps of the pass, at most so many, in pieces whose statistics fit a buffer; return how many."""
        with self._lock:
            order = self._numbered_passes().coming(len(data[0]), batch_size, shuffle, most)
            steps = -(-len(order) // batch_size)
            piece = self._buffers.make_room(steps) * batch_size
            for start in range(0, len(order), piece):
                self._do_piece(data, order[start : start + piece], batch_size, history)
            return steps

    def _do_piece(self, data: Data, order: Array, batch_size: int, history: History) -> None:
        """Do steps in calls of the engine short enough for signals; what was done is recorded whatever ends it."""
        X, y, flat = data
        steps = -(-len(order) // batch_size)
        values = self._buffers.losses[:steps]
        statistics = self._buffers.statistics[:steps] if self._telemetry else None
        done = 0
        while done < steps:
            self._reserve(history, steps - done)
            start = Start(done, len(history), self.steps, self._numbered_passes().done)
            with self._network:  # so that a copy, or a forked child, has what was noted of the steps done
                try:
                    kept = (self._state, self._liveness, values, statistics)
                    done = self._plan.steps(X, y, order, batch_size, self._loss, *kept, done, flat)
                    self._keep(history, start)
                except BaseException:  # a signal may have come anywhere, in the midst of this too
                    self._keep(history, start)
                    raise
                finally:
                    self._plan.unrecorded = False
            if done == start.of_piece:
                raise self._divergence(float(values[done]), history)
        if self._file is not None:
            self._file.write_if_enough()

    def _reserve(self, history: History, steps: int) -> None:
        """Have memory for the record of so many more steps: to keep them will need none."""
        history.reserve(steps, self._telemetry is not None)
        if self._file is not None:
            self._file.reserve(steps)

    def _keep(self, history: History, start: Start) -> None:
        """Record the steps done since `start`; to do it twice is to do it once."""
        done = self.steps - start.of_trainer
        if not done:
            return
        new = slice(start.of_piece, start.of_piece + done)
        losses, statistics = self._buffers.losses[new], self._buffers.statistics[new] if self._telemetry else None
        self._numbered_passes().move_to(start.of_pass + done)
        if len(history) == start.of_history:
            changes = history.with_chunk(losses, statistics, start.of_history)
            if self._file is not None and statistics is not None:
                changes += self._file.with_steps(start.of_history, statistics)
            commit(changes)
        if statistics is not None:
            self._ring.put(self.steps, statistics)
