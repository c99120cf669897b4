"""The demo: two networks of 30 layers, alike but for activation and first weights, learn scikit-learn's bundled digits.

In one the gradient dies on its way back, in the other it does not; this module trains both and shows what happened as
bars of text and as a picture. It shows measurements only: it diagnoses nothing and cures nothing.
"""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad.history import History
from fastgrad.init import Init, Normal
from fastgrad.network import MLP
from fastgrad.optim import AdamW
from fastgrad.plot import gradient_flow
from fastgrad.telemetry import Array
from fastgrad.train import Trainer

DEPTH = 30
WIDTH = 128
EPOCHS = 40
BATCH_SIZE = 64
WEIGHT_DECAY = 1.0
SCHEDULE = ((0.6, 4e-4), (0.85, 1e-4), (1.0, 2e-5))  # up to this share of the epochs, this learning rate
SPLIT_SEED = 0  # the same images are held out whatever the networks' seed

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLUMNS = (48, 100)


@dataclass(frozen=True)
class Recipe:
    """What the two networks differ in."""

    title: str
    activation: str
    init: Init


RECIPES = (
    Recipe("sigmoid, small weights", "sigmoid", Normal(0.08)),  # a gain of 1 would take 4 / sqrt(WIDTH) = 0.35
    Recipe("ReLU, He's weights", "relu", "he_normal"),
)


@dataclass(frozen=True)
class Digits:
    """Images, (n, 64) float32 in [0, 1], and the digits they show."""

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
        Its recipe's.
    history : History
        Loss of every step, and the statistics that were kept.
    log10_gradients : (layers,) array
        log10 of each layer's grad_norm, the median over the steps of the last epoch.
    accuracy : float
        Share of the held-out images told right after the last epoch.
    samples_per_second, gflops : float
        Of the training. 1 GFLOP/s is 1e9 floating-point operations a second; only the matrix products' are counted.
    """

    title: str
    history: History
    log10_gradients: Array
    accuracy: float
    samples_per_second: float
    gflops: float


def missing_packages() -> list[str]:
    """Return which of the packages that the demo needs, and fastgrad itself does not, are not installed."""
    return [package for package, module in (("scikit-learn", "sklearn"), ("matplotlib",) * 2) if not find_spec(module)]


def checked_output(output: str | PathLike[str]) -> Path:
    """Return where the picture goes, after a try whether it can be written there, which leaves what is there.

    Raises
    ------
    TypeError, ValueError
        Not a path that ends in .png, in an existing folder.
    OSError
        No file can be written there.
    """
    return _checks.writable_file("output", output, (".png",))


def load_digits() -> Digits:
    """Return scikit-learn's 1797 bundled digits: a fifth held out, the rest also shifted by one pixel each way."""
    images, labels = import_module("sklearn.datasets").load_digits(return_X_y=True)
    split = import_module("sklearn.model_selection").train_test_split
    X, X_held_out, y, y_held_out = split(
        (images / 16).astype(np.float32),
        labels.astype(np.int64),
        test_size=0.2,
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    framed = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    shifted = np.concatenate([framed[:, top : top + 8, left : left + 8] for top, left in corners])
    return Digits(shifted.reshape(-1, 64), np.tile(y, len(corners)), X_held_out, y_held_out)


def train(recipe: Recipe, digits: Digits, epochs: int, seed: int, out: TextIO) -> Run:
    """Train one network, telling the progress on `out`."""
    net = MLP([64, *[WIDTH] * (DEPTH - 1), 10], activation=recipe.activation, init=recipe.init, seed=seed)
    history = History(DEPTH)
    flops = flops_per_sample(net.sizes)
    progress = _Progress(recipe.title, epochs, out)
    seconds, samples_per_second = 0.0, math.nan
    trainer, current_lr = None, math.nan
    steps = math.ceil(len(digits.X) / BATCH_SIZE)
    for epoch in range(epochs):
        lr = next(lr for share, lr in SCHEDULE if epoch < max(1.0, share * epochs))
        if trainer is None or lr != current_lr:
            trainer, current_lr = Trainer(net, "cross_entropy", AdamW(lr=lr, weight_decay=WEIGHT_DECAY)), lr
        start = time.perf_counter()
        trainer.run(digits.X, digits.y, steps=steps, batch_size=BATCH_SIZE, history=history)
        seconds += time.perf_counter() - start
        samples_per_second = (epoch + 1) * len(digits.X) / seconds
        progress.tell(
            epoch + 1, float(history.loss[-steps:].mean()), samples_per_second, samples_per_second * flops / 1e9
        )
    last_epoch = history.telemetry["grad_norm"][history.telemetry.steps >= len(history) - steps]
    with np.errstate(divide="ignore"):
        log10_gradients = np.log10(np.median(last_epoch, axis=0))
    accuracy = float(np.mean(net.predict(digits.X_held_out) == digits.y_held_out))
    return Run(recipe.title, history, log10_gradients, accuracy, samples_per_second, samples_per_second * flops / 1e9)


def flops_per_sample(sizes: Sequence[int]) -> int:
    """Return the operations of a training step's matrix products: three a layer but two for the first."""
    return 6 * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes)) - 2 * sizes[0] * sizes[1]


