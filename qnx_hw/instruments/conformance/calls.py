"""The blocking calls that any instrument of a family can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qnx_hw.instruments.conformance.call import Call, Setting, alike, identity_flaw
from qnx_hw.instruments.conformance.fibre_calls import (
    attenuator_calls,
    polarimeter_calls,
    power_meter_calls,
    switch_calls,
)
from qnx_hw.instruments.conformance.motion_calls import polarization_calls
from qnx_hw.instruments.conformance.photon_calls import detector_calls, tagger_calls
from qnx_hw.instruments.conformance.signal_calls import bias_calls, delay_calls, transmitter_calls
from qnx_hw.instruments.families import Instrument
from qnx_hw.instruments.values import Family


def calls_of(instrument: Instrument) -> tuple[Call, ...]:
    """Return every blocking call of a connected instrument."""
    family = _FAMILIES.get(instrument.family)
    return (*(family(instrument) if family else ()), *_every(instrument))


def reading(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls that change nothing and leave the wire alone."""
    return tuple(call for call in calls if not call.changes and call.name != "connect")


def _every(instrument: Instrument) -> tuple[Call, ...]:
    held: dict[str, Setting] = {}

    def settings(turn: int, timeout_s: float) -> Mapping[str, Setting]:
        answer = instrument.settings(timeout_s=timeout_s)
        if turn == 0:
            held.clear()
            held.update(answer)
        return answer

    def configure(turn: int, timeout_s: float) -> Mapping[str, Setting]:
        if turn == 0:
            settings(turn, timeout_s)
        return instrument.configure(held, timeout_s=timeout_s)

    def flaw(turn: int, answer: object) -> str:
        assert isinstance(answer, Mapping)
        return "" if alike(answer, held) else f"the settings are {dict(answer)}, not {held}"

    return (
        Call("settings", settings, flaw),
        Call("configure", configure, flaw, True),
        Call("connect", lambda turn, s: instrument.connect(timeout_s=s), identity_flaw),
    )


# Any: which interface a factory takes is what its family says.
_FAMILIES: Mapping[Family, Callable[[Any], tuple[Call, ...]]] = {
    Family.TIME_TAGGER: tagger_calls,
    Family.PHOTON_DETECTOR: detector_calls,
    Family.POLARIZATION_CONTROLLER: polarization_calls,
    Family.OPTICAL_SWITCH: switch_calls,
    Family.ATTENUATOR: attenuator_calls,
    Family.POWER_METER: power_meter_calls,
    Family.BIAS_SOURCE: bias_calls,
    Family.DELAY_GENERATOR: delay_calls,
    Family.POLARIMETER: polarimeter_calls,
    Family.TRANSMITTER: transmitter_calls,
}
