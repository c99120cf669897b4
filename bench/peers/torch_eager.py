"""PyTorch in its ordinary, eager mode.

`torch.optim.SGD` keeps its defaults: its fused and foreach forms are no faster on CPUs for layers of this size.
"""

from machine import batch, network

from peers import LEARNING_RATE, missing


def name():
    """Return the name shown in tables."""
    return "PyTorch eager"


def available():
    """Return why this can't run, or None."""
    return missing("torch")


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    model = model_of(width, layers)
    return training_step(model, loss_of(model), *data(width, rows))


def model_of(width, layers):
    """Return the network as a `torch.nn.Sequential`."""
    import torch

    modules = []
    for weights in network(width, layers).weights:
        linear = torch.nn.Linear(*weights.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T.copy()))
            linear.bias.zero_()
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def data(width, rows):
    """Return inputs and targets as tensors."""
    import torch

    return [torch.from_numpy(array) for array in batch(width, rows)]


def loss_of(model):
    """Return the loss as a function of inputs and targets."""
    from torch.nn.functional import mse_loss

    return lambda x, y: mse_loss(model(x), y)


def training_step(model, loss_function, x, y, before_update=None):
    """Return a function that does one step, with a call between backward pass and update, and returns its loss."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(x, y)
        loss.backward()
        if before_update is not None:
            before_update()
        optimizer.step()
        return loss.item()

    return step
