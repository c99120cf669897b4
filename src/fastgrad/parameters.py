"""The weights or biases of a network as a sequence of arrays, one a layer.

The engine keeps parameters packed, so an array given out is a copy, read-only lest anyone think that writing to it
changes the network.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks, _core
from fastgrad._closed import closed

Array = npt.NDArray[Any]


@closed(cure="Arrays are set one layer at a time, as in net.weights[0] = array")
class Parameters(Sequence[Array]):
    """The weights or biases of all layers: reads are fresh read-only copies, assignment replaces a whole array.

    A slice or an iteration copies its layers at once, so that they are of one step though another thread trains.
    """

    def __init__(self, name: str, shapes: list[tuple[int, ...]], net: _core.Network) -> None:
        self._name = name
        self._shapes = shapes
        self._net = net
        self._dtype = np.dtype(net.dtype)
        weights = name == "weights"
        self._get: Callable[[int, Array], None] = net.get_weights if weights else net.get_bias
        self._set: Callable[[int, Array], None] = net.set_weights if weights else net.set_bias

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, layer: Any) -> Any:
        if isinstance(layer, slice):
            return self._copies(self._numbers(layer))
        number = self._number(layer)
        array = np.empty(self._shapes[number], self._dtype)
        self._get(number, array)
        array.flags.writeable = False
        return array

    def _copies(self, layers: range) -> list[Array]:
        with self._net:
            return [self[layer] for layer in layers]

    def __setitem__(self, layer: int, value: npt.ArrayLike) -> None:
        number = self._number(layer)
        label, shape = f"{self._name}[{number}]", self._shapes[number]
        given = _checks.real_array(label, value)
        if given.shape != shape:
            raise ValueError(f"{label}: got shape {given.shape}, wants {shape}")
        array = _checks.converted(label, given, self._dtype)
        rows = array.reshape(-1, shape[-1])
        _checks.require_entries(label, rows, given, np.isfinite, f"a value finite in {self._dtype}")
        self._set(number, array)

    def __iter__(self) -> Iterator[Array]:
        return iter(self._copies(range(len(self))))

    def __reversed__(self) -> Iterator[Array]:
        return iter(self._copies(range(len(self))[::-1]))

    def __repr__(self) -> str:
        return f"<{self._name} of {len(self)} layers: {', '.join(map(str, self._shapes))}>"

    def _numbers(self, layers: slice) -> range:
        try:
            return range(len(self))[layers]
        except Exception as error:  # whatever the __index__ of its ends raises
            raise TypeError(f"{self._name}: got {_checks.shown(layers)}, wants numbers of layers") from error

    def _number(self, layer: int) -> int:
        if isinstance(layer, bool) or not isinstance(layer, int | np.integer):
            raise TypeError(f"{self._name}: got index {_checks.shown(layer)}, wants the number of a layer")
        number = _checks.integer(self._name, layer)
        if not -len(self) <= number < len(self):
            has = f"layers 0 to {len(self) - 1}" if self._shapes else f"no {self._name}"
            raise IndexError(f"{self._name}: got layer {_checks.shown(number)}, the network has {has}")
        return number % len(self)
