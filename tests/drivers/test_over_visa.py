"""Drivers of instruments that speak SCPI reach their emulators through VISA resources."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.dg645 import Dg645
from drivers.id120 import Id120
from drivers.pax1000 import Pax1000
from drivers.pm100 import Pm100
from drivers.polatis import Polatis
from drivers.srs_sim900 import Sim900
from qnx_hw.instruments.families import Instrument
from qnx_hw.instruments.values import InstrumentState
from sim_devices.emulators.dg645 import Dg645Emulator
from sim_devices.emulators.emulator import Emulator
from sim_devices.emulators.id120 import Id120Emulator
from sim_devices.emulators.pax1000 import Pax1000Emulator
from sim_devices.emulators.pm100 import Pm100Emulator
from sim_devices.emulators.polatis import PolatisEmulator
from sim_devices.emulators.sim900 import Sim900Emulator

Serve = Callable[..., list[str]]
INSTRUMENTS = [
    (Dg645, Dg645Emulator),
    (Id120, Id120Emulator),
    (Pax1000, Pax1000Emulator),
    (Pm100, Pm100Emulator),
    (Polatis, PolatisEmulator),
    # It asks every empty slot, too.
    pytest.param(Sim900, Sim900Emulator, marks=pytest.mark.slow),
]
TIMEOUT_S = 120.0


def resource(url: str) -> str:
    """Return the VISA resource of a place that `tcp://` or `serial://` names."""
    scheme, _, place = url.partition("://")
    if scheme == "serial":
        return f"visa://ASRL{place}::INSTR"
    host, _, port = place.partition(":")
    return f"visa://TCPIP0::{host}::{port}::SOCKET"


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
@pytest.mark.parametrize(("driver", "emulator"), INSTRUMENTS)
def test_a_driver_works_over_visa(
    serve: Serve,
    driver: Callable[[str], Instrument],
    emulator: Callable[[], Emulator],
    listen: str,
) -> None:
    (url,) = serve(emulator(), listen)
    same_by_visa, directly = driver(resource(url)), driver(url)

    identity = same_by_visa.connect(timeout_s=TIMEOUT_S)
    held = same_by_visa.settings(timeout_s=TIMEOUT_S)
    same_by_visa.close()

    assert same_by_visa.status().state is InstrumentState.DISCONNECTED
    assert identity == directly.connect(timeout_s=TIMEOUT_S)
    assert held.keys() == directly.settings(timeout_s=TIMEOUT_S).keys()
    directly.close()
