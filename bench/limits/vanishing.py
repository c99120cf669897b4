"""What a vanishing gradient costs: the time of a step must not depend on it, though subnormal numbers may be slow.

A softplus network keeps its activations near 1 whatever its weights are; scaling all of them sets the gradient of the
first layer, to which it shrinks layer by layer. In a tanh network the activations shrink along with it. One that scales
its last weights alone has gradients equally faint in all layers below: at 1e-36 float32 holds them in subnormal
numbers, at which some processors take hundreds of cycles and others none. PyTorch does the same steps beside it, where
it is installed.
"""

from importlib.util import find_spec

import numpy as np
from machine import batch

import fastgrad as fg
from limits import medians, overhead_of, sizes

HEALTHY = -3
CASES = (  # activation, which weights are scaled, shape, powers of ten of the first layer's gradient
    ("softplus", "all", "64x50x128", (-36, -45, -100, -300)),
    ("tanh", "all", "64x50x128", (-36, -45, -100, -300)),
    ("tanh", "last", "256x20x128", (-36,)),
)
WANTED = 1.05
BISECTIONS = 30


def _network(activation, scaled, shape, scale):
    width, layers, _ = sizes(shape)
    net = fg.MLP([width] * (layers + 1), activation=activation, init="glorot_normal", seed=1)
    for layer in range(layers) if scaled == "all" else [layers - 1]:
        net.weights[layer] = np.float32(scale) * net.weights[layer]
    return net


def _batch(shape):
    width, _, rows = sizes(shape)
    return batch(width, rows)


def _vanished(activation, scaled, shape, decades):
    """Return a network whose first layer has a gradient of about 10**decades."""
    x, y = _batch(shape)
    low, high = 1e-36, 3.0
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        net = _network(activation, scaled, shape, middle)
        too_small = net.gradients(x, y, loss="mse")[1].log10_norm[0] < decades
        low, high = (middle, high) if too_small else (low, middle)
    return _network(activation, scaled, shape, high)


def _step(net, x, y):
    trainer = fg.Trainer(net, loss="mse", optimizer=fg.SGD(lr=0.0))
    return lambda: trainer.step(x, y)


def _torch_step(net, x, y):
    import torch

    torch.set_num_threads(1)
    activation = {"softplus": torch.nn.Softplus, "tanh": torch.nn.Tanh}[net.activations[0]]
    modules = []
    for weights, bias in zip(net.weights, net.biases, strict=True):
        linear = torch.nn.Linear(*weights.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weights.T.copy()), torch.tensor(np.array(bias))
        modules += [linear, activation()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def vanishing(seconds):
    """Yield the time of a step by that of one whose gradients are healthy, here and in PyTorch."""
    makers = {"fastgrad": (_step, WANTED)} | ({"PyTorch": (_torch_step, None)} if find_spec("torch") else {})
    for activation, scaled, shape, all_decades in CASES:
        healthy = _vanished(activation, scaled, shape, HEALTHY)
        for decades in all_decades:
            net = _vanished(activation, scaled, shape, decades)
            for name, (make, wanted) in makers.items():
                times = medians(seconds, make(net, *_batch(shape)), make(healthy, *_batch(shape)))
                yield overhead_of(
                    f"{name}, {activation} {shape}, {scaled} weights scaled, 1e{decades} by 1e{HEALTHY}", times, wanted
                )
