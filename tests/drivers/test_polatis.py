"""The matrix switch's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.polatis import (
    Polatis,
    PortState,
    decode_connections,
    decode_size,
    decode_states,
    encode_connections,
)
from drivers.text_line import scpi_errors
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.polatis import PolatisEmulator

Serve = Callable[..., list[str]]


@given(st.dictionaries(st.integers(1, 384), st.integers(1, 384)))
def test_connections_survive_the_wire(connections: dict[int, int]) -> None:
    on_wire = decode_connections(encode_connections(connections, 384))

    assert on_wire == {port: output + 384 for port, output in connections.items()}


def test_the_guides_replies_are_read() -> None:
    assert decode_connections("(@1,2,3),(@19,18,22)") == {1: 19, 2: 18, 3: 22}
    assert decode_connections("(@),(@)") == {}
    assert decode_connections("(@1:3, 7),(@18,17,19 , 30)") == {1: 18, 2: 17, 3: 19, 7: 30}
    assert decode_states("( e,D,f )", [1, 2, 3])[3] is PortState.FAILED
    assert decode_size("16,16") == (16, 16)
    assert scpi_errors('0,"No error"') == scpi_errors('+0, "No error"') == []
    assert scpi_errors('-222,"Data out of range",-113,"Undefined header"') == [
        (-222, "Data out of range"),
        (-113, "Undefined header"),
    ]


@pytest.mark.parametrize(
    "reply",
    ["", "(@1,2),(@17)", "(@1)", "(@a),(@b)", "(@3:1),(@17:19)", "(@1:2:3),(@17)", "(@1,,2),(@3)"],
)
def test_replies_that_are_none_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        decode_connections(reply)


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_exactly_what_was_asked_is_connected(serve: Serve, listen: str) -> None:
    (url,) = serve(PolatisEmulator(), listen)

    with Polatis(url) as switch:
        assert switch.connect().serial == "002414"
        assert switch.connections() == {}
        assert switch.apply({1: 1, 2: 5}) == {1: 1, 2: 5}
        assert switch.apply({1: 5, 3: 1}) == {1: 5, 3: 1}
        assert switch.connections() == {1: 5, 3: 1}

    with Polatis(url) as switch:
        assert switch.connections() == {1: 5, 3: 1}
        assert switch.apply({}) == {}


def test_a_path_that_stays_is_not_touched(serve: Serve) -> None:
    (url,) = serve(PolatisEmulator())
    sent: list[bytes] = []

    with Polatis(url, recorder=lambda _, payload: sent.append(payload)) as switch:
        switch.apply({1: 1, 2: 2})
        sent.clear()
        switch.apply({1: 1, 2: 3})

    changes = [payload for payload in sent if b":sub" in payload]
    assert changes == [b"*cls;:oxc:swit:conn:sub (@2),(@18);:oxc:swit:conn:add (@2),(@19);*opc?\n"]


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(PolatisEmulator())

    with Polatis(url) as switch:
        sent = switch.status().counters["requests"]
        for connections in ({17: 1}, {1: 17}, {0: 1}, {1: 2, 3: 2}):
            with pytest.raises(RangeError):
                switch.apply(connections)
        with pytest.raises(RangeError):
            switch.configure({"boot_mode": "loud"})
        with pytest.raises(Unsupported):
            switch.configure({"colour": 5})
        assert switch.status().counters["requests"] == sent


def test_the_boot_mode_is_read_back(serve: Serve) -> None:
    (url,) = serve(PolatisEmulator())

    with Polatis(url) as switch:
        assert switch.configure({"boot_mode": "dark"}) == {"boot_mode": "dark"}
        assert switch.settings() == {"boot_mode": "dark"}


def test_a_failed_port_reaches_the_caller(serve: Serve) -> None:
    faults = Faults([Fault(FaultKind.DEVICE_ERROR, 0.0)])
    (url,) = serve(PolatisEmulator(options={"faults": faults}), faults=faults)

    with Polatis(url) as switch:
        with pytest.raises(InstrumentRefused, match="-200"):
            switch.apply({1: 4})

        assert switch.apply({2: 4}) == {2: 4}


def test_ports_are_disabled_and_enabled(serve: Serve) -> None:
    (url,) = serve(PolatisEmulator())

    with Polatis(url) as switch:
        switch.apply({1: 1, 2: 2})
        states = switch.enable_ports([1, 18], on=False)

        assert states[1] is states[18] is PortState.DISABLED
        assert states[2] is PortState.ENABLED
        assert switch.connections() == {}
        assert switch.enable_ports([1, 18], on=True)[1] is PortState.ENABLED
        with pytest.raises(RangeError, match="no port 99"):
            switch.enable_ports([99], on=True)


@pytest.mark.parametrize("reply", ["", "(E)", "(E,X)", "(E,E,E)"])
def test_states_that_are_none_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        decode_states(reply, [1, 2])
