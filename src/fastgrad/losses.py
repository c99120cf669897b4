"""The losses' names and meanings, and the checks that data pass before they reach the engine.

With a the network's output, y the target, n samples and k outputs. The arithmetic lives in the kernels, and readable in
`fastgrad.reference`. A check returns an array the engine can read as it is, or raises; it never mends data.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core
from fastgrad.errors import DoubtfulNetworkWarning

LOSSES = {
    "mse": "mean over all entries of (a - y)^2",
    "l2_norm": "sum over samples of ||y_i - a_i||_2; the gradient is 0 where y_i = a_i",
    "mae": "mean over all entries of |a - y|; the gradient is 0 where y = a",
    "huber": "mean over all entries of d^2 / 2 where |d| < 1, |d| - 1/2 elsewhere, d = a - y",
    "cross_entropy": "mean over samples of -sum_j y_ij log softmax(a_i)_j; labels stand for one-hot rows",
    "binary_cross_entropy": "mean over all entries of -y log s(a) - (1 - y) log s(-a), s the sigmoid: a is a logit",
}


_CAN_NOT_BE_LOGITS = {
    "cross_entropy": ("sigmoid",),
    "binary_cross_entropy": ("sigmoid", "relu", "softplus"),  # no probability below 1/2
}
_RANGES = {
    "cross_entropy": (math.inf, "a probability >= 0"),
    "binary_cross_entropy": (1.0, "a target in [0, 1]"),
}


def check_loss(loss: str) -> str:
    """Return `loss` if it names one of `LOSSES`; otherwise raise a ValueError or TypeError that lists them.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.losses.check_loss("huber")
    'huber'
    >>> fg.losses.check_loss("rmse")
    Traceback (most recent call last):
        ...
    ValueError: loss: got 'rmse', wants one of mse, l2_norm, mae, huber, cross_entropy, binary_cross_entropy
    """
    return _checks.choice("loss", loss, LOSSES)


def check_outputs(loss: str, n_outputs: int, output_activation: str = "identity") -> str:
    """Return `loss` unless a network with such outputs would learn nothing from it, or tell lies after it.

    Parameters
    ----------
    loss : str
        One of `LOSSES`.
    n_outputs : int
        Units of the output layer.
    output_activation : str
        Its activation.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ValueError
        An argument is none of these; "cross_entropy" of one output, which is always 0; or a loss on logits of outputs
        that cannot be logits: those of a sigmoid, and for "binary_cross_entropy" others that are never negative.

    Warns
    -----
    DoubtfulNetworkWarning
        Any other activation before a loss on logits.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.losses.check_outputs("cross_entropy", n_outputs=2)
    'cross_entropy'
    >>> fg.losses.check_outputs("cross_entropy", n_outputs=1)
    Traceback (most recent call last):
        ...
    ValueError: loss: got 'cross_entropy' for 1 output, which is always 0, wants 'binary_cross_entropy', or 2 outputs
    """
    loss = check_loss(loss)
    n_outputs = _checks.integer("n_outputs", n_outputs, at_least=1, below=2**63)
    output_activation = _checks.choice("output_activation", output_activation, _core.ACTIVATIONS)
    if loss == "cross_entropy" and n_outputs == 1:
        raise ValueError(
            "loss: got 'cross_entropy' for 1 output, which is always 0, wants 'binary_cross_entropy', or 2 outputs"
        )
    if loss not in _CAN_NOT_BE_LOGITS or output_activation == "identity":
        return loss
    message = (
        f"output_activation: got {output_activation!r} before {loss!r}, which takes outputs as logits, wants 'identity'"
    )
    if output_activation in _CAN_NOT_BE_LOGITS[loss]:
        raise ValueError(f"{message}; predict_proba gives probabilities")
    _checks.warn(f"{message} unless limited logits are meant", DoubtfulNetworkWarning)
    return loss


def check_inputs(
    X: npt.ArrayLike, n_features: int, dtype: npt.DTypeLike, name: str = "X", check_finite: bool = True
) -> npt.NDArray[Any]:
    """Return inputs as the engine reads them.

    Parameters
    ----------
    X : (n, n_features) array_like of bool, int or float
        Samples are rows; n >= 1.
    n_features : int
        Columns wanted.
    dtype : {float32, float64}
        Of the result.
    name : str
        What messages call the argument.
    check_finite : bool
        Search for entries that are not finite; otherwise they pass.

    Returns
    -------
    (n, n_features) C-contiguous array of `dtype`
        `X` itself where it is that already.

    Raises
    ------
    TypeError
        Complex, object, text or date entries.
    ValueError
        Wrong shape, no rows, or an entry that is not finite in `dtype` (row, column and value are named).

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.losses.check_inputs([[1, 2]], 2, "float32")
    array([[1., 2.]], dtype=float32)
    """
    name = _checks.instance("name", name, str)
    n_features = _checks.integer("n_features", n_features, at_least=1, below=2**63)
    check_finite = _checks.boolean("check_finite", check_finite)
    given = _checks.real_array(name, X)
    if given.ndim != 2 or given.shape[1] != n_features or given.shape[0] == 0:
        raise ValueError(f"{name}: got shape {given.shape}, wants (n, {n_features}) with n >= 1")
    return _matrix(name, given, dtype, check_finite)


def check_targets(
    loss: str,
    y: npt.ArrayLike,
    n_samples: int,
    n_outputs: int,
    dtype: npt.DTypeLike,
    check_finite: bool = True,
) -> npt.NDArray[Any]:
    """Return targets as the engine reads them.

    Parameters
    ----------
    loss : str
        One of `LOSSES`.
    y : array_like
        For "cross_entropy": integer labels of shape (n_samples,) in [0, n_outputs), or probabilities of shape
        (n_samples, n_outputs), non-negative; that rows sum to 1 is neither required nor enforced. For the others: real
        values of shape (n_samples, n_outputs), or (n_samples,) where n_outputs is 1; in [0, 1] for
        "binary_cross_entropy".
    n_samples, n_outputs : int
        Rows of the inputs and units of the output layer.
    dtype : {float32, float64}
        Of the result, labels excepted.
    check_finite : bool
        Search for entries that are not finite; otherwise they pass, whatever the loss asks of the others.

    Returns
    -------
    C-contiguous array
        int64 of shape (n_samples,) for labels, else `dtype` of shape (n_samples, n_outputs).

    Raises
    ------
    TypeError
        Entries are not real numbers, or labels are not integers.
    ValueError
        Unknown loss, wrong shape, or an entry out of range (row, column and value are named).

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.losses.check_targets("mse", [1, 2], 2, 1, "float64")
    array([[1.],
           [2.]])
    >>> fg.losses.check_targets("cross_entropy", [0, 3], 2, 3, "float64")
    Traceback (most recent call last):
        ...
    ValueError: y: row 1 is 3, wants a label in [0, 3) for 3 classes
    """
    loss = check_loss(loss)
    n_samples = _checks.integer("n_samples", n_samples, at_least=1, below=2**63)
    n_outputs = _checks.integer("n_outputs", n_outputs, at_least=1, below=2**63)
    check_finite = _checks.boolean("check_finite", check_finite)
    given = _checks.real_array("y", y)
    if loss == "cross_entropy" and given.ndim == 1:
        return _labels(given, n_samples, n_outputs)
    if given.shape == (n_samples,) and n_outputs == 1:
        given = given.reshape(n_samples, 1)
    if given.shape != (n_samples, n_outputs):
        labels = f" or integer labels of shape ({n_samples},)" if loss == "cross_entropy" else ""
        raise ValueError(f"y: got shape {given.shape}, wants ({n_samples}, {n_outputs}){labels}")
    targets = _matrix("y", given, dtype, check_finite)
    if loss in _RANGES:
        largest, wants = _RANGES[loss]
        _checks.require_entries(
            "y", targets, given, lambda rows: ((rows >= 0) & (rows <= largest)) | ~np.isfinite(rows), wants
        )
    return targets


def _labels(given: npt.NDArray[Any], n_samples: int, n_classes: int) -> npt.NDArray[np.int64]:
    if given.dtype.kind not in "biu":
        raise TypeError(
            f"y: got labels of dtype {given.dtype}, wants integers, or probabilities ({n_samples}, {n_classes})"
        )
    if given.shape != (n_samples,):
        raise ValueError(f"y: got {given.shape[0]} labels, wants {n_samples}, one for each row of X")
    if given.min() < 0 or given.max() >= n_classes:
        row = int(np.argmax((given < 0) | (given >= n_classes)))
        raise ValueError(f"y: row {row} is {given[row]}, wants a label in [0, {n_classes}) for {n_classes} classes")
    return np.require(given, np.int64, ["C", "A"])


def _matrix(name: str, given: npt.NDArray[Any], dtype: npt.DTypeLike, check_finite: bool) -> npt.NDArray[Any]:
    wanted = _checks.float_dtype("dtype", dtype)
    matrix = _checks.converted(name, given, wanted)
    if check_finite:
        _checks.require_entries(name, matrix, given, np.isfinite, f"a value finite in {wanted}")
    return matrix
