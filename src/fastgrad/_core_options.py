"""The numbers of optimizers and clips as the engine takes them: all of them for every kind, 0 where it has none."""

import math
from typing import Any

from fastgrad.clip import NORM_EPS, Clip, ClipAdaptive, ClipNorm, ClipValue
from fastgrad.optim import SGD, Adam, AdamW, Optimizer


def optimizer_options(optimizer: Optimizer) -> dict[str, Any]:
    """Return the numbers of an optimizer, and its kind by the engine's name."""
    options: dict[str, Any] = {
        "lr": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "decoupled": isinstance(optimizer, AdamW),
        "momentum": 0.0,
        "dampening": 0.0,
        "nesterov": False,
        "beta1": 0.0,
        "beta2": 0.0,
        "eps": 0.0,
    }
    if isinstance(optimizer, SGD):
        options |= {
            "kind": "sgd_momentum" if optimizer.momentum else "sgd",
            "momentum": optimizer.momentum,
            "dampening": optimizer.dampening,
            "nesterov": optimizer.nesterov,
        }
    elif isinstance(optimizer, Adam):
        options |= {"kind": "adam", "beta1": optimizer.betas[0], "beta2": optimizer.betas[1], "eps": optimizer.eps}
    else:
        kind = "rmsprop" + "_centered" * optimizer.centered + "_momentum" * bool(optimizer.momentum)
        options |= {"kind": kind, "beta2": optimizer.alpha, "eps": optimizer.eps, "momentum": optimizer.momentum}
    return options


def clip_options(clip: Clip | None) -> dict[str, Any]:
    """Return what clipping is to be done as the engine takes it."""
    if isinstance(clip, ClipValue):
        return {"kind": "value", "bound": clip.c, "eps": 0.0, "output": True}
    if isinstance(clip, ClipNorm):
        return {"kind": "norm" if clip.per is None else "layer_norm", "bound": clip.c, "eps": NORM_EPS, "output": True}
    if isinstance(clip, ClipAdaptive):
        return {"kind": "adaptive", "bound": clip.c, "eps": clip.eps, "output": clip.output}
    return {"kind": "none", "bound": math.inf, "eps": 0.0, "output": True}
