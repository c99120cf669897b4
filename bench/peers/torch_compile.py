"""PyTorch with forward and backward pass compiled by `torch.compile`, for one shape at a time.

The update stays eager: compiling it as well makes small networks slower.
"""

from peers import missing
from peers.torch_eager import data, loss_of, model_of, training_step


def name():
    """Return the name shown in tables."""
    return "torch.compile"


def available():
    """Return why this can't run, such as a C++ compiler that is missing, or None."""
    if reason := missing("torch"):
        return reason
    try:
        make(4, 2, 3)()
    except Exception as error:  # the compiler's stack can fail in any way, and each is a reason
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return None


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    import torch

    torch.compiler.reset()
    model = model_of(width, layers)
    return training_step(model, torch.compile(loss_of(model), dynamic=False), *data(width, rows))
