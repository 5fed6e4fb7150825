"""Every fault × every blocking call of every driver: an error in time, and the next call works.

The cells wait more than they compute, so all drivers and faults run side by side, each with an
emulator of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from emulated import SETTINGS, Inside, Place, drivers, emulated

from qnx_hw.instruments.conformance import (
    Check,
    Outcome,
    Patience,
    Relay,
    Sabotage,
    Subject,
    run_matrix,
)

PATIENCE = Patience(usual_s=20.0, sabotaged_s=0.1, grace_s=20.0)
N_SIDE_BY_SIDE = 40
# Those whose calls take longest begin first.
SLOWEST_FIRST = ("sim900", "kdc101", "s15spd")
Matrix = dict[tuple[str, Sabotage], Future[tuple[Check, ...]]]


def cells(driver: str, kind: Sabotage) -> tuple[Check, ...]:
    with emulated(driver) as place:
        inside = Inside(place)
        if kind in inside.skills:
            return run_matrix(_subject(driver, place.url, place), inside, (kind,))
        with Relay(place.url) as relay:
            return run_matrix(_subject(driver, relay.url, place), relay, (kind,))


def _subject(driver: str, url: str, place: Place) -> Subject:
    return Subject(url, place.make, consent=True, settings=SETTINGS.get(driver), patience=PATIENCE)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    order = sorted(drivers(), key=lambda driver: driver not in SLOWEST_FIRST)
    with ThreadPoolExecutor(N_SIDE_BY_SIDE) as pool:
        yield {
            (driver, kind): pool.submit(cells, driver, kind)
            for driver in order
            for kind in Sabotage
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", drivers())
def test_a_driver_survives_every_fault(driver: str, matrix: Matrix) -> None:
    checks = [check for kind in Sabotage for check in matrix[driver, kind].result(280.0)]

    failures = [check for check in checks if check.outcome is Outcome.FAIL]
    assert not failures, "\n".join(f"{check.name}: {check.sentence}" for check in failures)
    # Settings, connecting and closing at least, under each of eleven faults.
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 3 * len(Sabotage)
