"""Pictures of a run's telemetry, drawn with matplotlib, which is imported only when a picture is asked for.

A figure is returned, not shown: no window, no global state. Interpretation of what is seen is not done here.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._record import index_of
from fastgrad.history import History
from fastgrad.telemetry import Array, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_COLOURS = "viridis"
_ZERO_COLOUR = "#d4d4d4"
_NONFINITE_COLOUR = "#e3342f"
_OUTLIER = 1.0  # decades from the median of a cell, beyond which the cell shows that value
_PANELS_PER_ROW = 3
_LOG10_SMALLEST_FLOAT32 = float(np.log10(np.finfo(np.float32).smallest_normal))


def gradient_flow(
    histories: Mapping[str, History | Record] | History | Record,
    statistic: str = "grad_norm",
    path: str | PathLike[str] | None = None,
) -> "Figure":
    """Draw a statistic of every layer, step by step, as a heat map, one panel per network, all on one colour scale.

    Parameters
    ----------
    histories : History, Record (what `fastgrad.telemetry.load` gives) or mapping from title to one of these
        One panel each, in the mapping's order. A "$" in a title is a "$".
    statistic : str
        One of `fastgrad.telemetry.STATISTICS`; log10 of its magnitude is drawn.
    path : path-like, optional
        Where to save the figure as well; the suffix decides the format.

    Returns
    -------
    matplotlib.figure.Figure
        Steps to the right, layers upwards (0, next to the input, at the bottom). Exact zeros are grey and values that
        are not finite red, outside the colour scale, on which the smallest normal float32 is marked where it falls.
        Where there are more steps or layers than pixels, at 100 dots an inch, a cell stands for several, as its axis
        says. It shows their median (of two in the middle the lower), unless one of them is further than a factor of
        ten from it: then the furthest; a zero before that; and what is not finite before all. No colours are blended.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    KeyError
        Unknown statistic.
    TypeError, ValueError
        `histories` is none of these, is empty, or holds one whose telemetry has no steps or whose title is no text.

    Examples
    --------
    >>> import fastgrad as fg, numpy as np
    >>> history = fg.MLP([2, 3, 1]).fit(np.ones((8, 2)), np.ones(8), loss="mse", batch_size=2)
    >>> figure = fg.plot.gradient_flow({"two layers": history})
    >>> figure.savefig("flow.png")  # doctest: +SKIP
    """
    runs = _checked(histories)
    index_of(statistic)
    magnitudes = {title: record.log10(statistic).T for title, record in runs.items()}
    if find_spec("matplotlib") is None:
        raise ImportError("plots need matplotlib, which is not installed: pip install 'fastgrad[plot]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path is not None:
        suffixes = [f".{suffix}" for suffix in sorted(FigureCanvasAgg.get_supported_filetypes())]
        path = _checks.new_file("path", path, suffixes)

    columns = min(len(runs), _PANELS_PER_ROW)
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(1.5 + 4.0 * columns, 0.8 + 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(rows, columns, 1 + index) for index in range(len(runs))]
    scale = _shared_scale(list(magnitudes.values()))
    for panel, title in zip(panels, runs, strict=True):
        panel.set_title(title, loc="left", parse_math=False)
        panel.set_xlabel("step\n(a line more)")
    for panel in panels[::columns]:
        panel.set_ylabel("layer")
    _draw_colour_bar(figure, panels, statistic, scale)
    _draw_legend(figure, list(magnitudes.values()))
    figure.draw_without_rendering()  # so that the panels have their sizes
    for panel, (title, values) in zip(panels, magnitudes.items(), strict=True):
        _draw_heat_map(panel, values, scale, runs[title])
    if path is not None:
        figure.savefig(path, dpi=160)
    return figure


def _checked(histories: Mapping[str, History | Record] | History | Record) -> Mapping[str, Record]:
    runs = {"": histories} if isinstance(histories, History | Record) else histories
    if not isinstance(runs, Mapping):
        raise TypeError(f"histories: got {type(histories).__name__}, wants a History or a mapping to them")
    if not runs:
        raise ValueError("histories: got an empty mapping, wants at least one History")
    records = {title: run.telemetry if isinstance(run, History) else run for title, run in runs.items()}
    for title, record in records.items():
        _require_text(title)
        if not isinstance(record, Record):
            raise TypeError(
                f"histories[{_checks.shown(title)}]: got {type(record).__name__}, wants a History or a Record"
            )
        if len(record) == 0:
            raise ValueError(f"histories[{_checks.shown(title)}]: got no steps with telemetry, wants at least one")
    return records


def _require_text(title: object) -> None:
    try:
        str(title).encode()
    except Exception as error:  # whatever its __str__ raises
        raise ValueError(f"histories: got the title {_checks.shown(title)}, wants text that can be drawn") from error


def _shared_scale(magnitudes: list[Array]) -> "Normalize":
    from matplotlib.colors import Normalize

    finite = np.concatenate([values[np.isfinite(values)] for values in magnitudes])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    margin = 0.5 if high - low < 1e-6 else 0.0
    return Normalize(low - margin, high + margin)


def _draw_heat_map(panel: "Axes", values: Array, scale: "Normalize", record: Record) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba
    from matplotlib.ticker import MaxNLocator

    layers, rows = values.shape
    box = panel.get_window_extent()
    tall, wide = -(-layers // max(1, int(box.height))), -(-rows // max(1, int(box.width)))
    shown = _cells(values, tall, wide)
    finite = np.isfinite(shown)
    pixels = colormaps[_COLOURS](scale(np.where(finite, shown, 0.0)), bytes=True)
    for mask, colour in ((np.isneginf(shown), _ZERO_COLOUR), (~finite & ~np.isneginf(shown), _NONFINITE_COLOUR)):
        pixels[mask] = np.round(255 * np.array(to_rgba(colour)))
    left = record.steps[0] - 0.5
    right, top = left + shown.shape[1] * wide * record.stride, shown.shape[0] * tall - 0.5
    panel.imshow(pixels, origin="lower", aspect="auto", extent=(left, right, -0.5, top), interpolation="nearest")
    panel.set_xlabel("step" if tall == wide == 1 else f"step\n{_cell_in_words(tall, wide * record.stride)}")
    panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _cell_in_words(layers: int, steps: int) -> str:
    sides = [f"{count} {what}" for count, what in ((steps, "steps"), (layers, "layers")) if count > 1]
    return f"cell of {' x '.join(sides)}: median, or outlier > 10x"


def _cells(values: Array, tall: int, wide: int) -> Array:
    """Return what stands for each block of so many layers and steps; -inf for zeros, NaN for what is not finite."""
    if tall == wide == 1:
        return values
    padding = [(0, -size % block) for size, block in zip(values.shape, (tall, wide), strict=True)]

    def blocks(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        rows, columns = array.shape[0] // tall, array.shape[1] // wide
        return array.reshape(rows, tall, columns, wide).swapaxes(1, 2).reshape(rows, columns, tall * wide)

    def any_in_blocks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return np.asarray(blocks(np.pad(mask, padding)).any(axis=-1))

    finite = np.pad(np.where(np.isfinite(values), values, np.nan), padding, constant_values=np.nan)
    ordered = np.sort(blocks(finite), axis=-1)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(axis=-1, keepdims=True) - 1, 0)
    low, middle, high = (np.take_along_axis(ordered, at, -1)[..., 0] for at in (0 * last, last // 2, last))
    furthest = np.where(high - middle >= middle - low, high, low)
    cells = np.where(np.abs(furthest - middle) > _OUTLIER, furthest, middle)
    cells[any_in_blocks(np.isneginf(values))] = -np.inf
    cells[any_in_blocks(np.isnan(values) | np.isposinf(values))] = np.nan
    return cells


def _draw_colour_bar(figure: "Figure", panels: list["Axes"], statistic: str, scale: "Normalize") -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(scale, _COLOURS), ax=panels, label=rf"$\log_{{10}}$ |{statistic}|", pad=0.02)
    height = float(scale(_LOG10_SMALLEST_FLOAT32))
    if 0.0 < height < 1.0:
        ink, side, offset = ("black", "top", -3) if height > 0.5 else ("white", "bottom", 3)
        bar.ax.axhline(_LOG10_SMALLEST_FLOAT32, color=ink)
        bar.ax.annotate(
            "float32 ends",
            (0.5, height),
            xycoords="axes fraction",
            xytext=(0, offset),
            textcoords="offset points",
            rotation=90,
            color=ink,
            ha="center",
            va=side,
            fontsize="x-small",
        )


def _draw_legend(figure: "Figure", magnitudes: list[Array]) -> None:
    from matplotlib.patches import Patch

    keys = []
    if any(np.isneginf(values).any() for values in magnitudes):
        keys.append(Patch(color=_ZERO_COLOUR, label="exactly 0"))
    if any((np.isnan(values) | np.isposinf(values)).any() for values in magnitudes):
        keys.append(Patch(color=_NONFINITE_COLOUR, label="not finite"))
    if keys:
        figure.legend(handles=keys, loc="outside lower right", ncols=len(keys), frameon=False)
