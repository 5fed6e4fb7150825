"""What each family must refuse, and what it must let go of when asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

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


def long_call(instrument: Instrument) -> tuple[str, Callable[[Event], object], bool] | None:
    """Return a call that takes long and can be cancelled, and whether it changes something."""
    match instrument.family:
        case Family.TIME_TAGGER:
            tagger: Any = instrument
            return (
                "count_rates",
                lambda cancel: tagger.count_rates(LONG_COUNT_S, cancel=cancel),
                False,
            )
        case Family.POLARIZATION_CONTROLLER:
            controller: Any = instrument
            axis = controller.capabilities.axes[0]
            half = (axis.low + axis.high) / 2
            return "move", lambda cancel: controller.move(1, half, cancel=cancel), True
        case Family.BIAS_SOURCE:
            source: Any = instrument
            first = source.channels[0]
            return "ramp_to_v", lambda cancel: source.ramp_to_v(first, 1.0, cancel=cancel), True
        case Family.ATTENUATOR:
            attenuator: Any = instrument
            return (
                "set_attenuation_db",
                lambda cancel: attenuator.set_attenuation_db(30.0, cancel=cancel),
                True,
            )
        case Family.PHOTON_DETECTOR:
            detector: Any = instrument
            rates = [100.0] * detector.capabilities.n_channels
            return "auto_bias", lambda cancel: detector.auto_bias(rates, cancel=cancel), True
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
