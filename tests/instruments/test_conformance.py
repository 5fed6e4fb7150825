"""Every installed driver keeps the promises of its family, on its emulator."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from emulated import SETTINGS, drivers, emulated

from qnx_hw.instruments.conformance import Check, Outcome, Patience, Subject, run

PATIENCE = Patience(usual_s=20.0, sabotaged_s=0.2, grace_s=20.0)
N_SIDE_BY_SIDE = 9
Runs = dict[str, Future[tuple[Check, ...]]]


def checked(driver: str) -> tuple[Check, ...]:
    with emulated(driver) as place:
        settings = SETTINGS.get(driver)
        subject = Subject(place.url, place.make, consent=True, settings=settings, patience=PATIENCE)
        return run(subject)[1]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Run the suites side by side: they wait more than they compute."""
    with ThreadPoolExecutor(N_SIDE_BY_SIDE) as pool:
        yield {driver: pool.submit(checked, driver) for driver in drivers()}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("driver", drivers())
def test_a_driver_conforms(driver: str, runs: Runs) -> None:
    checks = runs[driver].result(100.0)

    failures = [check for check in checks if check.outcome is Outcome.FAIL]
    assert not failures, "\n".join(f"{check.name}: {check.sentence}" for check in failures)
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 10
