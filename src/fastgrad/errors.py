"""What can go wrong beyond bad arguments, which are ValueError and TypeError."""

import math

from fastgrad.telemetry import History


class NotFittedError(ValueError, AttributeError):
    """A prediction was asked of a network that has not been trained."""


class DivergenceError(ArithmeticError):
    """The loss or the update of a step is not finite. The weights are those of the last finite step.

    Attributes
    ----------
    step : int
        Number of the step, counted from 0 in the Trainer's life.
    loss : float
        The loss of that step; finite where only the update is not.
    history : History
        The steps that the same call did before it.
    """

    def __init__(self, step: int, loss: float, history: History) -> None:
        what = (
            f"the update of step {step} cannot be represented"
            if math.isfinite(loss)
            else f"the loss of step {step} is not finite"
        )
        super().__init__(
            f"{what} (loss {loss:g}); it changed nothing. A lower learning rate or another initialisation may help"
        )
        self.step = step
        self.loss = loss
        self.history = history

    def __reduce__(self) -> tuple[type["DivergenceError"], tuple[int, float, History]]:
        return type(self), (self.step, self.loss, self.history)
