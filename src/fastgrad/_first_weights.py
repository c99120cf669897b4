"""The first weights of a whole network."""

from typing import Any

import numpy.typing as npt

from fastgrad.init import Init, initialise, layer_rng


def first_weights(
    rules: list[Init], sizes: tuple[int, ...], activations: tuple[str, ...], dtype: str, seed: int
) -> list[npt.NDArray[Any]]:
    """Return the first weights of all layers, each drawn from a stream of its own; see `initialise`."""
    fans = zip(sizes[:-1], sizes[1:], rules, activations, strict=True)
    return [
        initialise(rule, *fan, activation=activation, dtype=dtype, rng=layer_rng(seed, layer), layer=layer)
        for layer, (*fan, rule, activation) in enumerate(fans)
    ]
