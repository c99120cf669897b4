"""What can go wrong beyond bad arguments, which are ValueError and TypeError."""

import math
from typing import NamedTuple

from fastgrad._closed import VALUE, closed
from fastgrad.history import History
from fastgrad.telemetry import LayerStats


class NotFittedError(ValueError, AttributeError):
    """A prediction was asked of a network that has not been trained.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.MLP([2, 1]).predict([[0.0, 0.0]])
    Traceback (most recent call last):
        ...
    fastgrad.errors.NotFittedError: predict: got a network that has not been trained; call fit first, or use forward
    """


class DoubtfulNetworkWarning(UserWarning):
    """A network can hardly learn, or tell, what it is asked for, though somebody could mean it so."""


@closed(cure=VALUE)
class Nonfinite(NamedTuple):
    """Where a step that was refused first left the range of the network's dtype.

    Attributes
    ----------
    step : int
        Number of the step, counted from 0 in the Trainer's life.
    layer : int
    tensor : str
        What of the layer it was, in the order of computation: "input", "weights", "bias", "output", "target", "loss",
        "delta" (dL/dz) or "update".
    count : int or None
        How many of its entries are not finite, over all rows of the batch. None for a loss, which is one number, and
        for an update, which is not kept.
    sample : int or None
        The first row of the batch that has such an entry, as a row of the X that was given to the step, run or fit.
        None where rows are not samples: for weights, bias, loss and update.

    Examples
    --------
    >>> import fastgrad as fg
    >>> print(fg.Nonfinite(step=7, layer=0, tensor="input", count=2, sample=31))
    the input of layer 0 (2 entries, first in row 31 of X)
    """

    step: int
    layer: int
    tensor: str
    count: int | None  # type: ignore[assignment]  # in place of tuple.count
    sample: int | None

    def __str__(self) -> str:
        details = [] if self.count is None else [f"{self.count} {'entry' if self.count == 1 else 'entries'}"]
        if self.sample is not None:
            details.append(f"first in row {self.sample} of {'y' if self.tensor == 'target' else 'X'}")
        return f"the {self.tensor} of layer {self.layer}" + (f" ({', '.join(details)})" if details else "")


class DivergenceError(ArithmeticError):
    """The loss or the update of a step is not finite. The weights are those of the last finite step.

    Attributes
    ----------
    loss : float
        The loss of that step; finite where only the update is not.
    history : History
        What the same call has recorded before it, or the history that the call was given; its steps count in the
        history, those of the error and of `recent` in the Trainer's life.
    step, layer, tensor, count, sample
        The step's number, and where a number first left the range; see `Nonfinite`.
    recent : tuple of LayerStats
        The statistics of up to 32 steps before it, the last one last; empty without telemetry.

    Examples
    --------
    >>> import fastgrad as fg
    >>> trainer = fg.Trainer(fg.MLP([1, 1], init="zeros"), loss="mse", optimizer=fg.SGD(lr=1e38))
    >>> try:
    ...     trainer.step([[1.0]], [[1e10]])
    ... except fg.DivergenceError as error:
    ...     print(error.tensor, error.layer, error.step, trainer.steps)
    update 0 0 0
    """

    def __init__(
        self, nonfinite: Nonfinite, loss: float, history: History, recent: tuple[LayerStats, ...] = ()
    ) -> None:
        step = nonfinite.step
        what = f"the update of step {step} cannot be represented"
        if not math.isfinite(loss):
            what = f"the loss of step {step} is not finite"
        advice = "A lower learning rate or another initialisation may help"
        if nonfinite.tensor in ("input", "target"):
            advice = "It was so in the data"
        super().__init__(
            f"{what} (loss {loss:g}): the first to leave the range was {nonfinite}. The step changed nothing. {advice}"
        )
        self.step, self.layer, self.tensor, self.count, self.sample = nonfinite
        self.loss = loss
        self.history = history
        self.recent = recent

    def __reduce__(self) -> tuple[type["DivergenceError"], tuple[object, ...]]:
        nonfinite = Nonfinite(self.step, self.layer, self.tensor, self.count, self.sample)
        return type(self), (nonfinite, self.loss, self.history, self.recent)
