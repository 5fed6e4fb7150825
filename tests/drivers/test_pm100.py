"""The power meter's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest
from answering import TcpDevice

from drivers.pm100 import Pm100
from qnx_hw.errors import (
    Cancelled,
    InstrumentRefused,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.pm100 import Pm100Emulator

Serve = Callable[..., list[str]]


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_the_power_is_in_watt(serve: Serve, listen: str) -> None:
    (url,) = serve(Pm100Emulator(options={"power_W": 2e-6}), listen)

    with Pm100(url) as meter:
        assert meter.connect().serial == "P0000001"
        assert meter.power_w() == pytest.approx(2e-6, rel=0.01)


def test_settings_are_read_back(serve: Serve) -> None:
    (url,) = serve(Pm100Emulator())

    with Pm100(url) as meter:
        held = meter.configure({"wavelength_nm": 1310.0, "average_count": 10})
        assert held["wavelength_nm"] == pytest.approx(1310.0)
        assert held["average_count"] == 10
        assert held["auto_range"] is True
        assert meter.configure({"range_w": 1e-5})["auto_range"] is False
        assert meter.settings()["range_w"] == pytest.approx(1e-5)


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Pm100Emulator())

    with Pm100(url) as meter:
        sent = meter.status().counters["requests"]
        with pytest.raises(RangeError, match="1800"):
            meter.configure({"average_count": 3, "wavelength_nm": 1800.0})
        with pytest.raises(RangeError):
            meter.configure({"average_count": 1.5})
        with pytest.raises(Unsupported):
            meter.configure({"colour": 5})
        assert meter.status().counters["requests"] == sent


def test_what_the_meter_refuses_changes_nothing(serve: Serve) -> None:
    (url,) = serve(Pm100Emulator())

    with Pm100(url) as meter:
        before = meter.settings()
        with pytest.raises(InstrumentRefused, match="-222"):
            meter.configure({"wavelength_nm": 1310.0, "range_w": 500.0})
        assert meter.settings() == before


def test_too_much_power_is_no_number(serve: Serve) -> None:
    faults = Faults([Fault(FaultKind.OVERFLOW, 0.0)])
    (url,) = serve(Pm100Emulator(options={"faults": faults}), faults=faults)

    with Pm100(url) as meter:
        with pytest.raises(InstrumentRefused, match="range_w"):
            meter.power_w()
        assert meter.power_w() > 0.0


def test_a_stop_leaves_the_meter_usable(serve: Serve) -> None:
    (url,) = serve(Pm100Emulator())

    with Pm100(url) as meter:
        meter.stop()
        assert meter.power_w() > 0.0


def test_the_head_says_who_it_is_and_is_zeroed(serve: Serve) -> None:
    (url,) = serve(Pm100Emulator())

    with Pm100(url) as meter:
        assert meter.sensor().model == "S154C"
        assert meter.sensor().calibrated == "01-JAN-2024"
        meter.zero()


def test_zeroing_can_be_cancelled() -> None:
    said = {
        b"*IDN?": b"THORLABS,PM100D,P1,2.4.0\n",
        b"WAV?": b"1.5E+03\n",
        b"ERR?": b'+0,"No error"\n',
        b"STAT?": b"1\n",
    }
    cancel = Event()

    def answer(received: bytes) -> bytes:
        if b"STAT?" in received:
            cancel.set()
        return next((reply for word, reply in said.items() if word in received), b"")

    with (
        TcpDevice(answer) as device,
        Pm100(f"tcp://127.0.0.1:{device.port}") as meter,
        pytest.raises(Cancelled),
    ):
        meter.zero(cancel=cancel)
