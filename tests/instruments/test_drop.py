"""Every driver comes back by itself after its wire was lost, and moves nothing by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from emulated import SETTINGS, drivers, emulated

from drivers.thorlabs_apt import Id
from qnx_hw.errors import NotConnected
from qnx_hw.instruments import registry
from qnx_hw.instruments.conformance import (
    Check,
    Outcome,
    Patience,
    Relay,
    Sabotage,
    Subject,
    run_drop,
)
from qnx_hw.instruments.supervisor import Supervisor
from qnx_hw.transports import Direction

# The promise is one second; a loaded machine may take its time, a lost instrument must not.
PATIENCE = Patience(usual_s=20.0, back_s=20.0)
LONG_S = 120.0
N_SIDE_BY_SIDE = 6
Drops = dict[str, Future[tuple[Check, ...]]]


def dropped(driver: str) -> tuple[Check, ...]:
    with emulated(driver) as place, Relay(place.url) as relay:
        settings = SETTINGS.get(driver)
        subject = Subject(relay.url, place.make, consent=True, settings=settings, patience=PATIENCE)
        return run_drop(subject, relay)


@pytest.fixture(scope="module")
def drops() -> Iterator[Drops]:
    with ThreadPoolExecutor(N_SIDE_BY_SIDE) as pool:
        yield {driver: pool.submit(dropped, driver) for driver in drivers()}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("driver", drivers())
def test_a_lost_instrument_comes_back(driver: str, drops: Drops) -> None:
    drop, stream = drops[driver].result(100.0)

    assert drop.outcome is Outcome.PASS, drop.sentence
    assert stream.outcome is not Outcome.FAIL, stream.sentence


def test_a_motion_is_not_repeated_after_a_loss() -> None:
    sent: list[bytes] = []
    moving = threading.Event()

    def record(direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT:
            sent.append(payload)
            if Id.MOT_MOVE_ABSOLUTE.to_bytes(2, "little") in payload:
                moving.set()

    with emulated("mpc320") as place, Relay(place.url) as relay:
        controller = registry.make("mpc320", relay.url, "paddles", recorder=record)
        with Supervisor(controller, name="paddles") as supervisor, ThreadPoolExecutor(1) as pool:
            supervisor.wait_ready(LONG_S)
            move = pool.submit(supervisor.call, lambda held: held.move(1, 160.0))
            assert moving.wait(LONG_S)
            relay.strike(Sabotage.UNPLUG)
            with pytest.raises(NotConnected):
                move.result(LONG_S)
            supervisor.wait_lost(LONG_S)
            sent.clear()
            relay.heal()
            supervisor.wait_ready(LONG_S)
            supervisor.call(lambda held: held.settings())

    assert sent
    assert not any(Id.MOT_MOVE_ABSOLUTE.to_bytes(2, "little") in payload for payload in sent)
