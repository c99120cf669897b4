"""Clipping: how gradients are cut down before the optimizer meets them. PyTorch's formulas, and Brock's.

These are values, not engines: frozen, comparable, free of state. The engine applies them to the true gradients of the
weights and biases, after the backward pass and before weight decay, and `fastgrad.reference` spells the formulas out.
Norms are taken of the true values whatever the dtype holds: where a float32 network's gradient has norm 1e60, clipping
by a norm leaves a finite step. What is not finite itself is not cut down: that step is refused as it is unclipped.

The statistic "grad_norm" is that before clipping, and "clip_factor" tells what clipping did. In the formulas g is the
gradient of the loss, norms are Euclidean (of a matrix: Frobenius).
"""

from dataclasses import dataclass, field

from fastgrad import _checks
from fastgrad._closed import VALUE, closed

NORM_EPS = 1e-6
"""What PyTorch's ``clip_grad_norm_`` adds to a norm before it divides by it."""

_PER = ("layer",)


@closed(cure=VALUE)
@dataclass(frozen=True)
class ClipValue:
    """Every entry of the gradient between -c and c.

    ::

        g <- min(max(g, -c), c)                                        (each entry of dL/dW_l and dL/db_l)

    That changes the gradient's direction.

    Parameters
    ----------
    c : float
        > 0; in units of the gradient.

    Raises
    ------
    ValueError, TypeError
        `c` is out of range or of the wrong type.

    References
    ----------
    ``torch.nn.utils.clip_grad_value_``.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([2, 1], init="zeros", bias=False)
    >>> trainer = fg.Trainer(net, "mse", fg.SGD(lr=1.0), clip=fg.ClipValue(0.5))
    >>> trainer.step([[1.0, 0.125]], [[1.0]])  # dL/dW is -2 and -0.25
    1.0
    >>> net.weights[0]
    array([[0.5 ],
           [0.25]], dtype=float32)
    """

    c: float

    def __post_init__(self) -> None:
        _set_bound(self)


@closed(cure=VALUE)
@dataclass(frozen=True)
class ClipNorm:
    """The gradient's norm at most c, its direction as it was.

    ::

        g <- g min(1, c / (||g|| + 1e-6))

    ||g|| is that of all weights and biases together; with ``per="layer"`` each layer is clipped by itself, its weights
    and its bias together.

    Parameters
    ----------
    c : float
        > 0; in units of the gradient. ``math.inf`` never clips: then ``trainer.clip_norm`` measures, as
        ``clip_grad_norm_`` does.
    per : "layer" or None
        What a norm is taken of: a layer, or by default the whole network.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    References
    ----------
    Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1; the
    1e-6 is that of ``torch.nn.utils.clip_grad_norm_``.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([2, 1], init="zeros", bias=False)
    >>> trainer = fg.Trainer(net, "mse", fg.SGD(lr=1.0), clip=fg.ClipNorm(0.5))
    >>> trainer.step([[3.0, 4.0]], [[1.0]])  # dL/dW is -6 and -8
    1.0
    >>> round(trainer.clip_norm, 6)
    10.0
    >>> net.weights[0].round(6)
    array([[0.3],
           [0.4]], dtype=float32)
    """

    c: float
    per: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _set_bound(self, infinite=True)
        if self.per is not None:
            object.__setattr__(self, "per", _checks.choice("per", self.per, _PER))


@closed(cure=VALUE)
@dataclass(frozen=True)
class ClipAdaptive:
    """The gradient of every unit at most c times as long as what it changes (Brock et al. 2021).

    ::

        g_u <- g_u min(1, c max(||w_u||, eps) / ||g_u||)

    A unit u is a column of W_l, the weights into one neuron; a bias vector counts as one unit.

    Parameters
    ----------
    c : float
        > 0; a ratio of norms. 0.01 suits large batches, smaller ones bear more.
    eps : float
        > 0, in units of the weights: what a shorter unit counts as, so that one that starts at zero can leave it.
    output : bool
        Clip the last layer too; Brock et al. leave it as it is.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    References
    ----------
    Brock, De, Smith and Simonyan 2021, "High-Performance Large-Scale Image Recognition Without Normalization",
    arXiv:2102.06171, equation 3.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([2, 1], init=[[[3.0], [4.0]]], bias=False)
    >>> trainer = fg.Trainer(net, "mse", fg.SGD(lr=1.0), clip=fg.ClipAdaptive(0.25))
    >>> trainer.step([[1.0, 0.0]], [[1.0]])  # dL/dW is 4 and 0, ||W|| is 5
    4.0
    >>> net.weights[0]
    array([[1.75],
           [4.  ]], dtype=float32)
    """

    c: float = 0.01
    eps: float = 1e-3
    output: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _set_bound(self)
        object.__setattr__(self, "eps", _checks.number("eps", self.eps, above=0.0))
        object.__setattr__(self, "output", _checks.boolean("output", self.output))


Clip = ClipValue | ClipNorm | ClipAdaptive


def check_clip(clip: Clip | None) -> Clip | None:
    """Return `clip` if it says how to clip, or is None.

    Parameters
    ----------
    clip : ClipValue, ClipNorm, ClipAdaptive or None

    Raises
    ------
    TypeError
        Something else, a number or a class of them for instance.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.clip.check_clip(fg.ClipNorm(1, per="layer"))
    ClipNorm(c=1.0, per='layer')
    """
    if clip is None or isinstance(clip, Clip):
        return clip
    got = f"the class {clip.__name__}" if isinstance(clip, type) else _checks.shown(clip)
    raise TypeError(f"clip: got {got}, wants ClipValue(c), ClipNorm(c), ClipAdaptive() or None")


def _set_bound(clip: Clip, *, infinite: bool = False) -> None:
    object.__setattr__(clip, "c", _checks.number("c", clip.c, above=0.0, infinite=infinite))
