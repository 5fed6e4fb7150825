"""The squeezer controller's driver against an emulated unit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from answering import TcpDevice
from hypothesis import given
from hypothesis import strategies as st

from drivers.oz_epc400 import Epc400, ReplyFramer
from qnx_hw.errors import (
    Busy,
    Cancelled,
    InstrumentRefused,
    InstrumentTimeout,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.values import InstrumentState
from sim_devices.emulators.epc400 import Epc400Emulator
from sim_devices.emulators.faults import Fault, FaultKind, Faults

Serve = Callable[..., list[str]]
LONG_S = 120.0


@given(st.integers(1, 9))
def test_replies_survive_any_chunking(chunk: int) -> None:
    stream = b"\r\nDone\r\nError!\r\nM?\r\nOperating Mode: DC\r\nDone\r\n"
    framer = ReplyFramer()

    replies = [
        reply
        for start in range(0, len(stream), chunk)
        for reply in framer.feed(stream[start : start + chunk])
    ]

    assert replies == [b"\nDone", b"Error!", b"M?\nOperating Mode: DC\nDone"]


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_voltages_are_set_and_read_back(serve: Serve, listen: str) -> None:
    (url,) = serve(Epc400Emulator(), listen)

    with Epc400(url) as squeezers:
        assert squeezers.positions() == (0.0, 0.0, 0.0, 0.0)
        stand = squeezers.move_all([1.5, -0.45, 0.0, 5.0])
        assert stand == pytest.approx((1.5, -0.45, 0.0, 5.0))
        assert squeezers.move(2, -5.0) == pytest.approx(-5.0)
        assert squeezers.positions() == pytest.approx((1.5, -5.0, 0.0, 5.0))


def test_a_unit_that_echoes_is_understood() -> None:
    def echo(received: bytes) -> bytes:
        content = {
            b"V?\r\n": b"Voltage(mV): CH1 +2200 CH2 -0450 CH3 +0000 CH4 +5000",
            b"M?\r\n": b"Operating Mode: DC",
        }.get(received)
        return b"" if content is None else received + content + b"\r\nDone\r\n"

    with TcpDevice(echo) as device, Epc400(f"tcp://127.0.0.1:{device.port}") as squeezers:
        assert squeezers.positions() == pytest.approx((2.2, -0.45, 0.0, 5.0))


@pytest.mark.parametrize(("held_mv", "is_taken"), [(1497, True), (1400, False)])
def test_what_the_unit_holds_comes_back(held_mv: int, is_taken: bool) -> None:
    answers = {
        b"V?": b"Voltage(mV): CH1 +%d CH2 +0000 CH3 +0000 CH4 +0000" % held_mv,
        b"M?": b"Operating Mode: DC",
    }

    def answer(received: bytes) -> bytes:
        return b"".join(answers.get(line, b"") + b"\r\nDone\r\n" for line in received.split())

    with TcpDevice(answer) as device:
        squeezers = Epc400(f"tcp://127.0.0.1:{device.port}")
        squeezers.connect(timeout_s=LONG_S)
        if is_taken:
            assert squeezers.move(1, 1.5, timeout_s=LONG_S) == pytest.approx(1.497)
        else:
            with pytest.raises(InstrumentRefused, match="1400"):
                squeezers.move(1, 1.5, timeout_s=LONG_S)
        squeezers.close()


def test_a_scrambling_unit_does_not_move(serve: Serve) -> None:
    (url,) = serve(Epc400Emulator())

    with Epc400(url) as squeezers:
        held = squeezers.configure(
            {"scrambling": True, "waveform": "triangle", "frequency_3_hz": 12}
        )
        assert held["scrambling"] is True
        assert (held["waveform"], held["frequency_3_hz"]) == ("triangle", 12)
        assert squeezers.status().state is InstrumentState.BUSY
        with pytest.raises(Busy):
            squeezers.move(1, 1.0)
        squeezers.stop()
        assert squeezers.move(1, 1.0) == pytest.approx(1.0)
        assert squeezers.settings()["scrambling"] is False


def test_leaving_ends_scrambling(serve: Serve) -> None:
    (url,) = serve(Epc400Emulator())
    with Epc400(url) as squeezers:
        squeezers.configure({"scrambling": True})

    with Epc400(url) as squeezers:
        assert squeezers.settings()["scrambling"] is False


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Epc400Emulator())

    with Epc400(url) as squeezers:
        sent = squeezers.status().counters["requests"]
        for axis, volt in ((1, 5.01), (1, float("nan")), (5, 1.0), (0, 1.0)):
            with pytest.raises(RangeError):
                squeezers.move(axis, volt)
        with pytest.raises(RangeError):
            squeezers.move_all([1.0])
        for key, value in (("frequency_1_hz", 101), ("waveform", "square"), ("scrambling", 1)):
            with pytest.raises(RangeError):
                squeezers.configure({"frequency_2_hz": 9, key: value})
        with pytest.raises(Unsupported):
            squeezers.configure({"colour": 5})
        with pytest.raises(Unsupported):
            squeezers.home(1)
        assert squeezers.status().counters["requests"] == sent


def test_a_cancelled_move_stops_between_squeezers(serve: Serve) -> None:
    (url,) = serve(Epc400Emulator())
    cancel = threading.Event()
    cancel.set()

    with Epc400(url) as squeezers:
        with pytest.raises(Cancelled):
            squeezers.move_all([1.0] * 4, cancel=cancel)

        assert squeezers.positions() == (0.0,) * 4


def test_a_late_reply_is_not_taken_for_the_next(serve: Serve) -> None:
    faults = Faults()
    (url,) = serve(Epc400Emulator(), faults=faults)

    with Epc400(url) as squeezers:
        faults.add(Fault(FaultKind.LATE_REPLY, 0.0))
        with pytest.raises(InstrumentTimeout):
            squeezers.move(1, 2.0, timeout_s=0.2)

        assert squeezers.move(2, 3.0, timeout_s=LONG_S) == pytest.approx(3.0)


def test_an_error_or_a_cut_reply_is_told() -> None:
    answers = {
        b"V?\r\n": b"Voltage(mV): CH1 +2200\r\nDone\r\n",
        b"M?\r\n": b"Error!\r\n",
    }
    with TcpDevice(lambda received: answers.get(received, b"")) as device:
        squeezers = Epc400(f"tcp://127.0.0.1:{device.port}")
        with pytest.raises(ProtocolError):
            squeezers.connect()
        answers[b"V?\r\n"] = b"Error!\r\n"
        with pytest.raises(InstrumentRefused):
            squeezers.connect()
