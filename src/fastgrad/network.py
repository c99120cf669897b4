"""The network: its shape, its parameters, and what can be asked of it.

Arithmetic is the engine's; this module names things, checks arguments and moves whole arrays.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy.typing as npt

from fastgrad import _checks, optim
from fastgrad._closed import closed
from fastgrad._inside import HasInside
from fastgrad._isa import active_isa
from fastgrad._shape import checked_activations, checked_sizes, count_parameters, one_each, require_parameters, table
from fastgrad.clip import Clip
from fastgrad.data import checked_data, checked_pair, warn_of_reach
from fastgrad.engine import Engine, Task, checked_options
from fastgrad.fitting import Runs
from fastgrad.gradients import Gradients
from fastgrad.history import History
from fastgrad.init import Init, initialise, layer_rng
from fastgrad.parameters import Parameters
from fastgrad.telemetry import Telemetry

Array = npt.NDArray[Any]


@closed(cure="Shape, activations and dtype are fixed: make a new MLP; weights and biases are set one layer at a time")
class MLP(HasInside[Engine]):
    """A fully connected network: a_l = f(a_{l-1} @ W_l + b_l), rows are samples.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, then units of each layer; at least two, each >= 1.
    activation : str or sequence of str
        Of the hidden layers, one for all or one each (``len(sizes) - 2``): identity, relu, leaky_relu (slope 0.01),
        elu (alpha 1), selu, gelu (the erf form), gelu_tanh, silu, softplus, sigmoid, tanh or mish.
    init : str, rule, callable or sequence of these
        First weights, one for all layers or one each (``len(sizes) - 1``); see `fastgrad.init.initialise`. An array
        is the weights themselves. "auto" goes by the activation. Biases start at 0.
    output_activation : str
        Of the last layer. Losses on logits, which are the cross-entropies, want "identity": a Trainer refuses a sigmoid
        before them, and warns of others, see `fastgrad.losses.check_outputs`.
    bias : bool
        Whether layers have biases.
    dtype : {"float32", "float64"}
        Of parameters, activations and gradients. Statistics and losses are float64.
    seed : int
        In [0, 2**63). The same seed gives the same weights and the same order of batches on every machine.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong type.
    MemoryError
        There is none for networks of such sizes.

    Attributes
    ----------
    weights : sequence of (fan_in, fan_out) arrays
    biases : sequence of (fan_out,) arrays
        Reading gives a fresh read-only array; assigning a whole array replaces it, also for existing Trainers.

    Notes
    -----
    A network can be copied and pickled: its weights go along, its history and the state of Trainers do not.

    One thread at a time computes with a network, and others wait in the order in which they came: for a Trainer at most
    for the steps of 50 ms, or for a single one that takes longer. Whatever else is asked, a copy, an iteration over
    `weights` or a prediction of many rows, is of one state of the network, between two steps, and has Trainers wait
    until it is done.

    A forked child has every network between two steps. Only where a step takes more than a second the fork does not
    wait for its end: in the child that network raises RuntimeError until all weights and biases are set, and its
    Trainers for good.

    Examples
    --------
    >>> import fastgrad as fg
    >>> net = fg.MLP([784, *[256] * 30, 10], activation="relu", seed=0)
    >>> len(net.weights), net.weights[0].shape, net.n_parameters
    (31, (784, 256), 2111498)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        init: Init | Sequence[Init] = "auto",
        output_activation: str = "identity",
        bias: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        self._sizes = checked_sizes(sizes)
        layers = len(self._sizes) - 1
        self._activations = checked_activations(activation, output_activation, layers)
        self._dtype: str = _checks.float_dtype("dtype", dtype).name
        self._seed = _checks.integer("seed", seed, at_least=0, below=2**63)
        bias = _checks.boolean("bias", bias)
        rules = one_each("init", init, layers, one=lambda rule: not isinstance(rule, list | tuple))
        require_parameters(self._sizes, self._dtype)
        first = _first_weights(rules, self.sizes, self.activations, self.dtype, self.seed)
        self._inside = Engine(active_isa(), self.dtype, self.sizes, self.activations, bias, self.seed)
        network = self._inside.network
        self._weights = Parameters("weights", list(pairwise(self.sizes)), network)
        self._biases = Parameters("biases", [(width,) for width in self.sizes[1:]] if bias else [], network)
        for layer, weights in enumerate(first):
            self._weights[layer] = weights
        self._history: History | None = None
        self._own = {"_own", *vars(self)}  # names that are not a subclass's

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features of the input, then units of each layer."""
        return self._sizes

    @property
    def activations(self) -> tuple[str, ...]:
        """The activation of each layer, the last one's included."""
        return self._activations

    @property
    def dtype(self) -> str:
        """Of parameters, activations and gradients."""
        return self._dtype

    @property
    def seed(self) -> int:
        """What first weights and orders of batches are drawn from."""
        return self._seed

    @property
    def weights(self) -> Parameters:
        """The (fan_in, fan_out) weights of each layer."""
        return self._weights

    @property
    def biases(self) -> Parameters:
        """The (fan_out,) biases of each layer; empty for a network without."""
        return self._biases

    @property
    def history(self) -> History | None:
        """What the last `fit` left behind, be it that an error or Control-C ended it; None before, and in a copy."""
        return self._history

    @property
    def isa(self) -> str:
        """Instruction set of this network's kernels."""
        return self._inside.network.isa

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return count_parameters(self.sizes, bool(self.biases))

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        loss: str,
        optimizer: optim.Optimizer | str = "adam",
        clip: Clip | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        progress: bool = False,
        telemetry: bool | Telemetry = True,
        check_finite: bool = True,
    ) -> History:
        """Train on all of X, `epochs` times, with a new Trainer: the optimizer's state starts afresh.

        Parameters
        ----------
        X : (n, n_features) array_like
        y : array_like
            Targets as `fastgrad.losses.check_targets` takes them.
        loss : str
            One of `fastgrad.losses.LOSSES`; "cross_entropy" wants at least 2 outputs.
        optimizer : SGD, Adam, AdamW, RMSprop or str
        clip : ClipValue, ClipNorm, ClipAdaptive, optional
            How gradients are cut down before the optimizer meets them; they are not unless given.
        epochs, batch_size : int
            >= 1. The last batch may be shorter.
        shuffle : bool
            A new order each epoch, drawn from `seed`.
        validation_data : (X, y), optional
            Its loss is computed after each epoch.
        progress : bool
            Print a line for each epoch.
        telemetry : bool or Telemetry
        check_finite : bool
            As in `Trainer`; validation data are always searched.

        Returns
        -------
        History
            Losses, epochs, and the telemetry, if recorded: `history` too, which has what was done where an exception,
            Control-C's included, ends it. The exception's note says how much that is.

        Raises
        ------
        ValueError, TypeError
            Bad data or arguments, or a network that could learn nothing from this loss; nothing has changed.
        DivergenceError
            A loss or an update is not finite; the weights are those before that step.
        OSError
            The telemetry's file cannot be written.

        Warns
        -----
        DoubtfulNetworkWarning
            An activation limits logits, or its reach leaves out the mean of the targets.
        """
        engine = self._inside
        options = checked_options(engine, loss, optimizer, clip, telemetry, check_finite)
        epochs = _checks.integer("epochs", epochs, at_least=1, below=2**63)
        batch_size = _checks.integer("batch_size", batch_size, at_least=1)
        shuffle, progress = _checks.boolean("shuffle", shuffle), _checks.boolean("progress", progress)
        data = checked_data(engine.network, options.loss, X, y, options.check_finite)
        warn_of_reach(data, self.activations[-1])
        held_out = None
        if validation_data is not None:
            held_out = checked_pair("validation_data", validation_data, engine.network, options.loss)
        task = Task(engine.network, options, window=-(-len(data) // batch_size))
        self._history = history = History(engine.network.layers)
        return Runs(engine, task).epochs(
            history, data, epochs, min(batch_size, len(data)), shuffle, held_out, tell=progress
        )

    def forward(self, X: npt.ArrayLike, *, training: bool = False) -> Array:
        """Return the outputs of the last layer.

        Parameters
        ----------
        X : (n, n_features) array_like
        training : bool
            Keep what `backward` needs.

        Returns
        -------
        (n, n_outputs) array
            In the network's dtype; inf or nan where the forward pass leaves its range.
        """
        return self._inside.forward(X, _checks.boolean("training", training))

    def backward(self, dL_doutput: npt.ArrayLike) -> Gradients:
        """Return gradients for a loss of the caller's own, after ``forward(X, training=True)``.

        Parameters
        ----------
        dL_doutput : (n, n_outputs) array_like
            Gradient of the loss with respect to what `forward` returned.

        Raises
        ------
        ValueError
            No forward pass in training mode came before, or the shape is not that of its output.
        """
        return self._inside.backward(dL_doutput)

    def gradients(self, X: npt.ArrayLike, y: npt.ArrayLike, *, loss: str) -> tuple[float, Gradients]:
        """Return the loss of a batch and its gradients, changing nothing.

        Parameters
        ----------
        X, y : array_like
            As in `fit`, one batch.
        loss : str
            One of `fastgrad.losses.LOSSES`.

        Returns
        -------
        (float, Gradients)

        Raises
        ------
        ValueError, TypeError
            Bad data.
        """
        return self._inside.gradients(X, y, loss)

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike, *, loss: str) -> float:
        """Return the loss of X and y as one batch, changing nothing; arguments and errors as in `gradients`."""
        return self._inside.evaluate(X, y, loss)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return what the network was trained to tell.

        Returns
        -------
        array
            (n,) class numbers after training with "cross_entropy"; (n, n_outputs) of 0 and 1 after
            "binary_cross_entropy"; else the (n, n_outputs) outputs. (n,) where the targets of training were so. Classes
            are those of the true outputs, also where these lie outside the range of the dtype; outputs themselves are
            inf or 0 there, as those of `forward`.

        Raises
        ------
        NotFittedError
            The network has not been trained; `forward` gives its outputs all the same.
        ValueError
            Bad data, or the outputs of a row tell nothing, because the signal left the range within a layer.
        """
        return self._inside.predict(X)

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return probabilities, after training with "cross_entropy" or "binary_cross_entropy".

        They are those of the true outputs, also where these lie outside the range of the dtype.

        Returns
        -------
        (n, n_outputs) array
            Of each class; or of a 1 in each output after "binary_cross_entropy", (n,) where its targets were so.

        Raises
        ------
        NotFittedError
            The network has not been trained.
        ValueError
            It was trained with a loss that knows no probabilities, or a row tells nothing, as in `predict`.
        """
        return self._inside.predict_proba(X)

    def summary(self) -> str:
        """Return a table of the layers: shape, activation, parameters, and the FLOPs of a training step per sample."""
        return table(self.sizes, self.activations, bool(self.biases), self.dtype, self.isa)

    def __repr__(self) -> str:
        shape = "-".join(map(str, self.sizes)) if len(self.sizes) <= 8 else f"{len(self.sizes) - 1} layers"
        return f"MLP({shape}, {self.activations[0]}, {self.dtype}, {self.n_parameters:,} parameters)"

    def __getstate__(self) -> dict[str, Any]:
        engine = self._inside
        network = engine.network
        options = {"sizes": self.sizes, "dtype": self.dtype, "seed": self.seed, "bias": bool(self.biases)}
        options |= {"activation": self.activations[:-1], "output_activation": self.activations[-1]}
        with network:
            trained = {name: value for name, value in vars(self).items() if name not in self._own}
            trained |= {"_trained_loss": network.trained_loss, "_trained_flat": network.trained_flat}
            trained |= {"_trainers": engine.trainers}
            return {"options": options, "weights": self.weights[:], "biases": self.biases[:], "trained": trained}

    def __setstate__(self, state: dict[str, Any]) -> None:
        MLP.__init__(self, **state["options"], init=state["weights"])
        for layer, bias in enumerate(state["biases"]):
            self.biases[layer] = bias
        trained, engine = dict(state["trained"]), self._inside
        engine.network.trained_loss = trained.pop("_trained_loss")
        engine.network.trained_flat = trained.pop("_trained_flat")
        engine.trainers = trained.pop("_trainers")
        self.__dict__.update(trained)

    def __copy__(self) -> "MLP":
        return copy.deepcopy(self)


def _first_weights(
    rules: list[Init], sizes: tuple[int, ...], activations: tuple[str, ...], dtype: str, seed: int
) -> list[Array]:
    """Return the first weights of all layers, each drawn from a stream of its own."""
    fans = zip(sizes[:-1], sizes[1:], rules, activations, strict=True)
    return [
        initialise(rule, *fan, activation=activation, dtype=dtype, rng=layer_rng(seed, layer), layer=layer)
        for layer, (*fan, rule, activation) in enumerate(fans)
    ]
