"""Batches on their way to the engine: the quick checks of every step.

An array that is already as the engine wants it is checked in compiled code and passed on; anything else takes the
slower way through `fastgrad.losses`, which converts it or says what is wrong.
"""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from fastgrad import _core, losses

Array = npt.NDArray[Any]


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


def checked_targets(network: _core.Network, loss: str, y: npt.ArrayLike, n: int, check_finite: bool = True) -> Array:
    """Return y as the engine reads it; see `fastgrad.losses.check_targets` for what is accepted."""
    if network.has_ready_targets(y, n, loss, check_finite):
        return y
    return losses.check_targets(loss, y, n, network.sizes[-1], network.dtype, check_finite)


def checked_pair(name: str, data: object, check: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return what `check(X, y)` makes of a pair (X, y); its errors name the pair."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{name}: got {type(data).__name__}, wants a pair (X, y)")
    try:
        return check(*data)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
