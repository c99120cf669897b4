"""Training: a Trainer couples a network with a loss and an optimizer, and counts the steps.

Loops over steps run inside the engine with the GIL released. Everything a step can get wrong about its data is found
before the engine is entered.
"""

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, losses, optim
from fastgrad.batches import checked_inputs, checked_targets
from fastgrad.errors import DivergenceError
from fastgrad.telemetry import RECORD, History, LayerStats

if TYPE_CHECKING:
    from fastgrad.network import MLP

Array = npt.NDArray[Any]
Data = tuple[Array, Array, bool]  # inputs and targets as the engine reads them; whether the targets came as a vector

RING = 32
WINDOW = 100  # steps that a unit is dead for before `dead` counts it, but in fit, where it is an epoch's
_FIRST_SHUFFLE_STREAM = 2**63  # beyond the number of any layer


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
    telemetry : bool
        Record the statistics of every layer at every step. Without, there are no `stats`, the telemetry of histories
        stays empty, and only what certifies an update before it is applied is measured: the norms of activations,
        deltas, weights and update. Weights, losses and the optimizer's state are the same to the bit.

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
        self, net: "MLP", loss: str, optimizer: optim.Optimizer | str = "adam", *, telemetry: bool = True
    ) -> None:
        if not hasattr(net, "new_trainer"):
            raise TypeError(f"net: got {type(net).__name__}, wants an MLP")
        self._net = net
        self._loss = losses.check_loss(loss)
        self._optimizer = optim.resolve(optimizer)
        self._telemetry = _checks.boolean("telemetry", telemetry)
        self._network, stream = net.new_trainer()
        self._state = _core.Optimizer(self._network, optim.core_options(self._optimizer))
        self._watch(WINDOW)
        self._lock = threading.RLock()  # one step or pass at a time
        self._plan = _core.Plan(self._network, 1, "training")
        self._ring = np.full((RING if self._telemetry else 0, len(RECORD), self._network.layers), math.nan)
        self._slots: list[Array | None] = list(self._ring[:, np.newaxis]) or [None] * RING
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
                loss = self._plan.step(x, y, self._loss, self._state, self._liveness, self._next_slot())
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
        return DivergenceError(self.steps, loss, history, *self._plan.culprit, recent)

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
            Where to add these steps; a new one unless given. All of its steps have telemetry, or none has.

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
        """
        data = self._checked(X, y)
        shuffle = _checks.boolean("shuffle", shuffle)
        left = _checks.integer("steps", steps, at_least=1)
        batch_size = min(_checks.integer("batch_size", batch_size, at_least=1), len(data[0]))
        if history is None:
            history = History(self._network.layers)
        if len(history) and self._telemetry != bool(len(history.telemetry)):
            has = "without" if self._telemetry else "with"
            raise ValueError(
                f"history: got steps {has} telemetry, wants them as this Trainer's telemetry={self._telemetry}"
            )
        while left:
            wanted = min(left, -(-len(data[0]) // batch_size))
            self._pass_over(data, batch_size, wanted, shuffle, history)
            left -= wanted
        return history

    def _epoch(self, data: Data, batch_size: int, shuffle: bool, history: History) -> float:
        """Pass once over checked data; return the mean loss over its samples (their sum for "l2_norm")."""
        samples = len(data[0])
        steps = -(-samples // batch_size)
        values = self._pass_over(data, batch_size, steps, shuffle, history)
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

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Return the loss of X and y as one batch, changing nothing; see `MLP.evaluate`."""
        return self._net.evaluate(X, y, loss=self._loss)

    def _checked(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Data:
        inputs = checked_inputs(self._network, x)
        return inputs, checked_targets(self._network, self._loss, y, len(inputs)), np.ndim(y) == 1

    def _pass_over(self, data: Data, batch_size: int, steps: int, shuffle: bool, history: History) -> Array:
        """Do one pass, in calls of the engine short enough for signals; what was done is recorded whatever ends it."""
        with self._lock:
            return self._pass_over_alone(data, batch_size, steps, shuffle, history)

    def _pass_over_alone(self, data: Data, batch_size: int, steps: int, shuffle: bool, history: History) -> Array:
        X, y, flat = data
        rows = min(len(X), steps * batch_size)
        order = self._shuffler.permutation(len(X))[:rows] if shuffle else np.arange(rows)
        values = np.empty(steps)
        statistics = np.empty((steps, *self._ring.shape[1:])) if self._telemetry else None
        done, tried = 0, -1
        before = self.steps
        try:
            while done < steps and done != tried:
                tried = done
                kept = (self._state, self._liveness, values, statistics)
                done = self._plan.steps(X, y, order, batch_size, self._loss, *kept, done)
        finally:
            done = self.steps - before  # a signal may have come between the steps and their count
            if done:
                self._net.remember_training(self._loss, flat)
            history.append_chunk(values[:done], None if statistics is None else statistics[:done])
            if statistics is not None:
                for back in range(1, min(RING, done) + 1):
                    self._ring[(self.steps - back) % RING] = statistics[done - back]
        if done < steps:
            raise self._divergence(float(values[done]), history)
        return values
