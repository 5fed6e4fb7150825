"""The small switch's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from answering import TcpDevice

from drivers.osw import Osw
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.osw import OswEmulator

Serve = Callable[..., list[str]]


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_one_input_goes_to_either_output(serve: Serve, listen: str) -> None:
    (url,) = serve(OswEmulator(), listen)

    with Osw(url) as switch:
        assert "OSW12" in switch.connect().model
        assert switch.connections() == {1: 1}
        assert switch.apply({1: 2}) == {1: 2}

    with Osw(url) as switch:
        assert switch.connections() == {1: 2}


def test_two_inputs_go_straight_or_cross(serve: Serve) -> None:
    (url,) = serve(OswEmulator(options={"model": "OSW22-1310E"}))

    with Osw(url) as switch:
        assert switch.apply({1: 2, 2: 1}) == {1: 2, 2: 1}
        assert switch.connections() == {1: 2, 2: 1}
        with pytest.raises(RangeError):
            switch.apply({1: 2})


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(OswEmulator())

    with Osw(url) as switch:
        sent = switch.status().counters["requests"]
        for connections in ({}, {1: 3}, {2: 1}, {1: 1, 2: 2}):
            with pytest.raises(RangeError):
                switch.apply(connections)
        with pytest.raises(Unsupported):
            switch.configure({"colour": 5})
        assert switch.status().counters["requests"] == sent


def test_a_switch_that_does_not_move_is_named() -> None:
    replies = {b"I?\n": b"OSW12-1310E\r\n", b"S?\n": b"1\r\n"}

    with (
        TcpDevice(lambda received: replies.get(received[-3:], b"")) as device,
        Osw(f"tcp://127.0.0.1:{device.port}") as switch,
        pytest.raises(InstrumentRefused, match="stands at 1"),
    ):
        switch.apply({1: 2})


def test_another_instrument_is_not_taken_for_a_switch() -> None:
    with (
        TcpDevice(lambda _: b"paddles\r\n") as device,
        pytest.raises(ProtocolError, match="paddles"),
    ):
        Osw(f"tcp://127.0.0.1:{device.port}").connect()
