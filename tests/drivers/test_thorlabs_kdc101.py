"""The rotation stages' driver against emulated units."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from drivers.thorlabs_kdc101 import Kdc101
from qnx_hw.errors import (
    Cancelled,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.emulator import Emulator
from sim_devices.emulators.kinesis import K10cr1Emulator, Kdc101Emulator

Serve = Callable[..., list[str]]
LONG_S = 120.0


@pytest.mark.parametrize(
    ("kind", "serial"), [(Kdc101Emulator, "27000001"), (K10cr1Emulator, "55000001")]
)
@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_the_plate_turns_and_finds_its_zero(
    serve: Serve, kind: Callable[[], Emulator], serial: str, listen: str
) -> None:
    (url,) = serve(kind(), listen)

    with Kdc101(url) as plate:
        assert plate.connect().serial == serial
        assert plate.move(1, 4.5, timeout_s=LONG_S) == pytest.approx(4.5, abs=0.01)
        assert plate.move_all([362.0], timeout_s=LONG_S) == pytest.approx((2.0,), abs=0.01)
        assert plate.home(1, timeout_s=LONG_S) == pytest.approx(0.0, abs=0.01)
        assert plate.positions() == pytest.approx((0.0,), abs=0.01)


def test_the_sheets_move_is_sent_to_the_byte(serve: Serve) -> None:
    (url,) = serve(Kdc101Emulator())
    sent: list[bytes] = []
    cancel = threading.Event()
    cancel.set()

    with Kdc101(url, recorder=lambda way, payload: sent.append(payload)) as plate:
        with pytest.raises(Cancelled):
            plate.move(1, 45.0, cancel=cancel)

        assert plate.positions()[0] < 44.0
    assert any(bytes.fromhex("53 04 06 00 D0 01 01 00 70 51 01 00") in part for part in sent)


def test_the_speed_is_read_back(serve: Serve) -> None:
    (url,) = serve(K10cr1Emulator())

    with Kdc101(url) as plate:
        held = plate.configure({"speed_deg_per_s": 4.0})

        assert held["speed_deg_per_s"] == pytest.approx(4.0)
        assert plate.settings() == held


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(K10cr1Emulator())

    with Kdc101(url) as plate:
        sent = plate.status().counters["requests"]
        with pytest.raises(RangeError):
            plate.move(1, float("nan"))
        with pytest.raises(RangeError):
            plate.home(2)
        with pytest.raises(RangeError):
            plate.move_all([1.0, 2.0])
        with pytest.raises(RangeError):
            plate.configure({"speed_deg_per_s": 11.0})
        with pytest.raises(Unsupported):
            plate.configure({"colour": 5})
        assert plate.status().counters["requests"] == sent
