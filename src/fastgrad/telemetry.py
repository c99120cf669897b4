"""What every layer did at every step: the statistics' names, one step's view, and the record of a whole run.

The kernels measure; these classes only hold and name the numbers, float64, in the order of `STATISTICS`. All arrays
they give out are read-only, and views wherever that is possible. Judging the numbers is not done here.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MEANINGS = {
    "act_mean": "mean of a_l over batch x units",
    "act_rms": "root mean square of a_l over batch x units",
    "preact_rms": "root mean square of z_l over batch x units",
    "deriv_mean": "mean of |f'(z_l)|: 1 for identity, the share of active units for ReLU",
    "saturated": "share of entries with |f'(z_l)| under 5 % of the activation's largest; NaN where piecewise linear",
    "dead": "share of units with f'(z_l) = 0 for every sample of the last steps: an epoch's in fit, 100 in a Trainer",
    "delta_norm": "Frobenius norm of dL/dz_l",
    "act_grad_norm": "Frobenius norm of dL/da_l: delta before f' is multiplied in",
    "grad_norm": "Frobenius norm of dL/dW_l, before weight decay and clipping",
    "grad_max": "largest magnitude in dL/dW_l, before weight decay and clipping",
    "bias_grad_norm": "Euclidean norm of dL/db_l, before weight decay and clipping",
    "weight_norm": "Frobenius norm of W_l before the step",
    "update_norm": "Frobenius norm of the increment of W_l before it is rounded into W_l",
    "update_ratio": "update_norm / weight_norm",
}

STATISTICS = tuple(MEANINGS)

RECORD = (*STATISTICS, "gradient_exponent")
"""The rows of a record as the engine writes it: the norms named in `SCALED` are what stands there times
2**gradient_exponent, which is 0 unless they lie outside 2**+-900, near the end of float64's range."""

SCALED = ("delta_norm", "act_grad_norm", "grad_norm", "grad_max", "bias_grad_norm")

