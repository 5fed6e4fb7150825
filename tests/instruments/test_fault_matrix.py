"""Every fault × every blocking call of every driver: an error in time, and the next call works.

The cells wait more than they compute, so all drivers and faults run side by side, each with an
emulator of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from emulated import DEVICE_FAULTS, SETTINGS, Inside, Place, drivers, emulated

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
# pyvisa-py waits by select, which knows no more than 1024 open files.
N_VISA_SIDE_BY_SIDE = 10
# Those whose calls take longest begin first.
SLOWEST_FIRST = ("sim900", "kdc101", "s15spd")
# Instruments whose sheet names VISA; their wire is broken as a VISA resource, too.
BY_VISA = ("dg645", "id120", "pax1000", "pm100", "polatis", "sim900")
# Without it a mainframe is asked slot by slot, and empty ones say nothing for a second.
VISA_OPTIONS = {"sim900": "slots=1"}
WIRE_KINDS = tuple(kind for kind in Sabotage if kind not in DEVICE_FAULTS)
Matrix = dict[tuple[str, Sabotage], Future[tuple[Check, ...]]]


def cells(driver: str, kind: Sabotage) -> tuple[Check, ...]:
    with emulated(driver) as place:
        inside = Inside(place)
        if kind in inside.skills:
            return run_matrix(_subject(driver, place.url, place), inside, (kind,))
        with Relay(place.url) as relay:
            return run_matrix(_subject(driver, relay.url, place), relay, (kind,))


def cells_by_visa(driver: str, kind: Sabotage) -> tuple[Check, ...]:
    with emulated(driver) as place:
        where, _, options = place.url.removeprefix("tcp://").partition("?")
        host, _, port = where.partition(":")
        words = VISA_OPTIONS.get(driver, options)
        with Relay(f"visa://TCPIP0::{host}::{port}::SOCKET?{words}".rstrip("?")) as relay:
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


@pytest.fixture(scope="module")
def visa_matrix() -> Iterator[Matrix]:
    with ThreadPoolExecutor(N_VISA_SIDE_BY_SIDE) as pool:
        yield {
            (driver, kind): pool.submit(cells_by_visa, driver, kind)
            for driver in BY_VISA
            for kind in WIRE_KINDS
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", drivers())
def test_a_driver_survives_every_fault(driver: str, matrix: Matrix) -> None:
    _check([check for kind in Sabotage for check in matrix[driver, kind].result(280.0)], Sabotage)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", BY_VISA)
def test_a_driver_survives_every_fault_of_a_visa_resource(driver: str, visa_matrix: Matrix) -> None:
    runs = [visa_matrix[driver, kind] for kind in WIRE_KINDS]
    _check([check for run in runs for check in run.result(280.0)], WIRE_KINDS)


def _check(checks: list[Check], kinds: Collection[Sabotage]) -> None:
    failures = [check for check in checks if check.outcome is Outcome.FAIL]
    assert not failures, "\n".join(f"{check.name}: {check.sentence}" for check in failures)
    # Settings, connecting and closing at least, under each fault.
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 3 * len(kinds)
