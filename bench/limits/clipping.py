"""What clipping costs: a step that clips by one that does not, and PyTorch's same where it is installed.

`make bench-limits ARGS="--only clipping"` prints it. The bounds are so low that every step is clipped. A norm has to be
known before the first weight moves, so gradients are stored and read again; a limit on values is met tile by tile.
PyTorch clips with what it has on many tensors at once (`foreach`), on one thread, in a step with its plain SGD.
"""

from importlib.util import find_spec

from peers import torch_eager

import fastgrad as fg
from limits import medians, overhead_of, sizes, training_step

CLIPS = {
    "value": (fg.ClipValue(1e-7), {"64x10x256": 1.03, "256x10x256": 1.03}),
    "global norm": (fg.ClipNorm(1e-4), {"64x10x256": 1.15, "256x10x256": 1.10}),
    "norm of a layer": (fg.ClipNorm(1e-5, per="layer"), {}),
    "adaptive": (fg.ClipAdaptive(1e-6), {}),
}
SHAPES = ("64x10x256", "256x10x256")


def _torch_clips(model):
    """Return what PyTorch offers, by the names above."""
    from torch.nn import utils

    tensors = list(model.parameters())
    layers = list(zip(tensors[::2], tensors[1::2], strict=True))

    def clip_layers():
        for layer in layers:
            utils.clip_grad_norm_(layer, 1e-5, foreach=True)

    return {
        "value": lambda: utils.clip_grad_value_(tensors, 1e-7, foreach=True),
        "global norm": lambda: utils.clip_grad_norm_(tensors, 1e-4, foreach=True),
        "norm of a layer": clip_layers,
    }


def _torch_rows(shape, seconds):
    import torch

    torch.set_num_threads(1)
    width, layers, rows = sizes(shape)
    model = torch_eager.model_of(width, layers)
    task = model, torch_eager.loss_of(model), *torch_eager.data(width, rows)
    plain = torch_eager.training_step(*task)
    for name, clip in _torch_clips(model).items():
        times = medians(seconds, torch_eager.training_step(*task, before_update=clip), plain)
        yield overhead_of(f"PyTorch, {name}, {shape}", times, None)


def clipping(seconds):
    """Yield the time of a step with each clip by that of one without, here and in PyTorch."""
    for shape in SHAPES:
        plain = training_step(shape)
        for name, (clip, wanted) in CLIPS.items():
            times = medians(seconds, training_step(shape, clip=clip), plain)
            yield overhead_of(f"{name}, {shape}", times, wanted.get(shape))
        if find_spec("torch"):
            yield from _torch_rows(shape, seconds)
