"""Map, routing controller, pools and tunnels as cards, on a real API, by real clicks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from sample_network import sample_network

from gui.desktop.panels.network_map import MapPanel
from gui.desktop.panels.pools import PoolsPanel
from gui.desktop.panels.routing import RoutingPanel
from gui.desktop.panels.tunnels import TunnelsPanel
from gui.desktop.routing.forecast import error, inside_band
from qnx_hw.api.traffic import Forecast, KeyPolicy, PlanView, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Lab
    from pytestqt.qtbot import QtBot

    from gui.desktop.desk import Desk
    from gui.desktop.panels.panel import Panel

    _Card = TypeVar("_Card", bound=Panel)

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


def card(make: Callable[[Desk], _Card], lab: Lab, qtbot: QtBot) -> _Card:
    """Show a card alone, up to date."""
    made = make(lab.desk)
    qtbot.addWidget(made)
    made.resize(760, 460)
    made.show()
    made.redraw()
    qtbot.waitUntil(made.draw, timeout=WAIT_MS)
    return made


def pick(qtbot: QtBot, combo: object, words: str) -> None:
    """Choose in a combo box with the keyboard."""
    from PySide6.QtWidgets import QComboBox

    assert isinstance(combo, QComboBox)
    combo.setFocus()
    for _ in range(combo.count()):
        if combo.currentText() == words:
            return
        qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert combo.currentText() == words


def test_the_map_shows_the_chosen_flow_and_tells_everybody_the_chosen_link(
    lab: Lab, qtbot: QtBot
) -> None:
    panel = card(MapPanel, lab, qtbot)
    plain = panel.map.grab().toImage()

    pick(qtbot, panel.flow, "alice → edge-2")
    qtbot.mouseClick(
        panel.map, LEFT, pos=panel.map.point(("alice", "relay")).toPoint() + QPoint(2, 2)
    )

    assert panel.map.grab().toImage() != plain
    assert lab.desk.link_name == "alice-relay"
    assert panel.subtitle.text() == "6 of 6 sites online"
    table = panel.export_table()
    assert table is not None
    assert ("alice", "bob", "up", 3420.0, 0.62, None) in table.rows


def test_resting_on_a_link_brings_its_past_from_the_node(lab: Lab, qtbot: QtBot) -> None:
    lab.api.call(lambda: [lab.api.history.sample(v, 1.0) for v in sample_network().links])
    panel = card(MapPanel, lab, qtbot)
    asked: list[tuple[str, str]] = []
    panel.map.past_wanted.connect(lambda kind, name: asked.append((kind, name)))

    panel.map.setFocus()
    qtbot.keyClick(panel.map, Qt.Key.Key_Right)

    qtbot.waitUntil(lambda: asked == [("node", "alice")], timeout=WAIT_MS)
    assert "alice" in panel.map.accessibleDescription()


def test_the_plan_is_shown_with_reason_shares_and_who_refused_it(lab: Lab, qtbot: QtBot) -> None:
    panel = card(RoutingPanel, lab, qtbot)
    plan = panel.plan

    assert plan.reason.text() == "edge-1 draws more key than bob-edge-1 makes"
    assert plan.utilisation.accessibleDescription() == "measured 88 %, expected 82 %"
    assert plan.experts.accessibleDescription() == "seasonal 70 %, last hour 30 %"
    assert "2 of 6; refused by lab: offline" in plan.followers.text()
    route = plan.routes.topLevelItem(0)
    assert route is not None
    assert (route.text(0), route.text(1)) == ("alice → edge-2", "800.0 Mbit/s")
    assert [route.child(row).text(1) for row in range(2)] == ["80 %", "20 %"]


def test_another_objective_is_sent_and_the_answer_replaces_the_wish(lab: Lab, qtbot: QtBot) -> None:
    panel = card(RoutingPanel, lab, qtbot)

    panel.objective.setFocus()
    qtbot.keyClick(panel.objective, Qt.Key.Key_Down)

    assert not panel.objective.isEnabled()
    qtbot.waitUntil(panel.objective.isEnabled, timeout=WAIT_MS)
    (plan,) = lab.api.hub.latest(PlanView)
    assert plan.objective == panel.objective.currentText() == "least load"


def test_forecasts_stand_beside_what_came(lab: Lab, qtbot: QtBot) -> None:
    panel = card(RoutingPanel, lab, qtbot)
    panel.tabs.setCurrentIndex(1)

    qtbot.waitUntil(lambda: panel.forecast.shown is not None, timeout=WAIT_MS)

    assert panel.forecast.choice.currentText() == "alice bob"
    assert "mean miss 0.0 %, 100 % in the band" in panel.forecast.note.text()


def test_a_forecasts_miss_and_band_are_counted_where_something_came() -> None:
    forecast = Forecast(
        name="a b", unit="bit/s", model="m", times_s=(0.0, 1.0, 2.0, 3.0),
        expected=(10.0, 10.0, None, 10.0), low=(8.0, 8.0, 8.0, 8.0), high=(12.0,) * 4,
        actual=(12.0, 20.0, 5.0, None),
    )  # fmt: skip

    assert error(forecast) == pytest.approx((2 + 10) / 32)
    assert inside_band(forecast) == pytest.approx(1 / 3)


def test_a_question_changes_nothing_and_says_what_would_be_lost(lab: Lab, qtbot: QtBot) -> None:
    panel = card(RoutingPanel, lab, qtbot)
    panel.tabs.setCurrentIndex(2)
    ask = panel.what_if
    before = lab.api.hub.latest(PlanView)

    relay = next(row for row in range(ask.down.count()) if ask.down.item(row).text() == "relay")
    ask.down.setCurrentRow(relay)
    ask.down.setFocus()
    qtbot.keyClick(ask.down, Qt.Key.Key_Space)
    qtbot.mouseClick(ask.ask_button, LEFT)
    qtbot.waitUntil(lambda: "→" in ask.answer.text(), timeout=WAIT_MS)

    assert ask.question().down == ("relay",)
    assert "1 have no way any more" in ask.answer.text()
    assert ask.routes.topLevelItemCount() == 0
    assert lab.api.hub.latest(PlanView) == before


@pytest.mark.parametrize("factor", ["many", "101", "-1", ""])
def test_a_demand_that_is_none_is_told_and_not_sent(lab: Lab, qtbot: QtBot, factor: str) -> None:
    panel = card(RoutingPanel, lab, qtbot)
    panel.tabs.setCurrentIndex(2)
    ask = panel.what_if
    asked: list[object] = []
    ask.asked.connect(asked.append)

    ask.factor.selectAll()
    qtbot.keyClick(ask.factor, Qt.Key.Key_Delete)
    qtbot.keyClicks(ask.factor, factor)
    qtbot.keyClick(ask.factor, Qt.Key.Key_Return)

    assert ask.answer.text().startswith("Demand ×: ")
    assert asked == []
    assert ask.ask_button.isEnabled()


def test_without_a_controller_the_card_says_so(lab: Lab, qtbot: QtBot) -> None:
    lab.client.views(PlanView).clear()

    panel = card(RoutingPanel, lab, qtbot)

    assert panel.empty.isVisible()
    assert not panel.tabs.isVisible()
    assert panel.export_table() is None


def test_pools_tell_stock_flow_and_when_they_run_dry(lab: Lab, qtbot: QtBot) -> None:
    panel = card(PoolsPanel, lab, qtbot)
    rows = {panel.view.text(row, 0): row for row in range(5)}

    row = rows["bob – edge-1"]

    shown = [panel.view.text(row, column) for column in range(6)]
    assert shown == [
        "bob – edge-1", "31.0 Mbit", "1.2 kbit/s", "800 bit/s", "2 h 10 min", "bob-edge-1"
    ]  # fmt: skip
    assert panel.view.text(rows["alice – bob"], 4) == "–"
    assert panel.subtitle.text() == "1 of 5 low"


def test_pools_are_sorted_by_a_click_on_their_heading(lab: Lab, qtbot: QtBot) -> None:
    panel = card(PoolsPanel, lab, qtbot)
    header = panel.view.horizontalHeader()
    at = QPoint(header.sectionPosition(1) + 12, header.height() // 2)

    qtbot.mouseClick(header.viewport(), LEFT, pos=at)

    stocks = [panel.view.sorted.index(row, 1).data(Qt.ItemDataRole.UserRole) for row in range(5)]
    assert stocks == sorted(stocks) or stocks == sorted(stocks, reverse=True)
    assert stocks[0] != stocks[-1]


def test_choosing_a_pool_chooses_the_link_that_fills_it(lab: Lab, qtbot: QtBot) -> None:
    panel = card(PoolsPanel, lab, qtbot)
    index = next(
        panel.view.sorted.index(row, 0)
        for row in range(5)
        if panel.view.text(row, 0) == "relay – edge-2"
    )

    at = panel.view.visualRect(index).center()
    qtbot.mouseClick(panel.view.viewport(), LEFT, pos=at)

    assert lab.desk.link_name == "relay-edge-2"


def test_a_tunnel_that_is_degraded_says_by_which_policy_it_goes_on(lab: Lab, qtbot: QtBot) -> None:
    panel = card(TunnelsPanel, lab, qtbot)
    tunnel = msgspec.structs.replace(
        lab.client.tunnels["alice edge-2"], state=TunnelState.DEGRADED, policy=KeyPolicy.STRETCH,
        message="one key for ten minutes", queue_bytes=2_500_000, queue_age_s=4.0, failures=3,
    )  # fmt: skip

    lab.api.call(lambda: lab.api.hub.set(tunnel))
    qtbot.waitUntil(
        lambda: panel.draw() and panel.view.text(0, 1).startswith("degraded"), timeout=WAIT_MS
    )

    shown = [panel.view.text(0, column) for column in range(9)]
    assert shown == [
        "alice edge-2", "degraded: one key for ten minutes", "AES-256-GCM", "stretch",
        "alice → relay → edge-2", "842.0 Mbit/s", "0 bit/s", "2.5 MB, 4 s", "3",
    ]  # fmt: skip
    assert panel.subtitle.text() == "0 of 1 up, 842.0 Mbit/s"


def test_rows_keep_the_choice_while_numbers_change(lab: Lab, qtbot: QtBot) -> None:
    panel = card(PoolsPanel, lab, qtbot)
    panel.view.setFocus()
    QTest.keyClick(panel.view, Qt.Key.Key_Down)
    chosen = panel.view.name()
    pool = msgspec.structs.replace(lab.client.pools[chosen], stock_bits=5)

    lab.api.call(lambda: lab.api.hub.set(pool))
    qtbot.waitUntil(
        lambda: panel.draw() and lab.client.pools[chosen].stock_bits == 5, timeout=WAIT_MS
    )

    assert panel.view.name() == chosen
    assert "5 bit" in [panel.view.text(row, 1) for row in range(5)]
