"""The link that a driver holds: opened, checked, let go of."""

from __future__ import annotations

import pytest
from answering import TcpDevice

from drivers.held_link import HeldLink
from qnx_hw.errors import NotConnected, ProtocolError
from qnx_hw.instruments.values import InstrumentState
from qnx_hw.transports import Direction, Lines, LinkTraits


def test_the_instrument_that_is_not_the_one_is_let_go_of() -> None:
    with TcpDevice(lambda _: b"Heater\n") as device:
        held = HeldLink(
            f"tcp://127.0.0.1:{device.port}", "unit", recorder=None, traits=LinkTraits()
        )

        with pytest.raises(ProtocolError), held.opening(Lines(), timeout_s=5.0):
            raise ProtocolError("'unit' is a heater")

        assert held.status().state is InstrumentState.DISCONNECTED
        with pytest.raises(NotConnected):
            held.link()


def test_a_farewell_is_the_last_that_is_said() -> None:
    said: list[bytes] = []

    def record(direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT:
            said.append(payload)

    with TcpDevice(lambda _: b"") as device:
        url = f"tcp://127.0.0.1:{device.port}"
        held = HeldLink(url, "unit", recorder=record, traits=LinkTraits())
        with held.opening(Lines(), timeout_s=5.0, greeting=b"hello\n"):
            held.halt(b"stop\n")
        held.close(b"off\n")
        held.close(b"off\n")

    assert said == [b"hello\n", b"stop\n", b"off\n"]
