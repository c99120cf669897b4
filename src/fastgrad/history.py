"""What a training run leaves behind: the loss of each step, its epochs, and the record of its statistics."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastgrad import _checks, _core
from fastgrad._closed import VALUE, closed
from fastgrad._rows import Change, Rows, commit
from fastgrad.telemetry import RECORD, Array, Record, Telemetry


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
class History:
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
        self._losses = Rows(())
        self._turn = _core.Lock()  # of the run that writes

    @property
    def loss(self) -> Array:
        """(steps,) read-only float64 array: the loss of each step's batch before its update."""
        return self._losses.view()

    def prepare(self, layers: int, telemetry: Telemetry | None) -> None:
        """Make ready for steps of a network of so many layers, recorded as `telemetry` says, or not at all.

        Raises
        ------
        ValueError
            There are steps of another network, or steps that were recorded otherwise. Nothing has changed.
        """
        if self.telemetry.layers != layers:
            raise ValueError(f"history: got one of {self.telemetry.layers} layers, wants {layers} as the network has")
        if not len(self):
            self.telemetry = Record(layers) if telemetry is None else Record(layers, telemetry.every, telemetry.keep)
            return
        if (telemetry is None) != (len(self.telemetry) == 0):
            got, wants = ("with", "without") if telemetry is None else ("without", "with")
            raise ValueError(f"history: got steps {got} telemetry, wants steps {wants}, as this Trainer does them")
        recorded = self.telemetry.every, self.telemetry.keep
        if telemetry is not None and recorded != (telemetry.every, telemetry.keep):
            raise ValueError(
                f"history: got steps recorded with every={recorded[0]} and keep={recorded[1]}, wants "
                f"every={telemetry.every} and keep={telemetry.keep} as this Trainer's telemetry"
            )

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
        commit(self.with_chunk(losses, statistics, len(self) if first is None else first))

    def reserve(self, steps: int, recorded: bool) -> None:
        """Have memory for so many more steps, with statistics or without: to add them will need none."""
        self._losses.reserve(steps)
        if recorded:
            self.telemetry.reserve(len(self), steps)

    def with_chunk(self, losses: Array, statistics: Array | None, first: int) -> list[Change]:
        """Return what adds steps as `append_chunk` does; until then nothing has changed."""
        _checks.require_float64("losses", losses, ("steps",))
        if statistics is not None:
            _checks.require_float64("statistics", statistics, ("steps", len(RECORD), self.telemetry.layers))
            if len(losses) != len(statistics):
                raise ValueError(f"losses: got {len(losses)} steps, wants {len(statistics)} as in statistics")
        first = _checks.integer("first", first, at_least=0, below=len(self) + 1)
        changes = self._losses.with_rows(first, losses)
        return changes if statistics is None else changes + self.telemetry.with_chunk(first, statistics)

    @contextmanager
    def one_writer(self) -> Iterator[None]:
        """Keep other runs from writing meanwhile; raise ValueError where one does."""
        with _core.Claim(self._turn) as granted:
            if not granted:
                raise ValueError("history: got one that another run is writing to, wants one of its own")
            yield

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note on the exception that ends a run how much was done, and where the record is."""
        try:
            yield
        except BaseException as error:
            error.add_note(
                f"The history has what was done before this: steps {len(self)}, epochs {len(self.epochs)}. It is kept, "
                f"by fit as net.history, by run as trainer.history."
            )
            raise

    def __copy__(self) -> "History":
        return copy.deepcopy(self)

    def __len__(self) -> int:
        return len(self._losses)

    def __repr__(self) -> str:
        span = f", loss {self.loss[0]:.6g} -> {self.loss[-1]:.6g}" if len(self) else ""
        return f"History({len(self)} steps, {len(self.epochs)} epochs, {self.telemetry.layers} layers{span})"
