"""What a vanishing gradient costs: the time of a step must not depend on it, though subnormal numbers are slow.

A softplus network keeps its activations near 1 whatever its weights are; scaling these sets the gradient of the first
layer. PyTorch does the same steps beside it, where it is installed.
"""

from importlib.util import find_spec

import numpy as np
from machine import batch

import fastgrad as fg
from limits import medians, overhead_of

WIDTH, LAYERS, ROWS = 64, 50, 128
HEALTHY = -3
DECADES = (-36, -45, -100, -300)
WANTED = 1.05
BISECTIONS = 30


def _network(scale):
    net = fg.MLP([WIDTH] * (LAYERS + 1), activation="softplus", init="glorot_normal", seed=1)
    for layer, weights in enumerate(list(net.weights)):
        net.weights[layer] = np.float32(scale) * weights
    return net


def _vanished(decades):
    """Return a network whose first layer has a gradient of about 10**decades."""
    x, y = batch(WIDTH, ROWS)
    low, high = 1e-9, 3.0
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        too_small = _network(middle).gradients(x, y, loss="mse")[1].log10_norm[0] < decades
        low, high = (middle, high) if too_small else (low, middle)
    return _network(high)


def _step(net):
    trainer = fg.Trainer(net, loss="mse", optimizer=fg.SGD(lr=0.0))
    x, y = batch(WIDTH, ROWS)
    return lambda: trainer.step(x, y)


def _torch_step(net):
    import torch

    modules = []
    for weights, bias in zip(net.weights, net.biases, strict=True):
        linear = torch.nn.Linear(WIDTH, WIDTH)
        linear.weight.data, linear.bias.data = torch.tensor(weights.T.copy()), torch.tensor(np.array(bias))
        modules += [linear, torch.nn.Softplus()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x, y = map(torch.from_numpy, batch(WIDTH, ROWS))

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def vanishing(seconds):
    """Yield the time of a step by that of one whose gradients are healthy, here and in PyTorch."""
    healthy = _vanished(HEALTHY)
    makers = {"fastgrad": (_step, WANTED)} | ({"PyTorch": (_torch_step, None)} if find_spec("torch") else {})
    for decades in DECADES:
        net = _vanished(decades)
        for name, (make, wanted) in makers.items():
            times = medians(seconds, make(net), make(healthy))
            yield overhead_of(f"{name}, gradients down to 1e{decades} by 1e{HEALTHY}", times, wanted)
