"""fastgrad: trains deep MLPs on the CPU, and knows at every step what every layer's gradient is doing."""

from importlib.metadata import version as _version

from fastgrad import _fork, clip, init, losses, ops, optim, plot, reference, telemetry
from fastgrad.clip import ClipAdaptive, ClipNorm, ClipValue
from fastgrad.config import cpu_info, force_isa, get_num_threads, set_num_threads
from fastgrad.errors import DivergenceError, DoubtfulNetworkWarning, Nonfinite, NotFittedError
from fastgrad.gradients import Gradients
from fastgrad.history import History
from fastgrad.network import MLP
from fastgrad.optim import SGD, Adam, AdamW, RMSprop
from fastgrad.telemetry import LayerStats, Record, Telemetry
from fastgrad.train import Trainer

_fork.prepare_for_forks()
__version__ = _version("fastgrad")

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "ClipAdaptive",
    "ClipNorm",
    "ClipValue",
    "DivergenceError",
    "DoubtfulNetworkWarning",
    "Gradients",
    "History",
    "LayerStats",
    "Nonfinite",
    "NotFittedError",
    "RMSprop",
    "Record",
    "Telemetry",
    "Trainer",
    "clip",
    "cpu_info",
    "force_isa",
    "get_num_threads",
    "init",
    "losses",
    "ops",
    "optim",
    "plot",
    "reference",
    "set_num_threads",
    "telemetry",
]
