"""Internal: what of the engine a network and its Trainers share.

`Engine` is a network that computes: its core network, and the plans of its passes. `Task` is a network with a loss and
an optimizer, as it is trained: nothing else in the package does steps. Neither knows of runs, records or files.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, _forward, _inference, losses, optim
from fastgrad._backward import read_gradients
from fastgrad._core_options import clip_options, optimizer_options
from fastgrad.clip import Clip, check_clip
from fastgrad.data import Data, checked_data, checked_inputs
from fastgrad.errors import Nonfinite, NotFittedError
from fastgrad.gradients import Gradients
from fastgrad.telemetry import Telemetry

Array = npt.NDArray[Any]


class Engine:
    """A network that computes.

    Attributes
    ----------
    network : _core.Network
    output_activation : str
    seed : int
    trainers : int
        How many have a number, which is that of their stream of random orders.
    """

    def __init__(
        self, isa: str, dtype: str, sizes: tuple[int, ...], activations: tuple[str, ...], bias: bool, seed: int
    ) -> None:
        self.network = _core.Network(isa, dtype, sizes, activations, bias)
        self.output_activation = activations[-1]
        self.seed = seed
        self.trainers = 0
        self._inference = _core.Plan(self.network, _forward.ROWS, "outputs")
        self._losses = _core.Plan(self.network, 1, "levels")
        self._gradients = _core.Plan(self.network, 1, "gradients")
        self._can_backward = False

    def forward(self, X: npt.ArrayLike, training: bool) -> Array:
        """Return the (n, n_outputs) outputs; where `training`, keep what `backward` needs."""
        inputs = checked_inputs(self.network, X)
        if not training:
            return _inference.true_outputs(self._inference, inputs)
        out = np.empty((len(inputs), self.network.sizes[-1]), self.network.dtype)
        with self.network:
            self._gradients.forward(inputs, out)
            self._can_backward = True
        return out

    def backward(self, dL_doutput: npt.ArrayLike) -> Gradients:
        """Return the gradients of what the last forward pass in training mode kept, once."""
        gradient = checked_inputs(self.network, dL_doutput, "dL_doutput", self.network.sizes[-1])
        with self.network:
            if not self._can_backward:
                raise ValueError("backward: got no forward pass, wants forward(X, training=True) before it")
            if len(gradient) != self._gradients.rows:
                raise ValueError(f"dL_doutput: got {len(gradient)} rows, wants {self._gradients.rows} as forward had")
            self._can_backward = False
            self._gradients.backward(gradient)
            return read_gradients(self._gradients, of_loss=False)

    def gradients(self, X: npt.ArrayLike, y: npt.ArrayLike, loss: str) -> tuple[float, Gradients]:
        """Return the loss of a batch and its gradients."""
        loss = losses.check_outputs(losses.check_loss(loss), self.network.sizes[-1])
        data = checked_data(self.network, loss, X, y)
        with self.network:
            self._can_backward = False
            value = self._gradients.gradients(data.X, data.y, loss)
            return value, read_gradients(self._gradients, of_loss=True)

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike, loss: str) -> float:
        """Return the loss of X and y as one batch."""
        loss = losses.check_outputs(losses.check_loss(loss), self.network.sizes[-1])
        return self.mean_loss(checked_data(self.network, loss, X, y), loss)

    def mean_loss(self, data: Data, loss: str) -> float:
        """Return the loss of checked data as one batch."""
        return _forward.mean_loss(self._losses, data, loss)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return what the network was trained to tell of each row."""
        loss, flat = self._trained("predict")
        told = _inference.told(self._inference, checked_inputs(self.network, X), loss)
        return told[:, 0] if flat else told

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return the probabilities that the network was trained to tell of each row."""
        loss, flat = self._trained("predict_proba")
        if loss not in ("cross_entropy", "binary_cross_entropy"):
            raise ValueError(f"predict_proba: got a network trained with {loss!r}, wants a cross-entropy loss")
        probabilities = _inference.probabilities(self._inference, checked_inputs(self.network, X), loss)
        return probabilities[:, 0] if flat else probabilities

    def _trained(self, method: str) -> tuple[str, bool]:
        with self.network:
            loss, flat = self.network.trained_loss, self.network.trained_flat
        if loss is None:
            raise NotFittedError(f"{method}: got a network that has not been trained; call fit first, or use forward")
        return loss, flat


class Options(NamedTuple):
    """What a network is to learn, and how."""

    loss: str
    optimizer: optim.Optimizer
    clip: Clip | None
    telemetry: Telemetry | None  # None where nothing is to be recorded
    check_finite: bool


def checked_options(
    engine: Engine,
    loss: str,
    optimizer: optim.Optimizer | str,
    clip: Clip | None,
    telemetry: object,
    check_finite: bool,
) -> Options:
    """Return the options of a Trainer, or of `fit`; `telemetry` may be True for the defaults, or False for none.

    Raises
    ------
    ValueError, TypeError
        One of them is bad, or the network could learn nothing from this loss.
    """
    return Options(
        losses.check_outputs(losses.check_loss(loss), engine.network.sizes[-1], engine.output_activation),
        optim.resolve(optimizer),
        check_clip(clip),
        _checked_telemetry(telemetry),
        _checks.boolean("check_finite", check_finite),
    )


def _checked_telemetry(telemetry: object) -> Telemetry | None:
    if isinstance(telemetry, Telemetry):
        return telemetry
    if not isinstance(telemetry, bool | np.bool_):
        raise TypeError(f"telemetry: got {_checks.shown(telemetry)}, wants True or False or a fastgrad.Telemetry")
    return Telemetry() if telemetry else None


class Task:
    """A network with a loss and an optimizer, whose state it has.

    Parameters
    ----------
    network : _core.Network
    options : Options
    window : int
        Steps that a unit is dead for before the statistic `dead` counts it.

    Attributes
    ----------
    lock : _core.Lock
        One step or pass at a time; entered before the network.
    nonfinite : Nonfinite or None
        Where the last step that was refused left the range.
    """

    def __init__(self, network: _core.Network, options: Options, window: int) -> None:
        self.network = network
        self.options = options
        self.lock = _core.Lock()
        self.nonfinite: Nonfinite | None = None
        self._loss = options.loss
        self._check_finite = options.check_finite
        optimizer, clip = optimizer_options(options.optimizer), clip_options(options.clip)
        self._training = _core.Training(network, optimizer, options.loss, clip)
        if options.telemetry is not None:
            self._training.watch(window)
        self._plan = _core.Plan(network, 1, "levels")

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return self._training.steps

    @property
    def clip_norm(self) -> float:
        """The norm that the last step's clip compared; NaN before the first, and unless it is a global norm."""
        return self._training.clip_norm

    def checked(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Data:
        """Return X and y for these steps."""
        return checked_data(self.network, self._loss, X, y, self._check_finite)

    def step(self, x: npt.ArrayLike, y: npt.ArrayLike, slots: Sequence[Array | None]) -> float:
        """Do a step, whose statistics go to the slot of its number, modulo that of the slots; the lock is held.

        Returns
        -------
        float
            The loss before the update.

        Raises
        ------
        _core.RefusedError
            The loss, which it has, or the update is not finite. Nothing has changed.
        """
        slot = slots[self._training.steps % len(slots)]
        loss = self._plan.step(x, y, self._training, slot, False, self._check_finite)
        if loss is None:
            data = self.checked(x, y)
            slot = slots[self._training.steps % len(slots)]
            loss = self._plan.step(data.X, data.y, self._training, slot, True, flat=data.flat)
        return loss

    def advance(
        self,
        data: Data,
        order: Array,
        batch_size: int,
        losses: Array,
        statistics: Array | None,
        first: int,
        keep: Callable[[], None],
    ) -> int:
        """Do some steps, in a call of the engine short enough for signals; the lock is held.

        Parameters
        ----------
        order : (n,) int64 array
            Rows of the data, those of each step after those of the one before.
        losses, statistics : arrays
            Where those of all these steps go, an entry for each.
        first : int
            The step that is next.
        keep : callable
            Records what has been done. Called at the end, whatever that is, and maybe twice: a signal may come
            anywhere, in the midst of this too. The network is held meanwhile, so that a copy, or a forked child, has
            what was noted of the steps done.

        Returns
        -------
        int
            The step that is next then.

        Raises
        ------
        _core.RefusedError
            As in `step`, of the step that was next; others before it have been done.
        """
        kept = self._training, losses, statistics
        with self.network:
            try:
                done = self._plan.steps(data.X, data.y, order, batch_size, *kept, first, data.flat)
                keep()
            except BaseException:
                keep()
                raise
            finally:
                self._plan.unrecorded = False
        return done

    def accuse(self) -> Nonfinite:
        """Return, and keep, where the step that was just refused left the range."""
        self.nonfinite = Nonfinite(self.steps, *self._plan.culprit)
        return self.nonfinite
