"""Training steps of fastgrad beside those of other libraries.

Each module named in PEERS, and `ours`, has the same three functions: `name()`, `available()`, which returns None or the
reason why not, and `make(width, layers, batch)`, which returns a function that does one training step and returns its
loss. The work is the same for all: `machine.network`'s weights, `machine.batch`'s data, hidden layers with ReLU, a
linear last layer, mean squared error, plain SGD in float32. `run.py` is the command.
"""

from importlib.util import find_spec

PEERS = ("torch_eager", "torch_compile", "jax_jit", "sklearn_mlp", "numpy_blas")
LEARNING_RATE = 0.01


def missing(package):
    """Return why `package` can't be used, or None."""
    return None if find_spec(package) else f"{package} is not installed: pip install 'fastgrad[peers]'"
