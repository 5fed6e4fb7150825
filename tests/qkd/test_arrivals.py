"""Arrival times by detector: chance raises no alarm, a detector that is off does."""

from __future__ import annotations

import numpy as np
import pytest

from qnx_hw.errors import Tampering
from qnx_hw.qkd.arrivals import ArrivalTimes

LIMIT_PS = 200.0
SLOT_PS = 2000


def seen(
    delays_ps: tuple[float, ...] = (0.0,) * 4,
    jitters_ps: tuple[float, ...] = (150.0,) * 4,
    clicks: int = 20_000,
) -> ArrivalTimes:
    """Return pairs whose times were rounded to slots, as Alice sees them within the window."""
    random = np.random.default_rng(5)
    detectors = random.integers(0, 4, clicks).astype(np.uint8)
    ours = random.uniform(0, 1e12, clicks)
    theirs = ours + random.normal(np.array(delays_ps)[detectors], np.array(jitters_ps)[detectors])
    found = np.floor(theirs / SLOT_PS) * SLOT_PS + SLOT_PS / 2 - ours
    inside = np.abs(found) <= SLOT_PS / 2
    times = ArrivalTimes()
    seen_by = detectors[inside]
    times.add(seen_by // 2, seen_by % 2, np.rint(found[inside]).astype(np.int64))
    return times


@pytest.mark.parametrize("clicks", [20, 1000, 20_000])
def test_equal_detectors_raise_no_alarm(clicks: int) -> None:
    times = seen(clicks=clicks)

    times.check(LIMIT_PS, "Bob")

    lateness = times.lateness
    assert (lateness is not None) == (clicks >= 1000)
    if lateness is not None:
        within = zip(lateness.late_ps, lateness.sigma_ps, strict=True)
        assert all(abs(late_ps) < 6 * sigma_ps for late_ps, sigma_ps in within)


def test_a_detector_that_is_late_is_named() -> None:
    seen((0.0, 150.0, 0.0, 0.0)).check(LIMIT_PS, "Bob")
    with pytest.raises(Tampering, match=r"Bob's detector V answers \+\d+ ps later"):
        seen((0.0, 800.0, 0.0, 0.0)).check(LIMIT_PS, "Bob")


def test_detectors_that_answer_one_side_each_are_an_alarm() -> None:
    with pytest.raises(Tampering, match="later"):
        seen((600.0, -600.0, 600.0, -600.0)).check(LIMIT_PS, "Bob")


def test_a_detector_whose_clicks_spread_wider_is_named() -> None:
    times = ArrivalTimes()
    random = np.random.default_rng(3)
    for detector, width_ps in enumerate((150.0, 150.0, 150.0, 600.0)):
        clicks = np.rint(random.normal(0.0, width_ps, 5000)).astype(np.int64)
        basis, outcome = (np.full(5000, each, dtype=np.uint8) for each in divmod(detector, 2))
        times.add(basis, outcome, clicks)

    with pytest.raises(Tampering, match=r"Alice's detector A answers \+4\d\d ps wider"):
        times.check(LIMIT_PS, "Alice")


def test_few_clicks_say_nothing() -> None:
    times = seen((0.0, 800.0, 0.0, 0.0), clicks=1000)

    times.check(LIMIT_PS, "Bob")

    assert times.lateness is not None
    assert times.lateness.late_ps[1] > LIMIT_PS  # it shows, and is no proof
