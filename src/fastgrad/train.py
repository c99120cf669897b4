"""Training: a Trainer couples a network with a loss and an optimizer, and counts the steps.

Loops over steps run inside the engine with the GIL released. Everything a step can get wrong about its data is found
before the engine is entered.
"""

from typing import NoReturn

import numpy.typing as npt

from fastgrad import _checks, _core, optim
from fastgrad._closed import closed
from fastgrad._inside import inside
from fastgrad.clip import Clip
from fastgrad.data import warn_of_reach
from fastgrad.engine import Task, checked_options
from fastgrad.errors import Nonfinite
from fastgrad.fitting import Runs
from fastgrad.history import History
from fastgrad.network import MLP
from fastgrad.telemetry import LayerStats, Telemetry

WINDOW = 100  # steps that a unit is dead for before `dead` counts it, but in fit, where it is an epoch's


@closed(cure="Loss, optimizer, learning rate and clip are fixed: make a new Trainer, whose optimizer starts afresh")
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
    clip : ClipValue, ClipNorm, ClipAdaptive, optional
        How gradients are cut down before the optimizer meets them and its weight decay; they are not unless given.
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
        net: MLP,
        loss: str,
        optimizer: optim.Optimizer | str = "adam",
        *,
        clip: Clip | None = None,
        telemetry: bool | Telemetry = True,
        check_finite: bool = True,
    ) -> None:
        if not isinstance(net, MLP):
            raise TypeError(f"net: got {type(net).__name__}, wants an MLP")
        engine = inside(net)
        self._net = net
        self._options = checked_options(engine, loss, optimizer, clip, telemetry, check_finite)
        self._task = Task(engine.network, self._options, WINDOW)
        self._runs = Runs(engine, self._task)
        self._lock = self._task.lock
        self._ring = self._runs.recorder.ring
        self._slots = self._ring.slots
        self._layers = engine.network.layers

    @property
    def net(self) -> MLP:
        """The network that is trained."""
        return self._net

    @property
    def loss(self) -> str:
        """The loss's name."""
        return self._options.loss

    @property
    def optimizer(self) -> optim.Optimizer:
        """The optimizer's numbers."""
        return self._options.optimizer

    @property
    def clip(self) -> Clip | None:
        """How gradients are cut down; None where they are not."""
        return self._options.clip

    @property
    def clip_norm(self) -> float:
        """Norm of the last step's gradient before `ClipNorm` cut it down, of all weights and biases together.

        It is that of the true gradient, inf where no float64 holds it. NaN before the first step, and unless `clip` is
        a ClipNorm of the whole network.
        """
        return self._task.clip_norm

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return self._task.steps

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
                return self._task.step(x, y, self._slots)
            except _core.RefusedError as refused:
                raise self._runs.divergence(refused.args[0], History(self._layers)) from None

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
        data = self._task.checked(X, y)
        if (steps is None) == (epochs is None):
            raise TypeError(f"steps, epochs: got {'neither' if steps is None else 'both'}, wants one of the two")
        steps = None if steps is None else _checks.integer("steps", steps, at_least=1, below=2**63)
        epochs = None if epochs is None else _checks.integer("epochs", epochs, at_least=1, below=2**63)
        shuffle = _checks.boolean("shuffle", shuffle)
        batch_size = min(_checks.integer("batch_size", batch_size, at_least=1), len(data))
        history = History(self._layers) if history is None else _checks.instance("history", history, History)
        warn_of_reach(data, self._net.activations[-1])
        if epochs is not None:
            return self._runs.epochs(history, data, epochs, batch_size, shuffle)
        return self._runs.steps(history, data, steps or 0, batch_size, shuffle)

    @property
    def stats(self) -> LayerStats:
        """Statistics of the last step, without a copy: valid until 32 more steps are done, and not during a `run`.

        Raises
        ------
        ValueError
            No step has been done, or the Trainer was made with ``telemetry=False``.
        """
        if self._options.telemetry is None:
            raise ValueError("stats: got a Trainer with telemetry=False, wants one that records statistics")
        if not self.steps:
            raise ValueError("stats: got a Trainer before its first step, wants one after it")
        return self._ring.last(self.steps)

    @property
    def history(self) -> History | None:
        """What the last `run` has recorded, be it that an error or Control-C ended it; None before."""
        return self._runs.history

    @property
    def nonfinite(self) -> Nonfinite | None:
        """Where the last step that was refused left the range; None while none has been."""
        return self._task.nonfinite

    def __reduce__(self) -> NoReturn:
        raise TypeError("Trainer: cannot be copied or pickled; copy its net, and make a new Trainer for that")

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Return the loss of X and y as one batch, changing nothing; see `MLP.evaluate`."""
        return self._net.evaluate(X, y, loss=self._options.loss)
