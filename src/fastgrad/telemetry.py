"""What every layer did: how a run is recorded, and its record.

The kernels measure; these classes only hold and name the numbers, float64, in the order of `STATISTICS`. All arrays
they give out are read-only, and views wherever that is possible. Judging the numbers is not done here.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._closed import VALUE, closed
from fastgrad._inside import HasInside, inside
from fastgrad._kept import Kept
from fastgrad._load import CutShortWarning, read
from fastgrad._record import MEANINGS, RECORD, SCALED, STATISTICS, Array, log10_magnitude, statistic
from fastgrad._rows import commit, read_only
from fastgrad.layer_stats import LayerStats

__all__ = [
    "MEANINGS",
    "RECORD",
    "SCALED",
    "STATISTICS",
    "Array",
    "CutShortWarning",
    "Gains",
    "LayerStats",
    "Record",
    "Telemetry",
    "load",
]

_LOG10_SMALLEST, _LOG10_LARGEST = (math.log10(end) for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


@closed(cure=VALUE)
class Gains(NamedTuple):
    """What a layer multiplies the gradient by on its way back: factors of norms, each of shape (rows, layers).

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


@closed(cure=VALUE)
@dataclass(frozen=True)
class Telemetry:
    """How a run is recorded: which steps, how many of them in memory, and whether in a file too.

    Step s of a history is recorded where s is a multiple of ``every``. When more than `keep` rows would be, every
    second one is dropped, and from there on only multiples of twice as many steps are recorded, and so on: memory stays
    bounded and the rows evenly spaced, however long the run.

    Parameters
    ----------
    every : int
        >= 1.
    keep : int
        >= 2. The most rows in memory, of ``8 * len(RECORD)`` bytes for each layer.
    file : path-like, optional
        An .npz, in an existing folder, to which ``run`` and ``fit`` write the multiples of `every`, none dropped, while
        they go on; `load` reads it. A Trainer's first recorded step replaces a file that is there, and its later runs
        add to it.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Notes
    -----
    The file is written after every 8 MiB or so and after each run, and can be read at any time, by `numpy.load` too
    (again, where it meets the very end of a write to a file of over 1 MiB), also when the process was killed. Its
    members are "names" (`RECORD`), "every", "layers", and for each chunk n "steps_<n>", (steps,) int64 counted as in
    the run's history, and "statistics_<n>", (steps, len(RECORD), layers) float64. Where its steps do not go on from the
    chunk before, as in a run into another history, n ends in ``_after_<steps before>``.

    One run at a time writes to a file: from its start to its end it has a lock (``flock``) on it, which processes,
    forked ones too, and threads respect, and which is gone when its process is. A run of another Trainer that names the
    file meanwhile raises BlockingIOError before its first step, as does one that finds a link, a pipe or a folder there
    (FileExistsError); afterwards the file is the other's to replace, and then a later run of the first Trainer raises
    OSError. A file system without locks leaves that to its users. A new file comes from a draft, ``.fastgrad-*.part``
    in the same folder, that a process killed meanwhile leaves behind: nobody reads it, delete it at will.

    Where the file cannot be written otherwise, ``run`` and ``fit`` raise OSError; the history then has all steps done,
    and the file what it had before.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> trainer = fg.Trainer(fg.MLP([2, 1]), loss="mse", telemetry=fg.Telemetry(every=5))
    >>> trainer.run(np.ones((8, 2)), np.ones(8), steps=12).telemetry.steps
    array([ 0,  5, 10])
    """

    every: int = 1
    keep: int = 4096
    file: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", _checks.integer("every", self.every, at_least=1, below=2**63))
        object.__setattr__(self, "keep", _checks.integer("keep", self.keep, at_least=2))
        if self.file is not None:
            object.__setattr__(self, "file", _checks.new_file("file", self.file, (".npz",)))


