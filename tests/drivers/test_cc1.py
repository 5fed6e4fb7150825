"""The coincidence counter's driver against an emulated unit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from answering import TcpDevice
from hypothesis import given
from hypothesis import strategies as st

from drivers.cc1 import Cc1, decode_firmware
from qnx_hw.errors import (
    Cancelled,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.values import Edge, Reference
from sim_devices.emulators.cc1 import Cc1Emulator

Serve = Callable[..., list[str]]


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_any_version_is_read(major: int, minor: int, patch: int) -> None:
    assert decode_firmware(f"Firmware v{major}.{minor}.{patch}") == (major, minor)


@pytest.mark.parametrize("reply", ["", "Unknown command", "v2.2.0", "Firmware vX.2"])
def test_versions_that_are_none_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        decode_firmware(reply)


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_inputs_and_coincidences_are_counted(serve: Serve, listen: str) -> None:
    (url,) = serve(Cc1Emulator(options={"rate_cps": 20_000.0, "coincidence_cps": 2000.0}), listen)

    with Cc1(url) as counter:
        assert counter.connect().firmware == "2.2"
        rates = counter.coincidence_rates(0.3)
        assert rates.input_1_cps == pytest.approx(20_000, rel=0.1)
        assert rates.input_2_cps == pytest.approx(20_000, rel=0.1)
        assert 1000 < rates.coincidences_cps < 4000
        assert len(counter.count_rates(0.05)) == counter.capabilities.n_channels
        assert counter.settings()["dwell_s"] == 0.05


def test_what_the_unit_holds_comes_back(serve: Serve) -> None:
    (url,) = serve(Cc1Emulator())
    wanted: dict[str, float | int | str | bool] = {
        "gate_on": True,
        "subtract_accidentals": True,
        "trigger_mode": "start_stop",
        "window_ns": 7,
        "delay_ns": 14,
        "dwell_s": 0.5,
    }

    with Cc1(url) as counter:
        assert counter.settings() != wanted
        assert counter.configure(wanted) == wanted


def test_the_bytes_are_those_of_the_command_set(serve: Serve) -> None:
    (url,) = serve(Cc1Emulator())
    sent: list[bytes] = []

    with Cc1(url, recorder=lambda way, payload: sent.append(payload)) as counter:
        counter.configure({"gate_on": False, "delay_ns": 6, "dwell_s": 0.5, "window_ns": 3})

    assert sent.index(b":ACKN OF\n") < sent.index(b"FIRM?\n")
    assert {b":GATE:OFF\n", b":DELA 6\n", b":DWEL 0.5\n", b":WIND 3\n"} <= set(sent)


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Cc1Emulator())

    with Cc1(url) as counter:
        sent = counter.status().counters["requests"]
        for key, value in (
            ("window_ns", 8),
            ("window_ns", 1.5),
            ("delay_ns", 3),
            ("delay_ns", "long"),
            ("dwell_s", 0.0),
            ("dwell_s", float("nan")),
            ("gate_on", "maybe"),
            ("trigger_mode", "moon"),
        ):
            with pytest.raises(RangeError):
                counter.configure({"window_ns": 5, key: value})
        with pytest.raises(RangeError):
            counter.count_rates(0.0)
        with pytest.raises(Unsupported):
            counter.configure({"window_ns": 5, "colour": 5})
        assert counter.status().counters["requests"] == sent


def test_what_it_cannot_do_is_said(serve: Serve) -> None:
    (url,) = serve(Cc1Emulator())

    with Cc1(url) as counter:
        assert counter.capabilities.counts_only
        with pytest.raises(Unsupported, match="time stamps"):
            counter.start_stream()
        with pytest.raises(Unsupported):
            counter.set_threshold_v(1, 0.5, Edge.RISING)
        with pytest.raises(Unsupported):
            counter.set_reference(Reference.EXTERNAL)
        assert counter.set_reference(Reference.AUTO) is Reference.INTERNAL


def test_a_count_is_cancelled(serve: Serve) -> None:
    (url,) = serve(Cc1Emulator())
    cancel = threading.Event()
    cancel.set()

    with Cc1(url) as counter, pytest.raises(Cancelled):
        counter.count_rates(900.0, cancel=cancel)


def _unit(replies: dict[bytes, bytes]) -> Callable[[bytes], bytes]:
    """Answer known lines."""
    return lambda received: b"".join(replies.get(line, b"") for line in received.split(b"\n"))


def test_a_setting_that_is_not_taken_raises() -> None:
    replies = {b"FIRM?": b"Firmware v2.2.0\n", b"WIND?": b"3 ns\n"}
    with (
        TcpDevice(_unit(replies)) as device,
        Cc1(f"tcp://127.0.0.1:{device.port}") as counter,
        pytest.raises(InstrumentRefused, match="window_ns"),
    ):
        counter.configure({"window_ns": 5})


def test_a_command_that_the_unit_does_not_know_shifts_no_reply() -> None:
    replies = {
        b"FIRM?": b"Firmware v2.2.0\n",
        b"GATE?": b"ON\n",
        b"SUBT?": b"OFF\n",
        b"TRIG?": b"MODE CONT\n",
        b"WIND?": b"3 ns\n",
        b"DELA?": b"6 ns\n",
        b"DWEL?": b"1.0 s\n",
        b":WIND 5": b"Unknown command\n",
    }
    device = TcpDevice(_unit(replies))
    with device, Cc1(f"tcp://127.0.0.1:{device.port}") as counter:
        with pytest.raises(InstrumentRefused):
            counter.configure({"window_ns": 5})
        assert counter.settings() == {
            "gate_on": True,
            "subtract_accidentals": False,
            "trigger_mode": "continuous",
            "window_ns": 3,
            "delay_ns": 6,
            "dwell_s": 1.0,
        }


def test_old_firmware_is_refused() -> None:
    counter_replies = _unit({b"FIRM?": b"Firmware v2.1.3\n"})
    with TcpDevice(counter_replies) as device, pytest.raises(Unsupported, match=r"2\.1"):
        Cc1(f"tcp://127.0.0.1:{device.port}").connect()


def test_a_late_acknowledgement_and_other_forms_of_replies_are_taken() -> None:
    replies = {
        b":ACKN OF": b"",
        b"FIRM?": b":ACKN OF\r\nFirmware v2.2.0\r\n",
        b"GATE?": b"on\r\n",
        b"SUBT?": b" OFF \r\n",
        b"TRIG?": b"Mode  Stop\r\n",
        b"WIND?": b"3\r\n",
        b"DELA?": b"6  ns\r\n",
        b"DWEL?": b"0.001 S\r\n",
        b":DWEL 0.001": b"",
        b"COUN:C1?": b"12 \r\n",
        b"COUN:C2?": b"7 counts\r\n",
        b"COUN:CO?": b"1\r\n",
    }
    with TcpDevice(_unit(replies)) as device, Cc1(f"tcp://127.0.0.1:{device.port}") as counter:
        counter.connect()

        assert list(counter.settings().values()) == [True, False, "start_stop", 3, 6, 0.001]
        assert counter.coincidence_rates(0.001).input_2_cps == pytest.approx(7000)
