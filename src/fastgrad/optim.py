"""Optimizers: what they are called and which numbers they take. PyTorch's names, defaults, formulas and order.

These are values, not engines: frozen, comparable, free of state. The kernels apply them and `fastgrad.reference` spells
the formulas out. Weight decay covers biases, as in PyTorch. Schedules and clipping do not belong here.

In the formulas g is the gradient of the loss, w a weight or a bias, t the step counted from 1.

Adam, AdamW and RMSprop are right for any |g| that the dtype holds, up to a factor of 2^7 below its largest number and
down to its smallest normal one, below which g itself counts as 0: no square leaves the range. In float32 a root of v
that a constant g has left nearly at rest may stay 3 * 2^-24 / (1 - beta2) of itself away from it, where each step moves
it by less than its roundings do: 1.8e-4 for 0.999 after some ten thousand steps. SGD's buffer is a plain average, and 0
below the smallest normal number.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from fastgrad import _checks
from fastgrad._closed import VALUE, closed


@closed(cure=VALUE)
@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum and Nesterov's variant.

    ::

        g <- g + weight_decay w
        b <- g at t = 1, else momentum b + (1 - dampening) g           (where momentum > 0)
        w <- w - lr (g without momentum; g + momentum b with nesterov; else b)

    Parameters
    ----------
    lr : float
        Learning rate, >= 0.
    momentum : float
        >= 0.
    dampening : float
        Share of the gradient kept out of the momentum.
    weight_decay : float
        >= 0; added to the gradient.
    nesterov : bool
        Needs momentum > 0 and dampening 0.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([1, 1], init="zeros")
    >>> fg.Trainer(net, "mse", fg.SGD(lr=0.25)).step([[1.0]], [[1.0]])
    1.0
    >>> float(net.weights[0][0, 0])
    0.5
    """

    name: ClassVar[str] = "sgd"
    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _set_number(self, "lr", at_least=0.0)
        _set_number(self, "momentum", at_least=0.0)
        _set_number(self, "dampening")
        _set_number(self, "weight_decay", at_least=0.0)
        object.__setattr__(self, "nesterov", _checks.boolean("nesterov", self.nesterov))
        if self.nesterov and not (self.momentum > 0.0 and self.dampening == 0.0):
            raise ValueError(
                f"nesterov: got True with momentum {self.momentum:g} and dampening {self.dampening:g}, "
                "wants momentum > 0 and dampening 0"
            )


@closed(cure=VALUE)
@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2014, algorithm 1), with L2 weight decay added to the gradient.

    ::

        g <- g + weight_decay w
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    lr : float
        Learning rate, >= 0.
    betas : (float, float)
        Decay rates of the two moments, each in [0, 1).
    eps : float
        > 0.
    weight_decay : float
        >= 0.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([1, 1], init="zeros")
    >>> fg.Trainer(net, "mse", fg.Adam(lr=0.5)).step([[1.0]], [[1.0]])
    1.0
    >>> round(float(net.weights[0][0, 0]), 3)
    0.5
    """

    name: ClassVar[str] = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _set_number(self, "lr", at_least=0.0)
        _set_betas(self)
        _set_number(self, "eps", above=0.0)
        _set_number(self, "weight_decay", at_least=0.0)


@closed(cure=VALUE)
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    As `Adam` without decay in its gradient, after ``w <- (1 - lr weight_decay) w``. Parameters and errors are those of
    `Adam`; `weight_decay` is 0.01 unless given.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.AdamW(lr=3e-4)
    AdamW(lr=0.0003, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = 1e-2


@closed(cure=VALUE)
@dataclass(frozen=True)
class RMSprop:
    """RMSprop (Hinton 2012), centred as in Graves 2013 (eq. 38 to 40) where asked.

    ::

        g <- g + weight_decay w
        v <- alpha v + (1 - alpha) g^2
        c <- alpha c + (1 - alpha) g                                   (centered, else c = 0)
        b <- momentum b + g / (sqrt(v - c^2) + eps)
        w <- w - lr b

    v - c^2 is computed as a variance of its own, which does not cancel where g is constant.

    Parameters
    ----------
    lr : float
        Learning rate, >= 0.
    alpha : float
        Decay rate of the averages, in [0, 1).
    eps : float
        > 0.
    weight_decay : float
        >= 0; added to the gradient.
    momentum : float
        >= 0.
    centered : bool
        Divide by the deviation instead of the root mean square.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.RMSprop(lr=0.01, centered=True).alpha
    0.99
    """

    name: ClassVar[str] = "rmsprop"
    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        _set_number(self, "lr", at_least=0.0)
        _set_number(self, "alpha", at_least=0.0, below=1.0)
        _set_number(self, "eps", above=0.0)
        _set_number(self, "weight_decay", at_least=0.0)
        _set_number(self, "momentum", at_least=0.0)
        object.__setattr__(self, "centered", _checks.boolean("centered", self.centered))


Optimizer = SGD | Adam | RMSprop

OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam, AdamW, RMSprop)}


def resolve(optimizer: Optimizer | str) -> Optimizer:
    """Return an optimizer from an instance, or from a name with its defaults.

    Parameters
    ----------
    optimizer : SGD, Adam, AdamW, RMSprop or str
        Names are "sgd", "adam", "adamw" and "rmsprop".

    Raises
    ------
    ValueError
        Unknown name.
    TypeError
        Neither an optimizer nor a name.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type):
        raise TypeError(f"optimizer: got the class {optimizer.__name__}, wants an instance such as Adam(lr=1e-3)")
    return OPTIMIZERS[_checks.choice("optimizer", optimizer, OPTIMIZERS)]()


def _set_number(options: Optimizer, field: str, **limits: Any) -> None:
    object.__setattr__(options, field, _checks.number(field, getattr(options, field), **limits))


def _set_betas(options: Adam) -> None:
    betas = options.betas
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"betas: got {_checks.shown(betas)}, wants two numbers in [0, 1)")
    pair = tuple(_checks.number(f"betas[{i}]", beta, at_least=0.0, below=1.0) for i, beta in enumerate(betas))
    object.__setattr__(options, "betas", pair)
