"""The retarder's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from answering import TcpDevice

from drivers.thorlabs_lcc25 import Lcc25
from qnx_hw.errors import (
    InstrumentRefused,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.lcc25 import Lcc25Emulator

Serve = Callable[..., list[str]]
LONG_S = 120.0


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_the_voltage_is_put_out_and_read_back(serve: Serve, listen: str) -> None:
    (url,) = serve(Lcc25Emulator(), listen)

    with Lcc25(url) as retarder:
        assert retarder.connect().firmware == "1.01"
        assert retarder.settings()["enabled"] is False
        assert retarder.move(1, 2.5) == 2.5
        assert retarder.move_all([12.345]) == (12.345,)
        assert retarder.positions() == (12.345,)
        assert retarder.settings()["enabled"] is True


def test_settings_are_read_back_and_a_stop_ends_modulation(serve: Serve) -> None:
    (url,) = serve(Lcc25Emulator())

    with Lcc25(url) as retarder:
        held = retarder.configure({"modulating": True, "frequency_hz": 20, "voltage_2_v": 3.5})
        assert held == {
            "enabled": False,
            "modulating": True,
            "frequency_hz": 20.0,
            "voltage_2_v": 3.5,
        }
        retarder.stop()
        assert retarder.settings()["modulating"] is False


def test_leaving_switches_the_output_off(serve: Serve) -> None:
    (url,) = serve(Lcc25Emulator())
    with Lcc25(url) as retarder:
        retarder.move(1, 5.0)

    with Lcc25(url) as retarder:
        assert retarder.settings()["enabled"] is False


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Lcc25Emulator())

    with Lcc25(url) as retarder:
        sent = retarder.status().counters["requests"]
        for axis, volt in ((1, 25.1), (1, -0.1), (1, float("nan")), (2, 1.0)):
            with pytest.raises(RangeError):
                retarder.move(axis, volt)
        with pytest.raises(RangeError):
            retarder.move_all([1.0, 2.0])
        for key, value in (("frequency_hz", 4), ("voltage_2_v", "high"), ("enabled", "yes")):
            with pytest.raises(RangeError):
                retarder.configure({"modulating": True, key: value})
        with pytest.raises(Unsupported):
            retarder.configure({"colour": 5})
        with pytest.raises(Unsupported):
            retarder.home(1)
        assert retarder.status().counters["requests"] == sent


@pytest.mark.parametrize("kind", [FaultKind.SPLIT, FaultKind.MERGE, FaultKind.GARBAGE])
def test_a_disturbed_wire_does_not_disturb_a_move(serve: Serve, kind: FaultKind) -> None:
    faults = Faults()
    (url,) = serve(Lcc25Emulator(), faults=faults)

    with Lcc25(url) as retarder:
        faults.add(Fault(kind, 0.0, None if kind is FaultKind.GARBAGE else 100.0))
        assert retarder.move(1, 3.0, timeout_s=LONG_S) == 3.0


def test_the_units_own_error_reaches_the_caller() -> None:
    def refuse(received: bytes) -> bytes:
        known = b"Thorlabs LCC25 ver 1.01" if received.startswith(b"*idn?") else b"CMD_ARG_INVALID"
        return received + known + b"\r> "

    with TcpDevice(refuse) as device, Lcc25(f"tcp://127.0.0.1:{device.port}") as retarder:
        with pytest.raises(InstrumentRefused) as refused:
            retarder.move(1, 1.0)
        assert refused.value.code == "CMD_ARG_INVALID"
