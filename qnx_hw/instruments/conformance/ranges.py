"""What each family must refuse, and what it must let go of when asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Protocol

from qnx_hw.instruments.families import (
    Attenuator,
    BiasSource,
    DelayGenerator,
    Instrument,
    OpticalSwitch,
    PhotonDetector,
    PolarizationController,
    TimeTagger,
)
from qnx_hw.instruments.values import Edge, Family

Refusals = tuple[tuple[str, Callable[[], object]], ...]
LONG_COUNT_S = 10.0


def out_of_range(instrument: Instrument) -> Refusals:
    """Return calls with values outside the capabilities; each must raise `RangeError`."""
    refusals = _REFUSALS.get(instrument.family)
    return refusals(instrument) if refusals else ()


class LongAct(Protocol):
    """Makes a call that takes long."""

    def __call__(
        self, *, cancel: Event | None = None, timeout_s: float | None = None
    ) -> object: ...


@dataclass(frozen=True, slots=True)
class LongCall:
    """A call that takes long, can be cancelled, and ends where its time does."""

    name: str
    act: LongAct
    changes: bool
    """Whether it moves, switches or sets something."""


def long_call(instrument: Instrument) -> LongCall | None:
    """Return a call of the instrument's family that takes long, if there is one."""
    held: Any = instrument  # Any: which interface it has is what its family says
    match instrument.family:
        case Family.TIME_TAGGER:
            return LongCall("count_rates", partial(held.count_rates, LONG_COUNT_S), False)
        case Family.POLARIZATION_CONTROLLER:
            axis = held.capabilities.axes[0]
            return LongCall("move", partial(held.move, 1, (axis.low + axis.high) / 2), True)
        case Family.BIAS_SOURCE:
            return LongCall("ramp_to_v", partial(held.ramp_to_v, held.channels[0], 1.0), True)
        case Family.ATTENUATOR:
            return LongCall("set_attenuation_db", partial(held.set_attenuation_db, 30.0), True)
        case Family.PHOTON_DETECTOR:
            rates = [100.0] * held.capabilities.n_channels
            return LongCall("auto_bias", partial(held.auto_bias, rates), True)
        case _:
            return None


def _tagger(tagger: TimeTagger) -> Refusals:
    high_v = tagger.capabilities.threshold_range_v[1]
    return (
        ("count_rates for -1 s", lambda: tagger.count_rates(-1.0)),
        (
            "a threshold beyond the range",
            lambda: tagger.set_threshold_v(1, high_v + 100.0, Edge.RISING),
        ),
        ("a threshold of channel 0", lambda: tagger.set_threshold_v(0, 0.0, Edge.RISING)),
    )


def _detector(detector: PhotonDetector) -> Refusals:
    high = detector.capabilities.bias_range[1]
    return (
        ("a bias beyond the range", lambda: detector.set_bias(1, high + 1e3)),
        ("a bias of channel 0", lambda: detector.set_bias(0, 0.0)),
        ("a threshold of 1 kV", lambda: detector.set_threshold_v(1, 1e3)),
    )


def _polarization(controller: PolarizationController) -> Refusals:
    axis = controller.capabilities.axes[0]
    beyond = math.nan if axis.periodic else axis.high * 2 + 1
    return (
        ("a place beyond the range", lambda: controller.move(1, beyond)),
        ("a place that is no number", lambda: controller.move(1, math.nan)),
        ("axis 0", lambda: controller.move(0, axis.low)),
        ("an axis too many", lambda: controller.move_all([axis.low] * 99)),
    )


def _switch(switch: OpticalSwitch) -> Refusals:
    return (
        ("output 9999", lambda: switch.apply({1: 9999})),
        ("input 0", lambda: switch.apply({0: 1})),
    )


def _attenuator(attenuator: Attenuator) -> Refusals:
    return (
        ("1 GdB", lambda: attenuator.set_attenuation_db(1e9)),
        ("no number of dB", lambda: attenuator.set_attenuation_db(math.nan)),
    )


def _bias_source(source: BiasSource) -> Refusals:
    first = source.channels[0]
    return (
        ("1 kV", lambda: source.ramp_to_v(first, 1e3)),
        ("no slope", lambda: source.ramp_to_v(first, 0.0, slope_v_per_s=0.0)),
        ("channel 0", lambda: source.ramp_to_v(0, 0.0)),
    )


def _delays(generator: DelayGenerator) -> Refusals:
    return (
        ("a negative delay", lambda: generator.set_delay_ps("A", -1)),
        ("edge '?'", lambda: generator.set_delay_ps("?", 0)),
    )


# Any: which interface a factory takes is what its family says.
_REFUSALS: Mapping[Family, Callable[[Any], Refusals]] = {
    Family.TIME_TAGGER: _tagger,
    Family.PHOTON_DETECTOR: _detector,
    Family.POLARIZATION_CONTROLLER: _polarization,
    Family.OPTICAL_SWITCH: _switch,
    Family.ATTENUATOR: _attenuator,
    Family.BIAS_SOURCE: _bias_source,
    Family.DELAY_GENERATOR: _delays,
}
