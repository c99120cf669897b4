"""The demo: two networks 30 layers deep on scikit-learn's handwritten digits, alike but for activation and first weights.

In one the gradient dies on its way back, in the other it does not; this module trains both, and draws what happened as
bars of text and as a picture. It shows measurements only: it diagnoses nothing and cures nothing.
"""

import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from fastgrad.init import Init, Normal
from fastgrad.network import MLP
from fastgrad.optim import AdamW
from fastgrad.plot import gradient_flow
from fastgrad.telemetry import Array, History
from fastgrad.train import Trainer

DEPTH = 30
WIDTH = 128
EPOCHS = 34
BATCH_SIZE = 64
WEIGHT_DECAY = 0.3
SCHEDULE = ((0.7, 5e-4), (0.88, 1e-4), (1.0, 2e-5))  # up to this share of the epochs, this learning rate
SPLIT_SEED = 0

_WIDEST = 100
_NARROWEST = 50
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class Recipe:
    """What the two networks differ in."""

    title: str
    activation: str
    init: Init


RECIPES = (Recipe("sigmoid, small weights", "sigmoid", Normal(0.05)), Recipe("ReLU, He's weights", "relu", "he_normal"))


@dataclass(frozen=True)
class Digits:
    """Images as (n, 64) float32 in [0, 1] and their labels; every training image is there five times, see `load_digits`."""

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    X_held_out: npt.NDArray[np.float32]
    y_held_out: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """A network's training.

    Attributes
    ----------
    title : str
        As in its recipe.
    history : History
        Loss and statistics of every step.
    accuracy : float
        Share of the held-out images told right after the last epoch.
    samples_per_second, gflops : float
        Of the training; 1 GFLOP/s is 1e9 floating-point operations a second, those of the matrix products alone.
    """

    title: str
    history: History
    accuracy: float
    samples_per_second: float
    gflops: float

    @property
    def log10_gradients(self) -> Array:
        """(layers,) log10 of the gradients' norms, the median over the steps of the last epoch's length."""
        last_epoch = self.history.telemetry["grad_norm"][-self.history.steps_per_epoch :]
        with np.errstate(divide="ignore"):
            return np.log10(np.median(last_epoch, axis=0))