@closed("layers")
class Record(HasInside[Kept]):
    """The statistics of the steps of a run that were recorded, a row for each.

    ``record["grad_norm"]`` is a read-only (rows, layers) float64 array, ``len(record)`` the number of rows, and `steps`
    says which steps they are; iterating gives the statistics' names, as with a data frame. Arrays that were read stay
    as they are when the run goes on.

    Parameters
    ----------
    layers : int
        Number of layers of the network.
    every, keep : int
        As in `Telemetry`.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> record = fg.MLP([2, 3, 1]).fit(np.ones((8, 2)), np.ones(8), loss="mse", batch_size=2).telemetry
    >>> len(record), record["grad_norm"].shape
    (4, (4, 2))
    """

    def __init__(self, layers: int, every: int = Telemetry.every, keep: int = Telemetry.keep) -> None:
        how = Telemetry(every, keep)
        self.layers = layers = _checks.integer("layers", layers, at_least=1, below=2**31)
        self._inside = Kept(layers, how.every, how.keep)

    @property
    def names(self) -> tuple[str, ...]:
        """The statistics' names."""
        return STATISTICS

    @property
    def every(self) -> int:
        """Steps from one row to the next as long as none is dropped."""
        return self._inside.every

    @property
    def keep(self) -> int:
        """The most rows."""
        return self._inside.keep

    @property
    def stride(self) -> int:
        """Steps from one row to the next: `every`, doubled each time that rows were dropped."""
        return self._inside.stride

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """(rows,) read-only array: the steps that the rows are, as indices into the history's losses."""
        return self._inside.steps

    def append_chunk(self, first: int, values: Array) -> None:
        """Add what is to be recorded of some steps. Rows of the same and later steps give way.

        Parameters
        ----------
        first : int
            The first of them; the others follow it one by one.
        values : (steps, len(RECORD), layers) float64 array
            Of each of them. Copied.

        Raises
        ------
        ValueError, TypeError
            `values` has another shape or dtype, or `first` is not the number of a step.
        """
        commit(self._inside.with_chunk(first, values))

    def at(self, row: int) -> LayerStats:
        """Return the statistics of one row; negative rows count from the end, as in a list. It knows its step.

        Raises
        ------
        TypeError, IndexError
            Not an integer; there is no such row.
        """
        row = _checks.position("row", row, len(self), f"the record holds {len(self)} rows")
        return LayerStats(self._inside.statistics[row], int(self.steps[row]))

    def log10(self, name: str) -> Array:
        """Return log10 of the magnitude, (rows, layers): finite unless the value is exactly 0 (-inf) or not finite."""
        return log10_magnitude(self._inside.statistics, name)

    @property
    def would_underflow(self) -> npt.NDArray[np.bool_]:
        """(rows, layers) read-only array: where float32 would have lost a vanishing signal.

        There the norm of dL/dz_l, or the root mean square of a_l, is below the smallest normal float32 number, not 0.
        """
        lost = [(size < _LOG10_SMALLEST) & (size > -math.inf) for size in self._sizes()]
        return read_only(np.logical_or(*lost))

    @property
    def would_overflow(self) -> npt.NDArray[np.bool_]:
        """(rows, layers) read-only array: where the norm of dL/dz_l or the root mean square of a_l exceeds float32."""
        return read_only(np.logical_or(*(size > _LOG10_LARGEST for size in self._sizes())))

    def _sizes(self) -> tuple[Array, Array]:
        return self.log10("delta_norm"), self.log10("act_rms")

    def gains(self) -> Gains:
        """Return each layer's weight gain and derivative gain, (rows, layers) each, however small the norms are."""
        deltas, outputs = self.log10("delta_norm"), self.log10("act_grad_norm")
        with np.errstate(invalid="ignore"):  # a gradient that is exactly zero has no gain
            weight = np.full_like(deltas, math.nan)
            weight[:, 1:] = 10.0 ** (outputs[:, :-1] - deltas[:, 1:])
            return Gains(read_only(10.0 ** (deltas - outputs)), read_only(weight))

    def __getitem__(self, name: str) -> Array:
        return statistic(self._inside.statistics, name)

    def __len__(self) -> int:
        return len(self._inside)

    def __iter__(self) -> Iterator[str]:
        return iter(STATISTICS)

    def __repr__(self) -> str:
        spacing = "" if self.stride == 1 else f" of every {self.stride} steps"
        return f"Record({len(self)} rows{spacing}, {self.layers} layers: {', '.join(STATISTICS)})"

    def __copy__(self) -> "Record":
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        others = {name: value for name, value in vars(self).items() if name != "_inside"}
        return {**others, **self._inside.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        others = dict(state)
        self._inside = Kept.of_state(others)
        self.__dict__.update(others)


def load(path: str | PathLike[str]) -> Record:
    """Return all that a Trainer wrote to the file of its `Telemetry`.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Record
        Where the file was cut short, in a write or since, what its whole chunks hold; a `CutShortWarning` says so.

    Raises
    ------
    OSError
        The file cannot be read.
    TypeError
        Not a path.
    ValueError
        It is foreign, damaged, cut short before its first chunk was whole, or of compressed members.

    Notes
    -----
    A file of another version is read by the names of its statistics: those that it lacks are NaN, and those that this
    version does not know are left out.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     how = fg.Telemetry(file=pathlib.Path(folder, "run.npz"))
    ...     history = fg.MLP([2, 1]).fit(np.ones((8, 2)), np.ones(8), loss="mse", batch_size=2, telemetry=how)
    ...     record = fg.telemetry.load(how.file)
    >>> np.array_equal(record["grad_norm"], history.telemetry["grad_norm"])
    True
    """
    contents = read(_checks.path("path", path))
    record = Record(contents.layers, contents.every, max(2, len(contents.steps)))
    inside(record).hold(contents.steps, contents.statistics)
    return record
