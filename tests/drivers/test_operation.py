"""One caller at a time, and one deadline for all that it asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from answering import TcpDevice

from drivers.operation import Operation, all_or_none
from drivers.text_line import TextLine
from qnx_hw.errors import Busy, InstrumentTimeout
from qnx_hw.transports import Direction

LONG_S = 120.0


def test_a_turn_is_not_waited_for_beyond_the_deadline() -> None:
    operation, taken, over = Operation("unit"), threading.Event(), threading.Event()

    def hold() -> None:
        with operation.within():
            taken.set()
            assert over.wait(LONG_S)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert taken.wait(LONG_S)
        with pytest.raises(Busy, match="'unit' is busy"), operation.within(0.01):
            pytest.fail("two have their turn")
        over.set()
        holding.result(LONG_S)


def test_after_the_deadline_nothing_is_asked_but_what_sets_back() -> None:
    sent: list[bytes] = []

    def record(direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT:
            sent.append(payload)

    with TcpDevice(lambda received: b"0\n" if received == b"BACK?\n" else b"") as device:
        line = TextLine(f"tcp://127.0.0.1:{device.port}", "unit", recorder=record)
        said: list[str] = []

        def back() -> str:
            return line.ask("BACK?", LONG_S)

        with line.opening(timeout_s=LONG_S), line.operation.within(0.05):
            for question in ("FIRST?", "SECOND?", "THIRD?"):
                with pytest.raises(InstrumentTimeout):
                    line.ask(question, LONG_S)
            with pytest.raises(InstrumentTimeout), all_or_none(lambda: said.append(back())):
                line.ask("FOURTH?", LONG_S)
        line.close()

    assert said == ["0"]
    assert sent == [b"FIRST?\n", b"BACK?\n"]
