"""What can go wrong beyond bad arguments, which are ValueError and TypeError."""

import math

from fastgrad.telemetry import History, LayerStats


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
    layer : int
        Where a number first left the range of the network's dtype.
    tensor : str
        What it was in, in the order of computation: "input", "weights", "bias", "output", "target", "loss", "delta"
        (dL/dz) or "update".
    recent : tuple of LayerStats
        The statistics of up to 32 steps before it, the last one last; empty without telemetry.
    """

    def __init__(
        self, step: int, loss: float, history: History, layer: int, tensor: str, recent: tuple[LayerStats, ...] = ()
    ) -> None:
        what = (
            f"the update of step {step} cannot be represented"
            if math.isfinite(loss)
            else f"the loss of step {step} is not finite"
        )
        super().__init__(
            f"{what} (loss {loss:g}): the first to leave the range was the {tensor} of layer {layer}. The step changed "
            f"nothing. A lower learning rate or another initialisation may help"
        )
        self.step = step
        self.loss = loss
        self.history = history
        self.layer = layer
        self.tensor = tensor
        self.recent = recent

    def __reduce__(self) -> tuple[type["DivergenceError"], tuple[object, ...]]:
        return type(self), (self.step, self.loss, self.history, self.layer, self.tensor, self.recent)
