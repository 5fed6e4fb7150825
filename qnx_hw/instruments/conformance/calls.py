"""The blocking calls of each family, as any instrument of it can be asked for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qnx_hw.instruments.families import (
    Attenuator,
    BiasSource,
    DelayGenerator,
    Instrument,
    OpticalSwitch,
    PhotonDetector,
    Polarimeter,
    PolarizationController,
    PowerMeter,
    TimeTagger,
    Transmitter,
)
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import AxisRange, Edge, Family, Identity, Reference

Setting = float | int | str | bool
# Each turn of a call asks for another value, so that an old answer is a wrong one; turn 0 also
# learns what the following turns must find unchanged.
N_TURNS = 3
COUNT_S = 0.02
BLOCK_S = 0.02
SLOPE_V_PER_S = 1.0
RATE_LIMIT_CPS = 1e9


@dataclass(frozen=True, slots=True)
class Call:
    """One blocking call of an instrument."""

    name: str
    act: Callable[[int, float], object]
    """Make the call for a turn (0, 1, 2, ...) with a deadline in seconds."""
    flaw: Callable[[int, object], str]
    """Say what is wrong with the answer of a turn; empty where it is right."""
    changes: bool = False
    """Whether it moves, switches or sets something."""
    own_deadline_s: float = 0.0
    """How long a call without `timeout_s` may take by itself."""


def calls_of(instrument: Instrument) -> tuple[Call, ...]:
    """Return every blocking call of a connected instrument."""
    family = _FAMILIES.get(instrument.family)
    return (*(family(instrument) if family else ()), *_every(instrument))


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
        Call("connect", lambda turn, s: instrument.connect(timeout_s=s), _identity_flaw),
    )


def alike(one: Mapping[str, Setting], other: Mapping[str, Setting]) -> bool:
    """Whether two readings of settings agree; a number may move by the step it comes in."""
    return one.keys() == other.keys() and all(_near(one[key], other[key]) for key in one)


def _near(one: Setting, other: Setting) -> bool:
    if isinstance(one, str | bool) or isinstance(other, str | bool):
        return one == other
    return math.isclose(one, other, rel_tol=5e-3, abs_tol=1e-9)


def _identity_flaw(turn: int, answer: object) -> str:
    assert isinstance(answer, Identity)
    return "" if answer.maker and answer.model else f"{answer} names no maker and model"


def _tagger(tagger: TimeTagger) -> tuple[Call, ...]:
    n = tagger.capabilities.n_channels
    low_v, high_v = tagger.capabilities.threshold_range_v

    def threshold_v(turn: int) -> float:
        return round(low_v + (high_v - low_v) * (0.4 + 0.1 * (turn % N_TURNS)), 1)

    def stream(turn: int, timeout_s: float) -> list[TagBlock]:
        with tagger.start_stream(block_s=BLOCK_S) as opened:
            return [opened.read(timeout_s=timeout_s) for _ in range(3)]

    streams = (
        ()
        if tagger.capabilities.counts_only
        else (Call("stream", stream, stream_flaw, own_deadline_s=5.0),)
    )
    return (
        Call(
            "count_rates",
            lambda turn, s: tagger.count_rates(COUNT_S),
            lambda turn, rates: _rates_flaw(rates, n),
            own_deadline_s=5.0,
        ),
        Call(
            "set_threshold_v",
            lambda turn, s: tagger.set_threshold_v(1, threshold_v(turn), Edge.RISING, timeout_s=s),
            lambda turn, held: _number_flaw(held, threshold_v(turn), 0.05),
            True,
        ),
        Call(
            "set_reference",
            lambda turn, s: tagger.set_reference(Reference.INTERNAL, timeout_s=s),
            lambda turn, held: "" if held is Reference.INTERNAL else f"the clock is {held}",
            True,
        ),
        *streams,
    )


def stream_flaw(turn: int, blocks: object) -> str:
    """Say what is wrong with consecutive blocks of a stream."""
    assert isinstance(blocks, list)
    if any(a.end_ps != b.start_ps for a, b in pairwise(blocks)):
        return "blocks do not join"
    for block in blocks:
        times = block.times_ps
        if len(times) and (times[0] < block.start_ps or times[-1] >= block.end_ps):
            return "a block holds tags from outside"
        if (times[1:] < times[:-1]).any():
            return "tags are not sorted"
    return ""


def _detector(detector: PhotonDetector) -> tuple[Call, ...]:
    limits = detector.capabilities
    calls = [
        Call(
            "count_rates",
            lambda turn, s: detector.count_rates(timeout_s=s),
            lambda turn, rates: _rates_flaw(rates, limits.n_channels),
        ),
        Call(
            "enable",
            lambda turn, s: detector.enable(False, timeout_s=s),
            lambda turn, held: "" if held is False else "the detectors are on",
            True,
        ),
    ]
    if limits.threshold_range_v is not None:
        low_v, high_v = limits.threshold_range_v
        calls.append(
            Call(
                "set_threshold_v",
                lambda turn, s: detector.set_threshold_v(
                    1, _within(low_v, high_v, turn), timeout_s=s
                ),
                lambda turn, held: _number_flaw(held, _within(low_v, high_v, turn), 0.02),
                True,
            )
        )
    if limits.bias_unit:
        low, high = limits.bias_range
        step = (high - low) / 100
        calls.append(
            Call(
                "set_bias",
                lambda turn, s: detector.set_bias(1, low + step * (turn % N_TURNS), timeout_s=s),
                lambda turn, held: _number_flaw(held, low + step * (turn % N_TURNS), step / 3),
                True,
            )
        )
    return tuple(calls)


def _polarization(controller: PolarizationController) -> tuple[Call, ...]:
    axes = controller.capabilities.axes

    def targets(turn: int) -> list[float]:
        return [_target(axis, turn) for axis in axes]

    def standing(turn: int, answer: object) -> str:
        assert isinstance(answer, tuple)
        if len(answer) != len(axes):
            return f"{len(axes)} axes report {len(answer)} places"
        found = (
            _axis_flaw(axis, value, wanted)
            for axis, value, wanted in zip(axes, answer, targets(turn), strict=True)
        )
        return next(filter(None, found), "")

    calls = [
        Call(
            "positions",
            lambda turn, s: controller.positions(timeout_s=s),
            lambda turn, answer: _places_flaw(answer, axes),
        ),
        Call(
            "move",
            lambda turn, s: controller.move(1, _target(axes[0], turn), timeout_s=s),
            lambda turn, value: _axis_flaw(axes[0], value, _target(axes[0], turn)),
            True,
        ),
        Call(
            "move_all",
            lambda turn, s: controller.move_all(targets(turn), timeout_s=s),
            standing,
            True,
        ),
    ]
    if controller.capabilities.has_home:
        calls.append(
            Call(
                "home",
                lambda turn, s: controller.home(1, timeout_s=s),
                lambda turn, value: _places_flaw((value,), axes[:1]),
                True,
            )
        )
    return tuple(calls)


def _target(axis: AxisRange, turn: int) -> float:
    """Return a place close to the lower end, so that the way is short."""
    return axis.low + (axis.high - axis.low) * (0.02 + 0.01 * (turn % N_TURNS))


def _axis_flaw(axis: AxisRange, value: object, wanted: float) -> str:
    assert isinstance(value, float | int)
    off = value - wanted
    if axis.periodic:
        off = math.remainder(off, axis.high - axis.low)
    tolerance = max(3 * axis.resolution, 0.003 * (axis.high - axis.low))
    return "" if abs(off) <= tolerance else f"an axis stands at {value:g}, not {wanted:g}"


def _places_flaw(answer: object, axes: Sequence[AxisRange]) -> str:
    assert isinstance(answer, tuple)
    if len(answer) != len(axes):
        return f"{len(axes)} axes report {len(answer)} places"
    for axis, value in zip(axes, answer, strict=True):
        slack = 0.01 * (axis.high - axis.low)
        if not axis.periodic and not axis.low - slack <= value <= axis.high + slack:
            return f"an axis stands at {value:g}, outside its range"
    return ""


def _switch(switch: OpticalSwitch) -> tuple[Call, ...]:
    def wanted(turn: int) -> dict[int, int]:
        return {1: 1 + turn % 2}

    def is_map(turn: int, answer: object) -> str:
        assert isinstance(answer, Mapping)
        ports = [*answer.keys(), *answer.values()]
        return "" if all(isinstance(port, int) and port >= 1 for port in ports) else f"{answer}"

    return (
        Call("connections", lambda turn, s: switch.connections(timeout_s=s), is_map),
        Call(
            "apply",
            lambda turn, s: switch.apply(wanted(turn), timeout_s=s),
            lambda turn, answer: "" if answer == wanted(turn) else f"{answer} is connected",
            True,
        ),
    )


def _attenuator(attenuator: Attenuator) -> tuple[Call, ...]:
    def wanted_db(turn: int) -> float:
        return 10.0 + turn % N_TURNS

    return (
        Call(
            "set_attenuation_db",
            lambda turn, s: attenuator.set_attenuation_db(wanted_db(turn), timeout_s=s),
            lambda turn, held: _number_flaw(held, wanted_db(turn), 0.3),
            True,
        ),
    )


def _power_meter(meter: PowerMeter) -> tuple[Call, ...]:
    def flaw(turn: int, power_w: object) -> str:
        assert isinstance(power_w, float)
        return "" if -1.0 < power_w < 100.0 else f"{power_w:g} W is no optical power"

    return (Call("power_w", lambda turn, s: meter.power_w(timeout_s=s), flaw),)


def _bias_source(source: BiasSource) -> tuple[Call, ...]:
    calls = []
    for channel in source.channels[:2]:

        def ramp(turn: int, timeout_s: float, channel: int = channel) -> float:
            voltage_v = 0.02 * (1 + turn % N_TURNS)
            return source.ramp_to_v(channel, voltage_v, slope_v_per_s=SLOPE_V_PER_S)

        calls.append(
            Call(
                f"ramp_to_v({channel})",
                ramp,
                lambda turn, held: _number_flaw(held, 0.02 * (1 + turn % N_TURNS), 0.005),
                True,
                own_deadline_s=10.0,
            )
        )

        def switch_off(turn: int, timeout_s: float, channel: int = channel) -> bool:
            return source.enable(channel, False, timeout_s=timeout_s)

        calls.append(
            Call(
                f"enable({channel})",
                switch_off,
                lambda turn, held: "" if held is False else "the output is on",
                True,
            )
        )
    return tuple(calls)


def _delays(generator: DelayGenerator) -> tuple[Call, ...]:
    def wanted_ps(turn: int) -> int:
        return 10_000 * (1 + turn % N_TURNS)

    return (
        Call(
            "set_delay_ps",
            lambda turn, s: generator.set_delay_ps("A", wanted_ps(turn), timeout_s=s),
            lambda turn, held: _number_flaw(held, wanted_ps(turn), 100.0),
            True,
        ),
    )


def _polarimeter(polarimeter: Polarimeter) -> tuple[Call, ...]:
    def flaw(turn: int, stokes: object) -> str:
        assert isinstance(stokes, tuple)
        length = math.hypot(*stokes[1:])
        return "" if len(stokes) == 4 and length <= 1.05 else f"{stokes} is no state"

    return (Call("stokes", lambda turn, s: polarimeter.stokes(timeout_s=s), flaw),)


def _transmitter(transmitter: Transmitter) -> tuple[Call, ...]:
    def load(turn: int, timeout_s: float) -> int:
        length = 4 * (1 + turn % N_TURNS)
        return transmitter.load_pattern([0] * length, [0] * length, timeout_s=timeout_s)

    return (
        Call(
            "load_pattern",
            load,
            lambda turn, held: _number_flaw(held, 4 * (1 + turn % N_TURNS), 0.5),
            True,
        ),
        Call(
            "emit",
            lambda turn, s: transmitter.emit(False, timeout_s=s),
            lambda turn, held: "" if held is False else "pulses are still sent",
            True,
        ),
    )


def _within(low: float, high: float, turn: int) -> float:
    return round(low + (high - low) * (0.3 + 0.1 * (turn % N_TURNS)), 3)


def _number_flaw(held: object, wanted: float, tolerance: float) -> str:
    assert isinstance(held, float | int)
    return "" if abs(held - wanted) <= tolerance else f"it holds {held:g}, not {wanted:g}"


def _rates_flaw(rates: object, n_channels: int) -> str:
    assert isinstance(rates, tuple)
    if len(rates) != n_channels:
        return f"{n_channels} channels report {len(rates)} rates"
    good = all(0.0 <= rate < RATE_LIMIT_CPS for rate in rates)
    return "" if good else f"{rates} are no count rates"


def reading(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls that change nothing and leave the wire alone."""
    return tuple(call for call in calls if not call.changes and call.name != "connect")


# Any: which interface a factory takes is what its family says.
_FAMILIES: Mapping[Family, Callable[[Any], tuple[Call, ...]]] = {
    Family.TIME_TAGGER: _tagger,
    Family.PHOTON_DETECTOR: _detector,
    Family.POLARIZATION_CONTROLLER: _polarization,
    Family.OPTICAL_SWITCH: _switch,
    Family.ATTENUATOR: _attenuator,
    Family.POWER_METER: _power_meter,
    Family.BIAS_SOURCE: _bias_source,
    Family.DELAY_GENERATOR: _delays,
    Family.POLARIMETER: _polarimeter,
    Family.TRANSMITTER: _transmitter,
}
