"""The frame clock and the memory of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QObject

from gui.desktop.event_log import EventLog
from gui.desktop.frame_clock import FrameClock
from qnx_hw.api.schema import Event, Level

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication


def event(number: int, **changes: object) -> Event:
    values = {"number": number, "time_s": float(number), "level": Level.ALARM, "source": "a"}
    return Event(**{**values, "message": "m", **changes})


def test_a_slow_card_is_drawn_less_often_and_recovers(qapp: QApplication) -> None:
    parent = QObject()
    time_s, cost_s, drawn = [0.0], [0.020], [0]
    clock = FrameClock(parent, now=lambda: time_s[0])

    def draw() -> bool:
        time_s[0] += cost_s[0]
        drawn[0] += 1
        return True

    clock.add(draw)
    for _ in range(32):
        clock.tick()
    slow = drawn[0]
    cost_s[0] = 0.001
    for _ in range(64):
        clock.tick()
    before = drawn[0]
    for _ in range(10):
        clock.tick()

    assert slow < 12
    assert drawn[0] - before == 10


def test_a_fast_card_is_drawn_with_every_frame(qapp: QApplication) -> None:
    parent, drawn = QObject(), [0]
    clock = FrameClock(parent)

    def draw() -> bool:
        drawn[0] += 1
        return False

    clock.add(draw)
    for _ in range(30):
        clock.tick()

    assert drawn[0] == 30


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(5, 20))
def test_the_log_holds_each_event_once_in_order(numbers: list[int], kept: int) -> None:
    log = EventLog(kept)

    for number in sorted(numbers):
        log.add(event(number))

    held = [each.number for each in log.events]
    assert held == sorted(set(numbers))[-len(held) :] if held else not numbers
    assert len(held) <= kept
    assert log.unacknowledged == len(held)


def test_an_acknowledgement_replaces_the_event_where_it_stands() -> None:
    log = EventLog()
    for number in (1, 2, 3):
        log.add(event(number))

    log.add(event(2, is_acknowledged=True))

    assert [each.is_acknowledged for each in log.events] == [False, True, False]
    assert log.changed == [1]
    assert log.unacknowledged == 2


def test_events_of_a_node_that_started_anew_replace_the_old_ones() -> None:
    log = EventLog()
    log.merge([event(1), event(2)])
    log.merge([event(1), event(2), event(3)])
    assert [each.number for each in log.events] == [1, 2, 3]

    log.merge([event(1, time_s=99.0)])

    assert [each.time_s for each in log.events] == [99.0]
