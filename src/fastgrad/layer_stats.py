"""What every layer did in one step: a view of a row of a record."""

from collections.abc import Callable, Sequence

from fastgrad import _checks
from fastgrad._closed import closed
from fastgrad._record import RECORD, ROWS, STATISTICS, Array, all_values, arranged, log10_magnitude, statistic
from fastgrad._rows import read_only


@closed("step")
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
    ValueError, TypeError
        `values` has another shape or dtype, or `step` is no such number.

    Examples
    --------
    >>> import fastgrad as fg
    >>> trainer = fg.Trainer(fg.MLP([1, 1, 1], activation="identity", init=[[[2.0]], [[1.0]]]), loss="mse")
    >>> trainer.step([[1.0]], [[0.0]])
    4.0
    >>> trainer.stats.grad_norm, trainer.stats.log10("delta_norm").round(3)
    (array([4., 8.]), array([0.602, 0.602]))
    """

    __slots__ = ("_record", "step")

    def __init__(self, values: Array, step: int) -> None:
        _checks.require_float64("values", values, (len(RECORD), "layers"))
        self._record = read_only(values)
        self.step = _checks.integer("step", step, at_least=0)

    @property
    def values(self) -> Array:
        """(statistics, layers) read-only array, rows in the order of `STATISTICS`."""
        return all_values(self._record)

    def __getitem__(self, name: str) -> Array:
        return statistic(self._record, name)

    def __getattr__(self, name: str) -> Array:
        if name in ROWS:
            return self[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; statistics are {', '.join(STATISTICS)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *STATISTICS]

    def log10(self, name: str) -> Array:
        """Return log10 of the magnitude, shape (layers,): finite unless the value is exactly 0 (-inf) or not finite."""
        return log10_magnitude(self._record, name)

    def copy(self) -> "LayerStats":
        """Return the same statistics in memory of their own."""
        return LayerStats(self._record.copy(), self.step)

    def __reduce__(self) -> tuple[Callable[..., "LayerStats"], tuple[type["LayerStats"], tuple[str, ...], Array, int]]:
        return _of_any_version, (type(self), RECORD, self._record, self.step)

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


def _of_any_version(kind: type[LayerStats], names: Sequence[str], values: Array, step: int) -> LayerStats:
    """Return the statistics of those names; what of this version's is not among them is NaN."""
    return kind(arranged(names, values), step)
