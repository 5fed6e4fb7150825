"""The attenuator's driver against an emulated unit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from answering import TcpDevice
from hypothesis import given
from hypothesis import strategies as st

from drivers.dd100 import Dd100, Replies, fields_of
from qnx_hw.errors import (
    Cancelled,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.dd100 import Dd100Emulator
from sim_devices.emulators.faults import Fault, FaultKind, Faults

Serve = Callable[..., list[str]]
LONG_S = 120.0
LIMITS = b"IL:1.50\r\nMAX ATTEN:60.00\r\nDone\r\n\r\n"


@given(st.lists(st.integers(0, 9999), max_size=20), st.integers(1, 30))
def test_replies_survive_any_chunking(positions: list[int], chunk: int) -> None:
    stream = b"".join(b"Pos:%d\r\nDone\r\n\r\n" % position for position in positions)
    decoder = Replies()

    received = [
        reply
        for start in range(0, len(stream), chunk)
        for reply in decoder.feed(stream[start : start + chunk])
    ]

    assert received == [b"Pos:%d\nDone" % position for position in positions]


def test_the_manuals_reply_is_read() -> None:
    (reply,) = Replies().feed(b"DPos:1502\r\nATTEN:10.00\r\nDone\r\n\r\n")

    assert fields_of(reply.decode()) == {"DPOS": "1502", "ATTEN": "10.00"}


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_the_attenuation_is_set_and_stays(serve: Serve, listen: str) -> None:
    (url,) = serve(Dd100Emulator(options={"home_s": 0.1}), listen)

    with Dd100(url) as attenuator:
        assert attenuator.limits_db == (1.5, 60.0)
        assert attenuator.home(timeout_s=LONG_S) == pytest.approx(1.5)
        assert attenuator.set_attenuation_db(10.0, timeout_s=LONG_S) == pytest.approx(10.0)
        assert attenuator.configure({"attenuation_db": 12.34}, timeout_s=LONG_S) == {
            "attenuation_db": pytest.approx(12.34)
        }

    with Dd100(url) as attenuator:
        assert attenuator.settings() == {"attenuation_db": pytest.approx(12.34)}


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Dd100Emulator())

    with Dd100(url) as attenuator:
        sent = attenuator.status().counters["requests"]
        for wanted_db in (1.0, 60.1, float("nan")):
            with pytest.raises(RangeError):
                attenuator.set_attenuation_db(wanted_db)
        with pytest.raises(RangeError):
            attenuator.configure({"attenuation_db": "dark"})
        with pytest.raises(Unsupported):
            attenuator.configure({"attenuation_db": 5.0, "colour": 5})
        assert attenuator.status().counters["requests"] == sent


def test_a_move_can_be_given_up_and_the_next_one_arrives(serve: Serve) -> None:
    (url,) = serve(Dd100Emulator())
    cancel = threading.Event()
    cancel.set()

    with Dd100(url) as attenuator:
        with pytest.raises(Cancelled):
            attenuator.set_attenuation_db(20.0, cancel=cancel)

        assert attenuator.set_attenuation_db(5.0, timeout_s=LONG_S) == pytest.approx(5.0)


def test_the_units_own_error_reaches_the_caller() -> None:
    def answer(received: bytes) -> bytes:
        return LIMITS if received == b"CD\r" else b"Error-3\r\n\r\n"

    with (
        TcpDevice(answer) as device,
        Dd100(f"tcp://127.0.0.1:{device.port}") as attenuator,
        pytest.raises(InstrumentRefused, match="Error-3"),
    ):
        attenuator.set_attenuation_db(10.0)


def test_a_unit_without_limits_is_none() -> None:
    with TcpDevice(lambda _: b"Done\r\n\r\n") as device, pytest.raises(ProtocolError, match="IL"):
        Dd100(f"tcp://127.0.0.1:{device.port}").connect()


@pytest.mark.parametrize("kind", [FaultKind.SPLIT, FaultKind.MERGE])
def test_a_disturbed_wire_does_not_disturb_a_move(serve: Serve, kind: FaultKind) -> None:
    faults = Faults([Fault(kind, 0.0, 100.0)])
    (url,) = serve(Dd100Emulator(), faults=faults)

    with Dd100(url) as attenuator:
        assert attenuator.set_attenuation_db(3.0, timeout_s=LONG_S) == pytest.approx(3.0)
