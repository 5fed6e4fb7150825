"""The main window, by real clicks, on a fake node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_node import FakeNode, sample_instrument, sample_link, sample_snapshot, serve
from free_ports import free_port
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QWidget

from gui.desktop.client import Connection, NodeClient
from gui.theme import Theme
from qnx_hw.api.schema import Event, Level, LinkPhase, NodeView

if TYPE_CHECKING:
    from conftest import Desktop
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000


def test_the_key_figures_are_those_of_the_node(desktop: Desktop) -> None:
    figures = desktop.window.figures

    assert figures.qber.value.text() == "2.31 | 2.87"
    assert figures.chsh.value.text() == "2.712"
    assert figures.chsh.note.text() == "89 σ above 2"
    assert (figures.key_rate.value.text(), figures.key_rate.unit.text()) == ("3.42", "kbit/s")
    assert (figures.pool.value.text(), figures.pool.unit.text()) == ("48.20", "Mbit")


def test_what_was_never_measured_is_shown_as_no_data(desktop: Desktop, qtbot: QtBot) -> None:
    bare = sample_link(coincidence_rate_cps=None, car=None, secret_rate_bps=None)

    desktop.node.push("link", bare)

    figures = desktop.window.figures
    qtbot.waitUntil(lambda: figures.key_rate.value.text() == "–", timeout=WAIT_MS)
    assert figures.coincidences.value.text() == "–"
    assert figures.coincidences.note.text() == "no data"


def test_stop_sends_one_command_and_waits_for_the_node(desktop: Desktop, qtbot: QtBot) -> None:
    bar = desktop.window.top_bar

    qtbot.mouseClick(bar.stop_button, Qt.MouseButton.LeftButton)

    assert not bar.stop_button.isEnabled()
    qtbot.waitUntil(bar.start_button.isEnabled, timeout=WAIT_MS)
    assert bar.state.text() == "STOPPED"
    (path, headers), *others = desktop.node.commands
    assert path == "/api/v1/links/alice-bob/stop"
    assert headers["x-qnx-client"] == "desktop"
    assert not others


def test_a_refused_command_is_told_in_the_nodes_words(desktop: Desktop, qtbot: QtBot) -> None:
    desktop.node.refusal = "alice's tagger is not connected; check its cable"
    window = desktop.window

    qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)

    told = "alice's tagger is not connected; check its cable"
    qtbot.waitUntil(lambda: window.statusBar().currentMessage() == told, timeout=WAIT_MS)
    qtbot.waitUntil(window.top_bar.stop_button.isEnabled, timeout=WAIT_MS)


def test_a_disabled_button_says_why(desktop: Desktop) -> None:
    assert desktop.window.top_bar.start_button.toolTip() == "Not now: the link runs already"


def test_the_simulated_badge_is_there_and_cannot_be_closed(desktop: Desktop, qtbot: QtBot) -> None:
    badge = desktop.window.top_bar.simulated

    assert badge.isVisible()
    for panel in desktop.window.panels.values():
        panel.close()
    badge.hide()
    assert badge.isVisible()


def test_hardware_is_called_hardware(desktop: Desktop, qtbot: QtBot) -> None:
    real = sample_snapshot(is_simulated=False)

    desktop.node.push("snapshot", real)

    badge = desktop.window.top_bar.simulated
    qtbot.waitUntil(lambda: badge.text() == "HARDWARE", timeout=WAIT_MS)


def test_the_tree_shows_each_instrument_with_its_reading(desktop: Desktop, qtbot: QtBot) -> None:
    tree = desktop.window.panel("instruments").tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 2, timeout=WAIT_MS)

    alice = tree.topLevelItem(0)

    assert alice.text(0) == "Alice"
    assert [alice.child(row).text(0) for row in range(3)] == [
        "tagger  ·  SIM",
        "detectors  ·  SIM",
        "polarization  ·  SIM",
    ]
    assert alice.child(0).text(1) == "153.6 kcps"


def test_a_lost_instrument_shows_its_state_and_reason(desktop: Desktop, qtbot: QtBot) -> None:
    lost = sample_instrument("bob", "tagger", state="reconnecting", error="the cable is out")
    bob = NodeView(
        name="bob",
        is_online=True,
        position=(0.8, 0.4),
        pool_bits=0,
        pool_capacity_bits=1,
        instruments=(lost,),
    )

    desktop.node.push("node", bob)

    tree = desktop.window.panel("instruments").tree
    row = tree.topLevelItem(1).child(0)
    qtbot.waitUntil(lambda: row.text(1) == "reconnecting", timeout=WAIT_MS)
    assert "the cable is out" in row.toolTip(0)


def test_the_histogram_window_is_the_links(desktop: Desktop, qtbot: QtBot) -> None:
    handle = desktop.window.panel("histogram").handle

    qtbot.waitUntil(lambda: handle.half == 0.7, timeout=WAIT_MS)


def test_newer_events_stand_first(desktop: Desktop, qtbot: QtBot) -> None:
    event = Event(number=2, time_s=1.78e9, level=Level.ALARM, source="alice-bob", message="Blinded")

    desktop.node.push("event", event)

    model = desktop.window.panel("events").model
    qtbot.waitUntil(lambda: model.rowCount() == 2, timeout=WAIT_MS)
    assert model.index(0, 3).data() == "Blinded"


def test_a_silent_node_is_marked_stale_within_seconds(desktop: Desktop, qtbot: QtBot) -> None:
    desktop.node.fall_silent()

    bar = desktop.window.top_bar
    qtbot.waitUntil(lambda: bar.state.text() == "NODE STALE", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not bar.stop_button.isEnabled(), timeout=WAIT_MS)


def test_the_desktop_comes_back_by_itself_after_the_node(qtbot: QtBot, qapp: QApplication) -> None:
    first = FakeNode(sample_snapshot())
    port = free_port()
    with serve(first, port) as url:
        client = NodeClient(url, qapp)
        client.start()
        qtbot.waitUntil(lambda: client.connection is Connection.LIVE, timeout=WAIT_MS)
    again = FakeNode(sample_snapshot(network="again"))

    with serve(again, port):
        qtbot.waitUntil(
            lambda: client.snapshot is not None and client.snapshot.network == "again",
            timeout=WAIT_MS,
        )
        client.stop()
    client.deleteLater()


def test_the_theme_switches_live(desktop: Desktop, qtbot: QtBot) -> None:
    before = desktop.window.grab().toImage().pixelColor(5, 5)

    button = desktop.window.top_bar.button("theme")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    after = desktop.window.grab().toImage().pixelColor(5, 5)
    assert desktop.window.look.theme is Theme.LIGHT
    assert before.lightness() < 60 < 200 < after.lightness()


def test_a_hidden_card_is_not_drawn(desktop: Desktop, qtbot: QtBot) -> None:
    matrix = desktop.window.panel("matrix")
    qtbot.waitUntil(lambda: matrix.subtitle.text() != "", timeout=WAIT_MS)
    matrix.hide()
    shown = matrix.subtitle.text()

    desktop.node.push("link", sample_link(matrix=((1, 1, 1, 1),) * 4, block=413))

    progress = desktop.window.progress
    qtbot.waitUntil(lambda: "block 413" in progress.text(), timeout=WAIT_MS)
    desktop.window.draw()
    assert matrix.subtitle.text() == shown
    matrix.show()
    qtbot.waitUntil(lambda: matrix.subtitle.text() == "16 pairs", timeout=WAIT_MS)


def test_every_control_that_takes_the_focus_has_a_name(desktop: Desktop) -> None:
    takers = [
        widget
        for widget in desktop.window.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible()
    ]

    nameless = [w for w in takers if not (w.accessibleName() or getattr(w, "text", str)())]

    assert len(takers) > 5
    assert [type(widget).__name__ for widget in nameless] == []


def test_unsafe_text_from_the_network_is_shown_as_text(desktop: Desktop, qtbot: QtBot) -> None:
    message = "<b onclick=x>bold</b>" * 3
    desktop.node.push("link", sample_link(phase=LinkPhase.FAULT, message=message))

    state = desktop.window.top_bar.state
    qtbot.waitUntil(lambda: state.text().startswith("FAULT"), timeout=WAIT_MS)
    assert state.textFormat() is Qt.TextFormat.PlainText


def test_closing_the_window_leaves_no_timer_running(desktop: Desktop, qtbot: QtBot) -> None:
    timers = desktop.window.findChildren(QTimer)
    assert any(timer.isActive() for timer in timers)

    desktop.client.stop()
    desktop.window.close()

    assert not any(timer.isActive() for timer in timers)
    assert not any(timer.isActive() for timer in desktop.client.findChildren(QTimer))
