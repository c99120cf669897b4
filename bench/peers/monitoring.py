"""Times what watching a network costs: the bare steps of PyTorch and fastgrad, and each way to watch them.

Gradient norms alone are cheap in PyTorch; what costs is to look at activations, or at distributions. fastgrad measures
all its statistics of each layer, which are read into lists here, as the others' figures are. All watch every step.
Prints a line of JSON for each shape; `run.py` starts it.
"""

import json
import math
import sys

from machine import batch

from peers import ours, torch_eager
from peers.pair import pin
from peers.turns import quartiles_in_turns

MEANINGS = {
    "norms": "p.grad.norm().item() for each parameter",
    "activations": "torch._foreach_norm of gradients, weights and activations; mean and zeros of activations by hooks",
    "histograms": "torch.histc, 64 bins, of each parameter and its gradient",
}
BINS = 64


def norms(model):
    """Return a function that takes each gradient's norm, one at a time."""
    return lambda: [parameter.grad.norm().item() for parameter in model.parameters()]


def activations(model):
    """Return a function that takes all norms at once, and mean, RMS and share of zeros of each activation."""
    import torch

    kept = []
    for module in [each for each in model if isinstance(each, torch.nn.ReLU)] + [model[-1]]:
        module.register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))

    def measure():
        parameters = [parameter.detach() for parameter in model.parameters()]
        gradients = [parameter.grad for parameter in model.parameters()]
        figures = list(torch._foreach_norm([*parameters, *gradients, *kept]))
        figures += [each.mean() for each in kept]
        figures += [torch.count_nonzero(each).to(each.dtype) for each in kept]
        figures, entries, layers = torch.stack(figures).tolist(), kept[0].numel(), len(kept)
        kept.clear()
        parameter_norms, rest = figures[: -3 * layers], figures[-3 * layers :]
        lengths, means, alive = rest[:layers], rest[layers : 2 * layers], rest[2 * layers :]
        return parameter_norms, means, [x / math.sqrt(entries) for x in lengths], [1.0 - x / entries for x in alive]

    return measure


def histograms(model):
    """Return a function that takes histograms between the extremes of each parameter and its gradient."""
    import torch

    def histogram(tensor):
        low, high = (extreme.item() for extreme in tensor.aminmax())
        return low, high, torch.histc(tensor, BINS, low, high).tolist()

    def measure():
        return [histogram(each) for p in model.parameters() for each in (p.detach(), p.grad)]

    return measure


WATCHES = {"norms": norms, "activations": activations, "histograms": histograms}


def watched_step(watch, width, layers, rows):
    """Return PyTorch's step with that watch, or without any for None."""
    model = torch_eager.model_of(width, layers)
    look = None if watch is None else watch(model)
    return torch_eager.training_step(
        model, torch_eager.loss_of(model), *torch_eager.data(width, rows), before_update=look
    )


def read_step(width, layers, rows):
    """Return fastgrad's step with all statistics read into lists."""
    trainer = ours.trainer_of(width, layers)
    x, y = batch(width, rows)

    def step():
        trainer.step(x, y)
        return trainer.stats.values.tolist()

    return step


def timed(shape, seconds):
    """Return the quartiles of each step of one shape."""
    width, layers, rows = shape
    steps = {"bare": watched_step(None, *shape)}
    steps |= {name: watched_step(watch, *shape) for name, watch in WATCHES.items()}
    steps |= {"fastgrad_bare": ours.make(*shape, telemetry=False), "fastgrad": read_step(*shape)}
    quartiles = quartiles_in_turns(list(steps.values()), seconds * len(steps) / 2)
    return {"width": width, "layers": layers, "batch": rows, "seconds": dict(zip(steps, quartiles, strict=True))}


def main(threads, seconds, *shapes):
    """Time all shapes at one number of threads; the first line says whether PyTorch can run."""
    pin(int(threads))
    reason = torch_eager.available()
    print(json.dumps({"name": torch_eager.name(), "unavailable": reason}), flush=True)
    for shape in shapes if reason is None else ():
        print(json.dumps(timed(tuple(map(int, shape.split("x"))), float(seconds))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
