"""A device that says nothing is given up in time, and a driver that lost it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from answering import TcpDevice

from drivers.agiltron import Agiltron
from drivers.cc1 import Cc1
from drivers.dd100 import Dd100
from drivers.dg645 import Dg645
from drivers.fpga_tagger import FpgaTagger
from drivers.id120 import Id120
from drivers.osw import Osw
from drivers.oz_epc400 import Epc400
from drivers.pax1000 import Pax1000
from drivers.pm100 import Pm100
from drivers.polatis import Polatis
from drivers.sfifteen_spd import SFifteenSpd
from drivers.srs_sim900 import Sim900
from drivers.thorlabs_ell14 import Ell14
from drivers.thorlabs_kdc101 import Kdc101
from drivers.thorlabs_lcc25 import Lcc25
from drivers.thorlabs_mpc320 import Mpc320
from qnx_hw.errors import InstrumentTimeout, NotConnected
from qnx_hw.instruments.families import Instrument
from qnx_hw.instruments.values import InstrumentState

# Any: each driver is asked for what its own family has.
DRIVERS: list[tuple[Callable[[str], Instrument], Callable[[Any], object]]] = [
    (Agiltron, lambda driver: driver.apply({1: 1})),
    (Cc1, lambda driver: driver.count_rates(0.1)),
    (Dd100, lambda driver: driver.set_attenuation_db(10.0)),
    (Dg645, lambda driver: driver.set_delay_ps("A", 5)),
    (FpgaTagger, lambda driver: driver.start_stream()),
    (Id120, lambda driver: driver.count_rates()),
    (Osw, lambda driver: driver.apply({1: 1})),
    (Epc400, lambda driver: driver.positions()),
    (Pax1000, lambda driver: driver.stokes()),
    (Pm100, lambda driver: driver.power_w()),
    (Polatis, lambda driver: driver.apply({1: 1})),
    (SFifteenSpd, lambda driver: driver.count_rates()),
    (Sim900, lambda driver: driver.stop()),
    (Ell14, lambda driver: driver.move(1, 3.0)),
    (Kdc101, lambda driver: driver.positions()),
    (Lcc25, lambda driver: driver.positions()),
    (Mpc320, lambda driver: driver.positions()),
]


@pytest.mark.parametrize(("make", "use"), DRIVERS)
def test_a_silent_device_times_out_and_a_lost_one_says_so(
    make: Callable[[str], Instrument], use: Callable[[Any], object]
) -> None:
    with TcpDevice(lambda _: b"") as device:
        driver = make(f"tcp://127.0.0.1:{device.port}")
        with pytest.raises(InstrumentTimeout):
            driver.connect(timeout_s=0.2)

    with pytest.raises(NotConnected):
        use(driver)
    assert driver.status().state is InstrumentState.DISCONNECTED
