"""The heat map: panels, shared scale, the colours of zeros and of what is not finite, and what is refused."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib import colormaps
from matplotlib.figure import Figure

from fastgrad import plot
from fastgrad._recorder import prepare
from fastgrad.history import History
from fastgrad.telemetry import RECORD, STATISTICS, Telemetry

GREY, RED = (212, 212, 212, 255), (227, 52, 47, 255)


def history(grad_norm, **options):
    """Return a run whose grad_norm is the (steps, layers) array given and whose other statistics are 1."""
    grad_norm = np.asarray(grad_norm, dtype=np.float64)
    steps, layers = grad_norm.shape
    statistics = np.ones((steps, len(RECORD), layers))
    statistics[:, len(STATISTICS) :] = 0.0
    statistics[:, RECORD.index("grad_norm")] = grad_norm
    run = History(layers)
    prepare(run, layers, Telemetry(**options))
    run.append_chunk(np.ones(steps), statistics)
    return run


def unrecorded(layers):
    """Return a run of five steps without telemetry."""
    run = History(layers)
    run.append_chunk(np.ones(5), None)
    return run


def falling(steps, layers, decades, **options):
    return history(10.0 ** np.broadcast_to(np.linspace(-decades, 0.0, layers), (steps, layers)), **options)


def heat_maps(figure):
    return [axes for axes in figure.axes if axes.images]


def pixels(axes):
    return axes.images[0].get_array()


def colour_bar(figure):
    (bar,) = [axes for axes in figure.axes if not axes.images]
    return bar


def test_a_record_is_drawn_as_its_history_is():
    run = history(10.0 ** np.arange(-12.0, 0.0).reshape(4, 3))
    drawn = [pixels(plot.gradient_flow(what).axes[0]) for what in (run, run.telemetry)]
    np.testing.assert_array_equal(*drawn)


def test_one_history_gives_one_panel_and_a_file(tmp_path):
    path = tmp_path / "flow.png"
    figure = plot.gradient_flow(falling(7, 4, 3.0), path=path)
    assert isinstance(figure, Figure)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    (panel,) = heat_maps(figure)
    assert pixels(panel).shape == (4, 7, 4)
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("step", "layer")
    assert panel.images[0].origin == "lower"
    assert panel.images[0].get_extent() == [-0.5, 6.5, -0.5, 3.5]
    assert colour_bar(figure).get_ylabel() == r"$\log_{10}$ |grad_norm|"


def test_panels_keep_their_titles_order_and_a_common_scale():
    runs = {f"run {i}": falling(5, 3 + i, float(i)) for i in range(5)}
    figure = plot.gradient_flow(runs)
    panels = heat_maps(figure)
    assert [panel.get_title(loc="left") for panel in panels] == list(runs)
    assert colour_bar(figure).get_ylim() == (-4.0, 0.0)
    top = np.array(colormaps["viridis"](1.0, bytes=True))
    for i, panel in enumerate(panels):
        np.testing.assert_array_equal(pixels(panel)[-1, 0], top)
        expected = colormaps["viridis"]((4.0 - i) / 4.0, bytes=True)
        np.testing.assert_array_equal(pixels(panel)[0, 0], expected)


def test_zeros_and_values_that_are_not_finite_have_colours_and_a_legend():
    figure = plot.gradient_flow(history([[1.0, 0.0, 1e-5], [np.nan, 0.5, np.inf]]))
    (panel,) = heat_maps(figure)
    image = pixels(panel)
    assert [tuple(image[layer, step]) for layer, step in ((1, 0), (0, 1), (2, 1))] == [GREY, RED, RED]
    assert tuple(image[2, 0]) == tuple(colormaps["viridis"](0.0, bytes=True))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["exactly 0", "not finite"]
    assert colour_bar(figure).get_ylim() == pytest.approx((-5.0, 0.0))


def test_finite_runs_have_no_legend():
    assert plot.gradient_flow(falling(3, 3, 2.0)).legends == []


@pytest.mark.parametrize("value", [0.0, np.nan, 1e-250])
def test_runs_without_a_range_are_drawn(value, tmp_path):
    figure = plot.gradient_flow(history(np.full((1, 2), value)), path=tmp_path / "flow.png")
    low, high = colour_bar(figure).get_ylim()
    assert high - low == pytest.approx(1.0)


def drawn(figure, dpi=100, trim=1):
    """Return the (height, width, 3) pixels inside the one panel as Agg draws them, and its box in pixels."""
    figure.set_dpi(dpi)
    for axes in figure.axes:
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3]  # upwards, as layers are
    (panel,) = heat_maps(figure)
    box = panel.get_window_extent()
    left, bottom, right, top = (round(edge) for edge in (box.x0, box.y0, box.x1, box.y1))
    return picture[bottom + trim : top - trim, left + trim : right - trim], box


def colours(picture):
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def viridis(share):
    return tuple(int(part) for part in colormaps["viridis"](share, bytes=True)[:3])


@pytest.mark.parametrize("dpi", [100, 160])
@pytest.mark.parametrize(("steps", "layers"), [(1, 1), (7, 1), (1, 9), (37, 30), (3001, 11), (100_001, 3), (5, 5000)])
def test_two_values_give_two_colours(steps, layers, dpi):
    values = np.where(np.arange(steps * layers).reshape(steps, layers) % 3 == 0, 1e-6, 1.0)
    figure = plot.gradient_flow(history(values, keep=200_000))
    picture, _ = drawn(figure, dpi)
    both = {viridis(0.0), viridis(1.0)} if steps * layers > 1 else {viridis(0.5)}
    assert colours(picture) == both or (steps > 1000 and colours(picture) < both) or layers > 1000


@pytest.mark.parametrize("steps", [3001, 100_000])
@pytest.mark.parametrize("at", [0.0, 0.123, 0.999999])
@pytest.mark.parametrize(("spike", "colour"), [(1e-6, viridis(0.0)), (1e3, viridis(1.0)), (0.0, GREY), (np.nan, RED)])
def test_a_spike_of_one_step_is_seen_in_its_full_colour_where_it_was(steps, at, spike, colour):
    values = np.full((steps, 3), 1e-3)
    values[0, 0], values[0, 2] = 1e3, 1e-6
    step = max(1, int(at * steps))
    values[step, 1] = spike
    picture, box = drawn(plot.gradient_flow(history(values, keep=200_000)), trim=0)
    middle = picture[len(picture) // 2]
    (columns,) = np.nonzero((middle == colour[:3]).all(axis=1))
    assert len(columns)
    assert np.ptp(columns) <= 2
    assert abs(columns.mean() + 0.5 - (step + 0.5) / steps * box.width) <= 2.5
    assert len(colours(middle[np.newaxis, 1:-1])) <= 2


def test_one_layer_among_5000_is_seen():
    values = np.ones((4, 5000))
    values[2, 4321] = 1e-9
    picture, box = drawn(plot.gradient_flow(history(values)))
    rows, columns = np.nonzero((picture == viridis(0.0)).all(axis=2))
    assert abs(rows.mean() + 1.5 - 4321.5 / 5000 * box.height) <= 2
    assert abs(columns.mean() + 1.5 - 2.5 / 4 * box.width) <= 2
    assert colours(picture) == {viridis(0.0), viridis(1.0)}


def test_cells_are_medians_but_for_outliers():
    rng = np.random.default_rng(0)
    values = rng.normal(0.0, 0.4, (23, 101))
    values[rng.random(values.shape) < 0.02] *= 20.0
    values[3, 7], values[9, 9], values[11, 11] = -np.inf, np.nan, np.inf
    cells = plot._cells(values, 4, 7)
    for row, column in np.ndindex(cells.shape):
        block = values[4 * row : 4 * row + 4, 7 * column : 7 * column + 7].ravel()
        median = np.sort(block)[(block.size - 1) // 2]
        furthest = block[np.argmax(np.abs(block - median))] if np.isfinite(block).all() else np.nan
        expected = furthest if abs(furthest - median) > 1.0 else median
        if not np.isfinite(block).all():
            expected = np.nan if (np.isnan(block) | np.isposinf(block)).any() else -np.inf
        assert cells[row, column] == expected or (np.isnan(expected) and np.isnan(cells[row, column]))
    assert cells.shape == (6, 15)


def test_what_a_cell_stands_for_is_on_the_axis():
    (panel,) = heat_maps(plot.gradient_flow(falling(1500, 600, 250.0)))
    steps, layers = map(
        int,
        re.fullmatch(
            r"step\ncell of (\d+) steps x (\d+) layers: median, or outlier > 10x", panel.get_xlabel()
        ).groups(),
    )
    assert pixels(panel).shape == (-(-600 // layers), -(-1500 // steps), 4)
    assert panel.images[0].get_extent() == [
        -0.5,
        pixels(panel).shape[1] * steps - 0.5,
        -0.5,
        pixels(panel).shape[0] * layers - 0.5,
    ]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_files_are_written_in_any_format_at_any_size(suffix, tmp_path):
    path = tmp_path / f"flow.{suffix}"
    plot.gradient_flow(falling(3000, 40, 30.0), path=path)
    assert path.stat().st_size > 1000


def test_steps_are_where_the_record_has_them():
    grad_norm = 10.0 ** np.arange(20.0)[:, np.newaxis] * np.ones(2)
    full, thinned = (
        plot.gradient_flow({"": history(grad_norm)}),
        plot.gradient_flow(history(grad_norm, every=2, keep=5)),
    )
    (whole,), (panel,) = heat_maps(full), heat_maps(thinned)
    assert whole.get_xlim() == panel.get_xlim() == (-0.5, 19.5)
    assert pixels(panel).shape == (2, 5, 4)
    np.testing.assert_array_equal(pixels(panel)[:, 0], pixels(whole)[:, 0])


@pytest.mark.parametrize(("decades", "marked"), [(250.0, True), (60.0, True), (30.0, False)])
def test_the_end_of_float32_is_marked_where_it_is_on_the_scale(decades, marked):
    labels = [text.get_text() for text in colour_bar(plot.gradient_flow(falling(3, 4, decades))).texts]
    assert labels == (["float32 ends"] if marked else [])


def test_another_statistic_can_be_drawn():
    figure = plot.gradient_flow(falling(3, 4, 30.0), "weight_norm")
    assert colour_bar(figure).get_ylim() == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("histories", "error", "message"),
    [
        ({}, ValueError, "histories: got an empty mapping"),
        ([1], TypeError, "histories: got list, wants a History or a mapping"),
        ({"a": 1}, TypeError, r"histories\['a'\]: got int, wants a History"),
        ({"a": History(3)}, ValueError, r"histories\['a'\]: got no steps with telemetry"),
        ({"a": unrecorded(3)}, ValueError, r"histories\['a'\]: got no steps with telemetry"),
    ],
)
def test_what_is_not_a_run_is_refused(histories, error, message):
    with pytest.raises(error, match=message):
        plot.gradient_flow(histories)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(KeyError, match="'loss' is not a statistic"):
        plot.gradient_flow(falling(3, 3, 1.0), "loss")


@pytest.mark.parametrize(("steps", "layers"), [(1, 1), (1, 5), (5, 1), (2, 2), (3, 40)])
def test_steps_and_layers_are_counted_in_whole_numbers(steps, layers):
    (panel,) = heat_maps(plot.gradient_flow(falling(steps, layers, 1.0)))
    for axis, count in ((panel.xaxis, steps), (panel.yaxis, layers)):
        low, high = axis.get_view_interval()
        ticks = [tick for tick in axis.get_ticklocs() if low <= tick <= high]
        assert ticks
        assert all(tick in range(count) for tick in ticks), ticks


@pytest.mark.parametrize("title", ["$1 and $2", r"$\frac$", "a_b^c", 3, None])
def test_a_title_is_drawn_as_it_stands(title):
    figure = plot.gradient_flow({title: falling(3, 3, 1.0)})
    (panel,) = heat_maps(figure)
    figure.savefig(io.BytesIO())
    assert panel.get_title(loc="left") == ("" if title is None else str(title))
    assert not panel._left_title.get_parse_math()


@pytest.mark.parametrize("title", ["\ud800", 10**5000], ids=["surrogate", "digits"])
def test_a_title_that_is_no_text_is_refused(title):
    with pytest.raises(ValueError, match=r"^histories: got the title .*, wants text that can be drawn$"):
        plot.gradient_flow({title: falling(3, 3, 1.0)})


def test_a_missing_matplotlib_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[plot\]'"):
        plot.gradient_flow(falling(3, 3, 1.0))


def test_matplotlib_is_imported_late_and_pyplot_never():
    program = """
import sys
import numpy as np
from fastgrad import plot
from fastgrad.history import History
from fastgrad.telemetry import RECORD
assert not any(name.startswith("matplotlib") for name in sys.modules)
run = History(2)
run.append_chunk(np.ones(1), np.ones((1, len(RECORD), 2)))
plot.gradient_flow(run)
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
