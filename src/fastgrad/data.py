"""Internal: data on their way to the engine, checked once and then passed on as one object.

An array that is already as the engine wants it is checked in compiled code and passed on; anything else takes the
slower way through `fastgrad.losses`, which converts it or says what is wrong. Data that are not as the engine reads
them do not become a `Data`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core, losses
from fastgrad.errors import DoubtfulNetworkWarning

Array = npt.NDArray[Any]

_REACH = {"relu": (0.0, math.inf), "softplus": (0.0, math.inf), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass(frozen=True)
class Data:
    """Samples and their targets, as the engine reads them.

    Attributes
    ----------
    X : (n, n_features) array
    y : (n, n_outputs) array, or (n,) int64 array of labels
    flat : bool
        Whether the targets came as a vector.
    """

    X: Array
    y: Array
    flat: bool

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.X)

    @property
    def labels(self) -> bool:
        """Whether the targets are labels of classes."""
        return self.y.ndim == 1

    def part(self, rows: slice) -> "Data":
        """Return some of the rows, a view."""
        return Data(self.X[rows], self.y[rows], self.flat)


def checked_data(
    network: _core.Network, loss: str, X: npt.ArrayLike, y: npt.ArrayLike, check_finite: bool = True
) -> Data:
    """Return X and y for a loss; see `fastgrad.losses` for what is accepted."""
    inputs = checked_inputs(network, X, check_finite=check_finite)
    if network.has_ready_targets(y, len(inputs), loss, check_finite):
        targets = y
    else:
        targets = losses.check_targets(loss, y, len(inputs), network.sizes[-1], network.dtype, check_finite)
    return Data(inputs, targets, np.ndim(y) == 1)


def checked_inputs(
    network: _core.Network,
    X: npt.ArrayLike,
    name: str = "X",
    n_features: int | None = None,
    check_finite: bool = True,
) -> Array:
    """Return X as the engine reads it; see `fastgrad.losses.check_inputs` for what is accepted."""
    columns = network.sizes[0] if n_features is None else n_features
    if network.is_ready(X, columns, check_finite):
        return X
    return losses.check_inputs(X, columns, network.dtype, name, check_finite)


def checked_pair(name: str, pair: object, network: _core.Network, loss: str) -> Data:
    """Return the data that a pair (X, y) is; errors name the pair."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{name}: got {type(pair).__name__}, wants a pair (X, y)")
    try:
        return checked_data(network, loss, *pair)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


def warn_of_reach(data: Data, output_activation: str) -> None:
    """Warn where outputs of that activation cannot reach the mean of their targets, those of a whole data set.

    Warns
    -----
    DoubtfulNetworkWarning
        The mean of a column lies outside what relu, softplus, sigmoid or tanh can give.
    """
    if data.labels or output_activation not in _REACH:
        return
    least, most = _REACH[output_activation]
    with np.errstate(invalid="ignore"):
        means = data.y.mean(axis=0, dtype=np.float64)
    outside = (means < least) | (means > most)
    if outside.any():
        column = int(np.argmax(outside))
        _checks.warn(
            f"y: column {column} has a mean of {means[column]:g}, wants one in [{least:g}, {most:g}], which is all "
            f"that output_activation={output_activation!r} reaches; 'identity' reaches every target",
            DoubtfulNetworkWarning,
        )
