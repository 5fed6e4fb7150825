"""One motion at a time, with an end to its patience."""

from __future__ import annotations

import threading

import pytest

from drivers.motion import Motion
from qnx_hw.errors import Cancelled, InstrumentTimeout
from qnx_hw.instruments.values import InstrumentState

POLL_S = 0.001


def test_a_motion_without_time_says_where_it_stands() -> None:
    motion = Motion("plate", poll_s=POLL_S)

    with pytest.raises(InstrumentTimeout, match="at 12"), motion.running(0.0, None) as watch:
        watch.wait(lambda: "at 12°")

    assert motion.state is InstrumentState.READY


def test_a_cancelled_motion_ends_and_is_busy_until_then() -> None:
    motion, cancel = Motion("plate", poll_s=POLL_S), threading.Event()

    with motion.running(60.0, cancel) as watch:
        watch.wait(str)
        assert motion.state is InstrumentState.BUSY
        cancel.set()
        with pytest.raises(Cancelled):
            watch.wait(str)


def test_a_stop_ends_the_motion_that_runs_and_not_the_next() -> None:
    motion = Motion("plate", poll_s=POLL_S)

    with motion.running(60.0, None) as watch:
        motion.give_up()
        with pytest.raises(Cancelled):
            watch.wait(str)

    with motion.running(60.0, None) as watch:
        watch.wait(str)


def test_a_second_motion_waits_for_the_first() -> None:
    motion, order = Motion("plate", poll_s=POLL_S), []

    def second() -> None:
        with motion.running(60.0, None):
            order.append("second")

    thread = threading.Thread(target=second)
    with motion.running(60.0, None) as watch:
        thread.start()
        watch.wait(str)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
