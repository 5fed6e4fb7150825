"""The live numbers of an instrument, whatever its family."""

from __future__ import annotations

from typing import cast

from qnx_hw.api.schema import Reading
from qnx_hw.instruments.families import (
    Instrument,
    PhotonDetector,
    PolarizationController,
)
from qnx_hw.instruments.values import Family


def readings(instrument: Instrument) -> tuple[Reading, ...]:
    """Ask an instrument for its live numbers; nothing where its family has none."""
    # The family says which interface the instrument has; protocols do not narrow.
    if instrument.family is Family.PHOTON_DETECTOR:
        return counts(cast("PhotonDetector", instrument).count_rates())
    if instrument.family is Family.POLARIZATION_CONTROLLER:
        controller = cast("PolarizationController", instrument)
        return tuple(
            Reading(name=f"axis {number}", value=value, unit=axis.unit)
            for number, (axis, value) in enumerate(
                zip(controller.capabilities.axes, controller.positions(), strict=True), start=1
            )
        )
    return ()


def counts(rates_cps: tuple[float, ...]) -> tuple[Reading, ...]:
    """Return the rates of numbered inputs."""
    return tuple(
        Reading(name=f"input {number}", value=rate, unit="1/s")
        for number, rate in enumerate(rates_cps, start=1)
    )
