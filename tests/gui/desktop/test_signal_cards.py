"""The cards of what clicks and what comes of it, by real clicks, on a fake node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fake_node import sample_delays, sample_link
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt

from gui.desktop.peak_fit import FWHM_PER_SIGMA, fit_peak
from qnx_hw.api.schema import ChannelRate, Histogram
from qnx_hw.api.value import Estimate

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot

    from gui.desktop.charts import Chart

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
DETECTORS = "HVDA"


def drag_edge(qtbot: QtBot, plot: Chart, half_ns: float) -> None:
    """Take the right edge of the window with the mouse and let it go elsewhere."""
    with qtbot.waitExposed(plot.window(), timeout=WAIT_MS):
        pass
    assert plot.handle is not None
    places = plot.frame.across(np.asarray([plot.handle.half, half_ns])).round()
    held, free = (QPoint(int(x), plot.height() // 2) for x in places)
    qtbot.mousePress(plot, LEFT, pos=held)
    qtbot.mouseMove(plot, free)
    qtbot.mouseRelease(plot, LEFT, pos=free)


def test_sixteen_channels_have_curves_and_live_numbers(desktop: Desktop, qtbot: QtBot) -> None:
    rates = desktop.window.panel("rates")
    many = tuple(
        ChannelRate(station=s, label=f"{n}", rate_cps=1000.0 * n + 500.0)
        for s in ("alice", "bob")
        for n in range(1, 9)
    )

    desktop.node.push("link", sample_link(rates=many))

    qtbot.waitUntil(lambda: "B·8" in rates.legend.text(), timeout=WAIT_MS)
    assert "8.5" in rates.legend.text()
    table = rates.export_table()
    assert len(table.headings) == 17
    assert table.rows[-1][-1] == pytest.approx(8500.0)


def test_a_paused_plot_stands_still_and_goes_on_counting(desktop: Desktop, qtbot: QtBot) -> None:
    rates = desktop.window.panel("rates")
    qtbot.waitUntil(lambda: "A·H" in rates.legend.text(), timeout=WAIT_MS)
    desktop.window.draw()
    qtbot.mouseClick(rates.pause_button, LEFT)
    before, rows = rates.legend.text(), len(rates.export_table().rows)

    changed = tuple(ChannelRate(station="alice", label=x, rate_cps=7e4) for x in DETECTORS)
    changed += tuple(ChannelRate(station="bob", label=x, rate_cps=7e4) for x in DETECTORS)
    desktop.node.push("link", sample_link(rates=changed))

    qtbot.waitUntil(lambda: len(rates.export_table().rows) > rows, timeout=WAIT_MS)
    assert rates.legend.text() == before
    qtbot.mouseClick(rates.pause_button, LEFT)
    qtbot.waitUntil(lambda: "70.0" in rates.legend.text(), timeout=WAIT_MS)


def test_the_span_of_the_rates_is_chosen(desktop: Desktop, qtbot: QtBot) -> None:
    rates = desktop.window.panel("rates")

    qtbot.mouseClick(rates.spans["10 s"], LEFT)

    qtbot.waitUntil(lambda: rates.plot.frame.low_x == -10, timeout=WAIT_MS)


def test_the_cursor_reads_the_past(desktop: Desktop, qtbot: QtBot) -> None:
    rates = desktop.window.panel("rates")
    qtbot.waitUntil(lambda: "A·H" in rates.legend.text(), timeout=WAIT_MS)

    qtbot.mouseMove(rates.plot, rates.plot.frame.area.center().toPoint())

    qtbot.waitUntil(lambda: "at -" in rates.legend.text(), timeout=WAIT_MS)


def test_typing_a_width_sets_the_pipelines_window(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("histogram")
    qtbot.waitUntil(lambda: card.width_field.held == 1400, timeout=WAIT_MS)
    card.width_field.selectAll()
    qtbot.keyClicks(card.width_field, "2 ns")

    qtbot.keyClick(card.width_field, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: card.width_field.held == 2000, timeout=WAIT_MS)
    assert desktop.node.bodies == [{"window_ps": 2000, "expected_ps": 1400}]
    assert card.handle.half == pytest.approx(1.0)
    assert "held 2.00 ns" in card.numbers.text()


def test_a_dragged_edge_sets_the_window_and_can_be_undone(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("histogram")
    qtbot.waitUntil(lambda: card.width_field.held == 1400, timeout=WAIT_MS)

    drag_edge(qtbot, card.plot, 1.5)

    # The mouse knows whole pixels, of some 60 ps each.
    qtbot.waitUntil(lambda: abs(card.width_field.held - 3000) < 150, timeout=WAIT_MS)
    qtbot.keyClick(desktop.window, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: card.width_field.held == 1400, timeout=WAIT_MS)
    assert desktop.node.bodies[1]["window_ps"] == 1400


def test_a_refused_window_springs_back(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("histogram")
    qtbot.waitUntil(lambda: card.width_field.held == 1400, timeout=WAIT_MS)
    desktop.node.refusal = "the window is narrower than the jitter"

    card.ask_window(100)

    bar = desktop.window.statusBar()
    qtbot.waitUntil(lambda: bar.currentMessage() == desktop.node.refusal, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "asked" not in card.numbers.text(), timeout=WAIT_MS)
    assert card.handle.half == pytest.approx(0.7)


def test_the_fit_reads_peak_and_width(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("histogram")
    sigma, centre = 300.0, 250.0
    x = -8000 + 80 * (np.arange(200) + 0.5)
    counts = np.rint(5000 * np.exp(-0.5 * ((x - centre) / sigma) ** 2) + 30).astype(int)
    bins = Histogram(start_ps=-8000, bin_ps=80, counts=tuple(map(int, counts)))

    desktop.node.push("link", sample_link(histogram=bins, car=None))

    qtbot.waitUntil(lambda: "peak 0.250 ns" in card.numbers.text(), timeout=WAIT_MS)
    assert f"FWHM {sigma * FWHM_PER_SIGMA / 1e3:.2f} ns" in card.numbers.text()


@given(
    st.floats(-2.0, 2.0),
    st.floats(0.3, 1.5),
    st.floats(200.0, 1e5),
    st.floats(0.0, 50.0),
    st.integers(0, 2**32 - 1),
)
def test_the_fit_finds_a_noisy_peak_within_its_errors(
    centre: float, fwhm: float, height: float, floor: float, seed: int
) -> None:
    x = np.linspace(-8.0, 8.0, 321)
    true = height * np.exp(-0.5 * ((x - centre) / fwhm * FWHM_PER_SIGMA) ** 2) + floor
    counts = np.random.default_rng(seed).poisson(true).astype(float)

    found = fit_peak(x, counts)

    assert found is not None
    # The centre of n events is known to sigma / sqrt(n); eight times that never fails by chance,
    # and the floor adds its own noise under the peak.
    events = height * fwhm / FWHM_PER_SIGMA * math.sqrt(2 * math.pi) / (x[1] - x[0])
    error = 8.0 * fwhm / FWHM_PER_SIGMA / math.sqrt(events) * (1 + 20 * floor / height)
    assert abs(found.centre - centre) < error
    assert abs(found.fwhm - fwhm) < 3 * FWHM_PER_SIGMA * error


def test_flat_noise_has_no_peak() -> None:
    counts = np.random.default_rng(7).poisson(40.0, 200).astype(float)

    assert fit_peak(np.linspace(-8.0, 8.0, 200), counts) is None


def test_a_click_on_the_matrix_opens_that_pair(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    matrix, card = window.panel("matrix").matrix, window.panel("histogram")
    qtbot.waitUntil(lambda: matrix.counts != (), timeout=WAIT_MS)

    qtbot.mouseClick(matrix, LEFT, pos=matrix.cell(0, 1).center().toPoint())

    bins = sample_delays().counts[0][1]
    words = f"A·H × B·V: {sum(bins)} published"
    qtbot.waitUntil(lambda: card.subtitle.text() == words, timeout=WAIT_MS)
    assert tuple(count for _, count in card.export_table().rows) == bins
    assert card.plot.frame.low_x == pytest.approx(-0.714)
    qtbot.mouseClick(matrix, LEFT, pos=matrix.cell(0, 1).center().toPoint())
    qtbot.waitUntil(lambda: card.subtitle.text() == "all pairs", timeout=WAIT_MS)


def test_the_matrix_is_walked_with_the_keys(desktop: Desktop, qtbot: QtBot) -> None:
    matrix = desktop.window.panel("matrix").matrix
    qtbot.waitUntil(lambda: matrix.counts != (), timeout=WAIT_MS)

    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Return):
        qtbot.keyClick(matrix, key)

    assert desktop.window.desk.pair == (1, 2)


def test_errors_stand_with_their_errors_and_visibility(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("errors")
    qtbot.waitUntil(lambda: "2.31 ± 0.10 %" in card.numbers.text(), timeout=WAIT_MS)

    assert "95.38 ± 0.20 %" in card.numbers.text()
    assert card.plots[0].limit == pytest.approx(5.0)
    qtbot.waitUntil(lambda: card.export_table() is not None, timeout=WAIT_MS)
    assert "qber_z" in card.export_table().headings


def test_chsh_says_how_sure_it_is(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.show_panel("chsh")
    qtbot.waitUntil(lambda: "89 σ above 2" in window.panel("chsh").note.text(), timeout=WAIT_MS)

    desktop.node.push("link", sample_link(chsh_s=Estimate(value=1.9, sigma=0.01), protocol="e91"))

    qtbot.waitUntil(lambda: "10 σ below 2" in window.panel("chsh").note.text(), timeout=WAIT_MS)
    assert "measured" in window.panel("chsh").note.text()


def test_the_key_rate_stands_with_its_epsilon(desktop: Desktop, qtbot: QtBot) -> None:
    desktop.window.show_panel("key_rate")
    numbers = desktop.window.panel("key_rate").numbers

    qtbot.waitUntil(lambda: "3.42 kbit/s" in numbers.text(), timeout=WAIT_MS)

    assert "ε = 10⁻¹⁰" in numbers.text()
    assert "6.10 kbit/s" in numbers.text()
