"""How soon an instrument is ready again once its wire is back, for every driver with an emulator.

A relay cuts the wire of a connected driver, waits until its supervisor has noticed, and lets it
come back. The time runs from then until the supervisor reports READY; what the instrument holds
must be what it held. Of the frameworks in the comparison of drivers none comes back at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from drivers_emulated import drivers, emulated

from qnx_hw.commands.bench import Result
from qnx_hw.instruments import registry
from qnx_hw.instruments.conformance import Maker, Patience, Relay, Subject, ready_after_s
from qnx_hw.instruments.families import Instrument
from qnx_hw.transports import Recorder

GOAL_S = 1.0
PATIENCE = Patience(usual_s=20.0)


def drop() -> Iterator[Result]:
    """Measure one driver after the other."""
    for driver in drivers():
        make: Maker = partial(_make, driver)
        with emulated(driver) as url, Relay(url) as relay:
            took_s = ready_after_s(Subject(relay.url, make, patience=PATIENCE), relay)
        yield Result(
            name=f"{driver}: ready after its wire is back",
            value=took_s,
            unit="s",
            goal=GOAL_S,
            met=took_s < GOAL_S,
        )


def _make(driver: str, url: str, recorder: Recorder | None) -> Instrument:
    return registry.make(driver, url, driver, recorder=recorder)
