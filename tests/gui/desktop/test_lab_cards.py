"""The cards of the laboratory, by real clicks, on a fake node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fake_node import sample_delays, sample_link, sample_loop
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt

from gui.desktop.peak_fit import FWHM_PER_SIGMA, fit_peak
from gui.desktop.setting_words import read_name, why_unsafe
from qnx_hw.api.loops import ActuatorAxis, LoopState
from qnx_hw.api.schema import ChannelRate, Event, Histogram, Level
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
    qtbot.waitExposed(plot.window())
    assert plot.handle is not None
    places = plot.frame.across(np.asarray([plot.handle.half, half_ns])).round()
    held, free = (QPoint(int(x), plot.height() // 2) for x in places)
    qtbot.mousePress(plot, LEFT, pos=held)
    qtbot.mouseMove(plot, free)
    qtbot.mouseRelease(plot, LEFT, pos=free)


# -- count rates


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


# -- coincidences


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
    st.floats(-2.0, 2.0), st.floats(0.3, 1.5), st.floats(200.0, 1e5), st.floats(0.0, 50.0),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
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


# -- what comes of it


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


# -- polarization


def test_the_sphere_draws_where_the_state_went(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("sphere")
    qtbot.waitUntil(lambda: "DOP 1.000" in card.numbers.text(), timeout=WAIT_MS)
    at, depth = card.sphere.project(np.asarray([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))

    assert depth[0] > 0 > depth[1]
    middle = np.array([card.sphere.width() / 2, card.sphere.height() / 2])
    assert at.mean(axis=0) == pytest.approx(middle)
    before = card.sphere.view
    qtbot.keyClick(card.sphere, Qt.Key.Key_Left)
    assert card.sphere.view != before
    qtbot.keyClick(card.sphere, Qt.Key.Key_Home)
    assert card.sphere.view == before


def test_hold_resume_and_relock_are_sent_and_read_back(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")
    qtbot.waitUntil(card.hold_button.isEnabled, timeout=WAIT_MS)

    qtbot.mouseClick(card.hold_button, LEFT)
    assert not card.hold_button.isEnabled()
    qtbot.waitUntil(lambda: card.state.text() == LoopState.HOLDING, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: card.hold_button.text() == "Resume", timeout=WAIT_MS)
    qtbot.waitUntil(card.hold_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.hold_button, LEFT)
    qtbot.waitUntil(lambda: card.state.text() == LoopState.TRACKING, timeout=WAIT_MS)
    qtbot.waitUntil(card.relock_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.relock_button, LEFT)
    qtbot.waitUntil(lambda: card.state.text() == LoopState.SEARCHING, timeout=WAIT_MS)

    sent = [path.rsplit("/", 1)[1] for path, _ in desktop.node.commands]
    assert sent == ["hold", "resume", "relock"]


def test_the_target_is_asked_with_what_it_was_and_can_be_undone(
    desktop: Desktop, qtbot: QtBot
) -> None:
    card = desktop.window.panel("polarization")
    qtbot.waitUntil(lambda: card.target.text() == "2 %", timeout=WAIT_MS)
    card.target.selectAll()
    qtbot.keyClicks(card.target, "3")
    qtbot.keyClick(card.target, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: card.target.text() == "3 %", timeout=WAIT_MS)

    qtbot.keyClick(desktop.window, Qt.Key.Key_Z, CTRL)

    qtbot.waitUntil(lambda: card.target.text() == "2 %", timeout=WAIT_MS)
    asked = [(body["target"], body["expected_target"]) for body in desktop.node.bodies]
    assert asked == [(0.03, 0.02), (0.02, 0.03)]


def test_asked_and_actual_positions_stand_apart(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")

    qtbot.waitUntil(lambda: "asked 34.0 deg, at 30.0 deg" in card.axes.toolTip(), timeout=WAIT_MS)


def test_a_fault_of_the_loop_is_told_in_its_words(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")

    desktop.node.push("loop", sample_loop(state=LoopState.FAULT, message="paddle 2 is stuck"))

    qtbot.waitUntil(lambda: card.state.text() == "fault · paddle 2 is stuck", timeout=WAIT_MS)


def test_other_loops_are_steered_from_the_same_card(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")
    axis = ActuatorAxis(name="detector 1", unit="A", low=0.0, high=4e-5, actual=1.86e-5)
    name = "alice-bob bob bias"
    bias = sample_loop(name=name, kind="bias", target=None, axes=(axis,), unit="")

    desktop.node.push("loop", bias)
    qtbot.waitUntil(lambda: card.loops.findText(name) > 0, timeout=WAIT_MS)
    card.loops.setCurrentText(name)

    qtbot.waitUntil(lambda: "at 1.86e-05 A" in card.axes.toolTip(), timeout=WAIT_MS)
    assert not card.target.isEnabled()
    assert card.hold_button.isEnabled()


# -- instruments


def test_an_unsafe_threshold_is_coloured_with_the_reason(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.show_panel("tagger")
    card = window.panel("tagger")
    qtbot.waitUntil(lambda: card.held is not None, timeout=WAIT_MS)

    assert "noise makes tags" in card.reason("threshold_4_v").text()
    assert card.input("threshold_4_v").property("unsafe")
    assert not card.reason("threshold_1_v").text()


def test_a_setting_is_sent_with_its_revision_and_read_back(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.show_panel("tagger")
    card = window.panel("tagger")
    qtbot.waitUntil(lambda: card.held is not None, timeout=WAIT_MS)
    field, revision = card.input("threshold_4_v"), card.held.revision
    field.selectAll()
    qtbot.keyClicks(field, "300 mV")

    qtbot.keyClick(field, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: card.held.settings["threshold_4_v"] == 0.3, timeout=WAIT_MS)
    assert field.text() == "300 mV"
    assert not card.reason("threshold_4_v").text()
    body = {"settings": {"threshold_4_v": 0.3}, "revision": revision}
    assert desktop.node.bodies == [body]
    qtbot.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert desktop.node.bodies == [body]
    qtbot.waitUntil(card.revert_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.revert_button, LEFT)
    qtbot.waitUntil(lambda: card.held.settings["threshold_4_v"] == 0.02, timeout=WAIT_MS)


def test_the_tree_chooses_what_the_cards_show(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    qtbot.keyClick(window, "1", CTRL)
    tree, card = window.panel("instruments").tree, window.panel("detector")
    qtbot.waitUntil(lambda: card.choice.count() == 2, timeout=WAIT_MS)

    tree.setCurrentItem(tree.topLevelItem(1).child(1))

    assert card.choice.currentText() == "bob detectors"
    qtbot.waitUntil(lambda: card.held is not None and card.held.node == "bob", timeout=WAIT_MS)
    assert card.badge.text() == "SIMULATED"
    assert card.input("bias_1_A").text() == "18 µA"


def test_blinding_is_an_alarm_on_the_detectors_card(desktop: Desktop, qtbot: QtBot) -> None:
    qtbot.keyClick(desktop.window, "1", CTRL)
    card = desktop.window.panel("detector")
    words = "bob sees 40 clicks where 900 were expected: the detectors may be blinded"
    alarm = Event(number=9, time_s=1.78e9, level=Level.ALARM, source="alice-bob", message=words)

    desktop.node.push("event", alarm)

    qtbot.waitUntil(card.alarm.isVisible, timeout=WAIT_MS)
    assert card.alarm.text().startswith("BLINDING ALARM")


@pytest.mark.parametrize(
    ("name", "value", "rate_cps", "safe"),
    [
        ("threshold_v", 0.01, None, False),
        ("threshold_1_v", -0.3, None, True),
        ("dead_time_ns", 50.0, 1e6, True),
        ("dead_time_ns", 50.0, 3e6, False),
        ("delay_2_ps", 5_000_000, None, False),
        ("temperature_c", -20.0, None, True),
        ("temperature_c", 21.0, None, False),
        ("enabled", True, None, True),
    ],
)
def test_what_asks_for_trouble_is_said(
    name: str, value: float, rate_cps: float | None, safe: bool
) -> None:
    assert (why_unsafe(read_name(name), value, rate_cps) == "") is safe


# -- events


def alarm(number: int, source: str, level: Level = Level.ALARM) -> Event:
    return Event(
        number=number, time_s=1.78e9 + number, level=level, source=source, message=f"event {number}"
    )


def test_an_alarm_is_acknowledged_at_the_node(desktop: Desktop, qtbot: QtBot) -> None:
    window, card = desktop.window, desktop.window.panel("events")
    first = alarm(1, "alice-bob")
    desktop.node.snapshot = type(desktop.node.snapshot)(
        **{f: getattr(desktop.node.snapshot, f) for f in desktop.node.snapshot.__struct_fields__}
        | {"events": (first,)}
    )
    desktop.node.push("event", first)
    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "1", timeout=WAIT_MS)
    qtbot.waitUntil(card.acknowledge_button.isEnabled, timeout=WAIT_MS)

    qtbot.mouseClick(card.acknowledge_button, LEFT)

    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "", timeout=WAIT_MS)
    assert card.model.index(0, 3).data() == "✓ event 1"


def test_events_are_filtered_by_level_and_words(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("events")
    for number, level in enumerate((Level.WARNING, Level.ALARM, Level.INFO), start=2):
        desktop.node.push("event", alarm(number, f"source {number}", level))
    qtbot.waitUntil(lambda: card.model.rowCount() == 4, timeout=WAIT_MS)

    qtbot.mouseClick(card.levels["Warnings"], LEFT)
    assert card.model.rowCount() == 2
    qtbot.keyClicks(card.filter, "source 3")

    assert [card.model.at(0).number] == [3]
    assert card.model.rowCount() == 1


def test_a_double_click_jumps_to_the_instrument(desktop: Desktop, qtbot: QtBot) -> None:
    window, card = desktop.window, desktop.window.panel("events")
    desktop.node.push("event", alarm(5, "bob detectors"))
    qtbot.waitUntil(lambda: card.model.rowCount() == 2, timeout=WAIT_MS)
    card.table.selectRow(0)

    qtbot.mouseClick(card.jump_button, LEFT)

    assert window.desk.instrument == ("bob", "detectors")
    assert not window.panel("detector").isHidden()


def test_a_hundred_thousand_events_are_kept_and_filtered(desktop: Desktop, qtbot: QtBot) -> None:
    log, card = desktop.client.events, desktop.window.panel("events")
    for number in range(2, 100_001):
        log.add(alarm(number, f"s{number % 7}", Level.INFO))

    card.model.follow(log)
    assert card.model.rowCount() == 100_000
    card.filter.setText("event 99999")

    assert card.model.rowCount() == 1
    qtbot.keyClicks(card.filter, "x")
    assert card.model.rowCount() == 0


def test_the_events_are_a_proper_model(desktop: Desktop, qtmodeltester: object) -> None:
    for number in range(2, 20):
        desktop.client.events.add(alarm(number, "x"))
    card = desktop.window.panel("events")
    card.model.follow(desktop.client.events)

    qtmodeltester.check(card.model)  # type: ignore[attr-defined]


# -- all cards


def test_old_cards_are_greyed_within_two_seconds(desktop: Desktop, qtbot: QtBot) -> None:
    veils = [panel._veil for panel in desktop.window.panels.values() if panel.isVisible()]
    assert not any(veil.isVisible() for veil in veils)

    desktop.node.fall_silent()

    qtbot.waitUntil(lambda: all(veil.isVisible() for veil in veils), timeout=WAIT_MS)
