"""What clipping is to be done as the engine takes it: all numbers for every kind, whether it has them or not."""

import math
from typing import Any

from fastgrad.clip import Clip, ClipAdaptive, ClipNorm, ClipValue

NORM_EPS = 1e-6
"""What PyTorch's ``clip_grad_norm_`` adds to a norm before it divides by it."""


def core_options(clip: Clip | None) -> dict[str, Any]:
    """Return the numbers of a clip, and its kind by the engine's name."""
    if isinstance(clip, ClipValue):
        return {"kind": "value", "bound": clip.c, "eps": 0.0, "output": True}
    if isinstance(clip, ClipNorm):
        return {"kind": "norm" if clip.per is None else "layer_norm", "bound": clip.c, "eps": NORM_EPS, "output": True}
    if isinstance(clip, ClipAdaptive):
        return {"kind": "adaptive", "bound": clip.c, "eps": clip.eps, "output": clip.output}
    return {"kind": "none", "bound": math.inf, "eps": 0.0, "output": True}
