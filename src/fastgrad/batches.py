"""Batches on their way to the engine: the quick checks of every step, and workspaces that fit.

An array that is already as the engine wants it is checked in compiled code and passed on; anything else takes the
slower way through `fastgrad.losses`, which converts it or says what is wrong.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt

from fastgrad import _core, losses

Array = npt.NDArray[Any]

_DTYPES = {name: np.dtype(name) for name in _core.DTYPES}


def checked_inputs(X: npt.ArrayLike, n_features: int, dtype: str, name: str = "X") -> Array:
    """Return X as the engine reads it; see `fastgrad.losses.check_inputs` for what is accepted."""
    if _is_ready(X, dtype, n_features) and _core.first_nonfinite(X, dtype) < 0:
        return X
    return losses.check_inputs(X, n_features, dtype, name)


def checked_targets(loss: str, y: npt.ArrayLike, n: int, n_outputs: int, dtype: str) -> Array:
    """Return y as the engine reads it; see `fastgrad.losses.check_targets` for what is accepted."""
    if loss not in ("cross_entropy", "binary_cross_entropy"):
        if _is_ready(y, dtype, n_outputs) and len(y) == n and _core.first_nonfinite(y, dtype) < 0:
            return y
    elif loss == "cross_entropy" and _are_labels(y, n) and _core.first_bad_label(y, n_outputs) < 0:
        return y
    return losses.check_targets(loss, y, n, n_outputs, dtype)


def checked_pair(name: str, data: object, check: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return what `check(X, y)` makes of a pair (X, y); its errors name the pair."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"{name}: got {type(data).__name__}, wants a pair (X, y)")
    try:
        return check(*data)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


def _is_ready(array: object, dtype: str, columns: int) -> TypeGuard[Array]:
    return (
        type(array) is np.ndarray
        and array.dtype is _DTYPES[dtype]
        and array.ndim == 2
        and array.shape[1] == columns
        and array.shape[0] > 0
        and _is_plain(array)
    )


def _are_labels(array: object, n: int) -> TypeGuard[Array]:
    return type(array) is np.ndarray and array.shape == (n,) and array.dtype == np.int64 and _is_plain(array)


def _is_plain(array: Array) -> bool:
    return array.flags.c_contiguous and array.flags.aligned


class PlanKeeper:
    """Keeps one workspace of a mode for a network, and makes a larger one when a batch or the threads outgrow it."""

    def __init__(self, network: _core.Network, mode: Literal["inference", "training", "gradients"]) -> None:
        self._network = network
        self._mode = mode
        self._plan: _core.Plan | None = None

    def for_rows(self, rows: int) -> _core.Plan:
        """Return a plan for up to `rows` rows."""
        plan = self._plan
        if plan is None or plan.capacity < rows or plan.threads != _core.get_threads():
            plan = self._plan = _core.Plan(self._network, rows, self._mode)
        return plan
