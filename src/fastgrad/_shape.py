"""A network's shape: what a caller may say of it, how many numbers it has, and how it reads as a table."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastgrad import _checks, _core


def checked_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes if they are at least two integers >= 1."""
    is_array = isinstance(sizes, np.ndarray) and sizes.ndim > 0
    if isinstance(sizes, str | bytes | bytearray) or not (is_array or isinstance(sizes, Sequence)):
        raise TypeError(f"sizes: got {type(sizes).__name__}, wants a sequence of integers")
    if len(sizes) < 2:
        raise ValueError(f"sizes: got {len(sizes)} entries, wants at least 2: features, then units of each layer")
    return tuple(_checks.integer(f"sizes[{i}]", size, at_least=1, below=2**31) for i, size in enumerate(sizes))


def one_each(name: str, value: Any, count: int, one: Callable[[Any], bool]) -> list[Any]:
    """Return `count` entries: `value` for each where `one` says that it is a single one, else its own entries."""
    if one(value):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: got {len(value)} entries, wants {count}")
    return list(value)


def checked_activations(hidden: Any, output: str, layers: int) -> tuple[str, ...]:
    """Return the name of each layer's activation, from one or several for the hidden layers and one for the last."""
    if not isinstance(hidden, str | list | tuple):
        raise TypeError(f"activation: got {type(hidden).__name__}, wants a name or a sequence of names")
    names = one_each("activation", hidden, layers - 1, one=lambda given: isinstance(given, str))
    if isinstance(hidden, str):
        _checks.choice("activation", hidden, _core.ACTIVATIONS)
    checked = [_checks.choice(f"activation[{i}]", name, _core.ACTIVATIONS) for i, name in enumerate(names)]
    return (*checked, _checks.choice("output_activation", output, _core.ACTIVATIONS))


def count_parameters(sizes: Sequence[int], bias: bool) -> int:
    """Return the number of weights and biases."""
    return sum((fan_in + bias) * out for fan_in, out in pairwise(sizes))


def require_parameters(sizes: Sequence[int], dtype: str) -> None:
    """Raise MemoryError unless there is memory for the parameters, twice while they are made."""
    largest = max(fan_in * out for fan_in, out in pairwise(sizes))
    size = 2 * count_parameters(sizes, True) * np.dtype(dtype).itemsize + largest * np.dtype(np.float64).itemsize
    _checks.require_memory("sizes", list(sizes), size)


def table(sizes: Sequence[int], activations: Sequence[str], bias: bool, dtype: str, isa: str) -> str:
    """Return a line for each layer (its FLOPs are those of a training step per sample), and the totals."""
    rows = [("layer", "shape", "activation", "parameters", "FLOPs/sample")]
    for layer, (fan_in, out) in enumerate(pairwise(sizes)):
        flops = (6 if layer else 4) * fan_in * out
        rows.append((str(layer), f"{fan_in} x {out}", activations[layer], f"{(fan_in + bias) * out:,}", f"{flops:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    count = count_parameters(sizes, bias)
    size = count * np.dtype(dtype).itemsize
    lines.append(f"{count:,} parameters, {size / 2**20:.2f} MiB in {dtype}, kernels: {isa}")
    return "\n".join(lines)
