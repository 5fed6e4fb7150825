"""The paddle controller's driver against an emulated unit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from drivers.thorlabs_mpc320 import Mpc320
from qnx_hw.errors import (
    Cancelled,
    InstrumentRefused,
    InstrumentTimeout,
    RangeError,
    Unsupported,
)
from qnx_hw.transports import Direction
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.mpc320 import Mpc320Emulator

Serve = Callable[..., list[str]]
LONG_S = 120.0
STEP_DEG = 170 / 1370
ALIVE = b"\x92\x04"


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_paddles_go_home_and_where_they_are_sent(serve: Serve, listen: str) -> None:
    (url,) = serve(Mpc320Emulator(), listen)

    with Mpc320(url) as paddles:
        assert paddles.connect().serial == "38000001"
        for axis in (1, 2, 3):
            assert paddles.home(axis, timeout_s=LONG_S) == pytest.approx(0.0, abs=2 * STEP_DEG)
        stand = paddles.move_all([10.0, 85.0, 160.0], timeout_s=LONG_S)
        assert stand == pytest.approx((10.0, 85.0, 160.0), abs=3 * STEP_DEG)
        assert paddles.move(2, 5.0, timeout_s=LONG_S) == pytest.approx(5.0, abs=3 * STEP_DEG)
        assert paddles.positions() == pytest.approx((10.0, 5.0, 160.0), abs=3 * STEP_DEG)


def test_settings_are_read_back(serve: Serve) -> None:
    (url,) = serve(Mpc320Emulator())

    with Mpc320(url) as paddles:
        held = paddles.configure({"speed_percent": 40, "jog_2_deg": 5.0})

        assert held["speed_percent"] == 40
        assert held["jog_2_deg"] == pytest.approx(5.0, abs=STEP_DEG)
        assert paddles.settings() == held


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Mpc320Emulator())

    with Mpc320(url) as paddles:
        sent = paddles.status().counters["requests"]
        with pytest.raises(RangeError, match="181"):
            paddles.move(2, 181.0)
        with pytest.raises(RangeError):
            paddles.move(4, 10.0)
        with pytest.raises(RangeError):
            paddles.move_all([1.0, 2.0])
        with pytest.raises(RangeError):
            paddles.configure({"speed_percent": 5})
        with pytest.raises(Unsupported):
            paddles.configure({"colour": 5})
        assert paddles.status().counters["requests"] == sent


def test_no_request_follows_a_reply_within_ten_milliseconds(serve: Serve) -> None:
    (url,) = serve(Mpc320Emulator())
    said: list[tuple[Direction, bytes, float]] = []

    def record(direction: Direction, payload: bytes) -> None:
        said.append((direction, payload, time.monotonic()))

    with Mpc320(url, recorder=record) as paddles, ThreadPoolExecutor(2) as pool:
        began = len(said)
        list(pool.map(lambda _: paddles.positions(), range(4)))
        asked = [each for each in said[began:] if each[1][:2] != ALIVE]

    gaps_s = [
        later_s - sooner_s
        for (before, _, sooner_s), (after, _, later_s) in pairwise(asked)
        if (before, after) == (Direction.RECEIVED, Direction.SENT)
    ]
    assert len(gaps_s) == 11
    assert min(gaps_s) >= 0.01


def test_a_move_can_be_cancelled(serve: Serve) -> None:
    (url,) = serve(Mpc320Emulator())
    cancel = threading.Event()
    cancel.set()

    with Mpc320(url) as paddles:
        paddles.configure({"speed_percent": 10})
        with pytest.raises(Cancelled):
            paddles.move(1, 170.0, timeout_s=LONG_S, cancel=cancel)

        assert paddles.positions()[0] < 165.0


def test_a_stop_ends_a_move_of_another_thread(serve: Serve) -> None:
    (url,) = serve(Mpc320Emulator())

    with Mpc320(url) as paddles, ThreadPoolExecutor(1) as pool:
        paddles.configure({"speed_percent": 10})
        moving = pool.submit(paddles.move, 1, 170.0, timeout_s=LONG_S)
        while paddles.positions()[0] < 1.0:
            assert not moving.done()
        paddles.stop()

        with pytest.raises(Cancelled):
            moving.result(LONG_S)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.LOST_COMPLETED, 0.0),
        Fault(FaultKind.SPLIT, 0.0, 100.0),
        Fault(FaultKind.MERGE, 0.0, 100.0),
    ],
)
def test_a_disturbed_wire_does_not_disturb_a_move(serve: Serve, fault: Fault) -> None:
    faults = Faults([fault])
    (url,) = serve(Mpc320Emulator(options={"faults": faults}), faults=faults)

    with Mpc320(url) as paddles:
        stands = paddles.move(3, 30.0, timeout_s=LONG_S)

    assert stands == pytest.approx(30.0, abs=3 * STEP_DEG)


def test_garbage_costs_at_most_one_request(serve: Serve) -> None:
    faults = Faults()
    (url,) = serve(Mpc320Emulator(), faults=faults)

    with Mpc320(url) as paddles:
        faults.add(Fault(FaultKind.GARBAGE, 0.0))
        try:
            paddles.positions(timeout_s=1.0)
        except InstrumentTimeout:
            assert paddles.status().counters["timeouts"] == 1

        assert len(paddles.positions(timeout_s=LONG_S)) == 3


def test_the_units_own_error_reaches_the_caller(serve: Serve) -> None:
    faults = Faults()
    (url,) = serve(Mpc320Emulator(options={"faults": faults}), faults=faults)

    with Mpc320(url) as paddles, ThreadPoolExecutor(1) as pool:
        paddles.configure({"speed_percent": 10})
        moving = pool.submit(paddles.move, 1, 170.0, timeout_s=LONG_S)
        while paddles.positions()[0] < 1.0:
            assert not moving.done()
        faults.add(Fault(FaultKind.DEVICE_ERROR, 0.0))

        with pytest.raises(InstrumentRefused):
            moving.result(LONG_S)