_INDEX = {name: index for index, name in enumerate(STATISTICS)}
_SCALED_ROWS = [_INDEX[name] for name in SCALED]
_LOG10_2 = math.log10(2.0)
_LOG10_SMALLEST, _LOG10_LARGEST = (math.log10(end) for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


class LayerStats:
    """The statistics of one step, a read-only view of shape (statistics, layers).

    ``stats.grad_norm`` and ``stats["grad_norm"]`` are the same (layers,) array. The view shares the memory it was made
    from: it is valid for as long as its source says, and `copy` keeps it.

    Parameters
    ----------
    values : (len(RECORD), layers) float64 array
        Not copied.
    step : int
        Number of the step, counted from 0.

    Raises
    ------
    ValueError
        `values` has another shape or dtype.
    """

    __slots__ = ("_record", "step")

    def __init__(self, values: Array, step: int) -> None:
        _require_float64("values", values, (len(RECORD), "layers"))
        self._record = _read_only(values)
        self.step = step

    @property
    def values(self) -> Array:
        """(statistics, layers) read-only array, rows in the order of `STATISTICS`."""
        return _values(self._record)

    def __getitem__(self, name: str) -> Array:
        return _statistic(self._record, name)

    def __getattr__(self, name: str) -> Array:
        if name in _INDEX:
            return self[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; statistics are {', '.join(STATISTICS)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *STATISTICS]

    def log10(self, name: str) -> Array:
        """Return log10 of the magnitude, shape (layers,): finite unless the value is exactly 0 (-inf) or not finite."""
        return _log10_magnitude(self._record, name)

    def copy(self) -> "LayerStats":
        """Return the same statistics in memory of their own."""
        return LayerStats(self._record.copy(), self.step)

    def __repr__(self) -> str:
        rows = [["layer", *STATISTICS]]
        rows += [[str(layer), *(f"{v:.3e}" for v in self.values[:, layer])] for layer in self._shown_layers()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        hidden = self._record.shape[1] - (len(rows) - 1)
        if hidden:
            lines.insert(1 + (len(rows) - 1) // 2, f"{'...':>{widths[0]}}  ({hidden} layers more)")
        return "\n".join([f"LayerStats of step {self.step}", *lines])

    def _shown_layers(self, most: int = 16) -> list[int]:
        layers = list(range(self._record.shape[1]))
        return layers if len(layers) <= most else layers[: most // 2] + layers[-most // 2 :]


class Gains(NamedTuple):
    """What a layer multiplies the gradient by on its way back: factors of norms, each of shape (steps, layers).

    Attributes
    ----------
    derivative
        ||dL/dz_l|| / ||dL/da_l||: what f' does.
    weight
        ||dL/da_{l-1}|| / ||dL/dz_l||: what W_l does; NaN for layer 0, below which no gradient is wanted.

    Their product is the layer's factor in the chain, ||dL/da_{l-1}|| / ||dL/da_l||.
    """

    derivative: Array
    weight: Array


class Telemetry:
    """The statistics of the steps of a run that recorded them.

    ``telemetry["grad_norm"]`` is a read-only (steps, layers) float64 array, ``len(telemetry)`` the number of steps;
    iterating gives the statistics' names, as with a data frame. Chunks are joined when first read, once.

    Parameters
    ----------
    layers : int
        Number of layers of the network.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._chunks = _Chunks((len(RECORD), layers))

    @property
    def names(self) -> tuple[str, ...]:
        """The statistics' names."""
        return STATISTICS

    def append_chunk(self, values: Array) -> None:
        """Add the next steps.

        Parameters
        ----------
        values : (steps, len(RECORD), layers) float64 array
            Kept, not copied: the caller must not write to it afterwards.

        Raises
        ------
        ValueError
            `values` has another shape or dtype.
        """
        self._chunks.append("values", values)

    def require_chunk(self, name: str, values: Array) -> None:
        """Raise the ValueError that `append_chunk` would, calling the argument `name`."""
        self._chunks.require(name, values)

    def at(self, step: int) -> LayerStats:
        """Return the statistics of one step; negative steps count from the end, as in a list.

        Raises
        ------
        IndexError
            There is no such step.
        """
        steps = len(self)
        if not -steps <= step < steps:
            raise IndexError(f"step: got {step}, the telemetry holds {steps} steps")
        return LayerStats(self._chunks.row(step % steps), step % steps)

    def log10(self, name: str) -> Array:
        """Return log10 of the magnitude, (steps, layers): finite unless the value is exactly 0 (-inf) or not finite."""
        return _log10_magnitude(self._chunks.joined(), name)

    @property
    def would_underflow(self) -> npt.NDArray[np.bool_]:
        """(steps, layers) read-only array: where no entry of dL/dz_l would have been a normal float32 number."""
        deltas = self.log10("delta_norm")
        return _read_only((deltas < _LOG10_SMALLEST) & (deltas > -math.inf))

    @property
    def would_overflow(self) -> npt.NDArray[np.bool_]:
        """(steps, layers) read-only array: where the norm of dL/dz_l exceeds the largest float32 number."""
        return _read_only(self.log10("delta_norm") > _LOG10_LARGEST)

    def gains(self) -> Gains:
        """Return each layer's weight gain and derivative gain, (steps, layers) each, however small the norms are."""
        deltas, outputs = self.log10("delta_norm"), self.log10("act_grad_norm")
        with np.errstate(invalid="ignore"):  # a gradient that is exactly zero has no gain
            weight = np.full_like(deltas, math.nan)
            weight[:, 1:] = 10.0 ** (outputs[:, :-1] - deltas[:, 1:])
            return Gains(_read_only(10.0 ** (deltas - outputs)), _read_only(weight))

    def __getitem__(self, name: str) -> Array:
        return _statistic(self._chunks.joined(), name)

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[str]:
        return iter(STATISTICS)

    def __repr__(self) -> str:
        return f"Telemetry({len(self)} steps, {self.layers} layers: {', '.join(STATISTICS)})"


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


class History:
    """What a training run left behind: the loss of each step, its epochs, and the telemetry.

    Parameters
    ----------
    layers : int
        Number of layers of the network.

    Attributes
    ----------
    epochs : list of Epoch
        Filled by ``fit``; empty after a run counted in steps.
    telemetry : Telemetry
        Statistics of every layer at every step that recorded them.
    """

    def __init__(self, layers: int) -> None:
        self.epochs: list[Epoch] = []
        self.telemetry = Telemetry(layers)
        self._losses = _Chunks(())

    @property
    def loss(self) -> Array:
        """(steps,) read-only float64 array: the loss of each step's batch before its update."""
        return self._losses.joined()

    def append_chunk(self, losses: Array, statistics: Array | None) -> None:
        """Add the next steps.

        Parameters
        ----------
        losses : (steps,) float64 array
        statistics : (steps, len(RECORD), layers) float64 array or None
            None where nothing was recorded. Both are kept, not copied: the caller must not write to them afterwards.

        Raises
        ------
        ValueError
            Wrong shape or dtype, or different numbers of steps; nothing is added.
        """
        self._losses.require("losses", losses)
        if statistics is not None:
            self.telemetry.require_chunk("statistics", statistics)
            if len(losses) != len(statistics):
                raise ValueError(f"losses: got {len(losses)} steps, wants {len(statistics)} as in statistics")
            self.telemetry.append_chunk(statistics)
        self._losses.append("losses", losses)

    def __len__(self) -> int:
        return len(self._losses)

    def __repr__(self) -> str:
        span = f", loss {self.loss[0]:.6g} -> {self.loss[-1]:.6g}" if len(self) else ""
        return f"History({len(self)} steps, {len(self.epochs)} epochs, {self.telemetry.layers} layers{span})"


class _Chunks:
    """Rows of one shape that arrive in chunks and are read as one array."""

    def __init__(self, row_shape: tuple[int, ...]) -> None:
        self._row_shape = row_shape
        self._chunks: list[Array] = []
        self._starts: list[int] = []
        self._rows = 0

    def require(self, name: str, chunk: Array) -> None:
        _require_float64(name, chunk, ("steps", *self._row_shape))

    def append(self, name: str, chunk: Array) -> None:
        self.require(name, chunk)
        self._chunks.append(_read_only(chunk))
        self._starts.append(self._rows)
        self._rows += len(chunk)

    def joined(self) -> Array:
        if len(self._chunks) != 1:
            self._chunks = [_read_only(np.concatenate([np.empty((0, *self._row_shape)), *self._chunks]))]
            self._starts = [0]
        return self._chunks[0]

    def row(self, index: int) -> Array:
        chunk = bisect_right(self._starts, index) - 1
        row: Array = self._chunks[chunk][index - self._starts[chunk]]
        return row

    def __len__(self) -> int:
        return self._rows


def _index(name: str) -> int:
    if name not in _INDEX:
        raise KeyError(f"{name!r} is not a statistic; known are {', '.join(STATISTICS)}")
    return _INDEX[name]


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _true(values: Array, exponents: Array) -> Array:
    """Return values * 2**exponents: the array itself where nothing is to do."""
    if not exponents.any():
        return values
    with np.errstate(over="ignore", under="ignore"):
        return _read_only(np.ldexp(values, exponents.astype(np.int64)))


def _statistic(record: Array, name: str) -> Array:
    """Return (..., layers) of a record (..., len(RECORD), layers)."""
    row = record[..., _index(name), :]
    return _true(row, record[..., -1, :]) if name in SCALED else row


def _values(record: Array) -> Array:
    """Return all statistics of a record (len(RECORD), layers), a view where that is possible."""
    values, exponents = record[:-1], record[-1]
    if not exponents.any():
        return values
    values = values.copy()
    values[_SCALED_ROWS] = _true(values[_SCALED_ROWS], exponents)
    return _read_only(values)


def _log10_magnitude(record: Array, name: str) -> Array:
    with np.errstate(divide="ignore"):
        log10 = np.log10(np.abs(record[..., _index(name), :]))
    return _read_only(log10 + record[..., -1, :] * _LOG10_2 if name in SCALED else log10)


def _require_float64(name: str, array: object, shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless `array` is a float64 array of `shape`, in which a name stands for any size."""
    wants = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name}: got {got}, wants a float64 array of shape {wants}")
    fits = (size == want or isinstance(want, str) for size, want in zip(array.shape, shape, strict=False))
    if array.ndim != len(shape) or not all(fits):
        raise ValueError(f"{name}: got shape {array.shape}, wants {wants}")
