"""Every installed driver keeps the promises of its family, on its emulator."""

from __future__ import annotations

import pytest
from emulated import SETTINGS, drivers, emulated

from qnx_hw.instruments.conformance import Outcome, Patience, Subject, run

PATIENCE = Patience(usual_s=20.0, sabotaged_s=0.2, grace_s=20.0)


@pytest.mark.slow
@pytest.mark.parametrize("driver", drivers())
def test_a_driver_conforms(driver: str) -> None:
    with emulated(driver) as place:
        subject = Subject(
            place.url, place.make, consent=True, settings=SETTINGS.get(driver), patience=PATIENCE
        )
        identity, checks = run(subject)

    assert identity is not None
    failures = [check for check in checks if check.outcome is Outcome.FAIL]
    assert not failures, "\n".join(f"{check.name}: {check.sentence}" for check in failures)
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 10
