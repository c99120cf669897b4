"""What a training run leaves behind: the loss of each step, its epochs, and the record of its statistics."""

import copy
from dataclasses import dataclass
from typing import Any

from fastgrad._closed import VALUE, closed
from fastgrad._inside import HasInside
from fastgrad._ledger import Ledger
from fastgrad._rows import commit
from fastgrad.telemetry import Array, Record


@closed(cure=VALUE)
@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    loss : float
        Mean of the training loss over the epoch's samples (their sum for "l2_norm"), each batch before its update.
    validation_loss : float or None
        After the epoch; None without validation data.
    seconds : float
        Wall time.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    seconds: float

    def line(self, epochs: int, samples: int) -> str:
        """Return the epoch as a line of progress, one of `epochs` over that many samples."""
        validation = "" if self.validation_loss is None else f"  validation {self.validation_loss:.4f}"
        speed = samples / max(self.seconds, 1e-9)
        return f"epoch {self.epoch + 1}/{epochs}  loss {self.loss:.4f}{validation}  {speed:,.0f} samples/s"


@closed("epochs", "telemetry")
class History(HasInside[Ledger]):
    """What a training run left behind: the loss of each step, its epochs, and the telemetry.

    Parameters
    ----------
    layers : int
        Number of layers of the network.

    Attributes
    ----------
    epochs : list of Epoch
        Filled by ``fit``, and by ``run`` where that is counted in epochs.
    telemetry : Record
        Statistics of every layer at the steps that were recorded; without rows where none were.

    Notes
    -----
    One run at a time writes to it, and it is not to be read meanwhile.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> history = fg.MLP([2, 1]).fit(np.ones((10, 2)), np.ones(10), loss="mse", epochs=3, batch_size=4)
    >>> len(history), len(history.epochs), len(history.telemetry)
    (9, 3, 9)
    """

    def __init__(self, layers: int) -> None:
        self.epochs: list[Epoch] = []
        self.telemetry = Record(layers)
        self._inside = Ledger()

    @property
    def loss(self) -> Array:
        """(steps,) read-only float64 array: the loss of each step's batch before its update."""
        return self._inside.losses

    def append_chunk(self, losses: Array, statistics: Array | None, first: int | None = None) -> None:
        """Add steps.

        Parameters
        ----------
        losses : (steps,) float64 array
        statistics : (steps, len(RECORD), layers) float64 array or None
            Of every one of these steps: the record keeps those that it is to. None where nothing was recorded.
        first : int, optional
            Number of the first; the next one unless given. Steps that are there already, from it on, are replaced.

        Raises
        ------
        ValueError, TypeError
            Wrong shape or dtype, different numbers of steps, or steps missing before the first.

        Notes
        -----
        Whatever is raised, an exception of a signal's handler and MemoryError too: all of it is added, or nothing.
        """
        commit(self._inside.with_chunk(self.telemetry, losses, statistics, len(self) if first is None else first))

    def __copy__(self) -> "History":
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        others = {name: value for name, value in vars(self).items() if name != "_inside"}
        return {**others, **self._inside.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        others = dict(state)
        self._inside = Ledger.of_state(others)
        self.__dict__.update(others)

    def __len__(self) -> int:
        return len(self._inside)

    def __repr__(self) -> str:
        span = f", loss {self.loss[0]:.6g} -> {self.loss[-1]:.6g}" if len(self) else ""
        return f"History({len(self)} steps, {len(self.epochs)} epochs, {self.telemetry.layers} layers{span})"
