"""What can go wrong beyond bad arguments, which are ValueError and TypeError."""

from fastgrad.telemetry import History


class NotFittedError(ValueError, AttributeError):
    """A prediction was asked of a network that has not been trained."""


class DivergenceError(ArithmeticError):
    """The loss of a step is not finite. That step changed nothing: the weights are those of the last finite one.

    Attributes
    ----------
    step : int
        Number of the step, counted from 0 in the Trainer's life.
    loss : float
        The loss of that step: inf or nan.
    history : History
        The steps before it.
    """

    def __init__(self, step: int, loss: float, history: History) -> None:
        super().__init__(
            f"the loss of step {step} is {loss}; nothing was updated by it. A lower learning rate or another "
            "initialisation may help"
        )
        self.step = step
        self.loss = loss
        self.history = history