class _Progress:
    """One line that is written over on a terminal; elsewhere a line at each quarter of the way."""

    def __init__(self, title: str, epochs: int, out: TextIO) -> None:
        self._title = title
        self._epochs = epochs
        self._out = out
        self._terminal = out.isatty()

    def tell(self, epoch: int, loss: float, samples_per_second: float, gflops: float) -> None:
        speed = f"{samples_per_second:6,.0f} samples/s {gflops:3.0f} GFLOP/s"
        line = f"{self._title:<25} epoch {epoch:2}/{self._epochs} loss {loss:.4f} {speed}"
        last = epoch == self._epochs
        if self._terminal:
            print(f"\r{line}", end="\n" if last else "", file=self._out, flush=True)
        elif last or epoch * 4 // self._epochs > (epoch - 1) * 4 // self._epochs:
            print(line, file=self._out, flush=True)


def gradient_bars(runs: Sequence[Run], columns: int = 80, unicode: bool = True) -> str:
    """Return each layer's log10 gradient as bars, runs side by side, the layer next to the input at the bottom.

    Parameters
    ----------
    runs : sequence of Run
        Of as many layers each. All bars are on one scale, whose ends the last line names; an exact zero has no bar.
    columns : int
        Width of the lines; kept within 48 and 100.
    unicode : bool
        Draw with block characters, to an eighth of a column, rather than with "#".
    """
    values = np.stack([run.log10_gradients for run in runs])
    finite = values[np.isfinite(values)]
    low, high = (math.floor(finite.min()) - 1, math.ceil(finite.max())) if finite.size else (-1, 0)
    panel = (min(max(columns, _COLUMNS[0]), _COLUMNS[1]) - 5) // len(runs) - 2
    width = panel - 7
    lines = ["layer" + "".join(f"  {run.title[:panel]:<{panel}}" for run in runs).rstrip()]
    for layer in reversed(range(values.shape[1])):
        cells = [f"{value:6.1f} {_bar((value - low) / (high - low), width, unicode)}" for value in values[:, layer]]
        lines.append(f"{layer:5}" + "".join(f"  {cell}" for cell in cells).rstrip())
    scale = f"1e{low}".ljust(width - len(f"1e{high}")) + f"1e{high}"
    return "\n".join([*lines, " " * 5 + f"         {scale}" * len(runs)])


def _bar(share: float, width: int, unicode: bool) -> str:
    if not math.isfinite(share):
        return " " * width
    if not unicode:
        return ("#" * round(share * width)).ljust(width)
    full, eighths = divmod(round(share * width * 8), 8)
    return ("█" * full + _EIGHTHS[eighths].strip()).ljust(width)


def conclusion(run: Run) -> str:
    """Return in words what a run's bars and accuracy show."""
    first, last = run.log10_gradients[[0, -1]]
    size = f"10^{first - last:.1f} times the last layer's" if math.isfinite(first) else "exactly 0 in float32"
    return (
        f"{run.title}: {run.accuracy:.1%} of the held-out digits told right.\n  The first layer's gradient is {size}."
    )


def run(output: str | PathLike[str], epochs: int, seed: int, out: TextIO) -> list[Run]:
    """Train both networks, tell the story on `out`, and draw it to `output`.

    Parameters
    ----------
    output : path-like
        Picture to write, a .png.
    epochs : int
        >= 1, of each network.
    seed : int
        Of the networks' weights and the order of batches.
    out : text file
        Bars use block characters where its encoding has them.

    Returns
    -------
    list of Run
        In the order of `RECIPES`.

    Raises
    ------
    TypeError, ValueError, OSError
        A bad argument, or a picture that cannot be written there: before anything is trained.
    """
    output = checked_output(output)
    epochs = _checks.integer("epochs", epochs, at_least=1, below=2**63)
    seed = _checks.integer("seed", seed, at_least=0, below=2**63)
    digits = load_digits()
    print(
        f"Two networks of {DEPTH} layers, {WIDTH} units wide, learn {len(digits.X):,} images of digits "
        f"({len(digits.X_held_out)} held out).\n",
        file=out,
        flush=True,
    )
    runs = [train(recipe, digits, epochs, seed, out) for recipe in RECIPES]
    bars = gradient_bars(runs, shutil.get_terminal_size().columns, unicode=_writes(out, _EIGHTHS))
    print(f"\nlog10 of the gradient's norm, by layer, in the last epoch:\n\n{bars}\n", file=out)
    for each in runs:
        print(conclusion(each), file=out)
    gradient_flow({each.title: each.history for each in runs}, path=output)
    print(f"\nThe gradient of every layer at every step: {output}", file=out)
    return runs


def _writes(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
