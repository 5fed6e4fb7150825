"""The Elliptec bus' driver against emulated units."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from drivers.thorlabs_ell14 import Ell14
from qnx_hw.errors import (
    Cancelled,
    ConfigError,
    InstrumentRefused,
    InstrumentTimeout,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.elliptec import EllBusEmulator
from sim_devices.emulators.faults import Fault, FaultKind, Faults

Serve = Callable[..., list[str]]
LONG_S = 120.0
STEP_DEG = 360 / 143_360


def bus(serve: Serve, listen: str = "tcp://127.0.0.1:0") -> str:
    (url,) = serve(EllBusEmulator(), listen)
    return f"{url}?addresses=03A"


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_plates_turn_together_and_alone(serve: Serve, listen: str) -> None:
    with Ell14(bus(serve, listen)) as plates:
        assert plates.connect().model == "ELL14,ELL14,ELL14"
        stand = plates.move_all([45.0, -22.5, 370.0], timeout_s=LONG_S)
        assert stand == pytest.approx((45.0, 337.5, 10.0), abs=STEP_DEG)
        assert plates.move(2, 12.0, timeout_s=LONG_S) == pytest.approx(12.0, abs=STEP_DEG)
        assert plates.home(1, timeout_s=LONG_S) == 0.0
        assert plates.positions() == pytest.approx((0.0, 12.0, 10.0), abs=STEP_DEG)


def test_settings_are_read_back(serve: Serve) -> None:
    with Ell14(bus(serve)) as plates:
        held = plates.configure({"speed_2_percent": 50})

        assert held == {"speed_1_percent": 100, "speed_2_percent": 50, "speed_3_percent": 100}
        assert plates.capabilities.axes[2].resolution == pytest.approx(STEP_DEG)


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    with Ell14(bus(serve)) as plates:
        sent = plates.status().counters["requests"]
        for refused in (float("nan"), float("inf")):
            with pytest.raises(RangeError):
                plates.move(1, refused)
        with pytest.raises(RangeError):
            plates.move(4, 1.0)
        with pytest.raises(RangeError):
            plates.move_all([1.0])
        with pytest.raises(RangeError):
            plates.configure({"speed_1_percent": 50, "speed_2_percent": 5})
        with pytest.raises(Unsupported):
            plates.configure({"colour": 5})
        assert plates.status().counters["requests"] == sent


@pytest.mark.parametrize("addresses", ["G", "00", "0,1"])
def test_addresses_that_cannot_be_are_refused(addresses: str) -> None:
    with pytest.raises(ConfigError):
        Ell14(f"tcp://127.0.0.1:1?addresses={addresses}")


def test_an_absent_unit_is_named(serve: Serve) -> None:
    (url,) = serve(EllBusEmulator())

    with pytest.raises(InstrumentTimeout, match="5in"):
        Ell14(f"{url}?addresses=05").connect(timeout_s=0.2)


def test_a_move_can_be_given_up_and_the_next_one_arrives(serve: Serve) -> None:
    cancel = threading.Event()
    cancel.set()

    with Ell14(bus(serve)) as plates:
        plates.configure({"speed_1_percent": 25})
        with pytest.raises(Cancelled):
            plates.move(1, 170.0, timeout_s=LONG_S, cancel=cancel)

        assert plates.move(1, 20.0, timeout_s=LONG_S) == pytest.approx(20.0, abs=STEP_DEG)


def test_the_units_own_error_reaches_the_caller(serve: Serve) -> None:
    faults = Faults([Fault(FaultKind.DEVICE_ERROR, 0.0)])
    (url,) = serve(EllBusEmulator(options={"faults": faults}), faults=faults)

    with Ell14(url) as plates:
        with pytest.raises(InstrumentRefused, match="mechanical timeout"):
            plates.move(1, 90.0, timeout_s=LONG_S)

        assert "mechanical timeout" in plates.status().error
        assert plates.move(1, 30.0, timeout_s=LONG_S) == pytest.approx(30.0, abs=STEP_DEG)


def test_replies_that_come_together_do_not_disturb_a_move(serve: Serve) -> None:
    faults = Faults([Fault(FaultKind.MERGE, 0.0, 100.0)])
    (url,) = serve(EllBusEmulator(), faults=faults)

    with Ell14(f"{url}?addresses=03") as plates:
        stand = plates.move_all([30.0, 60.0], timeout_s=LONG_S)

    assert stand == pytest.approx((30.0, 60.0), abs=STEP_DEG)
